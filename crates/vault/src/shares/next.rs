//! The table of the generation after: the same shares, sealed under its keys, and none of those that were dropped.

use std::collections::BTreeMap;

use super::{Drops, Mark, Nonce, OpenError, ShareEntry, Table};
use crate::ids::VaultId;
use crate::roots::Vsk;
use crate::section::{BySeal, Seal};

/// Why no table of the next generation was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NextError {
    /// It would be left behind.
    #[error("the share of vault {vault} does not open")]
    Share {
        /// Whose.
        vault: VaultId,
        /// Why.
        source: OpenError,
    },
    /// There is one for each share.
    #[error("fewer nonces than shares")]
    Nonces,
    /// Numbers do not last for ever.
    #[error("there is no generation after this one")]
    Last,
}

impl Table {
    /// How many shares lie in it: as many nonces [`Self::next`] takes.
    #[must_use]
    pub fn share_count(&self) -> usize {
        self.entries.values().filter(|entry| entry.mark != Mark::Lost).count()
    }

    /// The table of the next generation: every share opened under `old` and sealed under `new`, each with its own of `nonces`, which are fresh. Marks, locks,
    /// the pin and what is marked as lost are carried over; nothing is dropped from it.
    ///
    /// # Errors
    /// [`NextError`]: one share that does not open would be left behind, so there is no table.
    pub fn next(
        &self,
        old: BySeal<&Vsk>,
        new: BySeal<&Vsk>,
        nonces: impl IntoIterator<Item = Nonce>,
    ) -> Result<Self, NextError> {
        let generation = self.generation.after().ok_or(NextError::Last)?;
        let mut next = Self {
            generation,
            edition: 0,
            pin: self.pin,
            follows: true,
            escrowed: self.escrowed,
            dropped: Drops::default(),
            entries: BTreeMap::new(),
        };
        let mut nonces = nonces.into_iter();
        for (place, entry) in &self.entries {
            let carried = match entry.mark {
                Mark::Lost => entry.clone(),
                Mark::Begun | Mark::Made => self.carried(&next, *place, (old, new), &mut nonces)?,
            };
            next.entries.insert(*place, ShareEntry { locked: entry.locked, ..carried });
        }
        Ok(next)
    }

    fn carried(
        &self,
        next: &Self,
        (vault, seal): (VaultId, Seal),
        (old, new): (BySeal<&Vsk>, BySeal<&Vsk>),
        nonces: &mut impl Iterator<Item = Nonce>,
    ) -> Result<ShareEntry, NextError> {
        let share = self.open(vault, old.of(seal)).map_err(|source| NextError::Share { vault, source })?;
        let nonce = nonces.next().ok_or(NextError::Nonces)?;
        let mark = self.entries[&(vault, seal)].mark;
        Ok(next.sealed(vault, mark, new.of(seal), &share, nonce))
    }
}
