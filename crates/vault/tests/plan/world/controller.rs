//! The controller's database, as values: it numbers, chains and rotates as the shipped ledger says, can be copied, put back, and
//! live twice from one copy.

use super::*;
use vault::belief::LockOrders;
use vault::ledger::Ledger;
use vault::section::{Entry, Release, SealedKey, Section as Signed};

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

    fn place(&self) -> SectionVersion {
        SectionVersion { incarnation: Incarnation([self.incarnation; 16]), version: self.version }
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
        created: bool,
        (digest, lease): (SectionDigest, Option<LeaseNonce>),
    ) -> Signed {
        self.version += 1;
        (self.removed, self.listed) =
            (!wish.listed && (self.listed || self.removed), self.listed || wish.listed);
        let follows = self.ledger.head;
        self.ledger.send(digest);
        Signed {
            device: DEVICE,
            device_key: KEY,
            session: SESSION,
            version: self.place(),
            follows,
            vaults: wish.listed.then(|| self.entry(id, wish, created)).into_iter().collect(),
            removed: (self.removed && !id.is_default()).then_some(id).into_iter().collect(),
            lease,
        }
    }

    fn entry(&self, id: VaultId, wish: Section, created: bool) -> Entry {
        let last = self.epoch.saturating_sub(1).max(1);
        // Which key it is stands for the key.
        let sealed = |epoch| SealedKey {
            epoch: Epoch(epoch),
            enc: self.keys[&epoch].to_be_bytes().to_vec(),
            ciphertext: vec![],
        };
        let release = match wish.custody {
            Custody::Tpm => Release::NotNeeded,
            _ if wish.withheld => Release::Withheld { reason: "the PCRs differ".to_owned() },
            _ => Release::Keys { current: sealed(self.epoch), last: sealed(last) },
        };
        Entry {
            id,
            name: name(),
            policy: NodePolicy {
                encryption: Encryption::Aes256Xts,
                custody: wish.custody,
                seal: wish.seal,
                lease: wish.leased.then_some(LEASE),
                recovery: recipients(wish.recovery),
                storage_limit: wish.limited.then_some(LIMIT),
            },
            operation: wish.operation,
            standing: wish.standing,
            created: created && !wish.forgot,
            recreate: wish.recreate,
            release,
        }
    }
}
