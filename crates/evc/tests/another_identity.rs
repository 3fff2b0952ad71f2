//! Decision 90: a device whose node holds to the lists of another one is let in as that one, by an operator's word and its own proved one. By the real service,
//! its API and its programs.

mod common;

use std::path::Path;

use common::escrowed::{BYTES, sealed, upload};
use common::quoting::{FakeTpm, named_with_tpm, pcrs, quote};
use common::{Device, Evc, count, id_in, new_session};
use disk::Disk;
use evc::api::Code;
use serde_json::json;
use vault::ids::{DeviceId, Generation};
use vault::report::State;
use vault::section::Section;
use wire::attest::{AttestRequest, AttestResponse, StoreKeysCode};
use wire::escrow::open_down;

const POLICY: &str = "kind: VaultPolicy\nname: p\ncustody: controller\non_removal: { delete_after: 40s }\n";
const VAULT: &str = "---\nkind: Vault\nname: day\ndevice: edge-1\npolicy: p\n";
const OTHER: DeviceId = DeviceId(uuid::Uuid::from_u128(5));

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(work)
}

fn evc_says(args: &[&str]) -> (bool, String) {
    let ran = std::process::Command::new(env!("CARGO_BIN_EXE_evc")).args(args).output().expect("ran");
    (ran.status.success(), String::from_utf8([ran.stdout, ran.stderr].concat()).expect("text"))
}

fn asks(evc: &Evc, args: &[&str]) -> (bool, String) {
    let data = evc.dir.path().to_str().expect("a path");
    evc_says(&[args, &["--data", data, "--url", &evc.url]].concat())
}

fn checked(folder: &Path) {
    run(evc::service::checked(&Disk::linux(), folder)).expect("said");
}

fn begun_anew(evc: Evc) -> Evc {
    let folder = evc.stop();
    let (done, said) =
        evc_says(&["begin-anew", "--data", folder.path().to_str().expect("a path"), "--confirm"]);
    assert!(done, "{said}");
    Evc::over(folder)
}

/// Its node tells, in its present session, what it has by the lists of another device, or of this one.
fn tells(evc: &Evc, device: &Device, section: &Section, held_to: DeviceId) {
    let section = Section { session: device.session.session_key(), ..section.clone() };
    let mut info = device.info(&section, 1);
    info.node.as_mut().expect("ours").accepted_for = Some(held_to);
    device.tell(evc, &info);
}

fn identify(evc: &Evc, device: &str, id: DeviceId) -> common::Answer {
    let how = json!({ "id": id, "confirm": device }).to_string();
    evc.operator("POST", &format!("/devices/{device}/identity"), &how, Some(&evc.token))
}

fn refused(evc: &Evc, device: &str, id: DeviceId) -> Code {
    identify(evc, device, id).problem().code
}

/// A database is put back from a copy that was made before its device was registered; the device registers anew.
fn put_back() -> (Evc, Device, Section) {
    let (evc, copies) = (Evc::start(), tempfile::tempdir().expect("a folder"));
    evc.apply(POLICY);
    let copy = copies.path().join("copy");
    common::sql(evc.dir.path(), &[&format!("VACUUM INTO '{}'", copy.display())]);
    let mut device = Device::onboarded(&evc, "edge-1");
    evc.apply(VAULT);
    let newest = device.attested(&evc);
    device.poll(&evc);
    let folder = evc.stop();
    for beside in ["evc.db-wal", "evc.db-shm"] {
        let _ = std::fs::remove_file(folder.path().join(beside));
    }
    std::fs::copy(copy, folder.path().join("evc.db")).expect("put back");
    checked(folder.path());
    let evc = Evc::over(folder);
    let allow = json!({ "cert_pem": device.onboard.pem, "serial": device.serial, "name": "edge-1" });
    evc.act("POST", "/onboarding", &allow.to_string());
    assert_eq!(device.register(&evc), 201);
    device.id = device.uuid(&evc).expect("registered");
    (device.session, device.hash) = (new_session(), String::new());
    (evc, device, newest)
}

