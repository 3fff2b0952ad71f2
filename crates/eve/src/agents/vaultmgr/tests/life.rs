//! A user's vault from its making to its deletion, on a real kernel.

use std::fs::File;

use vault::ids::{CONFIG_VAULT, Epoch, IMAGE_VAULT};
use vault::plan::Note;
use vault::report::State;
use vault::section::{Custody, Operation, Presence, Seal};
use vault::wanted::Authority;

use super::controller::{BERLIN, Controller, Line, signed};
use super::keeper::Keeper;
use super::node::Node;

fn made(custody: Custody) -> (Node, Controller) {
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    node.hear(&mut controller, &[Line::of(custody)]);
    assert_eq!(node.state(BERLIN), State::Unlocked, "{:?}", node.status(BERLIN));
    node.put(BERLIN, "file", "kept");
    (node, controller)
}

fn at(epochs: (u64, u64)) -> Line {
    Line { epochs, ..Line::of(Custody::TpmAndController) }
}

/// KO-3: with a share of each, a reboot leaves the vault locked until the controller gives its key anew.
#[test]
fn ko3_both_shares_are_needed() {
    let (mut node, mut controller) = made(Custody::TpmAndController);
    node.reboot();
    assert_eq!(node.state(CONFIG_VAULT), State::Unlocked);
    assert_eq!((node.state(BERLIN), node.get(BERLIN, "file")), (State::Locked, None));
    assert!(node.status(BERLIN).detail.contains(&"waits for the controller's key".to_owned()));
    node.hear(&mut controller, &[at((1, 1))]);
    assert_eq!(node.get(BERLIN, "file").as_deref(), Some("kept"));
}

/// KO-2: TPM custody opens after a reboot by what was accepted before, with no contact.
#[test]
fn ko2_tpm_custody_needs_no_contact() {
    let (mut node, _) = made(Custody::Tpm);
    node.reboot();
    assert_eq!(node.get(BERLIN, "file").as_deref(), Some("kept"));
}

/// VC-4, VC-6: a rotation is taken while open and after being off; off for two, the vault stays locked and says why.
#[test]
fn vc6_one_rotation_behind_opens_two_does_not() {
    let (mut node, mut controller) = made(Custody::TpmAndController);
    node.hear(&mut controller, &[at((2, 1))]);
    let status = node.status(BERLIN);
    assert_eq!((status.epoch, status.state), (Some(Epoch(2)), State::Unlocked));
    assert_eq!(status.last.map(|last| last.operation).as_deref(), Some("change-key"));
    node.reboot();
    node.hear(&mut controller, &[at((3, 2))]);
    assert_eq!(node.status(BERLIN).epoch, Some(Epoch(3)), "off for one");
    assert_eq!(node.get(BERLIN, "file").as_deref(), Some("kept"));
    node.reboot();
    node.hear(&mut controller, &[at((5, 4))]);
    let status = node.status(BERLIN);
    assert_eq!(status.state, State::Locked, "off for two");
    assert!(status.detail[0].contains("wrapped under epoch 3"), "{:?}", status.detail);
    node.hear(&mut controller, &[at((4, 3))]);
    assert_eq!(node.get(BERLIN, "file").as_deref(), Some("kept"), "an archived epoch, recovered");
}

/// VC-2: a node that is on and merely missed two epochs takes the newest, for its vault is open.
#[test]
fn vc2_an_open_vault_takes_any_epoch() {
    let (mut node, mut controller) = made(Custody::TpmAndController);
    node.hear(&mut controller, &[at((9, 8))]);
    assert_eq!(node.status(BERLIN).epoch, Some(Epoch(9)));
}

/// A restart of vaultmgr leaves open vaults open, and takes their keys up again.
#[test]
fn a_restart_leaves_open_vaults_open() {
    let (mut node, mut controller) = made(Custody::TpmAndController);
    node.restart();
    assert_eq!(node.state(BERLIN), State::Unlocked);
    assert_eq!(node.get(BERLIN, "file").as_deref(), Some("kept"));
    node.hear(&mut controller, &[at((2, 1))]);
    assert_eq!(node.status(BERLIN).epoch, Some(Epoch(2)));
}

