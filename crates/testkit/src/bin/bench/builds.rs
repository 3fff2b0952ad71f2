//! The builds that are measured in turn: this one, and the one of another checkout where that is asked for.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use testkit::Programs;

const PROFILE: &str = if cfg!(debug_assertions) { "debug" } else { "release" };

/// One of them.
#[derive(Debug, Clone)]
pub(crate) struct Build {
    /// `ours`, or the other's commit.
    pub(crate) name: String,
    pub(crate) programs: Programs,
}

/// All, ours first.
#[derive(Debug, Clone)]
pub(crate) struct Builds(Vec<Build>);

impl Builds {
    /// Ours, and that of the checkout in `against`, whose programs are built there where they are missing.
    pub(crate) fn with(against: Option<&Path>) -> Result<Self> {
        let ours = Build { name: "ours".to_owned(), programs: Programs::default() };
        Ok(Self(std::iter::once(Ok(ours)).chain(against.map(other)).collect::<Result<_>>()?))
    }

    /// The commit of the other one.
    pub(crate) fn other(&self) -> Option<&str> {
        self.0.get(1).map(|other| other.name.as_str())
    }

    /// Makes something of each.
    pub(crate) fn each<T>(&self, make: impl FnMut(&Build) -> Result<T>) -> Result<Vec<T>> {
        self.0.iter().map(make).collect()
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }
}

/// Acts on what was made of each, beginning with another one each round: what the machine does meanwhile meets all alike.
pub(crate) fn in_turn<T>(
    round: usize,
    sides: &mut [T],
    mut act: impl FnMut(usize, &mut T) -> Result<()>,
) -> Result<()> {
    let count = sides.len();
    (0..count).map(|turn| (turn + round) % count).try_for_each(|side| act(side, &mut sides[side]))
}

fn other(checkout: &Path) -> Result<Build> {
    let name = revision(checkout)?;
    let folder = checkout.join("target").join(PROFILE);
    if Programs::of(&folder).is_err() {
        println!("{name} has no {PROFILE} build yet: building it in {}", checkout.display());
        build(checkout)?;
    }
    Ok(Build { name, programs: Programs::of(&folder)? })
}

fn build(checkout: &Path) -> Result<()> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--locked", "--package", "evc", "--package", "eve"]);
    if PROFILE == "release" {
        cargo.arg("--release");
    }
    // Its own folder, wherever ours lies.
    cargo.current_dir(checkout).env_remove("CARGO_TARGET_DIR");
    let status = cargo.status().with_context(|| format!("{cargo:?} can't be started"))?;
    ensure!(status.success(), "{cargo:?} in {}: {status}", checkout.display());
    Ok(())
}

fn revision(checkout: &Path) -> Result<String> {
    let mut git = Command::new("git");
    let told = git.arg("-C").arg(checkout).args(["rev-parse", "--short=7", "HEAD"]).output();
    let told = told.context("git can't be started")?;
    ensure!(told.status.success(), "{} is no checkout", checkout.display());
    Ok(String::from_utf8_lossy(&told.stdout).trim().to_owned())
}
