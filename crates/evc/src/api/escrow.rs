//! Bundles in escrow, reference values given before a boot shows them, and what an update will do, as operators see and say them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use vault::ids::{DeviceId, Generation, Name, VaultId};

use super::calls::Query;

/// What is in escrow of a device, as shown with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InEscrow {
    /// The newest bundle's generation.
    pub generation: Generation,
    /// The generation in force at its node, where the bundle is of an earlier one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behind: Option<Generation>,
    /// Its SHA-256, in hexadecimal.
    pub digest: String,
    /// When it came.
    pub received: String,
    /// Whether the device would have it back, or why not and what to do. Only when described.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_back: Option<String>,
    /// The vaults of which an older bundle has something that the newest ones lack. Only when described.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub older_alone: Vec<String>,
    /// How its drills stand.
    #[serde(default)]
    pub drill: DrillView,
    /// Since when the device sends a newer bundle for which there is no room, and what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_room: Option<String>,
}

/// Where a device's escrow drills stand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DrillState {
    /// None was made yet.
    #[default]
    None,
    /// The last one passed.
    Passed,
    /// The last one failed.
    Failed,
    /// The next one was due long ago.
    Overdue,
}

/// A device's escrow drills, as shown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrillView {
    /// Where they stand.
    pub state: DrillState,
    /// When the last one was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made: Option<String>,
    /// SHA-256 of the bundle that it was made on, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
    /// From when on the next one is due; nothing: none is made by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<String>,
    /// When an operator asked for one that is not made yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ordered: Option<String>,
}

impl DrillView {
    /// Whether the last one was made on the bundle of this SHA-256.
    #[must_use]
    pub fn is_on(&self, digest: &str) -> bool {
        self.digest.as_deref() == Some(digest)
    }

    /// What of it is to be said of that bundle: one that was not tried has neither passed nor failed.
    #[must_use]
    pub fn beside(self, digest: &str) -> Self {
        if self.is_on(digest) {
            return self;
        }
        let state = match self.state {
            DrillState::Overdue => DrillState::Overdue,
            DrillState::None | DrillState::Passed | DrillState::Failed => DrillState::None,
        };
        Self { state, made: None, digest: None, failed: None, ..self }
    }

    /// Whether somebody should look at it.
    #[must_use]
    pub fn needs_somebody(&self) -> bool {
        matches!(self.state, DrillState::Failed | DrillState::Overdue)
    }
}

/// A bundle in escrow, as shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bundle {
    /// Its device's identity.
    pub device: DeviceId,
    /// Its device's name.
    pub device_name: Name,
    /// Its generation.
    pub generation: Generation,
    /// Its SHA-256, in hexadecimal.
    pub digest: String,
    /// When it came.
    pub received: String,
    /// It is the device's newest.
    pub newest: bool,
    /// The vaults that it has anything of, by their names, or identities where they have none here.
    #[serde(default)]
    pub vaults: Vec<String>,
    /// Of those the ones of which it has something that no newer one has; of the newest none are named.
    #[serde(default)]
    pub last_of: Vec<String>,
    /// An operator chose it to be given back before newer ones.
    #[serde(default)]
    pub offered: bool,
    /// The generation that is in force at its node, where this one's is over by what the node said: nothing of it opens there any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over: Option<Generation>,
    /// How its own drill went; with the newest also when the next one is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drill: Option<DrillView>,
}

/// PCR values that a boot is to show.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewReference {
    /// PCR to its value, in hexadecimal.
    pub pcrs: BTreeMap<u8, String>,
    /// The others are of this reference value; else of the one that was approved last.
    #[serde(default)]
    pub like: Option<i64>,
}

/// Which update is asked about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub struct Update {
    /// The number of the reference value that the boot after it shows.
    pub reference: i64,
}

impl Query for Update {
    fn pairs(&self) -> Vec<(&'static str, String)> {
        vec![("reference", self.reference.to_string())]
    }
}

/// Whether a vault opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Forecast {
    /// It does.
    Yes,
    /// It does not.
    No,
    /// That can't be told.
    Unknown,
}

/// What an update will do to a vault, as shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Foreseen {
    /// Its device's identity.
    pub device: DeviceId,
    /// Its device's name.
    pub device_name: Name,
    /// Its identity.
    pub vault: VaultId,
    /// Its name.
    pub name: Name,
    /// Whether it opens after it.
    pub opens: Forecast,
    /// Why.
    pub because: String,
    /// What to do; nothing where nothing is to be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}
