//! A `VaultPolicy`: what it is, the fields that are written of it, and how each is checked. What later work adds is refused by name, so that
//! nobody believes in a protection that is not there.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_saphyr::{Location, Spanned};

use super::attest::{RawAttest, attest};
use super::parts::{Checked, duration, later, name, needed};
use super::raw::{Text, fields};
use super::removal::{RawRemoval, removal};
use super::{Attest, BadFile, DEFAULT_ATTEST_EVERY, DEFAULT_DELETE_AFTER, Removal};
use crate::defaults;
use crate::ids::Name;
use crate::lease::Lease;
use crate::recovery::{BadRecipients, Recipient, Recipients};
use crate::section::{Custody, Encryption, NodePolicy, Operation, Seal};
use crate::space::{BadLimit, StorageLimit};

/// What the operator wants a vault to be: open or locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Door {
    /// Keep it open.
    Unlock,
    /// Keep it locked.
    Lock,
}

/// A vault policy, checked: no impossible combination and nothing that is not built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VaultPolicy {
    /// Its name, unique at the controller.
    pub name: Name,
    /// What the node carries out.
    pub node: NodePolicy,
    /// What the controller demands before it releases a key.
    pub attest: Attest,
    /// What becomes of a vault under it that is removed.
    #[serde(rename = "delete_after")]
    pub on_removal: Removal,
    /// Open or locked.
    pub operation: Door,
}

impl VaultPolicy {
    /// The policy of the default vaults of a node when no operator changed it: `tpm` custody needs no controller (KO-2);
    /// a node without a TPM takes the key from the controller at first contact (DF-3).
    #[must_use]
    pub fn of_default_vault(has_tpm: bool) -> Self {
        Self {
            name: Name::try_from("default".to_owned()).expect("`default` is a name"),
            node: defaults::policy(has_tpm),
            attest: Attest { every: DEFAULT_ATTEST_EVERY, require: BTreeSet::new() },
            on_removal: Removal::DeleteAfter(DEFAULT_DELETE_AFTER),
            operation: Door::Unlock,
        }
    }

