//! How an agent's life ends: by a fault, or by its own wish, to take in its next life what only that can take.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Exit code of an agent that wants to be started anew. It is none of ours otherwise, and none of Rust's.
pub(crate) const STARTS_ANEW: u8 = 75;

/// Why a life ended.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    /// As it wished.
    #[error(transparent)]
    Anew(#[from] StartsAnew),
    /// It can't go on.
    #[error(transparent)]
    Fault(#[from] anyhow::Error),
}

/// What the next life takes: before its walls stand, it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StartsAnew {
    /// It was made or exchanged since.
    #[error("restarts to enter the Config Vault")]
    ConfigVault,
    /// A file was put in the place of another, or taken away; or may have been, where no agent may look.
    #[error("restarts to read {0} again")]
    Config(&'static str),
}

/// A place as it was before the walls were built. Landlock knows this file or folder and no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileIdentity(Option<(u64, u64)>);

impl FileIdentity {
    pub(super) fn look(path: &Path) -> Self {
        Self(std::fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino())))
    }

    /// Something else stands there now.
    pub(super) fn is_outdated(self, path: &Path) -> bool {
        let now = Self::look(path);
        now.0.is_some() && now != self
    }

    /// It was there, and nothing stands there now. A folder in which an agent may not look says nothing.
    pub(super) fn is_gone(self, path: &Path) -> bool {
        let absent = |error: std::io::Error| error.kind() == std::io::ErrorKind::NotFound;
        self.0.is_some() && std::fs::metadata(path).is_err_and(absent)
    }
}
