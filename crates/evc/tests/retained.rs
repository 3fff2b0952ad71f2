//! KO-7: a vault whose policy retains it is kept at its node when it is deleted, and used again; nobody's clock ends it.

mod common;

use common::{Device, Evc, end_graces};
use evc::clock::now;
use vault::cause::Cause;
use vault::ids::{Epoch, VaultId};
use vault::section::{Entry, Operation, Presence, Release, Section};

const VAULT: &str = "kind: VaultPolicy\nname: p\ncustody: controller\non_removal: retain\n---\n\
                     kind: Vault\nname: payments\ndevice: edge-1\npolicy: p\n";
const PAYMENTS: &str = "/devices/edge-1/vaults/payments";
const YEARS: u64 = 50 * 365 * 86_400;

/// A device whose vault is made, and deleted.
fn retained() -> (Evc, Device, VaultId) {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    evc.apply(VAULT);
    let section = device.attested(&evc);
    device.report(&evc, &section, 1);
    let done = evc.act("DELETE", PAYMENTS, "");
    assert!(done["done"].as_str().is_some_and(|done| done.contains("retained")), "{done}");
    let id = payments(&section).expect("listed").id;
    (evc, device, id)
}

fn payments(section: &Section) -> Option<&Entry> {
    section.vaults.iter().find(|entry| entry.name.as_str() == "payments")
}

/// Why an act is refused.
fn refused(evc: &Evc, method: &str, path: &str) -> String {
    let answer = evc.operator(method, path, "", Some(&evc.token));
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    assert!((400..500).contains(&answer.status), "{method} {path}: {} {text}", answer.status);
    text
}

#[test]
fn ko7_a_retained_vault_is_locked_kept_and_used_again() {
    let (evc, mut device, id) = retained();
    let section = device.section(&evc);
    let entry = payments(&section).expect("listed");
    assert_eq!((entry.standing, entry.operation), (Presence::Retained, Operation::Lock));
    assert!(matches!(&entry.release, Release::Withheld { reason } if *reason == Cause::Retained));
    assert_eq!(end_graces(&evc, now() + YEARS), 0, "no time ends it");
    assert!(evc.stored(|tx| tx.epoch(device.id, id, Epoch(1))).is_some(), "its key is kept");
    evc.act("DELETE", PAYMENTS, "");
    assert_eq!(end_graces(&evc, now() + YEARS), 0, "nor does it go when that is said again");
    evc.apply(VAULT);
    let again = device.section(&evc);
    assert_eq!(payments(&again).map(|entry| (entry.id, entry.standing)), Some((id, Presence::Active)));
    assert!(device.keys(&again, "payments").is_some(), "its key goes out again");
}

#[test]
fn ko7_a_retained_vault_goes_once_it_is_given_a_time() {
    let (evc, mut device, id) = retained();
    let refused = refused(&evc, "DELETE", &format!("{PAYMENTS}?delete_after=99999999"));
    assert!(refused.contains("out of bounds"), "{refused}");
    evc.act("DELETE", &format!("{PAYMENTS}?delete_after=600"), "");
    let section = device.section(&evc);
    assert_eq!(payments(&section).map(|entry| entry.standing), Some(Presence::Removing));
    assert_eq!(end_graces(&evc, now() + 599), 0);
    assert_eq!(end_graces(&evc, now() + 601), 1);
    assert_eq!(evc.stored(|tx| tx.epoch(device.id, id, Epoch(1))), None, "its key is gone");
    assert!(payments(&device.section(&evc)).is_none(), "it left the list, by which its node erases it");
}

/// A key of it would be one that nobody uses.
#[test]
fn ko7_a_retained_vault_is_not_rotated() {
    let (evc, ..) = retained();
    let refused = refused(&evc, "POST", &format!("{PAYMENTS}/rotate"));
    assert!(refused.contains("apply it again to keep it"), "{refused}");
}
