//! Steps of the node's own, for all vaults: planned, taken, and when one failed tried again after a pause. What the TPM does of them is an
//! errand, and nobody waits for it; nothing is done here while nothing was dropped.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use vault::belief::{About, Heard};
use vault::ids::VaultId;
use vault::plan::{Hold, Known, NodeGlance, NodeStep, plan};
use vault::shares::Dropped;

use crate::agents::vaultmgr::generation::errands::Errand;
use crate::agents::vaultmgr::generation::shares::{ShareStore, SharesError};
use crate::agents::vaultmgr::hands::crypt::Crypt;
use crate::agents::vaultmgr::manager::Manager;

/// A TPM that is full or locked out does not change soon, and each try writes to its NV. One that is silent is tried again after the same pause.
const FIRST_PAUSE: Duration = Duration::from_secs(30);
const LONGEST_PAUSE: Duration = Duration::from_secs(30 * 60);
/// More than any node needs: take away what was left, begin or change a generation, and what that leaves.
const MAX_STEPS: usize = 4;

/// A step failed: when it is tried again, and how long the pause after that is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pause {
    again: Option<Instant>,
    next: Duration,
}

impl Pause {
    fn after(last: Option<Self>, now: Instant, error: &SharesError) -> Self {
        let last = last.filter(|_| !error.passes());
        let pause = last.map_or(FIRST_PAUSE, |last| last.next);
        Self { again: Some(now + pause), next: (pause * 2).min(LONGEST_PAUSE) }
    }
}

impl<C: Crypt> Manager<C> {
    /// Whether a step of the node's own failed a short while ago.
    pub(super) fn is_set_back(&self) -> bool {
        self.node_again().is_some()
    }

    /// When it is tried again.
    pub(super) fn node_again(&self) -> Option<Instant> {
        self.node_setback.and_then(|pause| pause.again)
    }

    /// What failed of the node's is tried again after a pause.
    pub(super) fn set_back(&mut self, error: &SharesError) {
        self.node_setback = Some(Pause::after(self.node_setback, Instant::now(), error));
    }

    /// The same after the first pause, however often it failed: a try costs a look at the disk.
    pub(super) fn set_back_again(&mut self, error: &SharesError) {
        self.node_setback = None;
        self.set_back(error);
    }

    /// Lets it be tried again when its pause is over.
    pub(super) fn node_due(&mut self, now: Instant) {
        let over = |pause: &&mut Pause| pause.again.is_some_and(|again| again <= now);
        self.node_setback.iter_mut().filter(over).for_each(|pause| pause.again = None);
    }

    /// Whether a share of the vault's is out of the table and not dead yet.
    pub(super) fn dropped(&self, id: VaultId) -> Dropped {
        match (&self.shares, self.tpm_absent) {
            (Some(shares), _) => shares.dropped(id),
            (None, true) => Dropped::None,
            (None, false) => Dropped::Perhaps,
        }
    }

    /// Takes the steps of the node's own, until none is due, or an errand is out, with a pause after each, and after each vault that is looked at for it.
    /// What fails is said in the node's notes, and in the status of each vault that waits for it.
    pub(super) fn settle_node(&mut self, mut pause: impl FnMut(&mut Self)) {
        if self.crypt.is_away() {
            return;
        }
        if self.shares.as_ref().is_some_and(ShareStore::is_overtaken) && !self.is_set_back() {
            self.send(Errand::Roots);
        }
        for _ in 0..MAX_STEPS {
            let Some(step) = self.node_step(&mut pause) else { break };
            self.act_for_node(&step);
            pause(self);
        }
        self.tell_hold();
    }

    /// Costs a look at every vault, so only where there may be one.
    fn node_step(&mut self, mut pause: impl FnMut(&mut Self)) -> Option<NodeStep> {
        if self.rests_or_waits() {
            return None;
        }
        for id in self.everything() {
            self.look(id);
            pause(self);
        }
        // What came between may have taken a step.
        if self.rests_or_waits() {
            return None;
        }
        let all = self.everything();
        let known: BTreeMap<VaultId, Known> = all.into_iter().map(|id| (id, self.known(id))).collect();
        let plan = plan(self.belief.desired(), &known, &self.node_to_plan());
        self.hold = plan.hold;
        plan.node
    }

