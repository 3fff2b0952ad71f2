//! Invariant 3: no secret is written unwrapped to any disk, log, argument list or environment, on either side, but for the 0600
//! files that are named here.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use eve_vault_tests::keys::{self, Known, Secrets};
use eve_vault_tests::{DEVICE, Scene, at_rest};
use testkit::node::{Parts, Power};
use vault::section::Custody;

use super::search::Search;
use super::{BOTH, CONTROLLER, TPM};

/// The files that hold secrets in the clear; each must be its owner's alone.
const ALLOWED: [&str; 2] = ["kek", "operator.token"];
const ALLOWED_ON_NODE: [&str; 2] = ["onboard.key.pem", "device.key.pem"];

/// A scene with a history, and the keys that were in it: all logged, and all of the bus heard.
struct Played {
    scene: Scene,
    vaults: Vec<Known>,
    /// The node's processes' and the controller's arguments and environments.
    lists: Vec<u8>,
    bus: PathBuf,
}

/// Everything that a node does with keys, once.
fn played(tpm: bool, vaults: &[(&str, &str)]) -> Played {
    let parts = Parts { tpm, disk: 64 << 20, ..Parts::default() };
    let mut scene = Scene::traced(parts).unwrap();
    let bus = scene.dir().join("bus.txt");
    let heard = scene.node.bus_tail(&bus).unwrap();
    scene.node.start().unwrap();
    if tpm {
        scene.evc.approve_references(DEVICE).unwrap();
    }
    scene.node.until_vault("image", "unlocked").unwrap();
    vaults.iter().for_each(|(vault, policy)| scene.vault_with_data(vault, policy).unwrap());
    for vault in vaults.iter().filter(|(_, policy)| policy.contains("controller")).map(|(vault, _)| vault) {
        scene.rotate(vault).unwrap();
        scene.rotate(vault).unwrap();
        scene.node.run(&["vault", "lock", vault]).unwrap();
        scene.node.run(&["vault", "unlock", vault]).unwrap();
    }
    scene.node.reboot(Power::Cut).unwrap();
    vaults.iter().for_each(|(vault, _)| drop(scene.node.until_vault(vault, "unlocked").unwrap()));
    let known = known(&scene, tpm, vaults);
    drop(heard);
    Played { lists: lists(&scene), vaults: known, bus, scene }
}

fn known(scene: &Scene, tpm: bool, vaults: &[(&str, &str)]) -> Vec<Known> {
    let custody = |policy: &str| match policy {
        policy if policy.contains("tpm+controller") => Custody::TpmAndController,
        policy if policy.contains("controller") => Custody::Controller,
        _ => Custody::Tpm,
    };
    let default = if tpm { TPM } else { CONTROLLER };
    let all = [("config", default), ("image", default)].into_iter().chain(vaults.iter().copied());
    all.map(|(vault, policy)| Known::of(scene, vault, custody(policy))).collect()
}

fn lists(scene: &Scene) -> Vec<u8> {
    let processes = scene.node.processes().into_iter().chain(scene.evc.pid().map(|pid| pid as i32));
    let lists: Vec<u8> = processes.flat_map(list_of).collect();
    assert!(lists.windows(8).any(|part| part == b"vaultmgr"), "the lists were read");
    lists
}

impl Played {
    /// Stops all, digs up every key, and looks for it everywhere; returns the names of the keys.
    fn search_everywhere(mut self) -> Vec<String> {
        let device = self.scene.evc.json(&["describe", "device", DEVICE]).unwrap()["device"].clone();
        self.scene.node.stop(Power::Clean).unwrap();
        self.scene.evc.stop().unwrap();
        let controller = keys::Controller::open(&self.scene.evc.data(), &device, &self.vaults);
        let mut secrets: Secrets = keys::of_node(&self.scene, &self.vaults, &controller);
        secrets.extend(controller.secrets);
        let config = self.scene.node.root().join("config");
        for file in ALLOWED_ON_NODE.into_iter().filter(|file| config.join(file).exists()) {
            secrets.push((file.to_owned(), keys::scalar_of(&config.join(file))));
        }
        let search = Search::of(&secrets);
        self.assert_nowhere(&search);
        self.scene.node.off(Power::Clean).unwrap();
        assert_eq!(search.in_file(self.scene.node.disk().image()), NOTHING, "the raw disk");
        secrets.into_iter().map(|(name, _)| name).collect()
    }

    fn assert_nowhere(&self, search: &Search) {
        let Self { scene: Scene { node, evc, .. }, lists, bus, .. } = self;
        assert_eq!(search.in_bytes(lists), NOTHING, "arguments and environments");
        assert_eq!(search.in_log(&node.log()), NOTHING, "the node's log");
        assert_eq!(search.in_log(&evc.log()), NOTHING, "the controller's log");
        assert_eq!(search.in_log(bus), NOTHING, "eve bus tail");
        assert_eq!(search.under(&evc.data(), &ALLOWED), [], "the controller's data");
        assert_eq!(search.under(&node.root().join("config"), &ALLOWED_ON_NODE), [], "/config");
        assert_eq!(search.under(&node.root().join("run"), &[]), [], "/run");
        assert_eq!(search.under(&node.root().join("persist"), &[]), [], "files on the disk, vaults open");
        assert_eq!(search.in_file(&evc.data().join("kek")).len(), 1, "the search would have found them");
    }

