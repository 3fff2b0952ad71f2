//! What the operator's API takes and tells, as types: the server writes and the command line reads the same ones. Nothing in here decides.

pub mod calls;
mod courier;
mod damaged;
mod escrow;
mod node;
mod problem;
mod requests;
mod views;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use vault::ids::Name;
use vault::policy::VaultPolicy;

pub use courier::{CourierFile, Exporting, Importing};
pub use damaged::{Damaged, Listed};
pub use escrow::{Bundle, DrillState, DrillView, Forecast, Foreseen, InEscrow, NewReference, Update};
pub use node::{Accepted, Attestation, NodeReport, StateNow};
pub use problem::{Code, Problem, TextPosition};
pub use requests::{
    Adoption, Allow, Applying, Confirmation, Deletion, Labelling, List, NewIdentity, NewToken, Recreation,
    Rehoming, Rotation, VaultDeletion, Yaml,
};
pub use vault::device::Condition;

use calls::Call;
pub use views::{
    Allowance, Counts, DeletedDevice, DeviceView, Glance, KeyNow, Knock, Reference, RuleView, ServerStatus,
    Standing, VaultView,
};

/// What was done, in words.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Done {
    /// One sentence.
    pub done: String,
    /// What the operator should know.
    pub notes: Vec<String>,
}

/// What became of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It was not there.
    Created,
    /// It was there and is as written already.
    Unchanged,
    /// It was there and was brought to what is written.
    Changed,
}

/// What a document is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A policy.
    Policy,
    /// A rule.
    Rule,
    /// A vault.
    Vault,
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Policy => "policy",
            Self::Rule => "rule",
            Self::Vault => "vault",
        })
    }
}

/// A field that a document changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The field, as it is written in a document.
    pub field: String,
    /// What stood in it; none where it was not there.
    pub old: Option<String>,
    /// What stands in it; none where it is not there any more.
    pub new: Option<String>,
}

/// One document and what became of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Applied {
    /// Of what.
    pub kind: Kind,
    /// Its name; a vault's with its device.
    pub name: String,
    /// What became of it.
    pub outcome: Outcome,
    /// Each field that differs from what was there.
    #[serde(default)]
    pub changes: Vec<Change>,
    /// What the operator should know.
    pub notes: Vec<String>,
}

/// A policy, as shown.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PolicyView {
    /// Its name.
    pub name: Name,
    /// When it was changed.
    pub changed: String,
    /// Itself.
    pub policy: VaultPolicy,
    /// What it protects from, on a node with a TPM and on one without.
    #[serde(default)]
    pub threats: Vec<ThreatView>,
}

/// One of the proposal's threats, and how a vault under a policy fares.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ThreatView {
    /// `TH-1` to `TH-6`.
    pub id: String,
    /// The threat.
    pub threat: String,
    /// On a node with a TPM.
    pub with_tpm: CoverView,
    /// On a node without one; none where the custody asks for a TPM.
    pub without_tpm: Option<CoverView>,
}

/// How a vault fares under a threat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoverView {
    /// `closed`: it stays closed; `once`: when somebody has done his part; `opens`.
    pub vault: String,
    /// Why, or whose part.
    pub because: String,
}

/// A device with its vaults.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Described {
    /// The device.
    pub device: DeviceView,
    /// Its vaults.
    pub vaults: Vec<Listed<VaultView>>,
}

/// Whether a vault is a device's, or was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Known {
    /// The device's list names it, or names it as removed.
    Is,
    /// It was the device's, and is not any more.
    Was,
}

/// A row of a list that is told in pages.
pub trait Paged: DeserializeOwned {
    /// How the list is called for.
    const CALL: Call<List, (), Vec<Listed<Self>>>;

    /// The fields that it is ordered by: the next page is asked for by those of the last row.
    fn place(&self) -> Vec<String>;
}

impl Paged for DeviceView {
    const CALL: Call<List, (), Vec<Listed<Self>>> = calls::DEVICES;
    fn place(&self) -> Vec<String> {
        vec![self.name.to_string()]
    }
}

impl Paged for VaultView {
    const CALL: Call<List, (), Vec<Listed<Self>>> = calls::VAULTS;
    fn place(&self) -> Vec<String> {
        vec![self.device.to_string(), self.id.to_string()]
    }
}

impl Paged for PolicyView {
    const CALL: Call<List, (), Vec<Listed<Self>>> = calls::POLICIES;
    fn place(&self) -> Vec<String> {
        vec![self.name.to_string()]
    }
}

impl Paged for RuleView {
    const CALL: Call<List, (), Vec<Listed<Self>>> = calls::RULES;
    fn place(&self) -> Vec<String> {
        vec![self.name.to_string()]
    }
}

impl Paged for Reference {
    const CALL: Call<List, (), Vec<Listed<Self>>> = calls::REFERENCES;
    fn place(&self) -> Vec<String> {
        vec![self.id.to_string()]
    }
}

impl Paged for Allowance {
    const CALL: Call<List, (), Vec<Listed<Self>>> = calls::ALLOWANCES;
    fn place(&self) -> Vec<String> {
        vec![self.certificate.clone(), self.serial.clone()]
    }
}
