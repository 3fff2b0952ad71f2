//! Orders that reach a node whose evidence satisfies no policy: what is withheld from it does not withhold that its vaults are to be locked.

use eve_vault_tests::{DEVICE, Scene, details};
use testkit::node::Power;
use testkit::wait;

use super::told::{copy, has, until_told};

/// The smallest interval that a policy takes is 1 s: what is measured while the node runs shows soon.
const STRICT: &str = "custody: tpm+controller\nattest: { every: 2s, require: [pcrs], on_failure: withhold }";

/// A node with an open vault that gets no section any more: its boot is not the approved one.
fn shut_out() -> Scene {
    let mut scene = Scene::attested().unwrap();
    scene.vault_with_data("till", STRICT).unwrap();
    let measured = format!("4:sha256={}", "a5".repeat(32));
    scene.node.tpm().unwrap().tool("tpm2_pcrextend", &[&measured]).unwrap();
    until_told(&scene, "controller", |controller| {
        controller["attestation"] == "accepted, but satisfies no policy: PCRs"
    });
    assert!(scene.has_data("till"), "what is open is left open");
    scene
}

fn lists(scene: &Scene, what: &[&str]) -> String {
    scene.evc.run(what).unwrap()
}

/// SECURITY TH-3: a lost device is told to lock what is open on it, `image` too, whatever its evidence shows; and the lock holds until a section
/// comes, over the end of its programs.
#[test]
fn a_lost_device_whose_pcrs_changed_locks_its_vaults() {
    let mut scene = shut_out();
    until_told(&scene, "notes", has("satisfies no policy (PCRs)"));
    let devices = lists(&scene, &["get", "devices"]);
    assert!(devices.contains("PCRs differ"), "{devices}");
    let vaults = lists(&scene, &["get", "vaults"]);
    assert!(vaults.contains("KEY") && vaults.contains("withheld: pcrs"), "{vaults}");
    let status = lists(&scene, &["status"]);
    assert!(status.contains("vault till of edge-1") && status.contains("PCR 4"), "{status}");

    let told = lists(&scene, &["device", "lost", DEVICE]);
    assert!(told.contains("`image`") && told.contains("`config` stays open"), "{told}");
    for vault in ["till", "image"] {
        scene.node.until_vault(vault, "locked").unwrap();
    }
    scene.assert_closed("till");
    assert_eq!(scene.node.vault("config").unwrap()["state"], "unlocked");
    let refused = scene.node.run(&["vault", "unlock", "till"]).unwrap_err().to_string();
    assert!(refused.contains("controller"), "root on the node does not lift it: {refused}");

    lists(&scene, &["device", "found", DEVICE]);
    let before = scene.kill("vaultmgr").unwrap();
    scene.until_anew("vaultmgr", before).unwrap();
    until_told(&scene, "controller", |controller| {
        controller["attestation"] == "accepted, but satisfies no policy: PCRs"
    });
    scene.node.until_vault("image", "locked").unwrap();
    scene.assert_closed("till");

    scene.node.reboot(Power::Clean).unwrap();
    for vault in ["till", "image"] {
        scene.node.until_vault(vault, "unlocked").unwrap();
    }
    assert!(scene.has_data("till"), "nothing was deleted or changed");
}

/// VC-2: so does a vault whose policy says `operation: lock`, and no other of the node's.
#[test]
fn a_vault_that_is_to_be_locked_is_locked_on_a_node_whose_pcrs_changed() {
    let mut scene = shut_out();
    scene.apply("till", &format!("{STRICT}\noperation: lock")).unwrap();
    scene.node.until_vault("till", "locked").unwrap();
    scene.assert_closed("till");
    assert_eq!(scene.node.vault("image").unwrap()["state"], "unlocked", "which nobody ordered");
    scene.apply("till", STRICT).unwrap();
    scene.node.reboot(Power::Clean).unwrap();
    let open = scene.node.until_vault("till", "unlocked").unwrap();
    assert!(scene.has_data("till"), "{}", details(&open));
}

/// Decision 111: another copy of the database ordered a lock, and went. The one that comes back notices it by what the node tells, over a boot too; an
/// operator says that it is the newest, and its next list lifts the lock.
#[test]
fn what_another_copy_of_the_database_ordered_is_noticed_and_taken_back() {
    let mut scene = shut_out();
    scene.evc.stop().unwrap();
    let (data, newest) = (scene.evc.data(), scene.dir().join("newest"));
    copy(&data, &newest);
    scene.evc.start().unwrap();
    lists(&scene, &["device", "lost", DEVICE]);
    scene.node.until_vault("till", "locked").unwrap();
    scene.evc.stop().unwrap();
    copy(&newest, &data);
    scene.evc.start().unwrap();
    let ahead =
        |scene: &Scene| lists(scene, &["describe", "device", DEVICE]).contains("ordered to lock at place");
    wait::until("the controller to notice that it did not give the orders", || {
        Some(()).filter(|()| ahead(&scene))
    })
    .unwrap();
    scene.node.reboot(Power::Clean).unwrap();
    scene.node.until_vault("till", "locked").unwrap();
    lists(&scene, &["device", "settle", DEVICE, "--confirm", DEVICE]);
    for vault in ["till", "image"] {
        scene.node.until_vault(vault, "unlocked").unwrap();
    }
    assert!(scene.has_data("till"), "nothing was deleted or changed");
    assert!(!ahead(&scene), "and it is not ahead any more");
}
