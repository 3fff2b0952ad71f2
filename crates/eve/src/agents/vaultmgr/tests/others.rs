//! Protectors that others added to a vault of ours: told, kept byte for byte, brought over to the second copy, wiped with the vault. Most
//! are added here as the `fscrypt` command adds them, one test has it do so itself.

use std::convert::Infallible;
use std::path::PathBuf;

use fscrypt::{
    Iv, KeyFiles, MetaDir, PolicyFile, ProtectorDescriptor, ProtectorFile, ProtectorKey, WrappingKey,
};
use testkit::fscrypt_cli::FscryptCli;
use vault::custody::{Shares, wrapping_secret};
use vault::ids::VaultId;
use vault::report::State;
use vault::section::{Custody, Operation};

use super::controller::{BERLIN, Controller, Line, key};
use super::node::Node;

const OTHER: VaultId = VaultId(uuid::Uuid::from_u128(0xf1));
const PASSPHRASE: &str = "correct horse";

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

/// KO-1, VC-2: what another program added to a vault is told while the node runs, taken over to the second copy, and stays byte for byte
/// through a change of key, a lock, a restart and a boot; the vault opens by ours all the while.
#[test]
fn ko1_a_protector_of_anothers_is_told_and_kept() {
    let (mut node, mut controller) = node();
    assert_eq!(told(&mut node, BERLIN), None);
    let (file, policy) = add(&node, &controller, BERLIN, "spare", 9);
    look(&mut node);
    let words = told(&mut node, BERLIN).expect("it is told");
    assert!(words.starts_with("another protector opens this vault too (1 with a key file)"), "{words}");
    assert_eq!(told(&mut node, OTHER), None, "of that vault alone");
    both_have(&node, BERLIN, &file, &policy, "added");
    node.hear(&mut controller, &both((2, 1)));
    assert_eq!(node.status(BERLIN).epoch.map(|epoch| epoch.0), Some(2), "{:?}", node.status(BERLIN));
    both_have(&node, BERLIN, &file, &policy, "after a change of key");
    let lock = Line { operation: Operation::Lock, ..line(BERLIN, (2, 1)) };
    node.hear(&mut controller, &[lock, line(OTHER, (2, 1))]);
    assert_eq!(node.state(BERLIN), State::Locked, "{:?}", node.status(BERLIN));
    assert!(told(&mut node, BERLIN).is_some());
    for reboot in [false, true] {
        if reboot {
            node.reboot()
        } else {
            node.restart()
        }
        assert!(told(&mut node, BERLIN).is_some(), "before any key is at hand");
        node.hear(&mut controller, &both((2, 1)));
        assert_eq!(node.get(BERLIN, "file").as_deref(), Some("kept"), "{:?}", node.status(BERLIN));
        both_have(&node, BERLIN, &file, &policy, "started anew");
    }
}

/// KO-1: it is never opened by us, whatever its name says; that it is named as ours is told.
#[test]
fn ko1_what_is_named_as_ours_is_not_taken_for_ours() {
    for (name, byte) in [("recovery e0", 1), ("e0", 2), ("e7", 3)] {
        let (mut node, mut controller) = node();
        let name = format!("eve-vault {BERLIN} {name}");
        let (file, policy) = add(&node, &controller, BERLIN, &name, byte);
        node.reboot();
        node.hear(&mut controller, &both((2, 1)));
        assert_eq!(node.get(BERLIN, "file").as_deref(), Some("kept"), "{name}: {:?}", node.status(BERLIN));
        let words = told(&mut node, BERLIN).expect("it is told");
        assert!(words.contains("(1 named as ours)"), "{name}: {words}");
        assert_eq!(first(&node).read_protector(file.descriptor()).expect("reads"), file, "{name}");
        assert_eq!(first(&node).read_policy(policy.policy().identifier).expect("reads"), policy, "{name}");
        node.reboot();
        node.hear(&mut controller, &both((2, 2)));
        assert_eq!(node.status(BERLIN).epoch.map(|epoch| epoch.0), Some(2), "{name}: ours was re-wrapped");
        node.hear(&mut controller, &[line(OTHER, (2, 2))]);
        assert_eq!(node.state(BERLIN), State::Removed, "{name}: {:?}", node.status(BERLIN));
        assert!(first(&node).read_protector(file.descriptor()).is_err(), "{name}: wiped with the vault");
    }
}

