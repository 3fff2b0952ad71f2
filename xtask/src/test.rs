//! `cargo xtask test`: formatting, lints, dependencies, the demo, a short benchmark, every test. Stops at the first that fails.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::{kernel, packages, run, toolchain};

/// The version that deny.toml is written for.
const CARGO_DENY: &str = "0.20.2";
/// Where our own tools go, so that nothing of the user's changes.
const TOOLS: &str = "target/tools";

/// Everything.
///
/// # Errors
/// What failed.
pub(crate) fn all() -> Result<()> {
    packages::install_all()?;
    kernel::unpacked()?;
    toolchain::components()?;
    run::cargo(["fmt", "--all", "--check"])?;
    run::cargo(clippy(toolchain::is_ours()?))?;
    dependencies()?;
    // Tests start our programs, which lie beside them.
    run::cargo(["build", "--workspace", "--locked"])?;
    // What the README tells to run first, and what nobody else would see rot.
    run::program(&mut run::built("debug", "demo")?)?;
    run::program(run::built("debug", "bench")?.arg("--quick"))?;
    tests()
}

/// How the names of tests of nodes in VMs begin, and of no others.
const OF_VMS: &str = "vms::";

/// All but those of nodes in VMs. Tests use loop devices and software TPMs: more at once than this only makes them wait for each other.
const TESTS: [&str; 8] =
    ["test", "--workspace", "--locked", "--no-fail-fast", "--", "--test-threads=4", "--skip", OF_VMS];
/// Those. Of the same packages: so features are chosen as for all others, and nothing is built twice.
const TESTS_OF_VMS: [&str; 7] = ["test", "--workspace", "--locked", "--test", "vm", "--", OF_VMS];

/// Every test. An emulated machine takes one core and mounts nothing here, so those of VMs run beside all others; what they print is shown
/// after them.
fn tests() -> Result<()> {
    // Nobody waits for the other's compiler.
    run::cargo([&TESTS[..4], &["--no-run"]].concat())?;
    run::cargo([&TESTS_OF_VMS[..5], &["--no-run"]].concat())?;
    let vms = run::Beside::start(Command::new(run::path()).args(TESTS_OF_VMS))?;
    let others = run::tests_with_mounts(TESTS);
    let vms = vms.ended();
    others.and(vms)
}

/// Warnings are errors by the compiler that the lints were chosen with. Another one knows lints that nobody here has seen yet: by
/// it they are told, and a build on a machine with a newer Rust does not fail for them. A pinned toolchain file would have rustup
/// fetch a second compiler on every such machine.
fn clippy(deny: bool) -> Vec<&'static str> {
    let check = ["clippy", "--workspace", "--all-targets", "--locked"];
    let strict = ["--", "--deny", "warnings"];
    if deny { [&check[..], &strict].concat() } else { check.to_vec() }
}

/// Licences, bans and sources. The advisories need a database from the network: `cargo deny check advisories`, where there is one.
fn dependencies() -> Result<()> {
    let deny = Path::new(TOOLS).join("bin/cargo-deny");
    if !is_version(&deny, CARGO_DENY) {
        run::cargo([
            "install",
            "--quiet",
            "--locked",
            "--force",
            "--root",
            TOOLS,
            "--version",
            CARGO_DENY,
            "cargo-deny",
        ])?;
    }
    run::program(Command::new(deny).args(["--workspace", "check", "bans", "licenses", "sources"]))
}

/// Whether the tool is there in this version: `cargo-deny 0.20.2`.
fn is_version(tool: &Path, version: &str) -> bool {
    let told = Command::new(tool).arg("--version").output();
    told.is_ok_and(|told| String::from_utf8_lossy(&told.stdout).split_whitespace().nth(1) == Some(version))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_tool_of_another_version_or_none_is_made_anew() {
        let tool = std::env::temp_dir().join(format!("xtask-tool-{}", std::process::id()));
        assert!(!is_version(&tool, "1.2.3"), "none");
        fs::write(&tool, "#!/bin/sh\necho cargo-deny 1.2.3\n").unwrap();
        fs::set_permissions(&tool, Permissions::from_mode(0o755)).unwrap();
        let (same, other) = (is_version(&tool, "1.2.3"), is_version(&tool, "1.2.30"));
        fs::remove_file(&tool).unwrap();
        assert_eq!((same, other), (true, false));
    }

    /// What one of them leaves out the other runs, and nothing else.
    #[test]
    fn every_test_is_run_by_one_of_both() {
        let after = |args: &[&'static str], word| args.iter().skip_while(|arg| **arg != word).nth(1).copied();
        assert_eq!((after(&TESTS, "--skip"), TESTS_OF_VMS.last().copied()), (Some(OF_VMS), Some(OF_VMS)));
        assert_eq!(after(&TESTS_OF_VMS, "--test"), Some("vm"));
        let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        let main = fs::read_to_string(root.join("tests/tests/vm.rs")).unwrap();
        let items: Vec<_> = main.lines().filter(|line| line.ends_with([';', '{'])).collect();
        assert_eq!(items, ["mod vms;"], "each test of that program is named so");
    }

    #[test]
    fn warnings_are_errors_by_our_compiler_alone() {
        assert!(clippy(true).ends_with(&["--", "--deny", "warnings"]));
        assert!(!clippy(false).contains(&"--deny"));
    }
}
