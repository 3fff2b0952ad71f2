//! What is to be locked is locked before anything else is done: no key stays in the kernel for as long as a disk takes, or another vault.
//! Decides nothing: each step is the one that the plan asks for, and what it leaves to do is left to the vault's own turn.

use vault::condition::Key;
use vault::ids::{CONFIG_VAULT, VaultId};
use vault::plan::{Act, Next, Step};

use crate::agents::vaultmgr::hands::crypt::Crypt;
use crate::agents::vaultmgr::manager::Manager;

impl<C: Crypt> Manager<C> {
    /// Locks those of these whose next step that is. No order comes between, for whatever it is it may take longer than all of them. The Config Vault has its own turn: what is ordered is written
    /// into it before it is locked. Those with long work under way come last: all of that is asked to end first, and what it has open may be closed by then.
    pub(crate) fn shut(&mut self, each: &[VaultId]) {
        let has_key =
            |id: &&VaultId| self.slots.get(id).is_some_and(|slot| slot.sight().seen.key != Key::Absent);
        let open = each.iter().filter(|id| **id != CONFIG_VAULT).filter(has_key).copied();
        let (working, idle): (Vec<_>, Vec<_>) = open.partition(|id| self.jobs.progress(*id).is_some());
        let ending: Vec<_> = working.iter().copied().filter(|id| self.locks_next(*id).is_some()).collect();
        ending.into_iter().for_each(|id| self.jobs.ask_to_end(id));
        for id in idle.into_iter().chain(working) {
            if let Some(act) = self.locks_next(id) {
                self.act(id, act);
            }
        }
    }

    fn locks_next(&self, id: VaultId) -> Option<Act> {
        match self.ask(id).1 {
            Next::Do(act) if act.step == Step::Lock => Some(act),
            _ => None,
        }
    }
}