/// H2, decision 92: what was made after the copy, on a device that was registered after it too, is taken in while it is open. Its node takes no list of
/// any device but the one that it was.
#[test]
fn a_device_that_was_registered_after_the_copy_is_let_in_as_the_one_that_it_was() {
    let (evc, mut device, newest) = put_back();
    let was = newest.device;
    assert_ne!(device.id, was);
    device.attested(&evc);
    tells(&evc, &device, &newest, was);
    let how = format!("evc adopt device edge-1 --as {was} --confirm edge-1");
    let (_, described) = asks(&evc, &["describe", "device", "edge-1"]);
    assert!(described.split_whitespace().collect::<Vec<_>>().join(" ").contains(&how), "{described}");
    let (done, said) = asks(&evc, &["adopt", "vault", "day", "--device", "edge-1", "--policy", "p"]);
    assert!(!done && said.contains("evc adopt device"), "no key would reach it: {said}");
    let args = ["adopt", "device", "edge-1", "--as", &was.to_string(), "--confirm", "edge-1"];
    let (done, said) = asks(&evc, &args);
    assert!(done && said.contains(&format!("device `edge-1` is device {was}")), "{said}");
    assert!(said.contains("nothing is released to it yet"), "{said}");
    let old = evc.post(&device.own("config"), &device.seal(&device.ask()));
    assert_eq!(old.status, 403, "so that its node asks who it is");
    device.id = device.uuid(&evc).expect("known");
    assert_eq!(device.id, was);
    let answer = device.poll(&evc).expect("an answer");
    assert!(answer.config.is_none_or(|config| config.section().is_ok_and(|section| section.is_none())));
    let condition = evc.act("GET", "/devices/edge-1", "")["device"]["condition"].to_string();
    assert!(condition.contains("ahead"), "{condition}");
    tells(&evc, &device, &newest, was);
    let (done, said) = asks(&evc, &["adopt", "vault", "day", "--device", "edge-1", "--policy", "p"]);
    assert!(done, "{said}");
    let evc = begun_anew(evc);
    device.hash.clear();
    let section = device.section(&evc);
    assert_eq!((section.device, id_in(&section, "day")), (was, id_in(&newest, "day")));
    assert!(device.keys(&section, "day").is_some(), "a key of this database");
    let entry = section.vaults.iter().find(|entry| entry.name.as_str() == "day").expect("listed");
    assert!(entry.created, "and none is made in its place");
}

/// Decision 92: where the database was begun anew already, no mark holds its lists back. So a device stays who it is while its node has something open that
/// the first of them would lock for good.
#[test]
fn a_device_is_not_let_in_where_that_closes_what_is_open() {
    let (evc, mut device, newest) = put_back();
    let was = newest.device;
    device.attested(&evc);
    let evc = begun_anew(evc);
    (device.session, device.hash) = (new_session(), String::new());
    device.proves_itself(&evc);
    tells(&evc, &device, &newest, was);
    let told = identify(&evc, "edge-1", was).problem();
    assert_eq!(told.code, Code::VaultStillOpen);
    assert!(told.error.contains("`day`"), "{}", told.error);
    assert_eq!(device.uuid(&evc), Some(device.id), "nothing was changed");
    let closed = Section { session: device.session.session_key(), ..newest };
    let mut info = device.info_of(&closed, 1, |_| State::Locked);
    info.node.as_mut().expect("ours").accepted_for = Some(was);
    device.tell(&evc, &info);
    assert_eq!(identify(&evc, "edge-1", was).status, 200, "the twin");
}

