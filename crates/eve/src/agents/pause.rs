//! A pause between tries that doubles with each, up to a longest.

use std::time::Duration;

/// The next pause, and how it grows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pause {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Pause {
    pub(super) fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, next: first }
    }

    /// How long to pause now.
    pub(super) fn take(&mut self) -> Duration {
        let now = self.next;
        self.next = (now * 2).min(self.longest.max(self.first));
        now
    }

    /// The next pause is this long.
    pub(super) fn set(&mut self, next: Duration) {
        self.next = next;
    }

    /// All is well: the next pause is a short one again.
    pub(super) fn reset(&mut self) {
        self.next = self.first;
    }
}
