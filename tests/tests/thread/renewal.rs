//! Attestation at periodic intervals, while all runs (IF-4): renewed in silence, and what it shows when the node has changed.

use eve_vault_tests::{DEVICE, Scene};
use testkit::node::Power;
use testkit::wait;

/// The smallest interval that a policy takes is 1 s.
const RENEWED: &str =
    "custody: tpm+controller\nseal: pcrs\nattest: { every: 2s, require: [pcrs], on_failure: withhold }";

/// Waits until the node has shown evidence again.
fn attested_again(scene: &Scene) {
    let at = || {
        let described = scene.evc.json(&["describe", "device", DEVICE]).ok()?;
        described["device"]["attestation"]["at"].as_str().map(str::to_owned)
    };
    let before = at();
    wait::until("new evidence", || at().filter(|now| Some(now) != before.as_ref())).unwrap();
}

fn key(scene: &Scene) -> String {
    scene.evc.vault(DEVICE, "till").unwrap()["key"].as_str().unwrap().to_owned()
}

/// IF-4: the node attests anew after each interval, in the same session, and stays released.
#[test]
fn a_node_attests_anew_at_each_interval_and_stays_released() {
    let mut scene = Scene::attested().unwrap();
    scene.vault_with_data("till", RENEWED).unwrap();
    let session = scene.node.told().unwrap()["session"].clone();
    for _ in 0..3 {
        attested_again(&scene);
        // New evidence is due again after two seconds, in which little may be done here.
        let released = |key: &String| key.starts_with("released: the vault is open at epoch");
        wait::until_is("the key to be released", || key(&scene), released).unwrap();
    }
    assert!(scene.has_data("till"), "open all the while");
    assert_eq!(scene.node.told().unwrap()["session"], session, "of the same life of vaultmgr");
    scene.rotate("till").unwrap();
}

/// IF-4, AC-5, TH-5: what is measured while the node runs shows at the next interval: the operator reads which PCR, no newer
/// key goes out, and the vault, open, is left open.
#[test]
fn a_pcr_that_changes_while_the_node_runs_withholds_the_key_and_leaves_the_vault_open() {
    let mut scene = Scene::attested().unwrap();
    scene.vault_with_data("till", RENEWED).unwrap();
    let measured = format!("4:sha256={}", "a5".repeat(32));
    scene.node.tpm().unwrap().tool("tpm2_pcrextend", &[&measured]).unwrap();
    let told = wait::until("the refusal", || Some(key(&scene)).filter(|key| key.contains("PCR 4")));
    assert!(told.unwrap().contains("withheld"));
    scene.order_rotation("till").unwrap();
    attested_again(&scene);
    attested_again(&scene);
    let vault = scene.node.vault("till").unwrap();
    assert_eq!((vault["state"].as_str(), vault["epoch"].as_u64()), (Some("unlocked"), Some(1)), "{vault}");
    assert!(scene.has_data("till"), "left open");
    scene.node.reboot(Power::Clean).unwrap();
    scene.node.until_vault_is("till", "the new key, after a good boot", |vault| vault["epoch"] == 2).unwrap();
    scene.node.until_vault("till", "unlocked").unwrap();
    assert!(scene.has_data("till"));
}
