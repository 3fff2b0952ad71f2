//! Why a node is not given something, as it is told: coarse, with no detail that would help who tampers with it. It travels as a code and is decided
//! upon by that alone; words are made of it where people read. A code that was told once keeps its meaning.

use std::fmt;

use serde::{Serialize, Serializer};

/// Why.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Cause {
    /// This session gave no evidence yet, or none by its TPM.
    EvidenceWanted,
    /// The evidence was not renewed, or the controller's clock is behind it.
    EvidenceOutOfDate,
    /// The PCRs do not satisfy the policy.
    Pcrs,
    /// The evidence does not, in another way.
    Evidence,
    /// The policy asks for a TPM.
    NoTpm,
    /// The operator wants it locked.
    LockedByOperator,
    /// It is being removed.
    BeingRemoved,
    /// It was removed, and is kept.
    Retained,
    /// Its device is lost.
    DeviceLost,
    /// There may be two of its device.
    DeviceDoubled,
    /// The controller's key of it does not open.
    KeyUnopened,
    /// The controller holds no bundle of the generation that was asked for.
    NoBundle,
    /// It holds one, which does not open.
    BundleUnopened,
    /// Of a controller from before these codes (code 0), or of a later one: its words are shown, and nothing is decided by them.
    Other {
        /// The code.
        code: i32,
        /// What the controller says of it.
        words: String,
    },
}

impl Cause {
    /// All that have a meaning here.
    pub const KNOWN: [Self; 13] = [
        Self::EvidenceWanted,
        Self::EvidenceOutOfDate,
        Self::Pcrs,
        Self::Evidence,
        Self::NoTpm,
        Self::LockedByOperator,
        Self::BeingRemoved,
        Self::Retained,
        Self::DeviceLost,
        Self::DeviceDoubled,
        Self::KeyUnopened,
        Self::NoBundle,
        Self::BundleUnopened,
    ];

    /// Nothing is said.
    pub(crate) const UNSAID: Self = Self::Other { code: 0, words: String::new() };

    /// Whether the controller refuses nothing: it has no evidence of this session yet, or wants it anew.
    #[must_use]
    pub fn waits_for_evidence(&self) -> bool {
        matches!(self, Self::EvidenceWanted | Self::EvidenceOutOfDate)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EvidenceWanted => "attestation wanted",
            Self::EvidenceOutOfDate => "attestation out of date",
            Self::Pcrs => "attestation does not satisfy the policy: PCRs",
            Self::Evidence => "attestation does not satisfy the policy",
            Self::NoTpm => "the policy asks for a TPM",
            Self::LockedByOperator => "locked by the operator",
            Self::BeingRemoved => "being removed",
            Self::Retained => "removed, and retained",
            Self::DeviceLost => "withheld from this device by the operator",
            Self::DeviceDoubled => {
                "withheld by the controller itself: there may be two of this device, until its operator has looked"
            }
            Self::KeyUnopened => "the controller's key does not open",
            Self::NoBundle => "the controller holds no bundle of this generation",
            Self::BundleUnopened => "what the controller keeps of it does not open",
            Self::Other { words, .. } => words,
        })
    }
}

/// As its words: digests of sections are made of them, and stored.
impl Serialize for Cause {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(self)
    }
}
