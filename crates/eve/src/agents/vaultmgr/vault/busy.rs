//! A lock that is not complete: the vault's key is out of the kernel, and files of it are open still. That is no failure of a step. What is left of it
//! is tried again until the last of these is closed; and a lock of the vault once it is open again is another one, and waits for nothing.

use std::time::{Duration, Instant};

use vault::plan::Op;

const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Each try syncs the filesystem, and looks through all processes.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// By which operation, when it is tried again, and how long the pause after that is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Busy {
    pub(super) op: Op,
    again: Option<Instant>,
    next: Duration,
}

impl Busy {
    /// It was tried, again or for the first time.
    pub(super) fn after(last: Option<Self>, op: Op, now: Instant) -> Self {
        let pause = last.map_or(FIRST_PAUSE, |last| last.next);
        Self { op, again: Some(now + pause), next: (pause * 2).min(LONGEST_PAUSE) }
    }

    /// When it is tried again; nothing where it may be now.
    pub(super) fn again(self) -> Option<Instant> {
        self.again
    }

    /// Lets it be tried when its pause is over. Says whether that is now.
    pub(super) fn due(&mut self, now: Instant) -> bool {
        self.again.take_if(|again| *again <= now).is_some()
    }

    /// It may be tried now, and often again.
    pub(super) fn afresh(&mut self) {
        (self.again, self.next) = (None, FIRST_PAUSE);
    }
}
