//! A node without a TPM (DF-3): encrypted too, its keys at the controller, and nothing in the clear before.

use eve_vault_tests::{Scene, vault_yaml};
use testkit::node::{Parts, Power};

use super::told::until_told;
use super::{CONTROLLER, TPM};

const PLAIN: &str = "attest: { every: 15m, require: [], on_failure: withhold }";

fn scene() -> Scene {
    Scene::prepared(Parts { tpm: false, ..Parts::default() }).unwrap()
}

#[test]
fn its_default_vaults_wait_for_the_first_contact_and_open_with_it() {
    let mut scene = scene();
    scene.evc.stop().unwrap();
    scene.node.start().unwrap();
    scene.node.until_vault("config", "waiting").unwrap();
    // Nothing falls back to plaintext.
    scene.node.until_vault("image", "waiting").unwrap();
    scene.evc.start().unwrap();
    for vault in ["config", "image"] {
        scene.node.until_vault(vault, "unlocked").unwrap();
    }
    std::fs::write(scene.node.root().join("persist/config/kept"), "kept").unwrap();
    scene.node.reboot(Power::Cut).unwrap();
    scene.node.until_vault("config", "unlocked").unwrap();
    assert_eq!(std::fs::read_to_string(scene.node.root().join("persist/config/kept")).unwrap(), "kept");
}

/// DF-5: the TPM marker only informs. One that lies there makes no TPM, and keeps no vault shut.
#[test]
fn a_tpm_marker_that_is_not_true_changes_nothing() {
    let mut scene = scene();
    let folder = scene.node.root().join("persist/status/tpmmgr");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("tpm_in_use"), "1\n").unwrap();
    scene.node.start().unwrap();
    scene.node.until_vault("config", "unlocked").unwrap();
    until_told(&scene, "tpm", |tpm| tpm.as_str().is_some_and(|tpm| tpm.starts_with("none")));
}

#[test]
fn controller_custody_works_and_tpm_custody_is_refused_with_the_reason() {
    let mut scene = scene();
    scene.node.start().unwrap();
    scene.node.until_vault("config", "unlocked").unwrap();
    scene.vault_with_data("till", &format!("{CONTROLLER}\n{PLAIN}")).unwrap();
    let refusal = scene.evc.apply(&vault_yaml("impossible", TPM)).unwrap_err().to_string();
    assert!(refusal.contains("no TPM") && refusal.contains("controller"), "{refusal}");
    scene.node.reboot(Power::Clean).unwrap();
    scene.node.until_vault("till", "unlocked").unwrap();
    assert!(scene.has_data("till"));
}
