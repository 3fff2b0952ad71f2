//! `cargo xtask test`: formatting, lints, dependencies, every test, the demo and a short benchmark. Stops at the first that fails.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::{packages, run};

/// The version that deny.toml is written for.
const CARGO_DENY: &str = "0.20.2";
/// Where our own tools go, so that nothing of the user's changes.
const TOOLS: &str = "target/tools";

/// Everything.
///
/// # Errors
/// What failed.
pub(crate) fn all() -> Result<()> {
    packages::install()?;
    run::cargo(["fmt", "--all", "--check"])?;
    run::cargo(["clippy", "--workspace", "--all-targets", "--locked", "--", "--deny", "warnings"])?;
    dependencies()?;
    // Tests start our programs, which lie beside them.
    run::cargo(["build", "--workspace", "--locked"])?;
    // Tests use loop devices and software TPMs: more at once than this only makes them wait for each other.
    run::cargo_with_mounts(["test", "--workspace", "--locked", "--no-fail-fast", "--", "--test-threads=4"])?;
    // What the README tells to run first, and what nobody else would see rot.
    run::cargo(testkit("demo", &[]))?;
    run::cargo(testkit("bench", &["--quick"]))
}

/// A program of testkit, as it was built.
fn testkit<'a>(name: &'a str, args: &[&'a str]) -> Vec<&'a str> {
    let run = ["run", "--quiet", "--locked", "--package", "testkit", "--bin", name, "--"];
    [&run, args].concat()
}

/// Licences, bans and sources. The advisories need a database from the network: `cargo deny check advisories`, where there is one.
fn dependencies() -> Result<()> {
    let deny = Path::new(TOOLS).join("bin/cargo-deny");
    if !deny.exists() {
        run::cargo([
            "install",
            "--quiet",
            "--locked",
            "--root",
            TOOLS,
            "--version",
            CARGO_DENY,
            "cargo-deny",
        ])?;
    }
    run::program(Command::new(deny).args(["--workspace", "check", "bans", "licenses", "sources"]))
}
