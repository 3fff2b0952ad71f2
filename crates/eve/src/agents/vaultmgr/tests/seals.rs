//! A vault whose policy takes it from one seal to the other, on a real kernel and a real disk (KO-1, DF-4).

use std::path::PathBuf;

use vault::ids::{CONFIG_VAULT, VaultId};
use vault::report::State;
use vault::section::{Custody, Seal};

use super::controller::{BERLIN, Controller, Line};
use super::node::Node;

pub(super) fn sealed(custody: Custody, seal: Seal) -> Line {
    Line { seal, ..Line::of(custody) }
}

/// What of a vault's keys lies on the disk: its sealed shares, and its protector as it is wrapped now, the same in both copies.
pub(super) fn key_bytes(node: &Node) -> Vec<Vec<u8>> {
    let table = std::fs::read(&node.paths.table(vault::ids::Generation::FIRST)[0]).expect("a share table");
    let (id, sealed) = (BERLIN.0.as_bytes(), 30..78);
    let lines = (0..table.len() - sealed.end).filter(|at| table[*at..].starts_with(id));
    let shares = lines.map(|at| table[at..][sealed.clone()].to_vec());
    let [_, second] = protectors(node, BERLIN);
    let wrap = fscrypt::ProtectorFile::parse(&std::fs::read(second).expect("reads")).expect("a protector");
    shares.chain([wrap.ciphertext().to_vec()]).collect()
}

/// Both copies of a vault's protector.
fn protectors(node: &Node, id: VaultId) -> [PathBuf; 2] {
    let second = node.paths.metas().join(id.to_string()).join("protectors");
    let name = std::fs::read_dir(&second).expect("lists").flatten().next().expect("one").file_name();
    [node.disk.persist().join(".fscrypt/protectors").join(&name), second.join(&name)]
}

/// TH-5, KO-1: sealed to the measured boot, a vault leaves nothing that opens it in another state: who has disk and TPM finds neither
/// the share of before nor what was wrapped under it, in no file and in no freed block.
#[test]
fn ko1_a_stricter_seal_leaves_nothing_of_the_looser_one() {
    for (looser, stricter) in [
        (sealed(Custody::Tpm, Seal::Tpm), sealed(Custody::Tpm, Seal::Pcrs)),
        (sealed(Custody::TpmAndController, Seal::Tpm), sealed(Custody::TpmAndController, Seal::Pcrs)),
    ] {
        let (mut node, mut controller) = (Node::new(true), Controller::new());
        node.hear(&mut controller, std::slice::from_ref(&looser));
        node.put(BERLIN, "file", "kept");
        let old = key_bytes(&node);
        assert_eq!(old.len(), 2, "a share and a wrap");
        node.stop();
        assert!(old.iter().all(|bytes| node.disk.contains(bytes)), "the search finds what is there");
        node.disk.mount();
        node.start();
        node.hear(&mut controller, std::slice::from_ref(&looser));
        node.hear(&mut controller, std::slice::from_ref(&stricter));
        assert_eq!(node.state(BERLIN), State::Unlocked, "{:?}", node.status(BERLIN));
        node.stop();
        assert!(
            old.iter().all(|bytes| !node.disk.contains(bytes)),
            "{:?}: the looser one is there",
            stricter.custody
        );
        node.disk.mount();
        node.nv.0.borrow_mut().pcrs_moved = true;
        node.start();
        node.hear(&mut controller, std::slice::from_ref(&stricter));
        assert_eq!((node.state(BERLIN), node.get(BERLIN, "file")), (State::Locked, None));
        node.nv.0.borrow_mut().pcrs_moved = false;
        node.reboot();
        node.hear(&mut controller, &[stricter]);
        assert_eq!(node.get(BERLIN, "file").as_deref(), Some("kept"));
    }
}

