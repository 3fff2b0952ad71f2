//! Signed configurations that must not be believed: each with one thing wrong. Nothing of them is used.

use attest::SessionKey;
use vault::belief::{Said, Signed};
use vault::report::State;
use vault::section::Custody;
use vault::shares::RootPin;
use vault::wanted::Authority;

use super::controller::{BERLIN, Controller, Line, certs, golden};
use super::node::Node;
use crate::agents::vaultmgr::belief::config::{GoodCerts, NotVerified, verify};

fn envelope() -> Vec<u8> {
    Controller::new().section(SessionKey([9; 32]), &[])
}

/// TH-2, IF-6: what vaultmgr verifies for itself, at first and when it knows the certificates already.
#[test]
fn if6_what_is_not_signed_under_the_installed_root_is_refused() {
    let root_pem = golden("root-ca.cert.pem");
    for known_before in [false, true] {
        let ask = |root_pem: &[u8], envelope: &[u8], certs: &[u8]| {
            let mut known = GoodCerts::default();
            let signed = Signed { envelope: envelope.to_vec(), certs: certs.to_vec() };
            if known_before {
                let right = Signed { envelope: self::envelope(), certs: self::certs() };
                verify(&mut known, &golden("root-ca.cert.pem"), right).expect("right");
            }
            verify(&mut known, root_pem, signed)
        };
        let answer = ask(&root_pem, &envelope(), &certs()).expect("right");
        assert!(matches!(answer.0.said, Said::Section(..)));
        assert!(matches!(ask(b"", &envelope(), &certs()), Err(NotVerified::Certs(_))));
        let mut flipped = envelope();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 1;
        assert!(ask(&root_pem, &flipped, &certs()).is_err());
        assert!(ask(&root_pem, &envelope(), b"no certificates").is_err());
        // Each byte of them counts.
        let others = [certs(), certs()].concat();
        assert!(ask(&root_pem, &envelope(), &others).is_err(), "two signing leaves");
    }
}

/// IF-6: a section for an earlier life is not taken, and one for another device's key is withheld.
#[test]
fn if6_a_section_for_another_session_changes_nothing() {
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    let other = controller.section(SessionKey([8; 32]), &[Line::of(Custody::Tpm)]);
    node.hear_bytes(Authority::Live, &other);
    assert_eq!(node.state(BERLIN), State::Waiting);
    node.hear(&mut controller, &[Line::of(Custody::Tpm)]);
    assert_eq!(node.state(BERLIN), State::Unlocked, "the twin");
}

/// Under another root than at first contact everything counts as withheld, until root on the node confirms it.
#[test]
fn under_another_root_all_is_withheld() {
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    node.hear(&mut controller, &[Line::of(Custody::Tpm)]);
    assert_eq!(node.state(BERLIN), State::Unlocked);
    let paths = node.paths.clone();
    node.manager().shares.as_mut().expect("shares").set_pin(&paths, RootPin([1; 32])).expect("pins");
    node.hear_tpm();
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
