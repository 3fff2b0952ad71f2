//! Devices, vaults, reference values and allowances, as operators see them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use vault::decide::TpmPin;
use vault::ids::{DeviceId, Epoch, Name, VaultId};
use vault::labels::Labels;
use vault::report::{Opened, State, Storage, VaultReport};

use super::Condition;
use super::escrow::InEscrow;
use super::node::{Attestation, NodeReport, StateNow};

use crate::store::{ReferenceState, VaultStanding};

/// A device, as shown.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeviceView {
    /// Its identity.
    pub id: DeviceId,
    /// Its name.
    pub name: Name,
    /// What an operator sorts it by.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
    /// Its serial.
    pub serial: String,
    /// `unknown`, `present` or `absent`.
    pub tpm: TpmPin,
    /// When it registered.
    pub registered: String,
    /// When it last said what nobody can send again: evidence, or a numbered report. Of a device that never did, when it was last heard.
    pub last_seen: Option<String>,
    /// The same, counted from now.
    pub seen: Option<String>,
    /// When something of its came since, which somebody on the way may have sent again: polls have no number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heard: Option<String>,
    /// What an operator looks at first, in words.
    pub condition: String,
    /// The same, for programs.
    #[serde(default)]
    pub condition_kind: Condition,
    /// Why, and what to do.
    pub alarm: Option<String>,
    /// The version of its vault section.
    pub section_version: u64,
    /// The next good quote of it is learned as a reference value: none was since it registered, or since that was ordered.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub learns: bool,
    /// How its last evidence fared.
    pub attestation: Option<Attestation>,
    /// Its newest bundle in escrow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escrow: Option<InEscrow>,
    /// What it last reported of itself. Only when described.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<NodeReport>,
    /// Its default vaults as it reported them: those that no operator gave a policy have no row of their own.
    pub default_vaults: Vec<VaultView>,
    /// Vaults that it has, and that no list of this controller ever named.
    #[serde(default)]
    pub orphans: Vec<VaultView>,
}

/// Whether a vault is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// Wanted.
    Active,
    /// Its grace runs: listed, locked, kept.
    Removing,
    /// Removed, and kept without an end: listed, locked.
    Retained,
    /// Left the list; its node has yet to say that it erased it.
    Gone,
    /// Its node has it, and no list ever named it: locked, and kept.
    Orphan,
    /// Its node has it by a list that this database does not have.
    Unlisted,
}

impl Standing {
    /// Whether it is in the list of its device.
    #[must_use]
    pub fn is_listed(self) -> bool {
        !matches!(self, Self::Gone | Self::Orphan | Self::Unlisted)
    }
}

impl From<VaultStanding> for Standing {
    fn from(standing: VaultStanding) -> Self {
        match standing {
            VaultStanding::Active => Self::Active,
            VaultStanding::Removing => Self::Removing,
            VaultStanding::Retained => Self::Retained,
            VaultStanding::Gone => Self::Gone,
        }
    }
}

/// A vault, as shown.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct VaultView {
    /// Its device's identity.
    pub device: DeviceId,
    /// Its device's name.
    #[serde(default)]
    pub device_name: Option<Name>,
    /// Its identity.
    pub id: VaultId,
    /// Its name.
    pub name: Name,
    /// Its policy; none: the default.
    pub policy: Option<Name>,
    /// `active`, `removing`, `retained`, `gone`, `orphan` or `unlisted`.
    pub standing: Standing,
    /// When its grace ends.
    pub delete_at: Option<String>,
    /// It does not end then: nothing does while the database is, or may be, an older copy, whichever device showed it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub held: bool,
    /// The node reported it made.
    pub created: bool,
    /// It is ordered to be made anew.
    pub recreate: bool,
    /// The newest epoch.
    pub current_epoch: Epoch,
    /// The one before it.
    pub last_epoch: Epoch,
    /// The one that the node reported.
    pub reported_epoch: Option<Epoch>,
    /// The node's word on its state; `unknown` where that is of before: the node is silent, or spoke since and not of this vault.
    pub state: Option<StateNow>,
    /// What a node that is silent said last; `reported` says when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_state: Option<State>,
    /// What it takes of its node's disk, and the limit in force, where the node's kernel counts that.
    #[serde(default)]
    pub storage: Option<Storage>,
    /// The node's word on what it was opened by, while it is open and that is known.
    #[serde(default)]
    pub opened: Option<Opened>,
    /// The same for people, with how old it is.
    pub state_now: Option<String>,
    /// What an operator should see: an epoch that differs.
    pub notes: Vec<String>,
    /// What the controller does about its key: `released`, `not needed`, or why it is withheld. When described; in a list, while the node's evidence is why it is withheld.
    pub key: Option<String>,
    /// The same for a line, and apart why it is withheld.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_now: Option<KeyNow>,
    /// It is withheld because of what its node's evidence shows: somebody has to look.
    #[serde(default)]
    pub withheld: bool,
    /// It is open, and may not open again: no key that is here can be put on it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub last_time: bool,
    /// The node's last report. Only when described.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<VaultReport>,
    /// When that came.
    pub reported: Option<String>,
}

