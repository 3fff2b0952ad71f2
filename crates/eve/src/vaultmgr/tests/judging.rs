//! Signed configurations that must not be believed: each with one thing wrong. Nothing of them is used.

use attest::SessionKey;
use vault::ids::DeviceKey;
use vault::plan::Authority;
use vault::report::State;
use vault::section::Custody;
use vault::shares::RootPin;

use super::controller::{BERLIN, Controller, DEVICE, KEY, Line, certs, golden};
use super::node::Node;
use crate::vaultmgr::config::{Judge, Judged, Refused, judge};

const SESSION: SessionKey = SessionKey([9; 32]);

fn envelope() -> Vec<u8> {
    Controller::new().section(SESSION, &[])
}

/// TH-2, IF-6: what vaultmgr checks for itself.
#[test]
fn if6_one_thing_wrong_is_refused() {
    let root_pem = golden("root-ca.cert.pem");
    let right = Judge { root_pem: &root_pem, pin: None, device_key: Some(KEY), session: SESSION };
    let ask =
        |judge_by: Judge<'_>, authority, envelope: &[u8]| judge(&judge_by, authority, envelope, &certs());
    let Ok(Judged::Section(_, pin)) = ask(right, Authority::Live, &envelope()) else { panic!("refused") };
    let pinned = Judge { pin: Some(pin), ..right };
    assert!(ask(pinned, Authority::Live, &envelope()).is_ok());
    let other_root = Judge { pin: Some(RootPin([1; 32])), ..right };
    assert!(matches!(ask(other_root, Authority::Live, &envelope()), Err(Refused::OtherRoot)));
    let not_a_root = Judge { root_pem: b"", ..right };
    assert!(matches!(ask(not_a_root, Authority::Live, &envelope()), Err(Refused::Certs(_))));
    let other_device = Judge { device_key: Some(DeviceKey([1; 32])), ..right };
    for authority in [Authority::Live, Authority::Checkpoint] {
        assert!(matches!(ask(other_device, authority, &envelope()), Err(Refused::OtherDevice(DEVICE))));
    }
    let other_session = Judge { session: SessionKey([8; 32]), ..right };
    assert!(matches!(ask(other_session, Authority::Live, &envelope()), Err(Refused::OtherSession)));
    assert!(
        ask(other_session, Authority::Checkpoint, &envelope()).is_ok(),
        "a checkpoint is of an earlier session"
    );
    let mut flipped = envelope();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    assert!(ask(right, Authority::Live, &flipped).is_err());
    assert!(judge(&right, Authority::Live, &envelope(), b"no certificates").is_err());
}

/// Under another root than at first contact everything counts as withheld, until root on the node confirms it.
#[test]
fn under_another_root_all_is_withheld() {
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    node.hear(&mut controller, &[Line::of(Custody::Tpm)]);
    assert_eq!(node.state(BERLIN), State::Unlocked);
    let paths = node.paths.clone();
    node.manager().shares.as_mut().expect("shares").set_pin(&paths, RootPin([1; 32])).expect("pins");
    node.hear(&mut controller, &[]);
    assert_eq!(node.state(BERLIN), State::Unlocked, "not deleted");
    assert!(node.says("another root"));
}

/// A garbled configuration changes nothing, and the status says that one was refused.
#[test]
fn a_garbled_configuration_changes_nothing() {
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    node.hear(&mut controller, &[Line::of(Custody::Tpm)]);
    node.hear_bytes(Authority::Live, b"garbage");
    assert_eq!(node.state(BERLIN), State::Unlocked);
    assert!(node.says("refused"));
}
