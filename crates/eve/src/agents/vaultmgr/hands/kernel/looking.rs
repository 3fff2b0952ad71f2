//! What stands at a path of this filesystem. What is mounted there, or on the way, is not entered.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;

use fscrypt::{PathKind, Policy};
use rustix::fs::{AtFlags, CWD, Dir, Statx, StatxFlags};

use super::parts::encryption;
use super::{CryptError, Found, Kernel, KeyId, failed};

impl Kernel {
    /// By what is held of the filesystem: what is mounted over it since is asked for nothing.
    pub(super) fn look(&self, path: &Path) -> Result<PathKind, CryptError> {
        let doing = "looking at a vault's place";
        let inside = path.strip_prefix(&self.persist).map_err(failed(doing))?;
        fscrypt::look(&self.mount, inside, self.device).map_err(failed(doing))
    }

    /// Whether another directory than the one that is held is at the path of the filesystem: another filesystem's, or another part of this one. No
    /// filesystem is asked for anything. One call, for it is asked before each step.
    pub(super) fn is_elsewhere(&self) -> bool {
        let flags = AtFlags::NO_AUTOMOUNT | AtFlags::STATX_DONT_SYNC;
        let there = rustix::fs::statx(CWD, &self.persist, flags, StatxFlags::INO);
        there.map(|there| Known::of(&there)) != Ok(self.itself)
    }
}

/// Which directory of which filesystem it is, by what the kernel knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Known {
    device: (u32, u32),
    inode: u64,
}

impl Known {
    fn of(found: &Statx) -> Self {
        Self { device: (found.stx_dev_major, found.stx_dev_minor), inode: found.stx_ino }
    }
}

pub(super) fn known(of: impl AsFd) -> rustix::io::Result<Known> {
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
    rustix::fs::statx(of, "", flags, StatxFlags::INO).map(|found| Known::of(&found))
}

/// What it is to us.
pub(super) fn found(kind: &PathKind) -> Result<Found, CryptError> {
    Ok(match kind {
        PathKind::Nothing => Found::Nothing,
        PathKind::Stranger => Found::Stranger,
        PathKind::Covered => Found::Covered,
        PathKind::Encrypted(_, Policy { identifier, modes }) => {
            Found::Policy { key: KeyId(identifier.0), encryption: encryption(*modes) }
        }
        PathKind::Plain(directory) => {
            Found::Plain { empty: is_empty(directory).map_err(failed("listing a directory"))? }
        }
    })
}

/// The directory, where it is one of ours.
pub(super) fn directory(kind: &PathKind) -> Option<&File> {
    match kind {
        PathKind::Plain(directory) | PathKind::Encrypted(directory, _) => Some(directory),
        PathKind::Nothing | PathKind::Stranger | PathKind::Covered => None,
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