/// VC-2: locked, names and contents are unreadable; unlocked they are back. A file held open keeps it from being done, and says by whom.
#[test]
fn vc2_lock_is_done_when_the_kernel_says_so() {
    let (mut node, mut controller) = made(Custody::Tpm);
    let lock = Line { operation: Operation::Lock, ..Line::of(Custody::Tpm) };
    let held = File::open(node.paths.vault(BERLIN).join("file")).expect("opens");
    node.hear(&mut controller, std::slice::from_ref(&lock));
    let status = node.status(BERLIN);
    assert_eq!(status.state, State::LockIncomplete);
    let own = format!("process {} ", std::process::id());
    assert!(status.detail.iter().any(|line| line.contains(&own)), "{:?}", status.detail);
    assert!(!format!("{status:?}").contains("\"file\""), "no name of a file inside");
    drop(held);
    node.hear_until(&mut controller, &[lock], State::Locked);
    assert_eq!(node.get(BERLIN, "file"), None);
    let names: Vec<_> = std::fs::read_dir(node.paths.vault(BERLIN)).expect("lists").flatten().collect();
    assert!(names.iter().all(|entry| entry.file_name() != "file"), "{names:?}");
    node.hear(&mut controller, &[Line::of(Custody::Tpm)]);
    assert_eq!(node.get(BERLIN, "file").as_deref(), Some("kept"));
}

/// IF-5, TH-6: unlisted by a live section, the vault is gone: directory, metadata, share; and its status says what that is worth.
#[test]
fn if5_unlisted_it_is_removed() {
    let (mut node, mut controller) = made(Custody::TpmAndController);
    let removing = Line { standing: Presence::Removing, ..at((1, 1)) };
    node.hear(&mut controller, &[removing]);
    assert_eq!(node.state(BERLIN), State::Locked, "its grace runs");
    node.hear(&mut controller, &[]);
    let status = node.status(BERLIN);
    assert_eq!(status.state, State::Removed, "{status:?}");
    assert_eq!(status.detail[0], Note::Erased.to_string());
    assert!(!node.paths.vault(BERLIN).exists());
    assert!(!node.paths.metas().join(BERLIN.to_string()).exists());
    node.reboot();
    assert_eq!(node.state(BERLIN), State::Removed, "remembered, so that the controller hears of it");
    node.stop();
    let name = format!("eve-vault {BERLIN} e1");
    assert!(!node.disk.contains(name.as_bytes()), "its metadata is on the disk still");
}

/// Invariant 4: nothing deletes but that: a checkpoint, an older section, another incarnation, a withheld one.
#[test]
fn nothing_else_deletes() {
    let (mut node, mut controller) = made(Custody::Tpm);
    let session = node.manager().session_key();
    node.hear_bytes(Authority::Live, &signed(None));
    assert_eq!(node.state(BERLIN), State::Unlocked, "withheld leaves as it is");
    let mut older = Controller::new();
    let empty = older.section(session, &[]);
    node.hear(&mut controller, &[Line::of(Custody::Tpm)]);
    node.hear_bytes(Authority::Live, &empty);
    assert_eq!(node.state(BERLIN), State::Unlocked, "an older version");
    let newer = controller.section(session, &[]);
    node.hear_bytes(Authority::Checkpoint, &newer);
    assert_eq!(node.state(BERLIN), State::Unlocked, "a checkpoint");
    let mut restored = Controller { incarnation: 2, version: 50, ..Controller::new() };
    node.hear(&mut restored, &[]);
    assert_eq!(node.state(BERLIN), State::Orphan, "another incarnation locks and keeps");
    node.hear(&mut restored, &[Line::of(Custody::Tpm)]);
    assert_eq!(node.get(BERLIN, "file").as_deref(), Some("kept"), "adopted");
}

