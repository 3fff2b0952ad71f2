//! seen-by-users 0.1, 0b.1, on the real programs: the controller's data folder is an older copy, put back while its node has gone on. Nothing
//! is deleted, nothing re-keyed and nothing numbered on; every list says why; an operator who knows goes on in a new life of it.

use std::fs;
use std::path::Path;
use std::process::Command;

use eve_vault_tests::{DEVICE, Scene, details, vault_yaml};
use testkit::evc::Evc;
use testkit::node::{Node, Parts, Power};
use testkit::wait;

use super::{BOTH, CONTROLLER};

pub(crate) fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    assert!(Command::new("cp").arg("-a").args([from, to]).status().unwrap().success());
}

/// The node's condition, as the operator's list has it.
fn condition(evc: &Evc) -> String {
    evc.run(&["get", "devices"]).unwrap()
}

fn until_condition(evc: &Evc, words: &str) {
    wait::until(words, || condition(evc).contains(words).then_some(())).unwrap();
}

#[test]
fn a_copy_of_the_controller_that_was_put_back_deletes_and_re_keys_nothing() {
    let mut scene = Scene::attested().unwrap();
    scene.vault_with_data("shared", BOTH).unwrap();
    let backup = scene.dir().join("backup");
    scene.evc.stop().unwrap();
    copy(&scene.evc.data(), &backup);
    scene.evc.start().unwrap();
    scene.rotate("shared").unwrap();
    scene.vault_with_data("day", BOTH).unwrap();
    let day = scene.node.vault_dir("day").unwrap();
    scene.evc.stop().unwrap();
    copy(&backup, &scene.evc.data());
    scene.evc.start().unwrap();
    until_condition(&scene.evc, "ahead of this database");
    // What an operator may do who has not noticed.
    scene.apply("day", BOTH).unwrap();
    let refused = scene.evc.run(&["rotate", "vault", "shared", "--device", DEVICE]).unwrap_err().to_string();
    assert!(refused.contains("begin-anew"), "{refused}");
    scene.node.reboot(Power::Clean).unwrap();
    scene.node.until_vault("config", "unlocked").unwrap();
    until_condition(&scene.evc, "ahead of this database");
    assert!(day.exists(), "not deleted");
    // It is not taken back.
    scene.node.until_vault_is("shared", "at its epoch", |vault| vault["epoch"] == 2).unwrap();
    scene.evc.stop().unwrap();
    let data = scene.evc.data();
    let anew = ["begin-anew", "--data", data.to_str().unwrap(), "--confirm"];
    // By what the node told before it booted, `day` is open: what it says since proves nothing to this database.
    assert!(scene.evc.run(&anew).unwrap_err().to_string().contains("--despite-open"));
    scene.evc.run(&[&anew[..], &["--despite-open"]].concat()).unwrap();
    scene.evc.start().unwrap();
    wait::until("the node to be followed", || (!condition(&scene.evc).contains("ahead")).then_some(()))
        .unwrap();
    wait::until("the vault that the copy does not know to be told as an orphan", || {
        let vaults = scene.node.status().ok()?["vaults"].as_array()?.clone();
        let orphan = |vault: &serde_json::Value| vault["state"] == "orphan";
        vaults.iter().any(orphan).then_some(())
    })
    .unwrap();
    assert!(day.exists(), "kept");
}

/// Invariant 4, seen-by-users: a vault that was made after the copy is taken in while it is open. In the new life of the database it stays open, is
/// wrapped anew, and opens after a boot with its data.
#[test]
fn a_vault_that_was_made_after_the_copy_is_taken_in_while_it_is_open() {
    let mut scene = Scene::attested().unwrap();
    scene.vault_with_data("shared", BOTH).unwrap();
    let backup = scene.dir().join("backup");
    scene.evc.stop().unwrap();
    copy(&scene.evc.data(), &backup);
    scene.evc.start().unwrap();
    scene.vault_with_data("day", BOTH).unwrap();
    scene.evc.stop().unwrap();
    copy(&backup, &scene.evc.data());
    scene.evc.start().unwrap();
    let data = scene.evc.data();
    let anew = ["begin-anew", "--data", data.to_str().unwrap(), "--confirm"];
    wait::until("the vault to be told", || {
        scene.evc.run(&["status"]).ok().filter(|told| told.contains("evc adopt vault day"))
    })
    .unwrap();
    scene.evc.stop().unwrap();
    let refused = scene.evc.run(&anew).unwrap_err().to_string();
    assert!(refused.contains("day of"), "{refused}");
    scene.evc.start().unwrap();
    scene.evc.run(&["adopt", "vault", "day", "--device", DEVICE, "--policy", "shared-policy"]).unwrap();
    scene.evc.stop().unwrap();
    scene.evc.run(&anew).unwrap();
    scene.evc.start().unwrap();
    scene.node.until_vault_is("day", "wrapped anew", |vault| vault["epoch"] == 2).unwrap();
    assert!(scene.has_data("day"), "open all the while");
    scene.node.reboot(Power::Clean).unwrap();
    scene.node.until_vault("day", "unlocked").unwrap();
    assert!(scene.has_data("day"));
}

