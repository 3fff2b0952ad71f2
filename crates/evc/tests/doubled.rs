//! A device that is two, and reports that are sent again: what was true once is not taken for news (seen-by-users 0.12, 0b.9).

mod common;

use std::fs;

use common::{Device, Evc, new_session, section};
use evc::clock::now;
use vault::report::State;
use vault::section::Section;
use wire::attest::{AttestRequest, AttestResponse, Quote, QuoteCode};
use wire::info::DeviceInfo;
use wire::release::SessionSecret;

const VAULT: &str = "kind: VaultPolicy\nname: p\ncustody: controller\n---\nkind: Vault\nname: payments\ndevice: edge-1\npolicy: p\n";

fn device_with_vault(evc: &Evc) -> Device {
    let device = Device::onboarded(evc, "edge-1");
    evc.apply(VAULT);
    device
}

/// Polls and gives evidence as one of the two that have this device's key; what it gets then.
fn as_one(evc: &Evc, device: &mut Device, own: &mut SessionSecret) -> Option<Section> {
    std::mem::swap(&mut device.session, own);
    device.hash.clear();
    let first = device.poll(evc).expect("an answer");
    let nonce = first.control.as_ref().expect("control").challenge.as_ref().expect("a challenge").nonce;
    let quote = device.evidence(nonce, device.session.session_key());
    let told = device.attest(evc, &AttestRequest::Quote(Box::new(quote)));
    assert!(matches!(told, AttestResponse::Quote(_)));
    let told = section(&device.poll(evc).unwrap_or(first));
    std::mem::swap(&mut device.session, own);
    told
}

fn has_key(device: &mut Device, own: &mut SessionSecret, section: Option<&Section>) -> bool {
    std::mem::swap(&mut device.session, own);
    let has = section.is_some_and(|section| device.keys(section, "payments").is_some());
    std::mem::swap(&mut device.session, own);
    has
}

fn of_device(evc: &Evc, field: &str) -> String {
    evc.act("GET", "/devices", "")[0][field].as_str().unwrap_or_default().to_owned()
}

/// seen-by-users 0.12: of two that live, the first one's return gives the alarm; nothing goes out to either until an operator settles it,
/// and again when the copy is still there then.
#[test]
fn sessions_that_take_turns_are_an_alarm_and_nothing_is_released_until_it_is_settled() {
    let evc = Evc::start();
    let mut device = device_with_vault(&evc);
    let (mut one, mut copy) = (new_session(), new_session());
    for own in [&mut one, &mut copy] {
        let section = as_one(&evc, &mut device, own);
        assert!(
            has_key(&mut device, own, section.as_ref()),
            "each for itself is a life of vaultmgr after another"
        );
    }
    assert_eq!(of_device(&evc, "condition"), "online");
    for first in [true, false, true] {
        let own = if first { &mut one } else { &mut copy };
        let section = as_one(&evc, &mut device, own);
        assert!(!has_key(&mut device, own, section.as_ref()));
    }
    assert!(of_device(&evc, "condition").starts_with("may be two"), "{}", of_device(&evc, "condition"));
    let alarm = of_device(&evc, "alarm");
    assert!(
        alarm.contains("gave evidence again after session") && alarm.contains("evc device settle edge-1"),
        "{alarm}"
    );
    let told = evc.act("GET", "/vaults?device=edge-1", "").to_string();
    assert!(told.contains("withheld: the device may be two"), "{told}");
    let settled = evc.act("DELETE", "/devices/edge-1/alarm?confirm=edge-1", "");
    assert!(settled["notes"][0].as_str().expect("what it was").contains(&alarm));
    let section = as_one(&evc, &mut device, &mut one);
    assert!(has_key(&mut device, &mut one, section.as_ref()), "settled");
    assert_eq!(of_device(&evc, "condition"), "online");
    let section = as_one(&evc, &mut device, &mut copy);
    assert!(has_key(&mut device, &mut copy, section.as_ref()), "one turn is a restart");
    let section = as_one(&evc, &mut device, &mut one);
    assert!(!has_key(&mut device, &mut one, section.as_ref()), "the copy is still there");
}