/// What is done about a vault's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyNow {
    /// In a few words, without what to do.
    pub short: String,
    /// Why it is withheld, with what to do; none: it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withheld: Option<String>,
}

/// A rule, as shown: a vault of each device with some labels.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RuleView {
    /// Its name, and its vaults'.
    pub name: Name,
    /// The labels.
    pub devices: Labels,
    /// The policy of its vaults.
    pub policy: Name,
    /// When it was changed.
    pub changed: String,
}

/// A reference value, as shown.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Reference {
    /// Its number.
    pub id: i64,
    /// The device's identity.
    pub device: DeviceId,
    /// The device's name.
    #[serde(default)]
    pub device_name: Option<Name>,
    /// `pending`, `approved` or `rejected`.
    pub state: ReferenceState,
    /// When it was learned.
    pub learned: String,
    /// When an operator spoke.
    pub decided: Option<String>,
    /// What it says beside the one that was approved before.
    pub differs: String,
    /// The bank of its PCRs: `SHA-256` or `SHA-384`.
    #[serde(default)]
    pub bank: Option<String>,
    /// PCR to its value, in hexadecimal.
    pub pcrs: BTreeMap<u8, String>,
}

/// An allowance, as shown.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Allowance {
    /// SHA-256 of the onboarding certificate, in hexadecimal.
    pub certificate: String,
    /// The serial, or `*`.
    pub serial: String,
    /// The name that the device gets.
    pub name: Option<Name>,
    /// The labels that the device gets.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
    /// When it was allowed.
    pub added: String,
    /// The device that used it.
    pub device: Option<DeviceId>,
    /// That device's name.
    #[serde(default)]
    pub device_name: Option<Name>,
    /// It gets back what is kept of the deleted device that it was.
    #[serde(default)]
    pub give_back: bool,
    /// What the operator should know who allowed it now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// A deleted device of which something is kept, as shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeletedDevice {
    /// Its identity then.
    pub id: DeviceId,
    /// Its name then.
    pub name: Name,
    /// The serial that it comes again by.
    pub serial: String,
    /// When it was deleted.
    pub deleted: String,
    /// When what is kept of it goes for good.
    pub kept_until: String,
    /// Vaults whose keys are kept.
    pub vaults: Vec<Name>,
    /// Vaults that were removed, and not erased by its node as far as it said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<Name>,
    /// How many bundles are kept.
    pub bundles: u64,
}

/// Somebody who wanted to register and may not, as shown. What it says of itself is proved by nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Knock {
    /// The serial that it gave.
    pub serial: String,
    /// SHA-256 of the onboarding certificate that it came with, in hexadecimal.
    pub certificate: String,
    /// The address that it came from; of IPv6 its /64.
    pub from: IpAddr,
    /// How often it came.
    pub times: u64,
    /// When it came first.
    pub first: String,
    /// When it came last.
    pub last: String,
    /// The same, counted from now.
    pub seen: String,
}

/// How many there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Devices that registered.
    pub devices: u64,
    /// Policies.
    pub policies: u64,
    /// Vaults, with the default ones that their devices alone speak of.
    pub vaults: u64,
    /// Devices whose last escrow drill failed, or whose next one is overdue.
    #[serde(default)]
    pub drills_failed: u64,
}

/// The fleet at a glance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Glance {
    /// How many there are.
    pub counts: Counts,
    /// What somebody should look at, a line each: of each kind the first, and how many more.
    pub needs_somebody: Vec<String>,
}

impl DeviceView {
    /// Whether somebody should look at it.
    #[must_use]
    pub fn needs_somebody(&self) -> bool {
        self.condition_kind != Condition::Online
    }

    /// Whether it is heard: else what it said and showed is of before.
    #[must_use]
    pub fn is_there(&self) -> bool {
        !matches!(self.condition_kind, Condition::Silent | Condition::Replayed)
    }
}

impl VaultView {
    /// Whether somebody should look at it.
    #[must_use]
    pub fn needs_somebody(&self) -> bool {
        let good = [State::Unlocked, State::Locked, State::Removed].map(StateNow::Said);
        let listed = self.standing != Standing::Gone;
        // That a node is silent is said of it, and not of each of its vaults.
        let state = self.last_state.map(StateNow::Said).or(self.state);
        let said = !self.notes.is_empty() || state.is_none_or(|state| !good.contains(&state));
        listed && (self.withheld || said)
    }
}

/// The controller at a glance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerStatus {
    /// Its version.
    pub version: String,
    /// SHA-256 of its root certificate, in hexadecimal: what `eve controller accept --fingerprint` takes.
    pub root_fingerprint: String,
    /// The present life of its database, in hexadecimal.
    pub incarnation: String,
    /// Its clock.
    pub now: String,
}