/// Invariant 4, decision 92: a vault that its policy locked when the copy was made, and that was opened and rotated since. A new life of the copy would lock it
/// under a key that nobody has: it is not begun before the policy says otherwise, and then the vault stays open and opens after a boot.
#[test]
fn a_vault_that_a_copy_would_lock_under_a_newer_key_stops_a_new_life() {
    let mut scene = Scene::attested().unwrap();
    scene.vault_with_data("day", CONTROLLER).unwrap();
    let locks = format!("{CONTROLLER}\noperation: lock");
    scene.apply("day", &locks).unwrap();
    scene.node.until_vault("day", "locked").unwrap();
    let backup = scene.dir().join("backup");
    scene.evc.stop().unwrap();
    copy(&scene.evc.data(), &backup);
    scene.evc.start().unwrap();
    scene.apply("day", CONTROLLER).unwrap();
    scene.node.until_vault("day", "unlocked").unwrap();
    scene.rotate("day").unwrap();
    scene.evc.stop().unwrap();
    copy(&backup, &scene.evc.data());
    scene.evc.start().unwrap();
    let data = scene.evc.data();
    let anew = ["begin-anew", "--data", data.to_str().unwrap(), "--confirm"];
    wait::until("what closes it to be told", || {
        scene.evc.run(&["get", "vaults"]).ok().filter(|told| told.contains("`operation: lock` here"))
    })
    .unwrap();
    scene.evc.stop().unwrap();
    let refused = scene.evc.run(&anew).unwrap_err().to_string();
    assert!(refused.contains("day of") && refused.contains("their nodes lock them"), "{refused}");
    scene.evc.start().unwrap();
    scene.apply("day", CONTROLLER).unwrap();
    scene.evc.stop().unwrap();
    scene.evc.run(&anew).unwrap();
    scene.evc.start().unwrap();
    wait::until("the node to be followed", || (!condition(&scene.evc).contains("ahead")).then_some(()))
        .unwrap();
    assert!(scene.has_data("day"), "open all the while");
    scene.node.until_vault_is("day", "wrapped anew", |vault| vault["epoch"] == 1).unwrap();
    scene.node.reboot(Power::Clean).unwrap();
    scene.node.until_vault("day", "unlocked").unwrap();
    assert!(scene.has_data("day"));
}

/// Both controllers live, from one copy, and an operator works at each. The node is told by another address to call the one and then the other: it
/// follows the one that it went on with, and the other's word removes, makes and re-keys nothing, however it is given.
#[test]
fn of_two_live_controllers_of_one_copy_the_node_follows_the_one_that_it_went_on_with() {
    let mut scene = Scene::attested().unwrap();
    scene.vault_with_data("shared", BOTH).unwrap();
    let mut twin = Evc::new(&scene.dir().join("twin")).unwrap();
    twin.stop().unwrap();
    scene.evc.stop().unwrap();
    copy(&scene.evc.data(), &twin.data());
    scene.evc.start().unwrap();
    twin.start().unwrap();
    scene.rotate("shared").unwrap();
    let at_once =
        ["delete", "vault", "shared", "--device", DEVICE, "--confirm", "shared", "--delete-after", "0s"];
    twin.run(&at_once).unwrap();
    twin.apply(&vault_yaml("theirs", BOTH)).unwrap();
    let calls = |scene: &mut Scene, evc: Option<&Evc>| {
        scene.node.stop(Power::Clean).unwrap();
        scene.node.point_at(evc.unwrap_or(&scene.evc)).unwrap();
        scene.node.start().unwrap();
    };
    calls(&mut scene, Some(&twin));
    until_condition(&twin, "ahead of this database");
    scene.node.until_vault("config", "unlocked").unwrap();
    let dir = scene.data("shared").parent().unwrap().to_owned();
    let theirs = scene.node.vault_if_any("theirs").unwrap();
    assert!(dir.exists() && theirs.is_none(), "nothing is removed, nothing made: {theirs:?}");
    // Nor taken back.
    scene.node.until_vault_is("shared", "at its epoch", |vault| vault["epoch"] == 2).unwrap();
    calls(&mut scene, None);
    scene.node.until_vault("shared", "unlocked").unwrap();
    assert!(scene.has_data("shared"));
    assert!(!condition(&scene.evc).contains("ahead"), "{}", condition(&scene.evc));
    scene.rotate("shared").unwrap();
    assert!(twin.pid().is_some(), "both were there all the time");
}

/// TH-6, on the real programs: a copy of a node with its disk, its `/config` and its virtual TPM lives beside it. No signature tells them apart;
/// what tells is that the TPM's counters fall, or that a session speaks that was over. Then neither gets a key, until somebody settles which one it is.
#[test]
fn th6_a_copy_of_a_node_with_its_virtual_tpm_is_noticed_and_neither_gets_a_key() {
    let mut scene = Scene::attested().unwrap();
    scene.vault_with_data("shared", CONTROLLER).unwrap();
    scene.node.off(Power::Clean).unwrap();
    let beside = scene.dir().join("beside");
    copy(&scene.dir().join(DEVICE), &beside);
    scene.node.on(Power::Clean).unwrap();
    scene.node.until_vault("shared", "unlocked").unwrap();
    let mut twin = Node::kept(&beside, DEVICE, &scene.evc, Parts::default()).unwrap();
    twin.start().unwrap();
    until_condition(&scene.evc, "may be two");
    twin.off(Power::Clean).unwrap();
    scene.node.off(Power::Clean).unwrap();
    for node in [&mut twin, &mut scene.node] {
        node.on(Power::Clean).unwrap();
        node.until_vault_is("shared", "its key to be withheld", |vault| {
            vault["state"] == "locked" && details(vault).contains("there may be two of this device")
        })
        .unwrap();
    }
    twin.off(Power::Clean).unwrap();
    scene.evc.run(&["device", "settle", DEVICE, "--confirm", DEVICE]).unwrap();
    scene.node.until_vault("shared", "unlocked").unwrap();
    assert!(scene.has_data("shared"));
}
