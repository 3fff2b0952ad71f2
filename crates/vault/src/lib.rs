//! The domain of EVE Vault: what a vault is, what to do next on its node, and when its key may leave the controller.
//! Kernel words (policy, identifier, key status) are those of Documentation/filesystems/fscrypt.rst; attestation's are RFC 9334's.
//! Invariant: no IO, no clock, no randomness; all three are arguments.

pub mod belief;
pub mod condition;
pub mod custody;
pub mod decide;
pub mod defaults;
pub mod ids;
pub mod ledger;
pub mod life;
pub mod plan;
pub mod policy;
pub mod report;
pub mod roots;
pub mod rotation;
pub mod secret;
pub mod section;
pub mod shares;
pub mod text;
pub mod wanted;
