//! `cargo xtask soak`: what the tests do a few times, done for hours.

use std::process::Command;

use anyhow::{Context, Result};

use crate::{kernel, packages, run};

/// The power of a node in a VM is cut so many times, at random moments of re-keying and of the end of a generation.
///
/// # Errors
/// No number, or what failed.
pub(crate) fn vm(cuts: &str) -> Result<()> {
    let cuts: u32 = cuts.parse().with_context(|| format!("how many power cuts is {cuts:?}?"))?;
    packages::install_all()?;
    kernel::unpacked()?;
    run::cargo(["build", "--locked", "--package", "eve", "--package", "evc"])?;
    let test = ["test", "--locked", "--package", "eve-vault-tests", "--test", "vm", "cut_at_any_moment"];
    let mut cargo = Command::new(run::path());
    run::program(cargo.args(test).args(["--", "--nocapture"]).env("EVE_VAULT_VM_CUTS", cuts.to_string()))
}
