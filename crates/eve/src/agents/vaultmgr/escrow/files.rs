//! Which key files go into a bundle: those of each vault that has some. What is left out is said, vault by vault: nobody is to learn of it when the
//! files are gone.

use std::collections::BTreeMap;

use vault::condition::Key;
use vault::escrow::restore::is_away;
use vault::escrow::worth::{FilesSeen, Worth, stays_shut, vouched, worth};
use vault::escrow::{Bundle, BundleId, VaultFiles, fitting};
use vault::ids::{DeviceKey, VaultId};
use vault::plan::Next;

use crate::agents::vaultmgr::generation::upcoming::Files;
use crate::agents::vaultmgr::hands::crypt::Crypt;
use crate::agents::vaultmgr::manager::Manager;

/// Why a vault's key files are in no bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::agents::vaultmgr) enum LeftOut {
    /// All that is there is more than a bundle holds.
    #[error(
        "its key files are not in escrow: they have {0} bytes, which is more than there is room for; take away protectors that others added (`fscrypt metadata remove-protector-from-policy`)"
    )]
    TooLong(usize),
    /// What lies there may be damaged, and no key has told.
    #[error(
        "no other bundle of this node goes into escrow before this vault was opened: no key has opened its key files as they lie on the disk since the boot, and those in escrow may be the good ones; open the vault, which tells, and mends what is damaged (`eve vault unlock` where it was locked by an order)"
    )]
    Untold,
    /// The same of one that waits for something: no order opens it now.
    #[error(
        "no other bundle of this node goes into escrow before this vault was opened: no key has opened its key files as they lie on the disk since the boot, and those in escrow may be the good ones; that is told, and what is damaged is mended, by itself once it opens"
    )]
    UntoldWaits,
    /// The same of one that is open: by a key that an earlier life of vaultmgr gave to the kernel, or by its recovery key.
    #[error(
        "no other bundle of this node goes into escrow before this vault was opened by its custody: it is open, and no key has opened its key files as they lie on the disk since vaultmgr started, so those in escrow may be the good ones; that is told by itself once its share or the controller's key is at hand"
    )]
    UntoldOpen,
    /// No key will tell.
    #[error(
        "its key files as they lie on the disk are in no bundle from now on, for nothing opens it as it is, and no key tells whether they are good; what is in escrow of it stays there while its generation lasts"
    )]
    Shut,
    /// Nothing of it is here.
    #[error(
        "no other bundle of this node goes into escrow while nothing of this vault is on this disk: what is in escrow of it may be all that is left; if the disk is another one, put the right one back; if its directory was moved, put it back; only if the vault is given up, have it made anew or remove it"
    )]
    Away,
}

impl super::EscrowMemory {
    fn forget_files(&mut self, id: VaultId) {
        self.files.remove(&id);
        self.untold.remove(&id);
        self.shut.remove(&id);
    }

    /// Nothing waits for it.
    fn leave_out(&mut self, id: VaultId) {
        self.forget_files(id);
        self.shut.insert(id);
    }
}

impl<C: Crypt> Manager<C> {
    /// What is to be said of a vault whose files no bundle takes.
    pub(in crate::agents::vaultmgr) fn left_out_of_escrow(&self, id: VaultId) -> Option<String> {
        if self.is_in_escrow_alone(id) {
            return Some(LeftOut::Away.to_string());
        }
        let left_out = *self.escrow.left_out.get(&id)?;
        let open = self.known(id).seen.key == Key::Present;
        let left_out = match left_out {
            LeftOut::Untold if open => LeftOut::UntoldOpen,
            LeftOut::Untold if matches!(self.ask(id).1, Next::Wait(_)) => LeftOut::UntoldWaits,
            other => other,
        };
        Some(left_out.to_string())
    }

    /// Whether the others wait for it.
    pub(in crate::agents::vaultmgr) fn holds_escrow_up(&self, id: VaultId) -> bool {
        self.is_in_escrow_alone(id)
            || self.escrow.left_out.get(&id).is_some_and(|why| matches!(why, LeftOut::Untold))
    }

