//! Which key files go into a bundle: those of each vault that has some. What is left out is said, vault by vault: nobody is to learn of it when the
//! files are gone.

use std::collections::BTreeMap;

use vault::escrow::restore::is_away;
use vault::escrow::{Bundle, BundleId, VaultFiles, fitting};
use vault::ids::{DeviceKey, VaultId};

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
    /// What lies there may be damaged, and no key has told.
    #[error(
        "its key files as they lie on the disk are not in escrow: no key has opened them since the boot, and those in escrow may be the good ones; open the vault (`eve vault unlock`), which tells, and mends what is damaged"
    )]
    Untold,
}

impl super::EscrowMemory {
    fn forget_files(&mut self, id: VaultId) {
        self.files.remove(&id);
        self.untold.remove(&id);
    }
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
            self.took(id, files);
        }
        for (id, _) in gone {
            match self.slots.get(&id).is_some_and(|slot| slot.sight().seen.has_metadata()) {
                true => drop(self.escrow.untold.insert(id, None)),
                false => self.escrow.forget_files(id),
            }
        }
        true
    }

    /// What a key opened is good, and so is what is like that. What may be damaged waits, unless a bundle could not help its vault anyway. Of a vault
    /// whose directory is away no key tells: its files go into no bundle, and keep none from being made, for what is in escrow of it stays.
    fn took(&mut self, id: VaultId, files: Option<VaultFiles>) {
        let Some(files) = files else { return };
        let alike = self.escrow.files.get(&id).is_some_and(|good| self.crypt.is_alike(good, &files));
        let is_good = alike || self.crypt.has_opened(id);
        if !is_good && is_away(&self.known(id)) {
            self.escrow.untold.remove(&id);
        } else if is_good || !self.can_help(id) {
            self.escrow.untold.remove(&id);
            self.escrow.files.insert(id, files);
        } else {
            self.escrow.untold.insert(id, Some(files));
        }
    }

    /// Whether a bundle may be made with the files that are known to be good: unless one could take the place of one that has better. Files that no key opened
    /// in this life are good where with them the bundle is the very one that is in escrow: what went into that was. Before the first bundle there are no
    /// better ones.
    pub(super) fn vouch(&mut self, device: DeviceKey, is_first: bool) -> bool {
        let without = |known: &super::EscrowMemory, id: &VaultId| !known.files.contains_key(id);
        let new = self.escrow.untold.iter().filter(|(id, _)| without(&self.escrow, id));
        let new: BTreeMap<_, _> = new.map(|(id, files)| (*id, files.clone())).collect();
        if new.is_empty() {
            return true;
        }
        let there = new.into_iter().filter_map(|(id, files)| Some((id, files?)));
        let all: Files = self.escrow.files.clone().into_iter().chain(there).collect();
        let is_good = is_first
            || self.escrow.holding.held().is_some_and(|held| self.id_with(device, &all) == Some(held));
        if is_good {
            self.escrow.untold.retain(|id, files| files.is_some() && !all.contains_key(id));
            self.escrow.files = all;
        }
        is_good
    }

    /// Which bundle it would be with these files.
    fn id_with(&self, device: DeviceKey, files: &Files) -> Option<BundleId> {
        let bundle = self.shares.as_ref()?.bundle(device, fitting(files.clone()).0)?;
        Some(Bundle::id_of(bundle.generation(), &bundle.encode()))
    }

    /// Those that there is room for, and of the others how long they are.
    pub(super) fn files_that_fit(&mut self) -> Files {
        let (files, long): (Files, BTreeMap<VaultId, usize>) = fitting(self.escrow.files.clone());
        self.escrow.left_out = self.escrow.untold.keys().map(|id| (*id, LeftOut::Untold)).collect();
        self.escrow.left_out.extend(long.into_iter().map(|(id, length)| (id, LeftOut::TooLong(length))));
        files
    }
}
