//! Boots of a machine, and what a boot measures.

use super::BOTH;
use super::scene::Scene;

/// The main job, on a kernel of the node's own: onboarding, a vault, its data; and all of it again after the power was cut.
#[test]
fn a_node_in_a_vm_has_its_vault_again_after_its_power_was_cut() {
    let mut scene = Scene::attested().unwrap();
    scene.vault_with_data("till", BOTH).unwrap();
    scene.node.cut();
    scene.node.on().unwrap();
    scene.node.until_vault("till", "unlocked").unwrap();
    assert!(scene.has_data("till").unwrap());
    scene.node.off().unwrap();
    scene.node.on().unwrap();
    scene.node.until_vault("till", "unlocked").unwrap();
    assert!(scene.has_data("till").unwrap());
}
