//! Where what is carried over into the vault arrives: a folder beside the originals that root alone can enter, under the vault's own
//! policy, so that a file gets from it into the vault at once. Whoever may write in a folder of the vault can exchange any name there;
//! here nobody can, and nothing is removed by a name anywhere else. What came out of the vault by an exchange, and is not the copy
//! that was to give way, is put back and never removed.

use std::ffi::{CStr, CString};
use std::io;

use rustix::fs::RenameFlags;

use super::compare::same_contents;
use super::stamps::{Stamp, Stamps};
use super::{MoveError, Places, copy};
use crate::agents::vaultmgr::hands::durable;
use crate::agents::vaultmgr::hands::tree::{self, Entry, Folder, Left, Trouble, Work, shown};

/// While it is copied.
const NEW: &CStr = c"new";
const CLOSED: &str =
    "holds what a power cut left half carried into the vault; unlock the vault, and it is looked at";
const NOT_BACK: &str = "had the name of a file that was carried into the vault, and can't be put back; move it to where it belongs";
pub(super) const NOT_CARRIED: &str =
    "was written to while it was moved, and this can't be carried into the vault";

/// The folder.
pub(super) struct Arriving {
    folder: Folder,
}

impl Arriving {
    /// Made anew, or as a life before left it: cleared of what is ours.
    pub(super) fn of(
        places: &Places,
        vault: &Folder,
        stamps: &Stamps,
        work: &Work,
    ) -> Result<Self, MoveError> {
        places.disk.make_folder(&places.arriving, 0o700).map_err(io::Error::from)?;
        let folder = Folder::top(&places.arriving)?;
        if let Some(policy) = fscrypt::get_policy(vault).map_err(io::Error::other)? {
            fscrypt::set_policy(&folder, &policy).map_err(io::Error::other)?;
        }
        // Into a directory that counts what is in it nothing is renamed from another project.
        let belongs = fscrypt::quota::belongs(vault).ok().filter(|belongs| belongs.inherits);
        if let Some(belongs) = belongs {
            fscrypt::quota::join(&folder, belongs.project, true)?;
        }
        let arriving = Self { folder };
        arriving.clear(stamps, work)?;
        Ok(arriving)
    }

    /// Ours has its own inode's number as a name: what has another's came from the vault, and goes if it is a copy that had to give way.
    fn clear(&self, stamps: &Stamps, work: &Work) -> Result<(), MoveError> {
        let mut left = Left::default();
        for name in self.folder.names()? {
            let Some(entry) = self.folder.entry(&name)? else { continue };
            if *name == *NEW || name == number(&entry) || stamps.is_contents_of_copy(&entry.stat) {
                tree::remove_in(&self.folder, &name, work)?;
            } else {
                left.add(format!("{} {NOT_BACK}", shown(&entry.path)));
            }
        }
        if left.is_empty() { Ok(()) } else { Err(MoveError::Differs(left)) }
    }

    /// Where the vault is closed nothing can be carried into it; what a life before left waits.
    pub(super) fn none(places: &Places) -> Result<(), MoveError> {
        match remove(places) {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
                Err(Trouble::new(&places.arriving, CLOSED).into())
            }
            gone => Ok(gone?),
        }
    }

    /// Takes it away, but for what could not be put back, which is named.
    pub(super) fn end(self, places: &Places) -> io::Result<()> {
        drop(self);
        match remove(places) {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
            gone => gone,
        }
    }

    /// Copies an original; nothing if it was written to meanwhile.
    pub(super) fn take_in(&self, entry: &Entry, work: &Work) -> Result<Option<Entry>, Trouble> {
        let failed = || Trouble::of(&entry.path, NOT_CARRIED);
        tree::remove_in(&self.folder, NEW, work)?;
        let copy = copy::file(&self.folder, NEW, entry, work)?;
        let now = entry.now().map_err(failed())?;
        if !same_contents(entry, &copy, work)? || Stamp::of(&now) != Stamp::of(&entry.stat) {
            return tree::remove_in(&self.folder, NEW, work).map(|()| None);
        }
        rename(&self.folder, NEW, &self.folder, &number(&copy), RenameFlags::NOREPLACE).map_err(failed())?;
        Ok(Some(copy))
    }

    /// Gives what arrived a name that nothing has.
    pub(super) fn put(&self, arrived: &Entry, to: &Folder, name: &CStr) -> io::Result<()> {
        rename(&self.folder, &number(arrived), to, name, RenameFlags::NOREPLACE)
    }

    /// Puts what arrived in the place of `before`. Not if somebody wrote to that just then, or put another in its place: he finds it
    /// as it was.
    pub(super) fn exchange(
        &self,
        arrived: &Entry,
        to: &Folder,
        name: &CStr,
        before: &Entry,
        work: &Work,
    ) -> Result<bool, Trouble> {
        let number = number(arrived);
        let exchange = || {
            let failed = Trouble::of(&before.path, NOT_CARRIED);
            rename(&self.folder, &number, to, name, RenameFlags::EXCHANGE).map_err(failed)
        };
        let same = |entry: &Entry| {
            entry.stat.stx_ino == before.stat.stx_ino
                && Stamp::of(&entry.stat).contents() == Stamp::of(&before.stat).contents()
        };
        exchange()?;
        if self.folder.entry(&number)?.as_ref().is_some_and(same) {
            return tree::remove_in(&self.folder, &number, work).map(|()| true);
        }
        exchange()?;
        Ok(false)
    }

    /// What arrived and is in no place goes. Had somebody exchanged the name in the vault once more, then his is here: he gets it
    /// back, beside.
    pub(super) fn give_up(
        &self,
        arrived: &Entry,
        to: &Folder,
        name: &CStr,
        work: &Work,
    ) -> Result<(), Trouble> {
        let number = number(arrived);
        match self.folder.entry(&number)? {
            None => Ok(()),
            Some(entry) if entry.stat.stx_ino == arrived.stat.stx_ino => {
                tree::remove_in(&self.folder, &number, work)
            }
            Some(entry) => {
                let beside = [name.to_bytes(), b".", number.to_bytes()].concat();
                let beside = CString::new(beside).expect("of two names without a zero byte");
                let back = rename(&self.folder, &number, to, &beside, RenameFlags::NOREPLACE);
                back.map_err(Trouble::of(&entry.path, NOT_BACK))
            }
        }
    }
}

fn remove(places: &Places) -> io::Result<()> {
    match std::fs::remove_dir(&places.arriving) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        gone => {
            gone?;
            durable::sync_parent(&places.arriving)
        }
    }
}

fn number(entry: &Entry) -> CString {
    CString::new(entry.stat.stx_ino.to_string()).expect("digits have no zero byte")
}

pub(super) fn rename(
    from: &Folder,
    name: &CStr,
    to: &Folder,
    new: &CStr,
    flags: RenameFlags,
) -> io::Result<()> {
    Ok(rustix::fs::renameat_with(from, name, to, new, flags)?)
}