/// A locked vault stays locked when the section is withheld, over a reboot, and on a default vault too.
#[test]
fn withheld_and_rebooted_locked_stays_locked() {
    let (mut node, mut controller) = made(Custody::Tpm);
    let lock = |id| Line { id, operation: Operation::Lock, ..Line::of(Custody::Tpm) };
    node.hear(&mut controller, &[lock(BERLIN), Line { operation: Operation::Lock, ..lock(IMAGE_VAULT) }]);
    for _ in 0..2 {
        assert_eq!((node.state(BERLIN), node.state(IMAGE_VAULT)), (State::Locked, State::Locked));
        node.hear_bytes(Authority::Live, &signed(None));
        assert_eq!((node.state(BERLIN), node.state(IMAGE_VAULT)), (State::Locked, State::Locked), "withheld");
        node.reboot();
    }
}

/// DF-4, UC-E: custody and seal change with the policy, there and back, and the data stays.
#[test]
fn df4_custody_changes_and_data_stays() {
    let (mut node, mut controller) = made(Custody::Tpm);
    for custody in [Custody::TpmAndController, Custody::Controller, Custody::TpmAndController, Custody::Tpm] {
        node.hear(&mut controller, &[Line::of(custody)]);
        node.reboot();
        node.hear(&mut controller, &[Line::of(custody)]);
        assert_eq!(node.get(BERLIN, "file").as_deref(), Some("kept"), "{custody:?}");
        let status = node.status(BERLIN);
        assert_eq!(status.epoch.is_some(), custody.needs_controller(), "{status:?}");
    }
    node.hear(&mut controller, &[Line { seal: Seal::Pcrs, ..Line::of(Custody::Tpm) }]);
    node.nv.0.borrow_mut().pcrs_moved = true;
    node.reboot();
    assert_eq!((node.state(BERLIN), node.state(CONFIG_VAULT)), (State::Locked, State::Unlocked));
    assert!(node.status(BERLIN).detail[0].contains("measured boot"), "{:?}", node.status(BERLIN).detail);
    node.nv.0.borrow_mut().pcrs_moved = false;
    node.reboot();
    assert_eq!(node.get(BERLIN, "file").as_deref(), Some("kept"));
}

/// A damaged copy of the metadata is repaired from its twin; both gone, the vault is missing and nothing is made in its place.
#[test]
fn damaged_metadata_is_repaired_from_its_twin() {
    let (mut node, mut controller) = made(Custody::Tpm);
    let (first, second) = (node.disk.persist().join(".fscrypt"), node.paths.metas().join(BERLIN.to_string()));
    for damaged in ["protectors", "policies"] {
        let files = std::fs::read_dir(second.join(damaged)).expect("lists").flatten();
        files.for_each(|file| std::fs::write(file.path(), b"junk").expect("writes"));
        node.reboot();
        assert_eq!(node.get(BERLIN, "file").as_deref(), Some("kept"), "{damaged}");
        let whole = std::fs::read_dir(second.join(damaged)).expect("lists").flatten();
        whole.for_each(|file| assert_ne!(std::fs::read(file.path()).expect("reads"), b"junk"));
    }
    let entries = std::fs::read_dir(second.join("policies")).expect("lists").flatten();
    let names: Vec<_> = entries.map(|entry| entry.file_name()).collect();
    names.iter().for_each(|name| std::fs::remove_file(first.join("policies").join(name)).expect("removes"));
    node.manager = None;
    std::fs::remove_dir_all(&second).expect("removes");
    node.reboot();
    let created = Line { created: true, ..Line::of(Custody::Tpm) };
    node.hear(&mut controller, std::slice::from_ref(&created));
    let status = node.status(BERLIN);
    assert_eq!(status.state, State::Missing, "{status:?}");
    assert!(status.detail[0].contains("both copies of its metadata"), "{:?}", status.detail);
    // Of a node that nothing is in escrow of; else the order waits for what may come back.
    Keeper::default().settles(&mut node);
    node.hear(&mut controller, &[Line { recreate: true, ..created }]);
    assert_eq!((node.state(BERLIN), node.get(BERLIN, "file")), (State::Unlocked, None));
}

