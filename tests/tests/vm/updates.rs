//! Updates of kernel, initrd and command line on a measured boot: one that nobody announced, and one that was measured on another machine first.

use std::collections::BTreeMap;

use eve_vault_tests::DEVICE;
use serde_json::Value;
use testkit::{VmNode, wait};

use super::BOTH;
use super::scene::{PATIENCE, Scene};

/// Opened by the TPM alone, and by it and the controller.
const SEALED: [(&str, &str); 2] = [("alone", "custody: tpm\nseal: pcrs"), ("till", BOTH)];
/// What such an update moves: the kernel is measured into PCR 4, initrd and command line into 9, and the kernel makes 10 of the others.
const MOVED: [u8; 3] = [4, 9, 10];

fn updated(node: &mut VmNode, release: &'static str) {
    node.boot.kernel_tail = release.as_bytes();
    node.boot.extra = vec![("/etc/release".into(), release.into())];
    node.boot.cmdline += &format!(" release={release}");
}

/// In escrow, so that an update can be outlived.
fn with_vaults() -> Scene {
    let mut scene = Scene::attested().unwrap();
    for (vault, policy) in SEALED {
        scene.vault_with_data(vault, policy).unwrap();
        let escrowed = |vault: &Value| !vault["detail"].to_string().contains("escrow");
        scene.node.until_vault_is(vault, "in escrow", escrowed).unwrap();
    }
    scene
}

fn opens_whole(scene: &mut Scene) {
    for (vault, _) in SEALED {
        scene.node.until_vault(vault, "unlocked").unwrap();
        assert!(scene.has_data(vault).unwrap(), "{vault}: nothing is lost");
    }
}

fn until_generation(scene: &mut Scene, generation: u64) {
    let told = || {
        let status: Value = serde_json::from_str(&scene.node.shell("eve status --output json").ok()?).ok()?;
        (status["generation"] == generation).then_some(())
    };
    wait::within(PATIENCE, &format!("generation {generation}"), told).unwrap();
}

/// TH-5, invariant 5: after an update that nobody announced the vaults stay closed, and node and operator name the PCRs that moved. Once the new boot
/// is approved they open with all that was in them, under a next generation, which is bound to the new boot: the next needs no controller.
#[test]
fn an_update_is_outlived_once_it_is_approved() {
    let mut scene = with_vaults();
    until_generation(&mut scene, 1);
    scene.node.off().unwrap();
    updated(&mut scene.node, "two");
    scene.node.on().unwrap();
    let told = scene.until_key("till", "withheld").unwrap();
    assert!(told.contains("PCRs 4, 9, 10 differ"), "{told}");
    let named = |vault: &Value| vault["detail"].to_string().contains("PCR 4, 9, 10");
    let alone = scene.node.until_vault_is("alone", "which PCRs moved", named).unwrap();
    assert_eq!(alone["state"], "locked");
    scene.evc.run(&["reference", "learn", DEVICE]).unwrap();
    scene.approve_references().unwrap();
    opens_whole(&mut scene);
    until_generation(&mut scene, 2);
    scene.node.off().unwrap();
    scene.evc.stop().unwrap();
    scene.node.on().unwrap();
    scene.node.until_vault("alone", "unlocked").unwrap();
    assert!(scene.has_data("alone").unwrap(), "bound to the new boot");
}

/// TH-5: the update is booted on another machine beside this one, and what it measured there is approved beforehand. Then the vaults open after it with
/// nobody at hand.
#[test]
fn an_update_that_was_measured_elsewhere_needs_nobody() {
    let mut scene = with_vaults();
    let mut lab = VmNode::made(&scene.dir.path().join("lab"), "lab", &scene.evc).unwrap();
    lab.runs_as(&scene.node).unwrap();
    updated(&mut lab, "three");
    lab.on().unwrap();
    let measured = measured(&mut lab);
    drop(lab);
    let add: Vec<String> = measured.iter().map(|(pcr, value)| format!("--pcr={pcr}={value}")).collect();
    let add: Vec<&str> =
        ["reference", "add", DEVICE].into_iter().chain(add.iter().map(String::as_str)).collect();
    scene.evc.run(&add).unwrap();
    scene.approve_references().unwrap();
    scene.node.off().unwrap();
    updated(&mut scene.node, "three");
    scene.node.on().unwrap();
    opens_whole(&mut scene);
}

/// What the TPM of a machine holds, of the PCRs that an update moves.
fn measured(node: &mut VmNode) -> BTreeMap<u8, String> {
    let read = |pcr: u8| {
        let value = node.shell(&format!("cat /sys/class/tpm/tpm0/pcr-sha256/{pcr}")).unwrap();
        (pcr, value.trim().to_lowercase())
    };
    MOVED.map(read).into_iter().collect()
}
