//! Devices that were deleted, and come again (decision 80).

use evc::api::Code;
use evc::service::DELETED_GRACE_S;
use serde_json::{Value, json};
use vault::escrow::drill::Drills;
use vault::ids::Generation;
use wire::escrow::open_down;

use super::escrow::told;
use super::*;
use common::escrowed::{BYTES, id_of, sealed, upload};

/// The same device registers again, by an allowance of its own serial.
fn comes_again(evc: &Evc, device: &mut Device, give_back: bool) {
    let (pem, serial) = (&device.onboard.pem, &device.serial);
    let allow = json!({ "cert_pem": pem, "serial": serial, "name": "edge-1", "give_back": give_back });
    evc.act("POST", "/onboarding", &allow.to_string());
    assert_eq!(device.register(evc), 201);
    device.id = device.uuid(evc).expect("registered");
    (device.session, device.hash, device.head) = (new_session(), String::new(), None);
}

/// Invariant 4: nothing is lost by one command. What was kept of a device that is deleted by force stays for a grace; the same device, let in again, has its
/// vaults, their keys and its bundle back, and no other device has them.
#[test]
fn a_device_that_is_let_in_again_has_its_keys_and_bundles_back() {
    let evc = Evc::start();
    let (mut device, tpm) = with_tpm(&evc);
    evc.apply("kind: VaultPolicy\nname: p\ncustody: tpm+controller\n---\nkind: Vault\nname: logs\ndevice: edge-1\npolicy: p\n");
    let section = round(&evc, &mut device, &tpm, &pcrs(1)).expect("a section");
    let key = device.keys(&section, "logs").expect("a key");
    assert_eq!(upload(&evc, &device, sealed(&evc, &device, 1, BYTES)), StoreKeysCode::Success);
    let done = evc.act("DELETE", "/devices/edge-1?force=true&confirm=edge-1", "").to_string();
    for words in
        ["kept until", "the keys of its vault `logs`", "its bundles in escrow", "evc device forget edge-1"]
    {
        assert!(done.contains(words), "{words}: {done}");
    }
    let deleted = || evc.act("GET", "/deleted-devices", "");
    assert_eq!((&deleted()[0]["vaults"], &deleted()[0]["bundles"]), (&json!(["logs"]), &json!(1)));
    let refused = evc.operator("DELETE", "/policies/p", "", Some(&evc.token)).problem();
    assert!(refused.error.contains("deleted device `edge-1`"), "{refused:?}");
    comes_again(&evc, &mut device, true);
    assert_eq!(deleted(), json!([]), "it has all of it again");
    let section = round(&evc, &mut device, &tpm, &pcrs(1)).expect("a section");
    assert_eq!(device.keys(&section, "logs"), Some(key), "the same key");
    let learned = evc.act("GET", "/references", "")[0]["id"].clone();
    evc.act("POST", &format!("/references/{learned}/approve"), "");
    device.rescue = Some(Generation(1));
    let given = told(&evc, &mut device).expect("an answer").rescue.expect("given");
    let opened = open_down(&device.session, device.id, &given).expect("for this session");
    assert_eq!(opened.as_slice(), BYTES);
}

/// IF-5: what was removed, and is on the node's disk yet, is named as removed to the device that comes again, and is no orphan there.
#[test]
fn what_a_deleted_device_had_not_erased_is_erased_when_it_comes_again() {
    let evc = Evc::start();
    let (mut device, tpm) = with_tpm(&evc);
    evc.apply("kind: VaultPolicy\nname: p\ncustody: tpm\non_removal: { delete_after: 0s }\n---\nkind: Vault\nname: secret\ndevice: edge-1\npolicy: p\n");
    let section = round(&evc, &mut device, &tpm, &pcrs(1)).expect("a section");
    device.report(&evc, &section, 1);
    let id = section.vaults.iter().find(|entry| entry.name.as_str() == "secret").expect("listed").id;
    evc.act("DELETE", "/devices/edge-1/vaults/secret?confirm=secret", "");
    let done = evc.act("DELETE", "/devices/edge-1?force=true&confirm=edge-1", "").to_string();
    assert!(done.contains("not erased by its node as far as it said: `secret`"), "{done}");
    let kept = evc.act("GET", "/deleted-devices", "");
    assert_eq!(kept[0]["vaults"], json!([]), "its keys are gone: {kept}");
    comes_again(&evc, &mut device, true);
    let section = round(&evc, &mut device, &tpm, &pcrs(1)).expect("a section");
    assert!(section.removed.contains(&id), "{section:?}");
    assert!(section.vaults.iter().all(|entry| entry.id != id), "{section:?}");
    assert_eq!(evc.act("GET", "/deleted-devices", ""), json!([]));
}

