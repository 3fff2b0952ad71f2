//! Before the record is read nothing tells whom the node belongs to, and which section follows the last one: by what comes meanwhile
//! vaults open and lock, and none is made, re-keyed, re-sealed or erased.

use uuid::Uuid;
use vault::ids::{CONFIG_VAULT, DeviceId, Epoch, IMAGE_VAULT, VaultId};
use vault::report::State;
use vault::section::{Custody, Seal};
use vault::shares::RootPin;
use vault::wanted::Authority;

use super::controller::{BERLIN, Controller, Line};
use super::node::Node;
use crate::agents::vaultmgr::belief::record;

const OTHER: VaultId = VaultId(Uuid::from_u128(0xf7));

/// A section of a controller that does not know what the node tells.
fn hear_blind(node: &mut Node, copy: &mut Controller, lines: &[Line]) {
    copy.version += 10;
    let session = node.manager().session_key();
    let envelope = copy.section(session, lines);
    node.hear_bytes(Authority::Live, &envelope);
}

fn config(line: Line) -> Line {
    Line { id: CONFIG_VAULT, ..line }
}

fn both(epochs: (u64, u64)) -> Line {
    Line { epochs, ..Line::of(Custody::TpmAndController) }
}

/// A controller that the node never heard of, under the same root certificate as far as the signature goes.
fn stranger() -> Controller {
    let device = DeviceId(Uuid::from_u128(0xd7));
    Controller { lineage: 9, device, incarnation: 5, ..Controller::new() }
}

/// The node's first contact was with another root.
fn belongs_to_another(node: &mut Node) {
    let mut kept = record::load(&node.paths).expect("reads").expect("there");
    kept.root = RootPin([1; 32]);
    record::save(&node.paths, &kept).expect("writes");
}

/// DF-4: the first section of a boot opens the Config Vault. A copy of the controller's database re-seals nothing by it.
#[test]
fn the_config_vault_is_not_resealed_by_a_copy() {
    let sealed = |seal| [config(Line { seal, ..both((1, 1)) }), Line::of(Custody::Tpm)];
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    node.hear(&mut controller, &sealed(Seal::Tpm));
    node.tell_head(&mut controller);
    let mut copy = controller.clone();
    node.hear(&mut controller, &sealed(Seal::Pcrs));
    assert_eq!(node.manager().vault_status().seals[&CONFIG_VAULT], Some(Seal::Pcrs));
    node.reboot();
    hear_blind(&mut node, &mut copy, &sealed(Seal::Tpm));
    assert_eq!(node.state(CONFIG_VAULT), State::Unlocked, "it opens");
    assert!(node.says("does not follow"), "{:?}", node.manager().notes());
    assert_eq!(node.manager().vault_status().seals[&CONFIG_VAULT], Some(Seal::Pcrs));
}

/// DF-4: what the node's own controller wants of the Config Vault is done in the same contact that opens it.
#[test]
fn the_config_vault_changes_once_its_record_was_read() {
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    node.hear(&mut controller, &[config(both((1, 1)))]);
    node.tell_head(&mut controller);
    node.reboot();
    node.hear(&mut controller, &[config(both((2, 1)))]);
    assert_eq!(node.status(CONFIG_VAULT).epoch, Some(Epoch(2)), "{:?}", node.manager().notes());
}