/// A device that restarts is one; but not more often than a node can, for who floods the controller with sessions makes it forget.
#[test]
fn sessions_that_follow_one_another_are_no_alarm_until_they_are_a_flood() {
    let evc = Evc::start();
    let mut device = device_with_vault(&evc);
    let restarts = |count: u64, device: &mut Device| {
        for _ in 0..count {
            let mut own = new_session();
            let section = as_one(&evc, device, &mut own);
            assert!(has_key(device, &mut own, section.as_ref()));
        }
    };
    restarts(17, &mut device);
    assert_eq!(of_device(&evc, "alarm"), "", "the first one, and sixteen after it");
    let mut one_more = new_session();
    let section = as_one(&evc, &mut device, &mut one_more);
    assert!(!has_key(&mut device, &mut one_more, section.as_ref()));
    let alarm = of_device(&evc, "alarm");
    assert!(alarm.contains("17 sessions gave way to new ones within an hour"), "{alarm}");
    evc.act("DELETE", "/devices/edge-1/alarm?confirm=edge-1", "");
    restarts(16, &mut device);
    assert_eq!(of_device(&evc, "alarm"), "", "settled: they are counted anew");
}

/// Evidence of two lives of one device, the first of which was held back on the way: it is out of date, and no alarm. A copy, which asks for
/// itself, is told all the same.
#[test]
fn evidence_that_comes_late_is_out_of_date_and_a_copys_is_an_alarm() {
    let evc = Evc::start();
    let mut device = device_with_vault(&evc);
    let began = now();
    let nonce_at = |device: &Device, at: u64| -> [u8; 32] {
        let asked = evc.wait(evc.app.attest(device.id, AttestRequest::Nonce, at));
        let Ok(AttestResponse::Nonce(nonce)) = asked else { panic!("no nonce") };
        nonce.try_into().expect("32 bytes")
    };
    let give = |device: &Device, quote: &Quote, at: u64| {
        let given = AttestRequest::Quote(Box::new(quote.clone()));
        let told = evc.wait(evc.app.attest(device.id, given, at));
        let Ok(AttestResponse::Quote(answer)) = told else { panic!("no answer") };
        answer.code
    };
    let held = device.evidence(nonce_at(&device, began), device.session.session_key());
    device.session = new_session();
    let second = device.evidence(nonce_at(&device, began + 31), device.session.session_key());
    assert_eq!(give(&device, &second, began + 32), QuoteCode::Success);
    assert_eq!(give(&device, &held, began + 50), QuoteCode::NonceMismatch);
    let third = device.evidence(nonce_at(&device, began + 60), device.session.session_key());
    assert_eq!(give(&device, &third, began + 61), QuoteCode::Success);
    assert_eq!(of_device(&evc, "alarm"), "", "one device, and one message that came late");
    let mut copy = new_session();
    as_one(&evc, &mut device, &mut copy);
    let mut own = std::mem::replace(&mut device.session, new_session());
    as_one(&evc, &mut device, &mut own);
    assert!(of_device(&evc, "alarm").contains("gave evidence again"), "{}", of_device(&evc, "alarm"));
}

/// An alarm that is settled makes no report of before good again.
#[test]
fn reports_of_earlier_sessions_stay_over_when_an_alarm_is_settled() {
    let evc = Evc::start();
    let mut device = device_with_vault(&evc);
    let section = device.attested(&evc);
    let old = device.reported(&section, 1, |_| State::Missing);
    assert_eq!(evc.post(&device.own("info"), &old).status, 201);
    device.session = new_session();
    device.hash.clear();
    let section = device.attested(&evc);
    device.report(&evc, &section, 1);
    evc.act("DELETE", "/devices/edge-1/alarm?confirm=edge-1", "");
    assert_eq!(evc.post(&device.own("info"), &old).status, 409);
    assert_eq!(state(&evc), ("unlocked".into(), Some(1)));
}

