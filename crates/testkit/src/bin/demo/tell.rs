//! How the demo speaks: chapters, and steps with what came of them and how long they took.

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::Result;

/// Column in which the timing stands.
const WIDTH: usize = 96;

/// The teller.
pub(crate) struct Teller {
    began: Instant,
    steps: Vec<(String, Duration)>,
}

impl Teller {
    /// Begins.
    pub(crate) fn new() -> Self {
        Self { began: Instant::now(), steps: Vec::new() }
    }

    /// A heading.
    pub(crate) fn chapter(&self, words: &str) {
        println!("\n{words}");
    }

    /// Says what is being done, does it, says what came of it.
    pub(crate) fn step(&mut self, what: &str, act: impl FnOnce() -> Result<String>) -> Result<()> {
        print!("  {what} ");
        std::io::stdout().flush()?;
        let began = Instant::now();
        let outcome = act();
        let took = began.elapsed();
        let words = outcome.as_deref().unwrap_or("FAILED");
        let gap = WIDTH.saturating_sub(what.len() + words.len() + 8).max(1);
        println!("... {words}{:gap$}{:>6.2} s", "", took.as_secs_f64());
        self.steps.push((what.to_owned(), took));
        outcome.map(drop)
    }

    /// A line of evidence below a step.
    pub(crate) fn show(&self, line: &str) {
        println!("      {line}");
    }

    /// The end.
    pub(crate) fn summary(&self, lines: &[&str]) {
        println!(
            "\nAll {} steps did what they should, in {:.1} s:",
            self.steps.len(),
            self.began.elapsed().as_secs_f64()
        );
        lines.iter().for_each(|line| println!("  - {line}"));
    }
}
