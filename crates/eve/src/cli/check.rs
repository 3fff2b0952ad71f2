//! `eve check`: findings as a table or as JSON, and by which exit status.

use std::fs::File;
use std::path::Path;

use anyhow::bail;
use cli::{Forms, Output};
use nix::fcntl::{Flock, FlockArg};
use vault::text::plain;

use super::args::Root;
use crate::check::{Finding, Level, look};
use crate::paths;

pub(super) fn show(root: &Root, output: Output) -> anyhow::Result<()> {
    let found = look(&root.root, runs(&root.root));
    let names = found.iter().map(|found| format!("finding/{}", code(found))).collect();
    Forms::of(&found, found.iter().map(lines).collect(), names)?.print(output)?;
    // Who forgot to name the root looks at another folder than he thinks.
    let root = root.root.display();
    let elsewhere = format!("; this was looked at under {root}: name another root with --root or EVE_ROOT");
    match found.iter().filter(|found| found.level == Level::Fault).count() {
        0 => Ok(()),
        1 => bail!("this machine can't be a node yet: mend the fault that is told above{elsewhere}"),
        faults => {
            bail!("this machine can't be a node yet: mend the {faults} faults that are told above{elsewhere}")
        }
    }
}

/// Whether `eve run` holds the lock of this root.
pub(super) fn runs(root: &Path) -> bool {
    let lock = File::open(paths::run(root).join("lock"));
    lock.is_ok_and(|lock| Flock::lock(lock, FlockArg::LockSharedNonblock).is_err())
}

fn lines(found: &Finding) -> String {
    let level = match found.level {
        Level::Good => "good",
        Level::Note => "note",
        Level::Warning => "WARNING",
        Level::Fault => "FAULT",
    };
    let first = format!("{level:<9}{:<20} {}\n", code(found), plain(&found.found));
    if found.advice.is_empty() { first } else { format!("{first}{:30}-> {}\n", "", plain(&found.advice)) }
}

/// As scripts and docs/checks.md know it.
fn code(found: &Finding) -> String {
    let code = serde_json::to_value(found.code).unwrap_or_default();
    code.as_str().unwrap_or_default().to_owned()
}
