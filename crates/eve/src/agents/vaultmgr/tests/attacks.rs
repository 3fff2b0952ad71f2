//! Attempts to have vaultmgr destroy, open or give up what it must not.

use std::path::{Path, PathBuf};
use std::process::Command;

use vault::ids::CONFIG_VAULT;
use vault::report::State;
use vault::section::{Custody, Operation};
use vault::wanted::Authority;

use super::controller::{BERLIN, Controller, Line};
use super::node::{Node, Nv};
use crate::bus::messages::Hope;

/// A directory mounted at a second place, until dropped.
struct Bound(PathBuf);

impl Bound {
    fn new(of: &Path, at: &Path) -> Self {
        let bound = Command::new("mount").arg("--bind").args([of, at]).status().expect("runs mount");
        assert!(bound.success(), "binds");
        Self(at.to_owned())
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

/// IF-5, UC-D: a deletion does not go on into what somebody mounted inside the vault.
#[test]
fn if5_a_deletion_stops_at_a_mount() {
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    node.hear(&mut controller, &[Line::of(Custody::Tpm)]);
    let (others, inside) = (node.disk.persist().join("others"), node.paths.vault(BERLIN).join("inside"));
    [&others, &inside].into_iter().for_each(|path| std::fs::create_dir(path).expect("makes"));
    std::fs::write(others.join("file"), "kept").expect("writes");
    let bound = Bound::new(&others, &inside);
    node.hear(&mut controller, &[]);
    assert_eq!(std::fs::read_to_string(others.join("file")).expect("there"), "kept");
    let error = node.status(BERLIN).last.and_then(|last| last.error).expect("an error");
    assert!(error.contains("mounted inside"), "{error}");
    drop(bound);
    node.hear(&mut controller, &[]);
    assert_eq!(node.state(BERLIN), State::Removed);
    assert_eq!(std::fs::read_to_string(others.join("file")).expect("there"), "kept");
}

/// A node whose controller locked its vault after it had been open; also the section of before, signed.
fn locked(config: Custody) -> (Node, Vec<u8>) {
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    let open = Line::of(Custody::Tpm);
    let config = Line { id: CONFIG_VAULT, ..Line::of(config) };
    let older = controller.section(node.manager().session_key(), &[config.clone(), open.clone()]);
    node.hear_bytes(Authority::Live, &older);
    assert_eq!(node.state(BERLIN), State::Unlocked);
    node.hear(&mut controller, &[config, Line { operation: Operation::Lock, ..open }]);
    node.nv.0.borrow_mut().fail = true;
    node.reboot();
    assert_eq!((node.state(CONFIG_VAULT), node.state(BERLIN)), (State::Locked, State::Locked));
    (node, older)
}

fn tpm_answers(node: &mut Node) {
    node.nv.0.borrow_mut().fail = false;
    node.hear_tpm();
}

/// IF-6: a compromised zedagent can't open a locked vault with a section of before, or with one of another incarnation.
#[test]
fn if6_an_old_checkpoint_lifts_no_lock() {
    let (mut node, older) = locked(Custody::Tpm);
    let session = node.manager().session_key();
    let foreign =
        Controller { incarnation: 7, ..Controller::new() }.section(session, &[Line::of(Custody::Tpm)]);
    node.hear_bytes(Authority::Checkpoint, &older);
    tpm_answers(&mut node);
    assert_eq!((node.state(CONFIG_VAULT), node.state(BERLIN)), (State::Unlocked, State::Locked));
    for checkpoint in [&older, &foreign] {
        node.hear_bytes(Authority::Checkpoint, checkpoint);
        assert_eq!(node.state(BERLIN), State::Locked);
    }
}

/// IF-6: the same while the Config Vault waits for the controller, and with it the record of what was accepted.
#[test]
fn if6_while_the_config_vault_is_shut_no_checkpoint_counts() {
    let (mut node, older) = locked(Custody::TpmAndController);
    tpm_answers(&mut node);
    node.hear_bytes(Authority::Checkpoint, &older);
    assert_eq!((node.state(CONFIG_VAULT), node.state(BERLIN)), (State::Locked, State::Locked));
}

/// Invariant 4: root begins a new share table; a vault that the controller's key alone opens was never in the old one.
#[test]
fn a_new_table_gives_up_no_vault_of_the_controllers() {
    for custody in [Custody::Controller, Custody::TpmAndController] {
        let (mut node, mut controller) = (Node::new(true), Controller::new());
        node.hear(&mut controller, &[Line::of(Custody::Controller)]);
        node.put(BERLIN, "file", "kept");
        node.nv = Nv::default();
        node.reboot();
        node.manager()
            .order_recreate(CONFIG_VAULT, &"config".parse().expect("a name"), Hope::GivenUp)
            .expect("ordered");
        assert_eq!(node.state(CONFIG_VAULT), State::Unlocked, "{:?}", node.status(CONFIG_VAULT));
        for when in ["now", "at the next boot"] {
            node.hear(&mut controller, &[Line { created: true, ..Line::of(custody) }]);
            let status = node.status(BERLIN);
            assert_eq!(status.state, State::Unlocked, "{custody:?}, {when}: {status:?}");
            assert_eq!(status.detail.len(), if custody.needs_tpm() { 2 } else { 1 }, "{status:?}");
            assert_eq!(node.get(BERLIN, "file").as_deref(), Some("kept"), "{custody:?}, {when}");
            node.reboot();
        }
    }
}

/// IF-5: with the Config Vault locked, and the record in it, an older section of the same session is refused still.
#[test]
fn if5_a_shut_record_lets_no_older_section_in() {
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    let older = controller.section(node.manager().session_key(), &[Line::of(Custody::Tpm)]);
    node.hear_bytes(Authority::Live, &older);
    node.hear(&mut controller, &[Line { operation: Operation::Lock, ..Line::of(Custody::Tpm) }]);
    node.manager().order_lock(CONFIG_VAULT).expect("ordered");
    node.hear_bytes(Authority::Live, &older);
    assert_eq!((node.state(CONFIG_VAULT), node.state(BERLIN)), (State::Locked, State::Locked));
}

/// seen-by-users 0.10; IF-5, invariant 6: with the record damaged nothing is deleted. What a live section does not list is locked at
/// once, the status says why, the damaged record is kept aside, and a new one is begun, by which the vault's own controller has it back.
#[test]
fn if5_a_damaged_record_deletes_nothing() {
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    node.hear(&mut controller, &[Line::of(Custody::Tpm)]);
    node.put(BERLIN, "file", "kept");
    std::fs::write(node.paths.record(), [0xff; 40]).expect("writes");
    node.restart();
    node.hear(&mut controller, &[]);
    assert_eq!((node.state(BERLIN), node.get(BERLIN, "file")), (State::Orphan, None));
    assert!(node.paths.record_aside().exists() && node.paths.record().exists());
    node.reboot();
    node.hear(&mut controller, &[]);
    assert_eq!(node.state(BERLIN), State::Orphan, "no later absence deletes what the new record never had");
    node.hear(&mut controller, &[Line::of(Custody::Tpm)]);
    assert_eq!((node.state(BERLIN), node.get(BERLIN, "file").as_deref()), (State::Unlocked, Some("kept")));
}

/// While no section has come since, the damage is told, and another error beside it hides neither.
#[test]
fn a_damaged_record_is_told_beside_other_errors() {
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    node.hear(&mut controller, &[Line::of(Custody::Tpm)]);
    std::fs::write(node.paths.record(), [0xff; 40]).expect("writes");
    node.restart();
    node.hear_bytes(Authority::Live, b"no configuration");
    assert!(node.says("damaged") && node.says("refused"), "{:?}", node.manager().notes());
}
