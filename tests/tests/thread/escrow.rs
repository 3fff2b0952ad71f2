//! Escrow on real parts (invariant 5, TH-6): the bundle is at the controller and the node knows; a boot that measures otherwise keeps its vaults closed until
//! an operator approves it, and then nothing is lost; what was erased is dead, and the next generation was in escrow before.

use eve_vault_tests::{DEVICE, Scene, at_rest, details};
use serde_json::Value;
use testkit::node::Power;
use testkit::swtpm::BootState;
use testkit::wait;

use super::BOTH;
use super::told::until_told;

const SEALED: &str = "custody: tpm\nseal: pcrs";

fn generation(scene: &Scene) -> Value {
    scene.node.told().unwrap()["generation"].clone()
}

fn until_next_generation(scene: &Scene) {
    until_told(scene, "generation", |generation| *generation == 2);
}

fn is_escrowed(vault: &Value) -> bool {
    !details(vault).contains("escrow")
}

fn until_escrowed(scene: &mut Scene, vault: &str) {
    scene.node.until_vault_is(vault, "in escrow", is_escrowed).unwrap();
}

/// The number of the newest reference value, once it is learned.
fn learned(scene: &Scene, after: i64) -> i64 {
    wait::until("a reference value to be learned", || {
        let all = scene.evc.json(&["reference", "list"]).ok()?;
        let newest = all.as_array()?.iter().filter_map(|row| row["id"].as_i64()).max()?;
        (newest > after).then_some(newest)
    })
    .unwrap()
}

/// TH-5 and the escrow: an update of the firmware. Closed until it is approved, whatever the vault's own policy asks; then open by itself, with all
/// that was in it, bound to the new boot: the next boot of it needs nobody.
#[test]
fn after_an_update_vaults_open_once_the_new_boot_is_approved() {
    let mut scene = Scene::attested().unwrap();
    for (vault, policy) in [("sealed", SEALED), ("shared", BOTH)] {
        scene.vault_with_data(vault, policy).unwrap();
        until_escrowed(&mut scene, vault);
    }
    assert_eq!(generation(&scene), 1);
    scene.node.off(Power::Clean).unwrap();
    let updated = || BootState::named("good").with_change(0, "new firmware");
    scene.node.next_boot(updated());
    scene.node.on(Power::Clean).unwrap();
    for vault in ["sealed", "shared"] {
        scene.node.until_vault(vault, "locked").unwrap();
        scene.assert_closed(vault);
    }
    let told =
        scene.node.until_vault_is("sealed", "which PCR", |vault| details(vault).contains("PCR 0")).unwrap();
    assert_eq!(told["state"], "locked");
    wait::until("the refusal", || {
        scene.node.run(&["status"]).ok().filter(|text| text.contains("is not given back from escrow"))
    })
    .unwrap();
    scene.evc.run(&["reference", "learn", DEVICE]).unwrap();
    let reference = learned(&scene, 1);
    scene.assert_closed("sealed");
    scene.evc.run(&["reference", "approve", &reference.to_string()]).unwrap();
    for vault in ["sealed", "shared"] {
        scene.node.until_vault(vault, "unlocked").unwrap();
        assert!(scene.has_data(vault), "{vault}: nothing is lost");
    }
    until_next_generation(&scene);
    until_escrowed(&mut scene, "sealed");
    scene.node.off(Power::Cut).unwrap();
    scene.node.next_boot(updated());
    scene.evc.stop().unwrap();
    scene.node.on(Power::Clean).unwrap();
    scene.node.until_vault("sealed", "unlocked").unwrap();
    assert!(scene.has_data("sealed"), "bound to the new boot: its TPM alone opens it");
}

