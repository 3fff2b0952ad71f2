//! Files of /config that are damaged while the node is off, or another node's: what opens, what is said, and that all is there again
//! with the file (invariant 4). Files of ours on the disk: `vaultmgr/tests/damage`.

mod checkpoint;
mod crossed;
mod informs;
mod table;
mod without_tpm;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use eve_vault_tests::Scene;
use eve_vault_tests::at_rest::{Files, files};
use serde_json::Value;
use testkit::node::{Parts, Power};
use testkit::{sample, wait};

use super::TPM;
use super::installed::proxy;
use table::{Damaged, Expected, FILES, ONE_BY_ONE, OWN, Opens, REACHABLE, TOGETHER, expected};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Damage {
    Flipped,
    /// Its second half was never written.
    Cut,
    Emptied,
    Removed,
    /// What it was before, or may have been.
    Older,
    /// Another node's, of another controller.
    Foreign,
}

use Damage::{Cut, Emptied, Flipped, Foreign, Older, Removed};

/// Of a vault that a node without a TPM has.
const SOFT: &str = "custody: controller\nattest: { every: 15m, require: [], on_failure: withhold }";
/// The password of the TPM's owner.
const PASSWORD: &str = "owned";
/// Nodes that live side by side: most of the time they wait.
const SIDE_BY_SIDE: usize = 6;

/// What only informs is written when nothing else is to be done.
fn written(config: &Path, file: &str) -> Vec<u8> {
    let bytes = || fs::read(config.join(file)).ok().filter(|bytes| !bytes.is_empty());
    wait::until(&format!("{file} to be written"), bytes).unwrap()
}

/// Writes a file of /config as an installer does: what is secret is root's alone, all else every agent reads.
fn write(config: &Path, name: &str, bytes: &[u8]) {
    let mode =
        if ["tpm-owner-auth", "onboard.key.pem", "device.key.pem"].contains(&name) { 0o600 } else { 0o644 };
    fs::write(config.join(name), bytes).unwrap();
    fs::set_permissions(config.join(name), Permissions::from_mode(mode)).unwrap();
}

/// A node, what it opens all of, and what may lie in its places.
struct Subject {
    scene: Scene,
    /// The files of its /config, as they are to be.
    whole: Files,
    older: Files,
}

/// A controller and a node with a vault whose place in the section is needed.
fn scene(tpm: bool, fields: &str) -> Scene {
    let mut scene = Scene::prepared(Parts { tpm, ..Parts::default() }).unwrap();
    if tpm {
        furnish(&scene);
    }
    scene.node.start().unwrap();
    if tpm {
        scene.evc.approve_references(eve_vault_tests::DEVICE).unwrap();
    }
    scene.node.until_vault("config", "unlocked").unwrap();
    scene.vault_with_data("till", fields).unwrap();
    scene
}

/// All that an installer may write, so that there is something to be damaged.
fn furnish(scene: &Scene) {
    scene.node.tpm().unwrap().tool("tpm2_changeauth", &["-c", "o", PASSWORD]).unwrap();
    let config = scene.node.root().join("config");
    let (port, _) = proxy(|asked| Some(asked.to_owned()));
    write(&config, "tpm-owner-auth", PASSWORD.as_bytes());
    write(&config, "proxy", format!("http://127.0.0.1:{port}").as_bytes());
    write(&config, "location.json", br#"{"latitude": 52.5, "longitude": 13.4}"#);
}

/// What may lie there from before: other addresses, keys that were renewed, a TPM that is no more.
fn older(first: &Files, foreign: &Files) -> Files {
    let written = [
        ("server", "127.0.0.1:1"),
        ("proxy", "http://127.0.0.1:1"),
        ("location.json", r#"{"latitude": -33.9, "longitude": 18.4}"#),
        ("serial", "of the old board"),
        ("tcti", "device:/dev/tpm-that-was"),
        ("tpm-owner-auth", "a former one"),
    ];
    let written = written.map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec()));
    let mut older = foreign.clone();
    older.extend(
        first
            .iter()
            .filter(|(name, _)| *name == "device.cert.pem")
            .map(|(name, bytes)| (name.clone(), bytes.clone())),
    );
    older.extend(written);
    older
}

impl Subject {
    fn new(tpm: bool, foreign: &Files) -> Self {
        let mut scene = scene(tpm, if tpm { TPM } else { SOFT });
        is(&mut scene, "as installed", &expected(&[]));
        let config = scene.node.root().join("config");
        if tpm {
            written(&config, "boot-pcrs");
        }
        let whole = files(&config);
        let older = older(&whole, foreign);
        Self { scene, whole, older }
    }

    fn endures(&mut self, damaged: &Damaged, foreign: &Files) {
        self.endures_as(damaged, foreign, &expected(damaged));
    }

    fn endures_as(&mut self, damaged: &Damaged, foreign: &Files, expected: &Expected) {
        self.scene.node.off(Power::Clean).unwrap();
        self.put_back();
        damaged.iter().for_each(|(file, what)| self.damage(file, *what, foreign));
        self.scene.node.on(Power::Clean).unwrap();
        is(&mut self.scene, &format!("{damaged:?}"), expected);
        if expected.says.contains(&REACHABLE) {
            self.renews(damaged);
        }
        // Of a pair that is seen by the next one, and at last.
        if damaged.len() == 1 && expected.opens != Opens::All {
            self.is_whole_again(&format!("{damaged:?}, undone"));
        }
    }

