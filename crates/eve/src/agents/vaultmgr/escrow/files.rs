//! Which key files go into a bundle: those of each vault that has some. What is left out is said, vault by vault: nobody is to learn of it when the
//! files are gone.

use std::collections::BTreeMap;

use vault::escrow::fitting;
use vault::ids::VaultId;

use crate::agents::vaultmgr::generation::roots::Tpmmgr;
use crate::agents::vaultmgr::generation::upcoming::Files;
use crate::agents::vaultmgr::hands::crypt::Crypt;
use crate::agents::vaultmgr::manager::Manager;

/// Why a vault's key files are in no bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum LeftOut {
    /// All that is there is more than a bundle holds.
    #[error(
        "its key files are not in escrow: they have {0} bytes, which is more than there is room for; take away protectors that others added (`fscrypt metadata remove-protector-from-policy`)"
    )]
    TooLong(usize),
    /// Several lie there, and no key has told which.
    #[error("its key files are not in escrow: which of them are in force shows when it is opened")]
    Unsure,
}

impl<C: Crypt, T: Tpmmgr> Manager<C, T> {
    /// What is to be said of a vault whose files no bundle takes.
    pub(in crate::agents::vaultmgr) fn left_out_of_escrow(&self, id: VaultId) -> Option<String> {
        self.escrow.left_out.get(&id).map(LeftOut::to_string)
    }

    /// Of vaults whose key files may be others than they were. False: some are gone, which the bundle of now may have.
    pub(super) fn read_key_files(&mut self) -> bool {
        let changed = std::mem::take(&mut self.escrow.changed);
        let read: Vec<_> = changed.into_iter().map(|id| (id, self.crypt.key_files(id))).collect();
        let (there, gone): (Vec<_>, Vec<_>) = read.into_iter().partition(|(_, files)| files.is_some());
        gone.iter().for_each(|(id, _)| self.look_again(*id));
        if !self.lacking().is_empty() {
            self.escrow.changed = there.into_iter().chain(gone).map(|(id, _)| id).collect();
            return false;
        }
        for (id, files) in there {
            self.escrow.left_out.remove(&id);
            self.escrow.files.extend(files.map(|files| (id, files)));
        }
        for (id, _) in gone {
            self.escrow.files.remove(&id);
            match self.slots.get(&id).is_some_and(|slot| slot.sight.seen.has_metadata()) {
                true => drop(self.escrow.left_out.insert(id, LeftOut::Unsure)),
                false => drop(self.escrow.left_out.remove(&id)),
            }
        }
        true
    }

    /// Those that there is room for, and of the others how long they are.
    pub(super) fn files_that_fit(&mut self) -> Files {
        let (files, long): (Files, BTreeMap<VaultId, usize>) = fitting(self.escrow.files.clone());
        self.escrow.left_out.retain(|_, why| *why == LeftOut::Unsure);
        self.escrow.left_out.extend(long.into_iter().map(|(id, length)| (id, LeftOut::TooLong(length))));
        files
    }
}
