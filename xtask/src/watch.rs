//! Waits for cargo, and ends test programs that do not end by themselves. Cargo has no limit for them: one that hangs would keep all that come
//! after it from being run, and whoever waits from hearing which it was.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// What one test program may take: more than twice what the longest took on two cores with others beside it (1038 s).
pub(crate) const AT_MOST: Duration = Duration::from_secs(40 * 60);
/// How often it is looked.
const LOOK: Duration = Duration::from_millis(200);

/// Waits for its end. What it started itself and takes longer than `at_most` is ended, which its parent reports as a failure.
///
/// # Errors
/// It can't be waited for.
pub(crate) fn wait(child: &mut Child, at_most: Duration) -> Result<ExitStatus> {
    let (mut since, mut told) = (HashMap::new(), HashSet::new());
    loop {
        if let Some(status) = child.try_wait().context("waiting for it")? {
            return Ok(status);
        }
        since = looked_at(&since, &children(child.id()), Instant::now());
        told.retain(|pid| since.contains_key(pid));
        // One that hangs in the kernel stays there, killed: it is named once.
        for pid in over(&since, at_most).into_iter().filter(|pid| told.insert(*pid)) {
            eprintln!("+ {} runs for more than {} s: it is ended", name(pid), at_most.as_secs());
            end(pid)?;
        }
        std::thread::sleep(LOOK);
    }
}

/// Since when each of these is seen: as before, or as of now.
fn looked_at(since: &HashMap<u32, Instant>, there: &[u32], now: Instant) -> HashMap<u32, Instant> {
    there.iter().map(|pid| (*pid, since.get(pid).copied().unwrap_or(now))).collect()
}

fn over(since: &HashMap<u32, Instant>, at_most: Duration) -> Vec<u32> {
    since.iter().filter(|(_, since)| since.elapsed() > at_most).map(|(pid, _)| *pid).collect()
}

/// Its own children, of all its threads. None of one that ended meanwhile.
fn children(pid: u32) -> Vec<u32> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let told = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    told.flat_map(|told| told.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect()
}

fn name(pid: u32) -> String {
    let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    format!("{} (process {pid})", line.split('\0').next().unwrap_or_default())
}

/// At once: what hangs may not hear a request. What it started goes with it, as when somebody else kills it.
fn end(pid: u32) -> Result<()> {
    let kill = format!("kill -KILL {pid}");
    Command::new("sh").args(["-c", &kill]).status().context(kill)?;
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]
mod tests {
    use super::*;

    fn shell(script: &str) -> Child {
        Command::new("sh").args(["-c", script]).spawn().unwrap()
    }

    /// A test that hangs is a failure of its program, and what comes after it is run.
    #[test]
    fn what_takes_too_long_is_ended_and_its_parent_goes_on() {
        let mut parent = shell("sleep 600; test $? = 137 && exit 7");
        let status = wait(&mut parent, Duration::from_millis(300)).unwrap();
        assert_eq!(status.code(), Some(7), "it saw its child killed, and went on");
    }

    #[test]
    fn what_ends_in_time_is_left_alone() {
        for (script, code) in [("sleep 0.1; true", 0), ("sleep 0.1; exit 3", 3)] {
            let status = wait(&mut shell(script), AT_MOST).unwrap();
            assert_eq!(status.code(), Some(code), "{script}");
        }
    }

    /// Each has its own time, however many came before it.
    #[test]
    fn time_is_counted_from_when_it_was_first_seen() {
        let start = Instant::now();
        let first = looked_at(&HashMap::new(), &[1, 2], start);
        let then = start + Duration::from_secs(5);
        let next = looked_at(&first, &[2, 3], then);
        assert_eq!(next, HashMap::from([(2, start), (3, then)]));
    }
}
