//! A TPM that was cleared: its endorsement key is the node's still, and all that it kept is gone. The node goes on as a new device.

use std::fs;

use eve_vault_tests::{DEVICE, Scene};
use testkit::node::Power;
use testkit::wait;

use super::who_is_who::{PLAIN, allow, condition};
use super::{CONTROLLER, TPM};

/// Its name once its TPM was cleared.
const ANEW: &str = "edge-1b";

/// Facts-node, fault 6: whoever does what the status says, in its own words, has the node work again, with all that the TPM did not
/// take; what it took is named, and kept.
#[test]
fn a_node_whose_tpm_was_cleared_goes_on_by_what_its_status_says() {
    let mut scene = Scene::attested().unwrap();
    scene.vault_with_data("ledger", &format!("{CONTROLLER}\n{PLAIN}")).unwrap();
    scene.vault_with_data("till", TPM).unwrap();
    scene.node.off(Power::Clean).unwrap();
    scene.node.tpm().unwrap().tool("tpm2_clear", &["-c", "l"]).unwrap();
    scene.node.on(Power::Clean).unwrap();
    let is_told =
        || scene.node.told().ok()?["tpm"].as_str().filter(|tpm| tpm.contains("CLEARED")).map(String::from);
    let told = wait::until("the clear to be told", is_told).unwrap();
    becomes_another(&mut scene, &told);
    begins_a_new_table(&mut scene);
    scene.evc.run(&["device", "lost", DEVICE]).unwrap();
    let rehome = |name: &str| {
        scene.evc.run(&["rehome", "vault", name, "--device", DEVICE, "--to", ANEW, "--confirm", name])
    };
    let taken = rehome("till").unwrap_err().to_string();
    assert!(taken.contains("vault `till` is in part in the TPM of device `edge-1`"), "{taken}");
    rehome("ledger").unwrap();
    for _ in 0..2 {
        scene.node.until_vault("ledger", "unlocked").unwrap();
        assert!(scene.has_data("ledger"));
        scene.assert_closed("till");
        scene.node.reboot(Power::Clean).unwrap();
    }
}

/// By the words of the TPM's line.
fn becomes_another(scene: &mut Scene, told: &str) {
    let steps = [
        "remove config/device.cert.pem",
        "another serial number in config/serial",
        "allow that at the controller",
        "start eve again",
    ];
    assert!(steps.iter().all(|step| told.contains(step)), "{told}");
    scene.node.stop(Power::Clean).unwrap();
    let config = scene.node.root().join("config");
    fs::remove_file(config.join("device.cert.pem")).unwrap();
    fs::write(config.join("serial"), ANEW).unwrap();
    allow(&scene.evc, &scene.node, ANEW);
    scene.node.start().unwrap();
    let online = || condition(&scene.evc, ANEW).contains("online").then_some(());
    wait::until("it to register", online).unwrap();
    scene.evc.approve_references(ANEW).unwrap();
}

/// By the words of the note, and of who refuses what they say.
fn begins_a_new_table(scene: &mut Scene) {
    let advised = || {
        scene
            .node
            .told()
            .ok()
            .filter(|told| told["notes"].to_string().contains("`eve vault recreate config`"))
    };
    wait::until("what to do about the table", advised).unwrap();
    let recreate = ["vault", "recreate", "config", "--confirm", "config"];
    let refused = scene.node.run(&recreate).unwrap_err().to_string();
    assert!(refused.contains("eve vault recreate config --despite-escrow"), "{refused}");
    scene.node.run(&[recreate.as_slice(), &["--despite-escrow"]].concat()).unwrap();
    scene.node.until_vault("config", "unlocked").unwrap();
}
