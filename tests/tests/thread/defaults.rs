//! The default vaults (DF-1 to DF-5): there before any contact, changed and given back by the operator.

use std::fs;

use eve_vault_tests::{Scene, details};
use testkit::node::{Parts, Power};
use testkit::wait;

use super::BOTH;

#[test]
fn the_default_vaults_open_before_any_contact() {
    let mut scene = Scene::prepared(Parts::default()).unwrap();
    scene.evc.stop().unwrap();
    scene.node.start().unwrap();
    for vault in ["config", "image"] {
        let open = |vault: &serde_json::Value| {
            vault["state"] == "unlocked" && details(vault).contains("not escrowed")
        };
        scene.node.until_vault_is(vault, "open, and not in escrow", open).unwrap();
    }
}

#[test]
fn what_lay_there_before_is_moved_in() {
    let mut scene = Scene::prepared(Parts::default()).unwrap();
    let dir = scene.node.root().join("persist/img");
    fs::create_dir_all(dir.join("layers")).unwrap();
    fs::write(dir.join("layers/base.tar"), "an image of before").unwrap();
    scene.node.start().unwrap();
    scene.node.until_vault("image", "unlocked").unwrap();
    assert_eq!(fs::read_to_string(dir.join("layers/base.tar")).unwrap(), "an image of before");
    // They are wiped while the vault is open already.
    let originals = scene.node.root().join("persist/vaults/.new");
    let wiped = || fs::read_dir(&originals).map_or(true, |mut left| left.next().is_none()).then_some(());
    wait::until("the originals are wiped", wiped).unwrap();
    scene.node.off(Power::Clean).unwrap();
    assert!(
        !scene.node.disk().contains(b"an image of before").unwrap(),
        "nothing of it is left in the clear"
    );
}

#[test]
fn a_default_vault_takes_a_policy_and_returns_to_its_own() {
    let mut scene = Scene::attested().unwrap();
    fs::write(scene.node.vault_dir("image").unwrap().join("layer"), "data").unwrap();
    scene.apply("image", BOTH).unwrap();
    scene.node.until_vault_is("image", "a controller's key", |vault| vault["epoch"].is_u64()).unwrap();
    scene.node.off(Power::Clean).unwrap();
    scene.evc.stop().unwrap();
    scene.node.on(Power::Clean).unwrap();
    scene.node.until_vault("config", "unlocked").unwrap();
    scene.node.until_vault("image", "locked").unwrap();
    scene.evc.start().unwrap();
    scene.node.until_vault("image", "unlocked").unwrap();
    scene.delete("image").unwrap();
    scene.node.until_vault_is("image", "its default policy", |vault| vault["epoch"].is_null()).unwrap();
    assert_eq!(fs::read_to_string(scene.node.vault_dir("image").unwrap().join("layer")).unwrap(), "data");
    scene.evc.stop().unwrap();
    scene.node.reboot(Power::Clean).unwrap();
    scene.node.until_vault("image", "unlocked").unwrap();
}

/// DF-5: what must be read before any vault opens lies outside of them, under persist/status, and is no secret.
#[test]
fn the_tpm_marker_and_the_port_list_can_be_read_while_the_config_vault_is_locked() {
    let mut scene = Scene::attested().unwrap();
    scene.apply("config", BOTH).unwrap();
    scene.node.until_vault_is("config", "a controller's key", |vault| vault["epoch"].is_u64()).unwrap();
    scene.node.stop(Power::Clean).unwrap();
    let status = scene.node.root().join("persist/status");
    let (marker, ports) = (status.join("tpmmgr/tpm_in_use"), status.join("nim/DevicePortConfigList.json"));
    [&marker, &ports].into_iter().for_each(|file| fs::remove_file(file).unwrap());
    scene.node.off(Power::Clean).unwrap();
    scene.evc.stop().unwrap();
    scene.node.on(Power::Clean).unwrap();
    scene.node.until_vault("config", "locked").unwrap();
    let read = |file: &std::path::Path| fs::read_to_string(file).ok().filter(|text| !text.is_empty());
    assert_eq!(testkit::wait::until("the marker", || read(&marker)).unwrap(), "1\n");
    let listed = testkit::wait::until("the port list", || serde_json::from_str(&read(&ports)?).ok());
    let listed: serde_json::Value = listed.unwrap();
    assert!(listed.to_string().contains("\"lo\""), "this machine's ports: {listed}");
    assert_eq!(scene.node.vault("config").unwrap()["state"], "locked", "all the while");
    let public = |file: &std::path::Path| {
        std::os::unix::fs::PermissionsExt::mode(&fs::metadata(file).unwrap().permissions()) & 0o444
    };
    assert_eq!((public(&marker), public(&ports)), (0o444, 0o444), "for everybody");
}

#[test]
fn the_operator_sees_them_though_nobody_gave_them_a_policy() {
    let scene = Scene::attested().unwrap();
    let seen = |name: &str| {
        let vault = scene.evc.vault(eve_vault_tests::DEVICE, name).ok()?;
        (vault["state"] == "unlocked" && vault["policy"].is_null()).then_some(())
    };
    ["config", "image"].into_iter().for_each(|name| testkit::wait::until(name, || seen(name)).unwrap());
    // IF-2, invariant 8: their last operation, and what is not so, in the same words as on the node.
    for name in ["config", "image"] {
        let told = |report: &serde_json::Value| {
            let (last, words) = (&report["last"], details(report));
            last["operation"] == "create"
                && last["error"].is_null()
                && !words.contains("not escrowed")
                && words.contains("AK not proved to its EK: not checked")
        };
        scene.until_told(name, "how it was made, and what is not so", told).unwrap();
    }
    let listed = scene.evc.run(&["get", "vaults"]).unwrap();
    assert!(listed.contains("config") && listed.contains("image"), "{listed}");
}
