//! Orders of root on the node: open, lock, make anew. They only take away from what the controller wants, or mend what is missing.

use vault::ids::{Name, VaultId};
use vault::plan::Wish;
use vault::report::VaultReport;
use vault::section::Operation;

use super::crypt::Crypt;
use super::manager::Manager;
use super::roots::Tpmmgr;

/// Why an order of root on the node was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OrderError {
    /// No such vault.
    #[error("no vault {0} is known on this node; see `eve vault list`")]
    Unknown(VaultId),
    /// The controller's lock.
    #[error("the controller wants vault {0} locked; change its policy there")]
    LockedByController(VaultId),
    /// The name does not match.
    #[error("this is not the name of vault {0}; type its name twice")]
    OtherName(VaultId),
}

impl<C: Crypt, T: Tpmmgr> Manager<C, T> {
    /// Root on the node: open a vault, if the controller does not want it locked.
    pub(crate) fn order_unlock(&mut self, id: VaultId) -> Result<VaultReport, OrderError> {
        self.listed_here(id)?;
        self.desired.held.remove(&id);
        if let Wish::Keep(want) = self.ask(id).0
            && want.operation == Operation::Lock
        {
            return Err(OrderError::LockedByController(id));
        }
        self.try_now(id)
    }

    /// Root on the node: lock a vault until it is ordered open again or this life ends.
    pub(crate) fn order_lock(&mut self, id: VaultId) -> Result<VaultReport, OrderError> {
        self.listed_here(id)?;
        self.desired.held.insert(id, Operation::Lock);
        self.try_now(id)
    }

    /// Root on the node: make a missing vault anew, empty.
    pub(crate) fn order_recreate(&mut self, id: VaultId, name: &Name) -> Result<VaultReport, OrderError> {
        self.listed_here(id)?;
        if self.desired.name(id) != *name {
            return Err(OrderError::OtherName(id));
        }
        self.desired.recreate.insert(id);
        let report = self.try_now(id);
        self.desired.recreate.remove(&id);
        report
    }

    fn try_now(&mut self, id: VaultId) -> Result<VaultReport, OrderError> {
        self.slots.entry(id).or_default().afresh();
        self.settle(id);
        Ok(self.report(id))
    }

    fn listed_here(&self, id: VaultId) -> Result<(), OrderError> {
        let known = id.is_default()
            || self.slots.contains_key(&id)
            || self.desired.vaults().any(|listed| listed == id);
        known.then_some(()).ok_or(OrderError::Unknown(id))
    }
}
