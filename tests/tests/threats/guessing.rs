//! The group "guessing": an attacker who waits for what repeats, or who wears out the TPM by wrong tries, resets and hoarding until it, or the
//! node, gives way.

use std::collections::BTreeMap;
use std::fs;

use eve_vault_tests::keys::{self, Known, Secrets};
use eve_vault_tests::{DEVICE, Scene};
use serde_json::Value;
use testkit::node::{Parts, Power};
use testkit::wait;
use vault::section::Custody;

const BOTH: &str = "custody: tpm+controller";
/// Vaults, each of three epochs.
const SAMPLES: usize = 24;

/// TH-6: of all keys of a node with many vaults and three epochs each, those of its TPM and of its controller among them, no two are alike.
#[test]
fn th6_no_key_of_a_node_comes_twice() {
    let mut scene = Scene::attested().unwrap();
    let names: Vec<String> = (0..SAMPLES).map(|n| format!("till-{n}")).collect();
    let vault = |name: &String| format!("---\nkind: Vault\nname: {name}\ndevice: {DEVICE}\npolicy: shop\n");
    let vaults: String = names.iter().map(vault).collect();
    scene.evc.apply(&format!("kind: VaultPolicy\nname: shop\n{BOTH}\n{vaults}")).unwrap();
    for epoch in 1..=3 {
        if epoch > 1 {
            names.iter().for_each(|name| scene.order_rotation(name).unwrap());
        }
        for name in &names {
            scene.node.until_vault_is(name, "the new epoch", |vault| vault["epoch"] == epoch).unwrap();
            scene.evc.until_taken(DEVICE, name).unwrap();
        }
    }
    let secrets = all_secrets(&mut scene, &names);
    assert!(secrets.len() >= SAMPLES * 3 * 2, "an epoch's key and an R for each: {}", secrets.len());
    let mut owners = BTreeMap::new();
    for (name, key) in &secrets {
        assert!(key.iter().any(|byte| *byte != key[0]), "{name} is no key");
        let other = owners.insert(key, name).filter(|other| *other != name);
        assert_eq!(other, None, "the same key as {name}");
    }
}

/// Dug up with everything off.
fn all_secrets(scene: &mut Scene, names: &[String]) -> Secrets {
    let known: Vec<Known> =
        names.iter().map(|name| Known::of(scene, name, Custody::TpmAndController)).collect();
    let device = scene.evc.json(&["describe", "device", DEVICE]).unwrap()["device"].clone();
    scene.node.stop(Power::Clean).unwrap();
    scene.evc.stop().unwrap();
    let controller = keys::Controller::open(&scene.evc.data(), &device, &known);
    let mut secrets = keys::of_node(scene, &known, &controller);
    scene.node.off(Power::Clean).unwrap();
    secrets.extend(controller.secrets);
    secrets
}

/// TH-6: sessions, and operators' tokens, of many starts: no two are alike.
#[test]
fn th6_no_session_and_no_token_comes_twice() {
    let scene = Scene::attested().unwrap();
    let session = || scene.node.status().ok()?["session"].as_str().map(str::to_owned);
    let token = || fs::read_to_string(scene.evc.data().join("operator.token")).unwrap();
    let (mut sessions, mut tokens) = (Vec::new(), Vec::new());
    for _ in 0..8 {
        let is = wait::until("a new session", || session().filter(|is| !sessions.contains(is))).unwrap();
        sessions.push(is);
        assert!(!tokens.contains(&token()), "a token came twice");
        tokens.push(token());
        scene.evc.run(&["token", "rotate"]).unwrap();
        scene.kill("vaultmgr").unwrap();
    }
}

/// TH-6: a TPM in dictionary-attack lockout, with no room left and reset without warning time and again, opens every vault of its node.
#[test]
fn th6_a_worn_out_tpm_opens_every_vault() {
    let mut scene = Scene::prepared(Parts::default()).unwrap();
    scene.node.start().unwrap();
    scene.evc.approve_references(DEVICE).unwrap();
    let vaults = [("alone", "custody: tpm"), ("sealed", "custody: tpm\nseal: pcrs"), ("shared", BOTH)];
    vaults.iter().for_each(|(vault, fields)| scene.vault_with_data(vault, fields).unwrap());
    scene.node.off(Power::Clean).unwrap();
    worn_out(&mut scene);
    scene.node.on(Power::Cut).unwrap();
    for (vault, _) in vaults {
        scene.node.until_vault(vault, "unlocked").unwrap();
        assert!(scene.has_data(vault), "{vault}");
    }
    let locked = |status: &anyhow::Result<Value>| {
        status.as_ref().is_ok_and(|status| status["tpm_health"]["in_lockout"] == true)
    };
    wait::until_is("it to be shown", || scene.node.status(), locked).unwrap().unwrap();
}

/// Another program's index is guessed at until the TPM locks; then indices are made until none fits; then the power goes, often.
fn worn_out(scene: &mut Scene) {
    let tpm = scene.node.tpm_mut().unwrap();
    tpm.start().unwrap();
    let index = |n: usize| format!("0x{:08x}", 0x01a0_0000 + n);
    tpm.tool("tpm2_nvdefine", &[&index(0), "-s", "8", "-p", "secret", "-a", "authread|authwrite"]).unwrap();
    tpm.tool("tpm2_nvwrite", &[&index(0), "-P", "secret", "-i", "/proc/self/cmdline"]).unwrap_or_default();
    let locked = (0..64).any(|_| {
        tpm.tool("tpm2_nvread", &[&index(0), "-P", "wrong"])
            .is_err_and(|error| format!("{error:#}").contains("0x921"))
    });
    assert!(locked, "the guesses did not reach lockout");
    let full = (1..200).any(|n| tpm.tool("tpm2_nvdefine", &[&index(n), "-s", "2048"]).is_err());
    assert!(full, "there was always room for another index");
    (0..20).for_each(|_| tpm.kill9_restart().unwrap());
    tpm.stop();
}