    fn stays_shut(&self, id: VaultId) -> bool {
        stays_shut(id, &self.known(id), self.belief.desired(), &self.node())
    }

    /// Nothing waits for a vault any more that no key will open; and what may be opened again is looked at again.
    pub(super) fn note_shut(&mut self) {
        let turned = |of: &mut dyn Iterator<Item = &VaultId>, shut| -> Vec<VaultId> {
            of.filter(|id| self.stays_shut(**id) == shut).copied().collect()
        };
        let now = turned(&mut self.escrow.untold.keys(), true);
        let again = turned(&mut self.escrow.shut.iter(), false);
        self.escrow.changed.extend(now.into_iter().chain(again));
    }

    /// Of vaults whose key files may be others than they were. False: some are gone, which the bundle of now may have.
    pub(super) fn read_key_files(&mut self) -> bool {
        let changed = std::mem::take(&mut self.escrow.changed);
        let read: Vec<_> = changed.into_iter().map(|id| (id, self.crypt.key_files(id))).collect();
        let (there, gone): (Vec<_>, Vec<_>) = read.into_iter().partition(|(_, files)| files.is_some());
        gone.iter().for_each(|(id, _)| self.look_again(*id));
        if self.may_be_in_escrow_alone() {
            self.escrow.changed = there.into_iter().chain(gone).map(|(id, _)| id).collect();
            return false;
        }
        for (id, files) in there {
            self.took(id, files);
        }
        for (id, _) in gone {
            let there = self.slots.get(&id).is_some_and(|slot| slot.sight().seen.has_metadata());
            if there && self.stays_shut(id) {
                self.escrow.leave_out(id);
            } else if there {
                self.escrow.untold.insert(id, None);
            } else {
                self.escrow.forget_files(id);
            }
        }
        true
    }

    fn took(&mut self, id: VaultId, files: Option<VaultFiles>) {
        let Some(files) = files else { return };
        let seen = FilesSeen {
            alike: self.escrow.files.get(&id).is_some_and(|good| self.crypt.is_alike(good, &files)),
            opened: self.crypt.has_opened(id),
            away: is_away(&self.known(id)),
            can_help: self.can_help(id),
            shut: self.stays_shut(id),
        };
        self.escrow.untold.remove(&id);
        self.escrow.shut.remove(&id);
        match worth(seen) {
            Worth::Good => drop(self.escrow.files.insert(id, files)),
            Worth::Untold => drop(self.escrow.untold.insert(id, Some(files))),
            Worth::LeftOut if seen.shut => self.escrow.leave_out(id),
            Worth::LeftOut => {}
        }
    }

    /// Whether a bundle may be made with the files that are known to be good: unless one could take the place of one that has better.
    pub(super) fn vouch(&mut self, device: DeviceKey, is_first: bool) -> bool {
        let without = |known: &super::EscrowMemory, id: &VaultId| !known.files.contains_key(id);
        let new = self.escrow.untold.iter().filter(|(id, _)| without(&self.escrow, id));
        let new: BTreeMap<_, _> = new.map(|(id, files)| (*id, files.clone())).collect();
        if new.is_empty() {
            return true;
        }
        let there = new.into_iter().filter_map(|(id, files)| Some((id, files?)));
        let all: Files = self.escrow.files.clone().into_iter().chain(there).collect();
        let is_good = vouched(is_first, self.id_with(device, &all), self.escrow.holding.held());
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
        let untold = self.escrow.untold.keys().map(|id| (*id, LeftOut::Untold));
        let shut = self.escrow.shut.iter().map(|id| (*id, LeftOut::Shut));
        let long = long.into_iter().map(|(id, length)| (id, LeftOut::TooLong(length)));
        let left_out: BTreeMap<VaultId, LeftOut> = untold.chain(shut).chain(long).collect();
        self.news += u64::from(left_out != self.escrow.left_out);
        self.escrow.left_out = left_out;
        files
    }
}