    /// Whether no step is to be taken now; why what is dropped is not dead yet is known then.
    fn rests_or_waits(&mut self) -> bool {
        if self.crypt.is_away() || self.shares.as_ref().is_some_and(ShareStore::stands_in) {
            return true;
        }
        let NodeGlance::Rests(hold) = NodeGlance::of(&self.node(), self.desk.is_out()) else { return false };
        self.hold = hold;
        true
    }

    fn act_for_node(&mut self, step: &NodeStep) {
        self.news += 1;
        if matches!(step, NodeStep::BeginTable { .. }) && self.reads_what_is_back() {
            return;
        }
        let generation = self.shares.as_ref().and_then(ShareStore::generation);
        tracing::info!(?step, generation = generation.map(|it| it.0), "step of the node's own");
        match self.execute_for_node(step) {
            Ok(Some(errand)) => self.send(errand),
            Ok(None) => self.stepped(Ok(())),
            Err(error) => self.stepped(Err(error)),
        }
    }

    /// Does one step of the node's own, or says which errand does it.
    fn execute_for_node(&mut self, step: &NodeStep) -> Result<Option<Errand>, SharesError> {
        let shares = self.shares.as_mut().ok_or(SharesError::NoRoot)?;
        Ok(match step {
            NodeStep::BeginTable { lost } => shares.begin_anew(&self.paths, lost)?.map(Errand::Begin),
            NodeStep::DropGenerations => Some(Errand::Drop(shares.lend_left())),
            NodeStep::PrepareGeneration => {
                shares.prepare()?;
                None
            }
            NodeStep::NextGeneration => {
                let session = self.session.session_key();
                Some(Errand::Change(shares.next_generation(&self.paths, session)?))
            }
        })
    }

    /// A step of the node's own was done, or failed. Either way the table is free again, and what waited for that is heard.
    pub(super) fn stepped(&mut self, done: Result<(), SharesError>) {
        match done {
            Ok(()) => {
                (self.node_setback, self.node_error) = (None, None);
                self.notes.settle(About::Roots);
            }
            Err(error) => {
                self.set_back(&error);
                self.notes.tell(About::Roots, crate::agents::vaultmgr::chain(&error));
                self.node_error = Some(error);
            }
        }
        self.hear(Heard::Tpm(self.roots(), None));
    }

    fn tell_hold(&mut self) {
        let words = |hold| format!("erasing, not yet dead: {hold}");
        match self.hold.filter(|hold| !matches!(hold, Hold::Tpm | Hold::Table)) {
            Some(hold) if hold.ends_by_itself() => self.notes.mention(About::Erasing, words(hold)),
            Some(hold) => self.notes.tell(About::Erasing, words(hold)),
            None => self.notes.settle(About::Erasing),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agents::vaultmgr::generation::roots::TpmmgrError;
    use crate::bus::messages::{Causes, TpmFault, TpmRefusal};

    fn third_pause(fault: TpmFault) -> Duration {
        let causes = Causes::of(&std::io::Error::other("as the TPM says"));
        let refusal = TpmRefusal::Failed { fault, causes };
        let error = SharesError::NotChanged(Box::new(SharesError::Tpm(TpmmgrError::Refused(refusal))));
        let now = Instant::now();
        let third = (0..3).fold(None, |last, _| Some(Pause::after(last, now, &error)));
        third.and_then(|pause| pause.again).expect("it is tried again") - now
    }

    /// A TPM that was silent is asked again soon, however often it was; one that is full more seldom each time, for a try writes to its NV.
    #[test]
    fn by_what_failed_it_is_tried_again_soon_or_more_and_more_seldom() {
        assert_eq!(third_pause(TpmFault::Silent), FIRST_PAUSE);
        for fault in [TpmFault::NvFull, TpmFault::Occupied, TpmFault::Forbidden, TpmFault::Other] {
            assert_eq!(third_pause(fault), 4 * FIRST_PAUSE, "{fault:?}");
        }
    }
}
