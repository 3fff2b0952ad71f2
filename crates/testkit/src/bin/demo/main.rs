//! `cargo xtask demo`: the main job on real parts, told step by step with its timing.

mod goods;
mod story;
mod tell;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use testkit::mounts::OwnMounts;

const FIRST: &str = "\
Examples:
  sudo -E cargo xtask demo
  sudo -E cargo xtask demo --keep
  sudo -E cargo xtask demo ./photographs";

const CODES: &str = "\
Exit codes: 0 all steps went as they should; 1 one did not, and is named; 2 used wrongly; 130 interrupted, and cleaned up.
`cargo xtask` says which of these it was, and ends with 1 for each but 0.";

/// Show a controller, an edge node with a TPM, and a vault whose key neither of them holds alone.
#[derive(Debug, Parser)]
#[command(name = "demo", before_help = FIRST, after_help = CODES)]
pub(crate) struct Args {
    /// A file or folder of yours to keep in the vault; one is made if none is given.
    pub(crate) path: Option<PathBuf>,
    /// Leave everything running at the end, the vault too, and say how to look around; Enter ends it.
    #[arg(long)]
    pub(crate) keep: bool,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\ndemo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<()> {
    ensure!(
        nix::unistd::geteuid().is_root(),
        "the demo mounts a disk: run it as root (sudo -E cargo xtask demo)"
    );
    // What is kept must be seen from other terminals.
    let _mounts = if args.keep { None } else { Some(OwnMounts::enter()?) };
    let folder =
        tempfile::Builder::new().prefix("eve-vault-demo-").tempdir().context("a folder for the demo")?;
    // Each agent is a user of its own and needs to enter this folder.
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    clean_up_when_interrupted(folder.path().to_owned())?;
    story::tell(folder.path(), args)
}

/// Its processes die with it; what they had mounted and written does not.
fn clean_up_when_interrupted(folder: PathBuf) -> Result<()> {
    let clean_up = move || {
        println!("\ninterrupted: cleaning up");
        for mounted in testkit::loopfs::mounted_under(&folder) {
            let _ = std::process::Command::new("umount").arg("--lazy").arg(mounted).output();
        }
        let _ = std::fs::remove_dir_all(&folder);
        std::process::exit(130)
    };
    Ok(ctrlc::set_handler(clean_up)?)
}
