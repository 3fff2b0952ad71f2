//! A disk that is full.

use std::io::Write;

use vault::report::State;

use super::*;

/// Does `work` with room for 0, 1, 2.. operations until that is enough. Each time, with the disk still full, `kept` looks for what
/// may not be lost; then there is room again and `work` is done once more, and so is a reboot, and `done` looks.
pub(super) fn full_everywhere<P>(
    prepare: impl Fn() -> (Node, P),
    work: impl Fn(&mut Node, &mut P),
    kept: impl Fn(&mut Node, &str),
    done: impl Fn(&mut Node, &mut P, &str),
) -> usize {
    let was_full = |room: &usize| {
        let (mut node, mut with) = prepare();
        let faults = node.faults.clone();
        let full = faults.during(Fault::Full, *room, || work(&mut node, &mut with));
        let when = format!("room for {room} operations");
        kept(&mut node, &when);
        work(&mut node, &mut with);
        done(&mut node, &mut with, &when);
        node.reboot();
        work(&mut node, &mut with);
        done(&mut node, &mut with, &format!("{when}, and rebooted"));
        full
    };
    (0..ENOUGH).find(|room| !was_full(room)).expect("it comes to an end")
}

/// DF-1, DF-5: a first boot; plain files stay plain until they are moved in whole, and no half copy fills the disk.
#[test]
fn df5_a_first_boot_waits_for_room() {
    let prepare = || {
        let mut node = with_plain_files();
        node.nv.0.borrow_mut().fail = true;
        node.start();
        node.nv.0.borrow_mut().fail = false;
        (node, ())
    };
    let steps = full_everywhere(
        prepare,
        |node, ()| node.hear_tpm(),
        |node, when| {
            for id in [CONFIG_VAULT, IMAGE_VAULT] {
                assert_eq!(node.get(id, "sub/plain").as_deref(), Some("of before too"), "{when}");
                let half = node.state(id) != State::Unlocked && node.paths.staging(id).exists();
                assert!(!half, "{when}: half a copy is left");
            }
        },
        |node, (), when| {
            assert!(plain_files_are_in(node), "{when}: {:?}", node.status(CONFIG_VAULT));
            assert_eq!(node.state(IMAGE_VAULT), State::Unlocked, "{when}");
        },
    );
    assert!(steps > 20, "{steps}");
}

/// IF-2: a vault that can't be made says so; with room it is made.
#[test]
fn if2_the_making_of_a_vault_waits_for_room() {
    let line = both((1, 1));
    full_everywhere(
        || (Node::new(true), Controller::new()),
        |node, controller| node.hear(controller, std::slice::from_ref(&line)),
        |node, when| {
            let status = node.status(BERLIN);
            let error = status.last.as_ref().and_then(|last| last.error.as_deref()).unwrap_or_default();
            let told = error.contains("No space left") || status.state == State::Unlocked;
            assert!(told, "{when}: {status:?}");
        },
        |node, _, when| assert_eq!(node.state(BERLIN), State::Unlocked, "{when}: {:?}", node.status(BERLIN)),
    );
}

/// VC-2, DF-4: a change of key or custody; meanwhile the vault stays open with its data.
#[test]
fn vc2_a_change_waits_for_room() {
    for (before, change) in [
        (both((1, 1)), both((2, 1))),
        (Line::of(Custody::Tpm), both((1, 1))),
        (both((1, 1)), Line::of(Custody::Controller)),
        (Line::of(Custody::Controller), both((1, 1))),
    ] {
        full_everywhere(
            || with_file(&before),
            |node, controller| node.hear(controller, std::slice::from_ref(&change)),
            |node, when| assert!(kept(node, &change), "{when}"),
            |node, _, when| {
                assert!(kept(node, &change), "{when}");
                let epoch = change.custody.needs_controller().then_some(change.epochs.0);
                assert_eq!(node.status(BERLIN).epoch.map(|epoch| epoch.0), epoch, "{when}");
            },
        );
    }
}

/// IF-5: a deletion ends when there is room for its record.
#[test]
fn if5_a_deletion_waits_for_room() {
    full_everywhere(
        || with_file(&Line::of(Custody::Tpm)),
        |node, controller| node.hear(controller, &[]),
        |_, _| (),
        |node, _, when| assert_eq!(node.state(BERLIN), State::Removed, "{when}"),
    );
}

/// A disk that is really full: what is open stays open, lock and unlock work, and an error names the cause.
#[test]
fn a_disk_without_a_free_block_locks_and_unlocks() {
    let (mut node, mut controller) = with_file(&both((1, 1)));
    let filler = node.disk.persist().join("filler");
    let mut file = std::fs::File::create(&filler).expect("creates");
    while file.write_all(&[1; 4096]).is_ok() {}
    drop(file);
    node.hear(&mut controller, &[both((2, 1))]);
    assert!(kept(&node, &both((2, 1))));
    assert_eq!(node.manager().order_lock(BERLIN).expect("ordered").state, State::Locked);
    assert_eq!(node.manager().order_unlock(BERLIN).expect("ordered").state, State::Unlocked);
    let other = Line { id: vault::ids::VaultId(uuid::Uuid::from_u128(0xf1)), ..both((2, 1)) };
    node.hear(&mut controller, &[both((2, 1)), other.clone()]);
    let error = node.status(other.id).last.and_then(|last| last.error).expect("an error");
    assert!(error.contains("No space left") && error.contains("make room on the persist"), "{error}");
    std::fs::remove_file(&filler).expect("removes");
    node.hear(&mut controller, &[both((2, 1)), other.clone()]);
    assert_eq!(node.state(other.id), State::Unlocked, "{:?}", node.status(other.id));
    assert_eq!(node.status(BERLIN).epoch, Some(vault::ids::Epoch(2)));
    assert!(kept(&node, &both((2, 1))));
}

/// IF-5: a section that could not be recorded is recorded when there is room, with no new section coming.
#[test]
fn if5_the_record_is_written_later() {
    let (mut node, mut controller) = with_file(&Line::of(Custody::Tpm));
    let locked = vault::section::Operation::Lock;
    let faults = node.faults.clone();
    let full = faults.during(Fault::Full, 0, || {
        node.hear(&mut controller, &[Line { operation: locked, ..Line::of(Custody::Tpm) }]);
    });
    let said = |node: &mut Node| {
        node.manager().notes().iter().any(|note| note.contains("not recorded") && note.contains("make room"))
    };
    assert!(full && said(&mut node));
    node.manager().settle_all();
    assert!(!said(&mut node));
    node.reboot();
    assert_eq!(node.state(BERLIN), State::Locked, "the newest is remembered");
}
