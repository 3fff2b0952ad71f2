//! What vaultmgr remembers of one vault in this life: what was seen, the protector's own key while the vault is open, the last
//! operation, and when to try again what failed.

use std::time::{Duration, Instant};

use vault::condition::{Key, Keys, OpenedBy, Seen, State};
use vault::custody::{EpochMark, Wrapping};
use vault::escrow::hope::KeyFilesSeen;
use vault::ids::{Epoch, VaultId};
use vault::plan::{Act, Known, Next, Op, Setbacks, StepKind};
use vault::report::{By, Opened, Outcome, Remembered};
use vault::section::BySeal;
use vault::shares::Mark;
use vault::space::Space;

use crate::agents::vaultmgr::chain;
use crate::agents::vaultmgr::hands::crypt::KeyId;
use crate::agents::vaultmgr::hands::tree::RECOUNT;
use crate::agents::vaultmgr::vault::busy::Busy;
use crate::agents::vaultmgr::vault::execute::StepError;
use crate::agents::vaultmgr::vault::naming::Naming;
use crate::agents::vaultmgr::vault::observe::Sight;

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Whether all that is in a vault was put into its project in this life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Count {
    /// Not yet.
    Due,
    /// All.
    Done,
    /// All but what could not be; from then on it is tried again.
    Later(Instant),
}

/// One vault.
#[derive(Debug)]
pub(crate) struct VaultMemory<P> {
    /// Set by [`Self::see`] alone, which keeps [`Naming`] in step.
    sight: Sight,
    /// It was not observed yet, or could not be when that was tried last: nothing is planned by what was seen before.
    pub(crate) unseen: bool,
    pub(crate) held: Option<(P, OpenedBy)>,
    /// The recovery protector's own key, and the content key that it gives: root gave its recovery key in this life.
    pub(crate) recovered: Option<(P, KeyId)>,
    /// Which keys of the controller's, by epoch, opened it or were put around it.
    pub(crate) held_by: Vec<(Epoch, EpochMark)>,
    pub(crate) none_fits: bool,
    /// As [`Keys::leads_to_damage`]: of the time when none fitted.
    pub(crate) leads_to_damage: bool,
    pub(crate) last: Option<Outcome>,
    /// By what its protector's key came to hand.
    opened: Option<Opened>,
    /// What was left of it was discarded by an order to make it anew, and it is not made yet.
    anew: bool,
    /// The operation whose steps were done since the vault last came to rest.
    under_way: Option<Op>,
    /// Facts for the status: who holds files, what could not be observed.
    pub(crate) facts: Vec<String>,
    /// Who holds files of it, since it does not lock; nothing before that was looked for.
    holders: Option<Vec<String>>,
    /// What of it is on the disk in the clear though it is in the vault.
    pub(crate) left: Vec<String>,
    /// Of its files, to its storage limit.
    pub(crate) count: Count,
    /// What of it is not counted, in words.
    uncounted: Vec<String>,
    /// The long step that a job is at work on.
    pub(crate) job: Option<StepKind>,
    /// The step that waits for that job's end, which was asked for; and when it is tried all the same.
    awaits: Option<(StepKind, Instant)>,
    pub(crate) setbacks: Setbacks,
    again: Option<Instant>,
    pause: Duration,
    /// A lock of it is not complete; nothing while its key is there, or gone for good.
    busy: Option<Busy>,
    /// It was open or locked as wanted when it was taken last.
    rests: bool,
}

impl<P> Default for VaultMemory<P> {
    fn default() -> Self {
        Self {
            sight: Sight::default(),
            unseen: true,
            held: None,
            recovered: None,
            held_by: Vec::new(),
            none_fits: false,
            leads_to_damage: false,
            last: None,
            opened: None,
            anew: false,
            under_way: None,
            facts: Vec::new(),
            holders: None,
            left: Vec::new(),
            count: Count::Due,
            uncounted: Vec::new(),
            job: None,
            awaits: None,
            setbacks: Setbacks::default(),
            again: None,
            pause: FIRST_PAUSE,
            busy: None,
            rests: false,
        }
    }
}

impl<P> VaultMemory<P> {
    /// What was seen last.
    pub(crate) fn sight(&self) -> &Sight {
        &self.sight
    }

    /// It was observed.
    pub(crate) fn see(&mut self, id: VaultId, sight: Sight, naming: &mut Naming) {
        naming.change(id, self.sight.key, sight.key);
        self.sight = sight;
        self.is_busy_no_more();
    }

