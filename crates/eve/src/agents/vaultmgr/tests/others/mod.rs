//! Protectors that others added to a vault of ours: told, kept byte for byte, brought over to the second copy, wiped with the vault. Most
//! are added here as the `fscrypt` command adds them, one test has it do so itself.

mod command;
mod kept;
mod strangers;
mod wiped;

use std::convert::Infallible;

use fscrypt::{
    Iv, KeyFiles, MetaDir, PolicyFile, ProtectorDescriptor, ProtectorFile, ProtectorKey, WrappingKey,
};
use vault::custody::{Shares, wrapping_secret};
use vault::ids::VaultId;
use vault::section::Custody;

use super::controller::{BERLIN, Controller, Line, key};
use super::node::Node;

const OTHER: VaultId = VaultId(uuid::Uuid::from_u128(0xf1));

fn line(id: VaultId, epochs: (u64, u64)) -> Line {
    Line { id, epochs, created: true, ..Line::of(Custody::Controller) }
}

/// A node with two vaults of the controller's custody, each with a file.
fn node() -> (Node, Controller) {
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    let first = [BERLIN, OTHER].map(|id| Line { created: false, ..line(id, (1, 1)) });
    node.hear(&mut controller, &first);
    [BERLIN, OTHER].into_iter().for_each(|id| node.put(id, "file", "kept"));
    node.disk.sync();
    (node, controller)
}

fn both(epochs: (u64, u64)) -> [Line; 2] {
    [BERLIN, OTHER].map(|id| line(id, epochs))
}

/// `R` of a vault at an epoch, as a raw key.
fn raw_key(controller: &Controller, vault: VaultId, epoch: u64) -> [u8; 32] {
    let secret = wrapping_secret(vault, Shares::Controller(&key(controller.lineage, vault, epoch)));
    *secret.expose_wrapping_secret()
}

fn wrapping(bytes: [u8; 32]) -> WrappingKey {
    let Ok(key) = WrappingKey::init::<Infallible>(|out| {
        *out = bytes;
        Ok(())
    });
    key
}

pub(super) fn first(node: &Node) -> MetaDir {
    MetaDir::open(&disk::Disk::linux(), &node.paths.persist().join(".fscrypt")).expect("opens")
}

fn second(node: &Node, vault: VaultId) -> MetaDir {
    MetaDir::open(&disk::Disk::linux(), &node.paths.metas().join(vault.to_string())).expect("opens")
}

/// Our own files of a vault, in the first place.
fn ours(node: &Node, vault: VaultId) -> KeyFiles {
    let (first, twin) = (first(node), second(node, vault));
    let named = |of: &ProtectorDescriptor| {
        first.read_protector(*of).is_ok_and(|file| file.name().starts_with(&format!("eve-vault {vault} e")))
    };
    let protector = first.protectors().expect("lists").into_iter().find(named).expect("ours");
    let policy = twin.policies().expect("lists").remove(0);
    KeyFiles {
        protector: first.read_protector(protector).expect("reads"),
        policy: first.read_policy(policy).expect("reads"),
    }
}

/// A protector named `name`, around a key of bytes that are all `byte`, under a raw key of the same.
fn somebodys(name: &str, byte: u8) -> (ProtectorFile, ProtectorKey) {
    let Ok(key) = ProtectorKey::init::<Infallible>(|out| {
        out.fill(byte);
        Ok(())
    });
    (ProtectorFile::seal(&key, &wrapping([byte; 32]), name, Iv([byte; 16])), key)
}

/// Adds it to a vault, as the tool does: a file, and a wrap at the end of the policy's. Returns the two files.
pub(super) fn add(
    node: &Node,
    controller: &Controller,
    vault: VaultId,
    name: &str,
    byte: u8,
) -> (ProtectorFile, PolicyFile) {
    let (files, (file, key)) = (ours(node, vault), somebodys(name, byte));
    let opened = files.open(&wrapping(raw_key(controller, vault, 1)));
    let (content, _) = opened.expect("opens");
    let theirs = PolicyFile::seal(&content, &key, files.policy.policy().modes, Iv([byte; 16]));
    let policy = files.policy.mended(&theirs, file.descriptor()).expect("has room");
    let first = first(node);
    first.write_protector(&file).expect("writes");
    first.write_policy(&policy).expect("writes");
    node.disk.sync();
    (file, policy)
}

/// vaultmgr looks at what changed where the tool writes, as it does every few seconds.
pub(super) fn look(node: &mut Node) {
    node.manager().look_for_others();
    node.manager().settle_all();
}

pub(super) fn told(node: &mut Node, vault: VaultId) -> Option<String> {
    node.status(vault).detail.into_iter().find(|line| line.contains("opens this vault too"))
}

/// Both copies have these two files, byte for byte.
pub(super) fn both_have(
    node: &Node,
    vault: VaultId,
    protector: &ProtectorFile,
    policy: &PolicyFile,
    when: &str,
) {
    for (place, folder) in [("first", first(node)), ("second", second(node, vault))] {
        let read = folder.read_protector(protector.descriptor());
        assert_eq!(read.ok().as_ref(), Some(protector), "{when}: their protector in the {place} copy");
        let read = folder.read_policy(policy.policy().identifier);
        assert_eq!(
            read.ok().map(|read| read.to_bytes()),
            Some(policy.to_bytes()),
            "{when}: the {place} policy"
        );
    }
}