/// What anybody on the way can send again makes nobody present.
#[test]
fn a_dead_device_is_not_kept_online_by_what_is_sent_again() {
    let evc = Evc::start();
    let mut device = device_with_vault(&evc);
    let section = device.attested(&evc);
    device.report(&evc, &section, 1);
    let polls = device.seal(&device.ask());
    let (id, long_ago) = (device.id, now() - 3600);
    evc.meddle(|tx| Box::pin(async move { tx.saw_device(id, long_ago).await }));
    evc.meddle(|tx| Box::pin(async move { tx.proved_device(id, long_ago).await }));
    evc.app.heard.from(id, 0);
    assert!(of_device(&evc, "condition").starts_with("silent since"));
    assert!([200, 304].contains(&evc.post(&device.own("config"), &polls).status));
    let condition = of_device(&evc, "condition");
    assert!(condition.ends_with("but for what may be replays"), "{condition}");
    let last_seen = of_device(&evc, "last_seen");
    assert_eq!(last_seen, evc::clock::text(long_ago), "what may be a replay is not seen");
    assert!(of_device(&evc, "heard") > last_seen, "it is shown as what it is");
    device.report(&evc, &section, 1);
    assert_eq!(of_device(&evc, "condition"), "online");
    assert!(of_device(&evc, "last_seen") > last_seen);
}

fn state(evc: &Evc) -> (String, Option<u64>) {
    let all = evc.act("GET", "/vaults", "");
    let row =
        all.as_array().expect("a list").iter().find(|row| row["name"] == "payments").expect("there").clone();
    (row["state"].as_str().unwrap_or_default().to_owned(), row["reported_epoch"].as_u64())
}

/// seen-by-users 0b.9: who ends TLS has every report that was ever sent, each well signed. None is taken twice, or after a newer one, or
/// of a session that is over.
#[test]
fn a_report_that_is_sent_again_is_refused_and_changes_nothing() {
    let evc = Evc::start();
    let mut device = device_with_vault(&evc);
    let section = device.attested(&evc);
    let open = device.reported(&section, 1, |_| State::Unlocked);
    let locked = device.reported(&section, 1, |_| State::Locked);
    let post = |report: &[u8]| {
        let told = evc.post(&device.own("info"), report);
        (told.status, String::from_utf8_lossy(&told.body).into_owned())
    };
    assert_eq!(post(&open).0, 201);
    assert_eq!(post(&locked).0, 201);
    for again in [&open, &locked] {
        let (status, words) = post(again);
        assert!(status == 409 && words.contains("not newer than one that was taken"), "{words}");
    }
    assert_eq!(state(&evc), ("locked".into(), Some(1)));
    let late = device.reported(&section, 1, |_| State::Unlocked);
    device.session = new_session();
    device.hash.clear();
    let section = device.attested(&evc);
    let told = evc.post(&device.own("info"), &late);
    let words = String::from_utf8_lossy(&told.body).into_owned();
    assert!(told.status == 409 && words.contains("of an earlier session"), "{words}");
    assert_eq!(state(&evc), ("locked".into(), Some(1)));
    assert_eq!(evc.post(&device.own("info"), &device.reported(&section, 1, |_| State::Unlocked)).status, 201);
    assert_eq!(state(&evc), ("unlocked".into(), Some(1)));
}

/// seen-by-users 0b.9: a node's clock says what it likes. Which of two reports is the newer one, and when it was told, nobody takes from the
/// date that it bears.
#[test]
fn no_report_counts_by_its_own_date() {
    let evc = Evc::start();
    let mut device = device_with_vault(&evc);
    let section = device.attested(&evc);
    let began = evc::clock::text(now());
    // Of the year 2100, and after it one of the year 2000.
    for (at_unix_s, is, shown) in
        [(4_102_444_800, State::Locked, "locked"), (946_684_800, State::Unlocked, "unlocked")]
    {
        device.tell(&evc, &DeviceInfo { at_unix_s, ..device.info_of(&section, 1, |_| is) });
        assert_eq!(state(&evc), (shown.into(), Some(1)));
        let seen = of_device(&evc, "last_seen");
        assert!(began <= seen && seen <= evc::clock::text(now()), "{seen}");
        for list in ["/devices", "/vaults", "/devices/edge-1"] {
            let told = evc.act("GET", list, "").to_string();
            assert!(!told.contains("\"2100-") && !told.contains("\"2000-"), "{list}: {told}");
        }
    }
}

