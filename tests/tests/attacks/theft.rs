//! Disks, TPMs and databases in the wrong place (TH-1, TH-2, TH-4, TH-5; invariant 4).

use std::fs;
use std::process::Command;

use eve_vault_tests::{DEVICE, Scene, details};
use serde_json::Value;
use testkit::node::{Parts, Power};
use testkit::swtpm::BootState;
use testkit::{Evc, wait};

use super::{BOTH, CONTROLLER, TPM};

/// TH-2: the disk with all of /config beside another TPM, and the controller answers.
#[test]
fn another_tpm_is_not_this_device_though_it_has_its_disk_and_config() {
    let mut scene = Scene::attested().unwrap();
    [("alone", TPM), ("shared", BOTH)]
        .into_iter()
        .for_each(|(vault, policy)| scene.vault_with_data(vault, policy).unwrap());
    ["alone", "shared"].into_iter().for_each(|vault| assert!(scene.has_data(vault), "{vault} before"));
    scene.node.off(Power::Clean).unwrap();
    scene.node.other_tpm().unwrap();
    let _ = fs::remove_file(scene.node.root().join("config/ek.pub"));
    scene.node.on(Power::Clean).unwrap();
    let refused = wait::until("a word of the client", || {
        let words = scene.node.status().ok()?["onboarding"].as_str()?.to_owned();
        words.contains("another TPM").then_some(words)
    });
    assert!(refused.unwrap().contains("device.cert.pem"), "names the file");
    scene.node.until_vault("config", "missing").unwrap();
    ["alone", "shared"].into_iter().for_each(|vault| scene.assert_closed(vault));
    assert_eq!(
        scene.evc.vault(DEVICE, "shared").unwrap()["key"].as_str().map(|key| key.contains("released")),
        Some(true),
        "what the device itself had stands"
    );
}

/// UC-A, TH-1: the disk alone, searched byte by byte: what lies outside a vault is found, what was written into one is not.
#[test]
fn what_is_written_into_a_vault_is_not_on_the_disk_in_the_clear() {
    let mut scene = Scene::prepared(Parts { disk: 32 << 20, ..Parts::default() }).unwrap();
    scene.node.start().unwrap();
    scene.evc.approve_references(DEVICE).unwrap();
    fs::write(scene.node.root().join("persist/outside.txt"), "written in the clear\n").unwrap();
    for (vault, policy) in [("alone", TPM), ("remote", CONTROLLER), ("shared", BOTH)] {
        scene.vault_with_data(vault, policy).unwrap();
    }
    scene.node.off(Power::Clean).unwrap();
    let on_disk = |text: &str| scene.node.disk().contains(text.as_bytes()).unwrap();
    assert!(on_disk("written in the clear\n") && on_disk("outside.txt"), "the search finds what is there");
    for vault in ["alone", "remote", "shared"] {
        assert!(!on_disk(&format!("the secrets of {vault}\n")), "{vault}");
    }
    assert!(!on_disk("ledger.txt"), "nor its name");
}

/// TH-3: the whole node, elsewhere, when the theft is known: its operator takes the vaults from the list. What needs the
/// controller opens no more.
#[test]
fn a_node_that_is_known_to_be_stolen_gets_no_key_at_its_next_boot() {
    let mut scene = Scene::attested().unwrap();
    scene.vault_with_data("remote", CONTROLLER).unwrap();
    scene.vault_with_data("shared", BOTH).unwrap();
    scene.node.off(Power::Clean).unwrap();
    ["remote", "shared"].into_iter().for_each(|vault| scene.delete(vault).unwrap());
    scene.node.on(Power::Clean).unwrap();
    for vault in ["remote", "shared"] {
        // By the word of the controller at this boot, not for want of one.
        let heard = |vault: &Value| vault["state"] == "locked" && vault["wanted"] == "lock";
        scene.node.until_vault_is(vault, "told to stay locked", heard).unwrap();
        scene.assert_closed(vault);
        let key = scene.evc.vault(DEVICE, vault).unwrap()["key"].as_str().unwrap().to_owned();
        assert!(!key.contains("released"), "{vault}: {key}");
    }
}

/// TH-5: an implant in the boot chain: the quote differs, the controller withholds and says which PCR; the data is kept.
#[test]
fn a_changed_boot_gets_no_key_and_the_operator_reads_which_pcr() {
    let mut scene = Scene::attested().unwrap();
    scene.vault_with_data("shared", BOTH).unwrap();
    scene.vault_with_data("sealed", "custody: tpm\nseal: pcrs").unwrap();
    scene.node.off(Power::Clean).unwrap();
    scene.node.next_boot(BootState::named("good").with_change(4, "implant"));
    scene.node.on(Power::Clean).unwrap();
    let told = wait::until("the refusal", || {
        let key = scene.evc.vault(DEVICE, "shared").ok()?["key"].as_str()?.to_owned();
        key.contains("PCR 4").then_some(key)
    });
    assert!(told.unwrap().contains("withheld"));
    for vault in ["shared", "sealed"] {
        scene.node.until_vault(vault, "locked").unwrap();
        scene.assert_closed(vault);
    }
    let differs = |sealed: &Value| details(sealed).contains("measured");
    scene.node.until_vault_is("sealed", "told that the boot differs", differs).unwrap();
    scene.node.off(Power::Clean).unwrap();
    scene.node.next_boot(BootState::named("good"));
    scene.node.on(Power::Clean).unwrap();
    for vault in ["shared", "sealed"] {
        scene.node.until_vault(vault, "unlocked").unwrap();
        assert!(scene.has_data(vault), "its twin, unattacked, opens");
    }
}

