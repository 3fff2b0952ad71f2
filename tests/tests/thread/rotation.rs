//! Rotation: a new controller key for a vault, with two in force (VC-2, VC-3, VC-6).

use eve_vault_tests::{Scene, details};
use testkit::blocks;
use testkit::node::Power;

use super::{BOTH, CONTROLLER};

#[test]
fn a_rotation_rewrites_no_data_and_the_old_key_is_not_asked_for_again() {
    let mut scene = Scene::attested().unwrap();
    scene.vault_with_data("till", BOTH).unwrap();
    let raw = |scene: &Scene| blocks::raw(scene.data("till"), scene.node.disk().image()).unwrap();
    let before = raw(&scene);
    for epoch in [2, 3] {
        let vault = scene.rotate("till").unwrap();
        assert_eq!(vault["epoch"], epoch);
        assert_eq!(vault["state"], "unlocked", "open all the while");
        assert_eq!(raw(&scene), before, "extents and raw blocks");
    }
    scene.node.reboot(Power::Clean).unwrap();
    scene.node.until_vault("till", "unlocked").unwrap();
    assert!(scene.has_data("till"));
}

#[test]
fn a_node_that_was_off_for_one_rotation_opens_with_the_last_key_and_moves_on() {
    let mut scene = Scene::attested().unwrap();
    scene.vault_with_data("till", CONTROLLER).unwrap();
    scene.node.off(Power::Clean).unwrap();
    scene.order_rotation("till").unwrap();
    scene.node.on(Power::Clean).unwrap();
    scene.node.until_vault_is("till", "epoch 2", |vault| vault["epoch"] == 2).unwrap();
    scene.node.until_vault("till", "unlocked").unwrap();
    assert!(scene.has_data("till"));
}

#[test]
fn a_node_that_was_off_for_two_rotations_stays_locked_and_keeps_its_data() {
    let mut scene = Scene::attested().unwrap();
    scene.vault_with_data("till", CONTROLLER).unwrap();
    scene.node.off(Power::Clean).unwrap();
    scene.order_rotation("till").unwrap();
    let refused = scene.order_rotation("till").unwrap_err().to_string();
    assert!(refused.contains("--force"), "{refused}");
    scene.force_rotation("till").unwrap();
    scene.node.on(Power::Clean).unwrap();
    let waits = "a word on its epoch";
    let vault = scene.node.until_vault_is("till", waits, |vault| details(vault).contains("epoch")).unwrap();
    assert_eq!(vault["state"], "locked", "{vault}");
    scene.assert_closed("till");
}

#[test]
fn an_open_node_that_was_cut_off_for_many_rotations_takes_the_newest_key() {
    let mut scene = Scene::attested().unwrap();
    scene.vault_with_data("till", BOTH).unwrap();
    let server = scene.node.root().join("config/server");
    let address = std::fs::read(&server).unwrap();
    // Out of reach, and running: the agents that use the network are told of another address and start anew.
    std::fs::write(&server, "127.0.0.1:1").unwrap();
    scene.kill("zedagent").unwrap();
    (0..4).for_each(|_| scene.force_rotation("till").unwrap());
    assert!(scene.has_data("till"), "open all the while");
    std::fs::write(&server, address).unwrap();
    scene.kill("zedagent").unwrap();
    scene.node.until_vault_is("till", "epoch 5", |vault| vault["epoch"] == 5).unwrap();
    scene.node.reboot(Power::Clean).unwrap();
    scene.node.until_vault("till", "unlocked").unwrap();
    assert!(scene.has_data("till"));
}
