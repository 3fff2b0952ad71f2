//! The controller's database, as values: it says what the shipped draft says, numbers, chains and rotates as the shipped ledger says, can be
//! copied, put back, and live twice from one copy.

use std::sync::LazyLock;

use super::evidence::Appraised;
use super::*;
use vault::belief::LockOrders;
use vault::cause::Cause;
use vault::decide::{Asking, BundleNeeded, Ruling, Standing, StandingAt, Subject, TpmPin};
use vault::draft::{Asked, Draft, Facts, Line, ToList, Told};
use vault::ledger::Ledger;
use vault::policy::{Attest, Check, Door, VaultPolicy};
use vault::rotation::Epochs;
use vault::section::{Entry, Release, SealedKey, Section as Signed};

const NOW: u64 = 1_800_000_000;
const BESIDE: VaultId = VaultId(uuid::Uuid::from_u128(78));

/// What one copy of the database holds of the device and its vault.
#[derive(Debug, Clone)]
pub(super) struct Database {
    incarnation: u8,
    past: Vec<Incarnation>,
    version: u64,
    ledger: Ledger,
    /// The vault's newest epoch.
    epoch: u64,
    /// Its keys, each unlike any other.
    keys: BTreeMap<u64, u32>,
    /// It was listed in this incarnation, and so can be removed.
    listed: bool,
    removed: bool,
}

pub(crate) const DEVICE: DeviceId = DeviceId(uuid::Uuid::from_u128(0xd));

impl Database {
    pub(super) fn new(key: u32) -> Self {
        Self {
            incarnation: 1,
            past: Vec::new(),
            version: 0,
            ledger: Ledger::default(),
            epoch: 1,
            keys: BTreeMap::from([(1, key)]),
            listed: false,
            removed: false,
        }
    }

    /// An operator's act after a copy was put back. `fresh`: no other life of the database has this number.
    pub(super) fn begin_incarnation(&mut self, fresh: u8) {
        self.past.push(Incarnation([self.incarnation; 16]));
        (self.incarnation, self.version, self.ledger) = (fresh, 0, Ledger::default());
        self.listed = false;
    }

    #[allow(dead_code, reason = "for the seams")]
    pub(super) fn put_keys(&mut self, keys: BTreeMap<u64, u32>) {
        self.keys = keys;
    }

    pub(super) fn knows(&self, key: u32) -> bool {
        self.keys.values().any(|of| *of == key)
    }

    pub(super) fn rotate(&mut self, key: u32) {
        self.epoch += 1;
        self.keys.insert(self.epoch, key);
    }

    pub(super) fn incarnation(&self) -> Incarnation {
        Incarnation([self.incarnation; 16])
    }

    fn place(&self) -> SectionVersion {
        SectionVersion { incarnation: self.incarnation(), version: self.version }
    }

    /// Whether it may speak to a device that tells `head`; if not, it withholds.
    pub(super) fn hears(&mut self, head: Option<Head>) -> bool {
        let (own, past) = (self.place(), self.past.clone());
        head.is_none_or(|head| self.ledger.hear(own, &past, (head.version, head.digest)).is_ok())
    }

    /// An order, which takes a number like a section and is no part of the chain.
    pub(super) fn order(&mut self, id: VaultId) -> LockOrders {
        self.version += 1;
        let (device, device_key, session) = (DEVICE, KEY, SESSION);
        LockOrders { device, device_key, session, at: self.place(), vaults: BTreeSet::from([id]) }
    }

    /// The next section, as the operator wants the vault.
    pub(super) fn section(
        &mut self,
        id: VaultId,
        wish: Section,
        (created, taken): (bool, Option<Epoch>),
        (digest, lease): (SectionDigest, Option<LeaseNonce>),
    ) -> Signed {
        self.version += 1;
        (self.removed, self.listed) =
            (!wish.listed && (self.listed || self.removed), self.listed || wish.listed);
        let follows = self.ledger.head;
        self.ledger.send(digest);
        let draft = self.draft(id, wish, (created && !wish.forgot, taken), lease);
        let lines = draft.lines.into_iter().filter(|line| line.entry.id == id);
        Signed {
            device: DEVICE,
            device_key: KEY,
            session: SESSION,
            version: self.place(),
            follows,
            vaults: lines.map(|line| self.entry(line, wish)).collect(),
            removed: draft.removed,
            lease: draft.lease,
        }
    }

