//! Runs programs, says what it runs, and fails when they fail.

use std::fs::File;
use std::io::Seek;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail, ensure};

use crate::watch;

/// Runs cargo at the workspace's root.
///
/// # Errors
/// When it can't be started or fails.
pub(crate) fn cargo<'a>(args: impl IntoIterator<Item = &'a str>) -> Result<()> {
    program(Command::new(path()).args(args))
}

/// Runs cargo's tests in a mount namespace of its own: whatever ends it, killed too, the kernel takes back the mounts and loop
/// devices that were made in it. No test program takes longer than [`watch::AT_MOST`].
///
/// # Errors
/// When it can't be started or fails.
pub(crate) fn tests_with_mounts<'a>(args: impl IntoIterator<Item = &'a str>) -> Result<()> {
    let mut command = with_mounts();
    let words = words(command.args(args));
    eprintln!("+ {words}");
    let mut child = command.spawn().with_context(|| format!("{words} can't be started"))?;
    let status = watch::wait(&mut child, watch::AT_MOST)?;
    ensure!(status.success(), "{words} failed: {status}");
    Ok(())
}

/// A cargo in such a namespace, to be given its arguments and run.
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

/// A program that runs beside others. What it prints is kept, and shown when it has ended.
pub(crate) struct Beside {
    ended: JoinHandle<Result<ExitStatus>>,
    words: String,
    printed: File,
    since: Instant,
}

impl Beside {
    /// Starts it.
    ///
    /// # Errors
    /// It can't be started.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let (words, file) = (words(command), target()?.join("beside.log"));
        let printed = File::options().create(true).truncate(true).read(true).write(true).open(&file);
        let printed = printed.with_context(|| file.display().to_string())?;
        eprintln!("+ {words} > {} &", file.display());
        // One place in the file for all: each goes on where the last one ended.
        command.stdin(Stdio::null()).stdout(printed.try_clone()?).stderr(printed.try_clone()?);
        let mut child = command.spawn().with_context(|| format!("{words} can't be started"))?;
        let ended = std::thread::spawn(move || watch::wait(&mut child, watch::AT_MOST));
        Ok(Self { ended, words, printed, since: Instant::now() })
    }

    /// Waits for its end, and shows what it printed.
    ///
    /// # Errors
    /// It fails.
    pub(crate) fn ended(mut self) -> Result<()> {
        let status = self.ended.join().map_err(|_| anyhow!("{} was not waited for", self.words))??;
        eprintln!("+ {}: {status}, after {} s; it printed:", self.words, self.since.elapsed().as_secs());
        self.printed.rewind()?;
        std::io::copy(&mut self.printed, &mut std::io::stdout())?;
        ensure!(status.success(), "{} failed: {status}", self.words);
        Ok(())
    }
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
#[allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]
mod tests {
    use super::*;

    /// One that fails beside others is no success of all.
    #[test]
    fn what_runs_beside_is_waited_for_and_fails_all() {
        let shell =
            |script: &str| Beside::start(Command::new("sh").args(["-c", script])).and_then(Beside::ended);
        shell("sleep 0.1; echo done; echo too >&2").unwrap();
        let told = shell("exit 3").unwrap_err().to_string();
        assert!(told.contains("exit 3 failed"), "{told}");
    }

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
