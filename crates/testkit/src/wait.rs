//! Waiting for what another process does: bounded, and saying what was waited for and, where a look can say it, what was seen instead.

use std::fmt::{Debug, Display};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// The longest that anything here may take; a loaded machine takes long.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks.
pub(crate) const POLL: Duration = Duration::from_millis(20);
/// The longest that what was seen last is shown: its end, where a status tells its notes and a log its newest lines.
const SHOWN: usize = 6000;

/// What one look gives: what is waited for, or else what was seen in its place.
pub trait Look {
    /// What is waited for.
    type Found;
    /// It, or what was seen; nothing where a look can't say.
    ///
    /// # Errors
    /// Not yet.
    fn found(self) -> Result<Self::Found, Option<String>>;
}

/// Says nothing of what was seen.
impl<T> Look for Option<T> {
    type Found = T;
    fn found(self) -> Result<T, Option<String>> {
        self.ok_or(None)
    }
}

impl<T, S: Display> Look for Result<T, S> {
    type Found = T;
    fn found(self) -> Result<T, Option<String>> {
        // With its causes, where it is an error of `anyhow`.
        self.map_err(|seen| Some(format!("{seen:#}")))
    }
}

/// Looks until there is something.
///
/// # Errors
/// After [`PATIENCE`], with `what` it was, and what was seen last.
pub fn until<L: Look>(what: &str, look: impl FnMut() -> L) -> Result<L::Found> {
    within(PATIENCE, what, look)
}

/// Looks until what is seen is as it is to be; returns it.
///
/// # Errors
/// As [`until`], with what was seen last.
pub fn until_is<T: Debug>(what: &str, mut see: impl FnMut() -> T, is: impl Fn(&T) -> bool) -> Result<T> {
    until(what, || {
        let seen = see();
        if is(&seen) { Ok(seen) } else { Err(format!("{seen:?}")) }
    })
}

/// The same for what may take longer, or must not take as long.
///
/// # Errors
/// After `patience`, with `what` it was, and what was seen last.
pub fn within<L: Look>(patience: Duration, what: &str, look: impl FnMut() -> L) -> Result<L::Found> {
    looking(POLL, patience, what, look)
}

/// The same with a pause of this length between two looks, where a look itself is work for what is waited for.
///
/// # Errors
/// As [`within`].
pub(crate) fn looking<L: Look>(
    pause: Duration,
    patience: Duration,
    what: &str,
    mut look: impl FnMut() -> L,
) -> Result<L::Found> {
    let (deadline, mut last) = (Instant::now() + patience, None);
    loop {
        // The last look begins when the time is up: who was not let run in between is looked at all the same.
        let late = Instant::now() >= deadline;
        match look().found() {
            Ok(found) => return Ok(found),
            Err(seen) => last = seen.or(last),
        }
        if late {
            let seen = last.map(|seen| format!("; seen last: {}", end_of(&seen))).unwrap_or_default();
            bail!("waited {} s in vain for: {what}{seen}", patience.as_secs())
        }
        std::thread::sleep(pause);
    }
}

fn end_of(seen: &str) -> &str {
    let start = (seen.len().saturating_sub(SHOWN)..).find(|at| seen.is_char_boundary(*at));
    &seen[start.unwrap_or_default()..]
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(100);

    fn words<T: Debug>(waited: Result<T>) -> String {
        waited.unwrap_err().to_string()
    }

    #[test]
    fn what_comes_later_is_found_and_what_does_not_come_is_told_with_what_was_seen_last() {
        let mut looks = 0;
        let mut third = || {
            looks += 1;
            if looks == 3 { Ok(looks) } else { Err(format!("{looks}")) }
        };
        assert_eq!(within(SHORT * 100, "the third", &mut third).unwrap(), 3);
        let told = words(within(SHORT, "a fourth", &mut || Err::<(), _>("three")));
        assert_eq!(told, "waited 0 s in vain for: a fourth; seen last: three");
        assert_eq!(words(within(SHORT, "anything", || None::<()>)), "waited 0 s in vain for: anything");
        assert_eq!(
            within(Duration::ZERO, "what is there", || Some(1)).unwrap(),
            1,
            "looked at once at least"
        );
        let causes = || Err::<(), _>(anyhow::anyhow!("no file").context("the status"));
        assert!(words(within(SHORT, "it", causes)).ends_with("seen last: the status: no file"));
    }

    #[test]
    fn what_is_seen_is_held_against_what_it_is_to_be_and_its_end_is_shown() {
        let mut seen = 0..;
        assert_eq!(until_is("a five", || seen.next().unwrap(), |is| *is == 5).unwrap(), 5);
        let long = format!("{}\u{e9}the end", "\u{e9}".repeat(SHOWN));
        assert!(end_of(&long).len() <= SHOWN && end_of(&long).ends_with("the end"));
        assert_eq!(end_of("short"), "short");
    }
}
