//! Trees removed. A name that is no directory any more when its turn comes is removed as what it is, and never followed.

use std::ffi::{CStr, CString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, Gid, Mode, Uid, fchmod, fchown};
use rustix::io::Errno;

use super::{Folder, Kind, Rights, Trouble, Work};
use crate::agents::vaultmgr::hands::durable;

pub(super) const NOT_REMOVED: &str =
    "can't be removed: if it is marked immutable or append-only take that off (chattr -i -a)";

/// Removes whatever is at the path, a whole tree too; a link is removed, not followed. Nothing there is success. All that can be
/// removed is, though something can't.
///
/// # Errors
/// The first thing that could not be.
pub(crate) fn remove(path: &Path, work: &Work) -> Result<(), Trouble> {
    let (parent, name) = split(path)?;
    let folder = match Folder::top(parent) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened.map_err(Trouble::of(parent, "can't be opened"))?,
    };
    if !folder.holds(&name) {
        return Ok(());
    }
    remove_in(&folder, &name, work)?;
    durable::sync_parent(path).map_err(Trouble::of(path, "its removal can't be made durable"))?;
    Ok(())
}

/// Whether anything has this name. What can't be looked at is not nothing.
pub(crate) fn stands(path: &Path) -> bool {
    let gone = std::fs::symlink_metadata(path);
    !matches!(gone, Err(error) if error.kind() == io::ErrorKind::NotFound)
}

pub(super) fn split(path: &Path) -> Result<(&Path, CString), Trouble> {
    let name = path.file_name().and_then(|name| CString::new(name.as_bytes()).ok());
    path.parent().zip(name).ok_or_else(|| Trouble::new(path, "is no name in a folder"))
}

impl Folder {
    fn holds(&self, name: &CStr) -> bool {
        let gone = rustix::fs::statat(self, name, AtFlags::SYMLINK_NOFOLLOW);
        !matches!(gone, Err(Errno::NOENT))
    }

    /// Makes another user's directory ours: vaultmgr may change owners, and may not write past them.
    pub(crate) fn take(&self) -> io::Result<()> {
        fchown(self, Some(Uid::ROOT), Some(Gid::ROOT))?;
        Ok(fchmod(self, Mode::RWXU)?)
    }

    /// The same, so that it can be told afterwards that nobody else did it.
    pub(crate) fn take_apart(&self) -> io::Result<()> {
        fchown(self, Some(Uid::ROOT), Some(Gid::ROOT))?;
        Ok(fchmod(self, Mode::from_raw_mode(Rights::APART.mode))?)
    }
}

/// The same of what has this name in a folder; not durable yet.
pub(crate) fn remove_in(folder: &Folder, name: &CStr, work: &Work) -> Result<(), Trouble> {
    match unlink_taking(folder, name, Kind::File) {
        Ok(()) | Err(Errno::NOENT) => {
            work.file();
            return Ok(());
        }
        // POSIX has EPERM for a directory, Linux EISDIR.
        Err(Errno::ISDIR) => {}
        Err(errno) => return Err(Trouble::of(&folder.path_of(name), NOT_REMOVED)(errno)),
    }
    super::empty::empty(folder.below(name)?, work)?;
    match unlink_taking(folder, name, Kind::Folder) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(Trouble::of(&folder.path_of(name), NOT_REMOVED)(errno)),
    }
}

pub(super) fn unlink_taking(folder: &Folder, name: &CStr, kind: Kind) -> Result<(), Errno> {
    match folder.unlink(name, kind) {
        Err(Errno::ACCESS) => {
            folder.take().map_err(|_| Errno::ACCESS)?;
            folder.unlink(name, kind)
        }
        other => other,
    }
}
