//! Invariant 3: no secret is written unwrapped to any disk, log, argument list or environment, on either side, but for the 0600
//! files that are named here.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use eve_vault_tests::{DEVICE, Scene};
use testkit::node::{Parts, Power};
use vault::section::Custody;

use super::keys::{self, Known, Secrets};
use super::search::{self, Search};
use super::{BOTH, CONTROLLER, TPM};

/// The files that hold secrets in the clear; each must be its owner's alone.
const ALLOWED: [&str; 2] = ["kek", "operator.token"];

/// Everything a node does with keys, once.
fn whole_run() -> Scene {
    let mut scene = Scene::prepared(Parts { disk: 64 << 20, ..Parts::default() }).unwrap();
    scene.node.start().unwrap();
    scene.evc.approve_references(DEVICE).unwrap();
    for (vault, policy) in
        [("alone", TPM), ("remote", CONTROLLER), ("shared", BOTH), ("sealed", "custody: tpm\nseal: pcrs")]
    {
        scene.vault_with_data(vault, policy).unwrap();
    }
    scene.rotate("shared").unwrap();
    scene.rotate("remote").unwrap();
    scene.rotate("shared").unwrap();
    scene.node.run(&["vault", "lock", "shared"]).unwrap();
    scene.node.run(&["vault", "unlock", "shared"]).unwrap();
    scene.node.reboot(Power::Cut).unwrap();
    for vault in ["alone", "remote", "shared", "sealed"] {
        scene.node.until_vault(vault, "unlocked").unwrap();
    }
    scene
}

fn known(scene: &Scene) -> Vec<Known> {
    let of = |(name, custody)| Known::of(scene, name, custody);
    let user = [("remote", Custody::Controller), ("shared", Custody::TpmAndController)];
    let tpm = ["config", "image", "alone", "sealed"].map(|name| (name, Custody::Tpm));
    user.into_iter().chain(tpm).map(of).collect()
}

fn onboarding_key(scene: &Scene) -> Vec<u8> {
    let pem = fs::read_to_string(scene.node.root().join("config/onboard.key.pem")).unwrap();
    let text: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    keys::scalar(&base64::Engine::decode(&base64::engine::general_purpose::STANDARD, text).unwrap())
}

#[test]
fn no_key_that_was_in_play_is_in_a_log_on_a_disk_or_in_a_process_list() {
    let mut scene = whole_run();
    let (vaults, device) =
        (known(&scene), scene.evc.json(&["describe", "device", DEVICE]).unwrap()["device"].clone());
    let processes: Vec<_> =
        scene.node.processes().into_iter().chain(scene.evc.pid().map(|pid| pid as i32)).collect();
    let lists: Vec<u8> = processes.iter().flat_map(|pid| list_of(*pid)).collect();
    assert!(lists.windows(8).any(|part| part == b"vaultmgr"), "the lists were read");
    scene.node.stop(Power::Clean).unwrap();
    scene.evc.stop().unwrap();
    let controller = keys::Controller::open(&scene.evc.data(), &device, &vaults);
    let mut secrets: Secrets = keys::of_node(&scene, &vaults, &controller);
    secrets.extend(controller.secrets);
    secrets.push(("onboarding key".to_owned(), onboarding_key(&scene)));
    assert!(secrets.len() > 30, "all kinds of keys were dug up: {}", secrets.len());
    let search = Search::of(&secrets);

    assert_eq!(search.in_bytes(&lists), Vec::<String>::new(), "arguments and environments");
    assert_eq!(search.in_file(&scene.node.log()), Vec::<String>::new(), "the node's log");
    assert_eq!(search.in_file(&scene.evc.log()), Vec::<String>::new(), "the controller's log");
    assert_eq!(search.under(&scene.evc.data(), &ALLOWED), [], "the controller's data");
    assert_eq!(search.under(&scene.node.root().join("config"), &["onboard.key.pem"]), [], "/config");
    assert_eq!(search.under(&scene.node.root().join("persist"), &[]), [], "files on the disk, vaults open");
    scene.node.off(Power::Clean).unwrap();
    assert_eq!(search.in_file(scene.node.disk().image()), Vec::<String>::new(), "the raw disk");
    assert_eq!(search.in_file(&scene.evc.data().join("kek")).len(), 1, "the search would have found them");
}

/// Arguments and environment of a process.
fn list_of(pid: i32) -> Vec<u8> {
    let read = |name: &str| fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
    [read("cmdline"), read("environ")].concat()
}

#[test]
fn what_holds_a_secret_is_its_owners_alone() {
    let scene = Scene::attested().unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&scene.evc.data()), 0o700);
    for file in search::files(&scene.evc.data()) {
        let public = ["url", "root-certificate.pem"].iter().any(|name| file.ends_with(name));
        assert!(public || mode(&file) == 0o600, "{}: {:o}", file.display(), mode(&file));
    }
    let persist = scene.node.root().join("persist");
    for file in
        search::files(&persist.join(".fscrypt")).into_iter().chain(search::files(&persist.join("vaults")))
    {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}
