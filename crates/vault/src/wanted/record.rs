//! What earlier sections said: for which device, up to which version, and every vault that was listed. It decides which section
//! is taken, and what absence means.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Listing, Released};
use crate::ids::{DeviceId, Epoch, Incarnation, Name, SectionDigest, SectionVersion, VaultId};

/// Which sections were accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// The device they were for, as the controller knows it.
    pub device: DeviceId,
    /// The newest.
    pub version: SectionVersion,
    /// Incarnations that another took the place of, the latest last.
    pub superseded: Vec<Incarnation>,
}

/// What earlier sections said, kept in the Config Vault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Which were accepted.
    pub accepted: Accepted,
    /// Every vault that a section of this incarnation listed, until it is deleted here.
    pub listed: BTreeMap<VaultId, Name>,
    /// Vaults deleted here; kept so that the controller hears of it even if the report was lost.
    pub removed: BTreeMap<VaultId, Name>,
    /// Names by which earlier incarnations, or another controller, listed vaults that this one did not: so that people know an orphan
    /// when they see it. They decide nothing. Written apart: records of before there were any end without them.
    #[serde(skip)]
    pub former: BTreeMap<VaultId, Name>,
}

/// The chain that node and controller both keep: each section names the one before it that the node had accepted. So a section of a
/// controller's database that was restored, copied or rolled back is told from the next one of this node's own history.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Chain {
    /// The section that was accepted last. None: none was, or one of before there was a chain.
    pub head: Option<SectionDigest>,
    /// The highest epoch of each vault that was accepted in this incarnation.
    pub epochs: BTreeMap<VaultId, Epoch>,
}

/// The section that a node accepted last, as it tells its controller: the next one is to follow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The device that it was for: registered anew, a node is another one.
    pub device: DeviceId,
    /// Its place in that device's history.
    pub version: SectionVersion,
    /// Its digest.
    pub digest: SectionDigest,
}

/// Where the newest orders to lock that a node holds stand in its device's history, as it tells its controller: an order is no link of the
/// chain, so no section tells of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderedAt {
    /// The device that they were for.
    pub device: DeviceId,
    /// Their place among its sections.
    pub version: SectionVersion,
}

/// Why a section is not taken, though it is authentic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// Older than the newest accepted one.
    #[error("version {given} of the list of vaults is older than {newest}, which was accepted before")]
    Older {
        /// What came.
        given: u64,
        /// What was accepted.
        newest: u64,
    },
    /// From a life of the controller's database that is over.
    #[error(
        "the list of vaults comes from a controller database that another has taken the place of since; {ANEW}"
    )]
    Superseded,
    /// The controller knows this node as another device than before.
    #[error(
        "the controller knows this node as device {given} now, and its vaults belong to device {known}: bring that device back at the controller; {ANEW}"
    )]
    OtherDevice {
        /// What came.
        given: DeviceId,
        /// What was accepted before.
        known: DeviceId,
    },
}

/// What root on the node can do where the controller has changed for good.
const ANEW: &str = "if it is to stay so, remove persist/config/vaultmgr/record on the node and restart it: vaults that are not listed are then locked and kept";

/// Most deleted vaults that are remembered.
const MAX_REMOVED: usize = 256;
/// Most names that are remembered of earlier incarnations: as many as a node has vaults.
const MAX_FORMER: usize = 1024;
/// Most superseded incarnations that are remembered: an operator restores a database a few times.
const MAX_SUPERSEDED: usize = 64;

impl Accepted {
    /// What is accepted once `listing` is, after all that the record and this life of vaultmgr have accepted `before`.
    ///
    /// # Errors
    /// [`NotTaken`]: it is for another device, of a superseded incarnation, or older within its own.
    pub fn after<'a>(
        before: impl Iterator<Item = &'a Self> + Clone,
        listing: &Listing,
    ) -> Result<Self, NotTaken> {
        Self::next(before, listing.device, listing.version)
    }

    /// The same of whatever has a place in a device's history.
    ///
    /// # Errors
    /// [`NotTaken`], as above.
    pub fn next<'a>(
        before: impl Iterator<Item = &'a Self> + Clone,
        device: DeviceId,
        given: SectionVersion,
    ) -> Result<Self, NotTaken> {
        if let Some(known) = before.clone().map(|by| by.device).find(|known| *known != device) {
            return Err(NotTaken::OtherDevice { given: device, known });
        }
        let mut superseded: Vec<Incarnation> = Vec::new();
        before.clone().flat_map(|by| &by.superseded).for_each(|one| push_new(&mut superseded, *one));
        if superseded.contains(&given.incarnation) {
            return Err(NotTaken::Superseded);
        }
        let (same, others): (Vec<_>, Vec<_>) =
            before.map(|by| by.version).partition(|by| by.incarnation == given.incarnation);
        let newest = same.iter().map(|by| by.version).max().unwrap_or_default();
        if given.version < newest {
            return Err(NotTaken::Older { given: given.version, newest });
        }
        others.iter().for_each(|other| push_new(&mut superseded, other.incarnation));
        superseded.drain(..superseded.len().saturating_sub(MAX_SUPERSEDED));
        Ok(Self { device, version: given, superseded })
    }
}

