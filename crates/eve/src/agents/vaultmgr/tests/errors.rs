//! Metadata that the disk does not give, and metadata that is not ours beside our own.

use std::path::{Path, PathBuf};

use fscrypt::key_files::Ivs;
use fscrypt::{ContentKey, Iv, KeyFiles, MetaDir, Modes, ProtectorKey, WrappingKey};
use vault::ids::{CONFIG_VAULT, IMAGE_VAULT};
use vault::report::State;
use vault::section::{Custody, Operation};

use super::controller::{BERLIN, Controller, Line};
use super::node::Node;
use crate::agents::vaultmgr::generation::shares::random;

fn with_file() -> (Node, Controller) {
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    node.hear(&mut controller, &[Line::of(Custody::Tpm)]);
    node.put(BERLIN, "file", "kept");
    (node, controller)
}

fn only_file(folder: &Path) -> PathBuf {
    std::fs::read_dir(folder).expect("lists").flatten().next().expect("one").path()
}

/// The next boot finds this path spoilt on the disk.
fn boot_with_spoilt(node: &mut Node, path: &Path) {
    node.stop();
    node.disk.spoil(path);
    node.disk.mount();
    node.start();
}

/// Invariant 5: an error of the disk in one copy costs nothing while the other is whole: the vault opens, and locks by order, and
/// the status tells of the copy.
#[test]
fn one_copy_that_the_disk_does_not_give_costs_nothing() {
    let (mut node, mut controller) = with_file();
    let second = node.paths.metas().join(BERLIN.to_string());
    let name = only_file(&second.join("policies"));
    let first = node.paths.persist().join(".fscrypt/policies").join(name.file_name().expect("a name"));
    boot_with_spoilt(&mut node, &first);
    assert!(std::fs::metadata(&first).is_err_and(|error| error.kind() != std::io::ErrorKind::NotFound));
    let status = node.status(BERLIN);
    assert_eq!(
        (status.state, node.get(BERLIN, "file").as_deref()),
        (State::Unlocked, Some("kept")),
        "{status:?}"
    );
    assert!(status.detail.iter().any(|line| line.contains("repairing a copy")), "{status:?}");
    node.hear(&mut controller, &[Line { operation: Operation::Lock, ..Line::of(Custody::Tpm) }]);
    assert_eq!(node.state(BERLIN), State::Locked);
}

/// The same where the folder of one vault's second copy does not read: vaultmgr starts, and every vault opens.
#[test]
fn one_folder_that_the_disk_does_not_give_concerns_its_vault_alone() {
    let (mut node, _) = with_file();
    let second = node.paths.metas().join(BERLIN.to_string());
    for spoilt in [second.join("protectors"), second] {
        boot_with_spoilt(&mut node, &spoilt);
        for id in [CONFIG_VAULT, IMAGE_VAULT, BERLIN] {
            assert_eq!(node.state(id), State::Unlocked, "{spoilt:?}: {:?}", node.status(id));
        }
        assert_eq!(node.get(BERLIN, "file").as_deref(), Some("kept"));
    }
}

/// Invariant 6: neither copy reads. Nothing is concluded: not missing, so that no order makes it anew in its place, and the status says what is.
#[test]
fn two_copies_that_the_disk_does_not_give_are_not_called_missing() {
    let (mut node, mut controller) = with_file();
    let name = only_file(&node.paths.metas().join(BERLIN.to_string()).join("policies"));
    node.stop();
    node.disk.spoil(&name);
    node.disk.spoil(&node.paths.persist().join(".fscrypt/policies").join(name.file_name().expect("a name")));
    node.disk.mount();
    node.start();
    node.hear(&mut controller, &[Line { created: true, recreate: true, ..Line::of(Custody::Tpm) }]);
    let status = node.status(BERLIN);
    assert_eq!(status.state, State::Failed, "{status:?}");
    assert!(status.detail[0].contains("reading metadata"), "{status:?}");
    assert!(node.paths.vault(BERLIN).exists(), "nothing of it is given up");
    assert_eq!(node.state(CONFIG_VAULT), State::Unlocked);
}

/// Key files under the vault's name, of no vault: both stand last among all that are there.
fn stray(beside: &MetaDir) -> KeyFiles {
    let last = beside.protectors().expect("lists").into_iter().max().expect("some");
    let last_policy = beside.policies().expect("lists").into_iter().max().expect("some");
    loop {
        let content = ContentKey::init(random).expect("a key");
        let protector = ProtectorKey::init(random).expect("a key");
        let wrapping = WrappingKey::init(random).expect("a key");
        let ivs = Ivs { protector: Iv([1; 16]), policy: Iv([2; 16]) };
        let name = format!("eve-vault {BERLIN} e0");
        let files = KeyFiles::make(&content, &protector, &wrapping, &name, Modes::AES_256_XTS, ivs);
        if files.protector.descriptor() > last && files.policy.policy().identifier > last_policy {
            return files;
        }
    }
}

/// Key files that an old backup of `.fscrypt` brings back, a protector or a whole pair, do not stand in the way of those in force.
#[test]
fn strays_from_a_backup_do_not_stand_in_the_way() {
    let (mut node, _) = with_file();
    let folder = node.paths.persist().join(".fscrypt");
    for whole_pair in [false, true] {
        let first = MetaDir::open(node.paths.disk(), &folder).expect("opens");
        let files = stray(&first);
        first.write_protector(&files.protector).expect("writes");
        if whole_pair {
            first.write_policy(&files.policy).expect("writes");
        }
        drop(first);
        node.reboot();
        let status = node.status(BERLIN);
        assert_eq!(status.state, State::Unlocked, "whole pair: {whole_pair}: {status:?}");
        assert!(!format!("{status:?}").contains("failed"), "{status:?}");
        assert_eq!(node.get(BERLIN, "file").as_deref(), Some("kept"));
        let read = MetaDir::open(node.paths.disk(), &folder)
            .expect("opens")
            .read_protector(files.protector.descriptor());
        assert!(read.is_ok(), "not ours to remove");
    }
}