    /// What was made anew in its place is as good, and known to the controller.
    fn renews(&mut self, damaged: &Damaged) {
        let config = self.scene.node.root().join("config");
        for (file, _) in damaged.iter().filter(|(file, _)| OWN.contains(file)) {
            self.whole.insert((*file).to_owned(), written(&config, file));
        }
    }

    fn is_whole_again(&mut self, when: &str) {
        self.scene.node.off(Power::Clean).unwrap();
        self.put_back();
        self.scene.node.on(Power::Clean).unwrap();
        is(&mut self.scene, when, &expected(&[]));
    }

    fn put_back(&self) {
        let config = self.scene.node.root().join("config");
        let more = files(&config).into_keys().filter(|name| !self.whole.contains_key(name));
        more.for_each(|name| fs::remove_file(config.join(name)).unwrap());
        self.whole.iter().for_each(|(name, bytes)| write(&config, name, bytes));
    }

    fn damage(&self, file: &str, what: Damage, foreign: &Files) {
        let config = self.scene.node.root().join("config");
        match done_to(&self.whole[file], what, &self.older[file], &foreign[file]) {
            None => fs::remove_file(config.join(file)).unwrap(),
            Some(bytes) => write(&config, file, &bytes),
        }
    }
}

/// What a damaged file holds; nothing where none is left.
fn done_to(whole: &[u8], what: Damage, older: &[u8], foreign: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = whole.to_vec();
    match what {
        Flipped => {
            let at = 100.min(bytes.len() / 2);
            bytes[at] ^= 1;
        }
        Cut => bytes.truncate(bytes.len() / 2),
        Emptied => bytes.clear(),
        Older => bytes = older.to_vec(),
        Foreign => bytes = foreign.to_vec(),
        Removed => return None,
    }
    Some(bytes)
}

/// What is said, and what opens: by the node's words, and by the file in the vault.
fn is(scene: &mut Scene, when: &str, expected: &Expected) {
    let told = |status: &Value| {
        let status = status.to_string();
        expected.says.iter().all(|says| says.iter().any(|words| status.contains(words)))
    };
    let node = &mut scene.node;
    let said = |status: &anyhow::Result<Value>| status.as_ref().is_ok_and(told);
    wait::until_is(&format!("{when}: {expected:?}"), || node.status(), said).unwrap().unwrap();
    let opens = expected.opens;
    let defaults = opens != Opens::Nothing;
    for (vault, open) in [("config", defaults), ("image", defaults), ("till", opens == Opens::All)] {
        if open {
            node.until_vault(vault, "unlocked").unwrap_or_else(|error| panic!("{when}: {error}"));
        } else {
            // One whose name stands in the Config Vault alone is not known by it.
            let open = node.vault_if_any(vault).unwrap().is_some_and(|vault| vault["state"] == "unlocked");
            assert!(!open, "{when}: {vault}");
        }
    }
    assert_eq!(scene.has_data("till"), opens == Opens::All, "{when}");
}

/// Each of these on a node with a TPM, and several side by side.
fn endure(all: &[Vec<(&'static str, Damage)>]) {
    let mut other = scene(true, TPM);
    other.node.off(Power::Clean).unwrap();
    let (mut foreign, next) = (files(&other.node.root().join("config")), AtomicUsize::new(0));
    foreign.insert("serial".to_owned(), b"of the other board".to_vec());
    let work = || {
        let mut subject = Subject::new(true, &foreign);
        while let Some(damaged) = all.get(next.fetch_add(1, Ordering::SeqCst)) {
            subject.endures(damaged, &foreign);
        }
        subject.is_whole_again("with all put back");
    };
    thread::scope(|scope| (0..SIDE_BY_SIDE).for_each(|_| drop(scope.spawn(work))));
}

/// Invariant 4, KO-2: every file in every way. What the TPM alone opens needs no controller, and nobody else is believed; what the node
/// can make anew it does; what it can't it waits for, says so, and goes on with it.
#[test]
fn ko2_each_file_of_config_is_as_the_table_says() {
    let each = FILES.iter().flat_map(|file| ONE_BY_ONE.map(|what| vec![(*file, what)]));
    endure(&each.collect::<Vec<_>>());
}

/// What a sample of pairs has of each kind: each file in each way, and with it each outcome that the table knows of it.
fn kinds(damaged: &Damaged, expected: &Expected) -> Vec<String> {
    let each = damaged.iter().flat_map(|(file, what)| {
        [format!("{file} {what:?}"), format!("{file}: {:?} {:?}", expected.opens, expected.says)]
    });
    each.collect()
}

/// The same of pairs.
#[test]
fn each_pair_of_config_is_as_the_table_says() {
    let pairs = FILES
        .iter()
        .enumerate()
        .flat_map(|(at, one)| FILES[at + 1..].iter().map(move |other| (*one, *other)));
    let damaged =
        pairs.flat_map(|(one, other)| TOGETHER.map(|[this, that]| vec![(one, this), (other, that)]));
    endure(&sample::of(damaged.collect(), |damaged| kinds(damaged, &expected(damaged))));
}
