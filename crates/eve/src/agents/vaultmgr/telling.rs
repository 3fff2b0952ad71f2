//! What is told of the vaults on the bus: all of them, or those alone that an order was about, or that were found otherwise at a look. So an
//! order costs as much with three vaults as with three hundred, and so does a look at which nothing is new.

use std::sync::{Arc, PoisonError, RwLock};

use vault::ids::VaultId;

use crate::agents::vaultmgr::hands::crypt::Crypt;
use crate::agents::vaultmgr::manager::Manager;
use crate::agents::vaultmgr::status::OfNode;
use crate::bus::messages::{VaultChange, VaultStatus};
use crate::bus::{Bus, Change};

/// Of which vaults something may be new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Touched {
    /// Of none.
    Nothing,
    /// Of these.
    Some(Vec<VaultId>),
    /// Of these, and perhaps of the node.
    Found(Vec<VaultId>),
    /// Of all, and of the node.
    All,
}

impl Touched {
    /// Of which something may be new by both.
    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Nothing, touched) | (touched, Self::Nothing) => touched,
            _ => Self::All,
        }
    }
}

/// What was told last.
pub(super) struct Telling {
    bus: Bus,
    /// Read by the bus when it tells somebody the whole.
    told: Arc<RwLock<VaultStatus>>,
    /// Something was told in this life.
    ever: bool,
    /// How the node was when all was told last.
    of_node: Option<OfNode>,
}

impl Telling {
    pub(super) fn new(bus: Bus) -> Self {
        Self { bus, told: Arc::default(), ever: false, of_node: None }
    }

    /// Publishes what is new.
    pub(super) fn tell<C: Crypt>(&mut self, manager: &Manager<C>, touched: &Touched) {
        match touched {
            Touched::Nothing => {}
            Touched::Some(ids) if self.ever && self.knows(ids) => self.tell_change(change(manager, ids)),
            Touched::Found(ids) if self.knows(ids) && self.of_node.as_ref() == Some(&manager.of_node()) => {
                self.tell_change(change(manager, ids));
            }
            Touched::Some(_) | Touched::Found(_) | Touched::All => {
                self.of_node = Some(manager.of_node());
                self.tell_all(manager.vault_status());
            }
        }
    }

    /// Publishes what is new of a default vault before all are taken: others wait for it. That alone, so that whoever passes on what is
    /// told need do so once; but all while no section was known, for zedagent waits for that.
    pub(super) fn tell_default<C: Crypt>(&mut self, manager: &Manager<C>, id: VaultId) {
        let touched = if self.knows_a_section() { Touched::Some(vec![id]) } else { Touched::All };
        self.tell(manager, &touched);
    }

    /// What was told last.
    #[cfg(test)]
    pub(super) fn told(&self) -> VaultStatus {
        self.told.read().expect("nobody panics").clone()
    }

    fn knows_a_section(&self) -> bool {
        self.told.read().unwrap_or_else(PoisonError::into_inner).head.is_some()
    }

    fn knows(&self, ids: &[VaultId]) -> bool {
        let told = self.told.read().unwrap_or_else(PoisonError::into_inner);
        ids.iter().all(|id| told.vaults.iter().any(|report| report.id == *id))
    }

    fn tell_all(&mut self, status: VaultStatus) {
        let mut told = self.told.write().unwrap_or_else(PoisonError::into_inner);
        if self.ever && *told == status {
            return;
        }
        self.bus.publish(&status);
        *told = status;
        self.ever = true;
    }

    fn tell_change(&self, change: VaultChange) {
        let mut told = self.told.write().unwrap_or_else(PoisonError::into_inner);
        if change.is_new_to(&told) {
            change.clone().change(&mut told);
            drop(told);
            self.bus.publish_change(&change, &self.told);
        }
    }
}

/// How these are now.
pub(super) fn change<C: Crypt>(manager: &Manager<C>, ids: &[VaultId]) -> VaultChange {
    let (vaults, seals) = manager.told_of(ids.iter().copied());
    // Where nothing is known of one's seal, that is told too.
    let seals = ids.iter().map(|id| (*id, seals.get(id).copied())).collect();
    VaultChange { vaults, seals }
}
