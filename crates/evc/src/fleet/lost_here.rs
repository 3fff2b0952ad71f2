//! Of which devices an operator said that they are lost since this controller was started. It was said on this database, as it is now: where a device
//! shows later that the database is older than it, that word is none of a copy's ([`vault::ledger::Mark::lets_lock`]).

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use vault::ids::DeviceId;

/// Their identities.
#[derive(Debug, Default)]
pub struct LostHere(Mutex<BTreeSet<DeviceId>>);

impl LostHere {
    /// It was said.
    pub(crate) fn say(&self, device: DeviceId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(device);
    }

    /// Whether it was. One that was found since has no mark by which this counts.
    pub(crate) fn has(&self, device: DeviceId) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&device)
    }
}
