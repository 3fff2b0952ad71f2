//! Orders of root on the node: open, lock, make anew. They only take away from what the controller wants, or mend what is missing.

use std::collections::BTreeSet;
use std::time::Duration;

use vault::ids::{CONFIG_VAULT, Name, VaultId};
use vault::report::{State, VaultReport};
use vault::secret::RecoveryKey;
use vault::wanted::Wish;

use crate::agents::vaultmgr::belief::locks;
use crate::agents::vaultmgr::generation::roots::Tpmmgr;
use crate::agents::vaultmgr::hands::crypt::Crypt;
use crate::agents::vaultmgr::manager::Manager;
use crate::agents::vaultmgr::telling::Touched;
use crate::bus::messages::{Hope, OrderError, Ordered};

/// The longest that an order may have waited: then whoever gave it has given up, or is about to (after 120 s).
pub(crate) const GIVEN_UP: Duration = Duration::from_secs(110);

/// How far an order is that waits for the TPM.
const ASKED: &str = "the TPM is asked, and has not answered yet";

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

impl<C: Crypt, T: Tpmmgr> Manager<C, T> {
    /// Carries an order out that was given so long ago. Afterwards the vault is as ordered, or the error says why it is not.
    pub(crate) fn obey(&mut self, order: &Order, ago: Duration) -> Result<VaultReport, OrderError> {
        if ago >= GIVEN_UP {
            return Err(OrderError::OutOfDate);
        }
        match order {
            Order::Unlock(id) => self.order_unlock(*id),
            Order::Lock(CONFIG_VAULT) => Err(OrderError::ConfigInUse),
            Order::Lock(id) => self.order_lock(*id),
            Order::Recover(id, key) => self.order_recover(*id, key),
            Order::Recreate(id, name, hope) => self.order_recreate(*id, name, *hope),
        }
    }

    /// The same, and of which vaults something may be new by it.
    pub(crate) fn obey_telling(
        &mut self,
        order: &Order,
        ago: Duration,
    ) -> (Result<VaultReport, OrderError>, Touched) {
        let (Order::Unlock(id) | Order::Lock(id) | Order::Recover(id, _) | Order::Recreate(id, ..)) = *order;
        let (learned, mut ids) = (self.learned, self.with_same_key(id));
        let went = self.disk_went().filter(|_| !matches!(order, Order::Lock(_)));
        let done = went.map_or_else(|| self.obey(order, ago), |words| Err(OrderError::DiskAway { words }));
        ids.extend(self.with_same_key(id));
        let more = id.is_default() || self.learned != learned || matches!(order, Order::Recreate(..));
        let touched = if more { Touched::All } else { Touched::Some(ids.into_iter().collect()) };
        (done, touched)
    }

    /// A vault, and those whose key files or directory name its key.
    fn with_same_key(&self, id: VaultId) -> BTreeSet<VaultId> {
        self.sharing_key(id).chain([id]).collect()
    }

    pub(crate) fn order_unlock(&mut self, id: VaultId) -> Result<VaultReport, OrderError> {
        self.known_here(id)?;
        let kept = self.release(id)?;
        self.read_missing_root();
        let opened = self.opened_now(id);
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
    /// [`OrderError::UnderWay`]: it has not answered. [`OrderError::NotDone`]: the vault came to rest otherwise.
    pub(crate) fn opened(&self, id: VaultId) -> Result<VaultReport, OrderError> {
        self.unless_asked(done(self.report(id), Ordered::Open, |state| state == State::Unlocked))
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
    pub(crate) fn opened_now(&mut self, id: VaultId) -> Result<VaultReport, OrderError> {
        done(self.try_now(id), Ordered::Open, |state| state == State::Unlocked)
    }

    pub(crate) fn order_lock(&mut self, id: VaultId) -> Result<VaultReport, OrderError> {
        self.known_here(id)?;
        self.belief.orders().lock(id);
        let kept = self.keep_locks();
        // Files that are still open are no failure: it is locked when they are closed.
        let report = done(self.try_now(id), Ordered::Locked, |state| state != State::Unlocked)?;
        kept.map(|()| report)
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

    pub(crate) fn order_recreate(
        &mut self,
        id: VaultId,
        name: &Name,
        hope: Hope,
    ) -> Result<VaultReport, OrderError> {
        self.known_here(id)?;
        let known_as = self.belief.desired().name(id);
        if known_as != *name {
            return Err(OrderError::OtherName(known_as));
        }
        if is_there(self.report(id).state) {
            return Err(OrderError::NotMissing(known_as));
        }
        let before = self.hopeless.clone();
        match hope {
            Hope::Kept => self.unless_in_escrow(id)?,
            Hope::GivenUp => self.hopeless.give_up(id, self.node().table_lost()),
        }
        let answer = self.make_anew(id);
        if matches!(answer, Err(OrderError::NotDone { .. })) {
            self.hopeless = before;
        }
        answer
    }

    fn make_anew(&mut self, id: VaultId) -> Result<VaultReport, OrderError> {
        self.belief.orders().recreate(id);
        (self.node_setback, self.node_error) = (None, None);
        self.settle_node();
        self.try_now(id);
        let answer = self.made_anew(id);
        self.leave_order(id);
        answer
    }

    /// What has become of an order to make a vault anew.
    ///
    /// # Errors
    /// [`OrderError::UnderWay`]: its files are being deleted, and then it goes on. [`OrderError::NotDone`]: it came to rest otherwise.
    pub(crate) fn made_anew(&self, id: VaultId) -> Result<VaultReport, OrderError> {
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
            (None, None) => done(self.report(id), Ordered::MadeAnew, is_there),
        }
    }

    /// A vault came to rest, unless a job or the TPM is waited for. An order to make it anew holds no longer: what goes missing later is not made without another.
    pub(crate) fn leave_order(&mut self, id: VaultId) {
        if self.jobs.progress(id).is_none() && !self.waits_for_table() {
            self.belief.orders().leave(id);
        }
    }

    fn try_now(&mut self, id: VaultId) -> VaultReport {
        self.slots.entry(id).or_default().afresh();
        self.settle(id);
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
