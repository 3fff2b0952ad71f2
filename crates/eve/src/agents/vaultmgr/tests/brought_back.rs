//! Invariant 5: files of which both copies are gone come back from escrow, and nothing does that was erased, that is newer on the disk, or that is
//! another's. How the bundle comes is not looked at here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use vault::belief::Voice;
use vault::escrow::hope::Which;
use vault::escrow::{Bundle, KeyFile, VaultFiles};
use vault::ids::{CONFIG_VAULT, Generation, IMAGE_VAULT, VaultId};
use vault::plan::Note;
use vault::report::State;
use vault::roots::{PcrsRoot, TpmRoot};
use vault::secret::RootSecret;
use vault::section::{Custody, Seal};

use super::controller::{BERLIN, Controller, KEY, Line};
use super::drill::damage_wraps;
use super::keeper::Keeper;
use super::node::Node;
use super::silent::ticks;
use crate::agents::vaultmgr::hands::crypt::{CopyRead, Crypt, MetaPlace};
use crate::bus::messages::{Hope, OrderError};

pub(super) const ALL: [VaultId; 3] = [CONFIG_VAULT, IMAGE_VAULT, BERLIN];

pub(super) fn both(epochs: (u64, u64)) -> Line {
    Line { epochs, seal: Seal::Pcrs, ..Line::of(Custody::TpmAndController) }
}

pub(super) fn with_data(line: &Line) -> (Node, Controller) {
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    node.hear(&mut controller, std::slice::from_ref(line));
    [IMAGE_VAULT, BERLIN].into_iter().for_each(|id| node.put(id, "file", "kept"));
    node.disk.sync();
    (node, controller)
}

pub(super) fn kept(node: &Node, id: VaultId) -> bool {
    node.get(id, "file").as_deref() == Some("kept")
}

fn only_file(folder: &Path) -> (PathBuf, KeyFile) {
    let mut all = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("reads").path());
    let (path, none) = (all.next().expect("a file"), all.next());
    assert_eq!(none, None, "there is one");
    let name = path.file_name().expect("a name").to_string_lossy().into_owned();
    let bytes = std::fs::read(&path).expect("reads");
    (path, KeyFile { name, bytes })
}

/// The files of a vault's second copy, by where they lie.
fn of_vault(node: &Node, id: VaultId) -> ([PathBuf; 2], VaultFiles) {
    let own = node.paths.metas().join(id.to_string());
    let (protector_at, protector) = only_file(&own.join("protectors"));
    let (policy_at, policy) = only_file(&own.join("policies"));
    ([protector_at, policy_at], VaultFiles { protector, policy })
}

impl Node {
    /// The newest bundle that is held came back.
    pub(super) fn takes_back(&mut self, bundle: &Bundle) {
        self.manager().bring_back(bundle, Which::Newest);
    }
}

/// What the node would put into escrow now, made from its disk and its TPM.
pub(super) fn bundle(node: &Node) -> Bundle {
    bundle_with(node, |files| files)
}

/// The same with key files of other content keys.
pub(super) fn of_an_earlier_making(node: &Node) -> Bundle {
    bundle_with(node, |files| {
        let name = files.policy.name.chars().rev().collect();
        VaultFiles { policy: KeyFile { name, ..files.policy }, ..files }
    })
}

fn bundle_with(node: &Node, files: impl Fn(VaultFiles) -> VaultFiles) -> Bundle {
    let slots = node.nv.0.borrow().slots.last().expect("a generation").clone();
    let root = TpmRoot(RootSecret::copied_from(&slots.tpm));
    let pcrs = PcrsRoot(RootSecret::copied_from(&slots.pcrs.expect("whole"))).vsk();
    let table = std::fs::read(&node.paths.table(slots.generation)[0]).expect("the table");
    let there = |id: &VaultId| node.paths.metas().join(id.to_string()).exists();
    let vaults: BTreeMap<_, _> =
        ALL.into_iter().filter(there).map(|id| (id, files(of_vault(node, id).1))).collect();
    Bundle::new(&root.escrow_key(), Some(&pcrs), (KEY, slots.generation), table, vaults)
}

/// All that is there of a vault's key files, in both places.
pub(super) fn all_key_files(node: &Node, id: VaultId) -> [PathBuf; 4] {
    let (second, files) = of_vault(node, id);
    let first = node.paths.persist().join(".fscrypt");
    let [protector, policy] = second;
    [
        first.join("protectors").join(files.protector.name),
        first.join("policies").join(files.policy.name),
        protector,
        policy,
    ]
}

