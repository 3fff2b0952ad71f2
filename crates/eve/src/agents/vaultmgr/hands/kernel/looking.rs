//! What stands at a path of this filesystem. What is mounted there, or on the way, is not entered.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;

use fscrypt::{PathKind, Policy};
use rustix::fs::{AtFlags, Dir, Mode, OFlags, StatxFlags};

use super::parts::encryption;
use super::{CryptError, Found, Kernel, KeyId, failed};

impl Kernel {
    /// By what is held of the filesystem: what is mounted over it since is asked for nothing.
    pub(super) fn look(&self, path: &Path) -> Result<PathKind, CryptError> {
        let doing = "looking at a vault's place";
        let inside = path.strip_prefix(&self.persist).map_err(failed(doing))?;
        fscrypt::look(&self.mount, inside, self.device).map_err(failed(doing))
    }

    /// Whether another directory than the one that is held is at the path of the filesystem: another filesystem's, or another part of this one. It is
    /// taken hold of, and no filesystem is asked for anything.
    pub(super) fn is_elsewhere(&self) -> bool {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let there = rustix::fs::open(&self.persist, flags, Mode::empty());
        let there = there.and_then(|there| known(&there));
        !there.is_ok_and(|there| known(&self.mount) == Ok(there))
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

/// Which directory of which filesystem it is, by what the kernel knows.
fn known(of: impl AsFd) -> rustix::io::Result<(u32, u32, u64)> {
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
    let found = rustix::fs::statx(of, "", flags, StatxFlags::INO)?;
    Ok((found.stx_dev_major, found.stx_dev_minor, found.stx_ino))
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
