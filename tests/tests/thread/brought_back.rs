//! Files of the node's disk of which both copies are gone come back from escrow by themselves, to a boot that is approved; and nothing comes back
//! that was erased (invariant 5, TH-6).

use std::fs;
use std::path::PathBuf;

use eve_vault_tests::{DEVICE, Scene, at_rest, details};
use testkit::node::Power;
use testkit::wait;

use super::told::until_told;
use super::{BOTH, TPM};

const SEALED: &str = "custody: tpm\nseal: pcrs";

/// Vaults with data in them, and the controller holds what opens them.
fn escrowed(vaults: &[(&str, &str)]) -> Scene {
    let mut scene = Scene::attested().unwrap();
    vaults.iter().for_each(|(vault, fields)| scene.vault_with_data(vault, fields).unwrap());
    until_escrowed(&mut scene, vaults[0].0);
    scene
}

fn until_escrowed(scene: &mut Scene, vault: &str) {
    let held = |report: &serde_json::Value| !details(report).contains("not escrowed");
    scene.node.until_vault_is(vault, "the controller to hold its escrow", held).unwrap();
}

/// All files in both places of a vault's key files.
fn key_files(scene: &Scene, vault: &str) -> Vec<PathBuf> {
    let persist = scene.node.root().join("persist");
    let id = scene.node.vault(vault).unwrap()["id"].as_str().unwrap().to_owned();
    let (first, second) = (persist.join(".fscrypt"), persist.join("vaults/.meta").join(id));
    let kinds = ["protectors", "policies"];
    let paths = kinds.into_iter().flat_map(|kind| at_rest::paths(&second.join(kind)));
    let all: Vec<_> = paths.map(|path| path.strip_prefix(&second).unwrap().to_owned()).collect();
    all.into_iter().flat_map(|file| [first.join(&file), second.join(&file)]).collect()
}

fn tables(scene: &Scene) -> Vec<PathBuf> {
    let vaults = scene.node.root().join("persist/vaults");
    [".shares", ".meta/.shares"].map(|folder| at_rest::paths(&vaults.join(folder))).concat()
}

/// The node is off when they go, and on again after it.
fn loses(scene: &mut Scene, files: &[PathBuf]) {
    scene.node.stop(Power::Clean).unwrap();
    files.iter().for_each(|file| fs::remove_file(file).unwrap());
    scene.node.reboot(Power::Clean).unwrap();
}

fn opens(scene: &mut Scene, vault: &str) {
    let open = scene.node.until_vault(vault, "unlocked");
    open.unwrap_or_else(|error| panic!("{error}: {}", scene.node.status().unwrap()));
    assert!(scene.has_data(vault), "{vault}: {}", scene.node.vault(vault).unwrap());
}

/// Invariant 5: both copies of a vault's key files are gone, whatever its custody.
#[test]
fn key_files_of_which_both_copies_are_gone_come_back() {
    let mut scene = escrowed(&[("till", BOTH), ("alone", SEALED)]);
    let files: Vec<_> = ["till", "alone"].into_iter().flat_map(|vault| key_files(&scene, vault)).collect();
    assert_eq!(files.len(), 8, "{files:?}");
    loses(&mut scene, &files);
    ["till", "alone"].into_iter().for_each(|vault| opens(&mut scene, vault));
    // One copy opens it; the other is mended beside that.
    let both = || files.iter().all(|file| file.exists()).then_some(());
    wait::until("them to be in both places", both).unwrap();
    scene.node.reboot(Power::Clean).unwrap();
    ["till", "alone"].into_iter().for_each(|vault| opens(&mut scene, vault));
}

/// Invariant 5: both copies of the share table are gone while the TPM has its roots.
#[test]
fn a_share_table_of_which_both_copies_are_gone_comes_back() {
    let mut scene = escrowed(&[("till", BOTH), ("alone", TPM)]);
    let files = tables(&scene);
    assert_eq!(files.len(), 2, "{files:?}");
    loses(&mut scene, &files);
    ["till", "alone"].into_iter().for_each(|vault| opens(&mut scene, vault));
    scene.node.until_vault("config", "unlocked").unwrap();
    scene.rotate("till").unwrap();
}

