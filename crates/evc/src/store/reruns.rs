//! How often, and after which pauses, a transaction's body is run again whose engine asks for that.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// Before each time that a body is run again. Short: who was in the way has committed.
const PAUSES: [Duration; 4] = [
    Duration::from_millis(5),
    Duration::from_millis(20),
    Duration::from_millis(80),
    Duration::from_millis(320),
];
/// A body that has taken so long is not run again: who waits for it is told to come back.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often a body is run again.
pub(super) struct Reruns {
    begun: Instant,
    pauses: std::slice::Iter<'static, Duration>,
}

impl Reruns {
    pub(super) fn new() -> Self {
        Self { begun: Instant::now(), pauses: PAUSES.iter() }
    }

    /// Whether it is to be run once more; if so, after a pause.
    pub(super) async fn one_more(&mut self) -> bool {
        let Some(pause) = self.pauses.next().filter(|_| self.begun.elapsed() < PATIENCE) else {
            return false;
        };
        sleep(*pause).await;
        true
    }
}
