//! What stands at a path of this filesystem. What is mounted there, or on the way, is not entered.

use std::fs::File;
use std::path::Path;

use fscrypt::{PathKind, Policy};
use rustix::fs::Dir;

use super::parts::encryption;
use super::{CryptError, Found, Kernel, KeyId, failed};

impl Kernel {
    pub(super) fn look(&self, path: &Path) -> Result<PathKind, CryptError> {
        fscrypt::look(&self.persist, path, self.device).map_err(failed("looking at a vault's place"))
    }

    pub(super) fn found_at(&self, path: &Path) -> Result<Found, CryptError> {
        Ok(match self.look(path)? {
            PathKind::Nothing => Found::Nothing,
            PathKind::Stranger => Found::Stranger,
            PathKind::Covered => Found::Covered,
            PathKind::Encrypted(_, Policy { identifier, modes }) => {
                Found::Policy { key: KeyId(identifier.0), encryption: encryption(modes) }
            }
            PathKind::Plain(directory) => {
                Found::Plain { empty: is_empty(&directory).map_err(failed("listing a directory"))? }
            }
        })
    }
}

/// By the directory that was looked at, whatever has its name by now.
fn is_empty(directory: &File) -> rustix::io::Result<bool> {
    for entry in Dir::read_from(directory)? {
        if !matches!(entry?.file_name().to_bytes(), b"." | b"..") {
            return Ok(false);
        }
    }
    Ok(true)
}
