//! The same of a node without a TPM: it has no share table, and all its vaults open by a word of the controller's (DF-3).

use std::path::PathBuf;

use testkit::sample;
use vault::ids::{CONFIG_VAULT, IMAGE_VAULT, VaultId};
use vault::report::State;
use vault::section::Custody;

use super::super::controller::{BERLIN, Controller, Line};
use super::super::node::Node;
use super::{DAMAGES, Damage, Files, damage, files, key_files, twins_agree};
use crate::agents::vaultmgr::belief::record;

const ALL: [VaultId; 3] = [CONFIG_VAULT, IMAGE_VAULT, BERLIN];

fn lines(epoch: u64, created: bool) -> [Line; 3] {
    ALL.map(|id| Line { id, epochs: (epoch, 1), created, ..Line::of(Custody::Controller) })
}

/// A node whose vaults' keys were changed once, its controller, and its files of before.
fn node() -> (Node, Controller, Files) {
    let (mut node, mut controller) = (Node::new(false), Controller::new());
    node.hear(&mut controller, &lines(1, false));
    ALL.iter().for_each(|id| node.put(*id, "file", "kept"));
    let older = outside(&node);
    node.hear(&mut controller, &lines(2, true));
    (node, controller, older)
}

/// What lies outside the vaults, the root certificate with it.
fn outside(node: &Node) -> Files {
    let mut found = files_there(node);
    let root = node.paths.root_certificate();
    found.insert(root.clone(), std::fs::read(root).expect("reads"));
    found
}

/// It has no folder of tables.
fn files_there(node: &Node) -> Files {
    std::fs::create_dir_all(&node.paths.tables()[0]).expect("makes");
    let found = files(node);
    std::fs::remove_dir(&node.paths.tables()[0]).expect("is empty: a node without a TPM has no table");
    found
}

fn all_open(node: &mut Node, controller: &mut Controller, when: &str) {
    // The Config Vault is first, and the record in it.
    node.hear(controller, &lines(2, true));
    node.hear(controller, &lines(2, true));
    for id in ALL {
        assert_eq!(node.get(id, "file").as_deref(), Some("kept"), "{when}: {:?}", node.status(id));
    }
}

fn boot_after(node: &mut Node, act: impl FnOnce()) {
    node.stop();
    node.disk.mount();
    act();
    node.start();
}

/// Issue 7, B: each file of a node without a TPM, in every way.
#[test]
fn df3_no_single_file_closes_a_vault_without_a_tpm() {
    let (mut node, mut controller, older) = node();
    let before = outside(&node);
    assert_eq!(before.len(), 13, "the key files of three vaults twice, and the root certificate");
    let root = node.paths.root_certificate();
    for path in before.keys().filter(|path| **path != root) {
        for what in DAMAGES {
            let when = format!("{}: {what:?}", path.display());
            boot_after(&mut node, || damage(path, what, &older));
            assert!(ALL.iter().all(|id| node.state(*id) != State::Unlocked), "{when}: not by themselves");
            all_open(&mut node, &mut controller, &when);
            let after = outside(&node);
            assert!(after.keys().eq(before.keys()) && twins_agree(&node, &after), "{when}: mended");
        }
    }
}

/// A root certificate that is damaged, what is said of it, and what opens by a word of the controller's all the same: who is believed stands in
/// the Config Vault, so that one opens by the key that is its own, and by that it is known.
type Unbelieved = (Damage, &'static str, &'static [VaultId]);

/// One that is still the same key's, and is another certificate; and what is none.
const UNBELIEVED: [Unbelieved; 4] = [
    (Damage::Flipped(60), "another root certificate than at first contact", &[CONFIG_VAULT]),
    (Damage::Cut, "configuration was refused", &[]),
    (Damage::Emptied, "configuration was refused", &[]),
    (Damage::Removed, "configuration was refused", &[]),
];

