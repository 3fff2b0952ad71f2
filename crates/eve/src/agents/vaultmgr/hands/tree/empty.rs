//! A directory emptied, however deep and wide: users decide both. One directory is open at a time, its names are never held, and of the
//! way up only inode numbers are kept. Names can't be lifted to the top instead: without its key fscrypt renames nothing.

use std::collections::BTreeSet;
use std::ffi::CStr;

use rustix::fs::Dir;
use rustix::io::Errno;

use super::remove::{NOT_REMOVED, unlink_taking};
use super::{Folder, Kind, Trouble, Work};

/// Removes all in it that can be removed.
///
/// # Errors
/// The first thing that could not be, or the work was stopped.
pub(super) fn empty(top: Folder, work: &Work) -> Result<(), Trouble> {
    let mut emptying = Emptying { work, stuck: BTreeSet::new(), first: Ok(()) };
    let (mut here, mut above) = (top, Vec::new());
    loop {
        match emptying.scan(&here)? {
            Found::Inner(inner) => {
                above.push(here.stat()?.stx_ino);
                here = inner;
                continue;
            }
            Found::Rest => drop(emptying.stuck.insert(here.stat()?.stx_ino)),
            Found::Nothing => {}
        }
        let Some(ino) = above.pop() else { return emptying.first };
        here = here.up(ino)?;
    }
}

struct Emptying<'a> {
    work: &'a Work,
    /// Directories, by inode, with something in them that can't be removed.
    stuck: BTreeSet<u64>,
    first: Result<(), Trouble>,
}

enum Found {
    Nothing,
    /// Only what can't be removed.
    Rest,
    /// A directory to be emptied first.
    Inner(Folder),
}

impl Emptying<'_> {
    /// Removes what is in a directory, up to the first directory in it that is not empty.
    fn scan(&mut self, folder: &Folder) -> Result<Found, Trouble> {
        let failed = |errno: Errno| Trouble::of(&folder.path, "can't be read")(errno);
        let mut found = Found::Nothing;
        for entry in Dir::read_from(folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if matches!(entry.file_name().to_bytes(), b"." | b"..") {
                continue;
            }
            self.work.pace().map_err(Trouble::of(&folder.path, "removing it"))?;
            match self.one(folder, entry.file_name()) {
                Ok(None) => {}
                Ok(Some(inner)) if !self.stuck.contains(&inner.stat()?.stx_ino) => {
                    return Ok(Found::Inner(inner));
                }
                Ok(Some(_)) => found = Found::Rest,
                Err(trouble) => {
                    found = Found::Rest;
                    let first = std::mem::replace(&mut self.first, Ok(()));
                    self.first = first.and(Err(trouble));
                }
            }
        }
        Ok(found)
    }

    /// Removes one name; or goes into the directory of that name, which is not empty.
    fn one(&self, folder: &Folder, name: &CStr) -> Result<Option<Folder>, Trouble> {
        let gone = match unlink_taking(folder, name, Kind::File) {
            // POSIX has EPERM for a directory, Linux EISDIR.
            Err(Errno::ISDIR) => unlink_taking(folder, name, Kind::Folder),
            gone => gone,
        };
        match gone {
            Ok(()) | Err(Errno::NOENT) => {
                self.work.file();
                Ok(None)
            }
            Err(Errno::NOTEMPTY) => folder.below(name).map(Some),
            Err(errno) => Err(Trouble::of(&folder.path_of(name), NOT_REMOVED)(errno)),
        }
    }
}
