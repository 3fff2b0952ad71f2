//! Waiting for what another process does: bounded, and saying what was waited for.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// The longest that anything here may take; a loaded machine takes long.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks.
const POLL: Duration = Duration::from_millis(20);

/// Looks until there is something.
///
/// # Errors
/// After [`PATIENCE`], with `what` it was.
pub fn until<T>(what: &str, look: impl FnMut() -> Option<T>) -> Result<T> {
    within(PATIENCE, what, look)
}

/// The same for what may take longer, or must not take as long.
///
/// # Errors
/// After `patience`, with `what` it was.
pub fn within<T>(patience: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> Result<T> {
    let deadline = Instant::now() + patience;
    while Instant::now() < deadline {
        if let Some(found) = look() {
            return Ok(found);
        }
        std::thread::sleep(POLL);
    }
    bail!("waited {} s in vain for: {what}", patience.as_secs())
}