/// Invariant 4: a vault that was removed takes no other one's name: the wanted one of that name is given back with its keys.
#[test]
fn a_removed_vault_keeps_none_of_its_name_from_being_given_back() {
    let evc = Evc::start();
    let (mut device, tpm) = with_tpm(&evc);
    let file = "kind: VaultPolicy\nname: p\ncustody: tpm+controller\non_removal: { delete_after: 0s }\n---\nkind: Vault\nname: db\ndevice: edge-1\npolicy: p\n";
    evc.apply(file);
    let section = round(&evc, &mut device, &tpm, &pcrs(1)).expect("a section");
    device.report(&evc, &section, 1);
    let named = |section: &Section| {
        section.vaults.iter().find(|entry| entry.name.as_str() == "db").map(|entry| entry.id)
    };
    let old = named(&section).expect("listed");
    evc.act("DELETE", "/devices/edge-1/vaults/db?confirm=db", "");
    evc.apply(file);
    evc.act("DELETE", "/devices/edge-1?force=true&confirm=edge-1", "");
    comes_again(&evc, &mut device, true);
    let section = round(&evc, &mut device, &tpm, &pcrs(1)).expect("a section");
    assert!(section.removed.contains(&old), "{section:?}");
    assert!(named(&section).is_some_and(|id| id != old), "{section:?}");
    assert!(device.keys(&section, "db").is_some());
    assert_eq!(evc.act("GET", "/deleted-devices", ""), json!([]));
}

/// TH-2: a deleted device that comes again, perhaps in other hands, gets nothing back by an allowance that does not say so.
#[test]
fn th2_a_deleted_device_gets_nothing_back_unasked() {
    let evc = Evc::start();
    let (mut device, tpm) = with_tpm(&evc);
    evc.apply("kind: VaultPolicy\nname: p\ncustody: tpm+controller\n---\nkind: Vault\nname: logs\ndevice: edge-1\npolicy: p\n");
    round(&evc, &mut device, &tpm, &pcrs(1)).expect("a section");
    evc.act("DELETE", "/devices/edge-1?force=true&confirm=edge-1", "");
    let allow = |serial: &str, give_back: bool| {
        let ask = json!({ "cert_pem": device.onboard.pem, "serial": serial, "give_back": give_back });
        evc.operator("POST", "/onboarding", &ask.to_string(), Some(&evc.token))
    };
    assert!(allow("*", true).problem().error.contains("to one serial"), "not to whoever comes");
    assert_eq!(allow(&device.serial, false).status, 200);
    assert_eq!(device.register(&evc), 201);
    let vaults = evc.act("GET", &format!("/vaults?device={}", device.serial), "").to_string();
    assert!(!vaults.contains("logs"), "{vaults}");
    let kept = evc.act("GET", "/deleted-devices", "");
    assert_eq!(kept[0]["vaults"], json!(["logs"]), "and it is kept: {kept}");
}

/// Decision 80: a device that is let in again as itself has its name too, where its allowance says no other.
#[test]
fn a_device_that_is_given_back_has_its_name_again() {
    let evc = Evc::start();
    let device = Device::onboarded(&evc, "edge-1");
    evc.apply("kind: VaultPolicy\nname: p\ncustody: controller\n---\nkind: Vault\nname: logs\ndevice: edge-1\npolicy: p\n");
    for name in ["edge-1", "edge-1"] {
        evc.act("DELETE", &format!("/devices/{name}?force=true&confirm={name}"), "");
        let ask = json!({ "cert_pem": device.onboard.pem, "serial": device.serial, "give_back": true });
        evc.act("POST", "/onboarding", &ask.to_string());
        assert_eq!(device.register(&evc), 201);
        assert_eq!(evc.act("GET", "/devices", "")[0]["name"], name, "and not its serial");
    }
}