/// AC-2, TH-1: by a word that its node gave in a session whose evidence is good, for the identity that was named, of nobody else's, and said twice.
#[test]
fn no_device_is_let_in_as_another_by_less_than_its_proved_word() {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    evc.apply(&(POLICY.to_owned() + VAULT));
    let [other, gone] = ["edge-2", "edge-3"].map(|name| Device::onboarded(&evc, name).id);
    evc.apply(&VAULT.replace("edge-1", "edge-3"));
    evc.act("DELETE", "/devices/edge-3?force=true&confirm=edge-3", "");
    assert_eq!(refused(&evc, "edge-1", OTHER), Code::EvidenceAbsent, "nothing was told");
    let section = device.attested(&evc);
    assert_eq!(refused(&evc, "edge-1", OTHER), Code::EvidenceAbsent, "nothing was told since");
    tells(&evc, &device, &section, section.device);
    assert_eq!(refused(&evc, "edge-1", OTHER), Code::IdentityOtherwise, "it holds to its own");
    tells(&evc, &device, &section, OTHER);
    let (session, anew) = (device.session.session_key(), new_session());
    let of_now = std::mem::replace(&mut device.session, anew);
    tells(&evc, &device, &section, other);
    device.session = of_now;
    assert_eq!(device.session.session_key(), session);
    assert_eq!(
        refused(&evc, "edge-1", other),
        Code::IdentityOtherwise,
        "a session without evidence tells nothing"
    );
    for (held_to, code) in [(other, Code::IdentityTaken), (gone, Code::IdentityTaken)] {
        tells(&evc, &device, &section, held_to);
        assert_eq!(refused(&evc, "edge-1", held_to), code);
    }
    tells(&evc, &device, &section, OTHER);
    evc.act("POST", "/devices/edge-1/lost", "");
    assert_eq!(refused(&evc, "edge-1", OTHER), Code::DeviceBarred, "it is lost");
    evc.act("DELETE", "/devices/edge-1/lost", "");
    let id = device.id;
    let two = evc::store::Alarm::Told("two of one key".into());
    evc.meddle(|tx| tx.set_alarm(id, Some(&two)));
    assert_eq!(refused(&evc, "edge-1", OTHER), Code::DeviceBarred, "it may be two");
    evc.meddle(|tx| tx.set_alarm(id, None));
    device.session = new_session();
    device.hash.clear();
    device.proves_itself(&evc);
    assert_eq!(refused(&evc, "edge-1", OTHER), Code::EvidenceAbsent, "it booted, and has told nothing since");
    let of_before = device.seal(&device.info(&section, 1).encode());
    assert_eq!(evc.post(&device.own("info"), &of_before).status, 409, "and what it told before is over");
    tells(&evc, &device, &section, OTHER);
    let once = json!({ "id": OTHER }).to_string();
    let told = evc.operator("POST", "/devices/edge-1/identity", &once, Some(&evc.token)).problem();
    assert_eq!(told.code, Code::NotConfirmed);
    assert_eq!(device.uuid(&evc), Some(id), "nothing was changed");
    assert_eq!(identify(&evc, "edge-1", OTHER).status, 200, "the twin");
    assert_eq!(device.uuid(&evc), Some(OTHER));
}

/// Evidence of its present session.
fn quoted(evc: &Evc, device: &mut Device, tpm: &FakeTpm) {
    let nonce = device.challenged(evc);
    let evidence = AttestRequest::Quote(Box::new(quote(device, tpm, nonce, &pcrs(1))));
    assert!(matches!(device.attest(evc, &evidence), AttestResponse::Quote(_)));
}

