//! Who a node and its controller take each other for, when one of them is exchanged or copied: nothing opens by itself, and a word of
//! root's on the node, or of an operator's, says what is.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use eve_vault_tests::{DEVICE, Scene, vault_yaml};
use testkit::node::{Parts, Power};
use testkit::{Evc, Node, wait};

use super::{CONTROLLER, TPM};

pub(super) const PLAIN: &str = "attest: { every: 15m, require: [], on_failure: withhold }";

/// Lets a node register, by the onboarding key that it has.
pub(super) fn allow(evc: &Evc, node: &Node, serial: &str) {
    let cert = node.root().join("config/onboard.cert.pem");
    let cert = cert.to_str().unwrap();
    evc.run(&["onboard", "add", "--cert", cert, "--serial", serial, "--name", serial]).unwrap();
}

pub(super) fn condition(evc: &Evc, device: &str) -> String {
    let list = evc.run(&["get", "devices"]).unwrap();
    list.lines().find(|line| line.starts_with(&format!("{device} "))).unwrap_or_default().to_owned()
}

/// Whether the node says that another controller's word does not count, and what root may do.
fn is_doubted(node: &Node) -> bool {
    node.status().is_ok_and(|status| status.to_string().contains("eve controller accept"))
}

/// Threats, Added since: a file swapped offline that makes the node forget its master. Whoever puts another controller's root and address
/// on a node is obeyed only once root there has accepted it by its fingerprint; what the new one does not list is locked and kept.
#[test]
fn another_controller_is_obeyed_once_root_on_the_node_accepts_it() {
    let mut scene = Scene::attested().unwrap();
    scene.vault_with_data("till", TPM).unwrap();
    scene.node.stop(Power::Clean).unwrap();
    let other = Evc::new(&scene.dir().join("other")).unwrap();
    allow(&other, &scene.node, DEVICE);
    scene.node.point_at(&other).unwrap();
    scene.node.start().unwrap();
    other.approve_references(DEVICE).unwrap();
    other.apply(&vault_yaml("new", TPM)).unwrap();
    wait::until("its root to be doubted", || is_doubted(&scene.node).then_some(())).unwrap();
    scene.node.until_vault("till", "unlocked").unwrap();
    assert!(
        scene.has_data("till") && scene.node.vault_if_any("new").unwrap().is_none(),
        "the old list is what counts"
    );
    for fingerprint in [None, Some("00".repeat(32))] {
        let given = fingerprint.iter().flat_map(|it| ["--fingerprint", it.as_str()]);
        let asked: Vec<_> = ["controller", "accept"].into_iter().chain(given).collect();
        let told = scene.node.run(&asked).unwrap_err().to_string();
        assert!(told.contains("compare it with the controller's"), "{told}");
    }
    wait::until("its root to be doubted still", || is_doubted(&scene.node).then_some(())).unwrap();
    assert!(scene.node.vault_if_any("new").unwrap().is_none());
    let told = scene.node.run(&["controller", "accept"]).unwrap_err().to_string();
    let fingerprint = told.rsplit_once("--fingerprint ").unwrap().1.trim();
    scene.node.run(&["controller", "accept", "--fingerprint", fingerprint]).unwrap();
    scene.node.until_vault("new", "unlocked").unwrap();
    scene.node.until_vault("till", "orphan").unwrap();
    scene.assert_closed("till");
    // What the one before holds of it this one does not.
    let held = || other.json(&["escrow", "list", DEVICE]).ok()?.get(0).map(drop);
    wait::until("its bundle to be in escrow at the other controller", held).unwrap();
    scene.node.reboot(Power::Clean).unwrap();
    scene.node.until_vault("new", "unlocked").unwrap();
    scene.node.until_vault("till", "orphan").unwrap();
    scene.assert_closed("till");
}

