//! What is said on the bus. Bytes that come signed stay bytes; secrets are types that print redacted.

mod attestation;
mod controller;
mod node;
mod tpm;
mod vaults;

use std::fmt;

use serde::{Deserialize, Serialize};
use vault::ids::VaultId;
use vault::report::VaultReport;

pub use attestation::{Challenge, Evidence, Proof, Session};
pub use controller::{ControllerStatus, Onboarded, Onboarding, SignedConfig, Source};
pub use node::{AgentLine, Agents, CLEARED, Location, NetworkStatus, Port, TpmIdentity, TpmStatus};
pub use tpm::{
    DefineRoots, Health, ReadRoots, RootSet, RootSlot, Roots, Sign, Signed, TpmHealth, UndefineRoots,
};
pub use vaults::{LockVault, Recreate, UnlockVault, VaultStatus, Vaults};

use super::{Call, CallId, Topic, TopicId};

macro_rules! topics {
    ($($name:ident),*) => {$(
        impl Topic for $name {
            const ID: TopicId = TopicId::$name;
        }
    )*};
}
topics!(
    Agents,
    NetworkStatus,
    TpmStatus,
    Onboarding,
    Onboarded,
    SignedConfig,
    Challenge,
    ControllerStatus,
    Session,
    Evidence,
    VaultStatus
);

macro_rules! calls {
    ($($name:ident $(about $vault:ident)? => $answer:ty),*) => {$(
        impl Call for $name {
            const ID: CallId = CallId::$name;
            type Answer = $answer;
            $(fn about(&self) -> Option<VaultId> {
                Some(self.$vault)
            })?
        }
    )*};
}
calls!(
    Sign => Signed, ReadRoots => Roots, DefineRoots => (), UndefineRoots => (), Health => TpmHealth,
    UnlockVault about id => VaultReport, LockVault about id => VaultReport, Recreate about id => VaultReport, Vaults => VaultStatus
);

/// Signed or public bytes, printed as their length.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Bytes(pub Vec<u8>);

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}
