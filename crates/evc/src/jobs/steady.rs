//! Whether this machine's clock is to be believed, where keys are deleted by it. One jump ends no grace: a clock that jumped has to run
//! on without another for a while first. What it showed while it ran steadily is remembered over restarts.
//! Pure: the time, and what passed by a clock that nobody sets, are told.

use std::time::Duration;

use crate::service::{Controller, Refusal};
use crate::store::{Scope, StoreError, Stored, Tx, UnixSeconds};

/// Further ahead than what passed, in seconds, is a jump: more than a slow round and a clock that is being slewed.
const JUMP_S: u64 = 5 * 60;
/// Until a clock that jumped is believed: time for its owner, or a time server, to set it right.
const SETTLES_IN: Duration = Duration::from_secs(60 * 60);
/// The remembered time is written when it is older than this, in seconds: not at each round.
const REMEMBER_EVERY_S: u64 = 60;
/// A clock that is further behind the remembered time, in seconds, was not set yet; within it are clocks of machines that just booted.
const BEHIND_S: u64 = 60 * 60;
/// Its name in the store.
const SEEN: &str = "time seen";

/// A clock as it was watched.
#[derive(Debug)]
pub struct Steady {
    seen: UnixSeconds,
    settles_in: Duration,
}

impl Steady {
    /// Watched from a time on that was believed.
    #[must_use]
    pub fn since(seen: UnixSeconds) -> Self {
        Self { seen, settles_in: Duration::ZERO }
    }

    /// Looks at the clock again; `passed` since the last time, by a clock that nobody sets. Whether it is to be believed.
    pub fn runs(&mut self, now: UnixSeconds, passed: Duration) -> bool {
        let ahead_s = now.saturating_sub(self.seen).saturating_sub(passed.as_secs());
        self.seen = now;
        if ahead_s > JUMP_S {
            tracing::warn!(
                ahead_s,
                "the clock jumped, or the controller was off: no grace ends in the next hour"
            );
            self.settles_in = SETTLES_IN;
        } else {
            self.settles_in = self.settles_in.saturating_sub(passed);
        }
        self.settles_in.is_zero()
    }
}

impl Controller {
    /// The clock, from the time on that was remembered: what passed while no controller ran counts as a jump.
    ///
    /// # Errors
    /// [`Refusal`] of the store's.
    pub async fn clock(&self, now: UnixSeconds) -> Result<Steady, Refusal> {
        let seen = self.store.read(|tx| Box::pin(seen(tx))).await?;
        Ok(Steady::since(seen.unwrap_or(now)))
    }

    /// What is done now and then: ends the graces that are over, if the clock is to be believed, and remembers the time. How many ended.
    ///
    /// # Errors
    /// [`Refusal`] of the store's: what was not done is done at the next round.
    pub async fn keep_house(
        &self,
        clock: &mut Steady,
        now: UnixSeconds,
        passed: Duration,
    ) -> Result<usize, Refusal> {
        if !clock.runs(now, passed) {
            return Ok(0);
        }
        let ended = self.end_graces(now).await?;
        self.remember(now).await?;
        Ok(ended)
    }

    /// Remembers the time when what is remembered is older than it may be.
    async fn remember(&self, now: UnixSeconds) -> Result<(), Refusal> {
        let seen = self.store.read(|tx| Box::pin(seen(tx))).await?;
        if seen.is_none_or(|seen| seen + REMEMBER_EVERY_S <= now) {
            self.store.write(Scope::Clock, |tx| Box::pin(remember(tx, now))).await?;
        }
        Ok(())
    }
}

/// The remembered time, when the clock is well behind it.
pub(crate) async fn far_behind(tx: &mut dyn Tx, now: UnixSeconds) -> Stored<Option<UnixSeconds>> {
    Ok(seen(tx).await?.filter(|seen| now.saturating_add(BEHIND_S) < *seen))
}

/// The newest time that was believed.
async fn seen(tx: &mut dyn Tx) -> Stored<Option<UnixSeconds>> {
    let Some(bytes) = tx.meta(SEEN).await? else { return Ok(None) };
    let bytes = bytes.try_into().map_err(|_| StoreError::Damaged("the time seen has not 8 bytes".into()))?;
    Ok(Some(UnixSeconds::from_be_bytes(bytes)))
}

pub(crate) async fn remember(tx: &mut dyn Tx, now: UnixSeconds) -> Stored<()> {
    tx.put_meta(SEEN, &now.to_be_bytes()).await
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixSeconds = 1_800_000_000;
    const ROUND: Duration = Duration::from_secs(15);

    /// Invariant 6: one jump ahead makes nobody believe in the new time; an hour without another does.
    #[test]
    fn a_clock_that_jumped_is_believed_when_it_ran_on_for_an_hour() {
        let mut clock = Steady::since(NOW);
        assert!(clock.runs(NOW + 15, ROUND), "it runs");
        assert!(clock.runs(NOW + 30 + JUMP_S, ROUND), "slewed, or a slow round");
        let jumped = NOW + 1_000_000;
        assert!(!clock.runs(jumped, ROUND));
        for round in 1..240 {
            assert!(!clock.runs(jumped + 15 * round, ROUND), "{round}");
        }
        assert!(clock.runs(jumped + 15 * 240, ROUND));
        assert!(clock.runs(NOW, ROUND), "set back: graces end later, and that destroys nothing");
        assert!(!clock.runs(jumped, ROUND), "and forth again is a jump");
    }

    /// A machine that slept or was off for long is no other case.
    #[test]
    fn long_rounds_are_no_jumps_when_the_time_did_pass() {
        let hour = Duration::from_secs(3600);
        assert!(Steady::since(NOW).runs(NOW + 3600, hour));
        assert!(!Steady::since(NOW).runs(NOW + 2 * 3600, hour));
    }
}