/// A grace ends by itself, and not before; an operator's word ends it at once.
#[test]
fn what_is_kept_of_a_deleted_device_goes_by_its_grace_or_by_an_operators_word() {
    let evc = Evc::start();
    let kept = || evc.act("GET", "/deleted-devices", "").as_array().expect("a list").len();
    let delete = |name: &str| {
        let device = Device::onboarded(&evc, name);
        assert_eq!(upload(&evc, &device, sealed(&evc, &device, 1, BYTES)), StoreKeysCode::Success);
        evc.act("DELETE", &format!("/devices/{name}?force=true&confirm={name}"), "");
    };
    delete("edge-1");
    let refused =
        evc.operator("DELETE", "/deleted-devices/edge-2?confirm=edge-2", "", Some(&evc.token)).problem().code;
    assert_eq!((refused, kept()), (Code::DeviceUnknown, 1));
    evc.act("DELETE", "/deleted-devices/edge-1?confirm=edge-1", "");
    assert_eq!(kept(), 0);
    delete("edge-2");
    let now = evc::clock::now();
    for (later, is_there) in [(DELETED_GRACE_S - 60, 1), (DELETED_GRACE_S + 60, 0)] {
        let mut clock = evc.wait(evc.app.clock(now)).expect("a clock");
        let passed = std::time::Duration::from_secs(later);
        evc.wait(evc.app.keep_house(&mut clock, now + later, passed)).expect("kept");
        assert_eq!(kept(), is_there, "after {later} s");
    }
}

const FORCED: &str = "?force=true&confirm=edge-1";

/// TH-2: that a device is lost, or may be two, was said of who has its key. It holds when it was deleted and is let in again, whether or not it gets
/// anything back, until an operator says otherwise.
#[test]
fn th2_a_lost_device_that_was_deleted_is_lost_when_it_comes_again() {
    for (give_back, force) in [(true, FORCED), (false, FORCED), (false, "")] {
        let evc = Evc::start();
        let mut device = Device::onboarded(&evc, "edge-1");
        if !force.is_empty() {
            evc.apply("kind: VaultPolicy\nname: p\ncustody: controller\n---\nkind: Vault\nname: logs\ndevice: edge-1\npolicy: p\n");
        }
        evc.act("POST", "/devices/edge-1/lost", "");
        let id = device.id;
        let two = evc::store::Alarm::Told("two of one key".into());
        evc.meddle(|tx| tx.set_alarm(id, Some(&two)));
        let done = evc.act("DELETE", &format!("/devices/edge-1{force}"), "").to_string();
        assert!(
            done.contains("evc device found edge-1") && done.contains("evc device settle edge-1"),
            "{done}"
        );
        comes_again(&evc, &mut device, give_back);
        let shown = || evc.act("GET", "/devices/edge-1", "")["device"].clone();
        let condition = shown()["condition"].as_str().expect("words").to_owned();
        assert!(condition.starts_with("lost since"), "{give_back}, {force}: {condition}");
        evc.act("DELETE", "/devices/edge-1/lost", "");
        assert_eq!(shown()["alarm"], "two of one key", "{give_back}, {force}");
        evc.act("DELETE", "/devices/edge-1/alarm?confirm=edge-1", "");
        assert!(
            device
                .attested(&evc)
                .vaults
                .iter()
                .all(|vault| !matches!(vault.release, Release::Withheld { .. }))
        );
        evc.act("DELETE", "/devices/edge-1?force=true&confirm=edge-1", "");
        comes_again(&evc, &mut device, false);
        assert_eq!(shown()["condition"], "online", "and what was taken back stays so");
    }
}

/// Invariant 4: what an operator chose to be given back, and that the drill failed on what is in escrow, is so after a deletion as before it.
#[test]
fn a_chosen_bundle_and_a_failed_drill_come_back_with_the_bundles() {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    for bytes in [b"older".as_slice(), BYTES] {
        assert_eq!(upload(&evc, &device, sealed(&evc, &device, 1, bytes)), StoreKeysCode::Success);
    }
    let older = hex::encode(id_of(1, b"older").digest);
    evc.act("POST", &format!("/devices/edge-1/escrow/bundle/{older}/offer"), "");
    let mut drills = Drills::default();
    drills.fail(id_of(1, BYTES), "the root".into(), evc::clock::now());
    let id = device.id;
    evc.meddle(|tx| tx.put_drills(id, &drills));
    let shown = || {
        let bundles = evc.act("GET", "/devices/edge-1/escrow", "");
        let offered: Vec<_> =
            bundles.as_array().expect("a list").iter().map(|it| it["offered"].clone()).collect();
        let drill = evc.act("GET", "/devices/edge-1", "")["device"]["escrow"]["drill"]["state"].clone();
        (offered, drill, evc.act("GET", "/devices", "")[0]["condition"].clone())
    };
    let before = shown();
    assert_eq!(before.1, "failed");
    evc.act("DELETE", "/devices/edge-1?force=true&confirm=edge-1", "");
    comes_again(&evc, &mut device, true);
    assert_eq!(shown(), before);
}