/// A byte flipped in one copy, wherever it is, is not taken for a wrong key: the twin opens the vault, and mends what a key
/// protects of the copy. The protector's name is a hint for people only.
#[test]
fn a_flipped_byte_in_one_copy_costs_nothing() {
    const NAME: std::ops::Range<usize> = 22..71;
    let (mut node, _) = made(Custody::Tpm);
    let (first, second) = (node.disk.persist().join(".fscrypt"), node.paths.metas().join(BERLIN.to_string()));
    for kind in ["protectors", "policies"] {
        let mut files = std::fs::read_dir(second.join(kind)).expect("lists").flatten();
        let name = files.next().expect("one").file_name();
        drop(files);
        for path in [&first, &second].map(|place| place.join(kind).join(&name)) {
            let whole = std::fs::read(&path).expect("reads");
            for at in (0..whole.len()).step_by(7) {
                let mut flipped = whole.clone();
                flipped[at] ^= 0x10;
                std::fs::write(&path, &flipped).expect("writes");
                node.reboot();
                assert_eq!(node.get(BERLIN, "file").as_deref(), Some("kept"), "{path:?} at {at}");
                let mended = std::fs::read(&path).ok() == Some(whole.clone());
                assert!(mended || kind == "protectors" && NAME.contains(&at), "{path:?} at {at}");
            }
        }
    }
}

/// The same file damaged in both copies: nothing is written over, and the status tells damage from a wrong key.
#[test]
fn two_damaged_copies_are_left_as_they_are() {
    let (mut node, _) = made(Custody::Tpm);
    let (first, second) = (node.disk.persist().join(".fscrypt"), node.paths.metas().join(BERLIN.to_string()));
    let damaged = [("policies", first), ("policies", second.clone())].map(|(kind, place)| {
        let mut files = std::fs::read_dir(second.join(kind)).expect("lists").flatten();
        let path = place.join(kind).join(files.next().expect("one").file_name());
        let mut bytes = std::fs::read(&path).expect("reads");
        *bytes.last_mut().expect("some") ^= 1;
        std::fs::write(&path, &bytes).expect("writes");
        (path, bytes)
    });
    node.reboot();
    let status = node.status(BERLIN);
    assert_eq!(
        status.state,
        State::Missing,
        "as where the other file is damaged in both: a bundle in escrow may have it"
    );
    let error = status.last.and_then(|last| last.error).expect("an error");
    assert!(error.contains("damaged"), "{error}");
    for (path, bytes) in damaged {
        assert_eq!(std::fs::read(&path).expect("reads"), bytes, "{path:?}");
    }
}

/// Root on the node may lock and open a vault; it can't lift the controller's lock.
#[test]
fn root_on_the_node_locks_and_unlocks() {
    let (mut node, mut controller) = made(Custody::TpmAndController);
    assert_eq!(node.manager().order_lock(BERLIN).expect("ordered").state, State::Locked);
    node.hear(&mut controller, &[at((1, 1))]);
    assert_eq!(node.state(BERLIN), State::Locked, "until it is ordered open");
    assert_eq!(node.manager().order_unlock(BERLIN).expect("ordered").state, State::Unlocked);
    node.hear(&mut controller, &[Line { operation: Operation::Lock, ..at((1, 1)) }]);
    assert!(node.manager().order_unlock(BERLIN).is_err());
    assert_eq!(node.state(BERLIN), State::Locked);
}

/// Invariant 3: no key that was in play is on the disk.
#[test]
fn no_key_is_on_the_disk() {
    let (mut node, _) = made(Custody::TpmAndController);
    let roots = node.nv.0.borrow().slots.clone();
    let share = node.manager().shares.as_ref().expect("shares").share(BERLIN, Seal::Tpm).expect("opens");
    let share = *share.expose_tpm_share();
    node.stop();
    for slots in roots {
        let pcrs = slots.pcrs.expect("whole");
        assert!(!node.disk.contains(&slots.tpm) && !node.disk.contains(&pcrs), "{}", slots.generation);
    }
    assert!(!node.disk.contains(&share));
}
