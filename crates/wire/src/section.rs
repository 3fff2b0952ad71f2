//! The vault section (EdgeDevConfig 50500) between `vault::section` and its bytes.
//! What is not understood, out of bounds, or there twice refuses the whole section: the reader treats it as withheld.

use std::collections::HashSet;

use attest::SessionKey;
use vault::ids::{DeviceId, DeviceKey, Epoch, Incarnation, Name, SectionDigest, SectionVersion, VaultId};
use vault::lease::{Lease, LeaseNonce};
use vault::recovery::{MAX_RECIPIENTS, Recipient, Recipients};
use vault::section::{
    Custody, Encryption, Entry, MAX_VAULTS, NodePolicy, Operation, Presence, Release, Seal, SealedKey,
    Section,
};

use vault::space::StorageLimit;

use crate::cause::{cause, cause_to};
use crate::error::DecodeError;
use crate::limits::{MAX_TEXT, at_most, exactly, known, present, text, uuid};
use crate::pb::vault as pb;
use crate::release::{CIPHERTEXT_LEN, ENC_LEN};
use crate::suite;

impl From<&Section> for pb::VaultSection {
    fn from(section: &Section) -> Self {
        Self {
            device: section.device.0.as_bytes().to_vec(),
            session: section.session.0.to_vec(),
            version: Some((&section.version).into()),
            vaults: section.vaults.iter().map(Into::into).collect(),
            device_key: section.device_key.0.to_vec(),
            follows: section.follows.map(|digest| digest.0.to_vec()).unwrap_or_default(),
            removed: section.removed.iter().map(|id| id.0.as_bytes().to_vec()).collect(),
            lease_nonce: section.lease.map(|nonce| nonce.0.to_vec()).unwrap_or_default(),
        }
    }
}

impl From<&SectionVersion> for pb::SectionVersion {
    fn from(version: &SectionVersion) -> Self {
        Self { incarnation: version.incarnation.0.to_vec(), version: version.version }
    }
}

impl From<&Entry> for pb::Vault {
    fn from(entry: &Entry) -> Self {
        Self {
            id: entry.id.0.as_bytes().to_vec(),
            name: entry.name.as_str().to_owned(),
            encryption: encryption_to(entry.policy.encryption).into(),
            custody: custody_to(entry.policy.custody).into(),
            seal: seal_to(entry.policy.seal).into(),
            operation: operation_to(entry.operation).into(),
            standing: standing_to(entry.standing).into(),
            retained: entry.standing == Presence::Retained,
            created: entry.created,
            recreate: entry.recreate,
            release: Some((&entry.release).into()),
            lease_s: entry.policy.lease.map_or(0, Lease::seconds),
            recovery: entry.policy.recovery.all().iter().map(|to| to.bytes().to_vec()).collect(),
            storage_limit: entry.policy.storage_limit.map_or(0, StorageLimit::bytes),
        }
    }
}

impl From<&Release> for pb::vault::Release {
    fn from(release: &Release) -> Self {
        match release {
            Release::NotNeeded => Self::NotNeeded(pb::NotNeeded {}),
            Release::Keys { current, last } => {
                Self::Keys(pb::Keys { current: Some(current.into()), last: Some(last.into()) })
            }
            Release::Withheld { reason } => {
                let (cause, reason) = cause_to(reason);
                Self::Withheld(pb::Withheld { reason, cause })
            }
        }
    }
}

impl From<&SealedKey> for pb::SealedKey {
    fn from(key: &SealedKey) -> Self {
        Self {
            epoch: key.epoch.0,
            enc: key.enc.clone(),
            ciphertext: key.ciphertext.clone(),
            suite: suite::X25519,
            number: key.number,
        }
    }
}