    /// Its key is about to be in the kernel, or the kernel said how it is: so it stands until it is asked for.
    pub(crate) fn key_is(&mut self, key: Key) {
        self.sight.seen.key = key;
        self.is_busy_no_more();
    }

    /// Once the kernel holds none of its files any more, or has its key again. The lock that was not complete is, where the last of them was closed.
    fn is_busy_no_more(&mut self) {
        let key = self.sight.seen.key;
        if let Some(busy) = self.busy.take_if(|_| key != Key::Incomplete)
            && key == Key::Absent
        {
            self.done(busy.op);
        }
    }

    /// The content key's identifier, as far as it is known.
    pub(crate) fn key(&self) -> Option<KeyId> {
        self.sight.key
    }

    /// Forgets the protector's own key; what was tried on the metadata is open again.
    pub(crate) fn forget(&mut self) {
        (self.held, self.recovered) = (None, None);
        self.none_fits = false;
    }

    /// Its metadata was made under `wrapping`: by an order to have it anew, or for the first time.
    pub(crate) fn made(&mut self, wrapping: Wrapping) {
        let by = if std::mem::take(&mut self.anew) { By::Recreated } else { By::of(wrapping) };
        self.opened = Some(Opened { by });
    }

    /// Its metadata opened under `wrapping`. What its recovery key opened before stays told as that.
    pub(crate) fn opened(&mut self, wrapping: Wrapping) {
        if self.recovered.is_none() {
            self.opened = Some(Opened { by: By::of(wrapping) });
        }
    }

    /// Root gave its recovery key; the keys of its custody are tried anew. Open already, it stays told as it was opened.
    pub(crate) fn recover(&mut self, protector: P, key: KeyId) {
        if self.sight.seen.state() != State::Unlocked {
            self.opened = Some(Opened { by: By::RecoveryKey });
        }
        self.forget();
        self.recovered = Some((protector, key));
    }

    /// What a report tells of this life.
    pub(crate) fn remembered(&self) -> Remembered {
        Remembered { last: self.last.clone(), opened: self.opened.clone() }
    }

    /// What is seen of it without a closer look. Made anew by an order, what it lacks was discarded.
    pub(crate) fn glance(&self) -> KeyFilesSeen {
        let has_files = self.sight.seen.has_metadata();
        KeyFilesSeen { has_files, none_fits: self.none_fits, discarded: self.anew }
    }

    /// A step of an operation was done.
    pub(crate) fn done(&mut self, op: Op) {
        self.anew |= op == Op::Recreate;
        self.under_way = Some(op);
    }

    /// A step failed: it is tried again after a pause that doubles, 1 s to 60 s.
    pub(crate) fn failed(&mut self, act: &Act, error: String, now: Instant) {
        self.last = Some(Outcome { operation: act.op.to_string(), error: Some(error) });
        self.under_way = None;
        self.setbacks.insert(act.step.kind());
        self.again = Some(now + self.pause);
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }

    /// Its key is out of the kernel, and files of it are open. The rest of the lock is tried again after a pause that doubles, 1 s to 60 s.
    pub(crate) fn is_busy(&mut self, act: &Act, error: String, now: Instant) {
        self.last = Some(Outcome { operation: act.op.to_string(), error: Some(error) });
        self.under_way = None;
        self.busy = Some(Busy::after(self.busy, act.op, now));
    }

    fn waits_for_holders(&self) -> bool {
        self.busy.is_some_and(|busy| busy.again().is_some())
    }

    /// A step waits for the end of its long work, which is about to come. That is no failure.
    pub(crate) fn waits_for_job(&mut self, step: StepKind, until: Instant) {
        self.awaits = Some((step, until));
    }

    /// Its long work is over.
    pub(crate) fn job_is_over(&mut self) {
        (self.job, self.awaits) = (None, None);
    }

    /// It does not lock, and these hold files of it. How the lock failed is told by them too.
    pub(crate) fn held_by(&mut self, holders: Vec<String>) {
        let before = chain(&self.held_error());
        self.facts.clone_from(&holders);
        self.holders = Some(holders);
        let now = chain(&self.held_error());
        let told = self.last.as_mut().and_then(|last| last.error.as_mut()).filter(|told| **told == before);
        told.into_iter().for_each(|told| told.clone_from(&now));
    }

    /// It does not lock, and by whom is not known; who was found before stands.
    pub(crate) fn held_by_whom(&mut self, words: &str) {
        if self.holders.is_none() {
            self.facts = vec![words.to_owned()];
        }
    }

    /// Nobody holds it any longer.
    pub(crate) fn held_by_none(&mut self) {
        self.holders = None;
    }