/// Decision 80: what a device got back is its own, and kept for nobody beside it. What could not be given back stays, and is all that is listed.
#[test]
fn what_was_given_back_is_kept_no_more_where_something_was_not() {
    let evc = Evc::start();
    let (mut device, _) = with_tpm(&evc);
    let vault = |name: &str| format!("---\nkind: Vault\nname: {name}\ndevice: edge-1\npolicy: p\n");
    evc.apply(
        &("kind: VaultPolicy\nname: p\ncustody: tpm+controller\n".to_owned()
            + &vault("logs")
            + &vault("till")),
    );
    for bytes in [b"damaged".as_slice(), BYTES] {
        assert_eq!(upload(&evc, &device, sealed(&evc, &device, 1, bytes)), StoreKeysCode::Success);
    }
    evc.act("DELETE", "/devices/edge-1?force=true&confirm=edge-1", "");
    let till = "(SELECT id FROM deleted_vaults WHERE name = 'till')";
    let damage = format!("UPDATE deleted_epochs SET sealed = x'00' WHERE vault = {till}");
    let digest = hex::encode(id_of(1, b"damaged").digest);
    let other = format!("UPDATE deleted_bundles SET sealed = x'00' WHERE digest = x'{digest}'");
    common::sql(evc.dir.path(), &[&damage, &other]);
    comes_again(&evc, &mut device, true);
    let vaults = evc.act("GET", "/vaults?device=edge-1", "").to_string();
    assert!(vaults.contains("\"logs\"") && !vaults.contains("\"till\""), "{vaults}");
    let kept = evc.act("GET", "/deleted-devices", "");
    assert_eq!((&kept[0]["vaults"], &kept[0]["bundles"]), (&json!(["till"]), &json!(1)), "{kept}");
    let left = evc.stored(|tx| {
        Box::pin(async move {
            let rows = evc::store::all_whole(tx.deleted(&vault::ids::Project::default()).await?)?;
            tx.of_deleted(rows[0].id).await
        })
    });
    assert!(left.epochs.iter().all(|epoch| epoch.vault == left.vaults[0].id), "no key of what it has again");
}

/// Invariants 4 and 6: one row that does not read keeps nobody from registering, and no other row from being given back. What is left stays kept
/// as it is, and is named.
#[test]
fn a_damaged_row_of_what_is_kept_keeps_nothing_else_back() {
    let till = "(SELECT id FROM deleted_vaults WHERE name = 'till')";
    for (damage, named) in [
        ("UPDATE deleted_vaults SET policy = '' WHERE name = 'till'".to_owned(), "vault `till`"),
        ("UPDATE deleted_vaults SET left_version = NULL, standing = 'removing', delete_at = NULL WHERE name = 'till'".to_owned(), "till"),
        (format!("UPDATE deleted_epochs SET made_at = -1 WHERE vault = {till}"), "key of vault"),
        (format!("UPDATE deleted_epochs SET vault = x'00' WHERE vault = {till}"), "key of vault"),
        (format!("UPDATE deleted_releases SET epoch = -1 WHERE vault = {till}"), "key of vault"),
    ] {
        let evc = Evc::start();
        let (mut device, tpm) = with_tpm(&evc);
        evc.apply(&format!("{POLICY}---\n{LOGS}---\n{}", LOGS.replace("logs", "till")));
        let section = round(&evc, &mut device, &tpm, &pcrs(1)).expect("a section");
        let key = device.keys(&section, "logs").expect("a key");
        assert_eq!(upload(&evc, &device, sealed(&evc, &device, 1, BYTES)), StoreKeysCode::Success);
        delete(&evc);
        common::sql(evc.dir.path(), &[&damage]);
        comes_again(&evc, &mut device, true);
        let section = round(&evc, &mut device, &tpm, &pcrs(1)).expect("a section");
        assert_eq!(device.keys(&section, "logs"), Some(key), "{damage}");
        assert_eq!(evc.act("GET", "/devices/edge-1/escrow", "").as_array().map(Vec::len), Some(1), "{damage}");
        assert!(section.vaults.iter().all(|entry| entry.name.as_str() != "till"), "{damage}");
        let kept = evc.act("GET", "/deleted-devices", "").to_string();
        assert!(kept.contains(named), "{damage}: {kept}");
        let rows = common::count(evc.dir.path(), "deleted_epochs");
        assert_eq!(rows, 1, "its keys are kept: {damage}");
    }
}