/// Nobody is obeyed, nothing is deleted, and all is there when it is back, with whatever else was damaged.
fn believes_nobody(
    node: &mut Node,
    controller: &mut Controller,
    (what, says, open): Unbelieved,
    with: impl FnOnce(),
    when: &str,
) {
    let path = node.paths.root_certificate();
    let whole = std::fs::read(&path).expect("reads");
    boot_after(node, || {
        damage(&path, what, &Files::new());
        with();
    });
    node.hear(controller, &lines(2, true));
    let is: Vec<_> = ALL.into_iter().filter(|id| node.get(*id, "file").is_some()).collect();
    assert_eq!(is, open, "{when}: {:?}", node.manager().vault_status());
    assert!(node.says(says), "{when}: {:?}", node.manager().notes());
    boot_after(node, || std::fs::write(&path, &whole).expect("writes"));
    all_open(node, controller, when);
}

/// Another root certificate, or none.
#[test]
fn df3_no_root_certificate_turns_a_node_without_a_tpm() {
    let (mut node, mut controller, _) = node();
    for row in UNBELIEVED {
        believes_nobody(&mut node, &mut controller, row, || (), &format!("{:?}", row.0));
    }
}

/// Issue 7, B: a key file and the root certificate at once, which is as the certificate alone; and a key file and the record.
#[test]
fn df3_a_key_file_with_what_says_whom_to_believe_is_as_that_alone() {
    let (mut node, mut controller, older) = node();
    let (before, keys) = (outside(&node), all_key_files(&node));
    let all: Vec<_> = keys.iter().flat_map(|key| UNBELIEVED.map(|row| (key, row))).collect();
    let damages = [Damage::Flipped(MIDST), Damage::Removed, Damage::Older];
    let with = all.into_iter().enumerate().map(|(at, (key, row))| (key, damages[at % damages.len()], row));
    for ((.., path), what, row) in sample::of(with.collect(), |((id, kind, _), what, row)| {
        vec![format!("{id} {kind}"), format!("{what:?}"), format!("{:?}", row.0)]
    }) {
        let when = format!("{} {what:?}, and the root certificate {:?}", path.display(), row.0);
        believes_nobody(&mut node, &mut controller, row, || damage(path, what, &older), &when);
        let after = outside(&node);
        assert!(after.keys().eq(before.keys()) && twins_agree(&node, &after), "{when}: mended");
    }
    let record = node.paths.record();
    for ((.., path), what) in keys.iter().zip(damages.into_iter().cycle()) {
        let when = format!("{} {what:?}, and the record", path.display());
        damage(&record, what, &Files::from([(record.clone(), std::fs::read(&record).expect("reads"))]));
        boot_after(&mut node, || damage(path, what, &older));
        all_open(&mut node, &mut controller, &when);
        assert!(matches!(record::load(&node.paths), Ok(Some(_))), "{when}: it is written anew");
        assert!(twins_agree(&node, &outside(&node)), "{when}: mended");
    }
}

/// The record, while its vault is open: the next word of the controller's writes it anew.
#[test]
fn df3_no_record_closes_a_vault_without_a_tpm() {
    let (mut node, mut controller, _) = node();
    let path = node.paths.record();
    let older = Files::from([(path.clone(), std::fs::read(&path).expect("reads"))]);
    for what in DAMAGES {
        let when = format!("{what:?}");
        damage(&path, what, &older);
        node.reboot();
        all_open(&mut node, &mut controller, &when);
        let kept = record::load(&node.paths);
        assert!(matches!(kept, Ok(Some(_))), "{when}: it is written anew: {kept:?}");
    }
}

/// Both copies of one kind: that vault is lost, and says so; the others open, and nothing is deleted.
#[test]
fn df3_a_vault_without_key_files_takes_no_other_with_it() {
    let (mut node, mut controller, older) = node();
    let before = outside(&node);
    for id in ALL {
        let of_kind = |kind: usize| [0, 2].map(|place| key_files(&node, id)[place + kind].clone());
        let damages = [(0, Damage::Removed), (0, Damage::Flipped(140)), (1, Damage::Flipped(140))];
        for (both, what) in damages.map(|(kind, what)| (of_kind(kind), what)) {
            let when = format!("{}: {what:?}", both[0].display());
            boot_after(&mut node, || both.iter().for_each(|path| damage(path, what, &older)));
            assert_eq!(not_alone(&mut node, &mut controller, id), None, "{when}");
            let put_back = |path| std::fs::write(path, &before[path]).expect("writes");
            boot_after(&mut node, || both.iter().for_each(put_back));
            all_open(&mut node, &mut controller, &format!("{when}, undone"));
        }
    }
}

