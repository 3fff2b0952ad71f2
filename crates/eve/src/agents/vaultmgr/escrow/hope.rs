//! What may yet come back from escrow: while it may, nothing is made anew in its place, but by root who gives it up. A controller's order waits for
//! its word on the bundle alone: that it may be given, its operator was asked.

use std::collections::BTreeMap;

use vault::escrow::NONE_HELD;
use vault::escrow::restore::lacking;
use vault::ids::VaultId;
use vault::plan::Known;

use crate::agents::vaultmgr::generation::roots::Tpmmgr;
use crate::agents::vaultmgr::hands::crypt::Crypt;
use crate::agents::vaultmgr::manager::Manager;
use crate::bus::messages::OrderError;

/// What the controller said last, in this session, of a bundle that was asked back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Back {
    /// It came. What it did not help is not hoped for any more.
    Came,
    /// It is withheld.
    Withheld,
    /// It holds none.
    NoneHeld,
}

impl Back {
    pub(super) fn of_refusal(why: &str) -> Self {
        if why == NONE_HELD { Self::NoneHeld } else { Self::Withheld }
    }
}

impl<C: Crypt, T: Tpmmgr> Manager<C, T> {
    /// Whether a bundle may bring back what the vault lacks. With a lost table that is so of every vault: another table would take its place.
    fn may_come_back(&self, id: VaultId, known: &Known) -> bool {
        if !self.gives_root() {
            return false;
        }
        let node = self.node();
        if node.table_lost() {
            return !self.hopeless.table();
        }
        let known = BTreeMap::from([(id, known.clone())]);
        self.is_hoped_for(id) && !lacking(self.belief.desired(), &known, &node).is_empty()
    }

    /// Whether that is so, and the controller was not heard on it: so no order makes it anew.
    pub(in crate::agents::vaultmgr) fn is_hoped(&self, id: VaultId, known: &Known) -> bool {
        self.escrow.back.is_none() && self.may_come_back(id, known)
    }

    /// # Errors
    /// [`OrderError::InEscrow`]: root orders a vault anew that may come back by itself.
    pub(in crate::agents::vaultmgr) fn unless_in_escrow(&self, id: VaultId) -> Result<(), OrderError> {
        let may = self.escrow.back != Some(Back::NoneHeld) && self.may_come_back(id, &self.known(id));
        if may { Err(OrderError::InEscrow(self.belief.desired().name(id))) } else { Ok(()) }
    }
}
