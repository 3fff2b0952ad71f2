//! One thing measured of each build, round by round. What counts is the ratio within a round: a machine that is slower for a while is
//! slower for both.

use std::time::Duration;

use super::stats::words;

/// What the figures are.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Unit {
    /// Seconds.
    Time,
    /// Per second.
    Rate,
    /// Bytes.
    Memory,
}

/// Figures of each build, ours first.
#[derive(Debug, Clone)]
pub(crate) struct Contest {
    unit: Unit,
    sides: Vec<Vec<f64>>,
}

/// 10th percentile, median, 90th percentile.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spread {
    pub(crate) low: f64,
    pub(crate) median: f64,
    pub(crate) high: f64,
}

impl Contest {
    pub(crate) fn new(unit: Unit, sides: usize) -> Self {
        Self { unit, sides: vec![Vec::new(); sides] }
    }

    pub(crate) fn push(&mut self, side: usize, figure: f64) {
        self.sides[side].push(figure);
    }

    pub(crate) fn took(&mut self, side: usize, duration: Duration) {
        self.push(side, duration.as_secs_f64());
    }

    /// The figure of one build, in words; nothing where there is no such build.
    pub(crate) fn words(&self, side: usize) -> String {
        let Some(figures) = self.sides.get(side) else { return String::new() };
        let Spread { low, median, high } = Spread::of(figures);
        let of = |figure| self.unit.words(figure);
        format!("{} ({} to {}, n {})", of(median), of(low), of(high), figures.len())
    }

    /// Our median, seconds or what the unit is.
    pub(crate) fn ours(&self) -> f64 {
        Spread::of(&self.sides[0]).median
    }

    /// Ours over the other's, within each round.
    pub(crate) fn ratio(&self) -> Option<Spread> {
        self.sides.get(1).map(|other| over(&self.sides[0], other))
    }

    /// How many times a figure of `before` each of ours is, round by round: growth.
    pub(crate) fn times(&self, before: &Self) -> Spread {
        over(&self.sides[0], &before.sides[0])
    }
}

fn over(these: &[f64], those: &[f64]) -> Spread {
    let ratios: Vec<f64> = these.iter().zip(those).map(|(this, that)| this / that).collect();
    Spread::of(&ratios)
}

impl Spread {
    fn of(figures: &[f64]) -> Self {
        let mut sorted = figures.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let at = |part: f64| {
            let index = (part * sorted.len().saturating_sub(1) as f64).round() as usize;
            sorted.get(index).copied().unwrap_or(f64::NAN)
        };
        Self { low: at(0.1), median: at(0.5), high: at(0.9) }
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.2} ({:.2} to {:.2})", self.median, self.low, self.high)
    }
}

impl Unit {
    fn words(self, figure: f64) -> String {
        match self {
            Self::Time => words(Duration::from_secs_f64(figure.max(0.0))),
            Self::Rate => format!("{figure:.0}/s"),
            Self::Memory => format!("{:.1} MiB", figure / f64::from(1 << 20)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_taken_within_each_round() {
        let mut contest = Contest::new(Unit::Time, 2);
        // The machine is ten times slower in the second round, for both.
        for (ours, theirs) in [(1.0, 2.0), (10.0, 20.0), (1.0, 2.0)] {
            contest.push(0, ours);
            contest.push(1, theirs);
        }
        let ratio = contest.ratio().expect("two builds");
        assert_eq!((ratio.low, ratio.median, ratio.high), (0.5, 0.5, 0.5));
        assert!(Contest::new(Unit::Time, 1).ratio().is_none());
    }
}
