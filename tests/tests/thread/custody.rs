//! Custody: who must be there for a vault to open (KO-1, KO-2, KO-3).

use eve_vault_tests::{Scene, details};
use serde_json::Value;
use testkit::blocks;
use testkit::node::Power;

use super::{BOTH, CONTROLLER, TPM};

const ALL: [(&str, &str); 3] = [("alone", TPM), ("remote", CONTROLLER), ("shared", BOTH)];

#[test]
fn vaults_of_every_custody_open_again_after_a_reboot_and_after_a_power_cut() {
    let mut scene = Scene::attested().unwrap();
    ALL.into_iter().for_each(|(vault, policy)| scene.vault_with_data(vault, policy).unwrap());
    for power in [Power::Clean, Power::Cut] {
        scene.node.reboot(power).unwrap();
        for (vault, _) in ALL {
            scene.node.until_vault(vault, "unlocked").unwrap();
            assert!(scene.has_data(vault), "{vault} after {power:?}");
        }
    }
}

/// UC-C, UC-D: a user's vaults are made by name, each under its own policy; one that is closed stays closed beside those that
/// are open.
#[test]
fn each_of_a_users_vaults_opens_and_closes_alone() {
    let mut scene = Scene::attested().unwrap();
    ALL.into_iter().for_each(|(vault, policy)| scene.vault_with_data(vault, policy).unwrap());
    for (closed, policy) in ALL {
        scene.apply(closed, &format!("{policy}\noperation: lock")).unwrap();
        scene.node.until_vault(closed, "locked").unwrap();
        scene.assert_closed(closed);
        for (other, _) in ALL.into_iter().filter(|(other, _)| *other != closed) {
            assert!(scene.has_data(other), "{other} is open while {closed} is not");
        }
        scene.apply(closed, policy).unwrap();
        scene.node.until_vault(closed, "unlocked").unwrap();
    }
}

/// KO-2, KO-3, KO-6.
#[test]
fn without_the_controller_only_what_the_tpm_alone_keeps_opens() {
    let mut scene = Scene::attested().unwrap();
    ALL.into_iter().for_each(|(vault, policy)| scene.vault_with_data(vault, policy).unwrap());
    scene.node.off(Power::Clean).unwrap();
    scene.evc.stop().unwrap();
    scene.node.on(Power::Clean).unwrap();
    scene.node.until_vault("config", "unlocked").unwrap();
    scene.node.until_vault("alone", "unlocked").unwrap();
    assert!(scene.has_data("alone"), "from the checkpoint, with nobody to ask");
    for vault in ["remote", "shared"] {
        let waits = |vault: &Value| {
            vault["state"] == "locked" && details(vault).contains("waits for the controller's key")
        };
        scene.node.until_vault_is(vault, "locked, and why", waits).unwrap();
        scene.assert_closed(vault);
    }
    scene.evc.start().unwrap();
    for (vault, _) in ALL {
        scene.node.until_vault(vault, "unlocked").unwrap();
        assert!(scene.has_data(vault), "{vault}");
    }
}

#[test]
fn a_change_of_custody_rewrites_no_data() {
    let mut scene = Scene::attested().unwrap();
    scene.vault_with_data("till", TPM).unwrap();
    let raw = |scene: &Scene| blocks::raw(scene.data("till"), scene.node.disk().image()).unwrap();
    let before = raw(&scene);
    for (policy, by_controller) in [(BOTH, true), (CONTROLLER, true), (TPM, false)] {
        scene.apply("till", policy).unwrap();
        let what = format!("re-wrapped for {policy:?}");
        scene.node.until_vault_is("till", &what, |vault| vault["epoch"].is_u64() == by_controller).unwrap();
        scene.node.reboot(Power::Clean).unwrap();
        scene.node.until_vault("till", "unlocked").unwrap();
        assert!(scene.has_data("till"), "after {policy:?}");
        assert_eq!(raw(&scene), before, "extents and raw blocks after {policy:?}");
    }
}