/// seen-by-users 0b.9: what a session says that gave no evidence is shown as unknown, not believed; and an epoch that was never made here
/// is shown, moves no row, and lets nobody rotate.
#[test]
fn facts_count_of_the_session_that_gave_evidence_and_of_epochs_that_were_made() {
    let evc = Evc::start();
    let mut device = device_with_vault(&evc);
    let mut section = device.attested(&evc);
    device.report(&evc, &section, 1);
    let known = section.session;
    section.session = new_session().session_key();
    let unknown = device.reported(&section, 1, |_| State::Missing);
    assert_eq!(evc.post(&device.own("info"), &unknown).status, 201);
    let missing = evc.operator(
        "POST",
        "/devices/edge-1/vaults/payments/recreate?confirm=payments",
        "",
        Some(&evc.token),
    );
    assert_eq!(missing.status, 409, "nobody who counts said that it is missing");
    section.session = known;
    device.report(&evc, &section, 99);
    assert_eq!(state(&evc), ("unlocked".into(), Some(1)));
    let told = evc.act("GET", "/vaults", "").to_string();
    assert!(
        told.contains("the node is at epoch 99, above 1: this database is older than its node"),
        "{told}"
    );
    for how in ["{}", r#"{"force":true}"#] {
        let rotate = evc.operator("POST", "/devices/edge-1/vaults/payments/rotate", how, Some(&evc.token));
        let words = String::from_utf8_lossy(&rotate.body).into_owned();
        assert!(rotate.status == 409 && words.contains("at epoch 99, and 1 is the newest here"), "{words}");
    }
    device.report(&evc, &section, 1);
    evc.act("POST", "/devices/edge-1/vaults/payments/rotate", "{}");
}

/// Seen-by-users 0.9: default vaults have the same ids at every controller. An epoch under another controller's list is told as that, and is not
/// taken for ours of the same number; under our list it is.
#[test]
fn an_epoch_of_another_controllers_list_is_not_taken_for_ours() {
    let evc = Evc::start();
    let mut device = device_with_vault(&evc);
    let mut section = device.attested(&evc);
    let ours = section.version;
    section.version.incarnation = vault::ids::Incarnation([0xee; 16]);
    device.report(&evc, &section, 1);
    assert_eq!(state(&evc), ("unlocked".into(), None));
    let told = evc.act("GET", "/vaults", "").to_string();
    assert!(told.contains("the node says epoch 1, and accepted no list of this controller"), "{told}");
    section.version = ours;
    device.report(&evc, &section, 1);
    assert_eq!(state(&evc), ("unlocked".into(), Some(1)));
    assert!(!evc.act("GET", "/vaults", "").to_string().contains("accepted no list"));
}

/// Attack G3: a copy from before an alarm does not have it, and would release keys to both again. It is known as a copy.
#[test]
fn a_copy_from_before_an_alarm_is_known_as_one() {
    let (evc, copies) = (Evc::start(), tempfile::tempdir().expect("a folder"));
    let mut device = device_with_vault(&evc);
    let (mut one, mut other) = (new_session(), new_session());
    for own in [&mut one, &mut other] {
        as_one(&evc, &mut device, own);
    }
    let copy = copies.path().join("copy");
    common::sql(evc.dir.path(), &[&format!("VACUUM INTO '{}'", copy.display())]);
    as_one(&evc, &mut device, &mut one);
    assert!(!of_device(&evc, "alarm").is_empty());
    let folder = evc.stop();
    for beside in ["evc.db-wal", "evc.db-shm"] {
        let _ = fs::remove_file(folder.path().join(beside));
    }
    fs::copy(&copy, folder.path().join("evc.db")).expect("put back");
    let evc = Evc::over(folder);
    let told = evc.act("GET", "/glance", "").to_string();
    assert!(told.contains("evc put-back --checked"), "{told}");
}
