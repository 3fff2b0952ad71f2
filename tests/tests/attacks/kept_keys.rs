//! Keys that an operator does not throw away by an act that says nothing of it.

use eve_vault_tests::{DEVICE, Scene};
use testkit::node::Power;
use testkit::wait;

/// KO-1: a key that a vault on the node is still wrapped under goes with no device that is deleted without `--force`, whatever the policy says by now.
#[test]
fn a_device_is_not_deleted_with_the_key_of_its_image_vault() {
    let mut scene = Scene::attested().unwrap();
    scene.node.until_vault("image", "unlocked").unwrap();
    scene.evc.apply(&format!("kind: VaultPolicy\nname: p\ncustody: controller\n---\nkind: Vault\nname: image\ndevice: {DEVICE}\npolicy: p\n")).unwrap();
    scene.node.until_vault_is("image", "under the controller's key", |it| it["epoch"] == 1).unwrap();
    scene.until_told("image", "its epoch", |report| report["epoch"] == 1).unwrap();
    scene.node.off(Power::Clean).unwrap();
    // The node is off, and its image vault is under the controller's key, of which the controller knows.
    assert!(scene.evc.run(&["delete", "device", DEVICE]).is_err());
    scene.evc.run(&["delete", "vault", "image", "--device", DEVICE, "--confirm", "image"]).unwrap();
    let deleted = scene.evc.run(&["delete", "device", DEVICE]);
    assert!(deleted.is_err(), "without --force: {}", deleted.unwrap());
    // It comes back, and gets off the key with the controller: then nothing but its bundle in escrow holds the device.
    scene.node.on(Power::Clean).unwrap();
    scene.node.until_vault_is("image", "under its TPM alone", |it| it["epoch"].is_null()).unwrap();
    let refused = || scene.evc.run(&["delete", "device", DEVICE]).unwrap_err().to_string();
    let by_bundle = || refused().contains("has a bundle in escrow").then_some(());
    wait::until("the key to be given up", by_bundle).unwrap();
    scene.evc.run(&["delete", "device", DEVICE, "--force", "--confirm", DEVICE]).unwrap();
}
