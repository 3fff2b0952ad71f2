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

impl Identity<'_> {
    /// The associated data: "eve-vault controller row v1 " and the row's name.
    pub(super) fn aad(&self) -> Vec<u8> {
        format!("eve-vault controller row v1 {self}").into_bytes()
    }
}
