//! `cargo xtask bench`: what the project promises of its speed, measured on this machine, with the machine's own floor
//! beside each figure. Medians of interleaved pairs. Exits non-zero when a goal is missed, and names it.

mod boot;
mod controller;
mod device;
mod local;
mod machine;
mod many;
mod rekey;
mod report;
mod rest;
mod stats;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use testkit::mounts::OwnMounts;
use testkit::node::Parts;
use testkit::{Evc, Node};

use report::Report;

/// Measures vaults, boot and controller against their goals.
#[derive(Debug, Parser)]
#[command(name = "bench")]
pub(crate) struct Args {
    /// Fewer rounds and less data: whether it works, not what it is worth. Goals of speed are not judged.
    #[arg(long)]
    pub(crate) quick: bool,
    /// Folder for the report.
    #[arg(long, default_value = "docs/reports")]
    pub(crate) reports: PathBuf,
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
    let mounts = OwnMounts::enter()?;
    let folder = tempfile::Builder::new().prefix("eve-vault-bench-").tempdir()?;
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let mut report = Report::new(args.quick);
    local::measure(&folder.path().join("local"), &mounts, args.quick, &mut report)?;
    rekey::measure(&folder.path().join("rekey"), args.quick, &mut report)?;
    boot::measure(&folder.path().join("boot"), args.quick, &mut report)?;
    rest::measure(&folder.path().join("rest"), args.quick, &mut report)?;
    many::measure(&folder.path().join("many"), args.quick, &mut report)?;
    controller::measure(&folder.path().join("evc"), args.quick, &mut report)?;
    report.finish(&args.reports)
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