/// Issue 7, B: whichever file of either copy is damaged or gone, ours opens, and what others added is there again, in both places.
#[test]
fn what_others_added_is_mended_from_the_twin() {
    let (mut node, mut controller) = node();
    let (file, policy) = add(&node, &controller, BERLIN, "spare", 9);
    look(&mut node);
    let (own, of_vault) =
        (ours(&node, BERLIN).protector.descriptor(), node.paths.metas().join(BERLIN.to_string()));
    let names = [
        format!("protectors/{own}"),
        format!("protectors/{}", file.descriptor()),
        format!("policies/{}", policy.policy().identifier),
    ];
    let places = [node.paths.persist().join(".fscrypt"), of_vault];
    let paths: Vec<PathBuf> =
        places.iter().flat_map(|place| names.iter().map(|name| place.join(name))).collect();
    let before: Vec<_> = paths.iter().map(|path| std::fs::read(path).expect("reads")).collect();
    for (at, path) in paths.iter().enumerate() {
        for damage in ["removed", "cut", "emptied"] {
            node.stop();
            node.disk.mount();
            match damage {
                "removed" => std::fs::remove_file(path).expect("removes"),
                "cut" => std::fs::write(path, &before[at][..before[at].len() / 2]).expect("writes"),
                _ => std::fs::write(path, "").expect("writes"),
            }
            node.start();
            node.hear(&mut controller, &both((1, 1)));
            let when = format!("{} {damage}", path.display());
            assert_eq!(
                node.get(BERLIN, "file").as_deref(),
                Some("kept"),
                "{when}: {:?}",
                node.status(BERLIN)
            );
            for (path, bytes) in paths.iter().zip(&before) {
                assert_eq!(std::fs::read(path).ok().as_ref(), Some(bytes), "{when}: {}", path.display());
            }
        }
    }
}

/// KO-1: what is taken away where the tool writes is taken from the second copy too, and is not brought back.
#[test]
fn ko1_what_is_taken_away_is_gone_from_both() {
    let (mut node, mut controller) = node();
    let before = ours(&node, BERLIN);
    let (file, _) = add(&node, &controller, BERLIN, "spare", 9);
    look(&mut node);
    first(&node).write_policy(&before.policy).expect("writes");
    first(&node).remove_protector(file.descriptor()).expect("removes");
    look(&mut node);
    assert_eq!(told(&mut node, BERLIN), None);
    let twin = second(&node, BERLIN);
    assert_eq!(twin.protectors().expect("lists"), [before.protector.descriptor()]);
    assert_eq!(twin.read_policy(before.policy.policy().identifier).expect("reads"), before.policy);
    drop(twin);
    node.reboot();
    node.hear(&mut controller, &both((1, 1)));
    assert_eq!((node.get(BERLIN, "file").as_deref(), told(&mut node, BERLIN)), (Some("kept"), None));
    node.stop();
    assert!(!node.disk.contains(file.ciphertext()), "nor on the raw disk");
}

/// Invariant 4: a protector that something else needs outlives the vault; the last one that needs it takes it along.
#[test]
fn a_protector_of_two_vaults_goes_with_the_last() {
    let (mut node, mut controller) = node();
    let (file, _) = add(&node, &controller, BERLIN, "spare", 9);
    let (_, policy) = add(&node, &controller, OTHER, "spare", 9);
    look(&mut node);
    node.hear(&mut controller, &[line(OTHER, (1, 1))]);
    assert_eq!(node.state(BERLIN), State::Removed, "{:?}", node.status(BERLIN));
    both_have(&node, OTHER, &file, &policy, "the other was deleted");
    node.hear(&mut controller, &[]);
    assert_eq!(node.state(OTHER), State::Removed, "{:?}", node.status(OTHER));
    assert!(first(&node).read_protector(file.descriptor()).is_err());
    node.stop();
    assert!(!node.disk.contains(file.ciphertext()));
}

/// Invariant 4: while a policy of somebody else's does not read, nobody knows whom it names: what may be needed stays.
#[test]
fn what_may_be_needed_elsewhere_stays() {
    let (mut node, mut controller) = node();
    let (file, policy) = add(&node, &controller, BERLIN, "spare", 9);
    look(&mut node);
    let unread = node.paths.persist().join(".fscrypt/policies").join("ab".repeat(16));
    std::fs::write(unread, "not read").expect("writes");
    node.hear(&mut controller, &[line(OTHER, (1, 1))]);
    assert_eq!(node.state(BERLIN), State::Removed, "{:?}", node.status(BERLIN));
    assert_eq!(first(&node).read_protector(file.descriptor()).expect("stays"), file);
    assert!(
        first(&node).read_policy(policy.policy().identifier).is_err(),
        "the wrap of the content key is gone"
    );
}

/// Invariant 4: a vault of ours whose protector somebody put into another's policy loses nothing when that one is deleted, nor the other
/// way round.
#[test]
fn a_vaults_protector_in_anothers_policy_ties_neither_to_the_other() {
    for deleted in [BERLIN, OTHER] {
        let (mut node, mut controller) = node();
        let before = ours(&node, BERLIN);
        let (own, theirs) = (raw_key(&controller, OTHER, 1), ours(&node, OTHER));
        let (_, key) = theirs.open(&wrapping(own)).expect("opens");
        let (content, _) = before.open(&wrapping(raw_key(&controller, BERLIN, 1))).expect("opens");
        let added = PolicyFile::seal(&content, &key, before.policy.policy().modes, Iv([3; 16]));
        let policy = before.policy.mended(&added, theirs.protector.descriptor()).expect("has room");
        first(&node).write_policy(&policy).expect("writes");
        node.reboot();
        node.hear(&mut controller, &both((1, 1)));
        let stays = if deleted == BERLIN { OTHER } else { BERLIN };
        node.hear(&mut controller, &[line(stays, (1, 1))]);
        assert_eq!(node.state(deleted), State::Removed, "{:?}", node.status(deleted));
        node.reboot();
        node.hear(&mut controller, &[line(stays, (1, 1))]);
        assert_eq!(node.get(stays, "file").as_deref(), Some("kept"), "{:?}", node.status(stays));
    }
}