/// Reports of users, 0.9, as it was told: the controller's data are lost, a new one is at its address, its root is on the node, which has no TPM and has
/// booted. What the old key alone opens says so and is kept; once root there accepts the new one and gives the Config Vault up, the node is the
/// new controller's, also after a boot, and the rest goes the same way or stays.
#[test]
fn a_node_without_a_tpm_goes_over_to_a_controller_that_replaced_its_own() {
    let mut scene = Scene::prepared(Parts { tpm: false, ..Parts::default() }).unwrap();
    scene.node.start().unwrap();
    scene.node.until_vault("config", "unlocked").unwrap();
    let custody = format!("{CONTROLLER}\n{PLAIN}");
    scene.vault_with_data("till", &custody).unwrap();
    scene.node.off(Power::Clean).unwrap();
    let other = Evc::new(&scene.dir().join("other")).unwrap();
    allow(&other, &scene.node, DEVICE);
    scene.node.point_at(&other).unwrap();
    scene.node.on(Power::Clean).unwrap();
    let shut = |vault: &serde_json::Value| vault.to_string().contains("--despite-other-key");
    scene.node.until_vault_is("config", "told to be another's", shut).unwrap();
    other.apply(&vault_yaml("new", &custody)).unwrap();
    let recreate = |node: &Node, name: &str, flags: &[&str]| {
        node.run(&[&["vault", "recreate", name, "--confirm", name], flags].concat())
    };
    let refused = recreate(&scene.node, "config", &["--despite-escrow"]).unwrap_err().to_string();
    assert!(refused.contains("nothing was done") && refused.contains("--despite-other-key"), "{refused}");
    let told = scene.node.run(&["controller", "accept"]).unwrap_err().to_string();
    let fingerprint = told.rsplit_once("--fingerprint ").unwrap().1.trim();
    for _ in 0..2 {
        scene.node.run(&["controller", "accept", "--fingerprint", fingerprint]).unwrap();
    }
    recreate(&scene.node, "config", &["--despite-other-key"]).unwrap();
    scene.node.until_vault("new", "unlocked").unwrap();
    scene.node.until_vault_is("image", "kept as it is", shut).unwrap();
    // Its name went with the Config Vault.
    let is_kept = |node: &Node| node.run(&["vault", "list"]).is_ok_and(|told| told.contains("orphan"));
    wait::until("the old vault to be kept", || is_kept(&scene.node).then_some(())).unwrap();
    scene.node.reboot(Power::Clean).unwrap();
    scene.node.until_vault("new", "unlocked").unwrap();
    recreate(&scene.node, "image", &["--despite-other-key"]).unwrap();
    scene.node.until_vault("image", "unlocked").unwrap();
    wait::until("the old vault to be kept still", || is_kept(&scene.node).then_some(())).unwrap();
    scene.assert_closed("till");
}

/// A node's folder, disk and all, as somebody else has it. The node is off.
fn copied(from: &Path, to: &Path) {
    fs::create_dir_all(to.join("node")).unwrap();
    for (part, place) in [("disk.img", to), ("node/config", &to.join("node"))] {
        let copy =
            Command::new("cp").args(["-a", "--sparse=always"]).arg(from.join(part)).arg(place).status();
        assert!(copy.unwrap().success());
    }
}

/// Threats, Identity: a cloned device without a TPM, both calling. It is an alarm, and nothing is released until an operator settles it.
#[test]
fn a_copied_node_is_an_alarm_that_withholds_until_an_operator_settles_it() {
    let parts = || Parts { tpm: false, ..Parts::default() };
    let mut scene = Scene::prepared(parts()).unwrap();
    scene.node.start().unwrap();
    scene.node.until_vault("config", "unlocked").unwrap();
    scene.vault_with_data("till", &format!("{CONTROLLER}\n{PLAIN}")).unwrap();
    scene.node.off(Power::Clean).unwrap();
    let twin = scene.dir().join("twin");
    copied(&scene.dir().join(DEVICE), &twin);
    scene.node.on(Power::Clean).unwrap();
    scene.node.until_vault("till", "unlocked").unwrap();
    assert!(condition(&scene.evc, DEVICE).contains("online"));
    let mut twin = Node::kept(&twin, DEVICE, &scene.evc, parts()).unwrap();
    twin.start().unwrap();
    let is_alarm = || condition(&scene.evc, DEVICE).contains("may be two").then_some(());
    wait::until("the alarm", is_alarm).unwrap();
    scene.apply("late", &format!("{CONTROLLER}\n{PLAIN}")).unwrap();
    let shown = || scene.evc.run(&["get", "vaults", "--device", DEVICE]).unwrap();
    assert!(shown().contains("may be two"), "{}", shown());
    twin.reboot(Power::Clean).unwrap();
    twin.until_vault("config", "locked").unwrap();
    twin.off(Power::Clean).unwrap();
    scene.node.reboot(Power::Clean).unwrap();
    scene.node.until_vault("config", "locked").unwrap();
    assert!(is_alarm().is_some() && !scene.has_data("till"), "it does not end by itself");
    scene.evc.run(&["device", "settle", DEVICE, "--confirm", DEVICE]).unwrap();
    scene.node.until_vault("till", "unlocked").unwrap();
    scene.node.until_vault("late", "unlocked").unwrap();
    assert!(scene.has_data("till") && condition(&scene.evc, DEVICE).contains("online"));
}

