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

use crate::agents::vaultmgr::hands::crypt::Crypt;
use crate::agents::vaultmgr::manager::Manager;
use crate::agents::vaultmgr::vault::execute::StepError;

/// How many go in step: more wait for the disk no less, and any order but a lock waits for one step of so many; a lock for one's.
pub(crate) const IN_STEP: usize = 16;
/// Share, key files, key, directory, project and limit, policy, mark.
const ROUNDS: usize = 7;

impl<C: Crypt> Manager<C> {
    /// Takes those of a group that are to be made as far as they go in step. The default ones go alone: others wait for them. After each
    /// step there is a pause, of each vault too: what an order changes in it, the next step is planned by.
    pub(crate) fn make_in_step(&mut self, group: &[VaultId], mut pause: impl FnMut(&mut Self)) {
        let unmade = |id: &VaultId| !id.is_default() && !self.may_be_made(*id);
        let unmade: Vec<VaultId> = group.iter().copied().filter(unmade).collect();
        for id in &unmade {
            self.look(*id);
            pause(self);
        }
        for _ in 0..ROUNDS {
            let acts: Vec<(VaultId, Act)> =
                unmade.iter().filter_map(|id| Some((*id, self.makes(*id)?))).collect();
            if acts.is_empty() || !self.round(&acts, &mut pause) {
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
    fn round(&mut self, acts: &[(VaultId, Act)], pause: impl FnMut(&mut Self)) -> bool {
        self.write_shares(acts).is_ok() && self.write_apart(acts, pause).is_ok()
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
    fn write_apart(
        &mut self,
        acts: &[(VaultId, Act)],
        mut pause: impl FnMut(&mut Self),
    ) -> Result<(), disk::Error> {
        let apart = |act: &Act| !matches!(act.step, Step::MakeShare { .. } | Step::MarkMade);
        let (disk, mut taken) = (self.paths.disk().clone(), Vec::new());
        let synced = disk.together(|| {
            for (id, act) in acts.iter().copied().filter(|(_, act)| apart(act)) {
                self.act(id, act);
                taken.push((id, act));
                pause(self);
                if std::mem::take(&mut self.hurried) {
                    break;
                }
            }
        });
        if let Err(error) = &synced {
            let words = crate::agents::vaultmgr::chain(error);
            taken.iter().for_each(|(id, act)| self.fail(*id, act, words.clone()));
        }
        synced
    }

    /// Whether what is written now becomes durable with what others write. No order is carried out meanwhile: what it writes would not be durable when
    /// it is answered.
    pub(crate) fn writes_together(&self) -> bool {
        self.paths.disk().is_together()
    }

    /// A lock waits: what was written together becomes durable now, and the rest of the step comes later.
    pub(crate) fn hurry(&mut self) {
        self.hurried = true;
    }
}
