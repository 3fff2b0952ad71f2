//! The disk of persist is not mounted, and the folder that it is mounted on lies on a filesystem that could encrypt as well.

use std::fs;

use eve_vault_tests::{DEVICE, Scene};
use testkit::node::{Parts, Power};
use testkit::wait;

use super::TPM;

const AWAY: &str = "is not a mount point";

/// Invariant 4, absence never destroys: it is told once, to the controller too; nothing is made; no order makes anything anew; and with
/// the disk all is there again.
#[test]
fn nothing_is_made_in_the_place_of_a_disk_that_is_not_mounted() {
    let mut scene = Scene::attested().unwrap();
    scene.vault_with_data("till", TPM).unwrap();
    scene.until_told("till", "that it is open", |report| report["state"] == "unlocked").unwrap();
    scene.node.off(Power::Clean).unwrap();
    scene.node.on_without_disk(Power::Clean).unwrap();
    scene.node.until_vault("config", "failed").unwrap();
    let told = scene.node.run(&["status"]).unwrap_err().to_string();
    assert!(told.contains(AWAY) && told.contains("start eve again") && !told.contains("recreate"), "{told}");
    for vault in ["config", "image", "till"] {
        let refused = scene.node.run(&["vault", "recreate", vault, "--confirm", vault]).unwrap_err();
        assert!(refused.to_string().contains(AWAY), "{refused}");
    }
    wait::until("the controller to hear of it", || {
        let vault = scene.evc.vault(DEVICE, "config").ok()?;
        (vault["state"] == "failed" && vault.to_string().contains(AWAY)).then_some(())
    })
    .unwrap();
    let till = scene.evc.vault(DEVICE, "till").unwrap();
    assert!(till.to_string().contains("the disk of persist is not there (was unlocked, "), "{till}");
    let anew = |vault| {
        let anew = ["recreate", "vault", vault, "--device", DEVICE, "--confirm", vault, "--new-disk"];
        scene.evc.run(&anew).expect_err("nothing is known to be lost").to_string()
    };
    assert!(anew("till").contains("is not mounted"), "{}", anew("till"));
    anew("config");
    let made: Vec<_> = fs::read_dir(scene.node.root().join("persist")).unwrap().collect();
    assert!(made.is_empty(), "{made:?}");
    scene.node.stop(Power::Clean).unwrap();
    scene.node.on(Power::Clean).unwrap();
    scene.node.until_vault("till", "unlocked").unwrap();
    assert!(scene.has_data("till"));
}

/// A node may keep its vaults in a folder of the filesystem around it: no mount point, at its first boot with nothing in it.
#[test]
fn a_folder_that_is_no_mount_point_may_be_its_disk() {
    let mut scene = Scene::prepared(Parts { disk_around: true, ..Parts::default() }).unwrap();
    scene.node.start().unwrap();
    scene.evc.approve_references(DEVICE).unwrap();
    scene.node.until_vault("config", "unlocked").unwrap();
    scene.vault_with_data("till", TPM).unwrap();
    scene.node.reboot(Power::Cut).unwrap();
    scene.node.until_vault("till", "unlocked").unwrap();
    assert!(scene.has_data("till"));
}