/// Decision 82: the first vault that is sealed to the measured boot comes after an update. P of before is wanted back for it, once the new boot is
/// approved, and bound to that.
#[test]
fn the_first_vault_that_is_sealed_after_an_update_is_made_once_the_new_boot_is_approved() {
    let mut scene = Scene::attested().unwrap();
    until_escrowed(&mut scene, "image");
    scene.node.off(Power::Clean).unwrap();
    let updated = || BootState::named("good").with_change(9, "new initrd");
    scene.node.next_boot(updated());
    scene.node.on(Power::Clean).unwrap();
    scene.node.until_vault("image", "unlocked").unwrap();
    scene.apply("sealed", SEALED).unwrap();
    scene.evc.run(&["reference", "learn", DEVICE]).unwrap();
    let reference = learned(&scene, 1);
    assert_eq!(generation(&scene), 1);
    scene.evc.run(&["reference", "approve", &reference.to_string()]).unwrap();
    scene.vault_with_data("sealed", SEALED).unwrap();
    until_next_generation(&scene);
    until_escrowed(&mut scene, "sealed");
    scene.node.off(Power::Cut).unwrap();
    scene.node.next_boot(updated());
    scene.evc.stop().unwrap();
    scene.node.on(Power::Clean).unwrap();
    scene.node.until_vault("sealed", "unlocked").unwrap();
    assert!(scene.has_data("sealed"), "its TPM alone opens it in the new boot");
}

/// An erase waits until the next generation's bundle is with the controller, and no longer; a controller that is away holds up nothing but that.
#[test]
fn an_erase_is_done_when_the_next_generation_is_in_escrow() {
    let mut scene = Scene::attested().unwrap();
    scene.vault_with_data("gone", SEALED).unwrap();
    scene.vault_with_data("stays", SEALED).unwrap();
    until_escrowed(&mut scene, "stays");
    scene.apply("gone", &format!("{SEALED}\non_removal: {{ delete_after: 0s }}")).unwrap();
    scene.delete("gone").unwrap();
    until_next_generation(&scene);
    until_escrowed(&mut scene, "stays");
    assert!(scene.has_data("stays"));
}

/// Where the last drill stands, as an operator reads it.
fn drill(scene: &Scene) -> Value {
    scene.evc.json(&["escrow", "list", DEVICE]).unwrap()[0]["drill"].clone()
}

/// A drill, asked for: the node opens what the controller holds, by its TPM, and says so; a rotation sends another bundle, and a drill on that passes too.
#[test]
fn a_drill_shows_that_the_bundle_opens() {
    let mut scene = Scene::attested().unwrap();
    scene.vault_with_data("shared", BOTH).unwrap();
    until_escrowed(&mut scene, "shared");
    assert_eq!(drill(&scene)["state"], "none");
    let mut on = Vec::new();
    for rotated in [false, true] {
        if rotated {
            scene.evc.run(&["rotate", "vault", "shared", "--device", DEVICE]).unwrap();
            scene.node.until_vault_is("shared", "epoch 2", |vault| vault["epoch"] == 2).unwrap();
            until_escrowed(&mut scene, "shared");
        }
        scene.evc.run(&["escrow", "drill", DEVICE]).unwrap();
        let passed = wait::until("the drill", || {
            let drill = drill(&scene);
            (drill["ordered"].is_null() && drill["state"] == "passed").then_some(drill)
        });
        on.push(passed.unwrap()["digest"].clone());
    }
    assert_ne!(on[0], on[1], "of the bundle of now");
    let described = scene.evc.run(&["describe", "device", DEVICE]).unwrap();
    assert!(described.contains("Drill:") && described.contains("passed"), "{described}");
    assert!(scene.has_data("shared"));
}

/// Both copies of a vault's key files gone, and then both of the share table: they come back from escrow, and what was in the vault is there.
#[test]
fn what_both_copies_lost_comes_back() {
    let mut scene = Scene::attested().unwrap();
    scene.vault_with_data("sealed", SEALED).unwrap();
    until_escrowed(&mut scene, "sealed");
    let id = scene.node.vault("sealed").unwrap()["id"].as_str().unwrap().to_owned();
    let persist = scene.node.root().join("persist");
    let second = persist.join("vaults/.meta").join(&id).join("protectors");
    let kept = at_rest::paths(&second).remove(0);
    let protectors = [persist.join(".fscrypt/protectors").join(kept.file_name().unwrap()), kept];
    let tables = ["vaults/.shares/shares.1", "vaults/.meta/.shares/shares.1"].map(|path| persist.join(path));
    for files in [protectors, tables] {
        scene.node.stop(Power::Clean).unwrap();
        for file in files {
            std::fs::remove_file(file).unwrap();
        }
        scene.node.off(Power::Clean).unwrap();
        scene.node.on(Power::Clean).unwrap();
        for vault in ["config", "sealed"] {
            scene.node.until_vault(vault, "unlocked").unwrap();
        }
        assert!(scene.has_data("sealed"));
    }
    until_escrowed(&mut scene, "sealed");
}
