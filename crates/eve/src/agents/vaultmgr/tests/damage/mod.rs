//! Files of ours that somebody, or time, has changed while the node was off: one by one in every way, and a vault's key files in every
//! combination that leaves one of each kind. What opens, and that what was changed is mended.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use vault::ids::{CONFIG_VAULT, Generation, IMAGE_VAULT, VaultId};
use vault::report::State;
use vault::roots::TpmRoot;
use vault::secret::{RootSecret, TableKey};
use vault::section::Custody;
use vault::shares::Table;

mod ages;
mod attributed;
mod master;
mod names;
mod pairs;
mod stamps;
mod table;
mod without_tpm;

use super::controller::{BERLIN, Controller, Line};
use super::node::Node;
use crate::bus::messages::Hope;

/// What is done to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Damage {
    None,
    Flipped(usize),
    Cut,
    Emptied,
    Removed,
    /// What it was before the last change of keys.
    Older,
    /// Another node's in its place.
    Foreign,
}

const DAMAGES: [Damage; 7] = [
    Damage::Flipped(0),
    Damage::Flipped(9),
    Damage::Flipped(usize::MAX),
    Damage::Cut,
    Damage::Emptied,
    Damage::Removed,
    Damage::Older,
];

type Files = BTreeMap<PathBuf, Vec<u8>>;

/// `older`: what is put in its place, where something is.
fn damage(path: &Path, damage: Damage, older: &Files) {
    let Ok(mut bytes) = std::fs::read(path) else { return };
    match damage {
        Damage::None => return,
        Damage::Flipped(at) => {
            let at = at.min(bytes.len() - 1);
            bytes[at] ^= 1;
        }
        Damage::Cut => bytes.truncate(bytes.len() / 2),
        Damage::Emptied => bytes.clear(),
        Damage::Removed => return std::fs::remove_file(path).expect("removes"),
        Damage::Older | Damage::Foreign => match older.get(path) {
            Some(before) => bytes.clone_from(before),
            None => return,
        },
    }
    std::fs::write(path, bytes).expect("writes");
}

/// All files that vaultmgr keeps outside the vaults.
fn files(node: &Node) -> Files {
    let persist = node.disk.persist();
    let mut folders = vec![persist.join(".fscrypt"), node.paths.metas(), node.paths.tables()[0].clone()];
    let mut found = Files::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("lists").map(|entry| entry.expect("one").path()) {
            if entry.is_dir() {
                folders.push(entry)
            } else {
                drop(found.insert(entry.clone(), std::fs::read(&entry).expect("reads")))
            }
        }
    }
    found
}

fn line() -> Line {
    Line { epochs: (2, 1), created: true, ..Line::of(Custody::TpmAndController) }
}

/// A vault that came later.
const OTHER: VaultId = VaultId(uuid::Uuid::from_u128(0xf1));

fn lines() -> [Line; 2] {
    [line(), Line { id: OTHER, ..Line::of(Custody::Tpm) }]
}

/// A node with a vault whose key was changed once, when another vault came, and all its files of before.
fn node() -> (Node, Controller, Files) {
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    node.hear(&mut controller, &[Line { epochs: (1, 1), created: false, ..line() }]);
    node.put(BERLIN, "file", "kept");
    let older = files(&node);
    node.hear(&mut controller, &lines());
    node.put(OTHER, "file", "kept");
    (node, controller, older)
}

fn all_is_there(node: &mut Node, controller: &mut Controller, when: &str) {
    for id in [CONFIG_VAULT, IMAGE_VAULT] {
        assert_eq!(node.state(id), State::Unlocked, "{when}: before any contact: {:?}", node.status(id));
    }
    node.hear(controller, &lines());
    for id in [OTHER, BERLIN] {
        assert_eq!(node.get(id, "file").as_deref(), Some("kept"), "{when}: {:?}", node.status(id));
    }
    let status = node.status(BERLIN);
    assert_eq!(status.epoch.map(|epoch| epoch.0), Some(2), "{when}: {status:?}");
}

