//! Devices in the middle of an attestation: what the view of a challenge said of each, until the poll after its section. Evidence and section are
//! then held against that, and what each wrote is added to it, so nothing is read twice. It stays for a while after that poll, for the device's next
//! session: in places of its own, so that nobody who rests pushes out who attests.
//! It is believed under the conditions of `fleet::settled`: it is kept with the moment before its view, and asked of the store at each use whether
//! anything was written since. It holds no secret and no sealed key, and nothing is true because it is in here: lost at any time, all is read
//! again. One who uses it takes it out; two requests of one device at the same time read.

use std::sync::{Mutex, PoisonError};

use vault::ids::DeviceId;

use super::bounded::Bounded;
use super::view::View;
use crate::store::AsOf;

/// So many devices of each kind at the same time; beyond them each that comes costs another one a look.
const MOST: usize = 512;
/// Bytes of a device's rows, at most. What is larger is read each time.
const LONGEST: usize = 16 << 10;
/// Vaults of a device, at most.
const VAULTS: usize = 16;

/// What was seen of a device, and the moment before that.
pub(crate) type Seen = (AsOf, Box<View>);

/// What was seen of devices.
pub struct Recall(Mutex<Devices>);

struct Devices {
    attest: Bounded<DeviceId, Seen>,
    rest: Bounded<DeviceId, Seen>,
}

impl Default for Recall {
    fn default() -> Self {
        Self(Mutex::new(Devices { attest: Bounded::of(MOST), rest: Bounded::of(MOST) }))
    }
}

impl Recall {
    /// What was seen of a device, which is forgotten with that.
    pub(crate) fn take(&self, device: DeviceId) -> Option<Seen> {
        self.held(|all| {
            let rests = all.rest.take(&device);
            all.attest.take(&device).or(rests)
        })
    }

    /// Keeps it, where it is short, of a device that attests.
    pub(crate) fn keep(&self, as_of: AsOf, view: Box<View>) {
        if is_short(&view) {
            self.held(|all| all.attest.put(view.device.id, (as_of, view)));
        }
    }

    /// Keeps it, where it is short, of a device that has what it asked for.
    pub(crate) fn rest(&self, as_of: AsOf, view: Box<View>) {
        if is_short(&view) {
            self.held(|all| all.rest.put(view.device.id, (as_of, view)));
        }
    }

    /// Forgets all: the next request of each reads again.
    pub fn forget(&self) {
        self.held(|all| {
            all.attest.clear();
            all.rest.clear();
        });
    }

    fn held<T>(&self, look: impl FnOnce(&mut Devices) -> T) -> T {
        // Whoever panicked had put a whole view in, or none.
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn is_short(view: &View) -> bool {
    view.vaults.len() <= VAULTS && view.bytes() <= LONGEST
}
