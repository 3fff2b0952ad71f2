//! A file of `config/` and a file of the disk, damaged at once: each pair of them. What lies twice on the disk is mended by its twin, whoever
//! the node takes itself for; so what opens, and what is said, is what damage to the file of `config/` alone does.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use eve_vault_tests::Scene;
use testkit::node::Power;
use testkit::sample;
use vault::ids::{CONFIG_VAULT, VaultId};

use super::table::{FILES, Opens, REACHABLE, expected};
use super::{
    Damage, Files, Flipped, Foreign, Removed, SIDE_BY_SIDE, Subject, TPM, done_to, files, is, scene,
};

/// What lies on the disk twice, with the place of the one that is damaged.
#[derive(Debug, Clone, Copy)]
enum Twin {
    Table(usize),
    /// The Config Vault's protector.
    Config(usize),
    /// The protector of a user's vault.
    Till(usize),
}

const TWINS: [Twin; 6] =
    [Twin::Table(0), Twin::Table(1), Twin::Config(0), Twin::Config(1), Twin::Till(0), Twin::Till(1)];

/// What is done to the file of `config/`, and to that of the disk.
const AT_ONCE: [[Damage; 2]; 3] = [[Removed, Flipped], [Foreign, Removed], [Flipped, Foreign]];

type Crossed = (&'static str, Twin, [Damage; 2]);

fn all() -> Vec<Crossed> {
    let pairs = FILES.iter().flat_map(|file| TWINS.map(|twin| (*file, twin)));
    let all = pairs.enumerate().map(|(at, (file, twin))| (file, twin, AT_ONCE[(at + at / TWINS.len()) % 3]));
    sample::of(all.collect(), kinds)
}

/// Each file in each way, each twin in each way, and with each twin each outcome that the table knows.
fn kinds((file, twin, [this, that]): &Crossed) -> Vec<String> {
    let opens = expected(&[(file, *this)]).opens;
    vec![format!("{file} {this:?}"), format!("{twin:?} {that:?}"), format!("{twin:?}: {opens:?}")]
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
    config: Files,
    twins: Vec<Vec<u8>>,
}

fn till(scene: &Scene) -> VaultId {
    scene.node.vault("till").unwrap()["id"].as_str().unwrap().parse().unwrap()
}

impl Stranger {
    fn new() -> Self {
        let mut other = scene(true, TPM);
        let till = till(&other);
        other.node.off(Power::Clean).unwrap();
        let mut config = files(&other.node.root().join("config"));
        config.insert("serial".to_owned(), b"of the other board".to_vec());
        let read = |persist: &Path| TWINS.map(|twin| fs::read(&twin.paths(persist, till)[0]).unwrap());
        Self { config, twins: other.node.offline(read).unwrap().into() }
    }

    fn twin(&self, twin: Twin) -> &[u8] {
        let at = TWINS.iter().position(|one| format!("{one:?}") == format!("{twin:?}"));
        &self.twins[at.unwrap()]
    }
}

/// From off to off.
fn endures(subject: &mut Subject, till: VaultId, (file, twin, [this, that]): Crossed, other: &Stranger) {
    let (when, expected) = (format!("{file} {this:?}, {twin:?} {that:?}"), expected(&[(file, this)]));
    subject.put_back();
    subject.damage(file, this, &other.config);
    let damage = |persist: &Path| {
        let [path, _] = twin.paths(persist, till);
        match done_to(&fs::read(&path).unwrap(), that, &[], other.twin(twin)) {
            None => fs::remove_file(&path).unwrap(),
            Some(bytes) => fs::write(&path, bytes).unwrap(),
        }
    };
    subject.scene.node.offline(damage).unwrap();
    subject.scene.node.on(Power::Clean).unwrap();
    is(&mut subject.scene, &when, &expected);
    if expected.says.contains(&REACHABLE) {
        subject.renews(&[(file, this)]);
    }
    subject.scene.node.off(Power::Clean).unwrap();
    let mended = |persist: &Path| {
        let [damaged, good] = twin.paths(persist, till);
        let is = fs::read(&damaged).ok() == fs::read(&good).ok();
        fs::copy(good, damaged).unwrap();
        is
    };
    let is = subject.scene.node.offline(mended).unwrap();
    assert!(is || !twin.is_needed(expected.opens), "{when}: it is mended by its twin");
}

/// Invariant 4, issue 7 B: a file of each side.
#[test]
fn each_pair_across_config_and_disk_is_as_config_alone() {
    let (other, all, next) = (Stranger::new(), all(), AtomicUsize::new(0));
    let work = || {
        let mut subject = Subject::new(true, &other.config);
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