/// Invariant 4: all that is kept of a device goes over with it, under seals of its new identity; nothing that was being removed ends; and no row is left
/// of what it was. AC-2: its TPM is the one that is pinned, and its boot the one that was approved.
#[test]
fn all_that_is_kept_of_a_device_goes_over_with_it() {
    let evc = Evc::start();
    let (mut device, tpm) = named_with_tpm(&evc, "edge-1");
    let both = POLICY.replace("controller", "tpm+controller");
    evc.apply(&(both + VAULT + &VAULT.replace("name: day", "name: old")));
    quoted(&evc, &mut device, &tpm);
    let learned = evc.act("GET", "/references?device=edge-1", "")[0]["id"].clone();
    evc.act("POST", &format!("/references/{learned}/approve"), "");
    let section = device.section(&evc);
    let keys = device.keys(&section, "day").expect("keys");
    assert_eq!(upload(&evc, &device, sealed(&evc, &device, 1, BYTES)), StoreKeysCode::Success);
    tells(&evc, &device, &section, device.id);
    evc.act("POST", "/devices/edge-1/vaults/day/rotate", "");
    evc.act("DELETE", "/devices/edge-1/vaults/old", "");
    let was = device.id;
    tells(&evc, &device, &section, OTHER);
    let told = identify(&evc, "edge-1", OTHER);
    let said = String::from_utf8(told.body).expect("text");
    assert!(told.status == 200 && said.contains("retained, where a grace ran: `old`"), "{said}");
    for table in tables_of_devices(evc.dir.path()) {
        let left = format!("{table} WHERE device = x'{}'", hex::encode(was.0.as_bytes()));
        assert_eq!(count(evc.dir.path(), &left), 0, "{table}");
    }
    assert_eq!(count(evc.dir.path(), "pragma_foreign_key_check"), 0);
    device.id = OTHER;
    assert!(device.poll(&evc).is_none_or(|answer| common::section(&answer).is_none()), "nothing is released");
    let evc = begun_anew(evc);
    (device.session, device.hash, device.rescue) = (new_session(), String::new(), Some(Generation(1)));
    quoted(&evc, &mut device, &tpm);
    let answer = device.poll(&evc).expect("an answer");
    let section = common::section(&answer).expect("its boot is approved");
    let (current, last) = device.keys(&section, "day").expect("keys");
    assert_eq!(
        (last, current == last),
        (keys.0, false),
        "those that it had, with the one that was made since"
    );
    let old = section.vaults.iter().find(|entry| entry.name.as_str() == "old").expect("listed");
    assert_eq!(old.standing, vault::section::Presence::Retained);
    assert!(section.removed.is_empty());
    let given = answer.control.expect("control").rescue.expect("its bundle");
    assert_eq!(open_down(&device.session, OTHER, &given).expect("for this session").as_slice(), BYTES);
}

/// AC-2: what is sealed for an identity is nobody's to have, also where the row of its device is gone: vaults, or bundles alone.
#[test]
fn an_identity_of_which_rows_are_left_is_taken() {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    evc.apply(POLICY);
    let mut other = Device::onboarded(&evc, "edge-2");
    evc.apply(&VAULT.replace("edge-1", "edge-2"));
    other.attested(&evc);
    assert_eq!(upload(&evc, &other, sealed(&evc, &other, 1, BYTES)), StoreKeysCode::Success);
    let section = device.attested(&evc);
    tells(&evc, &device, &section, other.id);
    let of_it = format!("device = x'{}'", hex::encode(other.id.0.as_bytes()));
    common::sql(evc.dir.path(), &["DELETE FROM devices WHERE name = 'edge-2'"]);
    for (left, goes) in [("vaults and bundles", "vaults"), ("bundles", "bundles")] {
        assert_eq!(refused(&evc, "edge-1", other.id), Code::IdentityTaken, "{left} are left");
        common::sql(evc.dir.path(), &[&format!("DELETE FROM {goes} WHERE {of_it}")]);
    }
    for table in tables_of_devices(evc.dir.path()) {
        common::sql(evc.dir.path(), &[&format!("DELETE FROM {table} WHERE {of_it}")]);
    }
    assert_eq!(identify(&evc, "edge-1", other.id).status, 200, "the twin");
}

/// UC-C: an identity that another project's device has, or had, is taken too; what that is called there is not told.
#[test]
fn an_identity_of_another_project_is_taken_and_not_named() {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    evc.apply(&(POLICY.to_owned() + VAULT));
    let [other, gone] = ["edge-2", "edge-3"].map(|name| Device::onboarded(&evc, name).id);
    evc.apply(&VAULT.replace("edge-1", "edge-3"));
    evc.act("DELETE", "/devices/edge-3?force=true&confirm=edge-3", "");
    let elsewhere = ["devices", "deleted_devices"].map(|table| {
        format!(
            "UPDATE {table} SET project = 'elsewhere', name = 'secret' WHERE name IN ('edge-2', 'edge-3')"
        )
    });
    common::sql(evc.dir.path(), &[&elsewhere[0], &elsewhere[1]]);
    let section = device.attested(&evc);
    for taken in [other, gone] {
        tells(&evc, &device, &section, taken);
        let problem = identify(&evc, "edge-1", taken).problem();
        assert_eq!(problem.code, Code::IdentityTaken, "{problem:?}");
        assert!(!format!("{problem:?}").contains("secret"), "{problem:?}");
    }
}

