//! The recovery key of a vault on a real kernel and a real disk: made, used, replaced, taken away; what of TPM and controller is gone.

mod command;
mod used;

use std::path::PathBuf;
use std::time::Duration;

use fscrypt::{MetaDir, ProtectorFile};
use vault::ids::VaultId;
use vault::recovery::Recipients;
use vault::report::{By, State, VaultReport};
use vault::secret::RecoveryKey;
use vault::section::{Custody, Operation};
use wire::age::{self, Identity};

use super::controller::{BERLIN, Controller, Line};
use super::node::Node;
use crate::agents::vaultmgr::belief::orders::Order;
use crate::agents::vaultmgr::hands::crypt::Crypt;
use crate::bus::messages::OrderError;

/// Two operators, as `age-keygen` made them for these tests: identity and recipient.
const OPERATORS: [(&str, &str); 2] = [
    (
        "AGE-SECRET-KEY-1AD09SLRRQKVXAUQA08C4EX2A2HJTX5XAMKVU7DEKT4SVYEV3K4TQ0U82P2",
        "age148z9va8x42exdm7nl0rkc8hde3nutdrx6a6jms2ksa05y6fevqqssazwnu",
    ),
    (
        "AGE-SECRET-KEY-1GXFVAC4EJWPUEVME4P70W0ETX682VCMMFP6X25V9QWWSX5LHF5NS7UKGD6",
        "age107mczvc8zuxh36ccw67g5vxlcgqscvjzf99hztsaehnmzzsemstqxhv77q",
    ),
];

/// Encrypted to the first operators, so many.
fn recipients(of: &[usize]) -> Recipients {
    let one = |at: &usize| OPERATORS[*at].1.parse().expect("a recipient");
    Recipients::try_from(of.iter().map(one).collect::<Vec<_>>()).expect("recipients")
}

pub(super) fn line(custody: Custody, of: &[usize]) -> Line {
    Line { recovery: recipients(of), created: true, ..Line::of(custody) }
}

/// A node with a vault that has a recovery key, and a file in it.
pub(super) fn node(line: &Line) -> (Node, Controller) {
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    node.hear(&mut controller, &[Line { created: false, ..line.clone() }]);
    node.put(BERLIN, "file", "kept");
    node.disk.sync();
    (node, controller)
}

/// The age files of a vault in the first place; the second has the same.
fn age_files(node: &Node, id: VaultId) -> Vec<PathBuf> {
    let of = |name: &str| name.starts_with(&id.to_string()) && name.ends_with(".age");
    let [first, second] = node.paths.recoveries().map(|folder| {
        let all = std::fs::read_dir(folder).expect("lists").flatten().map(|entry| entry.path());
        let mut all: Vec<_> =
            all.filter(|path| path.file_name().and_then(|name| name.to_str()).is_some_and(of)).collect();
        all.sort();
        all
    });
    let bytes =
        |all: &[PathBuf]| all.iter().map(|path| std::fs::read(path).expect("reads")).collect::<Vec<_>>();
    assert_eq!(bytes(&first), bytes(&second), "both places");
    first
}

/// The recovery key as an operator gets it, with the identity that he keeps offline.
fn opened_by(node: &Node, operator: usize) -> Result<RecoveryKey, age::OpenError> {
    let identity = Identity::read_all(OPERATORS[operator].0).expect("an identity");
    let file = age_files(node, BERLIN).pop().expect("an age file");
    age::open(&std::fs::read(file).expect("reads"), &identity)
}

/// Whether a recovery key that lies there, as a cut may have left several, opens the vault for one of the operators.
pub(super) fn any_opens(node: &mut Node) -> bool {
    let identities = OPERATORS.map(|(identity, _)| Identity::read_all(identity).expect("an identity"));
    let identities: Vec<Identity> = identities.into_iter().flatten().collect();
    let files = std::fs::read_dir(&node.paths.recoveries()[0]).expect("lists").flatten();
    let files: Vec<_> = files.filter_map(|entry| std::fs::read(entry.path()).ok()).collect();
    let keys: Vec<_> = files.iter().filter_map(|file| age::open(file, &identities).ok()).collect();
    keys.iter().any(|key| recover(node, key).is_ok())
}

fn copy(key: &RecoveryKey) -> RecoveryKey {
    RecoveryKey::copied_from(key.expose_recovery_key())
}

