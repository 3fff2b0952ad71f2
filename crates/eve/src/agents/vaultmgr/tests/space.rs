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

/// What users made before there was a limit is counted before it is set; where it can't be, the limit is not told as in force, and the vault
/// is open.
#[test]
fn a_limit_waits_until_all_is_counted() {
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    hear(&mut node, &mut controller, Line::of(Custody::Tpm));
    node.put(BERLIN, "file", "kept");
    node.calls.projects().keep();
    node.calls.projects().refuse_files(true);
    hear(&mut node, &mut controller, limited(20));
    let status = node.status(BERLIN);
    assert_eq!((status.state, in_force(&mut node)), (State::Unlocked, Some(None)), "{status:?}");
    assert!(
        status.detail.iter().any(|line| line.contains("its storage limit of 20GiB is not in force yet")),
        "{status:?}"
    );
    let why = status.last.and_then(|last| last.error).unwrap_or_default();
    assert!(why.contains("can't be counted to its vault's project"), "{why}");
    assert_eq!(node.get(BERLIN, "file").as_deref(), Some("kept"));
    node.calls.projects().refuse_files(false);
    let again = node.manager().again().expect("it is tried again by itself");
    node.manager().tick(again);
    assert_eq!(in_force(&mut node), Some(Some(20)), "{:?}", node.status(BERLIN));
}
