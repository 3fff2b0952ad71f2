//! Whether an agent that runs still turns. Its own process has no say in it: a stopped or frozen one says nothing, and ends no lease.
//! The kernel counts how often a process's first thread was given a processor. Looked at, that wakes nobody but the supervisor.
//!
//! Not found out: an agent that goes round for ever in its own code.

use std::fmt;
use std::time::{Duration, Instant, SystemTime};

/// Between two looks, while all is well: two wake-ups a minute, of the supervisor alone.
pub(super) const EVERY: Duration = Duration::from_secs(30);
/// Between two that count, while an agent does not turn.
pub(super) const AGAIN: Duration = Duration::from_secs(10);
/// How many looks find a stopped one as it was before it is ended. One that hangs in a system call is told, and never ended: some calls
/// take minutes on a slow disk, an end by force waits for them too, and what it would cost is every key that is at hand.
const STOPPED: u32 = 2;

/// What the kernel says of a process: `/proc/PID/status`, which is of its first thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    /// By SIGSTOP or a tracer.
    stopped: bool,
    /// How often it was given a processor.
    turns: u64,
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is = if self.stopped { "stopped" } else { "not stopped" };
        write!(f, "{is}, given a processor {} times", self.turns)
    }
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing, it is as it was at the look before.
    Same,
    /// Tell that it went silent, or that it turns again.
    Tell,
    /// End it by force.
    End,
}

/// What was seen of one process, look by look.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    last: Option<(u64, Instant)>,
    still: u32,
    since: Option<SystemTime>,
}

impl Seen {
    /// None: there is no such process, or this is not what the kernel writes.
    pub(super) fn of(pid: u32) -> Option<Self> {
        Self::parse(&std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?)
    }

    /// Source: proc_pid_status(5).
    fn parse(status: &str) -> Option<Self> {
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let count = |name: &str| field(name)?.parse::<u64>().ok();
        let stopped = field("State:")?.starts_with(['T', 't']);
        let turns = count("voluntary_ctxt_switches:")? + count("nonvoluntary_ctxt_switches:")?;
        Some(Self { stopped, turns })
    }
}

impl Pulse {
    /// Since when it does not turn.
    pub(super) fn silent_since(&self) -> Option<SystemTime> {
        self.since
    }

    /// How soon it is to be looked at again.
    pub(super) fn again(&self) -> Duration {
        if self.still == 0 { EVERY } else { AGAIN }
    }

