//! What stands now, and what is of before: an order that is taken back, evidence of another session than the present one, and orders to lock that
//! outlive the mark of a lost device. By the real program and its API.

mod common;

use std::process::Command;

use common::{Device, Evc, new_session};
use vault::ids::{DeviceId, VaultId};
use vault::report::State;
use vault::section::Operation;

const VAULT: &str = "kind: VaultPolicy\nname: p\ncustody: controller\n---\nkind: Vault\nname: payments\ndevice: edge-1\npolicy: p\n";

/// What the program says, and its exit code.
fn said(evc: &Evc, args: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_evc"));
    let told = command.args(args).arg("--data").arg(evc.dir.path()).args(["--url", &evc.url]).output();
    let told = told.expect("ran");
    let text = [told.stdout, told.stderr].concat();
    (told.status.code(), String::from_utf8_lossy(&text).into_owned())
}

fn shown(evc: &Evc, args: &[&str]) -> String {
    said(evc, args).1
}

/// Invariant 4: an order to make a vault anew, given by mistake, is taken back before its node carries it out: the next list does not have it. Said
/// twice it changes nothing more, and what it says is for scripts too.
#[test]
fn an_order_to_make_a_vault_anew_is_taken_back() {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    evc.apply(VAULT);
    let section = device.attested(&evc);
    let missing = |device: &Device| {
        let of = |name: &str| if name == "payments" { State::Missing } else { State::Unlocked };
        assert_eq!(evc.post(&device.own("info"), &device.reported(&section, 1, of)).status, 201);
    };
    missing(&device);
    let recreate = ["recreate", "vault", "payments", "--device", "edge-1"];
    let with = |more: &[&str]| said(&evc, &[recreate.as_slice(), more].concat());
    let describe = || shown(&evc, &["describe", "vault", "payments", "--device", "edge-1"]);
    let (code, ordered) = with(&["--confirm", "payments"]);
    let back = "evc recreate vault payments --device edge-1 --withdraw";
    assert!(code == Some(0) && ordered.contains(back), "{ordered}");
    assert!(describe().contains("to be made anew, empty") && describe().contains(back), "{}", describe());
    assert!(device.section(&evc).vaults.iter().any(|entry| entry.recreate), "its node is told");
    let (code, taken) = with(&["--withdraw"]);
    assert!(code == Some(0) && taken.contains("not ordered to be made anew any more"), "{taken}");
    assert!(taken.contains("may carry it out before it hears of this"), "{taken}");
    assert!(device.section(&evc).vaults.iter().all(|entry| !entry.recreate), "its node is told no more");
    missing(&device);
    assert!(!describe().contains("made anew"), "{}", describe());
    let (code, again) = with(&["--withdraw", "-o", "json"]);
    let again: serde_json::Value = serde_json::from_str(&again).expect("JSON");
    assert_eq!(code, Some(0));
    assert!(again["done"].as_str().expect("words").contains("no order"), "{again}");
    for misused in [&["--withdraw", "--confirm", "payments"][..], &["--withdraw", "--new-disk"], &[]] {
        assert_eq!(with(misused).0, Some(2), "{misused:?}");
    }
    let (code, unknown) = said(&evc, &["recreate", "vault", "none", "--device", "edge-1", "--withdraw"]);
    assert_eq!(code, Some(4), "{unknown}");
}

/// AC-2, seen-by-users 2: what is waited for is evidence of the node's present session. One that booted, and whose evidence has not come, is not
/// attested by that of before, whatever was recorded of it and is sent again, and whichever controller looks.
#[test]
fn attested_is_who_gave_evidence_of_the_present_session() {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    evc.apply(VAULT);
    device.attested(&evc);
    let wait =
        |evc: &Evc| said(evc, &["wait", "device", "edge-1", "--timeout", "100ms", "--for", "attested"]);
    let describe = |evc: &Evc| shown(evc, &["describe", "device", "edge-1"]);
    assert_eq!(wait(&evc).0, Some(0), "{}", wait(&evc).1);
    assert!(!describe(&evc).contains("not the one that it was heard by last"), "{}", describe(&evc));
    let recorded = device.seal(&device.ask());
    device.session = new_session();
    device.challenged(&evc);
    for what in ["it booted", "a poll of before is sent again"] {
        let (code, told) = wait(&evc);
        assert_eq!(code, Some(5), "{what}: {told}");
        assert!(told.contains("its evidence is of before"), "{what}: {told}");
        assert!(describe(&evc).contains("not the one that it was heard by last"), "{}", describe(&evc));
        evc.post(&device.own("config"), &recorded);
    }
    device.attested(&evc);
    assert_eq!(wait(&evc).0, Some(0), "{}", wait(&evc).1);
    let evc = evc.restart();
    assert_eq!(wait(&evc).0, Some(5), "it may have booted meanwhile: {}", wait(&evc).1);
    device.poll(&evc);
    assert_eq!(wait(&evc).0, Some(0), "it was heard: {}", wait(&evc).1);
}

/// Seen-by-users 1.2: orders to lock that outlive the mark of a lost device, as its node holds to another device's lists, are seen for as long as
/// they stand.
#[test]
fn locks_that_outlive_a_mark_are_described_while_they_stand() {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    evc.apply(VAULT);
    let section = device.attested(&evc);
    let other = DeviceId(uuid::Uuid::from_u128(5));
    let tell = |wanted: Operation| {
        let mut info = device.info(&section, 1);
        info.node.as_mut().expect("it is there").accepted_for = Some(other);
        let mut ledger = info.vaults[0].clone();
        let report = ledger.report.as_mut().expect("a report");
        (report.id, report.name) = (VaultId(uuid::Uuid::from_u128(7)), "ledger".parse().expect("a name"));
        report.wanted = wanted;
        info.vaults.push(ledger);
        device.tell(&evc, &info);
        shown(&evc, &["describe", "device", "edge-1"])
    };
    let stands = "its node keeps locked: `ledger`";
    assert!(!tell(Operation::Unlock).contains(stands), "nothing is ordered");
    evc.act("POST", "/devices/edge-1/lost", "");
    assert!(!tell(Operation::Lock).contains(stands), "while it is lost that is as it is to be");
    evc.act("DELETE", "/devices/edge-1/lost", "");
    for _ in 0..2 {
        let told = tell(Operation::Lock);
        assert!(told.contains(stands) && told.contains(&other.to_string()), "{told}");
    }
    assert!(!tell(Operation::Unlock).contains(stands), "they are lifted");
}
