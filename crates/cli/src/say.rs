//! What people and scripts read. Whoever reads a pipe may go away (`eve status | head -1`): that is an end, and no error.

use std::io::{self, Write};

use anyhow::Context;

/// Prints all of it.
///
/// # Errors
/// It can't be written, and not since nobody reads any more.
pub fn say(text: &str) -> anyhow::Result<()> {
    write(text.as_bytes()).map(drop)
}

/// The same, and says whether somebody reads on.
///
/// # Errors
/// As [`say`].
pub fn write(text: &[u8]) -> anyhow::Result<bool> {
    let mut out = io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error).context("can't write the answer"),
    }
}

/// What is wrong, or what is waited for, on the error stream: a line. If nobody takes it, nobody can be told that either.
pub fn complain(text: &str) {
    let _ = io::stderr().write_all(format!("{text}\n").as_bytes());
}
