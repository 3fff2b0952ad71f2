//! Planned updates (AC-5, TH-5): values are given and approved before a boot shows them, and what the boot will do is said before it.

use evc::api::Code;
use serde_json::{Value, json};
use vault::ids::Generation;

use super::common::escrowed::{id_of, sealed, upload, with_shares};
use super::*;

/// A device whose boot is approved.
fn approved(evc: &Evc) -> (Device, FakeTpm) {
    let (mut device, tpm) = with_tpm(evc);
    round(evc, &mut device, &tpm, &pcrs(1));
    evc.act("POST", "/references/1/approve", "");
    (device, tpm)
}

fn four(value: u8) -> Value {
    json!({ "pcrs": { "4": hex::encode([value; 32]) } })
}

/// A boot that was approved before any node showed it gets its keys at once; a boot beside it does not.
#[test]
fn values_are_given_and_approved_before_the_boot_that_shows_them() {
    let evc = Evc::start();
    let (mut device, tpm) = approved(&evc);
    evc.apply(STRICT);
    let added = evc.act("POST", "/devices/edge-1/references", &four(2).to_string());
    assert_eq!((added["id"].as_i64(), added["state"].as_str()), (Some(2), Some("pending")), "{added}");
    assert_eq!(added["differs"], "PCR 4 differs from 1");
    device.session = new_session();
    assert_eq!(round(&evc, &mut device, &tpm, &pcrs(2)), None, "given is not approved");
    evc.act("POST", "/references/2/approve", "");
    for (boot, good) in [(2, true), (3, false)] {
        device.session = new_session();
        assert_eq!(round(&evc, &mut device, &tpm, &pcrs(boot)).is_some(), good, "{boot}");
    }
    let listed = evc.act("GET", "/references?device=edge-1", "");
    assert_eq!(listed.as_array().map(Vec::len), Some(2));
}

/// Each value that no boot can show, or that is there already, is refused with its reason, and nothing is added.
#[test]
fn values_that_are_none_are_refused() {
    let evc = Evc::start();
    let (_device, _tpm) = approved(&evc);
    let _other = Device::onboarded(&evc, "edge-2");
    let long = hex::encode([2; 48]);
    for (device, body, code) in [
        ("edge-1", json!({ "pcrs": {} }), Code::RequestUnreadable),
        ("edge-1", json!({ "pcrs": { "5": hex::encode([2; 32]) } }), Code::RequestUnreadable),
        ("edge-1", json!({ "pcrs": { "200": hex::encode([2; 32]) } }), Code::RequestUnreadable),
        ("edge-1", json!({ "pcrs": { "4": "02" } }), Code::RequestUnreadable),
        ("edge-1", json!({ "pcrs": { "4": long } }), Code::RequestUnreadable),
        ("edge-1", four(1), Code::AlreadyThere),
        ("edge-1", json!({ "pcrs": { "4": hex::encode([2; 32]) }, "like": 9 }), Code::ReferenceUnknown),
        ("edge-2", json!({ "pcrs": { "4": hex::encode([2; 32]) }, "like": 1 }), Code::ReferenceUnknown),
        ("edge-2", four(2), Code::ReferenceUnlike),
        ("edge-9", four(2), Code::DeviceUnknown),
    ] {
        let path = format!("/devices/{device}/references");
        let answer = evc.operator("POST", &path, &body.to_string(), Some(&evc.token));
        assert_eq!(answer.problem().code, code, "{device} {body}");
    }
    assert_eq!(evc.act("GET", "/references", "").as_array().map(Vec::len), Some(1));
}

