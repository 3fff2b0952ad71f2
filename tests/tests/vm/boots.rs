//! Boots of a machine, and what a boot measures.

use anyhow::Result;
use serde_json::Value;
use testkit::wait;

use super::BOTH;
use super::scene::{PATIENCE, Scene};

/// Sealed to the boot in two ways: by what the controller is shown, and by the TPM alone.
const SEALED: [(&str, &str); 2] = [("till", BOTH), ("alone", "custody: tpm\nseal: pcrs")];

/// The main job, on a kernel of the node's own: onboarding, a vault, its data; and all of it again after the power was cut.
#[test]
fn a_node_in_a_vm_has_its_vault_again_after_its_power_was_cut() {
    let mut scene = Scene::attested().unwrap();
    scene.vault_with_data("till", BOTH).unwrap();
    tells_of_its_walls(&mut scene);
    scene.node.cut();
    scene.node.on().unwrap();
    scene.node.until_vault("till", "unlocked").unwrap();
    assert!(scene.has_data("till").unwrap());
    scene.node.off().unwrap();
    scene.node.on().unwrap();
    scene.node.until_vault("till", "unlocked").unwrap();
    assert!(scene.has_data("till").unwrap());
}

/// Invariant 8: before there are walls `eve check` says of landlock what those who stand behind them say: on this kernel, that some is there.
fn tells_of_its_walls(scene: &mut Scene) {
    let lacks = "this kernel lacks the newer kinds of landlock";
    let checked = scene.node.ask("eve check").unwrap().printed;
    assert!(checked.contains(lacks), "{checked}");
    assert!(scene.node.log().contains(&format!("walls are up landlock={lacks}")), "{}", scene.node.log());
}

/// AC-5, TH-5, KO-2: one more word on the kernel's command line is another boot: firmware measures it into PCR 9. The vaults stay closed in it, and the
/// operator and root on the node read which PCR it is; the old command line opens them.
#[test]
fn a_changed_command_line_closes_the_vaults_and_the_old_one_opens_them() {
    let mut scene = Scene::attested().unwrap();
    SEALED.iter().for_each(|(vault, fields)| scene.vault_with_data(vault, fields).unwrap());
    let known = scene.node.boot.clone();
    scene.node.boot.cmdline += " implant";
    again(&mut scene).unwrap();
    let told = scene.until_key("till", "withheld").unwrap();
    assert!(told.contains("PCRs 9, 10 differ"), "10 is what the kernel makes of the others: {told}");
    let names = |alone: &Value| {
        let told = alone.to_string();
        alone["state"] == "locked" && told.contains("measured") && told.contains("PCR 9")
    };
    scene.node.until_vault_is("alone", "locked, with what moved", names).unwrap();
    closed(&mut scene);
    scene.node.boot = known;
    again(&mut scene).unwrap();
    open(&mut scene);
}

/// TH-1, TH-2: the disk and all that lies in config/, in a machine that boots the same, with another TPM.
#[test]
fn the_disk_in_another_machine_stays_closed() {
    let mut scene = Scene::attested().unwrap();
    SEALED.iter().for_each(|(vault, fields)| scene.vault_with_data(vault, fields).unwrap());
    scene.node.off().unwrap();
    scene.node.other_tpm().unwrap();
    scene.node.on().unwrap();
    // Without its Config Vault it does not know what vaults it has, so it names none of them.
    let noticed = || scene.node.log().contains("not the TPM that this node was installed with").then_some(());
    wait::within(PATIENCE, "the node to notice the other TPM", noticed).unwrap();
    scene.node.until_vault_is("config", "not open", |vault| vault["state"] != "unlocked").unwrap();
    closed(&mut scene);
    scene.node.cut();
    scene.node.first_tpm().unwrap();
    scene.node.on().unwrap();
    open(&mut scene);
}

fn again(scene: &mut Scene) -> Result<()> {
    scene.node.off()?;
    scene.node.on()
}

/// By the kernel: each directory has one entry, and nobody opens it.
fn closed(scene: &mut Scene) {
    let each = "for vault in /persist/vaults/*; do set -- $vault/*; [ $# = 1 ] && ! cat \"$1\" && ! [ -e $vault/ledger* ] || exit 9; done";
    let said = scene.node.ask(each).unwrap();
    assert_eq!(said.code, 0, "{}", said.printed);
    assert_eq!(said.printed.matches("Required key not available").count(), SEALED.len(), "{}", said.printed);
}

fn open(scene: &mut Scene) {
    for (vault, _) in SEALED {
        scene.node.until_vault(vault, "unlocked").unwrap();
        assert!(scene.has_data(vault).unwrap(), "{vault}");
    }
}
