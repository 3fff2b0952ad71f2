//! When the controller is polled, which of its questions are answered, and when the status is posted. Pure: the time is an argument.
//!
//! A regular poll comes once in each interval, and at once when the device or vaultmgr's session is new. After evidence one poll
//! more follows at once, to fetch what the evidence earned. A challenge in that one's answer says that it was not enough, say for
//! reference values that nobody has approved yet; answered at once it would be followed by the next, for ever. So only what a
//! regular poll is asked is answered.

use std::time::{Duration, Instant};

use crate::agents::pause::Pause;

/// After a failure: this long, then twice as long, up to the poll interval.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// What a controller that is overloaded may ask for.
const RETRY_AFTER_S: std::ops::RangeInclusive<u64> = 1..=600;
/// The status is posted at least this often.
pub(super) const INFO_EVERY: Duration = Duration::from_secs(600);
/// And no more often than [`INFO_BURST`] times in this, however often it changes: what an operator does, a few acts one after the other, is
/// told at once, each with what came of it; of a flood, as when hundreds of vaults are made, what changes meanwhile is told together.
pub(super) const INFO_WINDOW: Duration = Duration::from_millis(1600);
pub(super) const INFO_BURST: usize = 8;

/// The longest that one exchange takes, with room: a report or a bundle over a slow line.
const SLOW: Duration = Duration::from_secs(120);

/// Why there is a poll.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Poll {
    /// It is time.
    Regular,
    /// Evidence was posted.
    AfterEvidence,
}

impl Poll {
    /// Whether a challenge in its answer is taken up.
    pub(super) fn takes_challenge(self) -> bool {
        self == Self::Regular
    }
}

/// The time of the next regular poll.
#[derive(Debug)]
pub(super) struct Pace {
    interval: Duration,
    next: Instant,
    pause: Pause,
}

impl Pace {
    pub(super) fn new(interval: Duration, now: Instant) -> Self {
        Self { interval, next: now + interval, pause: Pause::new(FIRST_PAUSE, interval) }
    }

    pub(super) fn wait(&self, now: Instant) -> Duration {
        self.next.saturating_duration_since(now)
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.wait(now).is_zero()
    }

    /// After how long it is overdue: some intervals after the next one is due, and what an exchange may take on a slow line.
    pub(super) fn overdue_in(&self, now: Instant) -> Duration {
        self.wait(now) + 3 * self.interval + SLOW
    }

    /// Which poll is due, if any.
    pub(super) fn poll(&self, now: Instant, evidence_posted: bool) -> Option<Poll> {
        match (self.is_due(now), evidence_posted) {
            (true, _) => Some(Poll::Regular),
            (false, true) => Some(Poll::AfterEvidence),
            (false, false) => None,
        }
    }

    /// Something is new: the next regular poll is now.
    pub(super) fn at_once(&mut self, now: Instant) {
        self.next = now;
    }

    /// There is nobody yet to poll for.
    pub(super) fn later(&mut self, now: Instant) {
        self.next = now + self.interval;
    }

    /// What was due when it began went well. `part` of the interval, up to 1, keeps a fleet from polling in step.
    pub(super) fn went_well(&mut self, began: Instant, now: Instant, part: f64) {
        self.pause.reset();
        if self.is_due(began) {
            self.next = now + self.interval.mul_f64(part);
        }
    }

    /// It failed, and is due again when the returned time is over; `retry_after_s` is the controller's own wish.
    pub(super) fn failed(&mut self, now: Instant, retry_after_s: Option<u64>) -> Duration {
        if let Some(wish) = retry_after_s {
            self.pause.set(Duration::from_secs(wish.clamp(*RETRY_AFTER_S.start(), *RETRY_AFTER_S.end())));
        }
        let pause = self.pause.take();
        self.next = now + pause;
        pause
    }
}

/// How long the status waits that was posted so long ago, the newest first.
pub(super) fn info_wait(posted: [Option<Duration>; INFO_BURST], changed: bool) -> Duration {
    let [newest, .., oldest] = posted;
    let (ago, every) = if changed { (oldest, INFO_WINDOW) } else { (newest, INFO_EVERY) };
    ago.map_or(Duration::ZERO, |ago| every.saturating_sub(ago))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    /// A controller that answers each poll with a new challenge, and a TPM that answers each challenge in no time: what is polled
    /// and quoted in ten intervals. Ends by itself when it goes on for ever.
    fn never_satisfied() -> (usize, usize) {
        let start = Instant::now();
        let (mut pace, mut now) = (Pace::new(MINUTE, start), start);
        let (mut polls, mut quotes, mut evidence) = (0, 0, false);
        pace.at_once(now);
        while now < start + 10 * MINUTE && polls < 1000 {
            let Some(poll) = pace.poll(now, std::mem::take(&mut evidence)) else {
                now += pace.wait(now);
                continue;
            };
            polls += 1;
            if poll.takes_challenge() {
                quotes += 1;
                evidence = true;
            }
            pace.went_well(now, now, 1.0);
        }
        (polls, quotes)
    }

    /// RA: while no evidence is good enough, the TPM and the controller have as much to do as the interval says, and no more.
    #[test]
    fn a_policy_that_is_not_met_costs_one_quote_an_interval() {
        assert_eq!(never_satisfied(), (20, 10));
    }

    #[test]
    fn evidence_is_followed_by_one_poll_at_once_and_a_new_session_by_a_regular_one() {
        let now = Instant::now();
        let mut pace = Pace::new(MINUTE, now);
        assert_eq!(pace.poll(now, false), None);
        assert_eq!(pace.poll(now, true), Some(Poll::AfterEvidence));
        pace.went_well(now, now, 0.5);
        assert_eq!(pace.wait(now), MINUTE, "the regular one is where it was");
        pace.at_once(now);
        assert_eq!(pace.poll(now, true), Some(Poll::Regular), "whose challenge is answered");
        pace.went_well(now, now, 0.5);
        assert_eq!(pace.wait(now), MINUTE / 2);
    }

    /// What was posted as the interval ended is no poll: that is still due.
    #[test]
    fn a_status_posted_over_the_end_of_the_interval_takes_no_polls_place() {
        let start = Instant::now();
        let mut pace = Pace::new(MINUTE, start);
        let (began, ended) = (start + MINUTE * 59 / 60, start + MINUTE * 61 / 60);
        assert_eq!(pace.poll(began, false), None);
        pace.went_well(began, ended, 1.0);
        assert_eq!(pace.poll(ended, false), Some(Poll::Regular));
    }

    #[test]
    fn failures_are_tried_again_ever_later_up_to_the_interval_or_as_the_controller_wishes() {
        let now = Instant::now();
        let mut pace = Pace::new(MINUTE, now);
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            assert_eq!(pace.failed(now, None), Duration::from_secs(seconds));
        }
        for (wish, seconds) in [(5, 5), (0, 1), (100_000, 600)] {
            assert_eq!(pace.failed(now, Some(wish)), Duration::from_secs(seconds));
        }
        pace.went_well(now, now, 1.0);
        assert_eq!(pace.failed(now, None), Duration::from_secs(1));
    }
}