/// Checks a section: lengths, bounds, known values, no vault twice.
pub(crate) fn section(raw: pb::VaultSection) -> Result<Section, DecodeError> {
    at_most("vaults", raw.vaults.len(), MAX_VAULTS)?;
    let vaults: Vec<Entry> = raw.vaults.into_iter().map(entry).collect::<Result<_, _>>()?;
    at_most("removed vaults", raw.removed.len(), MAX_VAULTS)?;
    let removed = raw.removed.iter().map(|id| uuid("removed vault", id).map(VaultId));
    let removed: Vec<VaultId> = removed.collect::<Result<_, _>>()?;
    let mut seen = HashSet::new();
    if !vaults.iter().map(|vault| vault.id).chain(removed.iter().copied()).all(|id| seen.insert(id)) {
        return Err(DecodeError::Invalid { field: "vaults", why: "name one vault twice" });
    }
    Ok(Section {
        device: device("device", &raw.device)?,
        device_key: device_key(&raw.device_key)?,
        session: session("session", &raw.session)?,
        version: version(present("version", raw.version)?)?,
        follows: follows(&raw.follows)?,
        vaults,
        removed,
        lease: lease_nonce(&raw.lease_nonce)?,
    })
}

pub(crate) fn device(field: &'static str, bytes: &[u8]) -> Result<DeviceId, DecodeError> {
    uuid(field, bytes).map(DeviceId)
}

/// A controller that names no key may mean any device: that is told apart from damage.
fn device_key(bytes: &[u8]) -> Result<DeviceKey, DecodeError> {
    let field = "the key of the device it is for";
    if bytes.is_empty() {
        return Err(DecodeError::Missing { field });
    }
    exactly(field, bytes).map(DeviceKey)
}

fn follows(bytes: &[u8]) -> Result<Option<SectionDigest>, DecodeError> {
    (!bytes.is_empty()).then(|| digest("follows", bytes)).transpose()
}

pub(crate) fn digest(field: &'static str, bytes: &[u8]) -> Result<SectionDigest, DecodeError> {
    exactly(field, bytes).map(SectionDigest)
}

pub(crate) fn session(field: &'static str, bytes: &[u8]) -> Result<SessionKey, DecodeError> {
    exactly(field, bytes).map(SessionKey)
}

/// The version counts from 1: a zero is one that nobody wrote.
pub(crate) fn version(raw: pb::SectionVersion) -> Result<SectionVersion, DecodeError> {
    if raw.version == 0 {
        return Err(DecodeError::Invalid { field: "version", why: "is zero" });
    }
    let incarnation = Incarnation(exactly("incarnation", &raw.incarnation)?);
    Ok(SectionVersion { incarnation, version: raw.version })
}

pub(crate) fn name(field: &'static str, name: String) -> Result<Name, DecodeError> {
    let name = text(field, name, MAX_TEXT)?;
    Name::try_from(name).map_err(|_| DecodeError::Invalid { field, why: "is no name" })
}

fn entry(raw: pb::Vault) -> Result<Entry, DecodeError> {
    let policy = NodePolicy {
        encryption: encryption(raw.encryption)?,
        custody: custody(raw.custody)?,
        seal: seal(raw.seal)?,
        lease: lease(raw.lease_s)?,
        recovery: recovery(&raw.recovery)?,
        storage_limit: storage_limit(raw.storage_limit)?,
    };
    Ok(Entry {
        id: VaultId(uuid("vault", &raw.id)?),
        name: name("vault name", raw.name)?,
        policy,
        operation: operation(raw.operation)?,
        standing: standing(raw.standing, raw.retained)?,
        created: raw.created,
        recreate: raw.recreate,
        release: release(present("release", raw.release)?)?,
    })
}

/// One that is out of bounds is a lease nevertheless: it is refused, not left out.
fn lease(seconds: u32) -> Result<Option<Lease>, DecodeError> {
    let bad = DecodeError::Invalid { field: "lease", why: "is out of bounds" };
    (seconds != 0).then(|| Lease::of_seconds(seconds).ok_or(bad)).transpose()
}

/// One that nothing can be encrypted to, or too many, is refused, not left out: the operator counts on them.
fn recovery(raw: &[Vec<u8>]) -> Result<Recipients, DecodeError> {
    at_most("recovery recipients", raw.len(), MAX_RECIPIENTS)?;
    let field = "recovery recipient";
    let all = raw.iter().map(|bytes| {
        Recipient::of(exactly(field, bytes)?)
            .map_err(|_| DecodeError::Invalid { field, why: "is a key that nothing can be encrypted to" })
    });
    let all: Vec<Recipient> = all.collect::<Result<_, _>>()?;
    Recipients::try_from(all).map_err(|_| DecodeError::Invalid { field, why: "is there twice" })
}