/// Before the reboot each vault's fate is told, with why and what to do; what is done about it is seen at once.
#[test]
fn what_an_update_will_do_is_told_before_it() {
    let evc = Evc::start();
    let (mut device, tpm) = approved(&evc);
    evc.apply(
        "kind: VaultPolicy\nname: asked\ncustody: tpm+controller\nattest: { require: [pcrs] }\n---\n\
         kind: VaultPolicy\nname: sealed\ncustody: tpm+controller\nseal: pcrs\n---\n\
         kind: Vault\nname: a\ndevice: edge-1\npolicy: asked\n---\n\
         kind: Vault\nname: s\ndevice: edge-1\npolicy: sealed\n",
    );
    let section = device.section(&evc);
    evc.act("POST", "/devices/edge-1/references", &four(2).to_string());
    let foreseen = |vault: &str| {
        let all = evc.act("GET", "/devices/edge-1/update?reference=2", "");
        let row = all.as_array().expect("a list").iter().find(|row| row["name"] == vault).cloned();
        let row = row.expect("the vault");
        (row["opens"].as_str().expect("text").to_owned(), row["advice"].to_string())
    };
    let is = |vault: &str, opens: &str, advice: &str| {
        let (told, words) = foreseen(vault);
        assert!(told == opens && words.contains(advice), "{vault}: {told}, {words}");
    };
    is("a", "no", "evc reference approve 2");
    is("s", "no", "evc reference approve 2");
    evc.act("POST", "/references/2/approve", "");
    is("a", "unknown", "evc describe device edge-1");
    is("s", "no", "evc escrow list edge-1");
    device.report(&evc, &section, 1);
    is("a", "yes", "null");
    let bytes = with_shares(1, &[common::id_in(&section, "s")], 1);
    let id = id_of(1, &bytes);
    for (other, then, opens, advice) in [
        (b"x".to_vec(), "", "unknown", "evc escrow drill edge-1"),
        (with_shares(1, &[vault::ids::IMAGE_VAULT], 1), "", "no", "sent a bundle that has it"),
        (bytes.clone(), "", "yes", "reach this controller"),
        (
            with_shares(1, &[], 9),
            "UPDATE bundles SET sealed = zeroblob(length(sealed))",
            "no",
            "evc escrow offer edge-1",
        ),
        (bytes.clone(), "", "yes", "reach this controller"),
    ] {
        assert_eq!(upload(&evc, &device, sealed(&evc, &device, 1, &other)), StoreKeysCode::Success);
        common::sql(evc.dir.path(), &[then]);
        is("s", opens, advice);
    }
    is("s", "yes", "reach this controller");
    for (generation, opens, advice) in
        [(2, "no", "bundle of the node's generation"), (0, "unknown", "report")]
    {
        device.generation = (generation != 0).then_some(Generation(generation));
        device.report(&evc, &section, 1);
        is("s", opens, advice);
    }
    device.generation = Some(Generation(1));
    device.report(&evc, &section, 1);
    is("s", "yes", "reach this controller");
    let mut drills = vault::escrow::drill::Drills::default();
    drills.fail(id, "the root".into(), evc::clock::now());
    for replaced in [false, true] {
        drills.last.as_mut().expect("made").replaced = replaced;
        evc.meddle(|tx| tx.put_drills(device.id, &drills));
        is("s", "unknown", "plan no update before one passes");
    }
    let none = vault::escrow::drill::Drills::default();
    evc.meddle(|tx| tx.put_drills(device.id, &none));
    is("s", "yes", "reach this controller");
    device.session = new_session();
    let after = round(&evc, &mut device, &tpm, &pcrs(2)).expect("and so it is");
    assert!(device.keys(&after, "a").is_some());
    let unknown = evc.operator("GET", "/devices/edge-1/update?reference=9", "", Some(&evc.token));
    assert_eq!(unknown.problem().code, Code::ReferenceUnknown);
}

