//! What devices are called, for the log alone: a line that has a device's UUID has its name too. Kept in memory, and learned anew by each life; of no worth but to who reads.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use vault::ids::{DeviceId, Name};

/// Names by device.
#[derive(Debug, Default)]
pub struct Names(Mutex<HashMap<DeviceId, Name>>);

impl Names {
    /// It was read.
    pub fn learn(&self, device: DeviceId, name: &Name) {
        self.held(|names| drop(names.insert(device, name.clone())));
    }

    /// None: nothing was read of it in this life.
    #[must_use]
    pub fn of(&self, device: DeviceId) -> Option<String> {
        self.held(|names| names.get(&device).map(ToString::to_string))
    }

    fn held<T>(&self, look: impl FnOnce(&mut HashMap<DeviceId, Name>) -> T) -> T {
        // Whatever panicked, a map of names is as good as before.
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
