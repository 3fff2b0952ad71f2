//! What is kept of a deleted device goes back when the same device comes again: which of them it was, what of its vaults can be its own once more,
//! and how each goes on.

use std::collections::BTreeSet;

use super::{Listed, MOST_BESIDE_DEFAULTS, Phase, UnfitDefault};
use crate::ids::{DeviceId, Name, VaultId};

/// What is kept since one deletion of a device, the newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Was {
    /// The device that it was.
    pub device: DeviceId,
    /// Whose lists its node held to, as it said last.
    pub held_to: Option<DeviceId>,
    /// Its node had made a vault by a list of its.
    pub made: bool,
}

/// Which of them it is again: the one whose lists its node held to, as it said last; of a node that does not say, the newest of which it had made
/// something. Deleted more than once as that one, its numbers go on by the newest of these.
#[must_use]
pub fn was(kept: &[Was]) -> Option<usize> {
    let said = kept.iter().find_map(|was| was.held_to);
    let held_to = kept.iter().find(|was| said == Some(was.device));
    let chosen = held_to.or_else(|| kept.iter().find(|was| was.made)).or(kept.first())?;
    kept.iter().position(|was| was.device == chosen.device)
}

/// Vaults that were removed and have the identity of one that is wanted: nothing of that identity is erased, also where the wanted one is kept for
/// another day. Of each: its identity, and whether it is gone.
#[must_use]
pub fn not_erased(vaults: &[(VaultId, bool)]) -> BTreeSet<VaultId> {
    let of = |gone: bool| vaults.iter().filter(move |(_, is)| *is == gone).map(|(id, _)| *id);
    let wanted: BTreeSet<VaultId> = of(false).collect();
    of(true).filter(|id| wanted.contains(id)).collect()
}

/// A vault that a device has, or that comes back to it.
#[derive(Debug, Clone, Copy)]
pub struct There<'a> {
    /// Its identity.
    pub id: VaultId,
    /// Its name.
    pub name: &'a Name,
    /// It is remembered until its node has erased it: its name is free.
    pub gone: bool,
}

/// Why a vault can't be its device's again. It stays kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotBack {
    /// Another one has its name or its identity.
    #[error("the device has one of its name or identity")]
    Taken,
    /// There is no room.
    #[error("a device has at most {MOST_BESIDE_DEFAULTS} vaults beside its default ones")]
    Full,
    /// It was removed, and one that is wanted has its identity.
    #[error("it was removed, and one that is wanted has its identity: nothing is erased")]
    Wanted,
    /// A row of one of its keys, or one that may be of it, does not read.
    #[error("what is kept of its keys does not read")]
    Keys,
    /// A key of it does not open: which row.
    #[error("{0} does not open")]
    Unopened(String),
    /// Its own row leads to no state.
    #[error("its row does not read: {0}")]
    Row(String),
    /// Its policy was deleted.
    #[error("its policy `{0}` is not there")]
    NoPolicy(Name),
    /// Its policy's row is damaged.
    #[error("its policy does not read: {0}")]
    Policy(String),
    /// A default vault under a policy that can't be met.
    #[error("its policy is none of a default vault's: {0}")]
    Unfit(UnfitDefault),
}

/// Whether a vault has its place among those of its device.
///
/// # Errors
/// [`NotBack`]: it stays kept.
pub fn has_room(of: There<'_>, others: &[There<'_>]) -> Result<(), NotBack> {
    let is_taken = |other: &There<'_>| other.id == of.id || (other.name == of.name && !other.gone);
    if others.iter().any(is_taken) {
        return Err(NotBack::Taken);
    }
    let beside = others.iter().filter(|other| !other.id.is_default() && !other.gone).count();
    if !of.id.is_default() && beside >= MOST_BESIDE_DEFAULTS {
        return Err(NotBack::Full);
    }
    Ok(())
}

