//! Storage limits: in force from the first file on, changed while the vault is open, and never in its way.

use vault::report::{State, Storage};
use vault::section::{Custody, Operation};
use vault::space::StorageLimit;

use super::controller::{BERLIN, Controller, Line};
use super::node::Node;

const GIB: u64 = 1 << 30;

fn limited(gib: u64) -> Line {
    Line { limit: StorageLimit::of_bytes(gib * GIB), ..Line::of(Custody::Tpm) }
}

fn in_force(node: &mut Node) -> Option<Option<u64>> {
    let Storage { limit, .. } = node.status(BERLIN).storage?;
    Some(limit.map(|limit| limit.bytes() / GIB))
}

fn hear(node: &mut Node, controller: &mut Controller, line: Line) {
    node.hear(controller, &[line]);
    assert_eq!(node.state(BERLIN), State::Unlocked, "{:?}", node.status(BERLIN));
}

/// IF-1, VC-7: the limit is the policy's from the making on, through changes and a boot; also that of a vault that was locked meanwhile.
#[test]
fn a_limit_is_in_force_from_the_making_on_and_follows_the_policy() {
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    node.calls.projects().keep();
    hear(&mut node, &mut controller, limited(20));
    assert_eq!(in_force(&mut node), Some(Some(20)));
    node.put(BERLIN, "file", "kept");
    hear(&mut node, &mut controller, limited(1));
    assert_eq!(in_force(&mut node), Some(Some(1)));
    node.reboot();
    assert_eq!(in_force(&mut node), Some(Some(1)), "what a checkpoint says changes nothing");
    node.hear(&mut controller, &[Line { operation: Operation::Lock, ..limited(2) }]);
    assert_eq!(in_force(&mut node), Some(Some(1)), "a locked one keeps what it has");
    hear(&mut node, &mut controller, limited(2));
    assert_eq!(in_force(&mut node), Some(Some(2)));
    hear(&mut node, &mut controller, Line::of(Custody::Tpm));
    assert_eq!((in_force(&mut node), node.get(BERLIN, "file").as_deref()), (Some(None), Some("kept")));
}

/// Invariant 8: on a filesystem that keeps no quota the vault is open, and it is told that its limit bounds nothing, and what to do.
#[test]
fn a_limit_that_the_disk_can_not_keep_is_told() {
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    hear(&mut node, &mut controller, limited(20));
    let told = |node: &mut Node| node.status(BERLIN).detail.join("\n");
    let words = "storage limit not enforced: the persist filesystem keeps no project quota";
    assert!(
        told(&mut node).contains(words) && told(&mut node).contains("tune2fs -O quota,project"),
        "{}",
        told(&mut node)
    );
    assert_eq!(in_force(&mut node), None, "nothing is told as in force");
    hear(&mut node, &mut controller, Line::of(Custody::Tpm));
    assert!(!told(&mut node).contains("storage limit"), "{}", told(&mut node));
}

/// VC-7, invariant 8: no user keeps a limit from being set by what he holds of his files. It is in force at once, it is told what is not counted to
/// it, and that is tried again by itself.
#[test]
fn a_limit_waits_for_nothing_that_users_hold() {
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    hear(&mut node, &mut controller, Line::of(Custody::Tpm));
    node.put(BERLIN, "file", "kept");
    node.calls.projects().keep();
    node.calls.projects().refuse_files(true);
    hear(&mut node, &mut controller, limited(20));
    assert_eq!(in_force(&mut node), Some(Some(20)), "{:?}", node.status(BERLIN));
    let told = |node: &mut Node| node.status(BERLIN).detail.join("\n");
    let words = "storage limit in force, and 1 file or folder is not counted to it: ";
    assert!(told(&mut node).contains(words) && told(&mut node).contains("/file: "), "{}", told(&mut node));
    assert_eq!(node.status(BERLIN).last.and_then(|last| last.error), None, "nothing failed");
    assert_eq!(node.get(BERLIN, "file").as_deref(), Some("kept"));
    hear(&mut node, &mut controller, limited(2));
    assert_eq!(in_force(&mut node), Some(Some(2)), "it is changed all the same");
    node.calls.projects().refuse_files(false);
    let again = node.manager().again().expect("it is tried again by itself");
    node.manager().tick(again);
    assert!(!told(&mut node).contains("not counted"), "{}", told(&mut node));
}

/// VC-7: a cut in the middle of the counting, and what owners took out of the project, are made good in the next life.
#[test]
fn what_is_in_a_bounded_vault_is_counted_anew_in_each_life() {
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    node.calls.projects().keep();
    hear(&mut node, &mut controller, limited(20));
    node.put(BERLIN, "file", "kept");
    node.calls.projects().refuse_files(true);
    node.reboot();
    hear(&mut node, &mut controller, limited(20));
    let told = node.status(BERLIN).detail.join("\n");
    assert!(told.contains("1 file or folder is not counted"), "it was walked: {told}");
    assert_eq!(in_force(&mut node), Some(Some(20)));
}