pub(super) fn wipe(paths: &[PathBuf]) {
    paths.iter().for_each(|path| std::fs::remove_file(path).expect("removes"));
}

pub(super) fn wipe_tables(node: &Node) {
    wipe(&node.paths.table(Generation::FIRST));
    node.disk.sync();
}

/// Both copies of a vault's key files are gone: it is missing, the bundle is asked for, and by it the vault opens with all that was in it.
#[test]
fn key_files_come_back_and_open_their_vault() {
    for (what, damaged) in [("wiped", false), ("damaged", true)] {
        let line = both((1, 1));
        let (mut node, mut controller) = with_data(&line);
        let (escrowed, paths) = (bundle(&node), all_key_files(&node, BERLIN));
        node.manager = None;
        if damaged {
            paths.iter().for_each(|path| std::fs::write(path, b"damage").expect("writes"))
        } else {
            wipe(&paths)
        }
        node.disk.sync();
        node.reboot();
        node.hear(&mut controller, std::slice::from_ref(&line));
        assert_eq!(node.state(BERLIN), State::Missing, "{what}: {:?}", node.status(BERLIN));
        assert_eq!((node.manager().asks_for_files(), node.manager().lacking()), (true, vec![BERLIN]));
        node.takes_back(&escrowed);
        node.manager().settle_all();
        assert!(kept(&node, BERLIN), "{what}: {:?}", node.status(BERLIN));
        assert!(!node.manager().asks_for_files(), "{what}");
        node.reboot();
        node.hear(&mut controller, std::slice::from_ref(&line));
        assert!(kept(&node, BERLIN) && kept(&node, IMAGE_VAULT), "{what}: in a later life too");
    }
}

/// Both copies read as files, and what a key opens of them is damaged, as it shows once every key that they name was tried: what comes back is
/// written over them where a key at hand opens it, and not where none does.
#[test]
fn key_files_that_read_and_open_no_more_come_back() {
    let line = both((1, 1));
    for others in [false, true] {
        let (mut node, mut controller) = with_data(&line);
        let mut escrowed = bundle(&node);
        node.manager = None;
        damage_wraps(&all_key_files(&node, BERLIN));
        if others {
            escrowed = bundle(&node);
        }
        node.disk.sync();
        node.reboot();
        node.hear(&mut controller, std::slice::from_ref(&line));
        assert_eq!(node.state(BERLIN), State::Missing, "{:?}", node.status(BERLIN));
        assert_eq!((node.manager().asks_for_files(), node.manager().lacking()), (true, vec![BERLIN]));
        let before = of_vault(&node, BERLIN).1;
        node.takes_back(&escrowed);
        node.manager().settle_all();
        assert_eq!(kept(&node, BERLIN), !others, "{:?}", node.status(BERLIN));
        assert_eq!(of_vault(&node, BERLIN).1 == before, others, "what no key opens is not written");
        assert!(!node.manager().asks_for_files(), "it is not asked again");
        node.reboot();
        node.hear(&mut controller, std::slice::from_ref(&line));
        assert_eq!(kept(&node, BERLIN), !others, "in a later life too");
    }
}

/// Invariant 4: something is mounted over a vault, or over the folder of all. It is not told as missing, an order to make it anew is not carried out,
/// and once it is unmounted all is there.
#[test]
fn a_vault_under_a_mount_is_not_missing_and_not_made_anew() {
    for over in [|node: &Node| node.paths.vault(BERLIN), |node: &Node| node.paths.persist().join("vaults")] {
        let line = both((1, 1));
        let (mut node, mut controller) = with_data(&line);
        let place = over(&node);
        let run = |program: &str, args: &[&str]| {
            let status = std::process::Command::new(program).args(args).arg(&place).status().expect("runs");
            assert!(status.success(), "{program}");
        };
        run("mount", &["-t", "tmpfs", "none"]);
        node.manager().start_afresh();
        node.hear(&mut controller, &[Line { created: true, recreate: true, ..line.clone() }]);
        let status = node.status(BERLIN);
        let name = status.name.clone();
        let ordered = node.manager().order_recreate(BERLIN, &name, Hope::GivenUp);
        run("umount", &[]);
        assert_eq!(status.state, State::Failed, "{status:?}");
        assert!(status.detail.iter().any(|line| line.contains("unmount it")), "{status:?}");
        assert!(matches!(ordered, Err(OrderError::NotDone { .. })), "{ordered:?}");
        node.hear(&mut controller, &[Line { created: true, ..line }]);
        assert!(kept(&node, BERLIN) && kept(&node, IMAGE_VAULT), "{:?}", node.status(BERLIN));
    }
}

