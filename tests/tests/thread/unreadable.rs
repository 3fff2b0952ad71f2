//! Files of a node that don't read, or bear a wrong name, beside others that tell as much (invariants 4 and 6, seen-by-users 0b.6): nothing is shut by them, on
//! the real programs.

use std::fs;
use std::path::{Path, PathBuf};

use eve_vault_tests::Scene;
use testkit::node::Power;
use testkit::wait;

use super::TPM;

fn scene() -> Scene {
    let mut scene = Scene::attested().unwrap();
    scene.vault_with_data("till", TPM).unwrap();
    scene
}

fn opens(scene: &mut Scene) {
    scene.node.until_vault("till", "unlocked").unwrap();
    assert!(scene.has_data("till"));
}

/// The certificate says whose TPM it is, as it does where the file is flipped.
#[test]
fn a_name_of_the_tpm_that_does_not_read_closes_nothing() {
    let mut scene = scene();
    scene.node.off(Power::Clean).unwrap();
    let pin = scene.node.root().join("config/ek.pub");
    fs::remove_file(&pin).unwrap();
    fs::create_dir(&pin).unwrap();
    scene.node.on(Power::Clean).unwrap();
    opens(&mut scene);
}

/// Both copies of the share table don't read when the node starts, and do later: it goes on by itself, with no controller in reach.
#[test]
fn a_share_table_that_does_not_read_at_first_is_read_again() {
    let mut scene = scene();
    scene.evc.stop().unwrap();
    scene.node.off(Power::Clean).unwrap();
    scene.node.offline(|persist: &Path| tables(persist).iter().for_each(|table| hide(table))).unwrap();
    scene.node.on(Power::Clean).unwrap();
    let status = || scene.node.status().map(|status| status.to_string()).unwrap_or_default();
    wait::until_is("the node to tell of the table", status, |told| told.contains("can't be read")).unwrap();
    tables(&scene.node.root().join("persist")).iter().for_each(|table| show(table));
    opens(&mut scene);
}

fn tables(persist: &Path) -> [PathBuf; 2] {
    ["vaults/.shares/shares.1", "vaults/.meta/.shares/shares.1"].map(|table| persist.join(table))
}

/// A folder in its place does not read as a file.
fn hide(table: &Path) {
    fs::rename(table, table.with_extension("away")).unwrap();
    fs::create_dir(table).unwrap();
}

fn show(table: &Path) {
    fs::remove_dir(table).unwrap();
    fs::rename(table.with_extension("away"), table).unwrap();
}

/// One bit of the name in the Config Vault's first protector, and its twin is gone: the directory's own key tells whose it is.
#[test]
fn a_changed_name_beside_a_lost_twin_closes_no_config_vault() {
    let mut scene = scene();
    scene.evc.stop().unwrap();
    scene.node.off(Power::Clean).unwrap();
    scene.node.offline(|persist: &Path| change_a_name(persist)).unwrap();
    scene.node.on(Power::Clean).unwrap();
    scene.node.until_vault("config", "unlocked").unwrap();
    opens(&mut scene);
}

fn change_a_name(persist: &Path) {
    let second = persist.join(format!("vaults/.meta/{}/protectors", vault::ids::CONFIG_VAULT));
    let twin = fs::read_dir(second).unwrap().next().unwrap().unwrap().path();
    let first = persist.join(".fscrypt/protectors").join(twin.file_name().unwrap());
    let mut bytes = fs::read(&first).unwrap();
    let at = bytes.windows(9).position(|window| window == b"eve-vault").unwrap();
    bytes[at] ^= 1;
    fs::write(&first, bytes).unwrap();
    fs::remove_file(twin).unwrap();
}
