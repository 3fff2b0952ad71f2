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
    let done = std::process::Command::new("cp").arg("-a").arg(dir.path().join(".")).arg(copy.path()).status();
    assert!(done.expect("cp").success());
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
    assert_eq!(device.section(&evc).follows, before.map(|(_, digest)| digest), "and chained anew");
}

/// 0b.1: an epoch that this database never made refuses a rotation, forced or not.
#[test]
fn an_epoch_above_our_own_refuses_a_rotation() {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    evc.apply(VAULT);
    let section = device.attested(&evc);
    device.report(&evc, &section, 1);
    evc.act("POST", "/devices/edge-1/vaults/day/rotate", "{}");
    let before = evc.act("GET", "/vaults?device=edge-1", "").to_string();
    evc.meddle(|tx| {
        Box::pin(async move {
            let row = tx
                .vaults(device.id)
                .await?
                .into_iter()
                .find(|row| row.name.as_str() == "day")
                .expect("there");
            let said = evc::store::VaultSaid {
                created: true,
                made_anew: false,
                epoch: Some(vault::ids::Epoch(9)),
                report: None,
                at: 1,
            };
            tx.report_vault(row.device, row.id, &said).await
        })
    });
    for how in ["{}", "{\"force\":true}"] {
        let refused = evc.operator("POST", "/devices/edge-1/vaults/day/rotate", how, Some(&evc.token));
        let words = String::from_utf8_lossy(&refused.body).into_owned();
        assert!(words.contains("older copy"), "{words}");
    }
    assert!(before.contains("\"current_epoch\":2"), "{before}");
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