pub(super) fn recover(node: &mut Node, key: &RecoveryKey) -> Result<VaultReport, OrderError> {
    node.manager().obey(&Order::Recover(BERLIN, copy(key)), Duration::ZERO, &mut |_| ())
}

pub(super) fn key(node: &Node) -> RecoveryKey {
    opened_by(node, 0).expect("the first operator is a recipient")
}

pub(super) fn says(node: &mut Node, words: &str) -> bool {
    node.status(BERLIN).detail.iter().any(|line| line.contains(words))
}

pub(super) fn kept(node: &Node) -> bool {
    node.get(BERLIN, "file").as_deref() == Some("kept")
}

fn by(node: &mut Node) -> Option<By> {
    node.status(BERLIN).opened.map(|opened| opened.by)
}

/// The recovery protectors that lie in the first place.
pub(super) fn protectors(node: &Node) -> Vec<ProtectorFile> {
    let first = MetaDir::open(&disk::Disk::linux(), &node.paths.persist().join(".fscrypt")).expect("opens");
    let all =
        first.protectors().expect("lists").into_iter().map(|of| first.read_protector(of).expect("reads"));
    all.filter(|file| file.name().starts_with(&format!("eve-vault {BERLIN} recovery-"))).collect()
}

/// What tells this recovery key on a raw disk: the age file's payload, and the wrap that it opens.
pub(super) fn bytes(node: &Node) -> Vec<Vec<u8>> {
    let files = age_files(node, BERLIN).into_iter().map(|path| {
        let file = std::fs::read(path).expect("reads");
        file[file.len() - 48..].to_vec()
    });
    files.chain(protectors(node).iter().map(|file| file.ciphertext().to_vec())).collect()
}

pub(super) fn is_ready(node: &mut Node, when: &str) {
    assert!(says(node, "recovery: 1 recipient, ready"), "{when}: {:?}", node.status(BERLIN));
    assert_eq!((age_files(node, BERLIN).len(), protectors(node).len()), (1, 1), "{when}");
}

pub(super) fn is_gone(node: &mut Node, before: &[Vec<u8>], when: &str) {
    assert_eq!((age_files(node, BERLIN).len(), protectors(node).len()), (0, 0), "{when}");
    node.stop();
    assert!(before.iter().all(|bytes| !node.disk.contains(bytes)), "{when}: it is on the raw disk");
}

/// UC-E: each custody may have one, made with the vault or later; without it in the policy there is none.
#[test]
fn uce_a_policy_gives_a_vault_a_recovery_key() {
    for custody in [Custody::Tpm, Custody::Controller, Custody::TpmAndController] {
        let (mut node, mut controller) = node(&line(custody, &[]));
        assert!(age_files(&node, BERLIN).is_empty() && !says(&mut node, "recovery"), "{custody:?}");
        node.hear(&mut controller, &[line(custody, &[0])]);
        is_ready(&mut node, "asked for");
        assert!(!says(&mut node, "opens this vault too"), "it is nobody else's: {:?}", node.status(BERLIN));
        let before = protectors(&node);
        node.restart();
        node.hear(&mut controller, &[line(custody, &[0])]);
        assert_eq!(protectors(&node), before, "it stays");
        opened_by(&node, 1).map(drop).expect_err("no recipient's");
    }
}

/// TH-1: recipients that change, a rotation, and a vault without one leave nothing of the key of before, in no file and no freed block.
#[test]
fn th1_what_is_replaced_or_taken_away_is_scrubbed() {
    let both = |epochs, of: &[usize]| Line { epochs, ..line(Custody::TpmAndController, of) };
    let (mut node, mut controller) = node(&both((1, 1), &[0]));
    for (line, what, operator) in [
        (both((1, 1), &[1]), "other recipients", 1),
        (both((2, 1), &[1]), "a rotation", 1),
        (both((2, 1), &[0]), "the first again", 0),
    ] {
        let before = bytes(&node);
        assert_eq!(before.len(), 2, "before {what}");
        node.hear(&mut controller, std::slice::from_ref(&line));
        is_ready(&mut node, what);
        opened_by(&node, operator).map(drop).expect(what);
        node.stop();
        assert!(before.iter().all(|bytes| !node.disk.contains(bytes)), "{what}: the one before is there");
        node.disk.mount();
        node.start();
        node.hear(&mut controller, &[line]);
    }
    let before = bytes(&node);
    node.hear(&mut controller, &[both((2, 1), &[])]);
    assert!(kept(&node) && !says(&mut node, "recovery"), "{:?}", node.status(BERLIN));
    is_gone(&mut node, &before, "taken out of the policy");
}

