//! seen-by-users 0.1, 0b.1: a database that was put back, rolled back under a running fleet, or lives twice from one copy. It notices that it
//! is older than its nodes, says so, numbers nothing on, and goes on only under a new incarnation. By the real service and its API.

mod common;

use common::{Device, Evc, section};
use vault::section::Section;

const VAULT: &str = "kind: VaultPolicy\nname: p\ncustody: controller\non_removal: { delete_after: 0s }\n---\n\
                     kind: Vault\nname: day\ndevice: edge-1\npolicy: p\n";

/// A stopped controller's folder, and a copy of it.
fn copied(evc: Evc) -> (Evc, tempfile::TempDir) {
    let dir = evc.stop();
    let copy = tempfile::tempdir().expect("a folder");
    // Not by a program: a child that is being started holds the locks of other tests' folders for a moment.
    for entry in std::fs::read_dir(dir.path()).expect("lists").map(|entry| entry.expect("an entry")) {
        std::fs::copy(entry.path(), copy.path().join(entry.file_name())).expect("copies");
    }
    (Evc::over(dir), copy)
}

/// A device that accepted sections, and told so, after the copy was taken.
fn ahead_of_its_copy() -> (Evc, Device, tempfile::TempDir, Section) {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    device.attested(&evc);
    device.poll(&evc);
    let (evc, copy) = copied(evc);
    evc.apply(VAULT);
    let newest = device.section(&evc);
    device.poll(&evc);
    (evc, device, copy, newest)
}

fn conditions(evc: &Evc) -> String {
    evc.act("GET", "/devices", "").to_string()
}

/// Nothing goes out to the device, and every list says why.
fn withholds(evc: &Evc, device: &mut Device) {
    device.hash.clear();
    let answer = device.poll(evc).expect("an answer");
    assert_eq!(section(&answer), None, "no section");
    assert!(answer.control.expect("control").challenge.is_none(), "and nothing in its place");
    assert!(conditions(evc).contains("ahead of this database"), "{}", conditions(evc));
    assert!(device.poll(evc).is_none(), "said once");
}

/// 0.1: put back, the database does not number on, whatever its operator does to it; brought back, the right one goes on at once.
#[test]
fn a_copy_that_was_put_back_numbers_nothing_on() {
    let (right, mut device, copy, newest) = ahead_of_its_copy();
    let right = right.stop();
    let evc = Evc::over(copy);
    withholds(&evc, &mut device);
    evc.apply(VAULT);
    (0..4).for_each(|n| drop(evc.apply(&VAULT.replace("name: day", &format!("name: day{n}")))));
    withholds(&evc, &mut device);
    drop(evc.stop());
    let evc = Evc::over(right);
    device.hash.clear();
    let again = device.section(&evc);
    assert_eq!(again.vaults.len(), newest.vaults.len());
    assert!(!conditions(&evc).contains("ahead"), "{}", conditions(&evc));
}

/// 0.1: two that live from one copy. The one that numbered past the other is told apart by what it sent, not by its numbers.
#[test]
fn of_two_from_one_copy_only_the_one_that_the_node_follows_goes_on() {
    let (_right, mut device, copy, _) = ahead_of_its_copy();
    let evc = Evc::over(copy);
    let told = device.head.take();
    // Another life of this device, which tells nothing, has it number past the first one's.
    for n in 0..3 {
        evc.apply(&VAULT.replace("name: day", &format!("name: day{n}")));
        device.hash.clear();
        device.section(&evc);
    }
    device.head = told;
    withholds(&evc, &mut device);
}

/// After `begin-anew` the device takes it for a new life: a lower number, and what it does not list is not among what is removed.
#[test]
fn a_new_incarnation_goes_on() {
    let (_right, mut device, copy, newest) = ahead_of_its_copy();
    let evc = Evc::over(copy);
    withholds(&evc, &mut device);
    let folder = evc.stop();
    let begin = || {
        let run = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        run.block_on(evc::service::begin_anew(folder.path()))
    };
    begin().expect("begins");
    let evc = Evc::over(folder);
    device.hash.clear();
    let section = device.section(&evc);
    assert_ne!(section.version.incarnation, newest.version.incarnation);
    assert_eq!((section.version.version, section.removed.len()), (1, 0));
    assert!(!conditions(&evc).contains("ahead"), "{}", conditions(&evc));
    let before = device.head;
    device.poll(&evc);
    evc.apply(VAULT);
    assert_eq!(device.section(&evc).follows, before.map(|head| head.digest), "and chained anew");
}

/// A vault whose grace is over is named as removed, until the node told that it is gone.
#[test]
fn what_is_removed_is_named() {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    evc.apply(VAULT);
    let section = device.attested(&evc);
    device.report(&evc, &section, 1);
    let id = section.vaults.iter().find(|entry| entry.name.as_str() == "day").expect("listed").id;
    evc.act("DELETE", "/devices/edge-1/vaults/day", "");
    common::settle_graces(&evc);
    let removed = device.section(&evc);
    assert_eq!(removed.removed, [id]);
    assert!(removed.vaults.iter().all(|entry| entry.id != id));
    device.report(&evc, &removed, 1);
    assert_eq!(device.section(&evc).removed, [], "told as gone: forgotten");
}