    /// The form that is stored and compared: JSON, fields in the order of the type, durations in seconds.
    #[must_use]
    pub fn to_canonical(&self) -> String {
        serde_json::to_string(self).expect("a policy has no map with keys that are not text")
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// When the text is not what [`Self::to_canonical`] of this version writes: the store is damaged or of another version.
    pub fn from_canonical(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// The operation to send; `change_key` while the node has yet to take the current epoch (VC-2).
    #[must_use]
    pub fn operation(&self, change_key: bool) -> Operation {
        match (self.operation, change_key) {
            (Door::Lock, _) => Operation::Lock,
            (Door::Unlock, true) => Operation::ChangeKey,
            (Door::Unlock, false) => Operation::Unlock,
        }
    }
}

fields! {
    /// What a VaultPolicy has beside its head.
    RawPolicy {
        custody: String,
        seal: String,
        encryption: String,
        attest: RawAttest,
        on_removal: RawRemoval,
        operation: String,
        lease: String,
        recovery: RawRecovery,
        storage_limit: String,
    }
}

/// `{ recipients: [age1...] }`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRecovery {
    pub(super) recipients: Spanned<Vec<Spanned<String>>>,
}

pub(super) fn policy(own: &Spanned<String>, raw: RawPolicy) -> Checked<VaultPolicy> {
    let custody = custody(raw.custody, own.referenced)?;
    Ok(VaultPolicy {
        name: name(own)?,
        node: NodePolicy {
            encryption: encryption(raw.encryption)?,
            custody,
            seal: seal(raw.seal, custody)?,
            lease: lease(raw.lease)?,
            recovery: recovery(raw.recovery)?,
            storage_limit: storage_limit(raw.storage_limit)?,
        },
        attest: attest(raw.attest, custody)?,
        on_removal: removal(raw.on_removal)?,
        operation: operation(raw.operation)?,
    })
}

fn custody(text: Text, place: Location) -> Checked<Custody> {
    let advice = "write `custody: tpm+controller`, `tpm` or `controller`";
    let text = needed("custody", text, place, advice)?;
    match text.value.as_str() {
        "tpm" => Ok(Custody::Tpm),
        "controller" => Ok(Custody::Controller),
        "tpm+controller" => Ok(Custody::TpmAndController),
        other => Err(BadFile::at(text.referenced, format!("`{other}` is not a custody"), advice)),
    }
}

fn encryption(text: Text) -> Checked<Encryption> {
    let Some(text) = text else { return Ok(Encryption::Aes256Xts) };
    let advice = "write `encryption: aes-256-xts` or `adiantum`";
    match text.value.as_str() {
        "aes-256-xts" => Ok(Encryption::Aes256Xts),
        "adiantum" => Ok(Encryption::Adiantum),
        "off" | "false" => Err(later(text.referenced, "encryption: off", advice)),
        other => Err(BadFile::at(text.referenced, format!("`{other}` is not an encryption"), advice)),
    }
}

/// Absent means `tpm`: sealed to PCRs a vault waits, after an update of the firmware, until somebody approves the new boot.
fn seal(text: Text, custody: Custody) -> Checked<Seal> {
    let Some(text) = text else { return Ok(Seal::Tpm) };
    if !custody.needs_tpm() {
        let problem = "`seal` has no meaning with `custody: controller`, where the TPM holds no share";
        return Err(BadFile::at(
            text.referenced,
            problem,
            "leave `seal` out, or write `custody: tpm+controller`",
        ));
    }
    match text.value.as_str() {
        "tpm" => Ok(Seal::Tpm),
        "pcrs" => Ok(Seal::Pcrs),
        other => Err(BadFile::at(
            text.referenced,
            format!("`{other}` is not a seal"),
            "write `seal: tpm` or `seal: pcrs`",
        )),
    }
}

fn lease(text: Text) -> Checked<Option<Lease>> {
    let Some(text) = text else { return Ok(None) };
    let given = duration(&text, "lease", Lease::BOUNDS)?;
    Ok(u32::try_from(given.as_secs()).ok().and_then(Lease::of_seconds))
}

/// With every custody: the recovery key is there for when what the custody asks for is gone.
fn recovery(raw: Option<Spanned<RawRecovery>>) -> Checked<Recipients> {
    let Some(raw) = raw else { return Ok(Recipients::NONE) };
    let list = raw.value.recipients;
    if list.value.is_empty() {
        let advice = "name a recipient: `recovery: { recipients: [age1...] }`; or leave `recovery` out";
        return Err(BadFile::at(list.referenced, "`recovery` has no recipient", advice));
    }
    let mut all = Vec::new();
    for text in &list.value {
        let bad = |why: BadRecipients| {
            BadFile::at(
                text.referenced,
                format!("`{}` is not an X25519 recipient of age", text.value),
                why.to_string(),
            )
        };
        let recipient: Recipient = text.value.parse().map_err(bad)?;
        if all.contains(&recipient) {
            let problem = format!("`{}` is a recipient twice", text.value);
            return Err(BadFile::at(text.referenced, problem, BadRecipients::Twice.to_string()));
        }
        all.push(recipient);
    }
    Recipients::try_from(all)
        .map_err(|why| BadFile::at(list.referenced, "`recovery` has too many recipients", why.to_string()))
}

fn storage_limit(text: Text) -> Checked<Option<StorageLimit>> {
    let Some(text) = text else { return Ok(None) };
    let value = text.value.trim();
    value.parse().map(Some).map_err(|why: BadLimit| {
        BadFile::at(text.referenced, format!("`{value}` is not a storage limit"), why.to_string())
    })
}

fn operation(text: Text) -> Checked<Door> {
    let Some(text) = text else { return Ok(Door::Unlock) };
    match text.value.as_str() {
        "unlock" => Ok(Door::Unlock),
        "lock" => Ok(Door::Lock),
        "change-key" => {
            let problem = "`change-key` is not a lasting state";
            Err(BadFile::at(
                text.referenced,
                problem,
                "write `operation: unlock` and run `evc rotate vault NAME --device DEVICE`",
            ))
        }
        other => Err(BadFile::at(
            text.referenced,
            format!("`{other}` is not an operation"),
            "write `operation: unlock` or `lock`",
        )),
    }
}

#[cfg(test)]
mod tests;
