//! `eve check`: findings as a table or as JSON, and by which exit status.

use std::fs::File;
use std::path::Path;

use anyhow::bail;
use nix::fcntl::{Flock, FlockArg};
use vault::text::{plain, plain_lines};

use super::args::{Output, Root};
use super::out;
use crate::check::{Finding, Level, look};
use crate::paths;

pub(super) fn show(root: &Root, output: Output) -> anyhow::Result<()> {
    let found = look(&root.root, runs(&root.root));
    match output {
        Output::Json => out::say(&(plain_lines(&serde_json::to_string_pretty(&found)?) + "\n"))?,
        Output::Table => out::say(&found.iter().map(lines).collect::<String>())?,
    }
    match found.iter().filter(|found| found.level == Level::Fault).count() {
        0 => Ok(()),
        1 => bail!("this machine can't be a node yet: one fault, told above"),
        faults => bail!("this machine can't be a node yet: {faults} faults, told above"),
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
    let code = serde_json::to_value(found.code).unwrap_or_default();
    let first = format!("{level:<9}{:<20} {}\n", code.as_str().unwrap_or_default(), plain(&found.found));
    if found.advice.is_empty() { first } else { format!("{first}{:30}-> {}\n", "", plain(&found.advice)) }
}