    /// A look. `turns_by_itself`: its first thread never sleeps longer than [`AGAIN`]; another one is silent only where it is stopped.
    /// Looks that come sooner than [`AGAIN`] after one that counted count only where they find it stopped for the first time.
    pub(super) fn look(
        &mut self,
        seen: Seen,
        turns_by_itself: bool,
        at: Instant,
        clock: SystemTime,
    ) -> Verdict {
        let soon = self.last.is_some_and(|(_, last)| at.saturating_duration_since(last) < AGAIN);
        let newly_stopped = seen.stopped && self.still == 0;
        if soon && !newly_stopped {
            return Verdict::Same;
        }
        let turned = self.last.is_none_or(|(turns, _)| turns != seen.turns);
        self.last = Some((seen.turns, at));
        if !seen.stopped && (turned || !turns_by_itself) {
            self.still = 0;
            return if self.since.take().is_some() { Verdict::Tell } else { Verdict::Same };
        }
        // Traced, it is stopped at each look, and moves on all the same.
        self.still = if turned { 1 } else { self.still + 1 };
        match self.still {
            still if still >= STOPPED && seen.stopped => Verdict::End,
            _ if self.since.is_none() => {
                self.since = Some(clock);
                Verdict::Tell
            }
            _ => Verdict::Same,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIVES: Seen = Seen { stopped: false, turns: 7 };
    const STOPPED: Seen = Seen { stopped: true, turns: 7 };

    /// Looks so many seconds apart, each with what is seen; and what is done.
    fn verdicts(turns_by_itself: bool, looks: &[(u64, Seen)]) -> Vec<Verdict> {
        let (mut pulse, mut at) = (Pulse::default(), Instant::now());
        let look = |(after, seen): &(u64, Seen)| {
            at += Duration::from_secs(*after);
            pulse.look(*seen, turns_by_itself, at, SystemTime::UNIX_EPOCH)
        };
        looks.iter().map(look).collect()
    }

    /// TH-3: who is stopped is told at once, and ended at the next look.
    #[test]
    fn a_stopped_agent_is_told_at_once_and_ended_soon() {
        use Verdict::{End, Same, Tell};
        let looks = [(0, LIVES), (1, STOPPED), (1, STOPPED), (10, STOPPED), (1, STOPPED), (10, STOPPED)];
        for turns_by_itself in [true, false] {
            assert_eq!(verdicts(turns_by_itself, &looks), [Same, Tell, Same, End, Same, End]);
        }
        let moved = Seen { turns: 8, ..LIVES };
        assert_eq!(verdicts(true, &[(0, LIVES), (1, STOPPED), (10, moved)]), [Same, Tell, Tell], "goes on");
    }

    /// TH-3: who hangs in a system call, or is frozen, is told, once, and not ended; who only rests is not told either.
    #[test]
    fn an_agent_that_hangs_is_told_and_not_ended() {
        let looks: Vec<_> = std::iter::repeat_n((10, LIVES), 60).collect();
        let verdicts_of = |by_itself| verdicts(by_itself, &looks);
        let told = verdicts_of(true);
        assert_eq!(told[..2], [Verdict::Same, Verdict::Tell]);
        assert!(told[2..].iter().all(|verdict| *verdict == Verdict::Same));
        assert!(verdicts_of(false).iter().all(|verdict| *verdict == Verdict::Same), "it waits to be asked");
        let turning: Vec<_> = (0..30).map(|turns| (30, Seen { stopped: false, turns })).collect();
        assert!(verdicts(true, &turning).iter().all(|verdict| *verdict == Verdict::Same));
    }

    /// TH-3: what was found still is looked at sooner, so that it is told and ended soon; what turns is looked at seldom.
    #[test]
    fn what_is_still_is_looked_at_again_soon() {
        let (mut pulse, start) = (Pulse::default(), Instant::now());
        for (after, seen, again) in [
            (0, LIVES, EVERY),
            (30, STOPPED, AGAIN),
            (40, STOPPED, AGAIN),
            (50, Seen { turns: 8, ..LIVES }, EVERY),
        ] {
            pulse.look(seen, true, start + Duration::from_secs(after), SystemTime::UNIX_EPOCH);
            assert_eq!(pulse.again(), again, "after {after} s");
        }
    }

    /// A tracer stops it at each of its calls, and it goes on.
    #[test]
    fn an_agent_that_is_traced_is_not_ended() {
        let looks: Vec<_> = (0..30).map(|turns| (10, Seen { stopped: true, turns })).collect();
        assert!(verdicts(true, &looks).iter().all(|verdict| *verdict != Verdict::End));
    }

    /// The whole machine stood still, the supervisor too: one look finds all as it was, and the next one not.
    #[test]
    fn a_pause_of_the_whole_machine_ends_nobody() {
        let moved = Seen { turns: 8, ..LIVES };
        let verdicts =
            verdicts(true, &[(0, LIVES), (36_000, LIVES), (10, moved), (30, Seen { turns: 9, ..moved })]);
        assert_eq!(verdicts, [Verdict::Same, Verdict::Tell, Verdict::Tell, Verdict::Same]);
    }

    #[test]
    fn the_kernel_says_whether_a_process_turns() {
        let status = |state: &str| {
            format!(
                "Name:\teve\nState:\t{state}\nvoluntary_ctxt_switches:\t5\nnonvoluntary_ctxt_switches:\t2\n"
            )
        };
        assert_eq!(Seen::parse(&status("S (sleeping)")), Some(LIVES));
        assert_eq!(Seen::parse(&status("T (stopped)")), Some(STOPPED));
        assert_eq!(Seen::parse(&status("t (tracing stop)")), Some(STOPPED));
        assert_eq!(Seen::parse("Name:\teve\n"), None);
        assert!(Seen::of(std::process::id()).is_some_and(|own| own.turns > 0 && !own.stopped));
    }
}
