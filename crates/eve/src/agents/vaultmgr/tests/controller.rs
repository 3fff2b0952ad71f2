//! A controller that signs sections, with the golden keys; it keeps its own keys and rotates them.

use std::collections::BTreeSet;
use std::path::PathBuf;

use attest::SessionKey;
use uuid::Uuid;
use vault::cause::Cause;
use vault::ids::{
    CONFIG_VAULT, DeviceId, DeviceKey, Epoch, IMAGE_VAULT, Incarnation, SectionDigest, SectionVersion,
    VaultId,
};
use vault::lease::{Lease, LeaseNonce};
use vault::recovery::Recipients;
use vault::secret::ControllerKey;
use vault::section::{
    Custody, Encryption, Entry, NodePolicy, Operation, Presence, Release, Seal, SealedKey, Section,
};
use vault::space::StorageLimit;
use wire::FileSigner;
use wire::config::{ConfigParts, ConfigResponse, DeviceConfig};
use wire::envelope::seal_from_controller;
use wire::release::{Purpose, seal};

pub(super) const DEVICE: DeviceId = DeviceId(Uuid::from_u128(0xd0));
pub(super) const KEY: DeviceKey = DeviceKey([0xd0; 32]);
pub(super) const BERLIN: VaultId = VaultId(Uuid::from_u128(0xbe));

pub(super) fn golden(name: &str) -> Vec<u8> {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../vectors/keys").join(name);
    std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

pub(super) fn certs() -> Vec<u8> {
    let (signing, ecdh) = (golden("controller-signing.cert.pem"), golden("controller-ecdh.cert.pem"));
    wire::certs::encode_list(&signing, &[&golden("intermediate-ca.cert.pem")], &[&ecdh])
}

/// What it says of one vault.
#[derive(Clone)]
pub(super) struct Line {
    pub(super) id: VaultId,
    pub(super) custody: Custody,
    pub(super) seal: Seal,
    pub(super) operation: Operation,
    pub(super) standing: Presence,
    pub(super) epochs: (u64, u64),
    pub(super) created: bool,
    pub(super) recreate: bool,
    /// No key goes out, though the custody asks for one.
    pub(super) withheld: bool,
    /// Keys go out although the custody asks for none: while a vault leaves the controller's custody.
    pub(super) leaving: bool,
    /// Of how many seconds.
    pub(super) lease: Option<u32>,
    /// To whom its recovery key is encrypted.
    pub(super) recovery: Recipients,
    pub(super) limit: Option<StorageLimit>,
}

impl Line {
    pub(super) fn of(custody: Custody) -> Self {
        Self {
            id: BERLIN,
            custody,
            seal: Seal::Tpm,
            operation: Operation::Unlock,
            standing: Presence::Active,
            epochs: (1, 1),
            created: false,
            recreate: false,
            withheld: false,
            leaving: false,
            lease: None,
            recovery: Recipients::NONE,
            limit: None,
        }
    }
}

/// Which device it takes its peer for, and its database's life.
#[derive(Clone)]
pub(super) struct Controller {
    /// Which keys it draws: two lives of one database draw others.
    pub(super) lineage: u8,
    /// The section that its next one follows.
    pub(super) follows: Option<SectionDigest>,
    /// All that it ever listed: those that it lists no more are removed.
    pub(super) listed: BTreeSet<VaultId>,
    pub(super) device: DeviceId,
    pub(super) key: DeviceKey,
    pub(super) incarnation: u8,
    pub(super) version: u64,
    /// By which question its next section renews leases.
    pub(super) renews: Option<LeaseNonce>,
}

/// The key of a vault at an epoch: any 32 bytes that differ.
pub(super) fn key(lineage: u8, vault: VaultId, epoch: u64) -> ControllerKey {
    let mut bytes = [lineage; 32];
    bytes[..16].copy_from_slice(vault.0.as_bytes());
    bytes[16..24].copy_from_slice(&epoch.to_be_bytes());
    ControllerKey::copied_from(&bytes)
}

impl Controller {
    pub(super) fn new() -> Self {
        Self {
            lineage: 0xc0,
            follows: None,
            listed: BTreeSet::new(),
            device: DEVICE,
            key: KEY,
            incarnation: 1,
            version: 0,
            renews: None,
        }
    }

    /// A signed answer with the next version of the section.
    pub(super) fn section(&mut self, session: SessionKey, lines: &[Line]) -> Vec<u8> {
        self.version += 1;
        let version =
            SectionVersion { incarnation: Incarnation([self.incarnation; 16]), version: self.version };
        let (device, device_key) = (self.device, self.key);
        let vaults = lines.iter().map(|line| entry(line, self.lineage, device, session)).collect();
        let now: BTreeSet<VaultId> = lines.iter().map(|line| line.id).collect();
        let removed = self.listed.difference(&now).copied().filter(|id| !id.is_default()).collect();
        self.listed.extend(now);
        let (follows, lease) = (self.follows, self.renews);
        signed(Some(Section { device, device_key, session, version, follows, vaults, removed, lease }))
    }
}

/// A signed answer; without a section all is withheld.
pub(super) fn signed(section: Option<Section>) -> Vec<u8> {
    let device = section.as_ref().map_or(DEVICE, |section| section.device);
    let parts = ConfigParts { device: Some(device), section, ..ConfigParts::default() };
    let config = DeviceConfig::new(&parts).expect("within bounds");
    let response = ConfigResponse { config_hash: "1".to_owned(), config: Some(config), control: None };
    let signer = FileSigner::from_pem(&golden("controller-signing.key.pem")).expect("a key");
    seal_from_controller(&response.encode(), &golden("controller-signing.cert.pem"), &signer).expect("signs")
}

fn entry(line: &Line, lineage: u8, device: DeviceId, session: SessionKey) -> Entry {
    let purpose = Purpose { device, vault: line.id, custody: line.custody };
    let sealed = |epoch: u64| -> SealedKey {
        seal(&session, &purpose, Epoch(epoch), &key(lineage, line.id, epoch)).expect("seals")
    };
    let release = match line.custody {
        Custody::Tpm if !line.leaving => Release::NotNeeded,
        _ if line.withheld => Release::Withheld { reason: Cause::EvidenceWanted },
        _ => Release::Keys { current: sealed(line.epochs.0), last: sealed(line.epochs.1) },
    };
    let name = match line.id {
        CONFIG_VAULT => "config".to_owned(),
        IMAGE_VAULT => "image".to_owned(),
        BERLIN => "berlin".to_owned(),
        id => id.to_string(),
    };
    Entry {
        id: line.id,
        name: name.parse().expect("a name"),
        policy: NodePolicy {
            encryption: Encryption::Aes256Xts,
            custody: line.custody,
            seal: line.seal,
            lease: line.lease.and_then(Lease::of_seconds),
            recovery: line.recovery.clone(),
            storage_limit: line.limit,
        },
        operation: line.operation,
        standing: line.standing,
        created: line.created,
        recreate: line.recreate,
        release,
    }
}