/// Facts-node, fault 1: P that could not be read while PCRs moved all the time is no other boot, and is read again, by itself and at an
/// order, without a restart. Seen-by-users 0.18: another boot is told by its PCRs, and an order looks once more too.
#[test]
fn a_root_that_could_not_be_read_is_read_again_and_says_why() {
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    let line = sealed(Custody::Tpm, Seal::Pcrs);
    node.hear(&mut controller, std::slice::from_ref(&line));
    node.put(BERLIN, "file", "kept");
    node.nv.0.borrow_mut().unsteady = true;
    node.reboot();
    assert_eq!(node.state(CONFIG_VAULT), State::Unlocked, "what is not bound to PCRs opens meanwhile");
    let told = node.status(BERLIN).detail[0].clone();
    assert!(told.contains("extended all the time") && !told.contains("differently"), "{told}");
    node.nv.0.borrow_mut().unsteady = false;
    node.manager().read_unsteady_root();
    node.manager().settle_all();
    assert_eq!(node.get(BERLIN, "file").as_deref(), Some("kept"), "by itself");
    node.nv.0.borrow_mut().pcrs_moved = true;
    node.reboot();
    let told = node.manager().order_unlock(BERLIN).expect_err("another boot").to_string();
    assert!(told.contains("this boot measures differently in PCR 4, 9"), "{told}");
    let reads = node.nv.0.borrow().reads;
    node.manager().read_unsteady_root();
    assert_eq!(node.nv.0.borrow().reads, reads, "another boot is not asked about all the time");
    node.nv.0.borrow_mut().pcrs_moved = false;
    node.manager().order_unlock(BERLIN).expect("it can be read by now");
    assert_eq!(node.get(BERLIN, "file").as_deref(), Some("kept"), "by an order");
}

/// Invariant 5: a looser custody under a stricter seal waits for the stricter seal, and keeps asking the controller until then.
#[test]
fn a_custody_is_not_loosened_before_its_seal_is_there() {
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    node.hear(&mut controller, &[sealed(Custody::TpmAndController, Seal::Tpm)]);
    node.put(BERLIN, "file", "kept");
    node.nv.0.borrow_mut().pcrs_moved = true;
    node.reboot();
    let change = Line { leaving: true, ..sealed(Custody::Tpm, Seal::Pcrs) };
    node.hear(&mut controller, std::slice::from_ref(&change));
    let status = node.status(BERLIN);
    assert!(status.detail[0].contains("a change of key or custody is due"), "{:?}", status.detail);
    assert_eq!((status.state, status.epoch.map(|epoch| epoch.0)), (State::Unlocked, Some(1)));
    node.reboot();
    assert_eq!(
        (node.state(BERLIN), node.get(BERLIN, "file")),
        (State::Locked, None),
        "without the controller"
    );
    node.nv.0.borrow_mut().pcrs_moved = false;
    node.reboot();
    node.hear(&mut controller, &[change]);
    assert_eq!(node.status(BERLIN).epoch, None, "{:?}", node.status(BERLIN));
    node.reboot();
    assert_eq!(node.get(BERLIN, "file").as_deref(), Some("kept"), "by the TPM in the measured state");
}

/// IF-2, invariant 4: what a key protects of the protector is damaged in both copies: told as damage, not as an older key; nothing is
/// written over, and one copy put back is enough.
#[test]
fn if2_two_damaged_wraps_are_told_as_damage_and_kept() {
    for custody in [Custody::Tpm, Custody::Controller, Custody::TpmAndController] {
        let (mut node, mut controller) = (Node::new(true), Controller::new());
        let line = Line { created: true, ..Line::of(custody) };
        node.hear(&mut controller, &[Line::of(custody)]);
        node.put(BERLIN, "file", "kept");
        let copies = protectors(&node, BERLIN);
        let good = std::fs::read(&copies[0]).expect("reads");
        let mut bad = good.clone();
        *bad.last_mut().expect("some") ^= 1;
        copies.iter().for_each(|path| std::fs::write(path, &bad).expect("writes"));
        node.reboot();
        node.hear(&mut controller, std::slice::from_ref(&line));
        let status = node.status(BERLIN);
        assert_eq!(status.state, State::Missing, "{custody:?}: {status:?}");
        let words = "both copies of its key files are damaged, or wrapped under another key of this number";
        assert!(status.detail[0].contains(words), "{custody:?}: {:?}", status.detail);
        assert!(status.last.and_then(|last| last.error).is_some_and(|error| error.contains(words)));
        assert!(copies.iter().all(|path| std::fs::read(path).expect("reads") == bad), "left as they are");
        std::fs::write(&copies[1], &good).expect("writes");
        node.reboot();
        node.hear(&mut controller, &[line]);
        assert_eq!(
            node.get(BERLIN, "file").as_deref(),
            Some("kept"),
            "{custody:?}: {:?}",
            node.status(BERLIN)
        );
        assert_eq!(std::fs::read(&copies[0]).expect("reads"), good, "mended from its twin");
    }
}
