//! For whom a section is, and from whom: attempts to have one node live by another's, or by what is over.

use uuid::Uuid;
use vault::ids::{CONFIG_VAULT, DeviceId, DeviceKey, IMAGE_VAULT};
use vault::report::State;
use vault::section::{Custody, Operation};
use vault::shares::RootPin;
use vault::wanted::Authority;

use super::controller::{BERLIN, Controller, Line, signed};
use super::node::Node;
use crate::bus::{Agent, TopicId};

const OTHER: DeviceId = DeviceId(Uuid::from_u128(0xd1));

/// A node with a user's vault that holds a file, some sections on.
fn with_file() -> (Node, Controller) {
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    (0..5).for_each(|_| node.hear(&mut controller, &[Line::of(Custody::Tpm)]));
    node.put(BERLIN, "file", "kept");
    node.tell_head(&mut controller);
    (node, controller)
}

/// Both default vaults under keys of the controller's: what would re-key them.
fn defaults() -> [Line; 2] {
    [CONFIG_VAULT, IMAGE_VAULT].map(|id| Line { id, created: true, ..Line::of(Custody::Controller) })
}

/// The vault is open and kept, and no vault was given another key.
fn untouched(node: &mut Node, when: &str) {
    assert_eq!(node.state(BERLIN), State::Unlocked, "{when}: {:?}", node.status(BERLIN));
    assert_eq!(node.get(BERLIN, "file").as_deref(), Some("kept"), "{when}");
    for id in [CONFIG_VAULT, IMAGE_VAULT, BERLIN] {
        let status = node.status(id);
        assert_eq!((status.state, status.epoch), (State::Unlocked, None), "{when}: {status:?}");
        assert!(status.last.is_none_or(|last| last.operation != "change-key"), "{when}");
    }
}

/// IF-5, IF-6, TH-2: the session's key is public, so another device may have sections signed for it. One that is for another
/// device's key is withheld, before and after anything else is known; the same for our key is taken.
#[test]
fn if6_a_section_for_another_devices_key_is_withheld() {
    let (mut node, mut own) = with_file();
    let key = DeviceKey([0xd1; 32]);
    for device in [own.device, OTHER] {
        let mut foreign = Controller { device, key, version: 50, ..Controller::new() };
        node.hear(&mut foreign, &defaults());
        untouched(&mut node, "in the same life");
        node.reboot();
        node.hear(&mut foreign, &defaults());
        untouched(&mut node, "after a reboot");
        assert!(node.says("whose key is not this node's"), "{:?}", node.manager().notes());
        node.nv.0.borrow_mut().fail = true;
        node.reboot();
        node.hear(&mut foreign, &defaults());
        node.nv.0.borrow_mut().fail = false;
        node.hear_tpm();
        untouched(&mut node, "before the TPM was heard");
    }
    node.hear(&mut own, &defaults());
    assert_eq!(node.state(BERLIN), State::Removed);
    assert!(node.status(IMAGE_VAULT).epoch.is_some());
}

/// IF-6: which device this is, vaultmgr learns from tpmmgr's key alone. What client says can't reach it.
#[test]
fn if6_vaultmgr_hears_nothing_of_clients() {
    let client = |topic: &&TopicId| topic.publisher() == Agent::Client;
    let mut topics = TopicId::ALL.iter().filter(client);
    assert!(topics.all(|topic| !topic.may_hear(Agent::Vaultmgr)));
    assert!(TopicId::TpmStatus.may_hear(Agent::Vaultmgr));
    assert_eq!(TopicId::TpmStatus.publisher(), Agent::Tpmmgr);
}

/// IF-5, invariant 4: registered anew, the node is another device to the same controller, which lists none of its vaults. They
/// are kept, whatever the version, and the status says what to do.
#[test]
fn if5_a_node_that_was_registered_anew_keeps_its_vaults() {
    let (mut node, _) = with_file();
    for (version, reboots) in [(0, false), (50, false), (60, true)] {
        if reboots {
            node.reboot();
        }
        let mut anew = Controller { device: OTHER, version, ..Controller::new() };
        node.hear(&mut anew, &defaults());
        untouched(&mut node, "registered anew");
        assert!(node.says("knows this node as device") && node.says("remove persist/config/vaultmgr/record"));
    }
    std::fs::remove_file(node.paths.record()).expect("as the note says");
    node.restart();
    let mut anew = Controller { device: OTHER, version: 70, ..Controller::new() };
    node.hear(&mut anew, &defaults());
    assert_eq!(node.state(BERLIN), State::Orphan, "locked, and kept");
    assert!(node.status(IMAGE_VAULT).epoch.is_some(), "{:?}", node.status(IMAGE_VAULT));
}

