//! `cargo xtask bench`: what the project promises of its speed, measured on this machine, with the machine's own floor
//! beside each figure, and another build's where one is given. Medians of interleaved rounds. Exits non-zero when a goal is missed, and
//! names it.

mod boot;
mod builds;
mod contest;
mod controller;
mod crowd;
mod data;
mod device;
mod fleet;
mod floor;
mod handshake;
mod local;
mod machine;
mod many;
mod nodes;
mod rekey;
mod report;
mod rest;
mod stats;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, ValueEnum};
use testkit::mounts::OwnMounts;
use testkit::node::Parts;
use testkit::{Evc, Node};

use builds::Builds;
use report::Report;

/// Measures vaults, boot and controller against their goals.
#[derive(Debug, Parser)]
#[command(name = "bench")]
pub(crate) struct Args {
    /// Fewer rounds and less data: whether it works, not what it is worth. Goals of speed are not judged.
    #[arg(long)]
    pub(crate) quick: bool,
    /// This section alone; may be given more than once.
    #[arg(long)]
    pub(crate) only: Vec<Section>,
    /// Another checkout, whose build is measured in turn with this one.
    #[arg(long, value_name = "DIR")]
    pub(crate) against: Option<PathBuf>,
    /// A fleet of so many devices too; 100000 take about half an hour to set up.
    #[arg(long, value_name = "DEVICES")]
    pub(crate) large: Option<usize>,
    /// Folder for the report.
    #[arg(long, default_value = "docs/reports")]
    pub(crate) reports: PathBuf,
}

/// What is measured, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Section {
    /// Unlock and lock, beside the fscrypt command.
    Local,
    /// Reading and writing in an open vault.
    Data,
    /// Change Key of a full vault and of a small one.
    Rekey,
    /// Boot with one vault and with many.
    Boot,
    /// What a node costs while nothing happens.
    Rest,
    /// A node with very many vaults.
    Many,
    /// The node of each build.
    Nodes,
    /// Polls and attestations at the controller of each build.
    Controller,
    /// 16 connections at the same time.
    Crowd,
    /// New TLS connections.
    Handshake,
    /// A fleet of the size that --large says.
    Large,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<bool> {
    let builds = Builds::with(args.against.as_deref())?;
    let mounts = OwnMounts::enter()?;
    let folder = tempfile::Builder::new().prefix("eve-vault-bench-").tempdir()?;
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let (quick, mut report) = (args.quick, Report::new(args.quick, &builds));
    for section in Section::value_variants().iter().filter(|section| args.wants(**section)) {
        let folder = folder.path().join(format!("{section:?}").to_lowercase());
        std::fs::create_dir_all(&folder)?;
        match section {
            Section::Local => local::measure(&folder, &mounts, quick, &mut report)?,
            Section::Data => data::measure(&folder, quick, &mut report)?,
            Section::Rekey => rekey::measure(&folder, quick, &mut report)?,
            Section::Boot => boot::measure(&folder, quick, &mut report)?,
            Section::Rest => rest::measure(&folder, quick, &mut report)?,
            Section::Many => many::measure(&folder, quick, &mut report)?,
            Section::Nodes => nodes::measure(&folder, &builds, quick, &mut report)?,
            Section::Controller => controller::measure(&folder, &builds, quick, &mut report)?,
            Section::Crowd => crowd::measure(&folder, &builds, quick, &mut report)?,
            Section::Handshake => handshake::measure(&folder, &builds, quick, &mut report)?,
            Section::Large => {
                let devices = args.large.unwrap_or(100_000);
                controller::measure_large(&folder, &builds, devices, quick, &mut report)?;
            }
        }
    }
    report.finish(&args.reports)
}

impl Args {
    /// All but what takes long, or is nothing without another build; or what was asked for.
    fn wants(&self, section: Section) -> bool {
        match section {
            _ if !self.only.is_empty() => self.only.contains(&section),
            Section::Large => self.large.is_some(),
            Section::Nodes => self.against.is_some(),
            _ => true,
        }
    }
}

/// A controller and an attested node in a folder, for one section of the benchmark.
fn attested(folder: &std::path::Path, parts: Parts) -> Result<(Evc, Node)> {
    std::fs::create_dir_all(folder)?;
    let evc = Evc::new(&folder.join("evc"))?;
    let mut node = Node::new(&folder.join("node"), "edge-1", &evc, parts)?;
    evc.approve_references("edge-1")?;
    node.until_vault("config", "unlocked")?;
    Ok((evc, node))
}