/// VC-6: a controller that keeps the Config Vault shut re-keys, re-seals and makes nothing.
#[test]
fn nothing_changes_while_the_config_vault_is_shut() {
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    let berlin = |epochs| Line { created: true, ..both(epochs) };
    let pcrs = |line: Line| Line { seal: Seal::Pcrs, ..line };
    node.hear(&mut controller, &[config(both((1, 1))), both((1, 1))]);
    node.put(BERLIN, "file", "kept");
    node.tell_head(&mut controller);
    let mut copy = controller.clone();
    node.hear(&mut controller, &[config(both((1, 1))), pcrs(both((1, 1)))]);
    let image = Line { id: IMAGE_VAULT, ..Line::of(Custody::Tpm) };
    let other = Line { id: OTHER, ..both((1, 1)) };
    node.reboot();
    let shut = Line { withheld: true, ..config(both((1, 1))) };
    hear_blind(&mut node, &mut copy, &[shut, berlin((2, 1)), image, other]);
    assert_eq!(node.get(BERLIN, "file").as_deref(), Some("kept"), "it opens");
    assert_eq!(node.status(BERLIN).epoch, Some(Epoch(1)));
    assert_eq!(node.manager().vault_status().seals[&BERLIN], Some(Seal::Pcrs));
    assert_eq!(node.state(OTHER), State::Waiting);
    assert!(node.says("was not read yet"), "{:?}", node.manager().notes());
    node.reboot();
    node.hear(&mut controller, &[config(both((1, 1))), pcrs(both((1, 1)))]);
    assert_eq!(node.get(BERLIN, "file").as_deref(), Some("kept"));
}

/// 0.9: a node without a TPM has its pin in the record. Another root makes nothing and erases nothing, whatever it orders.
#[test]
fn without_a_tpm_another_root_is_not_obeyed() {
    let own = || [config(Line::of(Custody::Controller)), Line::of(Custody::Controller)];
    let (mut node, mut controller) = (Node::new(false), Controller::new());
    node.hear(&mut controller, &own());
    node.put(BERLIN, "file", "kept");
    let ours = record::load(&node.paths).expect("reads").expect("there").root;
    belongs_to_another(&mut node);
    node.reboot();
    let mut foreign = stranger();
    for recreate in [false, true] {
        let [config, berlin] = own().map(|line| Line { created: true, ..line });
        let other = Line { id: OTHER, ..Line::of(Custody::Controller) };
        hear_blind(&mut node, &mut foreign, &[config, Line { recreate, ..berlin }, other]);
        assert_eq!(node.state(OTHER), State::Waiting, "{recreate}");
    }
    // The first controller is back.
    node.reboot();
    node.tell_head(&mut controller);
    node.hear(&mut controller, &own());
    let mut kept = record::load(&node.paths).expect("reads").expect("there");
    kept.root = ours;
    record::save(&node.paths, &kept).expect("writes");
    node.reboot();
    node.hear(&mut controller, &own());
    assert_eq!(node.get(BERLIN, "file").as_deref(), Some("kept"));
}

/// A node that is told that it has no TPM does not forget that it belongs to somebody.
#[test]
fn a_node_that_is_told_it_has_no_tpm_obeys_no_other() {
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    node.hear(&mut controller, &[Line::of(Custody::Tpm)]);
    belongs_to_another(&mut node);
    node.stop();
    node.disk.mount();
    node.has_tpm = false;
    node.start();
    let mut foreign = stranger();
    let order = Line { id: IMAGE_VAULT, recreate: true, created: true, ..Line::of(Custody::Controller) };
    let other = Line { id: OTHER, ..Line::of(Custody::Controller) };
    hear_blind(&mut node, &mut foreign, std::slice::from_ref(&other));
    hear_blind(&mut node, &mut foreign, &[order, other]);
    assert_eq!(node.state(OTHER), State::Waiting);
    assert_ne!(node.state(IMAGE_VAULT), State::Unlocked);
}

