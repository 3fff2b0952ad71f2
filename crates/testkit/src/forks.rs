//! Children that this process is just starting. Between its `clone` and its `exec` a child holds a copy of every descriptor of the process,
//! whichever thread starts it: a file in a vault, of another test, is held by it for that while.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;

use anyhow::Result;

use crate::wait;

/// Waits until no other process runs this program.
///
/// # Errors
/// After [`wait::PATIENCE`], when one still does.
pub fn settled() -> Result<()> {
    if none() {
        return Ok(());
    }
    wait::until("children of this process that are being started", || none().then_some(()))
}

fn none() -> bool {
    let own = fs::metadata("/proc/self/exe").map(place);
    let mine = std::process::id().to_string();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.file_name());
    let others = processes.filter_map(|name| name.into_string().ok()).filter(|name| *name != mine);
    let is_own =
        |pid: String| fs::metadata(format!("/proc/{pid}/exe")).map(place).ok() == own.as_ref().ok().copied();
    !others.filter(|name| name.starts_with(|first: char| first.is_ascii_digit())).any(is_own)
}

/// A file on this machine.
fn place(meta: Metadata) -> (u64, u64) {
    (meta.dev(), meta.ino())
}
