//! Rows of tokens, and of what is sealed: its bytes are opaque here.

use vault::ids::{DeviceId, Epoch, Project, VaultId};

use super::UnixSeconds;

/// An operator's token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRow {
    /// SHA-256 of its text.
    pub hash: [u8; 32],
    /// The project that its owner acts in.
    pub project: Project,
    /// Whose it is, in words.
    pub name: String,
    /// When it was let in.
    pub added_at: UnixSeconds,
}

/// A vault's key of one epoch, sealed under its period's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EpochRow {
    /// The project that it is sealed for; none: sealed before there were projects, and to be sealed anew.
    pub project: Option<Project>,
    /// The vault's device.
    pub device: DeviceId,
    /// The vault.
    pub vault: VaultId,
    /// The epoch.
    pub epoch: Epoch,
    /// The period, like `2026-11`.
    pub period: String,
    /// The sealed key.
    pub sealed: Vec<u8>,
    /// When it was made.
    pub made_at: UnixSeconds,
}

/// A key of the controller's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRow {
    /// `ca`, `signing`, `ecdh` or `tls`.
    pub name: String,
    /// The private key, sealed.
    pub sealed: Vec<u8>,
    /// Its certificate.
    pub cert_pem: String,
}

/// A key as it went out to a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseRow {
    /// Of which project.
    pub project: Project,
    /// To which device.
    pub device: DeviceId,
    /// Of which vault.
    pub vault: VaultId,
    /// Of which epoch.
    pub epoch: Epoch,
    /// Under which custody, as its name.
    pub custody: String,
    /// To which session.
    pub session: [u8; 32],
    /// HPKE encapsulated key.
    pub enc: Vec<u8>,
    /// Which message it is of those that `enc` begins.
    pub number: u32,
    /// HPKE ciphertext.
    pub ciphertext: Vec<u8>,
}