/// UC-G: a copy of the controller that rotated by itself, and its operator orders anew what it can't open: nothing is erased.
#[test]
fn a_copys_order_to_recreate_erases_nothing() {
    for (has_tpm, shut) in [(true, true), (false, true), (true, false)] {
        let custody = if has_tpm { Custody::TpmAndController } else { Custody::Controller };
        let of = |epochs| Line { epochs, ..Line::of(custody) };
        let cfg = |epochs| config(if shut { of(epochs) } else { Line::of(Custody::Tpm) });
        let (mut node, mut controller) = (Node::new(has_tpm), Controller::new());
        node.hear(&mut controller, &[cfg((1, 1)), of((1, 1))]);
        node.put(BERLIN, "file", "kept");
        node.tell_head(&mut controller);
        let mut copy = controller.clone();
        let own = [cfg((2, 1)), Line { created: true, ..of((2, 1)) }];
        node.hear(&mut controller, &own);
        node.reboot();
        copy.lineage = 7;
        let berlin = Line { created: true, ..of((3, 2)) };
        let order = [cfg((3, 2)), Line { recreate: true, ..berlin.clone() }];
        hear_blind(&mut node, &mut copy, &[cfg((3, 2)), berlin]);
        hear_blind(&mut node, &mut copy, &order);
        node.reboot();
        hear_blind(&mut node, &mut copy, &order);
        node.reboot();
        node.hear(&mut controller, &own);
        assert_eq!(node.get(BERLIN, "file").as_deref(), Some("kept"), "TPM {has_tpm}, shut {shut}");
    }
}

/// A record that the disk did not give once is asked for again, and nothing counts until it was read.
#[test]
fn a_record_that_did_not_read_once_is_looked_at_again() {
    let tpm = || [Line::of(Custody::Tpm), Line { id: IMAGE_VAULT, ..Line::of(Custody::Tpm) }];
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    node.hear(&mut controller, &[Line::of(Custody::Tpm)]);
    node.tell_head(&mut controller);
    let mut copy = controller.clone();
    node.hear(&mut controller, &tpm());
    let away = node.paths.own_folder().join("away");
    std::fs::rename(node.paths.record(), &away).expect("moves it away");
    std::fs::create_dir(node.paths.record()).expect("something that does not read");
    node.restart();
    assert!(node.says("reading the record"), "{:?}", node.manager().notes());
    let [berlin, image] = tpm();
    let image = Line { custody: Custody::TpmAndController, ..image };
    hear_blind(&mut node, &mut copy, &[berlin.clone(), image.clone()]);
    assert_eq!(node.status(IMAGE_VAULT).epoch, None, "not read");
    std::fs::remove_dir(node.paths.record()).expect("removes");
    std::fs::rename(&away, node.paths.record()).expect("it reads again");
    node.manager().settle_all();
    assert!(node.manager().head().is_some(), "it was looked at again");
    assert!(!node.says("reading the record"), "{:?}", node.manager().notes());
    hear_blind(&mut node, &mut copy, &[berlin, image]);
    assert_eq!(node.status(IMAGE_VAULT).epoch, None, "read");
}

/// A record that the disk does not give, in a Config Vault that is open: what is told names the file and what to do, and not an order that is refused.
#[test]
fn a_record_that_is_not_given_is_told_as_that() {
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    node.hear(&mut controller, &[both((1, 1))]);
    node.put(BERLIN, "file", "kept");
    let aside = node.paths.record().with_extension("aside");
    std::fs::rename(node.paths.record(), &aside).expect("moves");
    std::fs::create_dir(node.paths.record()).expect("makes");
    node.reboot();
    node.hear(&mut controller, &[Line { created: true, ..both((1, 1)) }]);
    assert_eq!(node.state(CONFIG_VAULT), State::Unlocked);
    assert_eq!(node.get(BERLIN, "file").as_deref(), Some("kept"), "it opens: {:?}", node.status(BERLIN));
    for words in ["though the Config Vault is open", "persist/config/vaultmgr/record", "move it away"] {
        assert!(node.says(words), "{words}: {:?}", node.manager().notes());
    }
    assert!(!node.says("recreate config") && !node.says("is not open"), "{:?}", node.manager().notes());
    std::fs::remove_dir(node.paths.record()).expect("as the words say");
    std::fs::rename(&aside, node.paths.record()).expect("moves");
    node.manager().settle_all();
    assert!(!node.says("though the Config Vault is open"), "{:?}", node.manager().notes());
}
