//! What was told in the log, so that the same is not told again and again: [`Repeats`] a line a minute, with how often it was; [`Once`] not
//! again while it stays so. Both are bounded.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::{LazyLock, Mutex, PoisonError};

use aws_lc_rs::digest::{Context, SHA256};

use crate::store::UnixSeconds;

/// The same is not told again within so many seconds.
const QUIET_S: u64 = 60;
/// Most that are remembered as told, so most lines in [`QUIET_S`]; what comes beside them is counted.
const MOST: usize = 1024;
/// Most that [`Once`] remembers: a line of each stays away while it is there.
const MOST_ONCE: usize = 4096;

/// What was told, when, and how often it was kept back since.
#[derive(Debug)]
pub struct Repeats<K>(Mutex<Lines<K>>);

#[derive(Debug)]
struct Lines<K> {
    told: HashMap<K, (UnixSeconds, u64)>,
    /// Kept back of what is not remembered by itself.
    others: u64,
}

/// What was not told since it last was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeptBack {
    /// Of the same.
    pub repeated: u64,
    /// Of all else for which there was no room.
    pub others: u64,
}

impl<K> Default for Repeats<K> {
    fn default() -> Self {
        Self(Mutex::new(Lines { told: HashMap::new(), others: 0 }))
    }
}

impl<K: Hash + Eq> Repeats<K> {
    /// Whether it is to be told now, and what was kept back since. What is told is a line; so it is never more than [`MOST`] in a minute,
    /// whatever is asked, and nothing is forgotten uncounted.
    pub fn told(&self, key: K, now: UnixSeconds) -> Option<KeptBack> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).line(key, now)
    }

    /// What was kept back of what is over: of what would have been told again, had it gone on. With no `now`, as at the end of the program, all.
    /// It is forgotten: who calls tells it.
    pub(crate) fn over(&self, now: Option<UnixSeconds>) -> Over<K> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).over(now)
    }
}

impl<K: Hash + Eq> Lines<K> {
    fn line(&mut self, key: K, now: UnixSeconds) -> Option<KeptBack> {
        if let Some((at, kept_back)) = self.told.get_mut(&key) {
            if now.abs_diff(*at) < QUIET_S {
                *kept_back += 1;
                return None;
            }
            *at = now;
            let repeated = std::mem::take(kept_back);
            return Some(KeptBack { repeated, others: std::mem::take(&mut self.others) });
        }
        if self.told.len() >= MOST && !self.has_room(now) {
            self.others += 1;
            return None;
        }
        self.told.insert(key, (now, 0));
        Some(KeptBack { repeated: 0, others: std::mem::take(&mut self.others) })
    }

    /// Forgets what may be told again, and counts what of it was kept back.
    fn has_room(&mut self, now: UnixSeconds) -> bool {
        let others = &mut self.others;
        self.told.retain(|_, (at, kept_back)| {
            let stays = now.abs_diff(*at) < QUIET_S;
            *others += if stays { 0 } else { *kept_back };
            stays
        });
        self.told.len() < MOST
    }

    fn over(&mut self, now: Option<UnixSeconds>) -> Over<K> {
        let is_over = |at: UnixSeconds| now.is_none_or(|now| now.abs_diff(at) >= 2 * QUIET_S);
        let others_are = self.told.values().all(|(at, _)| is_over(*at));
        let ended = self.told.extract_if(|_, (at, _)| is_over(*at));
        let runs =
            ended.map(|(key, (_, kept_back))| (key, kept_back)).filter(|(_, kept)| *kept > 0).collect();
        Over { runs, others: if others_are { std::mem::take(&mut self.others) } else { 0 } }
    }
}

/// What is said of a count that stood in no line before.
pub(crate) const UNTOLD: &str = "repeats that no line has counted yet";

/// Runs that are over.
pub(crate) struct Over<K> {
    /// What repeated, and how often since its last line.
    pub(crate) runs: Vec<(K, u64)>,
    /// Of all for which there was no room.
    pub(crate) others: u64,
}

/// What was told and stays so: it is not told again while it does.
#[derive(Debug)]
pub struct Once<K>(Mutex<HashSet<K>>);

impl<K> Default for Once<K> {
    fn default() -> Self {
        Self(Mutex::new(HashSet::new()))
    }
}

