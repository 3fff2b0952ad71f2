//! What of each vault a bundle has, by its own word, and which of a device's bundles stay beside a new one: so many of the newest, others for a time,
//! and, for as long as no operator deletes it, each that has something of a vault that no newer one has. A share table that was begun anew makes
//! bundles without the shares of before: however many of those come, the last that has them stays.
//! Nothing here is authenticated: a bundle that lies keeps one bundle too many, and takes no place but its device's own.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Bundle, BundleId};
use crate::ids::VaultId;
use crate::section::Seal;
use crate::shares;

/// What a bundle has of one vault.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parts {
    /// Its key files.
    #[serde(default, rename = "f")]
    pub key_files: bool,
    /// A share that the bundle can be of use for: of one that is bound to PCRs the root too.
    #[serde(default, rename = "s")]
    pub share: bool,
}

impl Parts {
    fn is_within(self, others: Self) -> bool {
        self.key_files <= others.key_files && self.share <= others.share
    }
    fn with(self, others: Self) -> Self {
        Self { key_files: self.key_files | others.key_files, share: self.share | others.share }
    }
}

/// What a bundle has of each vault.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Contents(BTreeMap<VaultId, Parts>);

impl Contents {
    /// The vaults that it has anything of.
    pub fn vaults(&self) -> impl Iterator<Item = VaultId> + '_ {
        self.0.keys().copied()
    }

    /// Whether it has a share of a vault, by its own word. None: it has nothing of anything, as one that does not read; that can't be told.
    #[must_use]
    pub fn has_share(&self, vault: VaultId) -> Option<bool> {
        (!self.0.is_empty()).then(|| self.0.get(&vault).is_some_and(|parts| parts.share))
    }

    /// Without a vault that was erased; none: it had nothing of it.
    #[must_use]
    pub fn without(mut self, vault: VaultId) -> Option<Self> {
        self.0.remove(&vault).map(|_| self)
    }
}

impl Bundle {
    /// What it has, by its own word.
    #[must_use]
    pub fn contents(&self) -> Contents {
        let mut has: BTreeMap<VaultId, Parts> = BTreeMap::new();
        for id in self.vaults.keys() {
            has.entry(*id).or_default().key_files = true;
        }
        let shares = shares::named(&self.table).into_iter();
        for (id, _) in shares.filter(|(_, seal)| *seal == Seal::Tpm || self.has_pcrs()) {
            has.entry(id).or_default().share = true;
        }
        Contents(has)
    }
}

/// One of a device's bundles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InHistory {
    /// Which.
    pub id: BundleId,
    /// When it came, in seconds since 1970.
    pub at: u64,
    /// What it has; empty where that can't be told.
    pub has: Contents,
    /// An operator chose it to be given back.
    pub offered: bool,
    /// The last drill was on it, and failed: no older one goes because of it.
    pub failed: bool,
}

/// Which bundles stay beside a new one. Always stay the newest of its generation, the newest of all others (the one that is in force while the
/// next is made, of which any number may come), one that an operator chose, and each that is the last to have something of a vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// So many of the newest, however old.
    pub newest: usize,
    /// Of the others those that came since then.
    pub since: u64,
    /// Of all of them, so many of the newest.
    pub most: usize,
    /// With those that always stay, so many. A new one for which there is no room then is not taken.
    pub in_all: usize,
}

/// All that are there are to stay, and there is no room for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

/// Of each bundle, the newest first: the vaults of which it has something that no newer one has. Those of erased vaults count for nothing.
#[must_use]
pub fn last_of(newest_first: &[InHistory], erased: &BTreeSet<VaultId>) -> Vec<BTreeSet<VaultId>> {
    let mut newer: BTreeMap<VaultId, Parts> = BTreeMap::new();
    let mut last = Vec::with_capacity(newest_first.len());
    for InHistory { has: Contents(has), failed, .. } in newest_first {
        let mut own = BTreeSet::new();
        for (id, parts) in has.iter().filter(|(id, _)| !erased.contains(id)) {
            let known = newer.entry(*id).or_default();
            if !parts.is_within(*known) {
                own.insert(*id);
            }
            *known = if *failed { *known } else { known.with(*parts) };
        }
        last.push(own);
    }
    last
}