/// A key that is not at hand is no damage: a vault that waits for its controller asks for no bundle.
#[test]
fn a_vault_that_waits_for_its_key_lacks_nothing() {
    let (mut node, mut controller) = with_data(&both((1, 1)));
    node.hear(&mut controller, &[both((2, 1))]);
    node.reboot();
    node.hear(&mut controller, &[Line { withheld: true, ..both((2, 1)) }]);
    assert!(!kept(&node, BERLIN));
    assert_eq!((node.manager().asks_for_files(), node.manager().lacking()), (false, vec![]));
}

/// What reads on the disk is newer than the bundle, and stays: here the key moved on after the bundle was made, and one copy is damaged.
#[test]
fn a_copy_that_is_whole_is_never_written_over() {
    let (mut node, mut controller) = with_data(&both((1, 1)));
    let escrowed = bundle(&node);
    node.hear(&mut controller, &[both((2, 1))]);
    node.hear(&mut controller, &[both((3, 2))]);
    let paths = all_key_files(&node, BERLIN);
    std::fs::write(&paths[0], b"damage").expect("writes");
    assert_eq!(node.manager().lacking(), []);
    let before = of_vault(&node, BERLIN).1;
    node.takes_back(&escrowed);
    node.manager().crypt.bring_back(BERLIN, &escrowed.vaults()[&BERLIN]).expect("is no error");
    assert_eq!(std::fs::read(&paths[0]).expect("reads"), b"damage", "its twin mends it, and not the bundle");
    assert_eq!(of_vault(&node, BERLIN).1, before, "it is the newer one");
    node.reboot();
    node.hear(&mut controller, &[both((3, 2))]);
    assert!(kept(&node, BERLIN), "{:?}", node.status(BERLIN));
}

/// A bundle of before the vault was made anew has nothing for it: that is seen by its directory, told once, and not asked again.
#[test]
fn key_files_of_another_making_do_not_come_back() {
    let line = both((1, 1));
    let (mut node, mut controller) = with_data(&line);
    let mut other = with_data(&line).0;
    let escrowed = bundle(&other);
    other.stop();
    let paths = all_key_files(&node, BERLIN);
    wipe(&paths);
    node.reboot();
    node.hear(&mut controller, std::slice::from_ref(&line));
    node.takes_back(&escrowed);
    node.manager().settle_all();
    assert_eq!(node.state(BERLIN), State::Missing, "{:?}", node.status(BERLIN));
    for place in [MetaPlace::First, MetaPlace::Second] {
        let there = node.manager().crypt.read(BERLIN, place).expect("reads");
        assert_eq!(there, CopyRead::Absent, "nothing was written");
    }
    assert_eq!((node.manager().asks_for_files(), node.manager().lacking()), (false, vec![]));
}

/// Both copies of the share table are gone while the TPM has its roots: the bundle's comes back, with all shares and with whom the node believes.
#[test]
fn the_share_table_comes_back_under_the_roots_that_are_there() {
    let line = both((1, 1));
    let (mut node, mut controller) = with_data(&line);
    let escrowed = bundle(&node);
    node.manager = None;
    wipe_tables(&node);
    node.reboot();
    assert!(node.manager().asks_for_files());
    assert!(!kept(&node, IMAGE_VAULT), "{:?}", node.status(IMAGE_VAULT));
    node.takes_back(&escrowed);
    node.manager().settle_all();
    node.hear(&mut controller, std::slice::from_ref(&line));
    for when in ["now", "in a later life"] {
        assert!(kept(&node, IMAGE_VAULT) && kept(&node, BERLIN), "{when}: {:?}", node.manager().notes());
        assert!(!node.manager().asks_for_files(), "{when}");
        node.reboot();
        node.hear(&mut controller, std::slice::from_ref(&line));
    }
    let slots: Vec<_> = node.nv.0.borrow().slots.iter().map(|slots| slots.generation).collect();
    assert_eq!(slots, [Generation(2)], "what was dropped since the bundle is not known, and is dead now");
}

