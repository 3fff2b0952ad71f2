//! What the operator asks of a vault: `VaultPolicy` and `Vault` documents (UC-E, VC-7), checked.
//! Words are those of the operator's YAML; `read` turns a file into these types, and nothing else does.
//! The canonical form is JSON with a fixed order of fields: it is what the controller stores and compares.

mod caution;
mod check;
mod kind;
mod raw;
mod read;
mod removal;
mod write;

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::defaults;
use crate::ids::{Name, VaultId};
use crate::labels::Labels;
use crate::section::{NodePolicy, Operation};

pub use caution::Caution;
pub use check::DELETE_AFTER;
pub use read::{BadFile, Located, MAX_FILE_BYTES, read};
pub use removal::Removal;
pub use write::Field;

/// How often evidence is renewed when the policy does not say.
pub const DEFAULT_ATTEST_EVERY: Duration = Duration::from_secs(15 * 60);
/// How long a vault that left the operator's files is kept, locked, when its policy does not say.
pub const DEFAULT_DELETE_AFTER: Duration = Duration::from_secs(72 * 3600);

/// A document of the operator's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Document {
    /// A policy, shared by any number of vaults.
    Policy(VaultPolicy),
    /// A vault of one device.
    Vault(VaultSpec),
    /// A vault of each device with some labels.
    Rule(VaultRule),
}

/// A check of the evidence that a policy may demand before a key is released (AC-5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// The quoted PCRs match an approved reference value.
    Pcrs,
}

/// What a policy demands of attestation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attest {
    /// Evidence older than this is asked for anew, in whole seconds.
    #[serde(with = "seconds")]
    pub every: Duration,
    /// The checks that must have passed; none asks for identity and session alone.
    pub require: BTreeSet<Check>,
}

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

/// A vault of one device, as the operator writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VaultSpec {
    /// Its name, unique on its device; `config` and `image` are the default vaults (DF-4).
    pub name: Name,
    /// The device, by name or UUID.
    pub device: String,
    /// The policy, by name.
    pub policy: Name,
}

/// A vault of each device that has all of some labels, now or later, as the operator writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VaultRule {
    /// The vault's name on each of them, and its own.
    pub name: Name,
    /// The labels, at least one.
    pub devices: Labels,
    /// The policy, by name.
    pub policy: Name,
}

impl VaultRule {
    /// The vault of one of them.
    #[must_use]
    pub fn of(&self, device: impl fmt::Display) -> VaultSpec {
        VaultSpec { name: self.name.clone(), device: device.to_string(), policy: self.policy.clone() }
    }
}

impl VaultSpec {
    /// The fixed identity when the name is that of a default vault.
    #[must_use]
    pub fn default_vault(&self) -> Option<VaultId> {
        defaults::named(&self.name)
    }
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

/// Durations as whole seconds, so that the canonical form has one spelling.
mod seconds {
    use super::{Deserialize, Duration};
    use serde::{Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(duration: &Duration, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_u64(duration.as_secs())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        u64::deserialize(from).map(Duration::from_secs)
    }
}

#[cfg(test)]
mod tests;
