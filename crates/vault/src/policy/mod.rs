//! What the operator asks of a vault: `VaultPolicy` and `Vault` documents (UC-E, VC-7), checked.
//! Words are those of the operator's YAML; `read` turns a file into these types, and nothing else does.
//! The canonical form is JSON with a fixed order of fields: it is what the controller stores and compares.
//! Each kind of document has a file of its own, with its fields and their checks.

mod attest;
mod caution;
mod kind;
mod parts;
mod raw;
mod read;
mod removal;
mod vault;
mod vault_policy;
mod write;

pub use attest::{Attest, Check, DEFAULT_ATTEST_EVERY};
pub use caution::Caution;
pub use read::{BadFile, Located, MAX_FILE_BYTES, read};
pub use removal::{DEFAULT_DELETE_AFTER, DELETE_AFTER, Removal};
pub use vault::{VaultRule, VaultSpec};
pub use vault_policy::{Door, VaultPolicy};
pub use write::Field;

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

#[cfg(test)]
mod tests;
