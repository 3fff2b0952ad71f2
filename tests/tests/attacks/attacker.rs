//! What an attacker who had not seen the code tried on real programs. Each test says what is right.

use std::process::Command;
use std::time::Duration;

use eve_vault_tests::{DEVICE, Scene, details};
use testkit::node::Power;
use testkit::wait;

use super::{BOTH, TPM};

fn config(scene: &Scene, fields: &str) -> String {
    scene.evc.apply(&format!("kind: VaultPolicy\nname: cfg\n{fields}\n---\nkind: Vault\nname: config\ndevice: {DEVICE}\npolicy: cfg\n")).unwrap()
}

/// An operator (or a rule) locks the Config Vault, changes his mind, and the node heals, at once and over a boot; other vaults are not harmed.
#[test]
fn a_config_vault_that_was_told_to_lock_comes_back() {
    let mut scene = Scene::attested().unwrap();
    scene.vault_with_data("shared", BOTH).unwrap();
    eprintln!("apply: {}", config(&scene, "custody: tpm\noperation: lock"));
    std::thread::sleep(Duration::from_secs(6));
    eprintln!("locked: {}", scene.node.run(&["vault", "list"]).unwrap());
    eprintln!("status: {:?}", scene.node.run(&["status"]));
    eprintln!("unlock: {}", config(&scene, "custody: tpm\noperation: unlock"));
    scene.node.until_vault("config", "unlocked").unwrap();
    assert!(scene.has_data("shared"), "open");
    config(&scene, "custody: tpm\noperation: lock");
    std::thread::sleep(Duration::from_secs(3));
    scene.node.off(Power::Clean).unwrap();
    scene.node.on(Power::Clean).unwrap();
    std::thread::sleep(Duration::from_secs(8));
    eprintln!("after boot: {}", scene.node.run(&["vault", "list"]).unwrap());
    eprintln!("status: {:?}", scene.node.run(&["status"]));
    config(&scene, "custody: tpm\noperation: unlock");
    scene.node.until_vault("config", "unlocked").unwrap();
    scene.node.until_vault("shared", "unlocked").unwrap();
    assert!(scene.has_data("shared"));
}

/// Who may write in a vault makes folders in folders: it can be deleted all the same, and nobody else notices.
#[test]
fn a_vault_with_a_deep_tree_is_deleted() {
    let mut scene = Scene::attested().unwrap();
    scene.vault_with_data("other", TPM).unwrap();
    scene.apply("deep", "custody: tpm\non_removal: { delete_after: 1s }").unwrap();
    scene.node.until_vault("deep", "unlocked").unwrap();
    let dir = scene.node.vault_dir("deep").unwrap();
    let made = Command::new("python3").arg("-c").arg("import os,sys\nos.chdir(sys.argv[1])\nfor _ in range(int(sys.argv[2])):\n os.mkdir('d'); os.chdir('d')").arg(&dir).arg("6000").status().unwrap();
    assert!(made.success());
    let pid = scene.node.agent_pid("vaultmgr").unwrap();
    eprintln!("limits {}", std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap());
    scene.delete("deep").unwrap();
    let gone = wait::until("gone", || scene.node.is_gone("deep").ok().filter(|gone| *gone));
    eprintln!("deep: {:?}", scene.node.vault("deep"));
    eprintln!("vaultmgr {pid} now {:?}", scene.node.agent_pid("vaultmgr"));
    assert!(scene.has_data("other"));
    assert!(gone.is_ok(), "{:?}", scene.node.vault("deep").map(|it| details(&it)));
}
