//! What is said of a courier's files.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as ClapArgs, ValueHint};
use clap_complete::engine::ArgValueCandidates;

use crate::cli::complete::devices;

pub(super) const EXPORT: &str = "\
Examples:
  evc export edge-1 /media/stick/edge-1.answer
  evc export edge-1 /media/stick/edge-1.answer --good-for 30d";

pub(super) const IMPORT: &str = "\
Examples:
  evc import /media/stick/edge-1.evidence --answer /media/stick/edge-1.answer";

#[derive(Debug, ClapArgs)]
pub(in crate::cli) struct Exported {
    /// Name or UUID.
    #[arg(add = ArgValueCandidates::new(devices))]
    pub(in crate::cli) device: String,
    /// The file to write; `-`: standard output. `eve import`, on the node, takes it.
    #[arg(value_hint = ValueHint::FilePath)]
    pub(in crate::cli) file: PathBuf,
    /// For how long evidence of the node over this file is taken, like 7d. From 1m to 90d.
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = humantime::parse_duration)]
    pub(in crate::cli) good_for: Duration,
    /// Write over a file that is there.
    #[arg(long)]
    pub(in crate::cli) force: bool,
}

#[derive(Debug, ClapArgs)]
pub(in crate::cli) struct Imported {
    /// The file that `eve export-evidence` wrote; `-`: standard input.
    #[arg(value_hint = ValueHint::FilePath)]
    pub(in crate::cli) file: PathBuf,
    /// Write the answer into this file, for `eve import` on the node; `-`: standard output. Without it, `evc export` writes it later.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(in crate::cli) answer: Option<PathBuf>,
    /// Write over a file that is there.
    #[arg(long, requires = "answer")]
    pub(in crate::cli) force: bool,
}
