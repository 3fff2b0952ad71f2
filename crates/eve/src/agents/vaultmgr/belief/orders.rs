//! Orders of root on the node: open, lock, make anew. They only take away from what the controller wants, or mend what is missing.

use std::collections::BTreeSet;
use std::time::Duration;

use vault::condition::Dir;
use vault::ids::{CONFIG_VAULT, Name, VaultId};
use vault::plan::Next;
use vault::report::{State, VaultReport};
use vault::secret::RecoveryKey;
use vault::wanted::Wish;

use crate::agents::vaultmgr::belief::locks;
use crate::agents::vaultmgr::hands::crypt::Crypt;
use crate::agents::vaultmgr::manager::Manager;
use crate::agents::vaultmgr::telling::Touched;
use crate::agents::vaultmgr::vault::seeking::SOUGHT;
use crate::bus::messages::{Hope, OrderError, Ordered};

/// The longest that an order may have waited: then whoever gave it has given up, or is about to (after 120 s).
pub(crate) const GIVEN_UP: Duration = Duration::from_secs(110);

/// How long whoever orders a lock waits to be told who holds files of the vault.
const SOUGHT_FOR: Duration = Duration::from_secs(5);

/// How far an order is that waits for the TPM.
const ASKED: &str = "the TPM is asked, and has not answered yet";

/// What is done after each step of an order: an order to lock another vault waits for no more than one.
pub(crate) type Between<'a, C> = &'a mut dyn FnMut(&mut Manager<C>);

/// An order.
#[derive(Debug)]
pub(crate) enum Order {
    /// Open it, if the controller does not want it locked.
    Unlock(VaultId),
    /// Lock it until it is ordered open again, or the node boots anew.
    Lock(VaultId),
    /// Open it by its recovery key.
    Recover(VaultId, RecoveryKey),
    /// Make it anew, empty: it is missing. Its name, as root typed it.
    Recreate(VaultId, Name, Hope),
}

impl Order {
    /// Which vault it is about.
    pub(crate) fn about(&self) -> VaultId {
        let (Self::Unlock(id) | Self::Lock(id) | Self::Recover(id, _) | Self::Recreate(id, ..)) = self;
        *id
    }
}

impl<C: Crypt> Manager<C> {
    /// Carries an order out that was given so long ago. Afterwards the vault is as ordered, or the error says why it is not.
    pub(crate) fn obey(
        &mut self,
        order: &Order,
        ago: Duration,
        between: Between<'_, C>,
    ) -> Result<VaultReport, OrderError> {
        if ago >= GIVEN_UP {
            return Err(OrderError::OutOfDate);
        }
        match order {
            Order::Unlock(id) => self.unlock_pausing(*id, between),
            Order::Lock(CONFIG_VAULT) => Err(OrderError::ConfigInUse),
            Order::Lock(id) => self.order_lock(*id).and_then(|report| self.unless_sought(report, ago)),
            Order::Recover(id, key) => self.recover_pausing(*id, key, between),
            Order::Recreate(id, name, hope) => self.recreate_pausing((*id, name), *hope, between),
        }
    }

    /// The same, and of which vaults something may be new by it.
    pub(crate) fn obey_telling(
        &mut self,
        order: &Order,
        ago: Duration,
        between: Between<'_, C>,
    ) -> (Result<VaultReport, OrderError>, Touched) {
        let id = order.about();
        let (learned, mut ids) = (self.learned, self.with_same_key(id));
        let may = if matches!(order, Order::Lock(_)) { Ok(()) } else { self.unless_disk_went() };
        let done = may.and_then(|()| self.obey(order, ago, between));
        ids.extend(self.with_same_key(id));
        let more = id.is_default() || self.learned != learned || matches!(order, Order::Recreate(..));
        let touched = if more { Touched::All } else { Touched::Some(ids.into_iter().collect()) };
        (done, touched)
    }

    /// A vault, and those whose key files or directory name its key.
    fn with_same_key(&self, id: VaultId) -> BTreeSet<VaultId> {
        self.sharing_key(id).chain([id]).collect()
    }

    pub(crate) fn unlock_pausing(
        &mut self,
        id: VaultId,
        between: Between<'_, C>,
    ) -> Result<VaultReport, OrderError> {
        self.known_here(id)?;
        let kept = self.release(id)?;
        self.read_missing_root();
        let opened = self.opened_now(id, between);
        let report = self.unless_asked(opened)?;
        kept.map(|()| report)
    }

    /// Root's own lock holds no longer, and whether that is kept.
    ///
    /// # Errors
    /// The controller wants it locked.
    pub(crate) fn release(&mut self, id: VaultId) -> Result<Result<(), OrderError>, OrderError> {
        self.belief.orders().release(id);
        let kept = self.keep_locks();
        self.unless_locked_by_controller(id).map(|()| kept)
    }

