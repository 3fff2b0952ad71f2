//! Each file of the table damaged in each way, and each pair of them: on the real node it is as the table says, nothing that is there
//! is deleted, no status is false; and with the damage undone all opens again.

use testkit::sample;
use vault::ids::{CONFIG_VAULT, IMAGE_VAULT, VaultId};
use vault::report::State;

use super::table::{Damaged, MORE, Others, SUBJECTS, Subject, copies, expected, has_keys, mends, of_each};
use super::{Damage, Files, OTHER, all_is_there, files, line, lines, twins_agree};
use crate::agents::vaultmgr::belief::intake::TpmHeard;
use crate::agents::vaultmgr::belief::record;
use crate::agents::vaultmgr::tests::controller::{BERLIN, Controller, Line};
use crate::agents::vaultmgr::tests::node::Node;
use crate::agents::vaultmgr::tests::truth::openness_is_told_truly;
use vault::ids::{DeviceId, DeviceKey};

/// Behind what only informs, in each of them.
const MIDST: usize = 140;

/// Of a protector that a controller's key wraps, where its name bears the mark of that key: it opens, and its name is mended.
const MARK: usize = 100;

/// Of a record, where it names the device.
const NAMES: usize = 12;

const ONE_BY_ONE: [Damage; 9] = [
    Damage::Flipped(0),
    Damage::Flipped(NAMES),
    Damage::Flipped(MARK),
    Damage::Flipped(MIDST),
    Damage::Cut,
    Damage::Emptied,
    Damage::Removed,
    Damage::Older,
    Damage::Foreign,
];

/// What is done to both files of a pair.
const TOGETHER: [(Damage, Damage); 6] = [
    (Damage::Flipped(MIDST), Damage::Flipped(MIDST)),
    (Damage::Removed, Damage::Removed),
    (Damage::Flipped(MIDST), Damage::Removed),
    (Damage::Cut, Damage::Emptied),
    (Damage::Older, Damage::Older),
    (Damage::Foreign, Damage::Foreign),
];

/// A node with its controller, and all that can be put in the places of its files.
pub(super) struct Scene {
    pub(super) node: Node,
    pub(super) controller: Controller,
    pub(super) others: Others,
    /// The tables of before the first contact: nobody is pinned in them.
    pub(super) unpinned: Files,
}

/// The older ones: of before another vault came, and a change of key. The Config Vault is of the node's own making each time.
pub(super) fn scene() -> Scene {
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    let tables = [Subject::Table(0), Subject::Table(1)].map(|table| table.path(&node));
    let unpinned = tables.map(|path| (path.clone(), std::fs::read(path).expect("reads"))).into();
    node.hear(&mut controller, &[Line { epochs: (1, 1), created: false, ..line() }]);
    node.put(BERLIN, "file", "kept");
    put_aside(&node);
    let older = copies(&node);
    node.hear(&mut controller, &lines());
    node.put(OTHER, "file", "kept");
    let foreign = foreign(&node);
    Scene { node, controller, others: Others { older, foreign }, unpinned }
}

/// A record aside, as one that was another controller's leaves it.
fn put_aside(node: &Node) {
    std::fs::copy(node.paths.record(), node.paths.record_aside()).expect("copies");
}

/// Another node's, of another device at another controller, under the names that they have here.
fn foreign(here: &Node) -> Files {
    let key = DeviceKey([0xd9; 32]);
    let device = DeviceId(uuid::Uuid::from_u128(0xd9));
    let (mut node, mut controller) = (Node::new(true), Controller { device, key, ..Controller::new() });
    node.manager().hear_tpm(TpmHeard::Ready { key, measured: true }, |_, _| ());
    let [berlin, other] = lines();
    node.hear(&mut controller, &[Line { created: false, ..berlin }, other]);
    put_aside(&node);
    let root = rcgen::KeyPair::generate().expect("a key");
    let root =
        rcgen::CertificateParams::new(Vec::new()).expect("a certificate").self_signed(&root).expect("signs");
    std::fs::write(node.paths.root_certificate(), root.pem()).expect("writes");
    let read = |subject: Subject| (subject.path(here), std::fs::read(subject.path(&node)).expect("reads"));
    of_each(&node, read).into_iter().collect()
}

impl Scene {
    /// Does this to the files, boots, looks, undoes it, boots again, and looks for all.
    fn endures(&mut self, damaged: &Damaged) {
        let when = format!("{damaged:?}");
        let before = copies(&self.node);
        self.damage(damaged);
        self.is_as(damaged, &when);
        self.undo(damaged, &before);
        all_is_there(&mut self.node, &mut self.controller, &format!("{when}, undone"));
    }

    /// The records through the open vault, all else while the node is off.
    pub(super) fn damage(&mut self, damaged: &Damaged) {
        let (inside, offline): (Vec<_>, Vec<_>) = damaged
            .iter()
            .map(|(of, what)| (*of, of.path(&self.node), *what))
            .partition(|(of, ..)| of.is_inside());
        inside.iter().for_each(|(_, path, what)| self.others.put(path, *what));
        self.node.stop();
        self.node.disk.mount();
        offline.iter().for_each(|(_, path, what)| self.others.put(path, *what));
        self.node.start();
    }