/// Issue 7, B; seen by users 0b.6: no single file of ours closes a vault, whatever is done to it, and each is mended by the next boot
/// with what the vault needs to open: so that the same again costs nothing either.
#[test]
fn no_single_file_closes_a_vault() {
    let (mut node, mut controller, older) = node();
    let before = files(&node);
    assert!(before.len() > 16, "four vaults' key files twice, and the table twice: {:?}", before.keys());
    for path in before.keys() {
        for what in DAMAGES {
            let when =
                format!("{}: {what:?}", path.strip_prefix(node.disk.persist()).expect("on it").display());
            node.stop();
            node.disk.mount();
            damage(path, what, &older);
            node.start();
            all_is_there(&mut node, &mut controller, &when);
            let after = files(&node);
            assert_eq!(after.keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>(), "{when}");
            assert!(twins_agree(&node, &after), "{when}: mended");
        }
    }
}

/// Whether each file is the same in both its places.
fn twins_agree(node: &Node, files: &Files) -> bool {
    let [first, second] = node.paths.table(Generation::FIRST);
    let kept_second = |path: &Path| path.strip_prefix(node.paths.metas()).ok().and_then(key_file);
    let mut seconds = files.iter().filter_map(|(path, bytes)| Some((kept_second(path)?, bytes)));
    let same = |(name, bytes): (PathBuf, &Vec<u8>)| {
        files.get(&node.disk.persist().join(".fscrypt").join(name)) == Some(bytes)
    };
    files.get(&first) == files.get(&second) && seconds.all(same)
}

/// `UUID/protectors/NAME` without its first part.
fn key_file(path: &Path) -> Option<PathBuf> {
    path.iter().next()?.to_str()?.parse::<VaultId>().ok()?;
    Some(path.iter().skip(1).collect())
}

/// A vault's protector and policy, in the first place and in the second.
fn key_files(node: &Node, id: VaultId) -> [PathBuf; 4] {
    let second = node.paths.metas().join(id.to_string());
    let only = |kind: &str| {
        let mut all = std::fs::read_dir(second.join(kind)).expect("lists");
        PathBuf::from(kind).join(all.next().expect("one").expect("reads").file_name())
    };
    let (protector, policy) = (only("protectors"), only("policies"));
    let first = node.disk.persist().join(".fscrypt");
    [first.join(&protector), first.join(&policy), second.join(&protector), second.join(&policy)]
}

/// Seen by users 0b.11: whichever of a vault's four key files are damaged or gone, one good protector and one good policy open it,
/// from whatever places, and mend the rest.
#[test]
fn one_good_protector_and_one_good_policy_open_a_vault() {
    const STATES: [Damage; 3] = [Damage::None, Damage::Flipped(usize::MAX / 2), Damage::Removed];
    let (mut node, mut controller, older) = node();
    let key_files = key_files(&node, BERLIN);
    let before = files(&node);
    let mut tried = 0;
    for n in 0..81 {
        let states = [n % 3, n / 3 % 3, n / 9 % 3, n / 27].map(|state: usize| STATES[state]);
        let good = |one: usize, other: usize| [states[one], states[other]].contains(&Damage::None);
        if !good(0, 2) || !good(1, 3) {
            continue;
        }
        tried += 1;
        let when = format!("protector, policy; second protector, policy: {states:?}");
        node.stop();
        node.disk.mount();
        key_files.iter().zip(states).for_each(|(path, state)| damage(path, state, &older));
        node.start();
        all_is_there(&mut node, &mut controller, &when);
        for path in &key_files {
            assert_eq!(std::fs::read(path).ok().as_ref(), before.get(path), "{when}: {}", path.display());
        }
    }
    assert_eq!(tried, 25);
}