/// IF-5: a section that came while the Config Vault was shut, and which the record in it then speaks against, is given up for what
/// the record has. It can still lock.
#[test]
fn if5_the_record_has_the_last_word() {
    let (mut node, mut own) = with_file();
    let config = Line { id: CONFIG_VAULT, ..Line::of(Custody::TpmAndController) };
    node.hear(&mut own, &[config.clone(), Line::of(Custody::Tpm)]);
    node.reboot();
    assert_eq!((node.state(CONFIG_VAULT), node.state(BERLIN)), (State::Locked, State::Locked));
    let image = Line { id: IMAGE_VAULT, operation: Operation::Lock, ..Line::of(Custody::Tpm) };
    node.hear(&mut Controller { device: OTHER, version: 50, ..Controller::new() }, &[config.clone(), image]);
    assert!(node.says("knows this node as device"), "{:?}", node.manager().notes());
    let locked = "what it wants locked is locked, and nothing else is done by it";
    assert_eq!(
        (node.state(CONFIG_VAULT), node.state(IMAGE_VAULT)),
        (State::Unlocked, State::Locked),
        "{locked}"
    );
    assert_eq!(node.get(BERLIN, "file").as_deref(), Some("kept"), "{:?}", node.status(BERLIN));
    node.hear(&mut own, &[config]);
    assert_eq!(node.state(BERLIN), State::Removed, "its own controller's word counts");
    assert_eq!(node.state(IMAGE_VAULT), State::Unlocked, "and lifts what was ordered under the other name");
}

/// VC-2, IF-6: what locks a default vault is not lifted by a section for somebody else.
#[test]
fn if6_anothers_section_lifts_no_lock() {
    let (mut node, mut own) = (Node::new(true), Controller::new());
    let lock = |operation| [Line { id: IMAGE_VAULT, operation, ..Line::of(Custody::Tpm) }];
    node.hear(&mut own, &lock(Operation::Lock));
    for mut other in [
        Controller { key: DeviceKey([0xd1; 32]), version: 50, ..Controller::new() },
        Controller { device: OTHER, version: 50, ..Controller::new() },
    ] {
        node.hear(&mut other, &lock(Operation::Unlock));
        node.hear_bytes(
            Authority::Checkpoint,
            &other.section(node.manager.as_ref().expect("one").session_key(), &[]),
        );
        assert_eq!(node.state(IMAGE_VAULT), State::Locked);
    }
    node.hear(&mut own, &lock(Operation::Unlock));
    assert_eq!(node.state(IMAGE_VAULT), State::Unlocked);
}

/// IF-6: the root that was pinned lies beside the TPM's shares. Until they are read nothing that another root signed counts, nor
/// does it when they are.
#[test]
fn if6_before_the_pin_is_known_no_section_counts() {
    let (mut node, mut controller) = with_file();
    let paths = node.paths.clone();
    node.manager().shares.as_mut().expect("shares").set_pin(&paths, RootPin([1; 32])).expect("pins");
    node.nv.0.borrow_mut().fail = true;
    node.reboot();
    node.hear(&mut controller, &defaults());
    assert!(node.says("waits until the TPM's roots are read"), "{:?}", node.manager().notes());
    node.nv.0.borrow_mut().fail = false;
    node.hear_tpm();
    for id in [CONFIG_VAULT, IMAGE_VAULT] {
        let status = node.status(id);
        assert_eq!((status.state, status.epoch), (State::Unlocked, None), "{status:?}");
    }
    assert!(node.paths.vault(BERLIN).exists());
    assert!(node.says("another root"), "{:?}", node.manager().notes());
}

/// VC-6: a section that comes before the TPM's roots opens its vault as soon as they are read; until then the status names the TPM,
/// and no other reason.
#[test]
fn vc6_a_section_before_the_roots_opens_its_vault_with_them() {
    let line = Line { created: true, ..Line::of(Custody::TpmAndController) };
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    node.hear(&mut controller, &[Line::of(Custody::TpmAndController)]);
    node.put(BERLIN, "file", "kept");
    node.tell_head(&mut controller);
    node.nv.0.borrow_mut().fail = true;
    node.reboot();
    node.hear(&mut controller, std::slice::from_ref(&line));
    let early = node.status(BERLIN);
    assert_eq!(early.state, State::Locked);
    assert!(!format!("{early:?}").contains("epoch 1"), "{early:?}");
    node.nv.0.borrow_mut().fail = false;
    node.hear_tpm();
    assert_eq!(node.get(BERLIN, "file").as_deref(), Some("kept"), "{:?}", node.status(BERLIN));
    assert!(node.manager().notes().is_empty(), "{:?}", node.manager().notes());
}