/// As with a lease.
pub(crate) fn storage_limit(bytes: u64) -> Result<Option<StorageLimit>, DecodeError> {
    let bad = DecodeError::Invalid { field: "storage limit", why: "is out of bounds" };
    (bytes != 0).then(|| StorageLimit::of_bytes(bytes).ok_or(bad)).transpose()
}

pub(crate) fn lease_nonce(bytes: &[u8]) -> Result<Option<LeaseNonce>, DecodeError> {
    (!bytes.is_empty()).then(|| exactly("lease nonce", bytes).map(LeaseNonce)).transpose()
}

fn release(raw: pb::vault::Release) -> Result<Release, DecodeError> {
    Ok(match raw {
        pb::vault::Release::NotNeeded(_) => Release::NotNeeded,
        pb::vault::Release::Keys(keys) => release_keys(keys)?,
        pb::vault::Release::Withheld(withheld) => {
            Release::Withheld { reason: cause("reason", withheld.cause, withheld.reason)? }
        }
    })
}

fn release_keys(raw: pb::Keys) -> Result<Release, DecodeError> {
    let current = sealed_key(present("current key", raw.current)?)?;
    let last = sealed_key(present("last key", raw.last)?)?;
    if last.epoch > current.epoch {
        return Err(DecodeError::Invalid { field: "last key", why: "is newer than the current one" });
    }
    Ok(Release::Keys { current, last })
}

fn sealed_key(raw: pb::SealedKey) -> Result<SealedKey, DecodeError> {
    if raw.epoch < Epoch::FIRST.0 {
        return Err(DecodeError::Invalid { field: "epoch", why: "is zero" });
    }
    suite::check(raw.suite)?;
    exactly::<ENC_LEN>("enc", &raw.enc)?;
    exactly::<CIPHERTEXT_LEN>("ciphertext", &raw.ciphertext)?;
    let pb::SealedKey { enc, number, ciphertext, .. } = raw;
    Ok(SealedKey { epoch: Epoch(raw.epoch), enc, number, ciphertext })
}

/// Writes both directions of a closed list; "unspecified" and what is unknown are not understood.
macro_rules! list {
    ($to:ident, $from:ident, $ours:ident, $field:literal, $($variant:ident),+) => {
        pub(crate) fn $to(value: $ours) -> pb::$ours {
            match value { $($ours::$variant => pb::$ours::$variant),+ }
        }
        pub(crate) fn $from(value: i32) -> Result<$ours, DecodeError> {
            match known($field, value)? {
                $(pb::$ours::$variant => Ok($ours::$variant),)+
                pb::$ours::Unspecified => Err(DecodeError::NotUnderstood { field: $field, value }),
            }
        }
    };
}
list!(encryption_to, encryption, Encryption, "encryption", Aes256Xts, Adiantum);
list!(custody_to, custody, Custody, "custody", Tpm, Controller, TpmAndController);
list!(seal_to, seal, Seal, "seal", Tpm, Pcrs);
list!(operation_to, operation, Operation, "operation", Unlock, Lock, ChangeKey);

/// A retained vault is one whose removal has no end.
fn standing_to(standing: Presence) -> pb::Presence {
    match standing {
        Presence::Active => pb::Presence::Active,
        Presence::Removing | Presence::Retained => pb::Presence::Removing,
    }
}

fn standing(value: i32, retained: bool) -> Result<Presence, DecodeError> {
    let field = "standing";
    match (known(field, value)?, retained) {
        (pb::Presence::Active, false) => Ok(Presence::Active),
        (pb::Presence::Active, true) => Err(DecodeError::Invalid { field, why: "is active, and retained" }),
        (pb::Presence::Removing, false) => Ok(Presence::Removing),
        (pb::Presence::Removing, true) => Ok(Presence::Retained),
        (pb::Presence::Unspecified, _) => Err(DecodeError::NotUnderstood { field, value }),
    }
}
