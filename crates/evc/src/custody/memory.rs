//! Keeps secrets out of swap and core dumps, as far as this system lets us.

use nix::sys::mman::{MlockAllFlags, mlockall};
use nix::sys::resource::{Resource, setrlimit};

/// What could not be had, in words for the log. Empty: all was.
#[derive(Debug, Default)]
pub struct Protection {
    /// One line for each thing that is missing, with what to do.
    pub missing: Vec<String>,
}

/// Locks all memory, present and to come, and forbids core dumps.
#[must_use]
pub fn protect() -> Protection {
    let mut missing = Vec::new();
    if let Err(e) = setrlimit(Resource::RLIMIT_CORE, 0, 0).and_then(|()| nix::sys::prctl::set_dumpable(false))
    {
        missing.push(format!(
            "core dumps can't be forbidden ({e}): forbid them in the service manager (LimitCORE=0)"
        ));
    }
    if let Err(e) = mlockall(MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE) {
        missing.push(format!("memory can't be locked ({e}): keys may reach swap; allow it (LimitMEMLOCK=infinity) or encrypt swap"));
    }
    Protection { missing }
}