/// The same of a deletion that does not say itself which device that was: all of it stays, and the device comes in.
#[test]
fn a_deletion_that_does_not_read_keeps_nobody_out() {
    for damage in ["labels = 'no'", "ledger = x'00'", "deleted_at = -1"] {
        let evc = Evc::start();
        let (mut device, ..) = with_logs(&evc);
        delete(&evc);
        common::sql(evc.dir.path(), &[&format!("UPDATE deleted_devices SET {damage}")]);
        comes_again(&evc, &mut device, true);
        let kept = evc.act("GET", "/deleted-devices", "");
        assert_eq!(kept[0]["name"], "edge-1", "{damage}: {kept}");
        assert_eq!(common::count(evc.dir.path(), "deleted_vaults"), 1, "{damage}");
    }
}

/// IF-5, decision 80: where a removed vault and a wanted one have one identity, nothing is erased, and who lets the device in is told so.
#[test]
fn a_removed_vault_with_the_identity_of_a_wanted_one_is_told_and_not_erased() {
    let evc = Evc::start();
    let (mut device, tpm, ..) = with_logs(&evc);
    delete(&evc);
    common::sql(
        evc.dir.path(),
        &[
            "CREATE TABLE it AS SELECT * FROM deleted_devices",
            "UPDATE it SET id = x'00112233445566778899aabbccddeeff'",
            "INSERT INTO deleted_devices SELECT * FROM it",
            "DROP TABLE it",
            "CREATE TABLE it AS SELECT * FROM deleted_vaults WHERE name = 'logs'",
            "UPDATE it SET device = x'00112233445566778899aabbccddeeff', standing = 'gone', left_version = 1, policy = NULL",
            "INSERT INTO deleted_vaults SELECT * FROM it",
            "DROP TABLE it",
        ],
    );
    let (pem, serial) = (&device.onboard.pem, &device.serial);
    let allow = json!({ "cert_pem": pem, "serial": serial, "name": "edge-1", "give_back": true });
    let notes = evc.act("POST", "/onboarding", &allow.to_string())["notes"].to_string();
    assert!(notes.contains("`logs`") && notes.contains("nothing is erased"), "{notes}");
    comes_again(&evc, &mut device, true);
    shows_its_ak(&evc, &device, &tpm);
    let section = round(&evc, &mut device, &tpm, &pcrs(1)).expect("a section");
    assert!(section.removed.is_empty() && device.keys(&section, "logs").is_some(), "{section:?}");
    let kept = evc.act("GET", "/deleted-devices", "");
    assert_eq!(
        (&kept[0]["removed"], kept[0]["vaults"].as_array().map(Vec::len)),
        (&json!(["logs"]), Some(0)),
        "{kept}"
    );
}

/// Invariant 4: a device that was deleted twice gets the bundles of both lives, and the newest of them is the one that is held.
#[test]
fn of_two_lives_the_newest_bundle_is_the_devices() {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    for (life, bytes) in [(1, b"of the first".as_slice()), (2, b"of the second")] {
        assert_eq!(upload(&evc, &device, sealed(&evc, &device, life, bytes)), StoreKeysCode::Success);
        evc.act("DELETE", "/devices/edge-1?force=true&confirm=edge-1", "");
        // Which was first is told by the second.
        let first = "UPDATE deleted_devices SET deleted_at = deleted_at - 60";
        common::sql(evc.dir.path(), &[first]);
        comes_again(&evc, &mut device, life == 2);
    }
    let digests = evc.act("GET", "/devices/edge-1/escrow", "");
    let digests: Vec<_> = digests.as_array().expect("a list").iter().map(|it| it["digest"].clone()).collect();
    let both =
        [id_of(2, b"of the second"), id_of(1, b"of the first")].map(|id| Value::from(hex::encode(id.digest)));
    assert_eq!(digests, both);
    assert_eq!(evc.act("GET", "/devices/edge-1", "")["device"]["escrow"]["digest"], both[0]);
}

