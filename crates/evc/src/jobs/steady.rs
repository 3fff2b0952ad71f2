//! Whether this machine's clock is to be believed, where keys are deleted by it. One jump ends no grace: a clock that jumped has to run
//! on without another for a while first, and the graces that ran are moved along with it, so that each lasts as long as it was given,
//! by whichever clock it began, less a tenth at most, which a clock may gain that is being slewed. Set back, it takes them back: else what
//! was moved to 2100 would stay there. What the clock showed is remembered over restarts.
//! Pure: the time, and what passed by a clock that nobody sets, are told.

use std::time::Duration;

use crate::fleet::times::Times;
use crate::service::{Controller, Part, Refusal, chain};
use crate::store::{Failure as _, Noted, Scope, Stored, Tx, UnixSeconds};
use crate::words::damaged::of_unkept;

/// Further ahead than what passed is a jump, at once or in small steps: more than a slow round. Set back further at once is one too; what
/// is less keeps graces for longer.
const JUMP: Duration = Duration::from_secs(5 * 60);
/// Of what passed, this part a clock may gain without end: faster than one that is being slewed (chrony: a twelfth at most).
const SLEWED: u32 = 10;
/// Until a clock that jumped is believed: time for its owner, or a time server, to set it right.
const SETTLES_IN: Duration = Duration::from_secs(60 * 60);
/// The remembered times are written when they are older than this, in seconds: not at each round.
const REMEMBER_EVERY_S: u64 = 60;

/// A clock as it was watched.
#[derive(Debug)]
pub struct Steady {
    seen: UnixSeconds,
    /// How far it ran ahead until now, less what it may gain in that time.
    ahead: Duration,
    settles_in: Duration,
    jumped: Option<Jump>,
}

/// A jump that the graces were not moved with yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Jump {
    by_s: i64,
    /// The time after it. By this it is known again where the answer of the commit that moved the graces was lost.
    to: UnixSeconds,
}

impl Steady {
    /// Watched from a time on that was believed.
    #[must_use]
    pub fn since(seen: UnixSeconds) -> Self {
        Self { seen, ahead: Duration::ZERO, settles_in: Duration::ZERO, jumped: None }
    }

    /// Watched from what it showed last. Where that is a jump ahead of what was believed, it is not to be believed yet.
    fn since_remembered(Times { seen, shown, unread }: Times, now: UnixSeconds) -> Self {
        if unread {
            tracing::warn!(
                "the time that the clock showed last is damaged in the database: nothing ends in the next hour, and it is written anew"
            );
        }
        let jumped =
            shown.is_some_and(|shown| seen.is_none_or(|seen| shown.saturating_sub(seen) > JUMP.as_secs()));
        let settles_in = if jumped || unread { SETTLES_IN } else { Duration::ZERO };
        Self { settles_in, ..Self::since(shown.or(seen).unwrap_or(now)) }
    }

    /// Looks at the clock again; `passed` since the last time, by a clock that nobody sets. Whether it is to be believed.
    pub fn runs(&mut self, now: UnixSeconds, passed: Duration) -> bool {
        let shown = Duration::from_secs(now.saturating_sub(self.seen));
        let back = Duration::from_secs(self.seen.saturating_sub(now));
        self.seen = now;
        self.settles_in = self.settles_in.saturating_sub(passed);
        if back > JUMP {
            self.set_back(back.as_secs());
            return self.settles_in.is_zero();
        }
        self.ahead = (self.ahead + shown).saturating_sub(passed + passed / SLEWED + back);
        if self.ahead > JUMP {
            let ahead_s = (std::mem::take(&mut self.ahead) + passed / SLEWED).as_secs();
            let by = humantime::format_duration(Duration::from_secs(ahead_s));
            tracing::warn!(
                ahead_s,
                "the clock jumped, or the controller was off, for {by}: graces are moved with it, and none ends in the next hour"
            );
            self.settles_in = SETTLES_IN;
            self.moves(i64::try_from(ahead_s).unwrap_or(i64::MAX));
        }
        self.settles_in.is_zero()
    }

    /// How far it ran ahead of what passed stays: graces are taken back by what it was set back, and no more.
    fn set_back(&mut self, back_s: u64) {
        tracing::warn!(back_s, "the clock was set back: graces are moved with it");
        self.moves(i64::try_from(back_s).map_or(-i64::MAX, |back| -back));
    }

