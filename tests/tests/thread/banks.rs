//! A TPM that has the SHA-384 bank of PCRs alone (AC-3): measured, approved and sealed to like any.

use eve_vault_tests::{DEVICE, Scene};
use serde_json::Value;
use testkit::node::{Parts, Power};
use testkit::swtpm::BootState;
use testkit::wait;

use super::BOTH;
use super::told::{has, until_told};

fn boots(scene: &mut Scene, boot: BootState) {
    scene.node.off(Power::Clean).unwrap();
    scene.node.next_boot(boot);
    scene.node.on(Power::Clean).unwrap();
}

/// AC-5, TH-5, KO-2: under `require: [pcrs]` and `seal: pcrs` its vaults open in the approved boot and in no other.
#[test]
fn a_node_whose_tpm_has_the_sha384_bank_alone_opens_in_the_approved_boot_and_no_other() {
    const VAULTS: [(&str, &str); 2] = [("till", BOTH), ("alone", "custody: tpm\nseal: pcrs")];
    let mut scene = Scene::prepared(Parts { banks: "sha384", ..Parts::default() }).unwrap();
    scene.node.start().unwrap();
    scene.evc.approve_references(DEVICE).unwrap();
    scene.node.until_vault("config", "unlocked").unwrap();
    let tpm = until_told(&scene, "tpm", has("ready"));
    assert!(!has("not measured")(&tpm), "{tpm}");
    let list = scene.evc.run(&["reference", "list", "--device", DEVICE]).unwrap();
    assert!(list.contains("BANK") && list.contains("SHA-384"), "{list}");
    let described = scene.evc.run(&["describe", "device", DEVICE]).unwrap();
    assert!(described.contains("13, 14 (SHA-384)"), "{described}");
    VAULTS.iter().for_each(|(vault, fields)| scene.vault_with_data(vault, fields).unwrap());

    boots(&mut scene, BootState::named("good").with_change(4, "implant"));
    let key = |scene: &Scene| scene.evc.vault(DEVICE, "till").ok()?["key"].as_str().map(str::to_owned);
    let told =
        wait::until("the refusal", || key(&scene).filter(|key| key.contains("PCR 4 differs"))).unwrap();
    assert!(told.contains("withheld"), "{told}");
    for (vault, _) in VAULTS {
        scene.node.until_vault(vault, "locked").unwrap();
        scene.assert_closed(vault);
    }
    let names = |alone: &Value| alone.to_string().contains("measured") && alone.to_string().contains("PCR 4");
    scene.node.until_vault_is("alone", "told with what moved", names).unwrap();

    boots(&mut scene, BootState::named("good"));
    for (vault, _) in VAULTS {
        scene.node.until_vault(vault, "unlocked").unwrap();
        assert!(scene.has_data(vault), "its twin, the approved boot: {vault}");
    }
}
