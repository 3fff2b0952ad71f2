//! What becomes of a vault that is deleted: its grace, the way back, its end, and when it is forgotten.

mod common;

use common::{Device, Evc};
use evc::clock::now;
use vault::section::{Operation, Release, Section, Standing};
use wire::config::ConfigRequest;

const VAULT: &str = "kind: VaultPolicy\nname: p\ncustody: controller\non_removal: { delete_after: 10m }\n---\n\
                     kind: Vault\nname: payments\ndevice: edge-1\npolicy: p\n";

/// A device whose vault is made.
fn made() -> (Evc, Device, Section) {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    evc.apply(VAULT);
    let section = device.attested(&evc);
    device.report(&evc, &section, 1);
    (evc, device, section)
}

/// IF-5: a removed vault stays listed and locked until its grace ends; undone by apply; then it leaves the list and its keys are gone.
#[test]
fn removal_has_a_grace_an_undo_and_an_end() {
    let (evc, mut device, _) = made();
    let made = device.section(&evc);
    assert!(made.vaults.iter().all(|entry| entry.created), "created is learned from the report");
    evc.act("DELETE", "/devices/edge-1/vaults/payments", "");
    let removing = device.section(&evc);
    let entry =
        removing.vaults.iter().find(|entry| entry.name.as_str() == "payments").expect("listed in its grace");
    assert_eq!((entry.standing, entry.operation), (Standing::Removing, Operation::Lock));
    assert!(matches!(&entry.release, Release::Withheld { reason } if reason == "being removed"));
    evc.apply(VAULT);
    let undone = device.section(&evc);
    assert!(device.keys(&undone, "payments").is_some(), "undone");
    evc.act("DELETE", "/devices/edge-1/vaults/payments", "");
    device.poll(&evc);
    assert_eq!(evc.wait(evc.app.end_graces(now() + 599)).expect("looked"), 0);
    assert_eq!(evc.wait(evc.app.end_graces(now() + 601)).expect("ended"), 1);
    let (id, current) = (entry.id, vault::ids::Epoch(1));
    let key = evc.wait(async { evc.app.store.read().await.unwrap().epoch(device.id, id, current).await });
    assert_eq!(key.expect("read"), None, "its key is gone at the controller");
    let after = device.section(&evc);
    assert!(after.vaults.iter().all(|entry| entry.name.as_str() != "payments"), "left the list");
    assert!(after.version.version > removing.version.version);
    device.report(&evc, &after, 1);
    let left = evc.act("GET", "/vaults?device=edge-1", "");
    assert_eq!(
        left.as_array().expect("a list").len(),
        2,
        "forgotten when the node accepted the list without it"
    );
}

/// A vault whose grace is over is in no list, whether or not it was ended yet: what was under its name is not brought back, for
/// the node may have erased it, and it is forgotten when the node has said so.
#[test]
fn after_its_grace_a_vault_is_not_brought_back() {
    let (evc, mut device, section) = made();
    let old = section.vaults.iter().find(|entry| entry.name.as_str() == "payments").expect("listed").id;
    evc.act("DELETE", "/devices/edge-1/vaults/payments", "");
    let over = now() + 601;
    let ask = ConfigRequest::decode(&device.ask()).expect("a question");
    let answer = evc.wait(evc.app.config(device.id, &ask, over)).expect("answered").expect("changed");
    let without = common::section(&answer).expect("a section");
    assert!(
        without.vaults.iter().all(|entry| entry.id != old),
        "not listed, though its row was not ended yet"
    );
    evc.wait(evc.app.apply(VAULT, false, over)).expect("applied");
    let anew = device.section(&evc);
    let new = anew.vaults.iter().find(|entry| entry.name.as_str() == "payments").expect("listed").id;
    assert_ne!(new, old, "another vault of the same name");
    device.report(&evc, &anew, 1);
    let rows = evc.act("GET", "/vaults?device=edge-1", "");
    let ids: Vec<_> = rows.as_array().expect("a list").iter().map(|row| row["id"].clone()).collect();
    assert!(!ids.contains(&old.to_string().into()), "the old one is forgotten: {ids:?}");
}

/// The list of a moment between the end of a grace and the end of its row counts as a list without the vault.
#[test]
fn a_vault_is_forgotten_whenever_its_row_was_ended() {
    let (evc, mut device, _) = made();
    evc.act("DELETE", "/devices/edge-1/vaults/payments", "");
    device.poll(&evc);
    let ask = ConfigRequest::decode(&device.ask()).expect("a question");
    evc.wait(evc.app.config(device.id, &ask, now() + 601)).expect("answered").expect("changed");
    assert_eq!(evc.wait(evc.app.end_graces(now() + 602)).expect("ended"), 1);
    let after = device.section(&evc);
    device.report(&evc, &after, 1);
    let left = evc.act("GET", "/vaults?device=edge-1", "");
    assert_eq!(left.as_array().expect("a list").len(), 2, "{left}");
}
