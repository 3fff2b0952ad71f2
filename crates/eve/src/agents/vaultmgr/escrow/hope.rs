//! What may yet come back from escrow: while it may, nothing is made anew in its place, but by root who gives it up. A controller's order waits for
//! its word on the bundle alone: that it may be given, its operator was asked.

use std::collections::BTreeMap;

use vault::decide::only_waits_for_evidence;
use vault::escrow::NONE_HELD;
use vault::escrow::restore::{hangs_on_a_bundle, lacking};
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
    /// While it waits for evidence it has said nothing of the bundle.
    pub(super) fn of_refusal(why: &str) -> Option<Self> {
        match why {
            _ if only_waits_for_evidence(why) => None,
            NONE_HELD => Some(Self::NoneHeld),
            _ => Some(Self::Withheld),
        }
    }
}

/// What is said of a bundle that was asked back and did not come.
pub(super) fn not_given_back(why: &str) -> String {
    if only_waits_for_evidence(why) {
        return format!(
            "the controller has not decided yet on the bundle that this node asks back from escrow ({why}): it is asked again by itself once evidence of this boot was taken; see `eve status` for how that goes"
        );
    }
    format!(
        "what this node needs of its bundle is not given back from escrow: {why}; an operator looks at `evc describe device`, and if this boot is good takes `evc reference learn` and `evc reference approve`"
    )
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
        // Asked at each look at each vault, and so of hardly any is it asked on.
        self.is_hoped_for(id) && {
            let known = BTreeMap::from([(id, known.clone())]);
            !lacking(self.belief.desired(), &known, &node).is_empty()
        }
    }

    /// Whether that is so, and the controller was not heard on it: so no order makes it anew.
    pub(in crate::agents::vaultmgr) fn is_hoped(&self, id: VaultId, known: &Known) -> bool {
        self.escrow.back.is_none() && self.may_come_back(id, known)
    }

    /// # Errors
    /// [`OrderError::InEscrow`]: root orders a vault anew that may come back by itself.
    pub(in crate::agents::vaultmgr) fn unless_in_escrow(&self, id: VaultId) -> Result<(), OrderError> {
        let known = self.known(id);
        // Root may put the directory back, and what the bundle has of it is asked for then.
        let away = self.gives_root() && hangs_on_a_bundle(&known);
        let may = self.escrow.back != Some(Back::NoneHeld) && (away || self.may_come_back(id, &known));
        if may { Err(OrderError::InEscrow(self.belief.desired().name(id))) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use vault::decide::Withheld;
    use vault::policy::Check;

    use super::*;

    /// UC-D: a controller that has no evidence yet refuses nothing, and has said nothing of the bundle; one that will not give it says so.
    #[test]
    fn what_only_waits_for_evidence_is_no_refusal() {
        for (why, back, says) in [
            (Withheld::NoEvidence.coarse(), None, "has not decided yet"),
            (Withheld::MustQuote.coarse(), None, "has not decided yet"),
            (Withheld::FromTheFuture.coarse(), None, "has not decided yet"),
            (
                Withheld::Failed { check: Check::Pcrs, why: String::new() }.coarse(),
                Some(Back::Withheld),
                "is not given back",
            ),
            (Withheld::DeviceLost.coarse(), Some(Back::Withheld), "is not given back"),
            (NONE_HELD, Some(Back::NoneHeld), "is not given back"),
        ] {
            assert_eq!(Back::of_refusal(why), back, "{why}");
            let words = not_given_back(why);
            assert!(words.contains(says) && words.contains(why), "{words}");
        }
    }
}
