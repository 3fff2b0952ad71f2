//! Orders of root on the node, carried out: open, lock, make anew. Which is taken, what it gives up and what has become of it is said by
//! [`vault::ordered`]; here is what it is asked with, what is done, and the words.

use std::collections::BTreeSet;
use std::time::Duration;

use vault::condition::Dir;
use vault::ids::{Name, VaultId};
use vault::ordered::{
    Awaited, Became, GivesUp, Hope, NotMadeAnew, Now, OrderKind, Ordered, ToMakeAnew, Untaken, taken,
};
use vault::plan::Next;
use vault::report::VaultReport;
use vault::secret::RecoveryKey;
use vault::wanted::Wish;

use crate::agents::vaultmgr::belief::locks;
use crate::agents::vaultmgr::chain;
use crate::agents::vaultmgr::hands::crypt::Crypt;
use crate::agents::vaultmgr::manager::Manager;
use crate::agents::vaultmgr::telling::Touched;
use crate::agents::vaultmgr::vault::seeking::SOUGHT;
use crate::bus::messages::OrderError;

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

    /// What it is for.
    pub(crate) fn kind(&self) -> OrderKind {
        match self {
            Self::Unlock(_) => OrderKind::Unlock,
            Self::Lock(_) => OrderKind::Lock,
            Self::Recover(..) => OrderKind::Recover,
            Self::Recreate(..) => OrderKind::Recreate,
        }
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
        let went = self.disk_went();
        taken(order.kind(), order.about(), ago, went.is_some()).map_err(|why| match why {
            Untaken::DiskAway => OrderError::DiskAway { words: went.unwrap_or_default() },
            Untaken::OutOfDate => OrderError::OutOfDate,
            Untaken::ConfigInUse => OrderError::ConfigInUse,
        })?;
        match order {
            Order::Unlock(id) => self.unlock_pausing(*id, between),
            Order::Lock(id) => self.lock_given(*id, ago),
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
        let done = self.obey(order, ago, between);
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
        self.try_now(id, between);
        let report = self.has_become(id, Ordered::Open, Duration::ZERO)?;
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

    /// What has become of what was ordered of a vault so long ago.
    ///
    /// # Errors
    /// [`OrderError::UnderWay`]: it goes on by itself. [`OrderError::NotDone`]: the vault came to rest otherwise. [`OrderError::DiskAway`]: nothing comes
    /// of it before the disk is back, and whoever ordered need not wait.
    pub(crate) fn has_become(
        &self,
        id: VaultId,
        wanted: Ordered,
        ago: Duration,
    ) -> Result<VaultReport, OrderError> {
        let report = self.report(id);
        match self.now(&report).became(wanted, ago) {
            Became::AsOrdered => Ok(report),
            Became::UnderWay(awaited) => {
                Err(OrderError::UnderWay { progress: self.awaited(id, wanted, awaited) })
            }
            Became::NotDone => Err(self.advised(id, not_done(report, wanted))),
            Became::NoTable => Err(OrderError::NotDone {
                name: report.name,
                wanted,
                why: self.node_error.as_ref().map(|error| chain(error)).unwrap_or_default(),
                advice: LIST.to_owned(),
            }),
            Became::DiskAway => Err(OrderError::DiskAway { words: self.disk_went().unwrap_or_default() }),
        }
    }

    /// With what to do about that which the vault waits for.
    fn advised(&self, id: VaultId, error: OrderError) -> OrderError {
        let (_, Next::Wait(wait)) = self.ask(id) else { return error };
        match (error, wait.advice()) {
            (OrderError::NotDone { name, wanted: Ordered::Open, why, .. }, Some(advice))
                if wait.is_for_pcrs() || why == wait.to_string() =>
            {
                OrderError::NotDone { name, wanted: Ordered::Open, why, advice: advice.to_owned() }
            }
            (error, _) => error,
        }
    }

    fn now(&self, report: &VaultReport) -> Now {
        let id = report.id;
        Now {
            state: report.state,
            is_open: report.opened.is_some(),
            works: self.jobs.progress(id).is_some(),
            ends: self.jobs.is_ending(id),
            seeks: self.jobs.seeks(id),
            is_plain: id.is_default() && self.known(id).seen.dir == Dir::Plain,
            under_another: self.is_under_another(id),
            asks_tpm: self.desk.is_out(),
            table_lost: self.node().table_lost(),
            node_failed: self.node_error.is_some(),
            disk_went: self.disk_went().is_some(),
        }
    }

    fn awaited(&self, id: VaultId, wanted: Ordered, awaited: Awaited) -> String {
        let work = || {
            let work = self.jobs.progress(id);
            work.map(|(act, how_far)| format!("{}: {how_far}", act.step.kind())).unwrap_or_default()
        };
        match (awaited, wanted) {
            (Awaited::Work, Ordered::Locked) => format!("plain files are there until then; {}", work()),
            (Awaited::Work, _) => work(),
            (Awaited::End, _) => {
                format!("its long work is asked to end, and has files of it open; {}", work())
            }
            (Awaited::Tpm, _) => ASKED.to_owned(),
            (Awaited::Holders, _) => SOUGHT.to_owned(),
        }
    }

    pub(super) fn unless_disk_went(&self) -> Result<(), OrderError> {
        self.disk_went().map_or(Ok(()), |words| Err(OrderError::DiskAway { words }))
    }

    /// It is taken as far as it goes, which is to be open, whether a list wants that or not.
    pub(crate) fn open_now(
        &mut self,
        id: VaultId,
        between: Between<'_, C>,
    ) -> Result<VaultReport, OrderError> {
        self.try_now(id, between);
        let report = self.report(id);
        match self.now(&report).recovered() {
            Became::AsOrdered => Ok(report),
            _ => Err(not_done(report, Ordered::Open)),
        }
    }

    /// A lock is one step: nothing comes between.
    pub(crate) fn lock_given(&mut self, id: VaultId, ago: Duration) -> Result<VaultReport, OrderError> {
        self.known_here(id)?;
        self.belief.orders().lock(id);
        let kept = self.keep_locks();
        self.try_now(id, &mut |_| ());
        match self.has_become(id, Ordered::Locked, ago) {
            Err(error @ OrderError::NotDone { .. }) => Err(error),
            told => kept.and(told),
        }
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
        // Nothing is given up that opens by now: what it lacked may have been put back.
        self.look_closely(id);
        self.settle_pausing(id, &mut *between);
        let gives_up = self.to_make_anew(id).gives_up(hope).map_err(|why| not_made_anew(why, known_as))?;
        let before = self.hopeless.clone();
        match gives_up {
            GivesUp::Nothing => {}
            GivesUp::WhatStandsShut => {
                self.hopeless.give_up(id, false);
                self.belief.orders().replace(id);
            }
            GivesUp::WhatMayComeBack { table } => self.hopeless.give_up(id, table),
        }
        let answer = self.make_anew(id, between);
        if matches!(answer, Err(OrderError::NotDone { .. })) {
            self.hopeless = before;
        }
        answer
    }

    fn to_make_anew(&self, id: VaultId) -> ToMakeAnew {
        ToMakeAnew {
            state: self.report(id).state,
            under_another: self.is_under_another(id),
            of_another_tpm: self.may_be_anothers(),
            in_escrow: self.is_in_escrow(id),
            table_lost: self.node().table_lost(),
        }
    }

    fn is_under_another(&self, id: VaultId) -> bool {
        let tried = || self.known(id).keys.any();
        matches!(self.ask(id).1, Next::Wait(wait) if wait.is_under_another(tried()))
    }

    fn make_anew(&mut self, id: VaultId, between: Between<'_, C>) -> Result<VaultReport, OrderError> {
        self.belief.orders().recreate(id);
        (self.node_setback, self.node_error) = (None, None);
        self.settle_node(&mut *between);
        self.try_now(id, between);
        let answer = self.has_become(id, Ordered::MadeAnew, Duration::ZERO);
        self.leave_order(id);
        answer
    }

    /// A vault came to rest, unless a job or the TPM is waited for. An order to make it anew holds no longer: what goes missing later is not made without another.
    pub(crate) fn leave_order(&mut self, id: VaultId) {
        if self.now(&self.report(id)).is_at_rest() {
            self.belief.orders().leave(id);
        }
    }

    fn try_now(&mut self, id: VaultId, between: Between<'_, C>) {
        self.slots.entry(id).or_default().afresh();
        self.settle_pausing(id, between);
    }

    pub(crate) fn known_here(&self, id: VaultId) -> Result<(), OrderError> {
        let known = id.is_default()
            || self.slots.contains_key(&id)
            || self.belief.desired().vaults().any(|listed| listed == id);
        known.then_some(()).ok_or(OrderError::Unknown(id))
    }
}

fn not_made_anew(why: NotMadeAnew, name: Name) -> OrderError {
    match why {
        NotMadeAnew::NotMissing => OrderError::NotMissing(name),
        NotMadeAnew::UnderAnotherKey => OrderError::UnderAnotherKey(name),
        NotMadeAnew::OtherTpm => OrderError::OtherTpm(name),
        NotMadeAnew::InEscrow => OrderError::InEscrow(name),
        NotMadeAnew::ShutInEscrow => OrderError::ShutInEscrow(name),
    }
}

fn not_done(report: VaultReport, wanted: Ordered) -> OrderError {
    let error = report.last.and_then(|last| last.error);
    let why = error.or(report.detail.into_iter().next());
    let why = why.unwrap_or_else(|| format!("it is {}", report.state));
    OrderError::NotDone { name: report.name, wanted, why, advice: LIST.to_owned() }
}

/// What to do where no more is known.
const LIST: &str = "see `eve vault list`";
