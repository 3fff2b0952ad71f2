//! seen-by-users 0.1, 0b.1: a controller's database that was restored, copied or rolled back, on the real kernel. Nothing that it says
//! deletes, or takes a vault back.

use vault::ids::{CONFIG_VAULT, IMAGE_VAULT};
use vault::report::State;
use vault::section::Custody;

use vault::shares::RootPin;

use super::controller::{BERLIN, Controller, Line};
use super::keeper::Keeper;
use super::node::Node;
use crate::bus::messages::{Hope, OrderError};

fn at(current: u64, last: u64) -> Line {
    Line { epochs: (current, last), created: true, ..Line::of(Custody::TpmAndController) }
}

/// A node with a file in its vault, at epoch 2, and the copy of the controller that was taken at epoch 1.
fn with_an_older_copy() -> (Node, Controller, Controller) {
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    node.hear(&mut controller, &[Line { created: false, ..at(1, 1) }]);
    node.put(BERLIN, "file", "kept");
    node.tell_head(&mut controller);
    let copy = controller.clone();
    node.hear(&mut controller, &[at(2, 1)]);
    assert_eq!(node.status(BERLIN).epoch, Some(vault::ids::Epoch(2)));
    (node, controller, copy)
}

/// Hears a section of a controller that does not look at what the node tells, numbered past all that was accepted.
fn hear_blind(node: &mut Node, copy: &mut Controller, lines: &[Line]) {
    copy.version += 10;
    let session = node.manager().session_key();
    let envelope = copy.section(session, lines);
    node.hear_bytes(vault::wanted::Authority::Live, &envelope);
}

/// 0.1, 0b.1: it neither deletes nor re-keys, in this life and after a reboot, however it is numbered; the right one goes on.
#[test]
fn a_copy_that_was_put_back_neither_deletes_nor_re_keys() {
    let (mut node, mut controller, mut copy) = with_an_older_copy();
    for reboots in [false, true] {
        if reboots {
            node.reboot();
        }
        hear_blind(&mut node, &mut copy, &[]);
        assert!(node.says("does not follow"), "{:?}", node.manager().notes());
        hear_blind(&mut node, &mut copy, &[at(1, 1), Line { id: IMAGE_VAULT, ..at(1, 1) }]);
        assert!(node.paths.vault(BERLIN).exists());
        let image = node.status(IMAGE_VAULT);
        assert_eq!((image.state, image.epoch), (State::Unlocked, None), "not re-keyed: {image:?}");
        let berlin = node.status(BERLIN);
        assert_eq!(berlin.epoch, Some(vault::ids::Epoch(2)), "not taken back: {berlin:?}");
    }
    node.hear(&mut controller, &[at(2, 1)]);
    assert_eq!(node.get(BERLIN, "file").as_deref(), Some("kept"), "{:?}", node.status(BERLIN));
    assert!(node.manager().notes().is_empty(), "{:?}", node.manager().notes());
    node.hear(&mut controller, &[]);
    assert_eq!(node.state(BERLIN), State::Removed, "its own controller's word counts");
}

/// 0b.1, lost while healthy: under a new incarnation, which an operator began, another key has the number that the vault is under.
/// While it is open it is wrapped anew under the key that the controller has, and opens by it after a reboot.
#[test]
fn another_key_of_the_same_number_is_taken_while_the_vault_is_open() {
    let (mut node, _, mut copy) = with_an_older_copy();
    (copy.incarnation, copy.version, copy.lineage) = (2, 0, 7);
    node.hear(&mut copy, &[at(2, 1)]);
    let status = node.status(BERLIN);
    assert_eq!((status.state, status.epoch), (State::Unlocked, Some(vault::ids::Epoch(2))), "{status:?}");
    node.reboot();
    node.hear(&mut copy, &[at(2, 1)]);
    assert_eq!(node.get(BERLIN, "file").as_deref(), Some("kept"), "{:?}", node.status(BERLIN));
}