    /// Of two, the first may be in the store already. Ahead it counts twice then, and what is kept is kept for longer; so one back is let go.
    fn moves(&mut self, by_s: i64) {
        let before = self.jumped.map_or(0, |before| before.by_s.max(0));
        self.jumped = Some(Jump { by_s: before.saturating_add(by_s), to: self.seen });
    }
}

impl Controller {
    /// The clock, from the time on that was remembered: what passed while no controller ran counts as a jump.
    ///
    /// # Errors
    /// [`Refusal`] of the store's.
    pub async fn clock(&self, now: UnixSeconds) -> Result<Steady, Refusal> {
        let times = self.store.read(|tx| Box::pin(Times::load(tx))).await?;
        Ok(Steady::since_remembered(times, now))
    }

    /// What is done now and then: moves graces with a clock that jumped, ends those that are over, if the clock is to be believed, and
    /// remembers the time. How many ended.
    ///
    /// # Errors
    /// The first [`Refusal`] that was met: what was not done is done at the next round. No part of it waits for another that failed, but that
    /// nothing ends by a clock whose jump the graces were not moved with yet, and no such time is remembered.
    pub async fn keep_house(
        &self,
        clock: &mut Steady,
        now: UnixSeconds,
        passed: Duration,
    ) -> Result<usize, Refusal> {
        let believed = clock.runs(now, passed);
        let (mut round, mut ended) = (Round::default(), 0);
        let moved = round.did(Part::Moving, self.move_graces(clock).await).is_some();
        if moved && believed {
            ended = round.did(Part::Graces, self.end_graces(now).await).unwrap_or_default();
            round.did(Part::Deleted, self.forget_deleted(now).await);
        }
        if moved {
            round.did(Part::Time, self.remember(now, believed).await);
        }
        round.did(Part::Number, self.number_owed().await);
        round.did(Part::Log, self.store.fold().await.map_err(Refusal::from));
        self.unkept.put(round.told);
        round.failed.map_or(Ok(ended), Err)
    }

    /// Moves what runs with the clock, before anything ends by it.
    async fn move_graces(&self, clock: &mut Steady) -> Result<(), Refusal> {
        if let Some(jump) = clock.jumped {
            self.store.write(Scope::Fleet, |tx| Box::pin(move_graces(tx, jump))).await?;
            clock.jumped = None;
        }
        Ok(())
    }

    /// Remembers the time when what is remembered is older than it may be.
    async fn remember(&self, now: UnixSeconds, believed: bool) -> Result<(), Refusal> {
        let Times { seen, shown, .. } = self.store.read(|tx| Box::pin(Times::load(tx))).await?;
        let news = Times {
            seen: believed
                .then_some(now)
                .filter(|_| seen.is_none_or(|seen| seen.saturating_add(REMEMBER_EVERY_S) <= now)),
            shown: Some(now).filter(|_| shown.is_none_or(|shown| shown.abs_diff(now) >= REMEMBER_EVERY_S)),
            unread: false,
        };
        if news != Times::default() {
            self.store.note(Noted::Clock, |tx| Box::pin(news.note(tx))).await?;
        }
        Ok(())
    }
}

/// What became of the parts of one round.
#[derive(Default)]
struct Round {
    failed: Option<Refusal>,
    told: Vec<String>,
}

impl Round {
    /// Takes note of a part; what came of it, where it was done.
    fn did<T>(&mut self, part: Part, done: Result<T, Refusal>) -> Option<T> {
        let error = match done {
            Ok(done) => return Some(done),
            Err(error) => error,
        };
        tracing::warn!(error = chain(&error), "{}: tried again in the next round", part.words());
        // What is busy is not worth anybody's look.
        self.told.extend((!error.may_pass()).then(|| of_unkept(part, &error)));
        self.failed.get_or_insert(error);
        None
    }
}

