//! By what an open vault was opened, for whoever looks at it. Told, never believed: no key is released by it.
//!
//! To add a way: a variant and its words here, its value in `proto/vault.proto` with its line in `wire::report`, and the place in vaultmgr
//! that opens a vault so (`vault/slot.rs`). What else is to be known of such an opening is a field of [`Opened`].

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::custody::Wrapping;
use crate::section::Custody;

/// How a vault that is open was opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    /// By what.
    pub by: By,
}

/// What a vault was opened by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    /// The share that the node's TPM keeps sealed.
    LocalSeal,
    /// The controller's key.
    ControllerKey,
    /// Both of them.
    Both,
    /// The recovery key, which root gave.
    RecoveryKey,
    /// An order to make it anew: what was in it before is lost.
    Recreated,
}

impl By {
    /// Every way.
    pub const ALL: [Self; 5] =
        [Self::LocalSeal, Self::ControllerKey, Self::Both, Self::RecoveryKey, Self::Recreated];

    /// What a key of this wrapping is made of.
    #[must_use]
    pub fn of(wrapping: Wrapping) -> Self {
        match wrapping.custody() {
            Custody::Tpm => Self::LocalSeal,
            Custody::Controller => Self::ControllerKey,
            Custody::TpmAndController => Self::Both,
        }
    }
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LocalSeal => "TPM",
            Self::ControllerKey => "controller's key",
            Self::Both => "TPM and controller's key",
            Self::RecoveryKey => "recovery key",
            Self::Recreated => "recreated by order",
        })
    }
}

impl fmt::Display for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.by.fmt(f)
    }
}
