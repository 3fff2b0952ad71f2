//! A file of `config/` and a file of the disk, damaged at once: each pair of them. What lies twice on the disk is mended by its twin, whoever
//! the node takes itself for; so what opens, and what is said, is what damage to the file of `config/` alone does.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use eve_vault_tests::Scene;
use testkit::node::Power;
use testkit::{sample, wait};
use vault::ids::{CONFIG_VAULT, VaultId};

use super::table::{Damaged, Expected, FILES, Opens, REACHABLE, expected};
use super::without_tpm::{self, SOFT_FILES, may_be_either};
use super::{
    Damage, Files, Flipped, Foreign, Removed, SIDE_BY_SIDE, SOFT, Subject, TPM, done_to, files, is, scene,
};

/// What lies on the disk twice, with the place of the one that is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Twin {
    Table(usize),
    /// The Config Vault's protector.
    Config(usize),
    /// The protector of a user's vault.
    Till(usize),
}

/// A node without a TPM has no table.
const TWINS: [Twin; 4] = [Twin::Config(0), Twin::Config(1), Twin::Till(0), Twin::Till(1)];
const TABLES: [Twin; 2] = [Twin::Table(0), Twin::Table(1)];

/// What is done to the file of `config/`, and to that of the disk.
const AT_ONCE: [[Damage; 2]; 3] = [[Removed, Flipped], [Foreign, Removed], [Flipped, Foreign]];

type Crossed = (&'static str, Twin, [Damage; 2]);

/// A kind of node: its files of `config/`, what it has twice, and what damage to the former alone does.
#[derive(Clone, Copy)]
struct Kind {
    tpm: bool,
    vault: &'static str,
    files: &'static [&'static str],
    expected: fn(&Damaged) -> Expected,
}

const WITH_TPM: Kind = Kind { tpm: true, vault: TPM, files: &FILES, expected };
const WITHOUT_TPM: Kind =
    Kind { tpm: false, vault: SOFT, files: &SOFT_FILES, expected: without_tpm::expected };

impl Kind {
    fn twins(self) -> impl Iterator<Item = Twin> {
        TABLES.into_iter().filter(move |_| self.tpm).chain(TWINS)
    }

    fn all(self) -> Vec<Crossed> {
        let twins = self.twins().count();
        let pairs = self.files.iter().flat_map(|file| self.twins().map(|twin| (*file, twin)));
        let all = pairs.enumerate().map(|(at, (file, twin))| (file, twin, AT_ONCE[(at + at / twins) % 3]));
        let all = all.filter(|(file, _, [this, _])| self.tpm || !may_be_either(&[(file, *this)]));
        sample::of(all.collect(), |crossed| self.kinds(crossed))
    }

    /// Each file in each way, each twin in each way, and with each twin each outcome that the table knows.
    fn kinds(self, (file, twin, [this, that]): &Crossed) -> Vec<String> {
        let opens = (self.expected)(&[(file, *this)]).opens;
        vec![format!("{file} {this:?}"), format!("{twin:?} {that:?}"), format!("{twin:?}: {opens:?}")]
    }
}

/// The places of a vault's protector.
fn protectors(persist: &Path, vault: VaultId) -> [PathBuf; 2] {
    let second = persist.join(format!("vaults/.meta/{vault}/protectors"));
    let mut all: Vec<_> = fs::read_dir(second).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(all.len(), 1, "{all:?}");
    let second = all.remove(0);
    [persist.join(".fscrypt/protectors").join(second.file_name().unwrap()), second]
}

impl Twin {
    /// Both places, the damaged one first.
    fn paths(self, persist: &Path, till: VaultId) -> [PathBuf; 2] {
        let tables =
            ["vaults/.shares/shares.1", "vaults/.meta/.shares/shares.1"].map(|path| persist.join(path));
        let (mut both, place) = match self {
            Self::Table(place) => (tables, place),
            Self::Config(place) => (protectors(persist, CONFIG_VAULT), place),
            Self::Till(place) => (protectors(persist, till), place),
        };
        both.rotate_left(place);
        both
    }

