//! A change of seal, alone or with the custody, stopped anywhere.

use vault::report::State;
use vault::section::Seal;

use super::*;
use crate::agents::vaultmgr::tests::seals::{key_bytes, sealed};

/// Invariant 5, KO-1: after each durable step of a tightening the vault opens as before or as it is to; once it has ended, nothing of the
/// looser seal is on the disk, wherever it was stopped.
#[test]
fn ko1_a_stricter_seal_is_mended() {
    let (looser, stricter) = (sealed(Custody::Tpm, Seal::Tpm), sealed(Custody::Tpm, Seal::Pcrs));
    let steps = stopped_everywhere(
        || {
            let (node, controller) = with_file(&looser);
            let old = key_bytes(&node);
            (node, (controller, old))
        },
        |node, (controller, _)| node.hear(controller, std::slice::from_ref(&stricter)),
        |node, (controller, old), when| {
            assert!(kept(node, &looser), "{when}: {:?}", node.status(BERLIN));
            node.hear(controller, std::slice::from_ref(&stricter));
            assert!(kept(node, &stricter), "{when}: {:?}", node.status(BERLIN));
            node.stop();
            assert!(old.iter().all(|bytes| !node.disk.contains(bytes)), "{when}: the looser one is there");
        },
    );
    assert!(steps > 20, "{steps}");
}

/// Invariant 5: the same with the custody: without the controller it opens sealed to the measured boot, or not at all.
#[test]
fn a_stricter_seal_without_the_controller_is_mended() {
    let change = Line { leaving: true, ..sealed(Custody::Tpm, Seal::Pcrs) };
    stopped_everywhere(
        || with_file(&both((1, 1))),
        |node, controller| node.hear(controller, std::slice::from_ref(&change)),
        |node, controller, when| {
            node.nv.0.borrow_mut().pcrs_moved = true;
            node.reboot();
            assert_eq!(node.state(BERLIN), State::Locked, "{when}: by the TPM in another state");
            node.nv.0.borrow_mut().pcrs_moved = false;
            node.reboot();
            node.hear(controller, std::slice::from_ref(&change));
            assert!(kept(node, &change), "{when}: {:?}", node.status(BERLIN));
            assert_eq!(node.status(BERLIN).epoch, None, "{when}");
        },
    );
}

/// Invariant 5: the way back, and with the controller added: in no state between does the TPM alone open it in any state.
#[test]
fn a_looser_seal_with_the_controller_is_mended() {
    let (strict, change) = (sealed(Custody::Tpm, Seal::Pcrs), both((1, 1)));
    stopped_everywhere(
        || with_file(&strict),
        |node, controller| node.hear(controller, std::slice::from_ref(&change)),
        |node, controller, when| {
            node.nv.0.borrow_mut().pcrs_moved = true;
            node.reboot();
            assert_eq!(node.state(BERLIN), State::Locked, "{when}: by the TPM in another state");
            node.nv.0.borrow_mut().pcrs_moved = false;
            node.reboot();
            node.hear(controller, std::slice::from_ref(&change));
            assert!(kept(node, &change), "{when}: {:?}", node.status(BERLIN));
            assert_eq!(node.status(BERLIN).epoch.map(|epoch| epoch.0), Some(1), "{when}");
        },
    );
}
