//! The copies of the share table while it is at hand: one that goes, or is damaged, is written anew from memory, as key files of open vaults are. What is newer
//! on the disk than what is known here stays, and so does what another TPM's may be.

use std::path::{Path, PathBuf};

use disk::Folder;
use fscrypt::scrub;
use vault::belief::About;
use vault::shares::{MAX_TABLE_BYTES, looks_whole};

use crate::agents::vaultmgr::generation::errands::Errand;
use crate::agents::vaultmgr::generation::files::{self, authentic, in_place, is_covered, keep_aside, open};
use crate::agents::vaultmgr::generation::shares::{ShareStore, SharesError};
use crate::agents::vaultmgr::hands::crypt::Crypt;
use crate::agents::vaultmgr::hands::{durable, prepare};
use crate::agents::vaultmgr::manager::Manager;
use crate::agents::vaultmgr::paths::Paths;

/// At most so many looks pass between two tries at what a change left half-way: five minutes.
const LOOKS_AT_MOST: u32 = 32;

/// When what a change left half-way is written anew: at the next look, and then each time twice as late.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Mending {
    waits: u32,
    pause: u32,
}

impl Mending {
    /// Whether it is tried at this look.
    fn is_due(&mut self) -> bool {
        if let Some(waits) = self.waits.checked_sub(1) {
            self.waits = waits;
            return false;
        }
        self.waits = self.pause;
        self.pause = (self.pause * 2).clamp(1, LOOKS_AT_MOST);
        true
    }
}

/// What was found at a look at the copies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Copies {
    /// They are as they are to be.
    Whole,
    /// They are written anew.
    Healed,
    /// Nothing is said of them now.
    NotNow,
}

impl ShareStore {
    /// Writes the table where a copy of it is not as it is at hand.
    ///
    /// # Errors
    /// A copy is out of reach; what can be written is. Tried again at a later look.
    pub(super) fn heal_copies(&mut self, paths: &Paths) -> Result<Copies, SharesError> {
        if self.is_lent() || self.taken {
            return Ok(Copies::NotNow);
        }
        if self.is_back(paths) {
            self.overtaken = true;
            return Ok(Copies::NotNow);
        }
        match &mut self.half_written {
            None => self.write_what_went(paths),
            Some(mending) => {
                let is_due = self.left.roots.is_empty() && mending.is_due();
                if is_due { self.take_back(paths).map(|()| Copies::Healed) } else { Ok(Copies::NotNow) }
            }
        }
    }

    /// Whether a table that was lost opens in its place: somebody brought it back.
    pub(super) fn is_back(&self, paths: &Paths) -> bool {
        let keys = self.keys.as_ref().filter(|_| self.table.is_none());
        keys.is_some_and(|keys| in_place(paths, keys.generation, &keys.table).is_some())
    }

    /// A change that came half-way failed, and whoever wanted it was told so, or wants it again: the table as it is at hand takes its place in both copies.
    /// What was to be dropped is there again until it is dropped for good, and nothing was told as dropped.
    fn take_back(&mut self, paths: &Paths) -> Result<(), SharesError> {
        self.change(paths, |_, _| Ok(()))
    }

    fn write_what_went(&self, paths: &Paths) -> Result<Copies, SharesError> {
        let (Some(keys), Some(table)) = (&self.keys, &self.table) else { return Ok(Copies::Whole) };
        let shut: Vec<PathBuf> = paths.tables().into_iter().filter(|it| is_covered(paths, it)).collect();
        let seen = |path: &&PathBuf| !shut.iter().any(|folder| path.starts_with(folder));
        let edition = |path: &PathBuf| {
            let (table, _) = authentic(Some(path).filter(seen)?, keys.generation, &keys.table)?;
            Some(table.edition())
        };
        let files = paths.table(keys.generation);
        let (there, known) = (files.each_ref().map(edition), Some(table.edition()));
        if there == [known; 2] || there.iter().any(|there| *there > known) {
            return Ok(Copies::Whole);
        }
        let anothers = there == [None; 2] && files.iter().filter(seen).any(|path| is_whole(path));
        match shut.first() {
            Some(folder) if anothers => return Err(SharesError::Copies(files::covered(folder))),
            None if anothers => drop(keep_aside(paths, keys.generation)?),
            None => drop(prepare::own_folders(paths)),
            Some(_) => {}
        }
        let bytes = table.encode(&keys.table);
        write_copies(paths, &Paths::table_name(keys.generation), &bytes).map_err(SharesError::Copies)?;
        Ok(Copies::Healed)
    }
}

fn is_whole(path: &Path) -> bool {
    durable::read(path, MAX_TABLE_BYTES).ok().flatten().is_some_and(|bytes| looks_whole(&bytes))
}

/// Each where it lacks, though the other can't be.
fn write_copies(paths: &Paths, name: &str, bytes: &Vec<u8>) -> Result<(), disk::Error> {
    let lacks = |folder: &&Folder| folder.read(name, MAX_TABLE_BYTES + 1).ok().as_ref() != Some(bytes);
    let (open, shut) = apart(paths.tables().iter().map(|path| open(paths, path)));
    let (replaced, failed) = apart(open.iter().filter(lacks).map(|folder| folder.replace(name, bytes)));
    let wiped = scrub::scrub(replaced).map(drop);
    shut.into_iter().chain(failed).next().map_or(wiped, Err)
}

/// What was done, and what was not.
fn apart<T, E>(all: impl Iterator<Item = Result<T, E>>) -> (Vec<T>, Vec<E>) {
    let (mut done, mut not) = (Vec::new(), Vec::new());
    all.for_each(|one| match one {
        Ok(one) => done.push(one),
        Err(error) => not.push(error),
    });
    (done, not)
}

impl<C: Crypt> Manager<C> {
    /// A lost table that somebody put back since the last look is read, and nothing takes its place. Says whether one was.
    pub(in crate::agents::vaultmgr) fn reads_what_is_back(&mut self) -> bool {
        let is_back = self.shares.as_mut().is_some_and(|shares| {
            shares.overtaken |= shares.is_back(&self.paths);
            shares.overtaken
        });
        if is_back {
            self.send(Errand::Roots);
        }
        is_back
    }

    /// At each look.
    pub(in crate::agents::vaultmgr) fn heal_table(&mut self) {
        if self.crypt.is_away() {
            return;
        }
        match self.shares.as_mut().map_or(Ok(Copies::Whole), |shares| shares.heal_copies(&self.paths)) {
            Ok(Copies::NotNow) => {}
            Ok(Copies::Whole) => self.notes.settle(About::Copies),
            Ok(Copies::Healed) => {
                tracing::warn!(
                    "a copy of the share table was gone, damaged, or half changed, and is written anew"
                );
                self.notes.settle(About::Copies);
            }
            Err(error) => self.notes.tell(About::Copies, crate::agents::vaultmgr::chain(&error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What goes on failing is tried at the first look, more and more seldom, and never given up.
    #[test]
    fn what_is_left_half_way_is_tried_more_and_more_seldom() {
        let mut mending = Mending::default();
        let tried: Vec<usize> = (0..130).filter(|_| mending.is_due()).collect();
        assert_eq!(tried, [0, 1, 3, 6, 11, 20, 37, 70, 103]);
    }
}