/// 0b.1, 0.9: after a boot another controller's key comes under the number that the vault is wrapped under. It is not taken for the vault's own: the
/// vault is not called damaged, no epoch of this controller's is told of it, an order to make it anew takes nothing, and it opens once the right key
/// is back. A name of before, which has no mark, reads as it did.
#[test]
fn another_controllers_key_of_the_same_number_is_not_the_vaults() {
    for custody in [Custody::Controller, Custody::TpmAndController] {
        let (mut node, mut controller) = (Node::new(true), Controller::new());
        node.hear(&mut controller, &[Line::of(custody)]);
        node.put(BERLIN, "file", "kept");
        let line = Line { created: true, ..Line::of(custody) };
        let mut other = Controller { incarnation: 2, version: 0, lineage: 7, ..controller.clone() };
        node.reboot();
        node.hear(&mut other, std::slice::from_ref(&line));
        let status = node.status(BERLIN);
        assert_eq!((status.state, status.epoch), (State::Locked, None), "{custody:?}: {status:?}");
        assert!(status.detail[0].contains("another key of epoch 1"), "{custody:?}: {status:?}");
        assert!(status.under_anothers_key, "what the controller goes by: {custody:?}: {status:?}");
        node.hear(&mut other, &[Line { recreate: true, ..line.clone() }]);
        assert_eq!(node.state(BERLIN), State::Locked, "{custody:?}: {:?}", node.status(BERLIN));
        let mut back = Controller { incarnation: 3, version: 0, ..controller };
        node.hear(&mut back, &[line]);
        assert_eq!(
            node.get(BERLIN, "file").as_deref(),
            Some("kept"),
            "{custody:?}: {:?}",
            node.status(BERLIN)
        );
        assert_eq!(node.status(BERLIN).epoch, Some(vault::ids::Epoch(1)), "{custody:?}");
    }
}

/// 0.9: what another controller's key alone opens, or that of an epoch that is over, is made anew by root on the node who gives it up by name: the Config
/// Vault too, without which nothing of the new controller's is kept. An open vault is not, nor one whose key only has not come yet.
#[test]
fn a_vault_under_another_controllers_key_is_made_anew_once_root_gives_it_up() {
    for (has_tpm, custody) in [(false, Custody::Controller), (true, Custody::TpmAndController)] {
        for epochs in [(1, 1), (3, 2)] {
            let line = |id| Line { id, created: true, epochs, ..Line::of(custody) };
            let (mut node, mut controller) = (Node::new(has_tpm), Controller::new());
            let name = |node: &mut Node, id| node.status(id).name;
            let both = [line(CONFIG_VAULT), line(BERLIN)];
            node.hear(&mut controller, &both.each_ref().map(|line| Line { created: false, ..line.clone() }));
            node.put(BERLIN, "file", "kept");
            let order = |node: &mut Node, id, hope| {
                let name = name(node, id);
                node.manager().order_recreate(id, &name, hope)
            };
            assert!(matches!(order(&mut node, BERLIN, Hope::ShutGivenUp), Err(OrderError::NotMissing(_))));
            node.reboot();
            let waits = order(&mut node, BERLIN, Hope::ShutGivenUp);
            assert!(matches!(waits, Err(OrderError::NotMissing(_))), "its key has not come: {waits:?}");
            let mut other = Controller { incarnation: 2, version: 0, lineage: 7, ..controller.clone() };
            let new = [CONFIG_VAULT, BERLIN].map(|id| Line { epochs: (1, 1), ..line(id) });
            node.hear(&mut other, &new);
            for id in [CONFIG_VAULT, BERLIN] {
                let told = format!("{has_tpm}, {epochs:?}: {:?}", node.status(id));
                assert_eq!(node.state(id), State::Locked, "{told}");
                assert!(told.contains("--despite-other-key"), "{told}");
                for hope in [Hope::Kept, Hope::GivenUp] {
                    let refused = order(&mut node, id, hope);
                    assert!(matches!(refused, Err(OrderError::UnderAnotherKey(_))), "{refused:?}");
                }
                assert!(node.paths.vault(id).exists(), "it is as it was");
            }
            if has_tpm {
                // The controller says that it holds none.
                Keeper::default().answers(&mut node);
            }
            for id in [CONFIG_VAULT, BERLIN] {
                let made = order(&mut node, id, Hope::ShutGivenUp);
                assert_eq!(made.map(|report| report.state), Ok(State::Unlocked), "{has_tpm}, {epochs:?}");
            }
            assert_eq!(node.get(BERLIN, "file"), None);
            node.put(BERLIN, "file", "new");
            node.reboot();
            node.hear(&mut other, &new);
            assert_eq!(node.get(BERLIN, "file").as_deref(), Some("new"), "{:?}", node.status(BERLIN));
        }
    }
}

