//! Names of plain files, taken off the disk. ext4 wipes a name where it is removed (since Linux 5.13), but a folder that goes right after
//! is never written like that: its block is freed with all the names that it had. So everything in the tree goes first, folders get
//! numbers for names, and that reaches the disk, and leaves the journal, while they still have their blocks.

use std::ffi::{CStr, CString};
use std::io;

use rustix::fs::RenameFlags;

use super::arriving::rename;
use crate::agents::vaultmgr::hands::tree::{Folder, Kind, Trouble, Work, remove_in, shown};

const NOT_FORGOTTEN: &str =
    "can't be emptied: if it is marked immutable or append-only take that off (chattr -i -a)";
const STAYS: &str = "names of the files that were moved in may be left in freed blocks: this kernel or filesystem can't wipe its journal";

/// Empties a tree that is only to be removed yet. Says what may be left all the same.
pub(super) fn forget(top: &Folder, work: &Work) -> Result<Option<String>, Trouble> {
    empty(top, top, work)?;
    rustix::fs::syncfs(top).map_err(Trouble::of(&top.path, NOT_FORGOTTEN))?;
    match fscrypt::scrub::wipe_journal(top) {
        Ok(residue) => Ok(residue.map(|_| STAYS.to_owned())),
        Err(error) => {
            tracing::warn!(path = shown(&top.path), error = %crate::agents::vaultmgr::chain(&error), "wiping the journal");
            Ok(Some(STAYS.to_owned()))
        }
    }
}

/// All folders of it stand in the top afterwards, empty.
fn empty(folder: &Folder, top: &Folder, work: &Work) -> Result<(), Trouble> {
    for name in folder.names()? {
        work.pace().map_err(Trouble::of(&folder.path, NOT_FORGOTTEN))?;
        let Some(entry) = folder.entry(&name)? else { continue };
        if entry.kind() != Kind::Folder {
            remove_in(folder, &name, work)?;
            continue;
        }
        let number = CString::new(entry.stat.stx_ino.to_string()).expect("digits have no zero byte");
        empty(&folder.into(&name, entry)?, top, work)?;
        put(folder, &name, top, &number).map_err(Trouble::of(&folder.path_of(&name), NOT_FORGOTTEN))?;
    }
    Ok(())
}

/// One that has a number for a name already, or whose number somebody took for a name, stays where it is.
fn put(folder: &Folder, name: &CStr, top: &Folder, number: &CStr) -> io::Result<()> {
    match rename(folder, name, top, number, RenameFlags::NOREPLACE) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        renamed => renamed,
    }
}