/// KO-1: the table comes back and the TPM fails just then: nobody knows any more whom the node belongs to, and it is not told as lost. A word on the
/// escrow counts for nothing, and the list of vaults waits; once the TPM answers all is there.
#[test]
fn ko1_a_table_that_comes_back_while_the_tpm_fails_is_judged_when_it_answers() {
    let line = both((1, 1));
    let (mut node, mut controller) = with_data(&line);
    let escrowed = bundle(&node);
    node.manager = None;
    wipe_tables(&node);
    node.apart = true;
    node.reboot();
    ticks(&mut node, "lost", |node| node.manager().asks_for_files());
    let anybody = vault::shares::RootPin([9; 32]);
    assert_eq!(node.manager().belief.voice(anybody), Voice::Perhaps, "the table is lost");
    node.nv.0.borrow_mut().fail = true;
    node.takes_back(&escrowed);
    ticks(&mut node, "asked", |node| node.manager().waits_for_roots());
    assert_eq!(node.manager().belief.voice(anybody), Voice::Another);
    node.hear(&mut controller, std::slice::from_ref(&line));
    assert!(node.says("waits until the TPM's roots are read"), "{:?}", node.manager().notes());
    node.nv.0.borrow_mut().fail = false;
    node.hear_tpm();
    ticks(&mut node, "back", |node| kept(node, IMAGE_VAULT) && kept(node, BERLIN));
}

/// TH-6: an older image of the disk, the bundle of then and the TPM of now give nothing of a vault that was erased; nor does the table come
/// back from it.
#[test]
fn th6_an_older_image_and_bundle_give_nothing_that_was_erased() {
    let line = Line::of(Custody::Tpm);
    let (mut node, mut controller) = with_data(&line);
    let (image, escrowed) = (node.disk.image(), bundle(&node));
    node.hear(&mut controller, &[]);
    assert_eq!(node.status(BERLIN).detail[0], Note::Erased.to_string());
    node.stop();
    node.disk.put_back(&image);
    node.start();
    assert!(node.paths.vault(BERLIN).exists() && node.manager().asks_for_files());
    node.takes_back(&escrowed);
    node.manager().settle_all();
    assert!(!kept(&node, BERLIN) && !kept(&node, IMAGE_VAULT), "{:?}", node.status(BERLIN));
    assert!(node.says("not of the roots that this TPM has now"), "{:?}", node.manager().notes());
    assert!(!node.manager().asks_for_files(), "it is asked once");
}

/// Another node's bundle gives nothing, and changes nothing.
#[test]
fn another_nodes_bundle_gives_no_table() {
    let line = both((1, 1));
    let (mut node, _) = with_data(&line);
    let mut other = with_data(&line).0;
    let escrowed = bundle(&other);
    other.stop();
    node.manager = None;
    wipe_tables(&node);
    node.reboot();
    node.takes_back(&escrowed);
    node.manager().settle_all();
    assert!(!kept(&node, IMAGE_VAULT) && node.says("not of the roots"), "{:?}", node.manager().notes());
    assert!(node.paths.table(Generation::FIRST).iter().all(|path| !path.exists()), "nothing was written");
}

/// Invariant 5: a vault's directory is away, and its key files here are damaged: they do not take the place of the good ones in escrow, nor are other
/// vaults kept out of it. With the files gone too root's order to make it anew is refused, for the bundle is all that there is; with the directory put
/// back they come back by themselves.
#[test]
fn a_vault_whose_directory_is_away_keeps_what_is_in_escrow() {
    let line = both((1, 1));
    let (mut node, mut controller) = with_data(&line);
    let mut keeper = Keeper::default();
    keeper.settles(&mut node);
    let good = keeper.bundle();
    let (here, away) = (node.paths.vault(BERLIN), node.paths.vaults().join("away"));
    let paths = all_key_files(&node, BERLIN);
    let protectors = [paths[0].clone(), paths[2].clone()];
    node.stop();
    node.disk.mount();
    std::fs::rename(&here, &away).expect("moves");
    damage_wraps(&protectors);
    node.start();
    let created = Line { created: true, ..line };
    node.hear(&mut controller, std::slice::from_ref(&created));
    keeper.settles(&mut node);
    let is = keeper.bundle().vaults().get(&BERLIN).cloned();
    assert!(is.is_none() || is == good.vaults().get(&BERLIN).cloned(), "damaged ones are in escrow");
    assert!(keeper.bundle().vaults().contains_key(&IMAGE_VAULT));
    wipe(&paths);
    node.reboot();
    node.hear(&mut controller, std::slice::from_ref(&created));
    let name = "berlin".parse().expect("a name");
    let refused = node.manager().order_recreate(BERLIN, &name, Hope::Kept);
    assert!(matches!(refused, Err(OrderError::InEscrow(_))), "{refused:?}");
    node.stop();
    node.disk.mount();
    std::fs::rename(&away, &here).expect("moves back");
    node.start();
    node.hear(&mut controller, std::slice::from_ref(&created));
    node.takes_back(&good);
    node.manager().settle_all();
    assert!(kept(&node, BERLIN), "{:?}", node.status(BERLIN));
}
