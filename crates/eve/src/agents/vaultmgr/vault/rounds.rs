//! Vaults that rest are looked at in rounds, so many at each look and no more, however many there are.

use std::collections::BTreeSet;
use std::ops::Bound;

use vault::ids::VaultId;

use crate::agents::vaultmgr::hands::crypt::Crypt;
use crate::agents::vaultmgr::manager::Manager;
use crate::agents::vaultmgr::vault::slot::VaultMemory;

/// How many that rest are looked at at once: with a look each ten seconds, 1024 are looked at within two minutes.
pub(crate) const AT_A_LOOK: usize = 96;

/// Whom a look is at.
pub(crate) struct Due {
    /// Each time: the default ones first, and all that do not rest.
    pub(crate) restless: Vec<VaultId>,
    /// In their turn.
    pub(crate) round: Vec<VaultId>,
}

impl<C: Crypt> Manager<C> {
    /// Looks anew at the metadata of all vaults, with a pause after each, if anybody wrote where the fscrypt tool does. For what others add is told at
    /// once.
    pub(crate) fn look_for_others_pausing(&mut self, mut pause: impl FnMut(&mut Self)) {
        if !self.crypt.stirred() {
            return;
        }
        self.news += 1;
        let all: Vec<VaultId> = self.slots.keys().copied().collect();
        for id in all {
            self.look_again(id);
            pause(self);
        }
    }

    /// A look though nothing was heard: at the default vaults, at all that do not rest, and at the next of those that do. Then as
    /// [`Self::settle_all_pausing`]; but of one that rests nothing is due unless it is found otherwise, so of those none is to be locked before. Says of
    /// which something may be new.
    pub(crate) fn look_around_pausing(
        &mut self,
        pause: impl FnMut(&mut Self, Option<VaultId>),
    ) -> Vec<VaultId> {
        self.heal_table();
        let Due { restless, round } = self.due_for_a_look();
        self.shut(&restless);
        self.take_each_pausing(&[&restless[..], &round].concat(), pause);
        let mut new = std::mem::take(&mut self.found_otherwise);
        new.extend(round.into_iter().filter(|id| !self.is_resting(*id)));
        new.extend(restless);
        new.into_iter().collect()
    }

    /// Which vaults that look is at. Each call goes on with the next of those that rest.
    pub(crate) fn due_for_a_look(&mut self) -> Due {
        let (resting, restless): (Vec<_>, Vec<_>) =
            self.everything().into_iter().partition(|id| self.is_resting(*id));
        Due { restless, round: self.next_round(resting) }
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
