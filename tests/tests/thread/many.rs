//! Many vaults at once.

use std::time::Duration;

use eve_vault_tests::{DEVICE, Scene};
use testkit::node::Power;
use testkit::wait;

const MANY: usize = 300;
/// Seconds on a machine that is not loaded.
const PATIENCE: Duration = Duration::from_secs(240);

#[test]
fn three_hundred_vaults_are_open_at_once_and_again_after_a_reboot() {
    let mut scene = Scene::attested().unwrap();
    let vault = |n: usize| format!("---\nkind: Vault\nname: till-{n}\ndevice: {DEVICE}\npolicy: shop\n");
    let vaults: String = (0..MANY).map(vault).collect();
    scene.evc.apply(&format!("kind: VaultPolicy\nname: shop\n{}\n{vaults}", super::BOTH)).unwrap();
    all_open(&scene);
    scene.node.reboot(Power::Clean).unwrap();
    all_open(&scene);
}

/// The user's and the two default ones.
fn all_open(scene: &Scene) {
    let open = |scene: &Scene| {
        let status = scene.node.status().ok()?;
        let vaults = status["vaults"].as_array()?;
        (vaults.iter().filter(|vault| vault["state"] == "unlocked").count() == MANY + 2).then_some(())
    };
    wait::within(PATIENCE, "all vaults open", || open(scene)).unwrap();
}
