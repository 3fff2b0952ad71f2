//! The Rust that is here: whether it has what the checks need, and whether it is the one that our lints were chosen with.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// The minor version whose lints are errors: the oldest that the project takes, `rust-version` of its Cargo.toml. Who raises that
/// mends what the newer lints find.
const OURS: &str = env!("CARGO_PKG_RUST_VERSION");

/// Fails when rustfmt or clippy is missing, with the command that installs it.
///
/// # Errors
/// As said.
pub(crate) fn components() -> Result<()> {
    let missing: Vec<_> = [("rustfmt", "fmt"), ("clippy", "clippy")]
        .into_iter()
        .filter(|(_, command)| !runs(command))
        .map(|(component, _)| component)
        .collect();
    ensure!(missing.is_empty(), "{}", advice(&missing));
    Ok(())
}

fn advice(missing: &[&str]) -> String {
    format!(
        "missing: {0}; install with:\n  rustup component add {0}\n(or the packages of that name, where Rust is not rustup's)",
        missing.join(" ")
    )
}

fn runs(command: &str) -> bool {
    let asked = Command::new(crate::run::path())
        .args([command, "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    asked.is_ok_and(|status| status.success())
}

/// Whether clippy's compiler is [`OURS`]. Another one is said aloud.
///
/// # Errors
/// rustc can't be asked.
pub(crate) fn is_ours() -> Result<bool> {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let told = Command::new(rustc).arg("--version").output().context("rustc can't be started")?;
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    let ours = is_minor(&told, OURS);
    if !ours {
        eprintln!(
            "this is {}, the lints are of {OURS}: what clippy finds is told, and fails nothing",
            told.trim()
        );
    }
    Ok(ours)
}

/// `rustc 1.95.2 (...)` is of `1.95`.
fn is_minor(told: &str, minor: &str) -> bool {
    let version = told.split_whitespace().nth(1).unwrap_or_default();
    version.strip_prefix(minor).is_some_and(|rest| rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_ours_by_its_minor_number() {
        for (told, ours) in [
            ("rustc 1.95.0 (abc 2026-04-14)", true),
            ("rustc 1.95.2", true),
            ("rustc 1.96.0 (abc 2026-05-28)", false),
            ("rustc 1.9.5", false),
            ("rustc 1.950.0", false),
            ("", false),
        ] {
            assert_eq!(is_minor(told, "1.95"), ours, "{told}");
        }
    }

    #[test]
    fn what_is_missing_is_named_with_the_command() {
        assert!(advice(&["rustfmt", "clippy"]).contains("rustup component add rustfmt clippy"));
    }
}