/// TH-1, IF-5: with the vault it goes.
#[test]
fn if5_a_removal_takes_it_with_it() {
    let (mut node, mut controller) = node(&line(Custody::Controller, &[0]));
    let before = bytes(&node);
    node.hear(&mut controller, &[]);
    assert_eq!(node.state(BERLIN), State::Removed, "{:?}", node.status(BERLIN));
    is_gone(&mut node, &before, "removed");
}

/// UC-E: a locked vault follows its policy too: who was taken out of the recipients is out.
#[test]
fn uce_a_locked_vaults_recipients_change() {
    let locked = |of: &[usize]| Line { operation: Operation::Lock, ..line(Custody::Tpm, of) };
    let (mut node, mut controller) = node(&line(Custody::Tpm, &[0]));
    node.hear_until(&mut controller, &[locked(&[0])], State::Locked);
    node.hear(&mut controller, &[locked(&[1])]);
    assert_eq!(node.state(BERLIN), State::Locked);
    opened_by(&node, 1).map(drop).expect("the new recipient");
    is_ready(&mut node, "locked");
}

/// Invariant 5: a copy that is lost or damaged is told, and another key takes its place.
#[test]
fn what_is_damaged_is_told_and_replaced() {
    let (mut node, mut controller) = node(&line(Custody::Controller, &[0]));
    for place in 0..2 {
        let name = age_files(&node, BERLIN).pop().and_then(|path| path.file_name().map(ToOwned::to_owned));
        let path = node.paths.recoveries()[place].join(name.expect("a name"));
        let mut file = std::fs::read(&path).expect("reads");
        let last = file.len() - 1;
        file[last] ^= 1;
        std::fs::write(&path, file).expect("writes");
        node.reboot();
        assert!(says(&mut node, "recovery:"), "{:?}", node.status(BERLIN));
        node.hear(&mut controller, &[Line { withheld: true, ..line(Custody::Controller, &[0]) }]);
        assert!(says(&mut node, "damaged or half made"), "{:?}", node.status(BERLIN));
        node.hear(&mut controller, &[line(Custody::Controller, &[0])]);
        is_ready(&mut node, "mended");
    }
}

/// UC-E: a checkpoint gives nobody a recovery key and takes none away; nor does a controller whose section is withheld.
#[test]
fn uce_only_a_live_section_changes_it() {
    let (mut node, mut controller) = node(&line(Custody::Tpm, &[0]));
    let before = protectors(&node);
    node.reboot();
    assert!(kept(&node), "by the checkpoint");
    assert_eq!(protectors(&node), before);
    let session = node.manager().session_key();
    controller.follows = None;
    let older = controller.section(session, &[line(Custody::Tpm, &[1])]);
    node.hear_bytes(vault::wanted::Authority::Checkpoint, &older);
    assert_eq!(protectors(&node), before, "{:?}", node.status(BERLIN));
}

/// TH-1: what goes into escrow is the policy's file of now, also once both copies on the disk are damaged: a recovery key that was replaced does not come
/// back with a bundle.
#[test]
fn th1_a_replaced_recovery_key_is_in_no_bundle() {
    let (mut node, mut controller) = node(&line(Custody::Tpm, &[0]));
    let before = protectors(&node).iter().map(ProtectorFile::descriptor).next().expect("there is one");
    node.hear(&mut controller, &[line(Custody::Tpm, &[1])]);
    let now = protectors(&node).iter().map(ProtectorFile::descriptor).next().expect("there is one");
    assert_ne!(before, now);
    let second = node.paths.metas().join(BERLIN.to_string()).join("policies");
    let name =
        std::fs::read_dir(&second).expect("a folder").next().expect("a file").expect("reads").file_name();
    for folder in [second, node.paths.persist().join(".fscrypt/policies")] {
        std::fs::write(folder.join(&name), b"damage").expect("writes");
    }
    let files = node.manager().crypt.key_files(BERLIN).expect("what a key opened");
    let policy = fscrypt::PolicyFile::parse(&files.policy.bytes).expect("reads");
    let named: Vec<_> = policy.named().collect();
    assert!(named.contains(&now) && !named.contains(&before), "{named:?}");
}
