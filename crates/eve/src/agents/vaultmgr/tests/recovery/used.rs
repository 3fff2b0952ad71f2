//! A recovery key is used: what is told, what takes its place, and what becomes of a custody that opens the vault no more.

use super::*;
use crate::agents::vaultmgr::generation::shares;
use crate::bus::messages::Hope;
use vault::ids::CONFIG_VAULT;

/// TH-3, Invariant 5: neither TPM nor controller is there, nor anything that tells what is wanted. Another key opens nothing.
#[test]
fn it_opens_without_tpm_and_controller() {
    for custody in [Custody::Tpm, Custody::Controller, Custody::TpmAndController] {
        let (mut node, _) = node(&line(custody, &[0]));
        let key = key(&node);
        node.has_tpm = false;
        for _ in 0..2 {
            node.reboot();
            assert_eq!(node.state(BERLIN), State::Locked, "{custody:?}: {:?}", node.status(BERLIN));
            let other = RecoveryKey::init(shares::random).expect("randomness");
            let refused = recover(&mut node, &other).expect_err("another key").to_string();
            assert!(refused.contains("is not the recovery key of vault"), "{refused}");
            assert_eq!(node.state(BERLIN), State::Locked, "{custody:?}");
            recover(&mut node, &key).expect("opens");
            assert!(kept(&node), "{custody:?}: {:?}", node.status(BERLIN));
            assert_eq!(by(&mut node), Some(By::RecoveryKey), "{custody:?}");
        }
    }
}

/// TH-1: once the custody opens the vault and the controller is heard another key takes the place of the used one, and no part of that is
/// left on the disk.
#[test]
fn th1_a_used_key_is_replaced() {
    let asked = line(Custody::TpmAndController, &[0]);
    let (mut node, mut controller) = node(&asked);
    let (old, before) = (key(&node), bytes(&node));
    node.reboot();
    recover(&mut node, &old).expect("opens");
    assert_eq!(by(&mut node), Some(By::RecoveryKey));
    node.restart();
    node.hear(&mut controller, &[Line { withheld: true, ..asked.clone() }]);
    assert!(says(&mut node, "recovery: 1 recipient, used"), "a restart knows it: {:?}", node.status(BERLIN));
    node.hear(&mut controller, std::slice::from_ref(&asked));
    is_ready(&mut node, "heard");
    assert!(kept(&node));
    recover(&mut node, &old).expect_err("the one before");
    node.stop();
    assert!(before.iter().all(|bytes| !node.disk.contains(bytes)), "the one before is on the raw disk");
}

/// VC-6: away for two rotations, no key of its custody opens the vault. By its recovery key it opens, and moves on to the newest.
#[test]
fn vc6_a_vault_that_fell_behind_moves_on() {
    let at = |epochs| Line { epochs, ..line(Custody::Controller, &[0]) };
    let (mut node, mut controller) = node(&at((1, 1)));
    let key = key(&node);
    node.reboot();
    node.hear(&mut controller, &[at((3, 2))]);
    assert_eq!(node.state(BERLIN), State::Locked, "{:?}", node.status(BERLIN));
    recover(&mut node, &key).expect("opens");
    let status = node.status(BERLIN);
    assert_eq!(status.epoch.map(|epoch| epoch.0), Some(3), "{status:?}");
    is_ready(&mut node, "moved on");
    recover(&mut node, &key).expect_err("it was used");
    node.reboot();
    node.hear(&mut controller, &[at((3, 2))]);
    assert!(kept(&node), "{:?}", node.status(BERLIN));
    assert_eq!(by(&mut node), Some(By::ControllerKey));
}

