//! `cargo xtask soak`: what the tests do a few times, done for hours, and a dated report of it. A part that fails ends no other: the report
//! says which held.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::{kernel, packages, run};

/// Something that is done very often.
struct Part {
    /// As it is named on the command line, with how often.
    name: &'static str,
    often: u32,
    /// What the tests read that from.
    variable: &'static str,
    test: &'static [&'static str],
    /// What it is, for the report.
    what: &'static str,
    /// How a line of its output begins that counts.
    counts: &'static str,
    /// It needs programs, packages, the kernel of VMs, and root.
    whole: bool,
}

const PARTS: [Part; 8] = [
    Part {
        name: "worlds",
        often: 200_000,
        variable: "EVE_VAULT_WORLDS",
        test: &["-p", "vault", "--test", "plan", "--", "never_lost", "nor_without_a_tpm"],
        what: "random worlds of each of three kinds: one vault, a node, a controller, and up to 40 events",
        counts: "test ",
        whole: false,
    },
    Part {
        name: "states",
        often: 150_000,
        variable: "EVE_VAULT_MODEL_STATES",
        test: &["-p", "vault", "--test", "model", "--", "the_long_form", "--ignored"],
        what: "states of the model check at most, for each kind of run: states, transitions, depth",
        counts: "| ",
        whole: false,
    },
    Part {
        name: "cuts",
        often: 200,
        variable: "EVE_VAULT_VM_CUTS",
        test: &["-p", "eve-vault-tests", "--test", "vm", "--", "cut_at_any_moment"],
        what: "power cuts of a node in a VM, at random moments of re-keying and of the end of a generation",
        counts: "round ",
        whole: true,
    },
    Part {
        name: "flushes",
        often: 150,
        variable: "EVE_VAULT_BLOCK_CUTS",
        test: &["-p", "eve-vault-tests", "--test", "thread", "--", "any_flush"],
        what: "boots from what the flushes of a disk left on it while a vault was made, re-keyed and given a recovery key",
        counts: "flush ",
        whole: true,
    },
    Part {
        name: "pairs",
        often: 1,
        variable: "EVE_VAULT_WHOLE",
        test: &["-p", "eve-vault-tests", "--test", "thread", "--", "damaged::"],
        what: "time every pair of damaged files of `config/`, and of one of it and one of the disk, on real nodes",
        counts: "test ",
        whole: true,
    },
    Part {
        name: "twins",
        often: 1,
        variable: "EVE_VAULT_WHOLE",
        test: &["-p", "eve", "--lib", "--", "vaultmgr::tests::damage"],
        what: "time every pair of damaged files of the disk, under vaultmgr alone",
        counts: "test ",
        whole: true,
    },
    Part {
        name: "frames",
        often: 1,
        variable: "EVE_VAULT_WHOLE",
        test: &["-p", "eve-vault-tests", "--test", "bus"],
        what: "time every fault at every frame between agents, of a node's first minutes, of a vault's life and of what root does",
        counts: "test ",
        whole: true,
    },
    Part {
        name: "acts",
        often: 20,
        variable: "EVE_VAULT_LIVES",
        test: &["-p", "eve-vault-tests", "--test", "thread", "--", "acts::", "--ignored"],
        what: "lives of a real node and its controller, of 100 acts each: policies, rotations, removals, locks, kills, cuts",
        counts: "life ",
        whole: true,
    },
];

/// Most lines of one part that the report has.
const LINES: usize = 40;
const USE: &str = "name parts, each with how often if not as often as usual: `cargo xtask soak worlds=200000 states=150000 cuts=200 flushes=150 pairs twins frames acts=20`; all of them without any";

/// Runs the parts that are named, or all, and writes `docs/reports/soak-DATE.md`.
///
/// # Errors
/// A part that is not known, or did not hold.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let parts = chosen(args)?;
    if parts.iter().any(|(part, _)| part.whole) {
        packages::install_all()?;
        kernel::unpacked()?;
        run::cargo(["build", "--locked", "--package", "eve", "--package", "evc"])?;
    }
    let done = parts.into_iter().map(|(part, often)| soak(part, often)).collect::<Result<Vec<_>>>()?;
    let file = format!("docs/reports/soak-{}.md", told("date", &["+%F"])?);
    fs::write(&file, report(&done)?).with_context(|| file.clone())?;
    println!("{file}");
    let failed: Vec<_> = done.iter().filter(|done| !done.held).map(|done| done.part.name).collect();
    ensure!(failed.is_empty(), "did not hold: {}; {file} says how", failed.join(", "));
    Ok(())
}

fn chosen(args: &[String]) -> Result<Vec<(&'static Part, u32)>> {
    if args.is_empty() {
        return Ok(PARTS.iter().map(|part| (part, part.often)).collect());
    }
    args.iter().map(|arg| one(arg).with_context(|| format!("`{arg}`: {USE}"))).collect()
}