impl<K: Hash + Eq> Once<K> {
    /// Whether it is to be told now. Of more than [`MOST_ONCE`] some may be told again.
    pub fn told(&self, key: K) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() >= MOST_ONCE && !told.contains(&key) {
            told.clear();
        }
        told.insert(key)
    }

    /// It is so no longer.
    pub fn is_over(&self, key: &K) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

/// What is told once for each content: whoever meets it meets it again with every poll. The process has one log, so this is of the process.
pub(crate) struct OnceForContent(LazyLock<Once<[u8; 32]>>);

impl OnceForContent {
    pub(crate) const fn new() -> Self {
        Self(LazyLock::new(Once::default))
    }

    /// Whether this is to be told now, by a digest of its parts.
    pub(crate) fn told(&self, parts: &[&[u8]]) -> bool {
        let mut context = Context::new(&SHA256);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let digest = context.finish();
        self.0.told(digest.as_ref().try_into().expect("SHA-256 has 32 bytes"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seen-by-users 1.15: a node that is refused at each poll is a line a minute, and how often is told.
    #[test]
    fn the_same_is_told_once_a_minute_with_how_often_it_was() {
        let repeats = Repeats::default();
        assert_eq!(repeats.told("a", 100), kept(0, 0));
        (101..160).for_each(|at| assert_eq!(repeats.told("a", at), None));
        assert_eq!(repeats.told("b", 130), kept(0, 0), "another one");
        assert_eq!(repeats.told("a", 160), kept(59, 0));
        assert_eq!(repeats.told("a", 161), None);
    }

    /// A bundle that does not open is asked for again and again.
    #[test]
    fn what_stays_so_is_told_once_and_again_after_it_was_over() {
        let once = Once::default();
        assert!(once.told(("a", 1)) && !once.told(("a", 1)));
        assert!(once.told(("a", 2)), "something else of the same");
        once.is_over(&("a", 1));
        assert!(once.told(("a", 1)) && !once.told(("a", 2)));
        (0..10 * MOST_ONCE).for_each(|n| assert!(once.told(("b", n))));
        assert!(once.0.lock().expect("there").len() <= MOST_ONCE, "it is bounded");
    }

    fn kept(repeated: u64, others: u64) -> Option<KeptBack> {
        Some(KeptBack { repeated, others })
    }

    /// However many there are, they are bounded in lines and in memory; each is a line or is counted.
    #[test]
    fn many_are_few_lines_and_none_is_forgotten_uncounted() {
        let many = Repeats::default();
        let lines = (0..10 * MOST).filter(|n| many.told(*n, 100).is_some()).count();
        assert_eq!((lines, many.0.lock().expect("there").told.len()), (MOST, MOST));
        assert_eq!(many.told(0, 110), None, "what was told is remembered");
        let others = 9 * MOST as u64 + 1;
        assert_eq!(many.told(usize::MAX, 160), kept(0, others), "a minute later there is room");
        assert_eq!(many.told(1, 160), kept(0, 0), "told once");
    }

    /// Issue 8 B: how often it was is not lost when it ends, nor when the program does.
    #[test]
    fn what_was_kept_back_is_told_when_it_is_over() {
        let repeats = Repeats::default();
        (100..110).for_each(|at| _ = repeats.told("a", at));
        let over = |now| repeats.over(now).runs;
        assert_eq!(over(Some(200)), [], "it may go on, and its next line counts them");
        assert_eq!(over(Some(220)), [("a", 9)]);
        assert_eq!(over(Some(1000)), [], "once");
        assert_eq!(repeats.told("a", 1001), kept(0, 0), "it begins anew");
        _ = repeats.told("b", 1002);
        _ = repeats.told("b", 1003);
        assert_eq!(over(None), [("b", 1)], "the program ends; of `a` nothing was kept back");
    }

    /// Those for which there was no room are told too, once nothing goes on whose line would tell them.
    #[test]
    fn what_there_was_no_room_for_is_told_when_all_is_over() {
        let many = Repeats::default();
        (0..MOST + 5).for_each(|n| _ = many.told(n, 100));
        assert_eq!(
            [many.over(Some(150)).others, many.over(Some(220)).others, many.over(None).others],
            [0, 5, 0]
        );
    }

    #[test]
    fn each_content_is_told_once() {
        let once = OnceForContent::new();
        let one = |parts: &[&[u8]]| once.told(parts);
        assert_eq!([one(&[b"a", b"b"]), one(&[b"a", b"b"]), one(&[b"a", b"c"])], [true, false, true]);
        assert!(one(&[b"ab", b""]), "parts are told apart");
    }
}
