//! Many vaults made at once: a step of each, and then the next of each. What a step writes where others write too (the share table,
//! and the folders that key files and vaults lie in) becomes durable once for all, before any of them goes on. So for each vault
//! alone the order on the disk is that of its plan, and a cut leaves several half made where it left one.
//!
//! It is a short cut and decides nothing: each step is the one that the plan asks for, and what fails, or is no part of the plain
//! making, is left to the vault's own turn.

use vault::ids::VaultId;
use vault::plan::{Act, Next, Op, Step};
use vault::section::Seal;
use vault::shares::Mark;

use crate::agents::vaultmgr::generation::roots::Tpmmgr;
use crate::agents::vaultmgr::hands::crypt::Crypt;
use crate::agents::vaultmgr::manager::Manager;
use crate::agents::vaultmgr::vault::execute::StepError;

/// How many go in step: more wait for the disk no less, and an order waits for one step of so many.
pub(crate) const IN_STEP: usize = 16;
/// Share, key files, key, directory, project and limit, policy, mark.
const ROUNDS: usize = 7;

impl<C: Crypt, T: Tpmmgr> Manager<C, T> {
    /// Takes those of a group that are to be made as far as they go in step. The default ones go alone: others wait for them. After each
    /// step there is a pause: what an order changes in it, the next step is planned by.
    pub(crate) fn make_in_step(&mut self, group: &[VaultId], mut pause: impl FnMut(&mut Self)) {
        let unmade = |id: &VaultId| !id.is_default() && !self.may_be_made(*id);
        let unmade: Vec<VaultId> = group.iter().copied().filter(unmade).collect();
        unmade.iter().for_each(|id| self.look(*id));
        for _ in 0..ROUNDS {
            let acts: Vec<(VaultId, Act)> =
                unmade.iter().filter_map(|id| Some((*id, self.makes(*id)?))).collect();
            if acts.is_empty() || !self.round(&acts) {
                return;
            }
            pause(self);
        }
    }

    /// Whether it need not be looked at for this: it was seen to be there, or its share says so.
    fn may_be_made(&self, id: VaultId) -> bool {
        let seen = |shares: &crate::agents::vaultmgr::generation::shares::ShareStore| shares.seen(id);
        let marks = self.shares.as_ref().map(seen).unwrap_or_default();
        let marked = [Seal::Tpm, Seal::Pcrs].into_iter().any(|seal| marks.of(seal) == Some(Mark::Made));
        marked || self.slots.get(&id).is_some_and(|slot| slot.sight().seen.is_vault() && !slot.unseen)
    }

    /// The step of a plain making that is next, if one is.
    fn makes(&self, id: VaultId) -> Option<Act> {
        let Next::Do(act) = self.ask(id).1 else { return None };
        let plain = match act.step {
            Step::MakeShare { mark, .. } => mark == Mark::Begun,
            Step::MakeMetadata { .. }
            | Step::AddKey
            | Step::MakeDir
            | Step::Bound(_)
            | Step::SetPolicy(_)
            | Step::MarkMade => true,
            _ => false,
        };
        (plain && act.op == Op::Create).then_some(act)
    }

    /// A step of each. Says whether they may go on together.
    fn round(&mut self, acts: &[(VaultId, Act)]) -> bool {
        self.write_shares(acts).is_ok() && self.write_apart(acts).is_ok()
    }

    fn write_shares(&mut self, acts: &[(VaultId, Act)]) -> Result<(), StepError> {
        let fresh: Vec<_> = acts
            .iter()
            .filter_map(|(id, act)| match act.step {
                Step::MakeShare { seal, mark } => Some((*id, seal, mark)),
                _ => None,
            })
            .collect();
        let made: Vec<_> =
            acts.iter().filter(|(_, act)| act.step == Step::MarkMade).map(|(id, _)| *id).collect();
        if !fresh.is_empty() {
            self.change_shares(|shares, paths| shares.make(paths, &fresh))?;
        }
        if !made.is_empty() {
            self.change_shares(|shares, paths| shares.mark_made(paths, &made))?;
        }
        let written = fresh.iter().map(|(id, ..)| *id).chain(made);
        written.for_each(|id| self.slots.entry(id).or_default().done(Op::Create));
        Ok(())
    }

    /// What each has of its own. A folder that can't be synced fails the step of all: nobody knows whose names are lost.
    fn write_apart(&mut self, acts: &[(VaultId, Act)]) -> Result<(), disk::Error> {
        let apart = |act: &Act| !matches!(act.step, Step::MakeShare { .. } | Step::MarkMade);
        let acts: Vec<_> = acts.iter().copied().filter(|(_, act)| apart(act)).collect();
        let disk = self.paths.disk().clone();
        let synced = disk.together(|| acts.iter().for_each(|(id, act)| self.act(*id, *act)));
        if let Err(error) = &synced {
            let words = crate::agents::vaultmgr::chain(error);
            acts.iter().for_each(|(id, act)| self.fail(*id, act, words.clone()));
        }
        synced
    }
}
