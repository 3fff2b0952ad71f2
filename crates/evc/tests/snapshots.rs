//! Attack 0.1: a snapshot of the controller's machine is put back, its number with it, which no start notices. Once one device shows it, nothing that
//! this database says of any device ends what that has (decision 14). Keys go out to each device as its own polls show.

mod common;

use common::copies::snapshot;
use common::{Device, Evc, end_graces, id_in, section};
use evc::clock::now;

const TWO: &str = "kind: VaultPolicy\nname: p\ncustody: controller\non_removal: { delete_after: 10m }\n---\n\
                   kind: Vault\nname: day\ndevice: edge-a\npolicy: p\n---\nkind: Vault\nname: day\ndevice: edge-b\npolicy: p\n";

fn settled(evc: &Evc, device: &mut Device) -> vault::section::Section {
    let section = device.attested(evc);
    device.report(evc, &section, 1);
    common::until_unchanged(evc, device);
    section
}

/// 0.1, "nothing that was restored, copied or rolled back deletes": one device has shown that the database is older than its nodes. Another one
/// is silent. Its vault was kept again since the copy; the grace that the copy has of it ends all the same, its key is gone, and its node is told
/// to erase it.
#[test]
fn a_database_that_one_node_showed_to_be_old_ends_no_grace_of_another() {
    let evc = Evc::start();
    let (mut a, mut b) = (Device::onboarded(&evc, "edge-a"), Device::onboarded(&evc, "edge-b"));
    evc.apply(TWO);
    settled(&evc, &mut a);
    let listed = settled(&evc, &mut b);
    let id = id_in(&listed, "day");
    evc.act("DELETE", "/devices/edge-b/vaults/day", "");
    b.section(&evc);
    common::until_unchanged(&evc, &mut b);
    let folder = evc.stop();
    let copy = snapshot(&folder);
    // It is kept again, before its node calls; and another node goes on.
    let evc = Evc::over(folder);
    evc.apply(TWO);
    evc.apply("kind: Vault\nname: night\ndevice: edge-a\npolicy: p\n");
    a.section(&evc);
    common::until_unchanged(&evc, &mut a);
    drop(evc.stop());

    let evc = Evc::over(copy);
    a.hash.clear();
    let told = a.poll(&evc).expect("an answer");
    assert_eq!(section(&told), None);
    assert!(
        evc.act("GET", "/devices", "").to_string().contains("ahead of this database"),
        "it is known to be old"
    );
    let ended = end_graces(&evc, now() + 3600);
    b.hash.clear();
    let told = section(&b.poll(&evc).expect("an answer"));
    let erased = told.is_some_and(|told| told.removed.contains(&id));
    assert!(ended == 0 && !erased, "ended {ended}, its node is told to erase it: {erased}");
    let glance = evc.act("GET", "/glance", "").to_string();
    assert!(glance.contains("no vault is erased, on any device"), "{glance}");
    assert!(glance.contains("device edge-a: "), "it is named: {glance}");
    evc.apply(TWO);
    let at_once = evc.act("DELETE", "/devices/edge-b/vaults/day?delete_after=0&confirm=day", "").to_string();
    assert!(at_once.contains("kept until") && at_once.contains("an older copy"), "{at_once}");
    let held = |path| evc.act("GET", path, "").to_string().contains(r#""held":true"#);
    let lists = ["/vaults", "/vaults?device=edge-b", "/devices/edge-b"];
    assert!(lists.into_iter().all(held), "each list says that it does not end");
    evc.act("DELETE", "/devices/edge-a/alarm?confirm=edge-a", "");
    assert!(!lists.into_iter().any(held), "nothing holds it any more");
    assert_eq!(end_graces(&evc, now() + 3600), 1, "an operator says that this is the newest");
}

/// The same of what is kept of a deleted device: it was let in again since the copy, and calls.
#[test]
fn a_database_that_one_node_showed_to_be_old_forgets_no_deleted_device() {
    let evc = Evc::start();
    let (mut a, mut b) = (Device::onboarded(&evc, "edge-a"), Device::onboarded(&evc, "edge-b"));
    evc.apply(TWO);
    settled(&evc, &mut a);
    settled(&evc, &mut b);
    evc.act("DELETE", "/devices/edge-b?force=true&confirm=edge-b", "");
    let folder = evc.stop();
    let copy = snapshot(&folder);
    let evc = Evc::over(folder);
    let allow = serde_json::json!({ "cert_pem": b.onboard.pem, "serial": b.serial, "name": "edge-b", "give_back": true });
    evc.act("POST", "/onboarding", &allow.to_string());
    assert_eq!(b.register(&evc), 201);
    let keys = settled(&evc, &mut b);
    assert!(b.keys(&keys, "day").is_some(), "it has its keys back");
    evc.apply("kind: Vault\nname: night\ndevice: edge-a\npolicy: p\n");
    a.section(&evc);
    common::until_unchanged(&evc, &mut a);
    drop(evc.stop());

    let evc = Evc::over(copy);
    a.hash.clear();
    assert_eq!(section(&a.poll(&evc).expect("an answer")), None);
    let called = evc.post(&b.own("config"), &b.seal(&b.ask())).status;
    end_graces(&evc, now() + 40 * 86_400);
    let kept = evc.act("GET", "/deleted-devices", "");
    assert!(!kept.as_array().expect("a list").is_empty(), "its node calls ({called}), and its keys are gone");
}
