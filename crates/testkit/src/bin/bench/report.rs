//! The report: figures and goals, on the terminal while they come, and as a dated Markdown file.

use std::fmt::Write;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;

use super::machine;

const BUILD: &str = if cfg!(debug_assertions) { "debug" } else { "release" };

/// What was measured.
pub(crate) struct Report {
    quick: bool,
    text: String,
    missed: Vec<String>,
}

impl Report {
    pub(crate) fn new(quick: bool) -> Self {
        let mut report = Self { quick, text: String::new(), missed: Vec::new() };
        report.line(&format!("# Benchmark of {}\n", today()));
        report.line(&format!("Machine: {}. Build: {BUILD}. Command: `cargo xtask bench`.", machine::words()));
        report.line("Each figure: median (10th to 90th percentile, number of runs). What is compared was run in turn.");
        if quick {
            report.line("\n**A quick run: fewer rounds and less data; no figure to quote.**");
        }
        report
    }

    /// A heading, with how it is measured.
    pub(crate) fn section(&mut self, title: &str, how: &str) {
        self.line(&format!("\n## {title}\n\n{how}\n\n| what | figure |\n| --- | --- |"));
    }

    /// A row of the section's table.
    pub(crate) fn row(&mut self, what: &str, figure: &str) {
        self.line(&format!("| {what} | {figure} |"));
    }

    /// A row that must hold, however fast the machine is.
    pub(crate) fn goal(&mut self, what: &str, figure: &str, met: bool) {
        self.row(what, &format!("**{figure}: {}**", if met { "met" } else { "MISSED" }));
        if !met {
            self.missed.push(format!("{what}: {figure}"));
        }
    }

    /// A goal of speed. A quick run does not judge it: it has too few rounds, and may be of a debug build.
    pub(crate) fn speed_goal(&mut self, what: &str, figure: &str, met: bool) {
        if self.quick {
            self.row(what, &format!("{figure}: not judged"));
        } else {
            self.goal(what, figure, met);
        }
    }

    fn line(&mut self, line: &str) {
        println!("{line}");
        let _ = writeln!(self.text, "{line}");
    }

    /// Writes the file; says whether every goal was met. A quick run is not kept.
    pub(crate) fn finish(self, folder: &Path) -> Result<bool> {
        if !self.quick {
            std::fs::create_dir_all(folder)?;
            let file = folder.join(format!("bench-{}.md", today()));
            std::fs::write(&file, &self.text)?;
            println!("\nwritten to {}", file.display());
        }
        self.missed.iter().for_each(|goal| eprintln!("goal missed: {goal}"));
        Ok(self.missed.is_empty())
    }
}

/// YYYY-MM-DD, UTC.
fn today() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    humantime::format_rfc3339_seconds(UNIX_EPOCH + now).to_string().chars().take(10).collect()
}
