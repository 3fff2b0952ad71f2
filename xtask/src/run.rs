//! Runs programs, says what it runs, and fails when they fail.

use std::process::Command;

use anyhow::{Context, Result, bail};

/// Runs cargo at the workspace's root.
///
/// # Errors
/// When it can't be started or fails.
pub(crate) fn cargo<'a>(args: impl IntoIterator<Item = &'a str>) -> Result<()> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let mut command = Command::new(cargo);
    // libtss2 reports refusals that we ask for and handle; its log is not ours.
    command.args(args).env("TSS2_LOG", "all+none");
    program(&mut command)
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