fn push_new(all: &mut Vec<Incarnation>, one: Incarnation) {
    if !all.contains(&one) {
        all.push(one);
    }
}

impl Record {
    /// The record after a section was accepted, as `accepted` says: under a new incarnation nothing counts as listed before.
    #[must_use]
    pub fn after(before: Option<&Self>, accepted: Accepted, listing: &Listing) -> Self {
        let same = |record: &&Self| record.accepted.version.incarnation == accepted.version.incarnation;
        let mut listed = before.filter(same).map(|record| record.listed.clone()).unwrap_or_default();
        listed.extend(listing.vaults.iter().map(|(id, want)| (*id, want.name.clone())));
        let mut removed = before.map(|record| record.removed.clone()).unwrap_or_default();
        removed.retain(|id, _| !listing.vaults.contains_key(id));
        let former = before.map(|record| record.former_names(&listed)).unwrap_or_default();
        Self { accepted, listed, removed, former }
    }

    /// What was once listed, and is not among `listed`.
    fn former_names(&self, listed: &BTreeMap<VaultId, Name>) -> BTreeMap<VaultId, Name> {
        let all = self.listed.iter().chain(&self.former);
        let once = all.filter(|(id, _)| !listed.contains_key(*id)).map(|(id, name)| (*id, name.clone()));
        once.take(MAX_FORMER).collect()
    }

    /// With names of another controller's record beside its own, for vaults that it has none of.
    #[must_use]
    pub(crate) fn beside(mut self, others: &BTreeMap<VaultId, Name>) -> Self {
        for (id, name) in others {
            if self.former.len() < MAX_FORMER && self.name(*id).is_none() {
                self.former.insert(*id, name.clone());
            }
        }
        self
    }

    /// All that were listed and are not deleted here, by the names that they had.
    #[must_use]
    pub fn names(&self) -> BTreeMap<VaultId, Name> {
        self.former_names(&BTreeMap::new())
    }

    /// The name that a vault was last listed by.
    #[must_use]
    pub fn name(&self, id: VaultId) -> Option<&Name> {
        self.listed.get(&id).or_else(|| self.removed.get(&id)).or_else(|| self.former.get(&id))
    }

    /// Notes that a vault was deleted here.
    pub fn removed(&mut self, id: VaultId) {
        if let Some(name) = self.listed.remove(&id) {
            if self.removed.len() >= MAX_REMOVED {
                self.removed.pop_first();
            }
            self.removed.insert(id, name);
        }
    }

    /// Whether a live section that lists `id` no more deletes it.
    pub(super) fn authorizes(&self, live: &Listing, id: VaultId) -> bool {
        let (given, newest) = (live.version, self.accepted.version);
        live.removed.contains(&id)
            && live.device == self.accepted.device
            && given.incarnation == newest.incarnation
            && given.version >= newest.version
            && self.listed.contains_key(&id)
    }
}

impl Chain {
    /// Whether a section that follows `follows` is the next one of this node's history.
    #[must_use]
    pub fn continues(&self, follows: Option<SectionDigest>) -> bool {
        self.head.is_none() || self.head == follows
    }

    /// The chain once this section is its head. Under a new incarnation epochs count anew.
    #[must_use]
    pub fn after(before: Option<&Self>, anew: bool, head: SectionDigest, listing: &Listing) -> Self {
        let kept = before.filter(|_| !anew).map(|chain| chain.epochs.clone());
        let mut epochs = kept.unwrap_or_default();
        for (id, want) in &listing.vaults {
            if let Released::Keys { current, .. } = want.released {
                let highest = epochs.entry(*id).or_insert(current);
                *highest = (*highest).max(current);
            }
        }
        epochs.retain(|id, _| !listing.removed.contains(id));
        Self { head: Some(head), epochs }
    }
}
