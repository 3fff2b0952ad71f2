//! A vault with a lease, through the whole system: open while the controller renews it, and locked by its node when it does not.

use eve_vault_tests::{DEVICE, Scene, details};
use serde_json::Value;
use testkit::node::Power;
use testkit::wait;

/// Long enough for a renewal on a busy machine; a policy takes 10 s.
const LEASED: &str = "custody: tpm+controller\nlease: 20s";
/// The TPM alone holds the key, and the vault needs contact for all that.
const LEASED_BY_TPM: &str = "custody: tpm\nlease: 20s";

/// Until when the vault's lease lasts, by the node's clock.
fn until(scene: &Scene) -> Option<Value> {
    let told = scene.node.run(&["vault", "list", "-o", "json"]).ok()?;
    let told: Value = serde_json::from_str(&told).ok()?;
    let leases = told["leases"].as_object()?;
    leases.values().next().cloned()
}

fn renewed(scene: &Scene) {
    let before = until(scene);
    wait::until("a renewal", || until(scene).filter(|now| Some(now) != before.as_ref())).unwrap();
}

/// Design, section 4: polls renew the lease in the same session, and the vault stays open over several; with the controller gone the node
/// locks it by itself and says why; with it back, it opens.
#[test]
fn a_vault_stays_open_while_its_lease_is_renewed_and_locks_when_it_is_not() {
    let mut scene = Scene::attested().unwrap();
    scene.vault_with_data("till", LEASED).unwrap();
    let session = scene.node.told().unwrap()["session"].clone();
    for _ in 0..3 {
        renewed(&scene);
        assert!(scene.has_data("till"), "open all the while");
    }
    assert_eq!(scene.node.told().unwrap()["session"], session);
    scene.evc.stop().unwrap();
    let told = scene.node.until_vault("till", "locked").unwrap();
    assert!(details(&told).contains("its lease ended"), "{told}");
    scene.assert_closed("till");
    assert_eq!(scene.node.vault("config").unwrap()["state"], "unlocked", "a default vault has none");
    scene.evc.start().unwrap();
    scene.node.until_vault("till", "unlocked").unwrap();
    assert!(scene.has_data("till"));
}

/// An end of vaultmgr leaves the lease where it was; a boot leaves none, though the TPM has all that opens the vault.
#[test]
fn an_end_of_vaultmgr_lengthens_no_lease_and_a_boot_ends_it() {
    let mut scene = Scene::attested().unwrap();
    scene.vault_with_data("till", LEASED_BY_TPM).unwrap();
    renewed(&scene);
    scene.evc.stop().unwrap();
    let before = wait::until("the end of the lease", || until(&scene)).unwrap();
    scene.kill("vaultmgr").unwrap();
    let after = wait::until("vaultmgr again", || until(&scene)).unwrap();
    assert_eq!(after["secs"], before["secs"], "{after} {before}");
    scene.node.until_vault("till", "locked").unwrap();
    scene.node.reboot(Power::Clean).unwrap();
    let told = scene.node.until_vault("till", "locked").unwrap();
    assert!(details(&told).contains("no lease since this boot"), "{told}");
    scene.assert_closed("till");
    scene.evc.start().unwrap();
    scene.node.until_vault("till", "unlocked").unwrap();
    assert!(scene.has_data("till"));
}

/// TH-3: a device that is marked lost gets no renewal, and locks at its next contact.
#[test]
fn th3_a_lost_device_is_not_renewed() {
    let mut scene = Scene::attested().unwrap();
    scene.vault_with_data("till", LEASED).unwrap();
    scene.evc.run(&["device", "lost", DEVICE]).unwrap();
    scene.node.until_vault("till", "locked").unwrap();
    scene.assert_closed("till");
}