/// Decision 90: a database that was put back asks for no evidence, and the node's word counts by evidence alone. Who waits for that waits for ever: it
/// is said what comes first.
#[test]
fn of_a_database_that_is_held_back_it_is_said_what_comes_before() {
    let evc = common::copies::held_back(Evc::start());
    let device = Device::onboarded(&evc, "edge-1");
    let told = identify(&evc, "edge-1", OTHER).problem();
    assert_eq!(told.code, Code::EvidenceAbsent);
    assert!(told.advice.contains("evc put-back --checked"), "{}", told.advice);
    let folder = evc.stop();
    checked(folder.path());
    let told = identify(&Evc::over(folder), "edge-1", OTHER).problem();
    assert!(told.advice.contains("wait for its next report"), "the twin: {}", told.advice);
    drop(device);
}

const DAMAGE: [&str; 3] = [
    "UPDATE epochs SET sealed = zeroblob(length(sealed))",
    "UPDATE epochs SET made_at = -1",
    "UPDATE epochs SET project = NULL, sealed = zeroblob(length(sealed))",
];

/// Of a vault at its third epoch the key of one does not open; then its device is let in as another one.
fn with_a_damaged_key(damage: &str, epoch: u64) -> (Evc, DeviceId, common::Answer) {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    evc.apply(&(POLICY.to_owned() + VAULT + &VAULT.replace("name: day", "name: good")));
    let again = r#"{"force":true,"confirm":"day"}"#;
    (0..2).for_each(|_| drop(evc.act("POST", "/devices/edge-1/vaults/day/rotate", again)));
    let section = device.attested(&evc);
    tells(&evc, &device, &section, OTHER);
    let of_day = "vault = (SELECT id FROM vaults WHERE name = 'day')";
    common::sql(evc.dir.path(), &[&format!("{damage} WHERE epoch = {epoch} AND {of_day}")]);
    let keys = count(evc.dir.path(), "epochs");
    let told = identify(&evc, "edge-1", OTHER);
    assert_eq!(count(evc.dir.path(), "epochs"), keys, "none is dropped");
    (evc, section.device, told)
}

/// A key whose epoch is over goes out to no node: that it is damaged keeps nothing back, and it is named. One that its node may need is refused, by
/// the name of its vault and with what to do.
#[test]
fn a_damaged_key_keeps_back_no_more_than_what_needs_it() {
    for damage in DAMAGE {
        let (_evc, was, told) = with_a_damaged_key(damage, 1);
        let said = String::from_utf8(told.body).expect("text");
        assert_eq!(told.status, 200, "{damage}: {said}");
        assert!(said.contains("damaged rows of keys went over as they are"), "{damage}: {said}");
        assert_eq!(said.matches(&was.to_string()).count(), 2, "whose it was, and which row: {said}");
    }
    for (damage, epoch) in [(DAMAGE[0], 2), (DAMAGE[0], 3), (DAMAGE[2], 3)] {
        let (evc, _, told) = with_a_damaged_key(damage, epoch);
        let problem = told.problem();
        assert_eq!(problem.code, Code::KeysUnusable, "{damage} {epoch}");
        let words = format!("{} {}", problem.error, problem.advice);
        assert!(words.contains("`day`") && words.contains("evc delete vault day"), "{words}");
        evc.act("DELETE", "/devices/edge-1/vaults/day?delete_after=0&confirm=day", "");
        assert_eq!(identify(&evc, "edge-1", OTHER).status, 200, "given up, it holds nothing up");
    }
}

/// Tables with rows of devices that are there.
fn tables_of_devices(data: &Path) -> Vec<String> {
    let file = rusqlite::Connection::open(data.join("evc.db")).expect("opened");
    let find = "SELECT m.name FROM sqlite_schema m JOIN pragma_table_info(m.name) c
                WHERE m.type = 'table' AND c.name = 'device' AND m.name NOT LIKE 'deleted%'";
    let mut all = file.prepare(find).expect("asked");
    let all: Vec<String> =
        all.query_map((), |row| row.get(0)).expect("listed").map(|name| name.expect("a name")).collect();
    assert!(all.len() >= 12, "{all:?}");
    all
}
