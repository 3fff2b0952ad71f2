//! When it is forgotten that keys of a default vault went out: its node is under none of them any more. Until then the keys stay, whatever becomes
//! of the device.

use crate::condition::State;
use crate::draft::DraftDigest;
use crate::ids::{Epoch, SectionVersion, VaultId};
use crate::report::VaultReport;
use crate::section::{Custody, Operation};

/// What is known of a vault whose keys went out.
#[derive(Debug, Clone, Copy)]
pub struct WentOut<'a> {
    /// Which it is.
    pub vault: VaultId,
    /// The epoch that its node took, of those that were made here.
    pub taken: Option<Epoch>,
    /// What its node said last.
    pub said: Option<&'a VaultReport>,
    /// What its policy asks for now.
    pub custody: Custody,
}

/// The list by which a node says so.
#[derive(Debug, Clone, Copy)]
pub struct InForce {
    /// The one that it accepted last.
    pub accepted: Option<SectionVersion>,
    /// The newest.
    pub newest: SectionVersion,
    /// What the newest says.
    pub said: Option<DraftDigest>,
    /// What it would say now.
    pub would_say: Option<DraftDigest>,
}

impl WentOut<'_> {
    /// Whether its node is under no key of the controller's: it says so of a default vault that it made, with no change under way or failed, and
    /// the policy asks for none.
    #[must_use]
    pub fn is_free(&self) -> bool {
        self.vault.is_default()
            && self.taken.is_none()
            && self.said.is_some_and(is_under_none)
            && self.custody == Custody::Tpm
    }
}

impl InForce {
    /// Whether the node has the newest list, and that would be the same now: no change is on its way to it.
    #[must_use]
    pub fn is_the_nodes(&self) -> bool {
        self.accepted == Some(self.newest) && self.said.is_some() && self.said == self.would_say
    }
}

fn is_under_none(said: &VaultReport) -> bool {
    let failed = said.last.as_ref().is_some_and(|last| last.error.is_some());
    let is_made = said.created && matches!(said.state, State::Unlocked | State::Locked);
    is_made && !failed && said.epoch.is_none() && said.wanted != Operation::ChangeKey
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{CONFIG_VAULT, Incarnation};
    use crate::report::Outcome;

    fn said() -> VaultReport {
        VaultReport {
            id: CONFIG_VAULT,
            name: "config".parse().expect("a name"),
            state: State::Unlocked,
            created: true,
            epoch: None,
            wanted: Operation::Unlock,
            last: None,
            opened: None,
            storage: None,
            change_due: false,
            holds_escrow_up: false,
            under_anothers_key: false,
            behind_in_escrow: None,
            ordered_locked: false,
            detail: vec![],
        }
    }

    /// Invariant 6: a key that a node may be under is kept. Each row is one doubt.
    #[test]
    fn a_key_is_let_go_only_where_its_node_is_under_none() {
        let good = said();
        let failed = Outcome { operation: "change-key".into(), error: Some("x".into()) };
        let free = WentOut { vault: CONFIG_VAULT, taken: None, said: Some(&good), custody: Custody::Tpm };
        assert!(free.is_free());
        assert!(WentOut { said: Some(&VaultReport { state: State::Locked, ..said() }), ..free }.is_free());
        for (what, doubt) in [
            ("not made", VaultReport { created: false, ..said() }),
            ("missing", VaultReport { state: State::Missing, ..said() }),
            ("under an epoch", VaultReport { epoch: Some(Epoch(1)), ..said() }),
            ("changing", VaultReport { wanted: Operation::ChangeKey, ..said() }),
            ("failed", VaultReport { last: Some(failed), ..said() }),
        ] {
            assert!(!WentOut { said: Some(&doubt), ..free }.is_free(), "{what}");
        }
        let user = VaultId(uuid::Uuid::from_u128(7));
        for (what, doubt) in [
            ("it said nothing", WentOut { said: None, ..free }),
            ("it took one", WentOut { taken: Some(Epoch(1)), ..free }),
            ("a user's", WentOut { vault: user, ..free }),
            ("it is asked for", WentOut { custody: Custody::TpmAndController, ..free }),
        ] {
            assert!(!doubt.is_free(), "{what}");
        }
    }

    #[test]
    fn a_list_is_the_nodes_while_nothing_new_is_on_its_way() {
        let at = |version| SectionVersion { incarnation: Incarnation([1; 16]), version };
        let (one, other) = (Some([1; 32]), Some([2; 32]));
        for (accepted, said, would_say, is) in [
            (Some(at(3)), one, one, true),
            (Some(at(2)), one, one, false),
            (None, one, one, false),
            (Some(at(3)), one, other, false),
            (Some(at(3)), one, None, false),
            (Some(at(3)), None, None, false),
        ] {
            let list = InForce { accepted, newest: at(3), said, would_say };
            assert_eq!(list.is_the_nodes(), is, "{list:?}");
        }
    }
}