    /// As it is decided. Beside the vault there is always another one, which is leased and whose policy asks nothing of the evidence: so this one can be
    /// withheld in a section that goes out.
    fn draft(
        &self,
        id: VaultId,
        wish: Section,
        (made, reported): (bool, Option<Epoch>),
        lease: Option<LeaseNonce>,
    ) -> Draft {
        let (policy, beside) = (policy(wish), policy(Section { leased: true, ..Section::default() }));
        let attest = Attest { require: BTreeSet::new(), ..beside.attest.clone() };
        let beside = VaultPolicy { attest, ..beside };
        let (epochs, standing) = (self.epochs(), wish.standing);
        let subject = Subject { vault: id, policy: &policy, epochs, reported, standing };
        let vault = ToList { subject, name: &policy.name, made, recreate: wish.recreate };
        let subject = Subject { vault: BESIDE, policy: &beside, standing: Presence::Active, ..subject };
        let beside = ToList { subject, name: &beside.name, made: true, recreate: false };
        let gone = (self.removed && !id.is_default()).then_some(id);
        let facts = Facts {
            listed: wish.listed.then_some(vault).into_iter().chain([beside]).collect(),
            gone: gone.as_slice(),
            unread: Vec::new(),
            told: Told::default(),
            evidence: StandingAt { standing: shown(!wish.withheld), at: NOW, renew: false },
            asking: Asking { device: DEVICE, session: SESSION, tpm: TpmPin::Present, barred: None },
            unopened: &BTreeSet::new(),
        };
        Draft::of(&facts, Asked { lease, bundle: BundleNeeded::NEVER }, NOW)
    }

    fn epochs(&self) -> Epochs {
        let last = self.epoch.saturating_sub(1).max(1);
        Epochs::stored(Epoch(self.epoch), Epoch(last)).expect("it rotates by one")
    }

    fn entry(&self, Line { entry, decision }: Line, wish: Section) -> Entry {
        let entry = match decision.ruling {
            Ruling::Release(granted) => Entry { release: self.keys_of(granted.epochs()), ..entry },
            _ => entry,
        };
        if wish.strange { self.strange(entry, wish) } else { entry }
    }

    /// Which key it is stands for the key.
    fn keys_of(&self, epochs: Epochs) -> Release {
        let sealed = |epoch: Epoch| SealedKey {
            epoch,
            enc: self.keys[&epoch.0].to_be_bytes().to_vec(),
            number: 0,
            ciphertext: vec![],
        };
        Release::Keys { current: sealed(epochs.current()), last: sealed(epochs.last()) }
    }

    /// What ours never says, and a node may hear all the same, of a controller of another make: any operation and any keys with any standing.
    fn strange(&self, entry: Entry, wish: Section) -> Entry {
        let release = match wish.custody {
            Custody::Tpm => Release::NotNeeded,
            _ if wish.withheld => Release::Withheld { reason: Cause::Pcrs },
            _ => self.keys_of(self.epochs()),
        };
        Entry { operation: wish.operation, release, ..entry }
    }
}

/// As an operator has it who wishes that.
fn policy(wish: Section) -> VaultPolicy {
    let node = NodePolicy {
        encryption: Encryption::Aes256Xts,
        custody: wish.custody,
        seal: wish.seal,
        lease: wish.leased.then_some(LEASE),
        recovery: recipients(wish.recovery),
        storage_limit: wish.limited.then_some(LIMIT),
    };
    let plain = VaultPolicy::of_default_vault(true);
    let attest = Attest { require: BTreeSet::from([Check::Pcrs]), ..plain.attest };
    let operation = if wish.operation == Operation::Lock { Door::Lock } else { Door::Unlock };
    VaultPolicy { name: name(), node, attest, operation, ..plain }
}

/// What the node's session showed: PCRs that are approved, or others.
fn shown(good: bool) -> Standing<'static> {
    static APPRAISED: LazyLock<Appraised> = LazyLock::new(|| Appraised::of([SESSION]));
    Standing::Quoted(APPRAISED.get(SESSION, good))
}
