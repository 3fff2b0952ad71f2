//! What a sealed row is: bound to its ciphertext as associated data, so that no row opens in another's place.

use std::fmt;

use vault::ids::{DeviceId, Epoch, VaultId};

/// A sealed row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity<'a> {
    /// One of the controller's own keys.
    Key(&'a str),
    /// A period's key.
    Period(&'a str),
    /// A vault's key of one epoch.
    Epoch(DeviceId, VaultId, Epoch),
}

impl fmt::Display for Identity<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(name) => write!(f, "key/{name}"),
            Self::Period(period) => write!(f, "period/{period}"),
            Self::Epoch(device, vault, epoch) => write!(f, "epoch/{device}/{vault}/{epoch}"),
        }
    }
}

/// Which sealed row an error is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SealedRow {
    /// One of the controller's own keys.
    Key(String),
    /// A period's key.
    Period(String),
    /// A vault's key of one epoch.
    Epoch(DeviceId, VaultId, Epoch),
}

impl From<Identity<'_>> for SealedRow {
    fn from(row: Identity<'_>) -> Self {
        match row {
            Identity::Key(name) => Self::Key(name.to_owned()),
            Identity::Period(period) => Self::Period(period.to_owned()),
            Identity::Epoch(device, vault, epoch) => Self::Epoch(device, vault, epoch),
        }
    }
}

impl fmt::Display for SealedRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(name) => Identity::Key(name),
            Self::Period(period) => Identity::Period(period),
            Self::Epoch(device, vault, epoch) => Identity::Epoch(*device, *vault, *epoch),
        }
        .fmt(f)
    }
}

impl Identity<'_> {
    /// The associated data: "eve-vault controller row v1 " and the row's name.
    pub(super) fn aad(&self) -> Vec<u8> {
        format!("eve-vault controller row v1 {self}").into_bytes()
    }
}
