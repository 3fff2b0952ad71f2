//! As vaultmgr does it: a test has all of root's capabilities, and vaultmgr those of its row. They are a thread's own.

use caps::{CapSet, CapsHashSet};

use crate::bus::Agent;

/// Gives a thread back what it had.
struct Back(CapsHashSet);

impl Drop for Back {
    fn drop(&mut self) {
        caps::set(None, CapSet::Effective, &self.0).expect("permitted still");
    }
}

/// With the capabilities of vaultmgr's row and no others.
pub(crate) fn with_its_rights<R>(run: impl FnOnce() -> R) -> R {
    with_rights(&Agent::Vaultmgr.row().caps.iter().copied().collect(), run)
}

/// With these capabilities and no others.
pub(crate) fn with_rights<R>(rights: &CapsHashSet, run: impl FnOnce() -> R) -> R {
    let _back = Back(caps::read(None, CapSet::Effective).expect("reads"));
    caps::set(None, CapSet::Effective, rights).expect("drops");
    run()
}
