//! What earlier sections said: the newest version accepted, and every vault that was listed. It decides what absence means.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::desired::Listing;
use crate::ids::{Name, SectionVersion, VaultId};

/// What earlier sections said, kept in the Config Vault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The newest accepted.
    pub version: SectionVersion,
    /// Every vault that a section of this incarnation listed, until it is deleted here.
    pub listed: BTreeMap<VaultId, Name>,
    /// Vaults deleted here; kept so that the controller hears of it even if the report was lost.
    pub removed: BTreeMap<VaultId, Name>,
}

/// A section older than the newest accepted one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("section version {given} is older than {newest}, which was accepted before")]
pub struct Refused {
    /// What came.
    pub given: u64,
    /// What was accepted.
    pub newest: u64,
}

/// Most deleted vaults that are remembered.
const MAX_REMOVED: usize = 256;

impl Record {
    /// The record after a section was accepted: a lower version of the same incarnation is refused; under a new incarnation
    /// nothing counts as listed before.
    ///
    /// # Errors
    /// [`Refused`]: the record stands.
    pub fn accept(before: Option<&Self>, listing: &Listing) -> Result<Self, Refused> {
        let names = listing.vaults.iter().map(|(id, want)| (*id, want.name.clone()));
        let same = before.filter(|record| record.version.incarnation == listing.version.incarnation);
        let newest = same.map_or(0, |record| record.version.version);
        if listing.version.version < newest {
            return Err(Refused { given: listing.version.version, newest });
        }
        let mut listed = same.map(|record| record.listed.clone()).unwrap_or_default();
        listed.extend(names);
        let mut removed = before.map(|record| record.removed.clone()).unwrap_or_default();
        removed.retain(|id, _| !listing.vaults.contains_key(id));
        Ok(Self { version: listing.version, listed, removed })
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
        let SectionVersion { incarnation, version } = live.version;
        incarnation == self.version.incarnation
            && version >= self.version.version
            && self.listed.contains_key(&id)
    }
}