/// Once: with the time that the clock jumped to, which is remembered in the same transaction.
async fn move_graces(tx: &mut dyn Tx, Jump { by_s, to }: Jump) -> Stored<()> {
    if Times::load(tx).await?.shown == Some(to) {
        return Ok(());
    }
    tx.move_graces(by_s).await?;
    Times { shown: Some(to), ..Times::default() }.remember(tx).await
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
        assert!(clock.runs(NOW + 30 + JUMP.as_secs(), ROUND), "slewed, or a slow round");
        let jumped = NOW + 1_000_000;
        assert!(!clock.runs(jumped, ROUND));
        for round in 1..240 {
            assert!(!clock.runs(jumped + 15 * round, ROUND), "{round}");
        }
        assert!(clock.runs(jumped + 15 * 240, ROUND));
        assert!(clock.runs(NOW, ROUND), "set back: graces go with it, and none is shorter for it");
        assert!(!clock.runs(jumped, ROUND), "and forth again is a jump");
    }

    /// Invariant 6: small steps add up, however small; a clock that a time server slews is none that jumped.
    #[test]
    fn a_clock_that_runs_ahead_in_small_steps_is_not_believed_either() {
        for (step, believed) in [(285, false), (60, false), (3, false), (1, true), (0, true)] {
            let (mut clock, mut now, mut ended) = (Steady::since(NOW), NOW, true);
            for _ in 0..480 {
                now += 15 + step;
                ended &= clock.runs(now, ROUND);
            }
            assert_eq!(ended, believed, "{step} s ahead in each round");
            // But for what it may gain, and less than one jump.
            let moved = clock.jumped.map_or(0, |jump| u64::try_from(jump.by_s).expect("ahead"));
            assert!(
                believed || moved + 480 * 3 / 2 + 301 > 480 * step,
                "{step}: graces are moved by {moved}"
            );
        }
    }

    /// A jump is told with what it was ahead by, until the graces are moved; a second one meanwhile is added to it.
    #[test]
    fn a_jump_waits_until_the_graces_are_moved_with_it() {
        let mut clock = Steady::since(NOW);
        assert!(clock.runs(NOW + 15, ROUND) && clock.jumped.is_none());
        clock.runs(NOW + 30 + 1000, ROUND);
        assert_eq!(clock.jumped, Some(Jump { by_s: 1000, to: NOW + 1030 }));
        clock.runs(NOW + 1045, ROUND);
        clock.runs(NOW + 1060 + 2000, ROUND);
        assert_eq!(clock.jumped, Some(Jump { by_s: 3000, to: NOW + 3060 }));
        clock.jumped = None;
        clock.runs(NOW, ROUND);
        assert_eq!(clock.jumped, Some(Jump { by_s: -3060, to: NOW }), "set back: they go with it");
        clock.runs(NOW - 1000, ROUND);
        assert_eq!(clock.jumped, Some(Jump { by_s: -1000, to: NOW - 1000 }), "the first may be done");
        clock.jumped = None;
        clock.runs(NOW - 1100, ROUND);
        assert_eq!(clock.jumped, None, "a little: they end later");
    }

    /// Invariant 6: a clock that is set forth in small steps and back at once, again and again, ends no grace before its time.
    #[test]
    fn a_clock_that_goes_to_and_fro_takes_nothing_from_a_grace() {
        let (mut clock, mut now, mut until) = (Steady::since(NOW), NOW, 0);
        let mut passed = 0;
        for round in 1..1000 {
            now = if round % 3 == 0 { now - 500 } else { now + 15 + 240 };
            passed += 15;
            clock.runs(now, ROUND);
            until += clock.jumped.take().map_or(0, |jump| jump.by_s);
            // What is left of a grace, as far as the clock moved past its end, may be less by what passed.
            let lost = i64::try_from(now).expect("small") - i64::try_from(NOW).expect("small") - until;
            assert!(lost <= passed + passed / 10 + 300, "{round}: {lost} of {passed}");
        }
    }

    /// Over a restart a clock is believed by what was believed before, and a jump is told by what it showed last.
    #[test]
    fn what_is_remembered_tells_a_clock_that_has_not_settled() {
        let since = |seen, shown| Steady::since_remembered(Times { seen, shown, unread: false }, NOW);
        assert!(since(None, None).runs(NOW, ROUND), "the first start");
        assert!(since(Some(NOW), None).runs(NOW + 15, ROUND), "of a version that remembered less");
        assert!(since(Some(NOW), Some(NOW + 30)).runs(NOW + 45, ROUND));
        assert!(since(Some(NOW + 9999), Some(NOW)).runs(NOW + 15, ROUND), "set back");
        for (seen, shown) in [(Some(NOW), NOW + 1000), (None, NOW + 1000)] {
            let mut clock = since(seen, Some(shown));
            assert!(!clock.runs(NOW + 1015, ROUND), "{seen:?}");
            assert_eq!(clock.jumped, None, "{seen:?}: moved already");
        }
    }

    /// A machine that slept or was off for long is no other case.
    #[test]
    fn long_rounds_are_no_jumps_when_the_time_did_pass() {
        let hour = Duration::from_secs(3600);
        assert!(Steady::since(NOW).runs(NOW + 3600, hour));
        assert!(!Steady::since(NOW).runs(NOW + 2 * 3600, hour));
    }
}
