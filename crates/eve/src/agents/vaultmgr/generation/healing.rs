//! The copies of the share table while it is at hand: one that goes, or is damaged, is written anew from memory, as key files of open vaults are. What is newer
//! on the disk than what is known here stays, and so does what another TPM's may be.

use std::path::{Path, PathBuf};

use disk::Folder;
use fscrypt::scrub;
use vault::belief::About;
use vault::shares::{MAX_TABLE_BYTES, looks_whole};

use crate::agents::vaultmgr::generation::files::{self, authentic, is_covered, keep_aside, open};
use crate::agents::vaultmgr::generation::shares::{ShareStore, SharesError};
use crate::agents::vaultmgr::hands::crypt::Crypt;
use crate::agents::vaultmgr::hands::{durable, prepare};
use crate::agents::vaultmgr::manager::Manager;
use crate::agents::vaultmgr::paths::Paths;

impl ShareStore {
    /// Writes the table where a copy of it is not as it is at hand. Says whether one was not.
    ///
    /// # Errors
    /// [`SharesError::Copies`]: a copy is out of reach; what can be written is. Tried again at the next look.
    pub(super) fn heal_copies(&self, paths: &Paths) -> Result<bool, SharesError> {
        // A change that came half-way is done again as such: what is at hand has what it was to drop.
        let is_held_back = self.lent || self.half_written || self.taken;
        let (Some(keys), Some(table), false) = (&self.keys, &self.table, is_held_back) else {
            return Ok(false);
        };
        let shut: Vec<PathBuf> = paths.tables().into_iter().filter(|it| is_covered(paths, it)).collect();
        let seen = |path: &&PathBuf| !shut.iter().any(|folder| path.starts_with(folder));
        let edition = |path: &PathBuf| {
            let (table, _) = authentic(Some(path).filter(seen)?, keys.generation, &keys.table)?;
            Some(table.edition())
        };
        let files = paths.table(keys.generation);
        let (there, known) = (files.each_ref().map(edition), Some(table.edition()));
        if there == [known; 2] || there.iter().any(|there| *there > known) {
            return Ok(false);
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
        Ok(true)
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
    /// At each look.
    pub(in crate::agents::vaultmgr) fn heal_table(&mut self) {
        if self.crypt.is_away() {
            return;
        }
        match self.shares.as_ref().map_or(Ok(false), |shares| shares.heal_copies(&self.paths)) {
            Ok(healed) => {
                if healed {
                    tracing::warn!("a copy of the share table was gone or damaged, and is written anew");
                }
                self.notes.settle(About::Copies);
            }
            Err(error) => self.notes.tell(About::Copies, crate::agents::vaultmgr::chain(&error)),
        }
    }
}