impl Listed {
    /// As it goes on: a grace where it was when its device was deleted; an order to make it anew was of before.
    #[must_use]
    pub fn given_back(self, deleted_at: u64, now: u64) -> Self {
        let phase = match self.phase {
            phase @ (Phase::Wanted | Phase::Retained) => phase,
            Phase::Grace { until } => {
                Phase::Grace { until: now.saturating_add(until.saturating_sub(deleted_at)) }
            }
        };
        Self { phase, recreate: false, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::CONFIG_VAULT;

    const NOW: u64 = 1_800_000_000;

    fn device(n: u128) -> DeviceId {
        DeviceId(uuid::Uuid::from_u128(n))
    }

    fn vault(n: u128) -> VaultId {
        VaultId(uuid::Uuid::from_u128(n))
    }

    fn name(name: &str) -> Name {
        name.parse().expect("a name")
    }

    /// Its node takes the lists of no other device than the one that it holds to.
    #[test]
    fn a_device_is_again_the_one_whose_lists_its_node_held_to() {
        let of =
            |n, held_to: Option<u128>, made| Was { device: device(n), held_to: held_to.map(device), made };
        for (what, kept, which) in [
            ("nothing", vec![], None),
            ("the newest", vec![of(2, None, false), of(1, None, false)], Some(0)),
            ("of which something was made", vec![of(2, None, false), of(1, None, true)], Some(1)),
            ("which its node said", vec![of(2, Some(1), true), of(1, None, true)], Some(1)),
            ("its newest word", vec![of(3, Some(2), true), of(2, Some(1), true), of(1, None, true)], Some(1)),
            (
                "the newest as that one",
                vec![of(2, Some(1), true), of(1, Some(1), false), of(1, None, true)],
                Some(1),
            ),
            ("said of one that is not kept", vec![of(2, Some(9), false), of(1, None, true)], Some(1)),
        ] {
            assert_eq!(was(&kept), which, "{what}");
        }
    }

    /// Invariant 4: what is wanted is erased by nothing that was removed under its identity.
    #[test]
    fn nothing_is_erased_that_is_wanted_too() {
        let (gone, wanted) = (true, false);
        let all = [(vault(1), gone), (vault(2), gone), (vault(2), wanted), (vault(3), wanted)];
        assert_eq!(not_erased(&all), BTreeSet::from([vault(2)]));
    }

    #[test]
    fn a_vault_comes_back_where_it_has_room() {
        let (a, b) = (name("a"), name("b"));
        let there = |n, name, gone| There { id: vault(n), name, gone };
        let of = there(1, &a, false);
        for (what, others, expected) in [
            ("alone", vec![], Ok(())),
            ("another", vec![there(2, &b, false)], Ok(())),
            ("its identity", vec![there(1, &b, false)], Err(NotBack::Taken)),
            ("its identity, gone", vec![there(1, &b, true)], Err(NotBack::Taken)),
            ("its name", vec![there(2, &a, false)], Err(NotBack::Taken)),
            ("its name, gone", vec![there(2, &a, true)], Ok(())),
        ] {
            assert_eq!(has_room(of, &others), expected, "{what}");
        }
        let full =
            |gone| (2..=MOST_BESIDE_DEFAULTS as u128 + 1).map(|n| there(n, &b, gone)).collect::<Vec<_>>();
        assert_eq!(has_room(of, &full(false)), Err(NotBack::Full));
        assert_eq!(has_room(of, &full(true)), Ok(()), "what is gone takes none");
        assert_eq!(
            has_room(There { id: CONFIG_VAULT, ..of }, &full(false)),
            Ok(()),
            "a default vault has its own"
        );
    }

    /// KO-7: a grace has the time left that it had; no order of before goes on.
    #[test]
    fn a_grace_goes_on_where_it_was() {
        let of = |phase| Listed { phase, recreate: true, ..Listed::new(Some(name("p"))) };
        let (deleted_at, until) = (NOW - 100, NOW - 40);
        for (phase, expected) in [
            (Phase::Wanted, Phase::Wanted),
            (Phase::Retained, Phase::Retained),
            (Phase::Grace { until }, Phase::Grace { until: NOW + 60 }),
            (Phase::Grace { until: deleted_at - 1 }, Phase::Grace { until: NOW }),
            (Phase::Grace { until: u64::MAX }, Phase::Grace { until: u64::MAX }),
        ] {
            let after = of(phase).given_back(deleted_at, NOW);
            assert_eq!((after.phase, after.recreate), (expected, false), "{phase:?}");
        }
    }
}