/// IF-5: a section that waited for the roots gives way to an answer that came after it and has none.
#[test]
fn if5_a_section_that_waited_gives_way_to_a_later_answer_without_one() {
    let (mut node, mut controller) = with_file();
    for withheld in [true, false] {
        node.nv.0.borrow_mut().fail = true;
        node.reboot();
        node.hear(&mut controller, &[]);
        if withheld {
            node.hear_bytes(Authority::Live, &signed(None));
        }
        node.nv.0.borrow_mut().fail = false;
        node.hear_tpm();
        assert_eq!(node.paths.vault(BERLIN).exists(), withheld, "deleted only by the newest answer");
    }
}

/// IF-6: what this life accepted and could not record yet is not given up for the older record when the Config Vault opens; and a
/// Config Vault without a record gets one.
#[test]
fn if6_what_this_life_accepted_is_not_forgotten_with_or_for_a_record() {
    let (mut node, mut controller) = with_file();
    node.manager().order_lock(CONFIG_VAULT).expect("locks");
    node.hear(&mut controller, &[Line { operation: Operation::Lock, ..Line::of(Custody::Tpm) }]);
    assert_eq!(node.state(BERLIN), State::Locked);
    node.hear_bytes(Authority::Live, &signed(None));
    node.manager().order_unlock(CONFIG_VAULT).expect("opens");
    node.manager().settle_all();
    assert_eq!(node.state(BERLIN), State::Locked, "{:?}", node.status(BERLIN));
    node.hear(&mut controller, &[Line::of(Custody::Tpm)]);
    std::fs::remove_file(node.paths.record()).expect("removes");
    node.manager().order_lock(CONFIG_VAULT).expect("locks");
    node.manager().order_unlock(CONFIG_VAULT).expect("opens");
    assert!(node.paths.record().exists(), "{:?}", node.manager().notes());
    node.reboot();
    assert_eq!(node.get(BERLIN, "file").as_deref(), Some("kept"), "listed by the record, with no contact");
}

/// Invariant 5: what a cut left beside the share table, and can't be taken away, shuts nothing.
#[test]
fn a_leftover_that_can_not_be_swept_shuts_no_vault() {
    let (mut node, _) = with_file();
    let left = node.paths.tables()[0].join(".tmp-eve-old-shares.1");
    std::fs::write(&left, "old").expect("writes");
    std::fs::hard_link(&left, node.disk.persist().join("a backup")).expect("links");
    node.reboot();
    assert_eq!(node.get(BERLIN, "file").as_deref(), Some("kept"), "{:?}", node.status(BERLIN));
}

/// IF-5, IF-6: after a restored database's section, one of the life before it is not taken back, in the same session or with the
/// Config Vault shut, and the record stands.
#[test]
fn if5_a_superseded_incarnation_does_not_come_back() {
    let config = |operation| Line { id: CONFIG_VAULT, operation, ..Line::of(Custody::Tpm) };
    for shut in [false, true] {
        let (mut node, mut one) = (Node::new(true), Controller::new());
        let session = node.manager().session_key();
        let open = [config(Operation::Unlock), Line::of(Custody::Tpm)];
        let old = one.section(session, &open);
        node.hear_bytes(Authority::Live, &old);
        assert_eq!(node.state(BERLIN), State::Unlocked, "the twin: taken while it is the newest");
        let mut two = Controller { incarnation: 2, ..Controller::new() };
        if shut {
            node.manager().order_lock(CONFIG_VAULT).expect("ordered");
        }
        let locked = Line { operation: Operation::Lock, ..Line::of(Custody::Tpm) };
        node.hear(&mut two, &[config(Operation::Unlock), locked]);
        let accepted = node.manager().accepted();
        for replay in [old, one.section(session, &open)] {
            node.hear_bytes(Authority::Live, &replay);
            assert_eq!(node.state(BERLIN), State::Locked, "Config Vault shut: {shut}");
        }
        assert_eq!(node.manager().accepted(), accepted);
        assert!(node.says("another has taken the place of"), "{:?}", node.manager().notes());
    }
}
