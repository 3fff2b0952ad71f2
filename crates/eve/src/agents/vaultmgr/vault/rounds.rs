//! Vaults that rest are looked at in rounds, so many at each look and no more, however many there are.

use std::collections::BTreeSet;
use std::ops::Bound;

use vault::ids::VaultId;

use crate::agents::vaultmgr::hands::crypt::Crypt;
use crate::agents::vaultmgr::manager::Manager;
use crate::agents::vaultmgr::vault::slot::VaultMemory;

/// How many that rest are looked at at once: with a look each ten seconds, 1024 are looked at within two minutes.
pub(crate) const AT_A_LOOK: usize = 96;

impl<C: Crypt> Manager<C> {
    /// Looks anew at the metadata of all vaults, with a pause after each, if anybody wrote where the fscrypt tool does. For what others add is told at
    /// once.
    pub(crate) fn look_for_others_pausing(&mut self, mut pause: impl FnMut(&mut Self)) {
        if !self.crypt.stirred() {
            return;
        }
        let all: Vec<VaultId> = self.slots.keys().copied().collect();
        for id in all {
            self.look_again(id);
            pause(self);
        }
    }

    /// A look though nothing was heard: at the default vaults, at all that do not rest, and at the next of those that do. Then as
    /// [`Self::settle_all_pausing`].
    pub(crate) fn look_around_pausing(&mut self, pause: impl FnMut(&mut Self, Option<VaultId>)) {
        self.heal_table();
        let due = self.due_for_a_look();
        self.settle_each_pausing(&due, pause);
    }

    /// Which vaults that look is at, the default ones first. Each call goes on with the next of those that rest.
    pub(crate) fn due_for_a_look(&mut self) -> Vec<VaultId> {
        let (resting, mut due): (Vec<_>, Vec<_>) =
            self.everything().into_iter().partition(|id| self.is_resting(*id));
        due.extend(self.next_round(resting));
        due
    }

    /// One with a lease is looked at each time: after a suspend its timer comes too late.
    fn is_resting(&self, id: VaultId) -> bool {
        let rests = self.slots.get(&id).is_some_and(VaultMemory::rests);
        rests && !id.is_default() && !self.leases.until().contains_key(&id)
    }

    /// Those after the one that was looked at last, and then from the first on.
    fn next_round(&mut self, resting: Vec<VaultId>) -> Vec<VaultId> {
        let resting: BTreeSet<VaultId> = resting.into_iter().collect();
        let last = self.looked_at;
        let after = last.map_or(Bound::Unbounded, Bound::Excluded);
        let before = last.into_iter().flat_map(|last| resting.range(..=last));
        let round = resting.range((after, Bound::Unbounded)).chain(before);
        let round: Vec<VaultId> = round.copied().take(AT_A_LOOK).collect();
        self.looked_at = round.last().copied();
        round
    }
}