/// Those that go, of which the first is the new one.
///
/// # Errors
/// [`Full`]: the new one is not taken, and all others stay.
pub fn over(
    newest_first: &[InHistory],
    erased: &BTreeSet<VaultId>,
    keep: Keep,
) -> Result<Vec<BundleId>, Full> {
    let Some(new) = newest_first.first() else { return Ok(Vec::new()) };
    let last = last_of(newest_first, erased);
    let newest =
        |same: bool| newest_first.iter().position(|one| (one.id.generation == new.id.generation) == same);
    let of_generations = [newest(true), newest(false)];
    let stays = |at: usize, one: &InHistory| {
        let always = of_generations.contains(&Some(at)) || one.offered || !last[at].is_empty();
        always || at < keep.newest || (one.at >= keep.since && at < keep.most)
    };
    let over: Vec<BundleId> =
        newest_first.iter().enumerate().filter(|(at, one)| !stays(*at, one)).map(|(_, one)| one.id).collect();
    if newest_first.len() - over.len() > keep.in_all { Err(Full) } else { Ok(over) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{CONFIG_VAULT, DeviceKey, Generation, IMAGE_VAULT};
    use crate::roots::{PcrsRoot, TpmRoot};
    use crate::secret::{RootSecret, TpmShare};
    use crate::shares::{Mark, Nonce, Table};

    const KEEP: Keep = Keep { newest: 2, since: 100, most: 4, in_all: 6 };
    const ALL: Parts = Parts { key_files: true, share: true };
    const FILES: Parts = Parts { key_files: true, share: false };

    fn one(digest: u8, generation: u32, at: u64, has: &[(VaultId, Parts)]) -> InHistory {
        let id = BundleId { generation: Generation(generation), digest: [digest; 32] };
        InHistory { id, at, has: Contents(has.iter().copied().collect()), offered: false, failed: false }
    }

    fn digests(over: &[BundleId]) -> Vec<u8> {
        over.iter().map(|id| id.digest[0]).collect()
    }

    /// As bundles of a table that was begun anew come: the newest first.
    fn many(of: std::ops::RangeInclusive<u8>, at: u64) -> Vec<InHistory> {
        of.rev().map(|digest| one(digest, 1, at, &[(IMAGE_VAULT, FILES)])).collect()
    }

    /// Invariant 4: however many bundles come without a vault's share, the last that has it stays, until the vault is erased.
    #[test]
    fn the_last_bundle_that_has_a_vault_stays() {
        let good = one(1, 1, 0, &[(IMAGE_VAULT, ALL)]);
        let older = one(0, 1, 0, &[(IMAGE_VAULT, ALL)]);
        for newer in [many(2..=2, 200), many(2..=9, 200), many(2..=5, 50)] {
            let all: Vec<_> = newer.into_iter().chain([good.clone(), older.clone()]).collect();
            let over = over(&all, &BTreeSet::new(), KEEP).expect("there is room");
            assert!(!digests(&over).contains(&1), "{over:?}");
            assert!(digests(&over).contains(&0), "one of before it has no more than it: {over:?}");
        }
        let all: Vec<_> = many(2..=5, 50).into_iter().chain([good]).collect();
        assert_eq!(last_of(&all, &BTreeSet::new())[4], BTreeSet::from([IMAGE_VAULT]));
        let failed = InHistory { failed: true, ..one(9, 1, 200, &[(IMAGE_VAULT, ALL)]) };
        let tried: Vec<_> = [failed].into_iter().chain(all.iter().cloned()).collect();
        assert!(
            !digests(&over(&tried, &BTreeSet::new(), KEEP).expect("room")).contains(&1),
            "it failed a drill"
        );
        let erased = BTreeSet::from([IMAGE_VAULT]);
        assert_eq!(over(&all, &erased, KEEP).map(|over| digests(&over)), Ok(vec![3, 2, 1]));
    }

    #[test]
    fn so_many_stay_those_of_a_time_and_the_newest_of_two_generations() {
        let none = BTreeSet::new();
        let over = |all: &[InHistory]| over(all, &none, KEEP).map(|over| digests(&over));
        let of = |digest, generation, at| one(digest, generation, at, &[]);
        assert_eq!(over(&[of(3, 2, 90), of(2, 1, 90), of(1, 1, 90)]), Ok(vec![1]), "over its time");
        let within: Vec<_> = (0..=5).rev().map(|digest| of(digest, 3, 200)).chain([of(9, 2, 0)]).collect();
        assert_eq!(over(&within), Ok(vec![1, 0]), "of those within their time the newest");
        let chosen = InHistory { offered: true, ..of(8, 1, 0) };
        assert_eq!(over(&[within, vec![chosen]].concat()), Ok(vec![1, 0]), "an operator chose it");
    }

    /// Bounded: where all that are there have something that nobody newer has, a new one is not taken, and none goes.
    #[test]
    fn no_more_stay_than_there_is_room_for() {
        let vault = |n: u8| VaultId(uuid::Uuid::from_u128(n.into()));
        let apart = |many: u8| (1..=many).map(|n| one(n, 1, 0, &[(vault(n), FILES)])).collect::<Vec<_>>();
        assert_eq!(over(&apart(6), &BTreeSet::new(), KEEP), Ok(vec![]));
        assert_eq!(over(&apart(7), &BTreeSet::new(), KEEP), Err(Full));
    }

    /// A table that was begun anew names its vaults as lost: it has no share of them. One that is bound to PCRs is of use with its root alone.
    #[test]
    fn a_bundle_has_what_it_can_give_back() {
        let (tpm, pcrs) = (TpmRoot(RootSecret::copied_from(&[1; 32])), RootSecret::copied_from(&[2; 32]));
        let (own, bound) = (tpm.vsk(), PcrsRoot(pcrs).vsk());
        let share = TpmShare::copied_from(&[3; 32]);
        let mut table = Table::new(Generation(1));
        table.add(CONFIG_VAULT, Mark::Made, &own, &share, Nonce([1; 12])).expect("added");
        table.add(IMAGE_VAULT, Mark::Made, &bound, &share, Nonce([2; 12])).expect("added");
        let of = |table: &Table, root| {
            let bytes = table.encode(&tpm.table_key());
            let device = (DeviceKey([3; 32]), Generation(1));
            Bundle::new(&tpm.escrow_key(), root, device, bytes, BTreeMap::new()).contents()
        };
        let has = |of: Contents| of.vaults().collect::<Vec<_>>();
        assert_eq!(has(of(&table, Some(&bound))), [CONFIG_VAULT, IMAGE_VAULT]);
        assert_eq!(has(of(&table, None)), [CONFIG_VAULT], "without the root");
        let mut anew = Table::in_place_of_lost(Generation(1));
        anew.add_lost(CONFIG_VAULT).expect("entered");
        assert_eq!(has(of(&anew, Some(&bound))), [], "of one that was begun anew");
        let damaged = Bundle {
            table: vec![7; 99],
            ..Bundle::new(
                &tpm.escrow_key(),
                None,
                (DeviceKey([3; 32]), Generation(1)),
                vec![],
                BTreeMap::new(),
            )
        };
        assert_eq!(has(damaged.contents()), []);
    }
}