/// Invariant 5: the TPM is another one: its share is lost for good. The recovery key opens the vault; with a new table it gets a new share.
#[test]
fn a_share_that_is_lost_for_good_is_replaced() {
    let asked = line(Custody::Tpm, &[0]);
    let (mut node, mut controller) = node(&asked);
    let key = key(&node);
    node.nv.0.borrow_mut().slots.clear();
    node.reboot();
    assert_eq!(node.state(BERLIN), State::Locked, "{:?}", node.status(BERLIN));
    recover(&mut node, &key).expect("opens");
    assert!(kept(&node));
    let anew = Order::Recreate(CONFIG_VAULT, "config".parse().expect("a name"), Hope::GivenUp);
    node.manager().obey(&anew, Duration::ZERO, &mut |_| ()).expect("a new table begins");
    node.hear(&mut controller, std::slice::from_ref(&asked));
    is_ready(&mut node, "heard");
    node.reboot();
    assert!(kept(&node), "{:?}", node.status(BERLIN));
    assert_eq!(by(&mut node), Some(By::LocalSeal));
}

/// VC-2: what is to be locked stays locked; and a lease, which needs the controller, does not keep it shut.
#[test]
fn vc2_the_recovery_key_opens_no_vault_that_is_to_be_locked() {
    let asked = line(Custody::Tpm, &[0]);
    let (mut node, mut controller) = node(&asked);
    let key = key(&node);
    node.hear_until(&mut controller, &[Line { operation: Operation::Lock, ..asked.clone() }], State::Locked);
    let refused = recover(&mut node, &key).expect_err("locked").to_string();
    assert!(refused.contains("the controller wants vault berlin locked"), "{refused}");
    assert_eq!(node.state(BERLIN), State::Locked);
    node.hear(&mut controller, &[Line { lease: Some(60), ..asked }]);
    node.reboot();
    assert_eq!(node.state(BERLIN), State::Locked, "no lease: {:?}", node.status(BERLIN));
    recover(&mut node, &key).expect("opens");
    assert!(kept(&node));
}

/// VC-2: root's own lock goes by the right key alone. A wrong one changes nothing.
#[test]
fn vc2_a_wrong_key_lifts_no_lock_of_roots() {
    let (mut node, _controller) = node(&line(Custody::Tpm, &[0]));
    let key = key(&node);
    node.manager().obey(&Order::Lock(BERLIN), Duration::ZERO, &mut |_| ()).expect("locks");
    recover(&mut node, &RecoveryKey::copied_from(&[9; 32])).expect_err("another key");
    node.manager().settle_all();
    assert_eq!(node.state(BERLIN), State::Locked, "{:?}", node.status(BERLIN));
    recover(&mut node, &key).expect("opens");
    assert!(kept(&node));
}

/// UC-E, KO-1: a controller's database of another life does not list the vault, whose key it does not have. Its recovery key opens it all the same, until it is
/// locked; taken in by that controller it gets a protector under a key of its own, and opens by its custody from then on.
#[test]
fn uce_an_orphan_opens_by_its_recovery_key_and_is_taken_in() {
    let line = line(Custody::TpmAndController, &[0]);
    let (mut node, _) = node(&line);
    let given = key(&node);
    let mut other = Controller { incarnation: 2, lineage: 0xd1, ..Controller::new() };
    node.hear(&mut other, &[]);
    assert!(node.state(BERLIN) == State::Orphan && !kept(&node), "{:?}", node.status(BERLIN));
    for _ in 0..2 {
        let report = recover(&mut node, &given).expect("opens");
        assert_eq!((report.state, by(&mut node)), (State::Orphan, Some(By::RecoveryKey)), "{report:?}");
        node.hear(&mut other, &[]);
        assert!(kept(&node) && says(&mut node, "open by its recovery key"), "{:?}", node.status(BERLIN));
        node.manager().obey(&Order::Lock(BERLIN), Duration::ZERO, &mut |_| ()).expect("locks");
        assert!(!kept(&node), "{:?}", node.status(BERLIN));
    }
    recover(&mut node, &given).expect("opens");
    node.hear(&mut other, std::slice::from_ref(&line));
    assert!(node.state(BERLIN) == State::Unlocked && kept(&node), "{:?}", node.status(BERLIN));
    node.reboot();
    node.hear(&mut other, std::slice::from_ref(&line));
    assert!(kept(&node), "{:?}", node.status(BERLIN));
    assert_eq!(by(&mut node), Some(By::Both));
}
