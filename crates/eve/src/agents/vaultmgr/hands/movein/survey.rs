//! Plain files looked over before anything is done: how much they are, whether all of them can be moved and wiped, who holds them.

use std::collections::BTreeSet;
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;

use super::MoveError;
use crate::agents::vaultmgr::hands::holders;
use crate::agents::vaultmgr::hands::tree::{Entry, Folder, Kind, Trouble, size};

const FIXED: &str = "is marked immutable or append-only, so it could not be wiped once it is in the vault; take that off (chattr -i -a)";

/// A tree of plain files, as it was when it was walked.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// What they take on the disk.
    pub(super) bytes: u64,
    device: u64,
    inodes: BTreeSet<u64>,
    /// The first that can't be moved or could not be wiped.
    unfit: Option<Trouble>,
}

impl Survey {
    pub(super) fn of(path: &Path) -> Result<Self, MoveError> {
        let top = Folder::top(path)?;
        let mut survey = Self { device: device(&top)?, ..Self::default() };
        survey.add(&top.as_entry()?);
        survey.folder(&top)?;
        Ok(survey)
    }

    fn folder(&mut self, folder: &Folder) -> Result<(), Trouble> {
        for name in folder.names()? {
            let Some(entry) = folder.entry(&name)? else { continue };
            self.add(&entry);
            if entry.kind() == Kind::Folder {
                self.folder(&folder.into(&name, entry)?)?;
            }
        }
        Ok(())
    }

    fn add(&mut self, entry: &Entry) {
        let why = match entry.kind() {
            Kind::Special => Some(super::SPECIAL),
            _ if entry.is_encrypted() => Some(super::ENCRYPTED),
            _ => entry.is_fixed().then_some(FIXED),
        };
        self.unfit = self.unfit.take().or(why.map(|why| Trouble::new(&entry.path, why)));
        self.inodes.insert(entry.stat.stx_ino);
        self.bytes += entry.stat.stx_blocks * 512;
    }

    /// Refuses a tree in which something can't be moved.
    pub(super) fn fit(self) -> Result<Self, MoveError> {
        match self.unfit {
            Some(trouble) => Err(trouble.into()),
            None => Ok(self),
        }
    }

    /// Refuses what the disk has no room for: it would be full until the copying failed.
    pub(super) fn fits(&self, path: &Path) -> Result<(), MoveError> {
        let disk = rustix::fs::statvfs(path).map_err(std::io::Error::from)?;
        let free = disk.f_bavail * disk.f_frsize;
        if self.bytes > free {
            return Err(MoveError::NoRoom { needs: size(self.bytes), free: size(free) });
        }
        Ok(())
    }

    /// Refuses while somebody could write to one of them though its name leads elsewhere: through an open file, or from a folder
    /// that he stands in or has open.
    /// `own`: by what we hold it ourselves.
    pub(super) fn in_use(&self, path: &Path, own: Option<&Folder>) -> Result<(), MoveError> {
        let own = own.map(|folder| folder.as_fd().as_raw_fd());
        let holders = holders::of_plain(path, self.device, &self.inodes, own);
        if holders.is_empty() { Ok(()) } else { Err(MoveError::Held(holders)) }
    }
}

fn device(folder: &Folder) -> Result<u64, Trouble> {
    let stat = rustix::fs::fstat(folder).map_err(Trouble::of(&folder.path, super::NOT_COMPARED))?;
    Ok(stat.st_dev)
}
