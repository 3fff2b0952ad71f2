//! When tpmmgr does what nobody waits for: a moment after it is known that there is something to do, however many calls come meanwhile.

use std::time::{Duration, Instant};

/// How often a TPM that can't be used is tried again.
pub(super) const AGAIN: Duration = Duration::from_secs(2);
/// How long nothing is looked at while the TPM answers and nothing waits for it: whoever asks finds out that it does not.
const AT_REST: Duration = Duration::from_secs(600);

/// Until when it rests.
#[derive(Debug, Default)]
pub(super) struct Rest(Option<Instant>);

impl Rest {
    /// For how long nothing is done of itself; zero: now. `has_to_do`: there is something, perhaps for some time already.
    pub(super) fn patience(&mut self, has_to_do: bool, now: Instant) -> Duration {
        if !has_to_do {
            self.0 = None;
            return AT_REST;
        }
        self.0.get_or_insert(now + AGAIN).saturating_duration_since(now)
    }

    /// It was done, or tried.
    pub(super) fn is_over(&mut self) {
        self.0 = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A device that signs each of its polls asks the TPM every moment: the time runs on.
    #[test]
    fn calls_that_come_without_end_keep_nothing_from_being_done() {
        let (mut rest, start) = (Rest::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(rest.patience(false, at(0)), AT_REST);
        assert_eq!(rest.patience(true, at(100)), AGAIN);
        for ms in (200..2100).step_by(100) {
            assert_eq!(rest.patience(true, at(ms)), Duration::from_millis(2100 - ms));
        }
        assert_eq!(rest.patience(true, at(2100)), Duration::ZERO);
        assert_eq!(rest.patience(true, at(5000)), Duration::ZERO, "late");
        rest.is_over();
        assert_eq!(rest.patience(true, at(5000)), AGAIN, "tried in vain: not at once again");
        assert_eq!(rest.patience(false, at(5100)), AT_REST);
        assert_eq!(rest.patience(true, at(9000)), AGAIN, "what was done is forgotten");
    }
}
