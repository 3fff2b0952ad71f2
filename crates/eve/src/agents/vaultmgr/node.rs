//! Steps of the node's own, for all vaults: planned, taken, and when one failed tried again after a pause. The change of a generation takes
//! the TPM some seconds at most, and orders wait for it; nothing is done here while nothing was dropped.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use vault::belief::{About, Heard};
use vault::condition::{TableSeen, TpmSeen};
use vault::ids::VaultId;
use vault::plan::{Hold, Known, NodeStep, plan};
use vault::shares::Dropped;

use crate::agents::vaultmgr::generation::roots::Tpmmgr;
use crate::agents::vaultmgr::generation::shares::ShareStore;
use crate::agents::vaultmgr::hands::crypt::Crypt;
use crate::agents::vaultmgr::manager::Manager;

/// A TPM that is full or locked out does not change soon, and each try writes to its NV.
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
    fn after(last: Option<Self>, now: Instant) -> Self {
        let pause = last.map_or(FIRST_PAUSE, |last| last.next);
        Self { again: Some(now + pause), next: (pause * 2).min(LONGEST_PAUSE) }
    }
}

impl<C: Crypt, T: Tpmmgr> Manager<C, T> {
    /// Whether a step of the node's own failed a short while ago.
    pub(super) fn is_set_back(&self) -> bool {
        self.node_again().is_some()
    }

    /// When it is tried again.
    pub(super) fn node_again(&self) -> Option<Instant> {
        self.node_setback.and_then(|pause| pause.again)
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

    /// Takes the steps of the node's own, until none is due. An error was told; it is one to the caller where vaults waited for the step.
    pub(super) fn settle_node(&mut self) -> Result<(), String> {
        let mut begun = Ok(());
        for _ in 0..MAX_STEPS {
            let Some(step) = self.node_step() else { break };
            let done = self.act_for_node(&step);
            if let NodeStep::BeginTable { .. } = step {
                begun = done;
            }
        }
        self.tell_hold();
        begun
    }

    /// Costs a look at every vault, so only where there may be one.
    fn node_step(&mut self) -> Option<NodeStep> {
        let past = self.node().past;
        let may_be = self.node().table_lost() || past.dropped || past.others || past.rescued;
        if !may_be || self.is_set_back() {
            self.hold = match self.node().tpm {
                TpmSeen::Unknown => Some(Hold::Tpm),
                TpmSeen::Present { table: TableSeen::Lost, .. } => Some(Hold::Table),
                _ => may_be.then_some(Hold::Retry),
            };
            return None;
        }
        let all = self.everything();
        all.iter().for_each(|id| self.look(*id));
        let known: BTreeMap<VaultId, Known> = all.into_iter().map(|id| (id, self.known(id))).collect();
        let plan = plan(self.belief.desired(), &known, &self.node());
        self.hold = plan.hold;
        plan.node
    }

    fn act_for_node(&mut self, step: &NodeStep) -> Result<(), String> {
        let generation = self.shares.as_ref().and_then(ShareStore::generation);
        tracing::info!(?step, ?generation, "step of the node's own");
        match self.execute_for_node(step) {
            Ok(()) => {
                self.node_setback = None;
                self.notes.settle(About::Roots);
                self.hear(Heard::Tpm(self.roots(), None));
                Ok(())
            }
            Err(error) => {
                let words = crate::agents::vaultmgr::chain(&error);
                self.node_setback = Some(Pause::after(self.node_setback, Instant::now()));
                self.notes.tell(About::Roots, words.clone());
                Err(words)
            }
        }
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