/// VC-2, IF-5, KO-1: the real command adds a passphrase of its own; the node changes its key; the command opens by its passphrase, and by
/// ours; and with the vault all of it goes.
#[test]
fn if5_the_fscrypt_command_adds_one_and_both_go_with_the_vault() {
    let (mut node, mut controller) = node();
    let cli =
        FscryptCli::new(&node.paths.persist().parent().expect("a root").join("cli")).expect("its folder");
    let peer = Peer { cli, mount: node.paths.persist().display().to_string(), own: ours(&node, BERLIN) };
    let added = peer.add(&node, raw_key(&controller, BERLIN, 1));
    look(&mut node);
    let words = told(&mut node, BERLIN).expect("it is told");
    assert!(words.contains("(1 with a passphrase)"), "{words}");
    let (file, policy) = (first(&node).read_protector(added).expect("reads"), ours(&node, BERLIN).policy);
    node.hear(&mut controller, &both((2, 1)));
    both_have(&node, BERLIN, &file, &policy, "after a change of key");
    node.stop();
    node.disk.mount();
    let dir = node.paths.vault(BERLIN);
    for (with, key) in
        [(added, None), (peer.own.protector.descriptor(), Some(raw_key(&controller, BERLIN, 2)))]
    {
        peer.unlock(&dir, with, key).expect("opens");
        assert_eq!(node.get(BERLIN, "file").as_deref(), Some("kept"));
        peer.cli.run(&["lock", &dir.display().to_string(), "--quiet"]).expect("locks");
    }
    let old = peer.unlock(&dir, peer.own.protector.descriptor(), Some(raw_key(&controller, BERLIN, 1)));
    old.expect_err("the key of before");
    node.start();
    node.hear(&mut controller, &both((2, 1)));
    assert_eq!(node.get(BERLIN, "file").as_deref(), Some("kept"), "{:?}", node.status(BERLIN));
    let current = ours(&node, BERLIN).protector;
    node.hear(&mut controller, &[line(OTHER, (2, 1))]);
    assert_eq!(node.state(BERLIN), State::Removed, "{:?}", node.status(BERLIN));
    let left = [first(&node).protectors(), first(&node).protectors()].map(|all| all.expect("lists"));
    assert!(left.iter().flatten().all(|of| *of != added && *of != current.descriptor()), "{left:?}");
    assert!(!first(&node).policies().expect("lists").contains(&policy.policy().identifier));
    node.stop();
    for (what, bytes) in [("theirs", file.ciphertext()), ("ours", current.ciphertext())] {
        assert!(!node.disk.contains(bytes), "{what} is on the raw disk");
    }
}

/// The `fscrypt` command beside a vault of ours.
struct Peer {
    cli: FscryptCli,
    mount: String,
    own: KeyFiles,
}

impl Peer {
    fn named(&self, key: impl std::fmt::Display) -> String {
        format!("{}:{key}", self.mount)
    }

    fn key_file(&self, key: [u8; 32]) -> String {
        format!("--key={}", self.cli.key_file("key", &key).expect("writes").display())
    }

    fn add(&self, node: &Node, key: [u8; 32]) -> ProtectorDescriptor {
        let before = first(node).protectors().expect("lists");
        let make = ["metadata", "create", "protector", &self.mount, "--source=custom_passphrase"];
        self.cli
            .run_told(&[&make[..], &["--name=spare", "--quiet"]].concat(), PASSPHRASE)
            .expect("makes one");
        let mut after = first(node).protectors().expect("lists").into_iter();
        let added = after.find(|one| !before.contains(one)).expect("a new one");
        let protector = format!("--protector={}", self.named(added));
        let policy = format!("--policy={}", self.named(self.own.policy.policy().identifier));
        let with = format!("--unlock-with={}", self.named(self.own.protector.descriptor()));
        let args = [
            "metadata",
            "add-protector-to-policy",
            &protector,
            &policy,
            &with,
            &self.key_file(key),
            "--quiet",
        ];
        self.cli.run_told(&args, PASSPHRASE).expect("adds it");
        added
    }

    fn unlock(
        &self,
        dir: &std::path::Path,
        with: ProtectorDescriptor,
        key: Option<[u8; 32]>,
    ) -> anyhow::Result<String> {
        let (dir, with) = (dir.display().to_string(), format!("--unlock-with={}", self.named(with)));
        let key = key.map(|key| self.key_file(key));
        let args: Vec<&str> = ["unlock", &dir, &with, "--quiet"].into_iter().chain(key.as_deref()).collect();
        self.cli.run_told(&args, PASSPHRASE)
    }
}