    /// Whether a boot of which so much is expected reads it, and so mends it.
    fn is_needed(self, opens: Opens) -> bool {
        opens >= if matches!(self, Self::Till(_)) { Opens::All } else { Opens::Defaults }
    }
}

/// Another node's: its `config/`, and its disk's files by the place that they are put into.
struct Stranger {
    kind: Kind,
    config: Files,
    twins: Vec<(Twin, Vec<u8>)>,
}

fn till(scene: &Scene) -> VaultId {
    scene.node.vault("till").unwrap()["id"].as_str().unwrap().parse().unwrap()
}

impl Stranger {
    fn new(kind: Kind) -> Self {
        let mut other = scene(kind.tpm, kind.vault);
        let till = till(&other);
        other.node.off(Power::Clean).unwrap();
        let mut config = files(&other.node.root().join("config"));
        config.insert("serial".to_owned(), b"of the other board".to_vec());
        let read = |persist: &Path| {
            let read = |twin: Twin| (twin, fs::read(&twin.paths(persist, till)[0]).unwrap());
            kind.twins().map(read).collect()
        };
        Self { kind, config, twins: other.node.offline(read).unwrap() }
    }

    fn twin(&self, twin: Twin) -> &[u8] {
        &self.twins.iter().find(|(of, _)| *of == twin).unwrap().1
    }
}

/// From off to off.
fn endures(subject: &mut Subject, till: VaultId, (file, twin, [this, that]): Crossed, other: &Stranger) {
    let when = format!("{file} {this:?}, {twin:?} {that:?}");
    let expected = (other.kind.expected)(&[(file, this)]);
    subject.put_back();
    subject.damage(file, this, &other.config);
    let damage = |persist: &Path| {
        let [path, good] = twin.paths(persist, till);
        match done_to(&fs::read(&path).unwrap(), that, &[], other.twin(twin)) {
            None => fs::remove_file(&path).unwrap(),
            Some(bytes) => fs::write(&path, bytes).unwrap(),
        }
        [path, good]
    };
    let [damaged, good] = subject.scene.node.offline(damage).unwrap();
    subject.scene.node.on(Power::Clean).unwrap();
    is(&mut subject.scene, &when, &expected);
    if expected.says.contains(&REACHABLE) {
        subject.renews(&[(file, this)]);
    }
    // It is mended a moment after what is waited for above.
    let is_mended = || fs::read(&damaged).ok() == fs::read(&good).ok();
    if twin.is_needed(expected.opens) {
        wait::until_is(&format!("{when}: it is mended by its twin"), is_mended, |is| *is).unwrap();
    }
    subject.scene.node.off(Power::Clean).unwrap();
    subject.scene.node.offline(|_: &Path| fs::copy(&good, &damaged).unwrap()).unwrap();
}

fn endure(kind: Kind) {
    let (other, all, next) = (Stranger::new(kind), kind.all(), AtomicUsize::new(0));
    let work = || {
        let mut subject = Subject::new(kind.tpm, &other.config);
        let till = till(&subject.scene);
        subject.scene.node.off(Power::Clean).unwrap();
        while let Some(crossed) = all.get(next.fetch_add(1, Ordering::SeqCst)) {
            endures(&mut subject, till, *crossed, &other);
        }
        subject.scene.node.on(Power::Clean).unwrap();
        subject.is_whole_again("with all put back");
    };
    std::thread::scope(|scope| (0..SIDE_BY_SIDE).for_each(|_| drop(scope.spawn(work))));
}

/// Invariant 4, issue 7 B: a file of each side.
#[test]
fn each_pair_across_config_and_disk_is_as_config_alone() {
    endure(WITH_TPM);
}

/// The same where no TPM says which node it is, and no vault opens without its controller.
#[test]
fn df3_each_pair_across_config_and_disk_without_a_tpm_is_as_config_alone() {
    endure(WITHOUT_TPM);
}