/// A copy of the database of before the Config Vault got a policy with the controller in it asks for no key of it. In the vault lies the record, by which a
/// list is judged to the end, and so no list ever is: it is told for what it is, and root can give it up. Before the controller spoke nothing of that is concluded.
#[test]
fn a_config_vault_under_a_key_that_its_list_asks_for_no_more_is_made_anew_once_root_gives_it_up() {
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    let berlin = Line { created: true, ..Line::of(Custody::Tpm) };
    node.hear(&mut controller, &[Line { created: false, ..berlin.clone() }]);
    node.put(BERLIN, "file", "kept");
    node.tell_head(&mut controller);
    let mut copy = controller.clone();
    let config = Line { id: CONFIG_VAULT, created: true, ..Line::of(Custody::TpmAndController) };
    node.hear(&mut controller, &[config, berlin.clone()]);
    node.reboot();
    let name = node.status(CONFIG_VAULT).name;
    let told = node.status(CONFIG_VAULT).detail.join("; ");
    assert!(told.contains("waits for the controller's key"), "{told}");
    let refused = node.manager().order_recreate(CONFIG_VAULT, &name, Hope::ShutGivenUp);
    assert!(matches!(refused, Err(OrderError::NotMissing(_))), "{refused:?}");
    (copy.incarnation, copy.version, copy.lineage) = (2, 0, 7);
    node.hear(&mut copy, std::slice::from_ref(&berlin));
    assert_eq!(node.state(CONFIG_VAULT), State::Locked);
    let told = node.status(CONFIG_VAULT).detail.join("; ");
    assert!(told.contains("another key of epoch 1") && told.contains("--despite-other-key"), "{told}");
    let refused = node.manager().order_recreate(CONFIG_VAULT, &name, Hope::Kept);
    assert!(matches!(refused, Err(OrderError::UnderAnotherKey(_))), "{refused:?}");
    // The controller says that it holds no bundle.
    Keeper::default().answers(&mut node);
    let made = node.manager().order_recreate(CONFIG_VAULT, &name, Hope::ShutGivenUp);
    assert_eq!(made.map(|report| report.state), Ok(State::Unlocked));
    node.manager().settle_all();
    for when in ["now", "after a boot"] {
        node.hear(&mut copy, std::slice::from_ref(&berlin));
        assert!(!node.says("was not read yet"), "{when}: {:?}", node.manager().notes());
        assert_eq!(node.get(BERLIN, "file").as_deref(), Some("kept"), "{when}");
        node.reboot();
    }
}

/// Invariant 4: the word that gives up what stands shut gives up nothing else. Where the share table is lost too, neither that nor any other vault of it is begun anew.
#[test]
fn what_is_given_up_of_a_shut_vault_is_not_the_share_table() {
    let line = Line::of(Custody::TpmAndController);
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    node.hear(&mut controller, &[line]);
    node.put(IMAGE_VAULT, "file", "kept");
    node.manager = None;
    let tables = node.paths.table(vault::ids::Generation::FIRST);
    let kept = tables.clone().map(|path| std::fs::read(path).expect("reads"));
    tables.iter().for_each(|path| std::fs::remove_file(path).expect("removes"));
    node.reboot();
    for id in [BERLIN, IMAGE_VAULT, CONFIG_VAULT] {
        let name = node.status(id).name;
        let refused = node.manager().order_recreate(id, &name, Hope::ShutGivenUp);
        assert!(refused.is_err(), "{id:?}: {refused:?}");
        assert!(tables.iter().all(|path| !path.exists()), "{id:?}: no table was begun");
    }
    node.manager = None;
    tables.iter().zip(kept).for_each(|(path, bytes)| std::fs::write(path, bytes).expect("writes"));
    node.reboot();
    assert_eq!(node.get(IMAGE_VAULT, "file").as_deref(), Some("kept"), "{:?}", node.status(IMAGE_VAULT));
}

/// The same of a vault that is locked: given a chance to open it, the new key's number is not taken for the one that it is under.
#[test]
fn a_locked_vault_is_known_to_be_under_another_controllers_key() {
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    node.hear(&mut controller, &[Line { created: false, ..at(1, 1) }]);
    let locked = Line { operation: vault::section::Operation::Lock, ..at(1, 1) };
    node.hear(&mut controller, std::slice::from_ref(&locked));
    let mut other = Controller { incarnation: 2, version: 0, lineage: 7, ..controller.clone() };
    node.hear(&mut other, &[locked]);
    let status = node.status(BERLIN);
    assert_eq!((status.state, status.epoch), (State::Locked, None), "{status:?}");
}