    /// # Errors
    /// The controller wants it locked.
    pub(crate) fn unless_locked_by_controller(&self, id: VaultId) -> Result<(), OrderError> {
        let ordered = self.belief.desired().ordered.contains(&id);
        if ordered || matches!(self.ask(id).0, Wish::Keep(want) if want.locked()) {
            return Err(OrderError::LockedByController(self.belief.desired().name(id)));
        }
        Ok(())
    }

    /// What has become of an order to open a vault, which waits for the TPM.
    ///
    /// # Errors
    /// [`OrderError::UnderWay`]: it has not answered. [`OrderError::NotDone`]: the vault came to rest otherwise. [`OrderError::DiskAway`]: nothing comes
    /// of it before the disk is back, and whoever ordered need not wait.
    pub(crate) fn opened(&self, id: VaultId) -> Result<VaultReport, OrderError> {
        self.unless_disk_went()?;
        self.unless_asked(done(self.report(id), Ordered::Open, |state| state == State::Unlocked))
    }

    pub(super) fn unless_disk_went(&self) -> Result<(), OrderError> {
        self.disk_went().map_or(Ok(()), |words| Err(OrderError::DiskAway { words }))
    }

    /// What the TPM is asked may open it yet.
    fn unless_asked(&self, answer: Result<VaultReport, OrderError>) -> Result<VaultReport, OrderError> {
        match answer {
            Err(OrderError::NotDone { .. }) if self.desk.is_out() => {
                Err(OrderError::UnderWay { progress: ASKED.to_owned() })
            }
            answer => answer,
        }
    }

    /// It is taken as far as it goes, which is to be open.
    pub(crate) fn opened_now(
        &mut self,
        id: VaultId,
        between: Between<'_, C>,
    ) -> Result<VaultReport, OrderError> {
        done(self.try_now(id, between), Ordered::Open, |state| state == State::Unlocked)
    }

    /// The same of a vault that no list need want open.
    pub(crate) fn open_now(
        &mut self,
        id: VaultId,
        between: Between<'_, C>,
    ) -> Result<VaultReport, OrderError> {
        let report = self.try_now(id, between);
        let is_open = report.opened.is_some();
        done(report, Ordered::Open, |state| state == State::Unlocked || state == State::Orphan && is_open)
    }

    /// A lock is one step: nothing comes between.
    pub(crate) fn order_lock(&mut self, id: VaultId) -> Result<VaultReport, OrderError> {
        self.known_here(id)?;
        self.belief.orders().lock(id);
        let kept = self.keep_locks();
        // Files that are still open are no failure: it is locked when they are closed.
        let report = done(self.try_now(id, &mut |_| ()), Ordered::Locked, |state| state != State::Unlocked)?;
        kept.and_then(|()| self.unless_plain(id, report))
    }

    /// Plain files in the vault's place are read by whoever may, until they are moved in: then it is locked.
    fn unless_plain(&self, id: VaultId, report: VaultReport) -> Result<VaultReport, OrderError> {
        match self.jobs.progress(id) {
            _ if !id.is_default() || self.known(id).seen.dir != Dir::Plain => Ok(report),
            Some((act, how_far)) => {
                let progress = format!("plain files are there until then; {}: {how_far}", act.step.kind());
                Err(OrderError::UnderWay { progress })
            }
            None => done(report, Ordered::Locked, |_| false),
        }
    }

    /// What has become of an order to lock a vault whose holders were looked for, that long ago.
    ///
    /// # Errors
    /// [`OrderError::UnderWay`]: they are looked for still, and whoever ordered may wait for it. [`OrderError::NotDone`]: it was opened meanwhile.
    pub(crate) fn locked(&self, id: VaultId, ago: Duration) -> Result<VaultReport, OrderError> {
        let report = done(self.report(id), Ordered::Locked, |state| state != State::Unlocked)?;
        self.unless_sought(self.unless_plain(id, report)?, ago)
    }

    fn unless_sought(&self, report: VaultReport, ago: Duration) -> Result<VaultReport, OrderError> {
        let waits = report.state == State::LockIncomplete && ago < SOUGHT_FOR;
        if waits && self.jobs.seeks(report.id) {
            return Err(OrderError::UnderWay { progress: SOUGHT.to_owned() });
        }
        Ok(report)
    }

    /// Takes up what root ordered in an earlier life of this boot.
    ///
    /// # Errors
    /// What was ordered can't be read: nothing may be opened then.
    pub(crate) fn take_up_locks(&mut self) -> std::io::Result<()> {
        self.belief.orders().take_up(locks::read(&self.paths.locks())?);
        Ok(())
    }

    pub(crate) fn keep_locks(&self) -> Result<(), OrderError> {
        let kept = locks::write(self.paths.disk(), &self.paths.locks(), &self.belief.desired().held);
        kept.map_err(|error| OrderError::NotKept { why: error.to_string() })
    }

