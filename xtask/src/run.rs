//! Runs programs, says what it runs, and fails when they fail.

use std::process::Command;

use anyhow::{Context, Result, bail};

/// Runs cargo at the workspace's root.
///
/// # Errors
/// When it can't be started or fails.
pub(crate) fn cargo<'a>(args: impl IntoIterator<Item = &'a str>) -> Result<()> {
    program(Command::new(path()).args(args))
}

/// Runs cargo in a mount namespace of its own: whatever ends it, killed too, the kernel takes back the mounts and loop
/// devices that were made in it.
///
/// # Errors
/// When it can't be started or fails.
pub(crate) fn cargo_with_mounts<'a>(args: impl IntoIterator<Item = &'a str>) -> Result<()> {
    let mut command = Command::new("unshare");
    program(command.args(["--mount", "--propagation", "private"]).arg(path()).args(args))
}

/// The cargo that runs us.
pub(crate) fn path() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| "cargo".into())
}

/// Runs a program.
///
/// # Errors
/// When it can't be started or fails.
pub(crate) fn program(command: &mut Command) -> Result<()> {
    eprintln!("+ {}", words(command));
    let status = command.status().with_context(|| format!("{} can't be started", words(command)))?;
    if !status.success() {
        bail!("{} failed: {status}", words(command));
    }
    Ok(())
}

fn words(command: &Command) -> String {
    let args = command.get_args().map(|arg| arg.to_string_lossy().into_owned());
    std::iter::once(command.get_program().to_string_lossy().into_owned())
        .chain(args)
        .collect::<Vec<_>>()
        .join(" ")
}
