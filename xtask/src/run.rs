//! Runs programs, says what it runs, and fails when they fail.

use std::path::{Path, PathBuf};
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
    program(with_mounts().args(args))
}

/// The same, to be given its arguments and run.
pub(crate) fn with_mounts() -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private"]).arg(path());
    command
}

/// The cargo that runs us.
pub(crate) fn path() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| "cargo".into())
}

/// A program of testkit in the form that it was built in with the rest. `cargo run` would choose features for it alone, and so build a
/// third of all crates anew.
///
/// # Errors
/// It is not known where we lie ourselves.
pub(crate) fn built(profile: &str, name: &str) -> Result<Command> {
    let own = std::env::current_exe().context("where this program lies")?;
    Ok(Command::new(beside(&own, profile).join(name)))
}

/// The target folder that is in use.
///
/// # Errors
/// It is not known where we lie ourselves.
pub(crate) fn target() -> Result<PathBuf> {
    let own = std::env::current_exe().context("where this program lies")?;
    Ok(beside(&own, ""))
}

/// Where cargo puts what it builds in a profile: wherever the target folder is, we lie in its `debug`.
fn beside(own: &Path, profile: &str) -> PathBuf {
    own.ancestors().nth(2).unwrap_or(Path::new("target")).join(profile)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_in_the_target_folder_that_is_in_use() {
        for (own, profile, found) in [
            ("/src/target/debug/xtask", "debug", "/src/target/debug"),
            ("/src/target/debug/xtask", "release", "/src/target/release"),
            ("/elsewhere/debug/xtask", "debug", "/elsewhere/debug"),
            (
                "/src/target/x86_64-unknown-linux-gnu/debug/xtask",
                "release",
                "/src/target/x86_64-unknown-linux-gnu/release",
            ),
        ] {
            assert_eq!(beside(Path::new(own), profile), Path::new(found), "{own}");
        }
    }
}
