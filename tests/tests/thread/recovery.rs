//! A recovery key through the whole system: asked for by a policy, made by the node, opened by an identity that neither of them has.

use std::path::PathBuf;
use std::process::Command;

use eve_vault_tests::{DEVICE, Scene, at_rest};
use serde_json::Value;
use testkit::node::Power;
use testkit::wait;

/// An operator's identity, made by the real `age-keygen`; its file and its recipient.
fn identity(scene: &Scene, name: &str) -> (PathBuf, String) {
    let file = scene.dir().join(name);
    let made = Command::new("age-keygen").arg("-o").arg(&file).output().expect("runs age-keygen");
    assert!(made.status.success(), "{made:?}");
    let told = Command::new("age-keygen").arg("-y").arg(&file).output().expect("runs age-keygen");
    (file, String::from_utf8(told.stdout).expect("text").trim().to_owned())
}

fn says(report: &Value, words: &str) -> bool {
    report["detail"]
        .as_array()
        .is_some_and(|lines| lines.iter().any(|line| line.as_str().is_some_and(|line| line.contains(words))))
}

/// A scene with the vault `till`, whose recovery key is encrypted to one identity.
fn scene() -> (Scene, PathBuf) {
    let mut scene = Scene::attested().unwrap();
    let (file, recipient) = identity(&scene, "identity.txt");
    let fields = format!("custody: tpm+controller\nrecovery: {{ recipients: [{recipient}] }}");
    scene.vault_with_data("till", &fields).unwrap();
    scene
        .until_told("till", "a recovery key", |report| says(report, "recovery: 1 recipient, ready"))
        .unwrap();
    let written = scene.evc.run(&["get", "policy", "till-policy", "-o", "yaml"]).unwrap();
    assert!(written.contains(&format!("recovery: {{ recipients: [{recipient}] }}")), "{written}");
    let price = scene.evc.run(&["describe", "policy", "till-policy"]).unwrap();
    assert!(price.contains("it opens for whoever has the recovery identity too"), "{price}");
    (scene, file)
}

fn recover(scene: &Scene, vault: &str, identity: &std::path::Path) -> anyhow::Result<String> {
    scene.node.run(&["vault", "recover", vault, "--identity", &identity.display().to_string()])
}

/// TH-3, UC-E: without the controller the vault opens by its identity and by no other; with the controller back another key takes the
/// place of the used one.
#[test]
fn the_identity_opens_without_the_controller_and_the_key_is_replaced() {
    let (mut scene, file) = scene();
    let (stranger, _) = identity(&scene, "stranger.txt");
    scene.evc.stop().unwrap();
    scene.node.reboot(Power::Clean).unwrap();
    scene.node.until_vault("till", "locked").unwrap();
    scene.assert_closed("till");
    let refused = recover(&scene, "till", &stranger).expect_err("no recipient").to_string();
    assert!(refused.contains("it is encrypted to other recipients"), "{refused}");
    scene.assert_closed("till");
    recover(&scene, "till", &file).unwrap();
    assert!(scene.has_data("till"));
    let told = scene.node.vault("till").unwrap();
    assert_eq!(told["opened"]["by"], "recovery-key", "{told}");
    let before = age_files(&scene);
    scene.evc.start().unwrap();
    // What it was told before the boot says the same of the key.
    let replaced = |report: &Value| {
        report["opened"]["by"] == "recovery-key" && says(report, "recovery: 1 recipient, ready")
    };
    scene.until_told("till", "another key", replaced).unwrap();
    let shown = scene.evc.run(&["describe", "vault", "till", "--device", DEVICE]).unwrap();
    assert!(shown.contains("recovery: 1 recipient, ready") && shown.contains("recovery key"), "{shown}");
    assert!(scene.has_data("till"));
    // The used one goes when the other is told.
    let replaced = |after: &Vec<String>| after.len() == 1 && *after != before;
    wait::until_is("another key in the place of the used one", || age_files(&scene), replaced).unwrap();
}

/// TH-3, Invariant 5: the disk in a node with another TPM, and no controller: the key that `age` decrypts elsewhere opens the vault, though the
/// node knows no names.
#[test]
fn a_key_decrypted_elsewhere_opens_beside_another_tpm() {
    let (mut scene, file) = scene();
    let id = scene.node.vault("till").unwrap()["id"].as_str().expect("a UUID").to_owned();
    scene.evc.stop().unwrap();
    scene.node.off(Power::Clean).unwrap();
    scene.node.other_tpm().unwrap();
    scene.node.on(Power::Clean).unwrap();
    scene.node.until_vault(&id, "locked").unwrap();
    scene.assert_closed("till");
    let sealed = scene.node.root().join("persist/vaults/.recovery").join(&age_files(&scene)[0]);
    let key = scene.dir().join("key");
    let age = Command::new("age")
        .arg("-d")
        .arg("-i")
        .arg(&file)
        .arg("-o")
        .arg(&key)
        .arg(sealed)
        .status()
        .expect("runs age");
    assert!(age.success());
    scene.node.run(&["vault", "recover", &id, "--key", &key.display().to_string()]).unwrap();
    assert!(scene.has_data("till"));
}

fn age_files(scene: &Scene) -> Vec<String> {
    let mut names: Vec<_> =
        at_rest::files(&scene.node.root().join("persist/vaults/.recovery")).into_keys().collect();
    names.retain(|name| name.ends_with(".age"));
    names
}