    /// What a level really says when it is on: of our own crates and of libraries, on both sides.
    fn assert_traced(&self) {
        let text = |path: &Path| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
        let (node, evc, bus) = (text(&self.scene.node.log()), text(&self.scene.evc.log()), text(&self.bus));
        for line in NODE_TRACES {
            assert!(has_line(&node, line), "the node's log has {line:?}");
        }
        for line in EVC_TRACES {
            assert!(has_line(&evc, line), "the controller's log has {line:?}");
        }
        for topic in ["Session", "SignedConfig", "Evidence", "VaultStatus"] {
            assert!(bus.contains(topic), "eve bus tail has {topic}");
        }
    }
}

fn has_line(text: &str, parts: &[&str]) -> bool {
    text.lines().any(|line| parts.iter().all(|part| line.contains(part)))
}

/// Lines that are there only when the level is on, each by its parts.
const NODE_TRACES: [&[&str]; 3] =
    [&["DEBUG", "eve::agents::vaultmgr", "step"], &["TRACE", "eve::bus"], &["TRACE", "ureq"]];
const EVC_TRACES: [&[&str]; 1] = [&["TRACE", "rustls"]];
const NOTHING: [&str; 0] = [];

#[test]
fn no_key_that_was_in_play_is_in_a_log_on_a_disk_or_in_a_process_list() {
    let vaults =
        [("alone", TPM), ("remote", CONTROLLER), ("shared", BOTH), ("sealed", "custody: tpm\nseal: pcrs")];
    let played = played(true, &vaults);
    played.assert_traced();
    let keys = played.search_everywhere();
    assert!(keys.len() > 30, "all kinds of keys were dug up: {keys:?}");
}

/// The same of a node without a TPM: its device key is in one file and nowhere else.
#[test]
fn the_device_key_of_a_node_without_a_tpm_is_in_its_file_alone() {
    let policy = format!("{CONTROLLER}\nattest: {{ every: 15m, require: [], on_failure: withhold }}");
    let played = played(false, &[("remote", &policy)]);
    played.assert_traced();
    let keys = played.search_everywhere();
    assert!(keys.contains(&"device.key.pem".to_owned()) && keys.len() > 15, "{keys:?}");
}

/// Arguments and environment of a process.
fn list_of(pid: i32) -> Vec<u8> {
    let read = |name: &str| fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
    [read("cmdline"), read("environ")].concat()
}

/// Invariant 3: the files that hold secrets, wrapped or not, are root's alone, whoever may walk the folders.
#[test]
fn what_holds_a_secret_is_its_owners_alone() {
    let mut scene = Scene::attested().unwrap();
    scene.vault_with_data("shared", BOTH).unwrap();
    assert_eq!(access(&scene.evc.data()), (0o700, 0));
    let public = ["url", "root-certificate.pem"];
    assert_private(&scene.evc.data(), |file| !public.iter().any(|name| file.ends_with(name)));
    let persist = scene.node.root().join("persist");
    assert_private(&persist.join(".fscrypt"), |_| true);
    assert_private(&persist.join("vaults/.meta"), |_| true);
    assert_private(&persist.join("vaults/.shares"), |_| true);
    assert_private(&scene.node.root().join("config"), |file| file.ends_with("onboard.key.pem"));
}

/// The same of the key that stands for a TPM where there is none.
#[test]
fn a_device_key_in_a_file_is_roots_alone() {
    let mut scene = Scene::prepared(Parts { tpm: false, ..Parts::default() }).unwrap();
    scene.node.start().unwrap();
    scene.node.until_vault("config", "unlocked").unwrap();
    let config = scene.node.root().join("config");
    for key in ALLOWED_ON_NODE {
        assert_private(&config, |file| file.ends_with(key));
    }
    // Of what else lies there nothing is a key, and nobody but root writes any of it.
    for file in at_rest::under(&config)
        .into_iter()
        .filter(|file| !ALLOWED_ON_NODE.iter().any(|key| file.ends_with(key)))
    {
        assert!(!fs::read_to_string(&file).unwrap().contains("PRIVATE KEY"), "{}", file.display());
        assert_eq!(access(&file).0 & 0o022, 0, "{}", file.display());
    }
}

/// Those of the files that are chosen, and there must be some: root's, for him to read and write and nobody else.
fn assert_private(folder: &Path, chosen: impl Fn(&Path) -> bool) {
    let files: Vec<_> = at_rest::under(folder).into_iter().filter(|file| chosen(file)).collect();
    assert!(!files.is_empty(), "{} holds such files", folder.display());
    for file in files {
        assert_eq!(access(&file), (0o600, 0), "{}", file.display());
    }
}

/// Mode and owner.
fn access(path: &Path) -> (u32, u32) {
    let about = fs::metadata(path).unwrap();
    (about.permissions().mode() & 0o777, about.uid())
}
