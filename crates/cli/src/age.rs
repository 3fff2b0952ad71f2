//! Times with how long ago they are, or how long it is until then: whoever reads one has not to reckon.

use std::time::{SystemTime, UNIX_EPOCH};

use vault::text::span;

/// A time that is ahead by no more is one of another machine's clock.
const SKEW_S: u64 = 5;

/// A text in which each time (RFC 3339) is followed by its age: `silent since 2026-11-30T06:45:59Z (3h ago)`. One that has an age stays as it
/// is.
#[must_use]
pub fn aged(text: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    aged_at(text, now)
}

/// How long ago a time (RFC 3339) is; itself where it does not read.
#[must_use]
pub fn age(time: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    at(time).map_or_else(|| time.to_owned(), |at| of(at, now))
}

fn aged_at(text: &str, now: u64) -> String {
    let words: Vec<&str> = text.split(' ').collect();
    let aged = words.iter().enumerate().map(|(n, word)| {
        let (time, end) = word.split_at(word.trim_end_matches([',', ';', ':', ')']).len());
        match at(time.trim_start_matches('(')).filter(|_| !has_age(&words[n + 1..])) {
            Some(at) => format!("{time} ({}){end}", of(at, now)),
            None => (*word).to_owned(),
        }
    });
    aged.collect::<Vec<_>>().join(" ")
}

/// Whether what follows a time is its age.
fn has_age(after: &[&str]) -> bool {
    match after {
        ["(in", ..] => true,
        [first, second, ..] => first.starts_with('(') && second.starts_with("ago)"),
        _ => false,
    }
}

fn at(time: &str) -> Option<u64> {
    let time = humantime::parse_rfc3339(time).ok()?;
    Some(time.duration_since(UNIX_EPOCH).ok()?.as_secs())
}

fn of(at: u64, now: u64) -> String {
    match at.checked_sub(now) {
        Some(ahead) if ahead > SKEW_S => format!("in {}", span(ahead)),
        _ => format!("{} ago", span(now.saturating_sub(at))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seen-by-users 2, issue 8 B: no list hides an age, and what is to come is not called past.
    #[test]
    fn each_time_has_its_age_once() {
        let now = at("2026-11-30T10:00:00Z").expect("a time");
        for (text, shown) in [
            (
                "silent since 2026-11-30T07:00:00Z, but for",
                "silent since 2026-11-30T07:00:00Z (3h ago), but for",
            ),
            ("due 2026-12-13T10:00:00Z", "due 2026-12-13T10:00:00Z (in 13d)"),
            ("2026-11-30T10:00:04Z", "2026-11-30T10:00:04Z (0s ago)"),
            ("(was locked, 2026-11-30T09:59:00Z)", "(was locked, 2026-11-30T09:59:00Z (60s ago))"),
            (
                "unknown since 2026-11-30T09:00:00Z (was locked)",
                "unknown since 2026-11-30T09:00:00Z (60m ago) (was locked)",
            ),
        ] {
            assert_eq!(aged_at(text, now), shown);
            assert_eq!(aged_at(shown, now), shown, "again");
        }
        for text in ["online", "3h ago", "", "2026-11-30"] {
            assert_eq!(aged_at(text, now), text);
        }
    }
}
