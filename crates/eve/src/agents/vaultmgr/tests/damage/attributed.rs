//! Key files in the first place whose label does not tell whose they are, and whose twin is gone: the directory's key, or what is left of the second copy, does.

use std::path::PathBuf;

use vault::ids::{CONFIG_VAULT, IMAGE_VAULT, VaultId};
use vault::report::State;
use vault::section::Custody;

use crate::agents::vaultmgr::tests::controller::{BERLIN, Controller, Line};
use crate::agents::vaultmgr::tests::node::Node;

/// A vault's key files, of the first place and of the second: protector and policy each.
fn key_files(node: &Node) -> [[PathBuf; 2]; 2] {
    key_files_of(node, BERLIN)
}

fn key_files_of(node: &Node, id: VaultId) -> [[PathBuf; 2]; 2] {
    let (first, second) = (node.disk.persist().join(".fscrypt"), node.paths.metas().join(id.to_string()));
    let name = |kind: &str| {
        let entry = std::fs::read_dir(second.join(kind)).expect("lists").flatten().next().expect("one");
        PathBuf::from(kind).join(entry.file_name())
    };
    let names = [name("protectors"), name("policies")];
    [&first, &second].map(|place| names.clone().map(|name| place.join(name)))
}

fn node(has_tpm: bool, custody: Custody) -> (Node, Controller) {
    let (mut node, mut controller) = (Node::new(has_tpm), Controller::new());
    node.hear(&mut controller, &[Line::of(custody)]);
    node.put(BERLIN, "file", "kept");
    node.tell_head(&mut controller);
    (node, controller)
}

/// Which byte of a protector's name is changed: then it is no label, or that of a vault that is nowhere.
const PREFIX: usize = 0;
const IDENTITY: usize = 45;

/// Invariant 4, pairs of files: one bit of the protector's name in the first place, which nothing authenticates, and its twin in the second is gone. Both
/// files that open the vault are there, and the directory's own key names them: it opens, and no order makes it anew.
#[test]
fn a_changed_bit_of_a_name_and_a_twin_that_is_gone_close_no_vault() {
    let mut wrong = Vec::new();
    let nodes = [(true, Custody::Tpm), (false, Custody::Controller)];
    let at_all = nodes.into_iter().flat_map(|of| [PREFIX, IDENTITY].map(|bit| (of, bit)));
    for ((has_tpm, custody), bit) in at_all {
        for whole_folder in [false, true] {
            let (mut node, mut controller) = node(has_tpm, custody);
            let [[protector, _], [twin, _]] = key_files(&node);
            node.stop();
            node.disk.mount();
            let mut bytes = std::fs::read(&protector).expect("reads");
            let at = bytes.windows(9).position(|window| window == b"eve-vault").expect("its name");
            bytes[at + bit] ^= 1;
            std::fs::write(&protector, &bytes).expect("flips");
            if whole_folder {
                std::fs::remove_dir_all(node.paths.metas().join(BERLIN.to_string())).expect("removes");
            } else {
                std::fs::remove_file(&twin).expect("removes");
            }
            node.start();
            let line = || Line { created: true, ..Line::of(custody) };
            node.hear(&mut controller, &[line()]);
            let status = node.status(BERLIN);
            let opened = node.get(BERLIN, "file");
            node.hear(&mut controller, &[Line { recreate: true, ..line() }]);
            // As a person would, who knows that the name has a bit too many.
            let erased = node.state(BERLIN) == State::Unlocked && node.get(BERLIN, "file").is_none();
            let left = erased && protector.exists();
            if opened.is_none() || left {
                wrong.push(format!(
                    "TPM {has_tpm}, byte {bit}, whole folder {whole_folder}: {}, {:?}; erased by an order: {erased}; its old protector still there: {left}",
                    status.state, status.detail[0]
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Invariant 6: the second copy is gone, and the disk does not give the first's protector now. Nothing is concluded: an order to make it anew erases nothing.
#[test]
fn a_copy_that_is_not_given_beside_one_that_is_gone_is_not_called_missing() {
    let mut wrong = Vec::new();
    for (has_tpm, custody) in [(true, Custody::Tpm), (false, Custody::Controller)] {
        let (mut node, mut controller) = node(has_tpm, custody);
        let [[protector, _], _] = key_files(&node);
        node.stop();
        node.disk.mount();
        std::fs::remove_dir_all(node.paths.metas().join(BERLIN.to_string())).expect("removes");
        node.disk.unmount();
        node.disk.spoil(&protector);
        node.disk.mount();
        node.start();
        let line = || Line { created: true, ..Line::of(custody) };
        node.hear(&mut controller, &[line()]);
        let status = node.status(BERLIN);
        node.hear(&mut controller, &[Line { recreate: true, ..line() }]);
        let erased = node.state(BERLIN) == State::Unlocked;
        if status.state == State::Missing || erased {
            wrong.push(format!(
                "TPM {has_tpm}: {}, {:?}; erased by an order: {erased}",
                status.state, status.detail[0]
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The same pair of the default vaults, on a node whose TPM has their share.
#[test]
fn nor_does_such_a_pair_close_a_default_vault() {
    let mut wrong = Vec::new();
    for id in [CONFIG_VAULT, IMAGE_VAULT] {
        let (mut node, _) = node(true, Custody::Tpm);
        let [[protector, _], [twin, _]] = key_files_of(&node, id);
        node.stop();
        node.disk.mount();
        let mut bytes = std::fs::read(&protector).expect("reads");
        let at = bytes.windows(9).position(|window| window == b"eve-vault").expect("its name");
        bytes[at] ^= 1;
        std::fs::write(&protector, &bytes).expect("flips");
        std::fs::remove_file(&twin).expect("removes");
        node.start();
        let status = node.status(id);
        if status.state != State::Unlocked {
            wrong.push(format!(
                "{id}: {}, {:?}; berlin is {}",
                status.state,
                status.detail[0],
                node.state(BERLIN)
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// TH-6: the same pair, and the vault is removed: while a key file of its lies there unwiped it is not told as erased.
#[test]
fn what_such_a_pair_leaves_is_not_told_as_erased() {
    let mut wrong = Vec::new();
    for (has_tpm, custody) in
        [(true, Custody::Tpm), (true, Custody::Controller), (false, Custody::Controller)]
    {
        let (mut node, mut controller) = node(has_tpm, custody);
        let [[protector, policy], _] = key_files(&node);
        node.stop();
        node.disk.mount();
        let mut bytes = std::fs::read(&protector).expect("reads");
        let at = bytes.windows(9).position(|window| window == b"eve-vault").expect("its name");
        bytes[at] ^= 1;
        std::fs::write(&protector, &bytes).expect("flips");
        std::fs::remove_dir_all(node.paths.metas().join(BERLIN.to_string())).expect("removes");
        node.start();
        node.hear(&mut controller, &[]);
        let left = [&protector, &policy].map(|path| path.exists());
        let status = node.status(BERLIN);
        if status.detail.first().is_some_and(|line| *line == vault::plan::Note::Erased.to_string())
            && left != [false; 2]
        {
            wrong.push(format!(
                "TPM {has_tpm}, {custody:?}: {}, {:?}; left {left:?}",
                status.state, status.detail
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
