//! The kernel fails at every call of every kind of work in turn, once or until vaultmgr is started anew, or says what is not so
//! (invariants 5, 6; issue 7, A2). Meanwhile no status is false; afterwards the vault is as it was wanted, and nothing else was touched.

use vault::ids::{Epoch, VaultId};
use vault::report::{State, Storage};
use vault::section::{Operation, Seal};
use vault::space::StorageLimit;

use super::*;
use crate::agents::vaultmgr::tests::faulty;
use crate::agents::vaultmgr::tests::truth::told_truly;

/// How often what failed is tried again before the test does not believe any more that it mends.
const TRIES: usize = 3;
/// A vault that nothing is to happen to.
const BYSTANDER: VaultId = VaultId(uuid::Uuid::from_u128(0xb5));

fn with_bystander(lines: &[Line]) -> Vec<Line> {
    [lines, &[Line { id: BYSTANDER, ..Line::of(Custody::Tpm) }]].concat()
}

fn hear(node: &mut Node, controller: &mut Controller, lines: &[Line]) {
    node.hear(controller, &with_bystander(lines));
}

/// A node with this vault, in which a file is, and a bystander.
fn with(lines: &[Line]) -> (Node, Controller) {
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    hear(&mut node, &mut controller, lines);
    lines.iter().map(|line| line.id).chain([BYSTANDER]).for_each(|id| node.put(id, "file", "kept"));
    (node, controller)
}

/// The same, and the power was off meanwhile.
fn booted_with(lines: &[Line]) -> (Node, Controller) {
    let (mut node, controller) = with(lines);
    node.reboot();
    (node, controller)
}

/// Does `work` on a node made by `prepare`, with each fault at the call 0, 1, 2.. until it is not met any more. Each time what is told
/// is held against the kernel; then the fault goes, the node mends, by itself or started anew, and `done` looks, before a reboot and
/// after it. Returns how many calls the work has.
fn fails_everywhere<P>(
    prepare: impl Fn() -> (Node, P),
    work: impl Fn(&mut Node, &mut P),
    done: impl Fn(&mut Node, &mut P, &str),
) -> usize {
    let once = |fault: faulty::Fault, nth: usize| {
        let (mut node, mut with) = prepare();
        node.calls.fail(fault, nth);
        work(&mut node, &mut with);
        let when = format!("{fault:?} at call {nth}");
        told_truly(&mut node, &when);
        let met = node.calls.heal();
        let when = format!("{when}, {met:?}");
        mend(&mut node, fault);
        if fault.lasts_for_ever() {
            work(&mut node, &mut with);
        }
        for when in [when.clone(), format!("{when}, and rebooted")] {
            told_truly(&mut node, &when);
            done(&mut node, &mut with, &when);
            node.reboot();
            work(&mut node, &mut with);
        }
        met.is_some()
    };
    let calls = |fault| (0..ENOUGH).find(|nth| !once(fault, *nth)).expect("it comes to an end");
    faulty::Fault::ALL.map(calls)[0]
}

/// With the fault gone: what failed once is tried again with nothing new from outside, as the agent does; else vaultmgr starts anew.
fn mend(node: &mut Node, fault: faulty::Fault) {
    if fault.lasts_for_ever() {
        return node.restart();
    }
    for _ in 0..TRIES {
        if node.manager().waits_for_roots() {
            node.hear_tpm();
        }
        let manager = node.manager();
        if let Some(at) = manager.again() {
            manager.tick(at);
        }
        manager.settle_all();
    }
}

fn bystands(node: &mut Node, when: &str) {
    let status = node.status(BYSTANDER);
    let file = node.get(BYSTANDER, "file");
    assert_eq!((status.state, file.as_deref()), (State::Unlocked, Some("kept")), "{when}: {status:?}");
}

fn is_open(node: &mut Node, when: &str) {
    bystands(node, when);
    let status = node.status(BERLIN);
    let file = node.get(BERLIN, "file");
    assert_eq!((status.state, file.as_deref()), (State::Unlocked, Some("kept")), "{when}: {status:?}");
}

/// Invariant 5, IF-5.
#[test]
fn if5_a_vault_is_made_whatever_call_fails() {
    let calls = fails_everywhere(
        || with(&[]),
        |node, controller| hear(node, controller, &[both((1, 1))]),
        |node, _, when| {
            let status = node.status(BERLIN);
            assert_eq!((status.state, status.created), (State::Unlocked, true), "{when}: {status:?}");
            if !when.contains("rebooted") {
                node.put(BERLIN, "file", "kept");
            }
            is_open(node, when);
        },
    );
    assert!(calls > 20, "{calls}");
}

/// KO-2, KO-3: by the controller's key, and all that the record says at a boot.
#[test]
fn ko3_a_vault_opens_whatever_call_fails() {
    let lines = [both((1, 1))];
    let calls = fails_everywhere(
        || booted_with(&lines),
        |node, controller| hear(node, controller, &lines),
        |node, _, when| is_open(node, when),
    );
    assert!(calls > 10, "{calls}");
}

/// KO-2, DF-1: no contact.
#[test]
fn ko2_a_boot_opens_all_whatever_call_fails() {
    let stopped = || {
        let (mut node, controller) = with(&[Line::of(Custody::Tpm)]);
        node.stop();
        node.disk.mount();
        (node, controller)
    };
    let calls = fails_everywhere(stopped, |node, _| node.restart(), |node, _, when| is_open(node, when));
    assert!(calls > 20, "{calls}");
}

