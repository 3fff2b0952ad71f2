//! The newest accepted section, as plans take it.

use std::collections::{BTreeMap, BTreeSet};

use super::{Authority, Chain, Want};
use crate::ids::{DeviceId, SectionVersion, VaultId};
use crate::section::Section;

/// The newest accepted section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// Live, or from a checkpoint.
    pub authority: Authority,
    /// The device it is for.
    pub device: DeviceId,
    /// Its place in the device's history.
    pub version: SectionVersion,
    /// The vaults.
    pub vaults: BTreeMap<VaultId, Want>,
    /// Those that an operator had removed: the only ones that are deleted.
    pub removed: BTreeSet<VaultId>,
    /// It came in this session, and could not be judged to the end: so it is not live, and is no word of before either.
    pub unjudged: bool,
}

impl Listing {
    /// Reads a checked section.
    #[must_use]
    pub fn of(section: &Section, authority: Authority) -> Self {
        let want = |entry| Want::listed(entry, authority);
        let vaults = section.vaults.iter().map(|entry| (entry.id, want(entry))).collect();
        let removed = section.removed.iter().copied().collect();
        Self { authority, device: section.device, version: section.version, vaults, removed, unjudged: false }
    }

    /// Of a section of this session that can't be judged to the end.
    #[must_use]
    pub fn unjudged(section: &Section) -> Self {
        Self { unjudged: true, ..Self::of(section, Authority::Checkpoint) }
    }

    /// Whether its controller says so now, in this session.
    #[must_use]
    pub fn is_of_this_session(&self) -> bool {
        self.authority == Authority::Live || self.unjudged
    }

    /// The same, with what was accepted before for each vault.
    #[must_use]
    pub fn above(mut self, chain: &Chain) -> Self {
        for (id, want) in &mut self.vaults {
            want.floor = chain.epochs.get(id).copied();
        }
        self
    }

    /// The same once its word is not live any more: it locks, unlocks and resumes, and orders nothing.
    #[must_use]
    pub fn kept(mut self) -> Self {
        (self.authority, self.unjudged) = (Authority::Checkpoint, false);
        for want in self.vaults.values_mut() {
            (want.authority, want.recreate) = (Authority::Checkpoint, false);
        }
        self
    }
}
