//! The same failure again and again: told the first time, then ever more rarely, each time with how often it was.

/// What failed last.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    words: String,
    times: u64,
}

impl Repeats {
    /// It failed. Says how often by now where that is to be told: where the words are new, and at 2, 4, 8 times, and so on.
    pub(super) fn count(&mut self, words: &str) -> Option<u64> {
        if self.words != words {
            *self = Self { words: words.to_owned(), times: 0 };
        }
        self.times += 1;
        self.times.is_power_of_two().then_some(self.times)
    }

    /// How often it failed in these words.
    pub(super) fn times(&self) -> u64 {
        self.times
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
}