    pub(crate) fn recreate_pausing(
        &mut self,
        (id, name): (VaultId, &Name),
        hope: Hope,
        between: Between<'_, C>,
    ) -> Result<VaultReport, OrderError> {
        self.known_here(id)?;
        let known_as = self.belief.desired().name(id);
        if known_as != *name {
            return Err(OrderError::OtherName(known_as));
        }
        // Nothing is given up that opens by now.
        self.settle_pausing(id, &mut *between);
        self.unless_it_opens(id, known_as, hope)?;
        let before = self.hopeless.clone();
        match hope {
            // What stands shut is given up, and nothing else: neither a lost table nor, but by its own word, what a bundle may bring back.
            Hope::ShutGivenUp | Hope::AllGivenUp if self.is_under_another(id) => {
                self.unless_shut_in_escrow(id, hope)?;
                self.hopeless.give_up(id, false);
                self.belief.orders().replace(id);
            }
            Hope::Kept | Hope::ShutGivenUp => {
                self.unless_anothers(id).and_then(|()| self.unless_in_escrow(id))?;
            }
            Hope::GivenUp | Hope::AllGivenUp => self.hopeless.give_up(id, self.node().table_lost()),
        }
        let answer = self.make_anew(id, between);
        if matches!(answer, Err(OrderError::NotDone { .. })) {
            self.hopeless = before;
        }
        answer
    }

    /// # Errors
    /// What stands there opens, or would by a key that is not here, and is not given up.
    fn unless_it_opens(&self, id: VaultId, name: Name, hope: Hope) -> Result<(), OrderError> {
        match (is_there(self.report(id).state), self.is_under_another(id)) {
            (true, false) => Err(OrderError::NotMissing(name)),
            (true, true) if !hope.gives_up_what_is_shut() => Err(OrderError::UnderAnotherKey(name)),
            _ => Ok(()),
        }
    }

    fn is_under_another(&self, id: VaultId) -> bool {
        let tried = self.known(id).keys.any();
        matches!(self.ask(id).1, Next::Wait(wait) if wait.is_under_another(tried))
    }

    fn make_anew(&mut self, id: VaultId, between: Between<'_, C>) -> Result<VaultReport, OrderError> {
        self.belief.orders().recreate(id);
        (self.node_setback, self.node_error) = (None, None);
        self.settle_node(&mut *between);
        self.try_now(id, between);
        let answer = self.made_anew(id);
        self.leave_order(id);
        answer
    }

    /// What has become of an order to make a vault anew.
    ///
    /// # Errors
    /// [`OrderError::UnderWay`]: its files are being deleted, and then it goes on. [`OrderError::NotDone`]: it came to rest otherwise.
    /// [`OrderError::DiskAway`]: as for [`Self::opened`].
    pub(crate) fn made_anew(&self, id: VaultId) -> Result<VaultReport, OrderError> {
        self.unless_disk_went()?;
        let not_begun = self.node_error.as_ref().filter(|_| self.node().table_lost());
        match (self.jobs.progress(id), not_begun) {
            (Some((act, how_far)), _) => {
                Err(OrderError::UnderWay { progress: format!("{}: {how_far}", act.step.kind()) })
            }
            (None, _) if self.waits_for_table() => Err(OrderError::UnderWay { progress: ASKED.to_owned() }),
            (None, Some(error)) => Err(OrderError::NotDone {
                name: self.belief.desired().name(id),
                wanted: Ordered::MadeAnew,
                why: crate::agents::vaultmgr::chain(error),
            }),
            // What stood there before is not what was to be made.
            (None, None) => done(self.report(id), Ordered::MadeAnew, |state| {
                is_there(state) && !self.is_under_another(id)
            }),
        }
    }

    /// A vault came to rest, unless a job or the TPM is waited for. An order to make it anew holds no longer: what goes missing later is not made without another.
    pub(crate) fn leave_order(&mut self, id: VaultId) {
        if self.jobs.progress(id).is_none() && !self.waits_for_table() {
            self.belief.orders().leave(id);
        }
    }

    fn try_now(&mut self, id: VaultId, between: Between<'_, C>) -> VaultReport {
        self.slots.entry(id).or_default().afresh();
        self.settle_pausing(id, between);
        self.report(id)
    }

    pub(crate) fn known_here(&self, id: VaultId) -> Result<(), OrderError> {
        let known = id.is_default()
            || self.slots.contains_key(&id)
            || self.belief.desired().vaults().any(|listed| listed == id);
        known.then_some(()).ok_or(OrderError::Unknown(id))
    }
}

fn is_there(state: State) -> bool {
    matches!(state, State::Unlocked | State::Locked | State::LockIncomplete)
}

fn done(report: VaultReport, wanted: Ordered, is: impl Fn(State) -> bool) -> Result<VaultReport, OrderError> {
    if is(report.state) {
        return Ok(report);
    }
    let error = report.last.and_then(|last| last.error);
    let why = error.or(report.detail.into_iter().next()).unwrap_or_else(|| "see `eve vault list`".to_owned());
    Err(OrderError::NotDone { name: report.name, wanted, why })
}
