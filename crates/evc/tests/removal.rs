//! What becomes of a vault that is deleted: its grace, the way back, its end, and when it is forgotten.

mod common;

use std::process::Command;
use std::time::Duration;

use common::{Device, Evc, end_graces};
use evc::clock::now;
use vault::section::{Operation, Presence, Release, Section};
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
    assert_eq!((entry.standing, entry.operation), (Presence::Removing, Operation::Lock));
    assert!(matches!(&entry.release, Release::Withheld { reason } if reason == "being removed"));
    evc.apply(VAULT);
    let undone = device.section(&evc);
    assert!(device.keys(&undone, "payments").is_some(), "undone");
    evc.act("DELETE", "/devices/edge-1/vaults/payments", "");
    device.poll(&evc);
    assert_eq!(end_graces(&evc, now() + 599), 0);
    assert_eq!(end_graces(&evc, now() + 601), 1);
    let (id, current) = (entry.id, vault::ids::Epoch(1));
    let key = evc.stored(|tx| tx.epoch(device.id, id, current));
    assert_eq!(key, None, "its key is gone at the controller");
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

/// SECURITY, "Keys at the controller": what is told as deleted lies in the database's log no longer, sealed as it was, once a round of
/// housekeeping was made.
#[test]
fn a_key_that_was_deleted_is_not_in_the_log_either() {
    let (evc, device, section) = made();
    let id = section.vaults.iter().find(|entry| entry.name.as_str() == "payments").expect("listed").id;
    let row = evc.stored(|tx| tx.epoch(device.id, id, vault::ids::Epoch(1))).expect("a key");
    let lies = || {
        ["evc.db", "evc.db-wal"].map(|file| {
            // By another process: who closes a file has no lock on it any more.
            let bytes = Command::new("cat").arg(evc.dir.path().join(file)).output().expect("read").stdout;
            bytes.windows(row.sealed.len()).any(|window| window == row.sealed)
        })
    };
    assert!(lies().contains(&true), "the twin: it is found where it is");
    evc.act("DELETE", "/devices/edge-1/vaults/payments", "");
    assert_eq!(end_graces(&evc, now() + 601), 1);
    assert_eq!(lies(), [false, false]);
}

/// Until its row is ended a vault is listed, and can be kept, however late; then it is in no list, and what is under its name is another:
/// the node may have erased it.
#[test]
fn a_vault_is_listed_until_it_is_ended_and_not_brought_back_after() {
    let (evc, mut device, section) = made();
    let id = |section: &Section| {
        section.vaults.iter().find(|entry| entry.name.as_str() == "payments").map(|entry| entry.id)
    };
    let old = id(&section);
    evc.act("DELETE", "/devices/edge-1/vaults/payments", "");
    let late = now() + 601;
    let ask = ConfigRequest::decode(&device.ask()).expect("a question");
    let answer = evc.config_at(device.id, &ask, late).expect("answered").expect("changed");
    assert_eq!(id(&common::section(&answer).expect("a section")), old, "listed: its row was not ended yet");
    evc.wait(evc.as_operator().apply(VAULT, false, late)).expect("applied");
    assert_eq!(id(&device.section(&evc)), old, "kept");
    evc.act("DELETE", "/devices/edge-1/vaults/payments", "");
    assert_eq!(end_graces(&evc, now() + 601), 1);
    evc.apply(VAULT);
    let anew = device.section(&evc);
    assert!(id(&anew).is_some_and(|new| Some(new) != old), "another vault of the same name");
    device.report(&evc, &anew, 1);
    let rows = evc.act("GET", "/vaults?device=edge-1", "");
    let ids: Vec<_> = rows.as_array().expect("a list").iter().map(|row| row["id"].clone()).collect();
    assert!(!ids.contains(&old.expect("an id").to_string().into()), "the old one is forgotten: {ids:?}");
}

/// One that no section ever listed, and none ever left out, is forgotten too.
#[test]
fn a_vault_that_came_and_went_between_two_polls_is_forgotten() {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    device.attested(&evc);
    evc.apply(VAULT);
    evc.act("DELETE", "/devices/edge-1/vaults/payments", "");
    assert_eq!(end_graces(&evc, now() + 601), 1);
    let after = device.section(&evc);
    device.report(&evc, &after, 1);
    let left = evc.act("GET", "/vaults?device=edge-1", "");
    assert_eq!(left.as_array().expect("a list").len(), 2, "{left}");
}

/// Invariant 6: a clock that jumps ahead deletes no key and takes no vault off the list; run on without another jump, it is believed.
#[test]
fn a_grace_does_not_end_by_a_jump_of_the_clock() {
    let (evc, mut device, section) = made();
    evc.act("DELETE", "/devices/edge-1/vaults/payments", "");
    let id = section.vaults.iter().find(|entry| entry.name.as_str() == "payments").expect("listed").id;
    let mut clock = evc.wait(evc.app.clock(now())).expect("read");
    let mut round =
        |at, passed| evc.wait(evc.app.keep_house(&mut clock, at, Duration::from_secs(passed))).expect("kept");
    let jumped = now() + 40 * 365 * 86_400;
    assert_eq!((round(jumped, 15), round(jumped + 15, 15)), (0, 0));
    let removing = device.section(&evc);
    assert!(removing.vaults.iter().any(|entry| entry.id == id), "still listed");
    assert_eq!(round(now(), 15), 0, "set right again");
    evc.apply(VAULT);
    let kept = device.section(&evc);
    assert!(device.keys(&kept, "payments").is_some(), "and it can be kept");
    evc.act("DELETE", "/devices/edge-1/vaults/payments", "");
    assert_eq!(
        (round(now() + 3600, 3600), round(now() + 3616, 15)),
        (1, 0),
        "the time that did pass ends it"
    );
}

/// A vault may have another one's UUID for its name. The UUID is that one's, whatever anything is called: so it is not the wrong one that goes.
#[test]
fn a_uuid_names_the_vault_that_has_it_and_not_one_that_is_called_so() {
    let (evc, mut device, section) = made();
    let id = section.vaults.iter().find(|entry| entry.name.as_str() == "payments").expect("listed").id;
    evc.apply(&format!("kind: Vault\nname: {id}\ndevice: edge-1\npolicy: p\n"));
    evc.act("DELETE", &format!("/devices/edge-1/vaults/{id}"), "");
    let section = device.section(&evc);
    let goes: Vec<_> = section.vaults.iter().filter(|entry| entry.standing == Presence::Removing).collect();
    assert_eq!(goes.iter().map(|entry| entry.name.as_str()).collect::<Vec<_>>(), ["payments"]);
}
