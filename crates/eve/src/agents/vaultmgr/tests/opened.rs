//! By what a vault was opened, as its status tells it, on a real kernel.

use vault::ids::CONFIG_VAULT;
use vault::report::{By, State};
use vault::section::{Custody, Operation};

use super::controller::{BERLIN, Controller, Line};
use super::node::Node;

fn by(node: &mut Node) -> Option<By> {
    node.status(BERLIN).opened.map(|opened| opened.by)
}

/// UC-E, IF-2: each custody is told as what opened the vault, when it was made, after a boot, and after a restart; locked, nothing is.
#[test]
fn if2_each_status_says_by_what_its_vault_was_opened() {
    for (custody, expected) in [
        (Custody::Tpm, By::LocalSeal),
        (Custody::Controller, By::ControllerKey),
        (Custody::TpmAndController, By::Both),
    ] {
        let (mut node, mut controller) = (Node::new(true), Controller::new());
        let line = Line { created: true, ..Line::of(custody) };
        node.hear(&mut controller, &[Line { created: false, ..line.clone() }]);
        assert_eq!(by(&mut node), Some(expected), "made, {custody:?}");
        node.hear(&mut controller, &[Line { operation: Operation::Lock, ..line.clone() }]);
        assert_eq!((node.state(BERLIN), by(&mut node)), (State::Locked, None), "locked, {custody:?}");
        node.reboot();
        node.hear(&mut controller, std::slice::from_ref(&line));
        assert_eq!(by(&mut node), Some(expected), "after a boot, {custody:?}");
        node.restart();
        let known = (custody == Custody::Tpm).then_some(expected);
        assert_eq!((node.state(BERLIN), by(&mut node)), (State::Unlocked, known), "restarted, {custody:?}");
        node.hear(&mut controller, &[line]);
        assert_eq!(by(&mut node), Some(expected), "its key came, {custody:?}");
    }
}

/// It stays what it was opened by while it is open, whatever its key is wrapped under since.
#[test]
fn a_change_of_custody_does_not_change_what_it_was_opened_by() {
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    node.hear(&mut controller, &[Line::of(Custody::Tpm)]);
    node.hear(&mut controller, &[Line::of(Custody::TpmAndController)]);
    assert!(node.status(BERLIN).epoch.is_some(), "{:?}", node.status(BERLIN));
    assert_eq!(by(&mut node), Some(By::LocalSeal));
}

/// KO-7: made anew by an order, it says so until it is opened again: what was in it is lost.
#[test]
fn a_vault_made_anew_by_order_says_so() {
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    let made = Line { created: true, ..Line::of(Custody::Tpm) };
    node.hear(&mut controller, &[Line::of(Custody::Tpm)]);
    node.hear(&mut controller, &[Line { operation: Operation::Lock, ..made.clone() }]);
    std::fs::remove_dir(node.paths.vault(BERLIN)).expect("it is empty");
    node.hear(&mut controller, std::slice::from_ref(&made));
    assert_eq!((node.state(BERLIN), by(&mut node)), (State::Missing, None));
    node.hear(&mut controller, &[Line { recreate: true, ..made.clone() }]);
    assert_eq!((node.state(BERLIN), by(&mut node)), (State::Unlocked, Some(By::Recreated)));
    assert_ne!(node.status(CONFIG_VAULT).opened.map(|opened| opened.by), Some(By::Recreated));
    node.reboot();
    assert_eq!(by(&mut node), Some(By::LocalSeal));
}
