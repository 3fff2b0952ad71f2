//! A vault's life: made, locked, unlocked, held busy, missing, made anew, removed (VC-2, KO-7, IF-2, IF-5).

use std::fs::{self, File};

use eve_vault_tests::{DEVICE, Scene, details};
use serde_json::Value;
use testkit::node::Power;
use testkit::wait;

use super::{BOTH, TPM};

fn with(policy: &str, field: &str) -> String {
    format!("{policy}\n{field}")
}

#[test]
fn a_locked_vault_shows_no_name_and_opens_no_file() {
    let mut scene = Scene::attested().unwrap();
    scene.vault_with_data("till", BOTH).unwrap();
    scene.apply("till", &with(BOTH, "operation: lock")).unwrap();
    scene.node.until_vault("till", "locked").unwrap();
    scene.assert_closed("till");
    scene.node.reboot(Power::Clean).unwrap();
    scene.node.until_vault("till", "locked").unwrap();
    scene.apply("till", &with(BOTH, "operation: unlock")).unwrap();
    scene.node.until_vault("till", "unlocked").unwrap();
    assert!(scene.has_data("till"));
}

/// What the controller was told last: the operation and how it ended; none there is no error.
fn last(report: &Value) -> (&str, Option<&str>) {
    let last = &report["last"];
    (last["operation"].as_str().unwrap_or_default(), last["error"].as_str())
}

/// IF-2: the operator reads at the controller what was done to each vault and how it ended.
#[test]
fn the_controller_is_told_each_operation_of_a_vault_and_its_outcome() {
    let mut scene = Scene::attested().unwrap();
    scene.vault_with_data("till", BOTH).unwrap();
    let told = |operation: &'static str, state: &'static str| {
        move |report: &Value| last(report) == (operation, None) && report["state"] == state
    };
    scene.until_told("till", "made", told("create", "unlocked")).unwrap();
    scene.order_rotation("till").unwrap();
    let report = scene.until_told("till", "re-keyed", told("change-key", "unlocked")).unwrap();
    assert_eq!(report["epoch"], 2);
    scene.apply("till", &with(BOTH, "operation: lock")).unwrap();
    scene.until_told("till", "locked", told("lock", "locked")).unwrap();
    scene.apply("till", &with(BOTH, "operation: unlock")).unwrap();
    scene.until_told("till", "unlocked", told("unlock", "unlocked")).unwrap();
    let listed = scene.evc.run(&["get", "vaults"]).unwrap();
    let line = listed.lines().find(|line| line.contains("till")).unwrap();
    assert!(line.contains("unlocked"), "{listed}");
}

/// IF-2: one that fails is told with its error, which the operator reads, and which goes when it is mended.
#[test]
fn the_controller_is_told_why_an_operation_failed() {
    let mut scene = Scene::attested().unwrap();
    scene.vault_with_data("till", BOTH).unwrap();
    let held = File::open(scene.data("till")).unwrap();
    scene.apply("till", &with(BOTH, "operation: lock")).unwrap();
    let failed = |report: &Value| last(report).0 == "lock" && last(report).1.is_some();
    let report = scene.until_told("till", "why it does not lock", failed).unwrap();
    assert_eq!(report["state"], "lock-incomplete");
    let holder = std::process::id().to_string();
    let names = |report: &Value| report.to_string().contains(&holder);
    scene.until_told("till", "who holds its files", names).unwrap();
    drop(held);
    let done = |report: &Value| last(report) == ("lock", None) && report["state"] == "locked";
    scene.until_told("till", "that it is locked", done).unwrap();
}

/// Invariant 8: what is not built is said at the controller too, of each vault that it concerns, and of the device.
#[test]
fn the_operator_reads_what_is_not_checked_and_not_erased() {
    let mut scene = Scene::attested().unwrap();
    scene.vault_with_data("till", &with(BOTH, "on_removal: { delete_after: 0s }")).unwrap();
    scene
        .until_told("till", "what is not so", |report| {
            let details = details(report);
            // In escrow it is by now: said of it is what still is not so.
            !details.contains("not escrowed") && details.contains("AK not proved to its EK: not checked")
        })
        .unwrap();
    let device = scene.evc.json(&["describe", "device", DEVICE]).unwrap().to_string();
    for words in ["AK not proved to its EK: not checked", "event log: not checked", "geofence: not checked"] {
        assert!(device.contains(words), "{words}: {device}");
    }
    let said = scene.evc.run(&["delete", "vault", "till", "--device", DEVICE, "--confirm", "till"]).unwrap();
    assert!(said.contains("says when its TPM share is dead too"), "{said}");
}