/// KO-3, and threats, Controller: one device asking for another's key. A node whose device key is gone registers as another device, and a
/// vault on its disk opens for it only by an operator's word.
#[test]
fn a_vault_goes_over_to_the_device_that_its_node_became_by_an_operators_word() {
    let mut scene = Scene::prepared(Parts { tpm: false, ..Parts::default() }).unwrap();
    scene.node.start().unwrap();
    scene.node.until_vault("config", "unlocked").unwrap();
    scene.vault_with_data("till", &format!("{CONTROLLER}\n{PLAIN}")).unwrap();
    scene.node.off(Power::Clean).unwrap();
    let config = scene.node.root().join("config");
    for gone in ["device.key.pem", "device.cert.pem"] {
        let _ = fs::remove_file(config.join(gone));
    }
    fs::write(config.join("serial"), "edge-1b").unwrap();
    allow(&scene.evc, &scene.node, "edge-1b");
    scene.node.on(Power::Clean).unwrap();
    wait::until("it to register", || condition(&scene.evc, "edge-1b").contains("online").then_some(()))
        .unwrap();
    let rehome = || {
        let args = ["rehome", "vault", "till", "--device", DEVICE, "--to", "edge-1b", "--confirm", "till"];
        scene.evc.run(&args)
    };
    let refused = rehome().unwrap_err().to_string();
    assert!(refused.contains("mark it as lost first") && !scene.has_data("till"), "{refused}");
    scene.evc.run(&["device", "lost", DEVICE]).unwrap();
    rehome().unwrap();
    scene.node.until_vault("till", "unlocked").unwrap();
    assert!(scene.has_data("till"));
    let listed = scene.evc.run(&["get", "vaults", "--device", DEVICE]).unwrap();
    assert!(!listed.contains("till"), "{listed}");
}

/// KO-2: a device that was deleted and let in again is another one to its controller, which holds nothing of it: the node sends its bundle anew, in
/// the same life of vaultmgr.
#[test]
fn a_device_that_is_let_in_again_is_in_escrow_again() {
    let scene = Scene::attested().unwrap();
    let held = || scene.evc.json(&["escrow", "list", DEVICE]).ok()?.get(0).map(drop);
    wait::until("its bundle to be in escrow", held).unwrap();
    let session = scene.node.told().unwrap()["session"].clone();
    scene.evc.run(&["delete", "device", DEVICE, "--force", "--confirm", DEVICE]).unwrap();
    allow(&scene.evc, &scene.node, DEVICE);
    // It asks again after half a minute.
    wait::within(Duration::from_secs(180), "its bundle to be in escrow again", held).unwrap();
    assert_eq!(scene.node.told().unwrap()["session"], session, "vaultmgr did not start anew for it");
}

/// Invariant 4, TH-3, decision 80: a device that was deleted by force, and is given back what is kept of it, is the device that it was to its node too:
/// that takes its list, its vaults open after a boot, and once it is lost they are locked. With a TPM and without.
#[test]
fn a_device_that_is_given_back_opens_its_vaults_and_locks_them_once_it_is_lost() {
    for tpm in [false, true] {
        let mut scene = if tpm {
            Scene::attested().unwrap()
        } else {
            let mut scene = Scene::prepared(Parts { tpm: false, ..Parts::default() }).unwrap();
            scene.node.start().unwrap();
            scene.node.until_vault("config", "unlocked").unwrap();
            scene
        };
        let custody = if tpm { super::BOTH.to_owned() } else { format!("{CONTROLLER}\n{PLAIN}") };
        scene.vault_with_data("till", &custody).unwrap();
        scene.evc.run(&["delete", "device", DEVICE, "--force", "--confirm", DEVICE]).unwrap();
        let cert = scene.node.root().join("config/onboard.cert.pem");
        let cert = cert.to_str().unwrap();
        let back = ["onboard", "add", "--cert", cert, "--serial", DEVICE, "--name", DEVICE, "--give-back"];
        scene.evc.run(&back).unwrap();
        // It asks again after half a minute.
        let there = || condition(&scene.evc, DEVICE).contains(DEVICE).then_some(());
        wait::within(Duration::from_secs(180), "it to register", there).unwrap();
        if tpm {
            scene.evc.approve_references(DEVICE).unwrap();
        }
        scene.node.reboot(Power::Clean).unwrap();
        let open = scene.node.until_vault("till", "unlocked");
        open.unwrap_or_else(|error| panic!("{tpm}: {error}: {}", scene.node.status().unwrap()));
        assert!(scene.has_data("till"), "{tpm}");
        let listed = || condition(&scene.evc, DEVICE);
        wait::until("it to be as it was", || listed().contains("online").then_some(()))
            .unwrap_or_else(|error| panic!("{tpm}: {error}: {}", listed()));
        scene.evc.run(&["device", "lost", DEVICE]).unwrap();
        scene.node.until_vault("till", "locked").unwrap();
        scene.assert_closed("till");
    }
}