const LOGS: &str = "kind: Vault\nname: logs\ndevice: edge-1\npolicy: p\n";
const POLICY: &str = "kind: VaultPolicy\nname: p\ncustody: tpm+controller\n";

/// A device with the vault `logs` open, as it reports; what opens it, and the section.
fn with_logs(evc: &Evc) -> (Device, FakeTpm, ([u8; 32], [u8; 32]), Section) {
    let (mut device, tpm) = with_tpm(evc);
    evc.apply(&format!("{POLICY}---\n{LOGS}"));
    let section = round(evc, &mut device, &tpm, &pcrs(1)).expect("a section");
    let key = device.keys(&section, "logs").expect("a key");
    device.report(evc, &section, 1);
    (device, tpm, key, section)
}

fn shows_its_ak(evc: &Evc, device: &Device, tpm: &FakeTpm) {
    let ak = DeviceCert::new(DeviceCertKind::Attestation, Key::new("AK").pem.into_bytes(), Some(tpm.ak()));
    assert_eq!(device.attest(evc, &AttestRequest::Certs(vec![ak])), AttestResponse::Certs);
}

fn delete(evc: &Evc) {
    evc.act("DELETE", "/devices/edge-1?force=true&confirm=edge-1", "");
}

/// Invariant 4, decision 80: who gets its keys back is the device that it was. Its next section follows the one that its node accepted, under a number
/// that it has not had; its attestation key is known; labels come back; and what was recorded of it before stays over.
#[test]
fn a_device_that_gets_its_keys_back_is_the_device_that_it_was() {
    let evc = Evc::start();
    let (mut device, tpm, key, before) = with_logs(&evc);
    evc.act("POST", "/devices/edge-1/labels", r#"{"set":{"site":"berlin"}}"#);
    let recorded = device.reported(&before, 1, |_| vault::report::State::Missing);
    device.poll(&evc);
    let (id, session, head) = (device.id, device.session.session_key(), device.head);
    delete(&evc);
    comes_again(&evc, &mut device, true);
    assert_eq!(device.id, id);
    device.head = head;
    let after = round(&evc, &mut device, &tpm, &pcrs(1)).expect("a section");
    assert_eq!((after.device, after.follows), (id, head.map(|head| head.digest)));
    assert!(after.version.version > before.version.version, "{:?}", after.version);
    assert_eq!(device.keys(&after, "logs"), Some(key));
    let shown = evc.act("GET", "/devices/edge-1", "")["device"].clone();
    assert_eq!((&shown["labels"], &shown["alarm"]), (&json!({ "site": "berlin" }), &Value::Null), "{shown}");
    assert_ne!(session, device.session.session_key());
    evc.post(&device.own("info"), &recorded);
    let vaults = evc.act("GET", "/vaults?device=edge-1", "").to_string();
    assert!(!vaults.contains("missing"), "a report of before: {vaults}");
}

/// Decision 80: it was let in without its keys, got others, and was deleted again. What its node took decides, not which is newer: keys that it never
/// had do not push out those that open its vaults. What could not go back is shown where an operator looks.
#[test]
fn of_two_lives_the_keys_that_the_node_took_come_back() {
    let evc = Evc::start();
    let (mut device, tpm, key, section) = with_logs(&evc);
    let id = device.id;
    delete(&evc);
    comes_again(&evc, &mut device, false);
    assert_ne!(device.id, id);
    evc.apply(LOGS);
    // It holds to the list of before, and says so.
    let mut info = device.info(&section, 1);
    let node = info.node.as_mut().expect("ours");
    node.session = Some(device.session.session_key());
    device.tell(&evc, &info);
    let condition = evc.act("GET", "/devices", "")[0]["condition"].as_str().expect("words").to_owned();
    assert!(condition.contains("takes no list for this device"), "{condition}");
    let shown = evc.act("GET", "/devices/edge-1", "").to_string();
    assert!(shown.contains(&format!("lists of device {id}")) && shown.contains("--give-back"), "{shown}");
    assert!(!shown.contains("released: the vault is open"), "{shown}");
    let status = evc.act("GET", "/glance", "").to_string();
    for words in ["takes no list for this device", "it has not got it back: see `evc device deleted`"] {
        assert!(status.contains(words), "{status}");
    }
    delete(&evc);
    comes_again(&evc, &mut device, true);
    assert_eq!(device.id, id, "whose list its node holds to");
    let section = round(&evc, &mut device, &tpm, &pcrs(1)).expect("a section");
    assert_eq!(device.keys(&section, "logs"), Some(key));
    let kept = evc.act("GET", "/deleted-devices", "");
    assert_eq!(kept[0]["vaults"], json!(["logs"]), "the other one is kept: {kept}");
}

/// Decision 80: who allows a serial of which something is kept is told that it does not go back by this, or not yet.
#[test]
fn who_lets_a_deleted_device_in_is_told_what_does_not_go_back() {
    let evc = Evc::start();
    let (device, ..) = with_logs(&evc);
    delete(&evc);
    let allow = |give_back: bool, name: &str| {
        let other = Key::new("another onboarding certificate");
        let ask =
            json!({ "cert_pem": other.pem, "serial": device.serial, "name": name, "give_back": give_back });
        evc.act("POST", "/onboarding", &ask.to_string())["notes"].to_string()
    };
    assert_eq!(allow(true, "a"), "null");
    let told = allow(false, "b");
    assert!(told.contains("with `--give-back`") && told.contains("`edge-1`"), "{told}");
    let ask = json!({ "cert_pem": device.onboard.pem, "serial": device.serial });
    evc.act("POST", "/onboarding", &ask.to_string());
    assert_eq!(device.register(&evc), 201);
    let told = allow(true, "c");
    assert!(told.contains("--force --confirm serial-edge-1` first"), "{told}");
}

/// Decision 80: more than a device may have keeps it from nothing. What does not fit stays kept.
#[test]
fn what_does_not_fit_on_a_device_stays_kept() {
    let evc = Evc::start();
    let (mut device, tpm) = with_tpm(&evc);
    evc.apply(POLICY);
    let apply = |of: &str, count: usize| {
        let all: Vec<_> = (0..count).map(|n| LOGS.replace("logs", &format!("{of}-{n}"))).collect();
        all.chunks(200).for_each(|some| drop(evc.apply(&some.join("---\n"))));
    };
    apply("a", vault::life::MOST_BESIDE_DEFAULTS);
    delete(&evc);
    comes_again(&evc, &mut device, false);
    apply("b", 3);
    delete(&evc);
    comes_again(&evc, &mut device, true);
    let kept = evc.act("GET", "/deleted-devices", "");
    let left: usize =
        kept.as_array().expect("a list").iter().map(|it| it["vaults"].as_array().map_or(0, Vec::len)).sum();
    assert_eq!(left, 3, "{kept}");
    shows_its_ak(&evc, &device, &tpm);
    let section = round(&evc, &mut device, &tpm, &pcrs(1)).expect("a section");
    assert_eq!(section.vaults.len(), vault::life::MOST_BESIDE_DEFAULTS);
}

/// KO-3, decision 80: that the TPM has a part of a vault's key is known after a deletion as before it: the vault goes over to no other node.
#[test]
fn a_vault_that_came_back_is_still_known_to_be_in_its_tpm() {
    for back in [false, true] {
        let evc = Evc::start();
        let (mut device, ..) = with_logs(&evc);
        if back {
            delete(&evc);
            comes_again(&evc, &mut device, true);
        }
        Device::onboarded(&evc, "edge-2");
        evc.apply(&POLICY.replace("tpm+controller", "controller"));
        evc.act("POST", "/devices/edge-1/lost", "");
        let to = json!({ "to": "edge-2", "confirm": "logs" }).to_string();
        let told = evc.operator("POST", "/devices/edge-1/vaults/logs/rehome", &to, Some(&evc.token));
        assert_eq!(told.problem().code, Code::KeyInTpm, "{back}");
    }
}

/// Decision 80: a vault that is kept is made already, as its policy said: that part of the policy stays.
#[test]
fn the_encryption_of_a_vault_that_is_kept_stays() {
    let evc = Evc::start();
    let _ = with_logs(&evc);
    delete(&evc);
    let other = format!("{POLICY}encryption: adiantum\n");
    let refused = evc.operator("POST", "/apply", &other, Some(&evc.token)).problem();
    assert!(refused.error.contains("deleted device `edge-1`"), "{refused:?}");
}
