//! Orders of root on the node: open, lock, make anew. They only take away from what the controller wants, or mend what is missing.

use std::time::Duration;

use vault::ids::{CONFIG_VAULT, Name, VaultId};
use vault::plan::Wish;
use vault::report::{State, VaultReport};
use vault::section::Operation;

use super::crypt::Crypt;
use super::manager::Manager;
use super::roots::Tpmmgr;

/// The longest that an order may have waited: then whoever gave it has given up, or is about to (after 120 s).
const GIVEN_UP: Duration = Duration::from_secs(110);

/// An order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Order {
    /// Open it, if the controller does not want it locked.
    Unlock(VaultId),
    /// Lock it until it is ordered open again or this life ends.
    Lock(VaultId),
    /// Make it anew, empty: it is missing. Its name, as root typed it.
    Recreate(VaultId, Name),
}

/// Why an order of root on the node was refused, or not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OrderError {
    /// Nobody waits for it any more.
    #[error(
        "vaultmgr was busy for so long that the order is out of date, and nothing was done; give it again"
    )]
    OutOfDate,
    /// No such vault.
    #[error("no vault {0} is known on this node; see `eve vault list`")]
    Unknown(VaultId),
    /// The controller's lock.
    #[error("the controller wants vault {0} locked; change its policy there")]
    LockedByController(VaultId),
    /// It never could be: zedagent lives in it.
    #[error(
        "the Config Vault is in use by this node's own agents as long as it runs; it is locked when the node is off"
    )]
    ConfigInUse,
    /// The name does not match.
    #[error("this is not the name of vault {0}; type its name twice")]
    OtherName(VaultId),
    /// There is nothing to mend.
    #[error("vault {0} is not missing: nothing was done; to have it empty, delete it at the controller")]
    NotMissing(VaultId),
    /// It was tried.
    #[error("vault {id} is not {wanted}: {why}")]
    NotDone {
        /// Which.
        id: VaultId,
        /// What it was to be.
        wanted: &'static str,
        /// What its status says.
        why: String,
    },
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
            Order::Recreate(id, name) => self.order_recreate(*id, name),
        }
    }

    pub(super) fn order_unlock(&mut self, id: VaultId) -> Result<VaultReport, OrderError> {
        self.known_here(id)?;
        self.desired.held.remove(&id);
        if matches!(self.ask(id).0, Wish::Keep(want) if want.locked()) {
            return Err(OrderError::LockedByController(id));
        }
        done(self.try_now(id), "open", |state| state == State::Unlocked)
    }

    pub(super) fn order_lock(&mut self, id: VaultId) -> Result<VaultReport, OrderError> {
        self.known_here(id)?;
        self.desired.held.insert(id, Operation::Lock);
        // Files that are still open are no failure: it is locked when they are closed.
        done(self.try_now(id), "locked", |state| state != State::Unlocked)
    }

    pub(super) fn order_recreate(&mut self, id: VaultId, name: &Name) -> Result<VaultReport, OrderError> {
        let is_there = |state| matches!(state, State::Unlocked | State::Locked | State::LockIncomplete);
        self.known_here(id)?;
        if self.desired.name(id) != *name {
            return Err(OrderError::OtherName(id));
        }
        if is_there(self.report(id).state) {
            return Err(OrderError::NotMissing(id));
        }
        self.desired.recreate.insert(id);
        let report = self.try_now(id);
        self.desired.recreate.remove(&id);
        done(report, "made anew", is_there)
    }

    fn try_now(&mut self, id: VaultId) -> VaultReport {
        self.slots.entry(id).or_default().afresh();
        self.settle(id);
        self.report(id)
    }

    fn known_here(&self, id: VaultId) -> Result<(), OrderError> {
        let known = id.is_default()
            || self.slots.contains_key(&id)
            || self.desired.vaults().any(|listed| listed == id);
        known.then_some(()).ok_or(OrderError::Unknown(id))
    }
}

fn done(
    report: VaultReport,
    wanted: &'static str,
    is: impl Fn(State) -> bool,
) -> Result<VaultReport, OrderError> {
    if is(report.state) {
        return Ok(report);
    }
    let error = report.last.and_then(|last| last.error);
    let why = error.or(report.detail.into_iter().next()).unwrap_or_else(|| "see `eve vault list`".to_owned());
    Err(OrderError::NotDone { id: report.id, wanted, why })
}