fn one(arg: &str) -> Result<(&'static Part, u32)> {
    let (name, often) = arg.split_once('=').map_or((arg, None), |(name, often)| (name, Some(often)));
    let Some(part) = PARTS.iter().find(|part| part.name == name) else { bail!("no part of that name") };
    let often = often.map_or(Ok(part.often), str::parse).context("how often is no number")?;
    ensure!(often > 0, "never is not often");
    Ok((part, often))
}

/// What came of a part.
struct Done {
    part: &'static Part,
    often: u32,
    held: bool,
    took: Duration,
    lines: Vec<String>,
}

fn soak(part: &'static Part, often: u32) -> Result<Done> {
    let mut cargo = if part.whole { run::with_mounts() } else { Command::new(run::path()) };
    cargo.args(["test", "--locked"]).args(part.test).arg("--nocapture");
    cargo.env(part.variable, often.to_string()).stdout(Stdio::piped());
    eprintln!("+ {}={often} cargo test {}", part.variable, part.test.join(" "));
    let since = Instant::now();
    let mut child = cargo.spawn().context("cargo can't be started")?;
    let output = BufReader::new(child.stdout.take().context("its output")?);
    let lines = output.lines().map_while(Result::ok).inspect(|line| println!("{line}"));
    let lines: Vec<String> = lines.filter_map(|line| counting(part, &line)).collect();
    let held = child.wait()?.success() && !lines.is_empty();
    Ok(Done { part, often, held, took: since.elapsed(), lines })
}

/// The first line of a test stands behind the test's name.
fn counting(part: &Part, line: &str) -> Option<String> {
    let behind =
        line.split_once(" ... ").filter(|(name, _)| name.starts_with("test ") && part.counts != "test ");
    let line = behind.map_or(line, |(_, rest)| rest);
    line.starts_with(part.counts).then(|| line.to_owned()).filter(|line| !line.starts_with("test result"))
}

fn report(done: &[Done]) -> Result<String> {
    let (date, kernel) = (told("date", &["+%F"])?, told("uname", &["-r"])?);
    let commit = told("git", &["rev-parse", "--short", "HEAD"])?;
    let machine = format!("{} cores, Linux {kernel}", told("nproc", &[])?);
    let head = format!(
        "# Soak of {date}\n\nMachine: {machine}. Commit: {commit}. Command: `cargo xtask soak {}`. VMs are emulated.\n",
        done.iter().map(|done| format!("{}={}", done.part.name, done.often)).collect::<Vec<_>>().join(" ")
    );
    Ok(done.iter().fold(head, |text, done| text + &section(done)))
}

fn section(Done { part, often, held, took, lines }: &Done) -> String {
    let held = if *held { "held" } else { "**did not hold**" };
    let left_out = lines.len().saturating_sub(LINES);
    let rest =
        if left_out > 0 { format!("\n{left_out} lines before these are left out.\n") } else { String::new() };
    let shown = lines[left_out..].join("\n");
    format!(
        "\n## {}\n\n{often} {}. In {} minutes: {held}. Lines that count: {}.\n{rest}\n```text\n{shown}\n```\n",
        part.name,
        part.what,
        took.as_secs().div_ceil(60),
        lines.len()
    )
}

fn told(program: &str, args: &[&str]) -> Result<String> {
    let output = Command::new(program).args(args).output().with_context(|| program.to_owned())?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]
mod tests {
    use super::*;

    fn names(args: &[&str]) -> Result<Vec<(&'static str, u32)>> {
        let args: Vec<String> = args.iter().map(ToString::to_string).collect();
        Ok(chosen(&args)?.into_iter().map(|(part, often)| (part.name, often)).collect())
    }

    #[test]
    fn parts_are_named_with_how_often() {
        assert_eq!(names(&[]).unwrap().len(), PARTS.len());
        assert_eq!(names(&["cuts=3", "worlds"]).unwrap(), [("cuts", 3), ("worlds", 200_000)]);
        for bad in ["vm", "cuts=", "cuts=x", "cuts=0", "cuts=-1"] {
            let told = format!("{:#}", names(&[bad]).unwrap_err());
            assert!(told.contains(bad) && told.contains("cargo xtask soak worlds="), "{told}");
        }
    }

    #[test]
    fn a_part_without_a_line_that_counts_did_not_hold_and_all_that_count_are_seen() {
        let [worlds, states, cuts, ..] = &PARTS;
        let of = |part, line| counting(part, line);
        assert_eq!(of(cuts, "test cuts::x ... round 1, cut 2s"), Some("round 1, cut 2s".into()));
        assert_eq!(of(cuts, "round 2, cut 3s"), Some("round 2, cut 3s".into()));
        assert_eq!(of(states, "| together | 5 | | |"), Some("| together | 5 | | |".into()));
        assert_eq!(of(worlds, "test nor_without_a_tpm ... ok"), Some("test nor_without_a_tpm ... ok".into()));
        for line in ["running 1 test", "test result: ok. 1 passed", ""] {
            assert!(PARTS.iter().all(|part| of(part, line).is_none()), "{line}");
        }
    }
}
