//! The same failure again and again: told the first time, then ever more rarely, each time with how often it was; and when it is over, how
//! often in all, where no line has said so. An agent that is stopped says that of all that it counts.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// All that this process counts.
static ALL: Mutex<Vec<Weak<Mutex<Run>>>> = Mutex::new(Vec::new());

/// What failed last.
#[derive(Debug)]
pub(super) struct Repeats(Arc<Mutex<Run>>);

/// The same words, so many times.
#[derive(Debug, Default)]
struct Run {
    words: String,
    times: u64,
}

impl Default for Repeats {
    fn default() -> Self {
        let own = Self(Arc::default());
        let mut all = locked(&ALL);
        all.retain(|run| run.strong_count() > 0);
        all.push(Arc::downgrade(&own.0));
        own
    }
}

impl Repeats {
    /// It failed. Says how often by now where that is to be told: where the words are new, and at 2, 4, 8 times, and so on.
    pub(super) fn count(&mut self, words: &str) -> Option<u64> {
        locked(&self.0).count(words)
    }

    /// It is over, and the caller tells: how often it was.
    pub(super) fn end(&mut self) -> u64 {
        locked(&self.0).end()
    }

    /// It is over, or something else failed. Tells how often it was, where that stands in no line yet.
    pub(super) fn over(&mut self) {
        locked(&self.0).over();
    }
}

/// Whoever counted is done, as at the end of an agent's life.
impl Drop for Repeats {
    fn drop(&mut self) {
        self.over();
    }
}

/// This process is stopped: all that it counts is over.
pub(super) fn all_over() {
    locked(&ALL).iter().filter_map(Weak::upgrade).for_each(|run| locked(&run).over());
}

/// A count is whole, whatever became of the thread that had it.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Run {
    fn count(&mut self, words: &str) -> Option<u64> {
        if self.words != words {
            self.over();
            words.clone_into(&mut self.words);
        }
        self.times += 1;
        self.is_told().then_some(self.times)
    }

    fn end(&mut self) -> u64 {
        self.words.clear();
        std::mem::take(&mut self.times)
    }

    fn over(&mut self) {
        if let Some(times) = self.untold() {
            tracing::info!(times, "as often in all it was: {}", self.words);
        }
        self.end();
    }

    fn untold(&self) -> Option<u64> {
        (self.times > 0 && !self.is_told()).then_some(self.times)
    }

    fn is_told(&self) -> bool {
        self.times.is_power_of_two()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_repeats_is_told_ever_more_rarely_with_its_count() {
        let mut repeats = Repeats::default();
        let told: Vec<u64> = (0..20).filter_map(|_| repeats.count("gone")).collect();
        assert_eq!(told, [1, 2, 4, 8, 16]);
        assert_eq!(repeats.count("in lockout"), Some(1), "new words");
        assert_eq!(repeats.count("gone"), Some(1), "and back");
    }

    /// Issue 8 B: of a run of repeats that ends between two lines, how often it was is not lost.
    #[test]
    fn how_often_it_was_is_left_to_tell_unless_a_line_has_said_so() {
        let mut repeats = Repeats::default();
        for (times, untold) in [(1, None), (2, None), (3, Some(3)), (4, None), (5, Some(5))] {
            repeats.count("gone");
            assert_eq!(locked(&repeats.0).untold(), untold, "{times}");
        }
        assert_eq!(repeats.end(), 5);
        assert_eq!(locked(&repeats.0).untold(), None, "it was told by who ended it");
    }
}
