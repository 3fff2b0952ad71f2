//! The controller's clock, read at the edge only and passed in everywhere else.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::store::UnixSeconds;

/// Now.
#[must_use]
pub fn now() -> UnixSeconds {
    // A clock before 1970 reads as 0: then every piece of evidence is from the future, and nothing is released.
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// As RFC 3339, in UTC.
#[must_use]
pub fn text(at: UnixSeconds) -> String {
    // The last second that humantime writes: 9999-12-31T23:59:59Z.
    let at = at.min(253_402_300_799);
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(at)).to_string()
}
