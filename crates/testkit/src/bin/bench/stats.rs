//! Medians with their spread.

use std::time::{Duration, Instant};

/// Measurements of one thing.
#[derive(Debug, Default, Clone)]
pub(crate) struct Samples(Vec<Duration>);

impl Samples {
    /// Measures once more.
    pub(crate) fn time<T>(&mut self, act: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        let outcome = act();
        self.0.push(began.elapsed());
        outcome
    }

    /// Adds one measured elsewhere.
    pub(crate) fn push(&mut self, sample: Duration) {
        self.0.push(sample);
    }

    /// The sample below which this part (0 to 1) of all lies.
    fn quantile(&self, part: f64) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let at = (part * sorted.len().saturating_sub(1) as f64).round() as usize;
        sorted.get(at).copied().unwrap_or_default()
    }

    pub(crate) fn median(&self) -> Duration {
        self.quantile(0.5)
    }

    /// `1.23 ms (1.10-1.50, n 40)`: median, 10th and 90th percentile.
    pub(crate) fn words(&self) -> String {
        let of = |part| words(self.quantile(part));
        format!("{} ({} to {}, n {})", of(0.5), of(0.1), of(0.9), self.0.len())
    }
}

/// How many times longer the median of `slow` is.
pub(crate) fn times(slow: &Samples, fast: &Samples) -> f64 {
    slow.median().as_secs_f64() / fast.median().as_secs_f64()
}

/// A duration in the unit that suits it.
pub(crate) fn words(duration: Duration) -> String {
    match duration.as_secs_f64() {
        s if s < 0.001 => format!("{:.0} us", s * 1e6),
        s if s < 1.0 => format!("{:.2} ms", s * 1e3),
        s => format!("{s:.2} s"),
    }
}
