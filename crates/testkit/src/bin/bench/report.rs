//! The report: figures and goals, on the terminal while they come, and as a dated Markdown file.

use std::fmt::Write;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;

use super::builds::Builds;
use super::contest::Contest;
use super::machine;

const BUILD: &str = if cfg!(debug_assertions) { "debug" } else { "release" };

/// The build that goals of speed speak of.
const MEASURE: &str = "de4fa5e";

/// What was measured.
pub(crate) struct Report {
    quick: bool,
    /// The commit that we are measured against.
    other: Option<String>,
    text: String,
    missed: Vec<String>,
}

/// What a figure is to reach: beside the other build's, and in floors.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Aims {
    ratio: Option<Ratio>,
    floors: Option<f64>,
}

#[derive(Debug, Clone, Copy)]
enum Ratio {
    AtMost(f64),
    AtLeast(f64),
}

impl Aims {
    /// At most so much of the other build's, and so many floors.
    pub(crate) fn of(ratio: f64, floors: f64) -> Self {
        Self { ratio: Some(Ratio::AtMost(ratio)), floors: Some(floors) }
    }

    /// At most so much of the other build's.
    pub(crate) fn ratio(most: f64) -> Self {
        Self { ratio: Some(Ratio::AtMost(most)), floors: None }
    }

    /// At least so many times the other build's.
    pub(crate) fn at_least(least: f64) -> Self {
        Self { ratio: Some(Ratio::AtLeast(least)), floors: None }
    }
}

impl Ratio {
    fn met(self, ratio: f64) -> bool {
        match self {
            Self::AtMost(most) => ratio <= most,
            Self::AtLeast(least) => ratio >= least,
        }
    }

    fn words(self) -> String {
        match self {
            Self::AtMost(most) => format!("at most {most}"),
            Self::AtLeast(least) => format!("at least {least}"),
        }
    }
}

impl Report {
    pub(crate) fn new(quick: bool, builds: &Builds) -> Self {
        let other = builds.other().map(str::to_owned);
        let mut report = Self { quick, other, text: String::new(), missed: Vec::new() };
        report.line(&format!("# Benchmark of {}\n", today()));
        report.line(&format!("Machine: {}. Build: {BUILD}. Command: `cargo xtask bench`.", machine::words()));
        report.line("Each figure: median (10th to 90th percentile, number of runs). What is compared was run in turn.");
        if let Some(other) = report.other.clone() {
            report.line(&format!(
                "Beside it the same of {other}, by the same load, in the same run. A ratio is ours over theirs, taken within each round."
            ));
        }
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

    /// A heading, for figures of each build.
    pub(crate) fn contest_section(&mut self, title: &str, how: &str) {
        let other = self.other.clone().unwrap_or_else(|| "no other build".to_owned());
        self.line(&format!("\n## {title}\n\n{how}\n\n| what | ours | {other} | ratio | floors |"));
        self.line("| --- | --- | --- | --- | --- |");
    }

    /// A row of them: with their ratio, and how many times the floor ours is.
    pub(crate) fn contest(&mut self, what: &str, contest: &Contest, floor: Option<Duration>, aims: Aims) {
        let ratio = contest.ratio().map_or_else(String::new, |ratio| {
            let aim = aims.ratio.filter(|_| self.other.as_deref() == Some(MEASURE));
            let aim = aim.map(|aim| (aim.met(ratio.median), aim.words()));
            self.judged(what, &ratio.to_string(), aim)
        });
        let floors = floor.map_or_else(String::new, |floor| {
            let floors = contest.ours() / floor.as_secs_f64();
            let aim = aims.floors.map(|most| (floors <= most, format!("at most {most}")));
            self.judged(what, &format!("{floors:.2}"), aim)
        });
        let (ours, theirs) = (contest.words(0), contest.words(1));
        self.line(&format!("| {what} | {ours} | {theirs} | {ratio} | {floors} |"));
    }

    /// A row of them that only we have.
    pub(crate) fn contest_row(&mut self, what: &str, figure: &str) {
        self.line(&format!("| {what} | {figure} | | | |"));
    }

    /// The same with a goal.
    pub(crate) fn speed_row(&mut self, what: &str, figure: &str, met: bool) {
        let figure = self.judged(what, figure, Some((met, String::new())));
        self.contest_row(what, &figure);
    }

    /// The figure and what became of its goal.
    fn judged(&mut self, what: &str, figure: &str, aim: Option<(bool, String)>) -> String {
        let Some((met, aim)) = aim else { return figure.to_owned() };
        if self.quick {
            return format!("{figure}: not judged");
        }
        if !met {
            self.missed.push(format!("{what}: {figure}, {aim}"));
        }
        let word = if met { "met" } else { "MISSED" };
        format!("**{figure}, {aim}: {word}**").replace(", :", ":")
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
