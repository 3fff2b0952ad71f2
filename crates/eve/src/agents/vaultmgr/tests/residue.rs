//! A persist filesystem whose journal has copies of key files, and a kernel that can wipe it or not.

use caps::{Capability, CapsHashSet};

use super::node::Node;
use super::rights::with_rights;
use crate::bus::Agent;

const TOLD: &str = "what a rotation overwrites may stay in the journal of the persist filesystem";

/// Every right of vaultmgr's but the one by which the kernel wipes a journal: it refuses that then, as one before Linux 5.14 does.
fn no_wiping() -> CapsHashSet {
    let own = Agent::Vaultmgr.row().caps.iter().copied();
    own.filter(|right| *right != Capability::CAP_SYS_ADMIN).collect()
}

/// Seen-by-users 0b (a rotation leaves nothing of the old key), invariant 8: where the journal keeps what is overwritten the status says so, and
/// what to do; where it can be wiped nothing is said.
#[test]
fn a_journal_that_cannot_be_wiped_is_told_in_the_status() {
    let mut node = Node::fresh(false);
    node.disk.journal_all();
    node.start();
    assert!(!node.says(TOLD), "this kernel wipes it");
    with_rights(&no_wiping(), || node.restart());
    let notes = node.manager().vault_status().notes;
    let told = notes.iter().find(|note| note.contains(TOLD)).unwrap_or_else(|| panic!("{notes:?}"));
    assert!(told.contains("data=ordered") && told.contains("Linux 5.14"), "{told}");
}