/// Seen-by-users, KO-1: a node whose escrow stands still is named wherever somebody looks, and no update is promised on a bundle of a generation
/// that is over, or of another one of the same number.
#[test]
fn a_node_whose_escrow_stands_still_is_named_and_no_update_is_promised() {
    let evc = Evc::start();
    let (mut device, _tpm) = approved(&evc);
    evc.apply("kind: VaultPolicy\nname: sealed\ncustody: tpm+controller\nseal: pcrs\n---\nkind: Vault\nname: s\ndevice: edge-1\npolicy: sealed\n");
    let section = device.section(&evc);
    evc.act("POST", "/devices/edge-1/references", &four(2).to_string());
    evc.act("POST", "/references/2/approve", "");
    let shares = [common::id_in(&section, "s")];
    let bundle = sealed(&evc, &device, 2, &with_shares(2, &shares, 1));
    assert_eq!(upload(&evc, &device, bundle), StoreKeysCode::Success);
    let told = |device: &Device, detail: &[&str], holds: bool, generation: u32| {
        let mut info = device.info(&section, 1);
        info.node.as_mut().expect("ours").generation = Some(Generation(generation));
        for report in info.vaults.iter_mut().filter_map(|line| line.report.as_mut()) {
            report.detail = detail.iter().map(ToString::to_string).collect();
            report.holds_escrow_up = holds;
        }
        device.tell(&evc, &info);
        common::sql(evc.dir.path(), &["UPDATE vaults SET reported_at = reported_at - 700"]);
        evc.app.glances.count_anew();
        let glance = evc.act("GET", "/glance", "")["needs_somebody"].to_string();
        let update = evc.act("GET", "/devices/edge-1/update?reference=2", "")[0].clone();
        let notes = evc.act("GET", "/vaults", "")[0]["notes"].to_string();
        let condition = evc.act("GET", "/devices", "")[0]["condition_kind"].clone();
        (glance, update["opens"].clone(), notes, condition)
    };
    let (glance, opens, notes, condition) = told(&device, &[], false, 2);
    assert!(!glance.contains("escrow") && !notes.contains("escrow"), "{glance} {notes}");
    assert_eq!((opens, condition), (json!("yes"), json!("online")));
    let behind = ["not escrowed since its last change"];
    let (glance, opens, notes, _) = told(&device, &behind, false, 2);
    assert!(
        glance.contains("device edge-1: it says of vault s that what is in escrow is not what it has"),
        "{glance}"
    );
    assert!(notes.contains("what is in escrow is not what its node has"), "{notes}");
    assert_eq!(opens, "unknown", "the number is the same, and the roots may be others");
    let (glance, opens, ..) = told(&device, &[], true, 2);
    assert!(glance.contains("device edge-1: its escrow waits for vault s"), "{glance}");
    assert_eq!(opens, "unknown");
    let (glance, opens, notes, condition) = told(&device, &[], false, 3);
    assert!(glance.contains("device edge-1: no bundle in escrow of its TPM's present secrets"), "{glance}");
    assert!(notes.contains("what is in escrow is not what its node has"), "{notes}");
    assert_eq!((opens, condition), (json!("no"), json!("escrow-behind")));
    let described = evc.act("GET", "/devices/edge-1", "")["device"]["escrow"].clone();
    let given_back = described["given_back"].as_str().expect("said");
    assert!(given_back.contains("of generation 2") && given_back.contains("generation 3"), "{described}");
    // The TPM was set back, and brought forward again: the bundle that came last is of the past, and an older one is given back.
    for generation in [3, 2] {
        let bundle = sealed(&evc, &device, generation, &with_shares(generation, &shares, 2));
        assert_eq!(upload(&evc, &device, bundle), StoreKeysCode::Success);
    }
    let (glance, opens, notes, condition) = told(&device, &[], false, 3);
    assert!(!glance.contains("escrow") && !notes.contains("escrow"), "{glance} {notes}");
    assert_eq!((opens, condition), (json!("yes"), json!("online")));
    let described = evc.act("GET", "/devices/edge-1", "")["device"]["escrow"].clone();
    assert!(!described["given_back"].as_str().expect("said").contains("of no use"), "{described}");
    assert!(described["behind"].is_null(), "{described}");
}