/// Under a new incarnation the database's older epoch is the only key that it has: the open vault takes it.
#[test]
fn a_new_incarnation_may_take_an_open_vault_to_a_lower_epoch() {
    let (mut node, _, mut copy) = with_an_older_copy();
    (copy.incarnation, copy.version) = (2, 0);
    node.hear(&mut copy, &[at(1, 1)]);
    assert_eq!(node.status(BERLIN).epoch, Some(vault::ids::Epoch(1)), "{:?}", node.status(BERLIN));
    node.reboot();
    node.hear(&mut copy, &[at(1, 1)]);
    assert_eq!(node.get(BERLIN, "file").as_deref(), Some("kept"));
    node.hear(&mut copy, &[]);
    assert_eq!(node.state(BERLIN), State::Removed, "listed by it, and removed by its operator");
}

/// 0b.5: with its share table gone, the node obeys no controller, its own or another, until root on the node begins another table.
#[test]
fn without_its_share_table_a_node_obeys_nobody() {
    let (mut node, mut controller, _) = with_an_older_copy();
    node.stop();
    node.disk.mount();
    for copy in node.paths.tables() {
        std::fs::remove_dir_all(copy).expect("removes");
    }
    node.start();
    let order = Line { id: IMAGE_VAULT, created: true, recreate: true, ..Line::of(Custody::Tpm) };
    node.hear(&mut controller, &[at(2, 1), order]);
    assert!(node.says("no list of vaults counts"), "{:?}", node.manager().notes());
    assert_eq!(node.state(IMAGE_VAULT), State::Missing);
    let name = "image".parse().expect("a name");
    node.manager().order_recreate(IMAGE_VAULT, &name, Hope::GivenUp).expect("root's own order");
    node.hear(&mut controller, &[at(2, 1)]);
    assert!(!node.says("no list of vaults counts"), "{:?}", node.manager().notes());
    assert_eq!(node.state(IMAGE_VAULT), State::Unlocked);
}

/// seen-by-users 0.9: another controller counts once root on the node has accepted its root, by that root's name. What it does not list is
/// locked and kept.
#[test]
fn another_controller_counts_once_root_accepts_it() {
    let (mut node, ..) = with_an_older_copy();
    let paths = node.paths.clone();
    node.manager().shares.as_mut().expect("shares").set_pin(&paths, RootPin([1; 32])).expect("pins");
    node.hear_tpm();
    // To this node the one that signs is now another one than at first contact.
    let mut other =
        Controller { device: vault::ids::DeviceId(uuid::Uuid::from_u128(0xd7)), ..Controller::new() };
    node.hear(&mut other, &[]);
    assert!(node.says("another root") && node.says("eve controller accept"), "{:?}", node.manager().notes());
    let installed =
        wire::Certificate::from_pem(&super::controller::golden("root-ca.cert.pem")).expect("reads");
    let wrong = node.manager().accept_root(RootPin([2; 32]));
    assert!(matches!(wrong, Err(OrderError::OtherRootInstalled)), "not by another name");
    let (name, orphan) = (node.status(BERLIN).name, vault::wanted::Desired::default().name(BERLIN));
    assert_ne!(name, orphan, "it had a name");
    node.manager().accept_root(RootPin(installed.digest().0)).expect("accepted");
    assert_eq!(node.status(BERLIN).name, name, "by which people know it");
    assert_eq!(node.state(BERLIN), State::Orphan, "what the new one said before counts now");
    node.reboot();
    assert_eq!(node.status(BERLIN).name, name, "before the new controller said anything more");
    node.hear(&mut other, &[Line { id: IMAGE_VAULT, ..Line::of(Custody::Tpm) }]);
    assert!(!node.says("another root") && !node.says("device"), "{:?}", node.manager().notes());
    assert_eq!(node.state(BERLIN), State::Orphan, "locked, and kept");
    assert!(node.paths.vault(BERLIN).exists());
    node.reboot();
    node.hear(&mut other, &[]);
    assert_eq!(node.state(BERLIN), State::Orphan, "and not deleted by what never listed it");
    assert_eq!(node.status(BERLIN).name, name);
    // Its own record has the name now.
    std::fs::remove_file(node.paths.record_aside()).expect("it was put aside");
    node.reboot();
    assert_eq!(node.status(BERLIN).name, name);
}