/// VC-2: never told as locked while the key is there.
#[test]
fn vc2_a_vault_is_locked_whatever_call_fails() {
    let lock = Line { operation: Operation::Lock, ..both((1, 1)) };
    fails_everywhere(
        || with(&[both((1, 1))]),
        |node, controller| hear(node, controller, std::slice::from_ref(&lock)),
        |node, _, when| {
            bystands(node, when);
            let status = node.status(BERLIN);
            assert_eq!((status.state, node.get(BERLIN, "file")), (State::Locked, None), "{when}: {status:?}");
        },
    );
}

fn changes(before: &Line, change: &Line) {
    fails_everywhere(
        || with(std::slice::from_ref(before)),
        |node, controller| hear(node, controller, std::slice::from_ref(change)),
        |node, _, when| {
            is_open(node, when);
            let epoch = change.custody.needs_controller().then_some(Epoch(change.epochs.0));
            assert_eq!(node.status(BERLIN).epoch, epoch, "{when}: {:?}", node.status(BERLIN));
            assert_eq!(node.manager().vault_status().seals[&BERLIN], Some(change.seal), "{when}");
        },
    );
}

/// IF-1, VC-7: a storage limit comes to be in force, and stands in nobody's way meanwhile.
#[test]
fn a_limit_is_set_whatever_call_fails() {
    let limit = StorageLimit::of_bytes(1 << 30);
    let limited = |epochs| Line { limit, ..both(epochs) };
    let in_force = |node: &mut Node, when: &str| {
        let status = node.status(BERLIN);
        let storage = Some(Storage { used: 0, limit });
        assert_eq!((status.state, status.storage), (State::Unlocked, storage), "{when}: {status:?}");
    };
    let kept = |lines: &[Line]| {
        let (mut node, mut controller) = (Node::new(true), Controller::new());
        node.calls.projects().keep();
        hear(&mut node, &mut controller, lines);
        (node, controller)
    };
    let made = fails_everywhere(
        || kept(&[]),
        |node, controller| hear(node, controller, &[limited((1, 1))]),
        |node, _, when| in_force(node, when),
    );
    let other = Line { limit: StorageLimit::of_bytes(2 << 30), ..both((1, 1)) };
    let changed = fails_everywhere(
        || kept(std::slice::from_ref(&other)),
        |node, controller| hear(node, controller, &[limited((1, 1))]),
        |node, _, when| in_force(node, when),
    );
    assert!(made > 20 && changed > 1, "{made}, {changed}");
}

/// VC-4, VC-6: a rotation ends, and is told as done when it is.
#[test]
fn vc6_an_epoch_is_changed_whatever_call_fails() {
    changes(&both((1, 1)), &both((2, 1)));
}

/// DF-4.
#[test]
fn df4_a_custody_is_changed_whatever_call_fails() {
    changes(&Line::of(Custody::Tpm), &both((1, 1)));
}

/// KO-1.
#[test]
fn ko1_a_seal_is_changed_whatever_call_fails() {
    changes(&Line::of(Custody::Tpm), &Line { seal: Seal::Pcrs, ..Line::of(Custody::Tpm) });
}

/// IF-5: never told as removed while anything is there, and no other is.
#[test]
fn if5_a_vault_is_deleted_whatever_call_fails() {
    fails_everywhere(
        || with(&[both((1, 1))]),
        |node, controller| hear(node, controller, &[]),
        |node, _, when| {
            bystands(node, when);
            assert_eq!(node.state(BERLIN), State::Removed, "{when}: {:?}", node.status(BERLIN));
            let traces = [node.paths.vault(BERLIN), node.paths.metas().join(BERLIN.to_string())];
            assert!(traces.iter().all(|path| !path.exists()), "{when}");
        },
    );
}

/// Invariant 4: a missing vault is made anew once, by the order; said again, the order takes nothing from what was put there since.
#[test]
fn a_missing_vault_is_made_anew_whatever_call_fails() {
    let missing = || {
        let (mut node, controller) = with(&[both((1, 1))]);
        node.stop();
        node.disk.mount();
        std::fs::remove_dir_all(node.paths.vault(BERLIN)).expect("removes");
        node.start();
        (node, controller)
    };
    let order = Line { created: true, recreate: true, ..both((1, 1)) };
    fails_everywhere(
        missing,
        |node, controller| hear(node, controller, std::slice::from_ref(&order)),
        |node, _, when| {
            if !when.contains("rebooted") {
                assert_eq!(node.state(BERLIN), State::Unlocked, "{when}: {:?}", node.status(BERLIN));
                assert_eq!(node.get(BERLIN, "file"), None, "{when}");
                node.put(BERLIN, "file", "kept");
            }
            is_open(node, when);
        },
    );
}

/// DF-5: plain files are in the vaults whole or where they were.
#[test]
fn df5_plain_files_are_moved_in_whatever_call_fails() {
    let waiting = || {
        let mut node = with_plain_files();
        node.nv.0.borrow_mut().fail = true;
        node.start();
        node.nv.0.borrow_mut().fail = false;
        (node, ())
    };
    let calls = fails_everywhere(
        waiting,
        |node, ()| node.hear_tpm(),
        |node, (), when| {
            assert!(plain_files_are_in(node), "{when}: {:?}", node.status(CONFIG_VAULT));
            assert_eq!(node.state(IMAGE_VAULT), State::Unlocked, "{when}: {:?}", node.status(IMAGE_VAULT));
        },
    );
    assert!(calls > 30, "{calls}");
}