/// The same where the disk takes no write: it opens.
#[test]
fn halves_open_a_vault_on_a_disk_without_room() {
    let (mut node, mut controller, older) = node();
    let [first_protector, _, _, second_policy] = key_files(&node, BERLIN);
    node.stop();
    node.disk.mount();
    [first_protector, second_policy].iter().for_each(|path| damage(path, Damage::Removed, &older));
    let faults = node.faults.clone();
    faults.during(disk::faulty::Fault::Full, 0, || {
        node.start();
        node.hear(&mut controller, &lines());
        assert_eq!(node.get(BERLIN, "file").as_deref(), Some("kept"), "{:?}", node.status(BERLIN));
    });
}

/// Both copies of the table gone: as before, the vaults say so, and nothing is made in their place.
#[test]
fn without_either_table_the_vaults_are_missing() {
    let (mut node, ..) = node();
    node.stop();
    node.disk.mount();
    node.paths.table(Generation::FIRST).iter().for_each(|path| std::fs::remove_file(path).expect("removes"));
    node.start();
    assert_eq!(node.state(CONFIG_VAULT), State::Missing, "{:?}", node.status(CONFIG_VAULT));
}

fn table_key(node: &Node) -> TableKey {
    TpmRoot(RootSecret::copied_from(&node.nv.0.borrow().slots[0].tpm)).table_key()
}

/// Seen by users 0b.6, TH-6: a disk of before the second copy, whose table had no edition and did not remember what was dropped, opens, and its
/// generation ends: the next one's table lies in both places.
#[test]
fn a_disk_with_one_table_of_before_is_opened_and_gets_the_second() {
    let (mut node, mut controller, _) = node();
    let (key, [first, second]) = (table_key(&node), node.paths.table(Generation::FIRST));
    let next = node.paths.table(Generation(2));
    let new = std::fs::read(&first).expect("reads");
    let body = [b"EVESHR1\n".as_slice(), &new[8..12], &new[20..new.len() - 2 - 32]].concat();
    let mac_key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, key.expose_table_key());
    let old = [&body, aws_lc_rs::hmac::sign(&mac_key, &body).as_ref()].concat();
    node.stop();
    node.disk.mount();
    std::fs::write(&first, &old).expect("writes");
    std::fs::remove_dir_all(second.parent().expect("a folder")).expect("removes");
    node.start();
    all_is_there(&mut node, &mut controller, "a table of before");
    assert!(!first.exists() && !second.exists() && next.iter().all(|path| path.exists()));
    let third = Line { id: VaultId(uuid::Uuid::from_u128(9)), ..Line::of(Custody::Tpm) };
    node.hear(&mut controller, &[&lines()[..], &[third]].concat());
    let key = table_key(&node);
    let editions = next
        .map(|path| Table::decode(&std::fs::read(path).expect("reads"), &key).expect("authentic").edition());
    assert!(editions[0] > 0 && editions[0] == editions[1], "{editions:?}");
    node.reboot();
    all_is_there(&mut node, &mut controller, "rebooted");
}

/// A table that was begun anew by order counts before what was kept aside, should somebody put that back beside it.
#[test]
fn a_table_begun_anew_is_newer_than_any_before() {
    let mut node = Node::new(true);
    let [first, second] = node.paths.table(Generation::FIRST);
    let lost = std::fs::read(&first).expect("reads");
    node.stop();
    node.disk.mount();
    [&first, &second].into_iter().for_each(|path| std::fs::write(path, "damaged").expect("writes"));
    node.start();
    node.manager()
        .order_recreate(CONFIG_VAULT, &"config".parse().expect("a name"), Hope::GivenUp)
        .expect("ordered");
    node.put(CONFIG_VAULT, "file", "kept");
    for place in [&first, &second] {
        node.stop();
        node.disk.mount();
        std::fs::write(place, &lost).expect("writes");
        node.start();
        assert_eq!(node.get(CONFIG_VAULT, "file").as_deref(), Some("kept"), "{}", place.display());
    }
}
