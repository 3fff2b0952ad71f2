//! Whatever dies comes back, and no vault goes down for it (AC-6).

use eve_vault_tests::Scene;
use testkit::node::Power;
use testkit::wait;

use super::{BOTH, CONTROLLER};

#[test]
fn an_agent_that_is_killed_comes_back_and_the_node_goes_on() {
    let mut scene = Scene::attested().unwrap();
    scene.vault_with_data("till", BOTH).unwrap();
    for agent in ["nim", "client", "zedagent", "tpmmgr", "vaultmgr"] {
        let before = scene.kill(agent).unwrap();
        assert!(scene.has_data("till"), "open while {agent} is down");
        wait::until(agent, || scene.node.agent_pid(agent).ok().filter(|pid| *pid != before)).unwrap();
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