/// Behind what only informs, in each of them.
const MIDST: usize = 140;

/// What is done to both files of a pair.
const TOGETHER: [[Damage; 2]; 5] = [
    [Damage::Flipped(MIDST), Damage::Flipped(MIDST)],
    [Damage::Removed, Damage::Removed],
    [Damage::Flipped(MIDST), Damage::Removed],
    [Damage::Cut, Damage::Emptied],
    [Damage::Older, Damage::Older],
];

/// A key file of a vault: its protector (0) or its policy (1), in the first place or the second.
type KeyFile = (VaultId, usize, PathBuf);

fn all_key_files(node: &Node) -> Vec<KeyFile> {
    let of = |id| key_files(node, id).into_iter().enumerate().map(move |(at, path)| (id, at % 2, path));
    ALL.into_iter().flat_map(of).collect()
}

/// The vault both of whose protectors, or policies, are damaged: it is missing. One of before opens by the key of before.
fn lost([one, other]: [&KeyFile; 2], what: [Damage; 2]) -> Option<VaultId> {
    let both = one.0 == other.0 && one.1 == other.1 && what[0] != Damage::Older;
    both.then_some(one.0)
}

/// Every vault opens and every file is mended, but for a vault that has lost its keys: that one says so, and is there with them.
fn pairs_from(first: usize) {
    let (mut node, mut controller, older) = node();
    let (all, mut wrong) = (all_key_files(&node), Vec::new());
    let pairs =
        all.iter().enumerate().flat_map(|(at, one)| all[at + 1..].iter().map(move |other| [one, other]));
    // With each file in each way, and with it that its vault is lost or not.
    let all =
        sample::of(pairs.flat_map(|pair| TOGETHER.map(|what| (pair, what))).collect(), |(pair, what)| {
            let is_lost = lost(*pair, *what).is_some();
            let of = |((id, kind, path), what): (&&KeyFile, &Damage)| {
                [format!("{} {what:?}", path.display()), format!("{id} {kind}: {is_lost} {what:?}")]
            };
            pair.iter().zip(what).flat_map(of).collect()
        });
    for (pair, what) in all.into_iter().skip(first).step_by(2) {
        let when = format!("{pair:?}: {what:?}");
        let before = outside(&node);
        boot_after(&mut node, || {
            pair.iter().zip(what).for_each(|((.., path), what)| damage(path, what, &older));
        });
        assert!(ALL.iter().all(|id| node.state(*id) != State::Unlocked), "{when}: not by themselves");
        if let Some(id) = lost(pair, what) {
            wrong.extend(not_alone(&mut node, &mut controller, id).map(|told| format!("{when}: {told}")));
            let put_back = |(.., path): &KeyFile| std::fs::write(path, &before[path]).expect("writes");
            boot_after(&mut node, || pair.into_iter().for_each(put_back));
        }
        all_open(&mut node, &mut controller, &when);
        let after = outside(&node);
        assert!(after.keys().eq(before.keys()) && twins_agree(&node, &after), "{when}: mended");
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What is otherwise than that this vault is missing, and the others are open.
fn not_alone(node: &mut Node, controller: &mut Controller, id: VaultId) -> Option<String> {
    node.hear(controller, &lines(2, true));
    node.hear(controller, &lines(2, true));
    let closed = |node: &Node, other: &VaultId| node.get(*other, "file").is_none();
    let closed: Vec<_> = ALL.into_iter().filter(|other| *other != id && closed(node, other)).collect();
    let told = node.status(id);
    (told.state != State::Missing || !closed.is_empty()).then(|| format!("closed: {closed:?}; {told:?}"))
}

/// Issue 7, B: pairs of them. Half here, half below, side by side.
#[test]
fn df3_each_pair_of_key_files_costs_at_most_the_vault_that_has_lost_both_copies() {
    pairs_from(0);
}

#[test]
fn df3_each_other_pair_of_key_files_costs_as_little() {
    pairs_from(1);
}
