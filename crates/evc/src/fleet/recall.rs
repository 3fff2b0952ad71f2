//! Devices in the middle of an attestation: what the view of a challenge said of each, until the poll after its section. Evidence and section are
//! then held against that, and what each wrote is added to it, so nothing is read twice.
//! It is believed under the conditions of `fleet::settled`: it is kept with the moment before its view, and asked of the store at each use whether
//! anything was written since. It holds no secret and no sealed key, and nothing is true because it is in here: lost at any time, all is read
//! again. One who uses it takes it out; two requests of one device at the same time read.

use std::sync::{Mutex, PoisonError};

use vault::ids::DeviceId;

use super::bounded::Bounded;
use super::view::View;
use crate::store::AsOf;

/// So many devices at the same time; beyond them each that comes costs another one a look.
const MOST: usize = 512;
/// Bytes of a device's rows, at most. What is larger is read each time.
const LONGEST: usize = 16 << 10;
/// Vaults of a device, at most.
const VAULTS: usize = 16;

/// What was seen of a device, and the moment before that.
pub(crate) type Seen = (AsOf, Box<View>);

/// What was seen of devices.
pub struct Recall(Mutex<Bounded<DeviceId, Seen>>);

impl Default for Recall {
    fn default() -> Self {
        Self(Mutex::new(Bounded::of(MOST)))
    }
}

impl Recall {
    /// What was seen of a device, which is forgotten with that.
    pub(crate) fn take(&self, device: DeviceId) -> Option<Seen> {
        self.held(|all| all.take(&device))
    }

    /// Keeps it, where it is short.
    pub(crate) fn keep(&self, as_of: AsOf, view: Box<View>) {
        if view.vaults.len() <= VAULTS && view.bytes() <= LONGEST {
            self.held(|all| all.put(view.device.id, (as_of, view)));
        }
    }

    /// Forgets all: the next request of each reads again.
    pub fn forget(&self) {
        self.held(Bounded::clear);
    }

    fn held<T>(&self, look: impl FnOnce(&mut Bounded<DeviceId, Seen>) -> T) -> T {
        // Whoever panicked had put a whole view in, or none.
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
