//! Whatever dies comes back, and no vault goes down for it (AC-6).

use eve_vault_tests::Scene;
use testkit::node::Power;
use testkit::wait;

use super::told::{has, until_told};
use super::{BOTH, CONTROLLER, TPM};

#[test]
fn an_agent_that_is_killed_comes_back_and_the_node_goes_on() {
    let mut scene = Scene::attested().unwrap();
    scene.vault_with_data("till", BOTH).unwrap();
    for agent in ["nim", "client", "zedagent", "tpmmgr", "vaultmgr"] {
        let before = scene.kill(agent).unwrap();
        assert!(scene.has_data("till"), "open while {agent} is down");
        scene.until_anew(agent, before).unwrap();
        scene.node.until_vault("till", "unlocked").unwrap();
        scene.rotate("till").unwrap_or_else(|error| panic!("a rotation after {agent} came back: {error:#}"));
    }
}

#[test]
fn all_of_eve_killed_and_started_again_finds_its_vaults_open() {
    let mut scene = Scene::attested().unwrap();
    scene.vault_with_data("till", BOTH).unwrap();
    scene.node.stop(Power::Cut).unwrap();
    assert!(scene.has_data("till"), "kernel keys outlive the programs");
    scene.node.start().unwrap();
    scene.node.until_vault("till", "unlocked").unwrap();
    scene.rotate("till").unwrap();
}

#[test]
fn a_killed_controller_comes_back_with_all_it_knew() {
    let mut scene = Scene::attested().unwrap();
    scene.vault_with_data("till", CONTROLLER).unwrap();
    scene.order_rotation("till").unwrap();
    scene.evc.kill9();
    assert!(scene.has_data("till"));
    scene.evc.start().unwrap();
    scene.node.until_vault_is("till", "epoch 2", |vault| vault["epoch"] == 2).unwrap();
    scene.node.reboot(Power::Cut).unwrap();
    scene.node.until_vault("till", "unlocked").unwrap();
    assert!(scene.has_data("till"));
}

/// Seen-by-users 0.16: on a disk that can't be written the agents start, vaults open, and it is told.
#[test]
fn a_disk_that_cannot_be_written_opens_its_vaults_and_is_told() {
    let mut scene = Scene::attested().unwrap();
    scene.vault_with_data("till", TPM).unwrap();
    scene.node.off(Power::Clean).unwrap();
    scene.node.on_read_only(Power::Clean).unwrap();
    scene.node.until_vault("till", "unlocked").unwrap();
    assert!(scene.has_data("till"));
    until_told(&scene, "notes", has("the persist filesystem is read-only"));
    until_told(&scene, "agents", |agents| {
        agents.as_array().is_some_and(|all| all.iter().all(|agent| agent["pid"].is_number()))
    });
}

/// Seen-by-users 0b.7: a lock by root on the node is none of vaultmgr's alone.
#[test]
fn a_lock_by_root_holds_when_vaultmgr_or_all_of_eve_dies() {
    let mut scene = Scene::attested().unwrap();
    scene.vault_with_data("till", TPM).unwrap();
    scene.node.run(&["vault", "lock", "till"]).unwrap();
    let before = scene.kill("vaultmgr").unwrap();
    scene.until_anew("vaultmgr", before).unwrap();
    let settled =
        |scene: &Scene| scene.node.vault_seen("config").is_some_and(|config| config["state"] == "unlocked");
    wait::until("the vaults", || settled(&scene).then_some(())).unwrap();
    // The controller's word comes after that, and is not enough.
    scene.vault_with_data("safe", TPM).unwrap();
    scene.assert_closed("till");
    scene.node.stop(Power::Cut).unwrap();
    scene.node.start().unwrap();
    wait::until("the vaults", || settled(&scene).then_some(())).unwrap();
    scene.assert_closed("till");
    scene.node.reboot(Power::Clean).unwrap();
    scene.node.until_vault("till", "unlocked").unwrap();
}

/// Seen-by-users 1.5: the first status is whole: attested, though zedagent restarted to be let into the Config Vault; and that is
/// no death.
#[test]
fn the_first_status_says_that_the_node_is_attested() {
    let scene = Scene::attested().unwrap();
    scene.settled().unwrap();
    until_told(&scene, "controller", |controller| controller["attestation"] == "accepted");
    let log = std::fs::read_to_string(scene.node.log()).unwrap();
    assert!(log.contains("restarts to enter the Config Vault"), "{log}");
    let died = |line: &&str| line.contains("died") && line.contains("zedagent");
    assert_eq!(log.lines().find(died), None);
}
