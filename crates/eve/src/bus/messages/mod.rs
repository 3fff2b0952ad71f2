//! What is said on the bus. Bytes that come signed stay bytes; secrets are types that print redacted.

mod attestation;
mod causes;
mod controller;
mod courier;
mod node;
mod orders;
mod tpm;
mod vaults;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use attestation::{Evidence, EvidenceWanted, Proof, Session};
pub use causes::Causes;
pub use controller::{
    ControllerStatus, EscrowUpload, EscrowWish, Onboarded, Onboarding, SignedConfig, SignedWord, Source,
};
pub use courier::{CarriedAnswer, CourierRefusal, ExportEvidence, ImportAnswer, Imported};
pub use node::{AgentLine, Agents, CLEARED, Location, NetworkStatus, Port, TpmIdentity, TpmStatus, rfc3339};
pub use orders::{OrderError, Ordered};
pub use tpm::{
    DefineRoots, Health, ReadRoots, RoomForRoots, RootSet, RootSlot, Roots, Sign, Signed, TpmCommands,
    TpmFault, TpmHealth, TpmRefusal, TpmRoom, UndefineRoots,
};
pub use vaults::{
    AcceptController, Hope, LockVault, Recover, Recreate, UnlockVault, VaultChange, VaultStatus, Vaults,
};

/// Signed or public bytes, printed as their length.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Bytes(pub Vec<u8>);

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}