/// Invariant 4: of a generation's two NV indices P's alone is undefined. What hangs on T opens by it, and P comes back with what is sealed to it.
#[test]
fn an_nv_index_that_is_gone_alone_takes_nothing_along() {
    let mut scene = escrowed(&[("till", TPM), ("alone", SEALED)]);
    scene.node.off(Power::Clean).unwrap();
    scene.node.tpm().unwrap().tool("tpm2_nvundefine", &["-C", "o", "0x01805645"]).unwrap();
    scene.node.on(Power::Clean).unwrap();
    ["till", "alone"].into_iter().for_each(|vault| opens(&mut scene, vault));
    ["config", "image"]
        .into_iter()
        .for_each(|vault| drop(scene.node.until_vault(vault, "unlocked").unwrap()));
    // P is bound to this boot.
    until_told(&scene, "generation", |generation| *generation == 2);
    scene.node.reboot(Power::Clean).unwrap();
    ["till", "alone"].into_iter().for_each(|vault| opens(&mut scene, vault));
}

/// TH-6: an image of the disk from before an erase, in its own node, with all that the controller gives back of the escrow.
#[test]
fn th6_escrow_gives_nothing_of_a_vault_that_was_erased() {
    let at_once = "custody: tpm\non_removal: { delete_after: 0s }";
    let mut scene = escrowed(&[("till", at_once), ("alone", TPM)]);
    scene.node.off(Power::Clean).unwrap();
    let older = fs::read(scene.node.disk().image()).unwrap();
    scene.node.on(Power::Clean).unwrap();
    opens(&mut scene, "till");
    scene.delete("till").unwrap();
    scene.node.until_gone("till").unwrap();
    // By which it is dead.
    until_told(&scene, "generation", |generation| *generation == 2);
    scene.node.off(Power::Clean).unwrap();
    fs::write(scene.node.disk().image(), older).unwrap();
    scene.node.on(Power::Clean).unwrap();
    opens(&mut scene, "alone");
    assert!(scene.data("till").parent().unwrap().exists(), "it is the older disk");
    scene.assert_closed("till");
    let told = || scene.evc.json(&["describe", "device", DEVICE]).ok().map(|device| device.to_string());
    wait::until("the controller to have heard of it", told).unwrap();
    scene.assert_closed("till");
}

/// The index with the list of PCR states: no secret, and of a generation's three it can go alone.
const STATES: &str = "0x01805646";

fn without_its_states(scene: &mut Scene) {
    scene.node.off(Power::Clean).unwrap();
    scene.node.tpm().unwrap().tool("tpm2_nvundefine", &["-C", "o", STATES]).unwrap();
    scene.node.on(Power::Clean).unwrap();
}

/// Seen-by-users 0b.6, of the TPM: P lies there, and is bound to the PCRs of now. What is sealed to them opens, with no controller in reach.
#[test]
fn a_list_of_states_that_is_gone_shuts_nothing_in_the_same_boot() {
    let mut scene = escrowed(&[("till", TPM), ("alone", SEALED)]);
    scene.evc.stop().unwrap();
    without_its_states(&mut scene);
    ["till", "alone"].into_iter().for_each(|vault| opens(&mut scene, vault));
}

/// The same where nothing is sealed to the boot: a deletion comes to its end, and a first vault that is sealed to it is made.
#[test]
fn a_list_of_states_that_is_gone_keeps_no_deletion_waiting() {
    let at_once = "custody: tpm\non_removal: { delete_after: 0s }";
    let mut scene = escrowed(&[("till", at_once), ("other", TPM)]);
    without_its_states(&mut scene);
    opens(&mut scene, "till");
    scene.delete("till").unwrap();
    scene.node.until_gone("till").unwrap();
    until_told(&scene, "generation", |generation| *generation == 2);
    scene.vault_with_data("alone", SEALED).unwrap();
}