/// TH-6, TH-4: a months-old image put back after two rotations opens for nobody; within one it does.
#[test]
fn an_old_image_put_back_after_two_rotations_stays_locked() {
    let mut scene = Scene::attested().unwrap();
    scene.vault_with_data("remote", CONTROLLER).unwrap();
    scene.node.off(Power::Clean).unwrap();
    let (image, old) = (scene.node.disk().image().to_owned(), scene.dir().join("old.img"));
    let copy = |from: &std::path::Path, to: &std::path::Path| {
        assert!(Command::new("cp").arg("--sparse=always").args([from, to]).status().unwrap().success());
    };
    copy(&image, &old);
    scene.node.on(Power::Clean).unwrap();
    scene.node.until_vault("remote", "unlocked").unwrap();
    scene.rotate("remote").unwrap();
    scene.rotate("remote").unwrap();
    scene.node.off(Power::Clean).unwrap();
    copy(&old, &image);
    scene.node.on(Power::Clean).unwrap();
    scene
        .node
        .until_vault_is("remote", "a word on its epoch", |vault| details(vault).contains("epoch"))
        .unwrap();
    scene.assert_closed("remote");
}

/// Invariant 4: a controller restored from yesterday neither deletes nor makes; nor does one that was made anew.
#[test]
fn an_old_or_new_controller_deletes_nothing() {
    let mut scene = Scene::attested().unwrap();
    scene.evc.stop().unwrap();
    let (data, backup) = (scene.evc.data(), scene.dir().join("backup"));
    let copy = |from: &std::path::Path, to: &std::path::Path| {
        let _ = fs::remove_dir_all(to);
        assert!(Command::new("cp").arg("-a").args([from, to]).status().unwrap().success());
    };
    copy(&data, &backup);
    scene.evc.start().unwrap();
    scene.vault_with_data("alone", TPM).unwrap();
    scene.vault_with_data("shared", BOTH).unwrap();
    let dirs = ["alone", "shared"].map(|vault| scene.node.vault_dir(vault).unwrap());
    scene.evc.stop().unwrap();
    copy(&backup, &data);
    scene.evc.start().unwrap();
    heard_again(&scene);
    scene.node.reboot(Power::Clean).unwrap();
    scene.node.until_vault("config", "unlocked").unwrap();
    scene.node.until_vault("alone", "unlocked").unwrap();
    assert!(scene.has_data("alone"));
    let other = Evc::new(&scene.dir().join("other")).unwrap();
    scene.node.stop(Power::Clean).unwrap();
    scene.node.point_at(&other).unwrap();
    scene.node.start().unwrap();
    scene.node.until_vault("config", "unlocked").unwrap();
    dirs.iter().for_each(|dir| {
        assert_eq!(fs::read_dir(dir).unwrap().count(), 1, "its file is there: {}", dir.display())
    });
}

/// Waits until the controller has answered the node, as it is now.
fn heard_again(scene: &Scene) {
    let last = || Some(scene.node.status().ok()?["controller"]["last_answer"].as_str()?.to_owned());
    // Whole seconds: the second later one was asked for after now.
    let mut before = last();
    for _ in 0..2 {
        before = Some(
            wait::until("an answer of the controller", || last().filter(|at| Some(at) > before.as_ref()))
                .unwrap(),
        );
    }
}

/// Both copies of the metadata damaged, by time or by hand: missing, never made anew; put back, it opens.
#[test]
fn damaged_metadata_is_missing_and_never_made_anew() {
    let mut scene = Scene::attested().unwrap();
    scene.vault_with_data("alone", TPM).unwrap();
    let id = scene.node.vault("alone").unwrap()["id"].as_str().unwrap().to_owned();
    let persist = scene.node.root().join("persist");
    scene.node.stop(Power::Clean).unwrap();
    let second = persist.join("vaults/.meta").join(&id).join("protectors");
    let name = fs::read_dir(&second).unwrap().next().unwrap().unwrap().file_name();
    let copies = [second.join(&name), persist.join(".fscrypt/protectors").join(&name)];
    let good = fs::read(&copies[0]).unwrap();
    for copy in &copies {
        fs::write(copy, [&good[..good.len() - 1], &[good[good.len() - 1] ^ 1]].concat()).unwrap();
    }
    scene.node.off(Power::Clean).unwrap();
    scene.node.on(Power::Clean).unwrap();
    let said = "both copies of its key files are damaged, or wrapped under another key of this number";
    let missing = |vault: &Value| vault["state"] == "missing" && details(vault).contains(said);
    scene.node.until_vault_is("alone", "missing, and why", missing).unwrap();
    scene.assert_closed("alone");
    scene.node.stop(Power::Clean).unwrap();
    copies.iter().for_each(|copy| fs::write(copy, &good).unwrap());
    scene.node.start().unwrap();
    scene.node.until_vault("alone", "unlocked").unwrap();
    assert!(scene.has_data("alone"), "one good copy put back is enough");
}