#[test]
fn a_vault_whose_files_are_held_says_who_holds_them_and_locks_when_they_let_go() {
    let mut scene = Scene::attested().unwrap();
    scene.vault_with_data("till", BOTH).unwrap();
    let held = File::open(scene.data("till")).unwrap();
    scene.apply("till", &with(BOTH, "operation: lock")).unwrap();
    scene.node.until_vault("till", "lock-incomplete").unwrap();
    let holder = std::process::id().to_string();
    let names = |vault: &serde_json::Value| vault.to_string().contains(&holder);
    scene.node.until_vault_is("till", "told with its holder", names).unwrap();
    drop(held);
    scene.node.until_vault("till", "locked").unwrap();
}

#[test]
fn a_removed_vault_is_locked_for_its_grace_and_can_be_put_back() {
    let mut scene = Scene::attested().unwrap();
    let policy = with(BOTH, "on_removal: { delete_after: 1h }");
    scene.vault_with_data("till", &policy).unwrap();
    scene.delete("till").unwrap();
    scene.node.until_vault("till", "locked").unwrap();
    assert_eq!(scene.evc.vault(DEVICE, "till").unwrap()["standing"], "removing");
    scene.apply("till", &policy).unwrap();
    scene.node.until_vault("till", "unlocked").unwrap();
    assert!(scene.has_data("till"), "undone");
}

/// KO-7: what is retained is locked and kept, also over a boot, and used again with what is in it.
#[test]
fn ko7_a_retained_vault_is_kept_and_used_again() {
    let mut scene = Scene::attested().unwrap();
    let policy = with(BOTH, "on_removal: retain");
    scene.vault_with_data("till", &policy).unwrap();
    scene.delete("till").unwrap();
    scene.node.until_vault("till", "locked").unwrap();
    scene.node.reboot(Power::Clean).unwrap();
    let retained =
        |told: &Value| told["state"] == "locked" && told.to_string().contains("removed and retained");
    scene.node.until_vault_is("till", "locked and retained", retained).unwrap();
    assert_eq!(scene.evc.vault(DEVICE, "till").unwrap()["standing"], "retained");
    scene.apply("till", &policy).unwrap();
    scene.node.until_vault("till", "unlocked").unwrap();
    assert!(scene.has_data("till"), "used again");
    scene.delete("till").unwrap();
    scene.node.until_vault("till", "locked").unwrap();
    let goes = ["delete", "vault", "till", "--device", DEVICE, "--delete-after", "0s", "--confirm", "till"];
    scene.evc.run(&goes).unwrap();
    scene.node.until_gone("till").unwrap();
}

#[test]
fn a_removed_vault_is_gone_after_its_grace_at_the_node_and_at_the_controller() {
    let mut scene = Scene::attested().unwrap();
    scene.vault_with_data("till", &with(BOTH, "on_removal: { delete_after: 0s }")).unwrap();
    scene.vault_with_data("other", TPM).unwrap();
    let dir = scene.node.vault_dir("till").unwrap();
    scene.delete("till").unwrap();
    scene.node.until_gone("till").unwrap();
    assert!(!dir.exists());
    wait::until("the controller to forget it", || scene.evc.vault(DEVICE, "till").err()).unwrap();
    assert!(scene.has_data("other"), "its neighbour stays");
    scene.node.reboot(Power::Clean).unwrap();
    scene.node.until_vault("other", "unlocked").unwrap();
    assert!(wait::until("an answer", || scene.node.is_gone("till")).unwrap(), "it does not come back");
}

#[test]
fn a_vault_that_lost_its_directory_is_missing_until_it_is_ordered_anew() {
    let mut scene = Scene::attested().unwrap();
    scene.vault_with_data("till", BOTH).unwrap();
    let dir = scene.node.vault_dir("till").unwrap();
    scene.node.stop(Power::Clean).unwrap();
    fs::remove_dir_all(&dir).unwrap();
    scene.node.start().unwrap();
    let vault = scene.node.until_vault("till", "missing").unwrap();
    assert!(details(&vault).contains("directory"), "{vault}");
    let known = || (scene.evc.vault(DEVICE, "till").ok()?["state"] == "missing").then_some(());
    wait::until("the controller to know it", known).unwrap();
    let anew = ["recreate", "vault", "till", "--device", DEVICE, "--confirm", "till", "--despite-escrow"];
    scene.evc.run(&anew).unwrap();
    scene.node.until_vault("till", "unlocked").unwrap();
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 0, "made anew, empty");
}

#[test]
fn root_on_the_node_can_lock_and_unlock() {
    let mut scene = Scene::attested().unwrap();
    scene.vault_with_data("till", TPM).unwrap();
    scene.node.run(&["vault", "lock", "till"]).unwrap();
    assert_eq!(scene.node.vault("till").unwrap()["state"], "locked");
    scene.assert_closed("till");
    scene.node.run(&["vault", "unlock", "till"]).unwrap();
    assert!(scene.has_data("till"));
}