    /// Why it is not locked.
    pub(crate) fn held_error(&self) -> StepError {
        let busy = |holders: &Vec<String>| StepError::Busy { holders: holders.clone() };
        self.holders.as_ref().map_or(StepError::Held, busy)
    }

    /// Everything may be tried anew: something outside changed.
    pub(crate) fn afresh(&mut self) {
        self.setbacks = Setbacks::default();
        self.again = None;
        self.pause = FIRST_PAUSE;
        self.busy.iter_mut().for_each(Busy::afresh);
    }

    /// Lets what failed be tried again when its pause is over. Says whether it is.
    pub(crate) fn due(&mut self, now: Instant) -> bool {
        let due = self.again.is_some_and(|again| again <= now);
        if due {
            self.setbacks = Setbacks::default();
            self.again = None;
        }
        let busy = self.busy.as_mut().is_some_and(|busy| busy.due(now));
        let waited = self.awaits.take_if(|(_, until)| *until <= now).is_some();
        let recount = matches!(self.count, Count::Later(then) if then <= now);
        if recount {
            self.count = Count::Due;
        }
        due || busy || recount || waited
    }

    /// When something is to be tried again.
    pub(crate) fn again(&self) -> Option<Instant> {
        let recount = if let Count::Later(then) = self.count { Some(then) } else { None };
        let waits = self.awaits.map(|(_, until)| until);
        let busy = self.busy.and_then(Busy::again);
        self.again.into_iter().chain(busy).chain(recount).chain(waits).min()
    }

    /// Its files were put into its project, but for what the words say. It is no failure: nothing else waits for it.
    pub(crate) fn counted(&mut self, uncounted: Vec<String>, now: Instant) {
        self.count = if uncounted.is_empty() { Count::Done } else { Count::Later(now + RECOUNT) };
        self.uncounted = uncounted;
    }

    /// What is not counted to the limit that is in force.
    pub(crate) fn uncounted(&self) -> &[String] {
        if self.sight.seen.space.limit.is_some() { &self.uncounted } else { &[] }
    }

    /// Nothing failed since: the next pause is a short one again. What was under way has succeeded only then, and where the vault is
    /// as it was to be: one that waits for a key in the middle of its making is not made.
    pub(crate) fn at_rest(&mut self, next: &Next) {
        let quiet = |state| matches!(state, State::Unlocked | State::Locked);
        self.rests = matches!(next, Next::Settled(settled) if quiet(settled.state));
        if !self.setbacks.is_empty() || self.waits_for_holders() || self.job.is_some() {
            return;
        }
        self.pause = FIRST_PAUSE;
        let missed = |state| matches!(state, State::Failed | State::Missing);
        let reached = matches!(next, Next::Settled(settled) if !missed(settled.state));
        if let Some(op) = self.under_way.take_if(|_| reached) {
            self.last = Some(Outcome { operation: op.to_string(), error: None });
            self.anew = false;
        }
    }

    /// Whether nothing is to be done of it, and nothing awaited, unless something outside changes.
    pub(crate) fn rests(&self) -> bool {
        self.rests && !self.unseen && self.setbacks.is_empty() && self.job.is_none() && self.facts.is_empty()
    }

    /// `mark` tells the controller's key of an epoch that is at hand now.
    pub(crate) fn known(
        &self,
        keys: Keys,
        shares: BySeal<Option<Mark>>,
        mark: impl Fn(Epoch) -> Option<EpochMark>,
    ) -> Known {
        let same = |epoch| mark(epoch).map(|now| self.held_by.contains(&(epoch, now)));
        let held = self.held.as_ref().map(|(_, held)| held.proved(same));
        // By it nothing is opened but the vault whose key it is.
        let recovered = self.recovered.as_ref().is_some_and(|(_, key)| Some(*key) == self.key());
        let (none_fits, leads_to_damage) = (self.none_fits, self.leads_to_damage);
        let keys = Keys { held, none_fits, leads_to_damage, recovered, ..keys };
        let space = Space { uncounted: self.count == Count::Due, ..self.sight.seen.space };
        let seen = Seen { shares, space, ..self.sight.seen };
        // One that was not looked at yet is looked at before anything is done.
        let unseen = self.unseen && !self.facts.is_empty();
        let under_way = self.job.into_iter().chain(self.awaits.map(|(step, _)| step));
        let mut setbacks = self.setbacks.with_under_way(under_way);
        if self.waits_for_holders() {
            setbacks.insert(StepKind::Lock);
        }
        Known { seen, keys, setbacks, unseen, hoped: false }
    }
}

#[cfg(test)]
mod tests;