    fn is_as(&mut self, damaged: &Damaged, when: &str) {
        let is = expected(damaged);
        let open = |node: &mut Node, id| node.state(id) == State::Unlocked;
        let node = &mut self.node;
        assert_eq!(
            [CONFIG_VAULT, IMAGE_VAULT].map(|id| open(node, id)),
            is.defaults,
            "{when}: {:?}",
            node.manager().vault_status().vaults
        );
        openness_is_told_truly(node, when);
        node.hear(&mut self.controller, &lines());
        openness_is_told_truly(node, when);
        let kept = |node: &Node, id| node.get(id, "file").as_deref() == Some("kept");
        assert_eq!(
            [BERLIN, OTHER].map(|id| kept(node, id)),
            is.users,
            "{when}: {:?}",
            node.manager().vault_status().vaults
        );
        let says = is.says.is_empty() || is.says.iter().any(|words| node.says(words));
        assert!(says, "{when}: {:?}", node.manager().notes());
        all_are_kept(node, when);
        assert!(!mends(damaged) || is_mended(node), "{when}: it is mended");
        for id in [CONFIG_VAULT, IMAGE_VAULT, BERLIN, OTHER].into_iter().filter(|id| !has_keys(damaged, *id))
        {
            tells_of_lost_keys(node, id, when);
        }
    }

    /// What was damaged is put back as it was, and nothing else.
    pub(super) fn undo(&mut self, damaged: &Damaged, before: &Files) {
        let put_back = |path| std::fs::write(path, &before[path]).expect("writes");
        let is_inside = |path: &&std::path::PathBuf| path.starts_with(self.node.paths.own_folder());
        // A damaged record is put aside, in the place of what lay there.
        let aside = self.node.paths.record_aside();
        let was = |path: &&std::path::PathBuf| {
            let is = |of: Subject| of.is_inside() && (of.path(&self.node) == **path || aside == **path);
            damaged.iter().any(|(of, _)| is(*of))
        };
        let paths = before.keys().filter(|path| !is_inside(path) || was(path));
        let (inside, offline): (Vec<_>, Vec<_>) = paths.partition(is_inside);
        self.node.stop();
        self.node.disk.mount();
        offline.into_iter().for_each(put_back);
        self.node.start();
        if !inside.is_empty() {
            inside.into_iter().for_each(put_back);
            self.node.reboot();
        }
    }
}

/// Both copies of everything are the same again, and the record is there.
fn is_mended(node: &Node) -> bool {
    let record = record::load(&node.paths);
    twins_agree(node, &files(node)) && matches!(record, Ok(Some(kept)) if kept.chain.head.is_some())
}

/// It says that its keys are lost, and what to do.
fn tells_of_lost_keys(node: &mut Node, id: VaultId, when: &str) {
    let status = node.status(id);
    let told = status.detail.concat();
    assert_eq!(status.state, State::Missing, "{when}");
    assert!(
        told.contains("missing: ") && told.contains("until an operator orders recreate"),
        "{when}: {told}"
    );
}

/// Invariant 4: no damage deletes: each vault's directory is there, with what is in it.
pub(super) fn all_are_kept(node: &Node, when: &str) {
    let entries = |id: VaultId| std::fs::read_dir(node.paths.vault(id)).map_or(0, Iterator::count);
    assert!([BERLIN, OTHER].into_iter().all(|id| entries(id) == 1), "{when}: the files are there");
    assert!([CONFIG_VAULT, IMAGE_VAULT].into_iter().all(|id| node.paths.vault(id).is_dir()), "{when}");
}

/// Issue 7, B: every single file, in every way.
#[test]
fn each_file_is_as_the_table_says() {
    let mut scene = scene();
    for subject in SUBJECTS {
        for what in ONE_BY_ONE {
            scene.endures(&[(subject, what)]);
        }
    }
}

/// Those of a sample of all, or all: with each file in each way, and with it each outcome that the table knows of it.
pub(super) fn pairs(all: impl Iterator<Item = (Subject, Subject)>) -> Vec<[(Subject, Damage); 2]> {
    let all = all.flat_map(|(one, other)| TOGETHER.map(|(this, that)| [(one, this), (other, that)]));
    sample::of(all.collect(), |damaged| {
        let is = expected(damaged);
        let outcome = format!("{:?} {:?} {:?}", is.defaults, is.users, is.says);
        let of = |(of, what): &(Subject, Damage)| [format!("{of:?} {what:?}"), format!("{of:?}: {outcome}")];
        damaged.iter().flat_map(of).collect()
    })
}

fn pairs_from(first: usize) {
    let mut scene = scene();
    let all = SUBJECTS
        .iter()
        .enumerate()
        .flat_map(|(at, one)| SUBJECTS[at + 1..].iter().map(move |other| (*one, *other)));
    pairs(all).iter().skip(first).step_by(2).for_each(|damaged| scene.endures(damaged));
}

/// Issue 7, B: pairs. Half of them here, half below, side by side.
#[test]
fn each_pair_is_as_the_table_says() {
    pairs_from(0);
}

#[test]
fn each_other_pair_is_as_the_table_says() {
    pairs_from(1);
}

/// Issue 7, B: the same for the Image Vault, for a user's vault that the TPM alone opens, and for a record aside.
#[test]
fn each_file_of_the_other_vaults_is_as_the_table_says() {
    let mut scene = scene();
    for subject in MORE {
        for what in ONE_BY_ONE {
            scene.endures(&[(subject, what)]);
        }
    }
}

/// Both copies, and what goes with them: with each other, and with each file of the table above.
#[test]
fn each_pair_of_the_other_vaults_is_as_the_table_says() {
    let mut scene = scene();
    let later = |at: usize| MORE.into_iter().skip(at + 1).chain(SUBJECTS);
    let all = MORE.into_iter().enumerate().flat_map(|(at, one)| later(at).map(move |other| (one, other)));
    pairs(all).iter().for_each(|damaged| scene.endures(damaged));
}
