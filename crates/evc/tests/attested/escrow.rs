//! Bundles in escrow (KO-1, invariants 2 and 4): kept sealed, named to who does not know, and given back to an approved boot alone.

use std::collections::BTreeMap;

use evc::api::Code;
use evc::store::{Alarm, Scope};
use serde_json::json;
use vault::cause::Cause;
use vault::escrow::{Bundle, BundleId};
use vault::ids::{CONFIG_VAULT, Generation, IMAGE_VAULT, VaultId};
use vault::report::State;
use vault::roots::TpmRoot;
use vault::secret::{RootSecret, TpmShare};
use vault::shares::{Mark, Nonce, Table};
use wire::attest::StoreKeys;
use wire::control::Control;
use wire::escrow::{SealedBundle, open_down};

use super::*;
use common::escrowed::{BYTES, id_of, sealed, upload};

/// What stands beside the answer to a poll; nothing for 304.
pub(super) fn told(evc: &Evc, device: &mut Device) -> Option<Control> {
    device.poll(evc)?.control
}

/// What is in escrow is named once to a session, and an unchanged poll stays one; a restart of the controller has lost nothing; at rest it is
/// sealed; an older one stays beside the newer.
#[test]
fn a_bundle_is_kept_sealed_and_named_until_the_node_knows() {
    let evc = Evc::start();
    let (mut device, tpm) = with_tpm(&evc);
    evc.apply("kind: VaultPolicy\nname: p\ncustody: tpm+controller\n---\nkind: Vault\nname: logs\ndevice: edge-1\npolicy: p\n");
    round(&evc, &mut device, &tpm, &pcrs(1)).expect("a section");
    while device.poll(&evc).is_some() {}
    assert_eq!(upload(&evc, &device, sealed(&evc, &device, 1, BYTES)), StoreKeysCode::Success);
    for _ in 0..2 {
        let control = told(&evc, &mut device).expect("it is named until the node says that it knows");
        assert_eq!(control.held_bundle, Some(id_of(1, BYTES)));
        assert_eq!((control.challenge, control.rescue), (None, None));
    }
    device.held = Some(id_of(1, BYTES));
    assert!(told(&evc, &mut device).is_none(), "it knows");
    assert!(told(&evc, &mut device).is_none(), "and nothing is asked of the store for that");
    assert_eq!(upload(&evc, &device, sealed(&evc, &device, 2, b"the next")), StoreKeysCode::Success);
    let evc = evc.restart();
    let control = told(&evc, &mut device).expect("the very next poll is told of a newer one");
    assert_eq!(control.held_bundle, Some(id_of(2, b"the next")));
    let files =
        ["evc.db", "evc.db-wal"].map(|name| std::fs::read(evc.dir.path().join(name)).unwrap_or_default());
    assert!(!files.concat().windows(BYTES.len()).any(|part| part == BYTES), "sealed at rest");
}

/// Invariant 6: what does not open, or is another than it says, is not kept and not acknowledged; what was kept stays.
#[test]
fn a_bundle_that_does_not_open_is_not_kept() {
    let evc = Evc::start();
    let (mut device, tpm) = with_tpm(&evc);
    let other = Device::onboarded(&evc, "edge-2");
    assert_eq!(upload(&evc, &device, sealed(&evc, &device, 1, BYTES)), StoreKeysCode::Success);
    let good = sealed(&evc, &device, 2, b"another");
    let mut damaged = good.clone();
    damaged.ciphertext[0] ^= 1;
    let renamed = SealedBundle { id: id_of(3, b"another"), ..good.clone() };
    for (what, bundle) in [
        ("damaged", damaged),
        ("under another name", renamed),
        ("another device's", sealed(&evc, &other, 2, b"another")),
    ] {
        assert_eq!(upload(&evc, &device, bundle), StoreKeysCode::Invalid, "{what}");
    }
    round(&evc, &mut device, &tpm, &pcrs(1));
    assert_eq!(told(&evc, &mut device).expect("named").held_bundle, Some(id_of(1, BYTES)));
}

/// Threats, Controller: whoever ends TLS records what a node sends. A bundle that he sends again never takes a newer one's place: not one of
/// the same session, nor of an earlier one, nor of one that gave no evidence. One whose acknowledgement was lost is acknowledged again.
#[test]
fn a_bundle_that_is_sent_again_takes_no_newer_ones_place() {
    let evc = Evc::start();
    let (mut device, tpm) = with_tpm(&evc);
    let of_silent = sealed(&evc, &device, 1, b"of a session without evidence");
    device.session = new_session();
    round(&evc, &mut device, &tpm, &pcrs(1));
    let of_before = sealed(&evc, &device, 1, b"of the session before");
    assert_eq!(upload(&evc, &device, of_before.clone()), StoreKeysCode::Success);
    device.session = new_session();
    round(&evc, &mut device, &tpm, &pcrs(1));
    let first = sealed(&evc, &device, 1, b"of before a rotation");
    let second = sealed(&evc, &device, 1, b"of after it");
    for bundle in [&first, &second, &second] {
        assert_eq!(upload(&evc, &device, bundle.clone()), StoreKeysCode::Success);
    }
    for old in [of_silent, of_before, first] {
        let id = old.id;
        assert_eq!(upload(&evc, &device, old), StoreKeysCode::Invalid, "{id}");
    }
    let control = told(&evc, &mut device).expect("it is named");
    assert_eq!(control.held_bundle, Some(second.id));
}

/// Invariant 4: a bundle in escrow is a key of its device's, and nobody throws it away unasked.
#[test]
fn a_device_with_a_bundle_is_deleted_by_force_alone() {
    let evc = Evc::start();
    let (device, _) = with_tpm(&evc);
    assert_eq!(upload(&evc, &device, sealed(&evc, &device, 1, BYTES)), StoreKeysCode::Success);
    let refused = evc.operator("DELETE", "/devices/edge-1", "", Some(&evc.token));
    assert_eq!(refused.problem().code, Code::DeviceHasBundle);
    assert!(refused.problem().error.contains("has a bundle in escrow"), "{:?}", refused.problem());
    assert_eq!(evc.act("GET", "/devices", "").as_array().expect("devices").len(), 1, "it is there");
    evc.act("DELETE", "/devices/edge-1?force=true&confirm=edge-1", "");
}

/// Invariant 4: what may come back from escrow is not made anew unasked, a default vault neither: with a new share table all that hangs on the lost
/// one would be given up. An operator who gives it up says so.
#[test]
fn a_vault_that_a_bundle_may_bring_back_is_made_anew_by_insistence_alone() {
    let evc = Evc::start();
    let (mut device, tpm) = with_tpm(&evc);
    let vault = |name: &str| format!("---\nkind: Vault\nname: {name}\ndevice: edge-1\npolicy: p\n");
    let policy = "kind: VaultPolicy\nname: p\ncustody: tpm+controller\n".to_owned();
    evc.apply(&(policy + &vault("logs") + &vault("image") + &vault("till")));
    let section = round(&evc, &mut device, &tpm, &pcrs(1)).expect("a section");
    let missing = |name: &str| if name == "till" { State::Unlocked } else { State::Missing };
    assert_eq!(evc.post(&device.own("info"), &device.reported(&section, 1, missing)).status, 201);
    assert_eq!(upload(&evc, &device, sealed(&evc, &device, 1, BYTES)), StoreKeysCode::Success);
    for vault in ["logs", "image"] {
        let path = format!("/devices/edge-1/vaults/{vault}/recreate?confirm={vault}");
        let refused = evc.operator("POST", &path, "", Some(&evc.token));
        assert_eq!(refused.problem().code, Code::DeviceHasBundle);
        let words = format!("{:?}", refused.problem());
        assert!(words.contains("in escrow") && words.contains("evc reference approve"), "{words}");
        assert!(words.contains("--despite-escrow"), "{words}");
        let ordered = || {
            let shown = evc.act("GET", "/devices/edge-1", "");
            let rows = shown["vaults"].as_array().expect("a list");
            rows.iter().find(|row| row["name"] == vault).expect("there")["recreate"] == true
        };
        assert!(!ordered(), "{vault}");
        evc.act("POST", &(path + "&despite_escrow=true"), "");
        assert!(ordered(), "{vault}");
    }
}

/// TH-5 and the escrow: a boot that nobody approved, a session without evidence and a lost device get nothing back, with a reason; an approved
/// boot gets the bundle of the generation that it asks for, sealed to its session.
#[test]
fn the_bundle_goes_back_to_an_approved_boot_alone() {
    let evc = Evc::start();
    let (mut device, tpm) = with_tpm(&evc);
    assert_eq!(upload(&evc, &device, sealed(&evc, &device, 1, BYTES)), StoreKeysCode::Success);
    assert_eq!(upload(&evc, &device, sealed(&evc, &device, 2, b"the next")), StoreKeysCode::Success);
    device.rescue = Some(Generation(1));
    let control = told(&evc, &mut device).expect("an answer");
    assert_eq!((control.rescue, control.no_rescue), (None, Some(Cause::EvidenceWanted)), "no evidence");
    round(&evc, &mut device, &tpm, &pcrs(2));
    let refused = told(&evc, &mut device).expect("an answer");
    assert_eq!(refused.rescue, None, "evidence of a boot that nobody approved");
    assert_eq!(refused.no_rescue, Some(Cause::Pcrs));
    evc.act("POST", "/references/1/approve", "");
    let granted = told(&evc, &mut device).expect("an answer").rescue.expect("approved");
    let opened = open_down(&device.session, device.id, &granted).expect("for this session");
    assert_eq!(
        (opened.as_slice(), granted.id),
        (BYTES, id_of(1, BYTES)),
        "of the generation that was asked for"
    );
    assert!(open_down(&new_session(), device.id, &granted).is_err(), "and for no other");
    device.rescue = Some(Generation(9));
    assert_eq!(told(&evc, &mut device).expect("an answer").no_rescue, Some(Cause::NoBundle));
    device.rescue = Some(Generation(1));
    evc.act("POST", "/devices/edge-1/lost", "");
    let lost = told(&evc, &mut device).expect("an answer");
    assert_eq!((lost.rescue, lost.no_rescue), (None, Some(Cause::DeviceLost)));
    evc.act("DELETE", "/devices/edge-1/lost", "");
    assert!(told(&evc, &mut device).expect("an answer").rescue.is_some());
    evc.act("POST", "/references/1/reject", "");
    assert_eq!(told(&evc, &mut device).expect("an answer").rescue, None, "an operator's word holds at once");
    device.session = new_session();
    assert_eq!(told(&evc, &mut device).expect("an answer").rescue, None, "a session without evidence");
}

/// Invariant 4: a bundle as long as one may be is taken, whatever else of a device's is short.
#[test]
fn the_longest_bundle_is_taken() {
    let evc = Evc::start();
    let (device, _) = with_tpm(&evc);
    let longest = vec![7; vault::escrow::MAX_BUNDLE_BYTES];
    assert_eq!(upload(&evc, &device, sealed(&evc, &device, 1, &longest)), StoreKeysCode::Success);
}

/// Invariant 4: operators see what is in escrow, since when, and why it would not go back; by no command is the newest forgotten.
#[test]
fn what_is_in_escrow_is_shown_and_the_newest_stays() {
    let evc = Evc::start();
    let (mut device, tpm) = with_tpm(&evc);
    let shown = || evc.act("GET", "/devices/edge-1", "")["device"]["escrow"].clone();
    assert!(shown().is_null());
    assert_eq!(evc.act("GET", "/devices/edge-1/escrow", ""), serde_json::json!([]));
    for (generation, bytes) in [(1, BYTES), (2, b"the next".as_slice())] {
        assert_eq!(upload(&evc, &device, sealed(&evc, &device, generation, bytes)), StoreKeysCode::Success);
    }
    assert_eq!(shown()["generation"], 2);
    assert_eq!(shown()["digest"], hex::encode(id_of(2, b"the next").digest));
    round(&evc, &mut device, &tpm, &pcrs(1));
    let withheld = shown()["given_back"].as_str().expect("words").to_owned();
    assert!(
        withheld.contains("withheld: pcrs") && withheld.contains("evc reference learn edge-1"),
        "{withheld}"
    );
    evc.act("POST", "/references/1/approve", "");
    let granted = shown()["given_back"].as_str().expect("words").to_owned();
    assert!(granted.contains(&hex::encode(&device.session.session_key().0[..4])), "{granted}");
    let listed = evc.act("GET", "/devices/edge-1/escrow", "");
    let told = |at: usize| (listed[at]["generation"].as_u64(), listed[at]["newest"].as_bool());
    assert_eq!((told(0), told(1)), ((Some(2), Some(true)), (Some(1), Some(false))));
    let code = |generation: u32| {
        let path = format!("/devices/edge-1/escrow/{generation}?confirm=edge-1");
        evc.operator("DELETE", &path, "", Some(&evc.token)).problem().code
    };
    assert_eq!(code(2), Code::BundleInForce);
    evc.act("DELETE", "/devices/edge-1/escrow/1?confirm=edge-1", "");
    assert_eq!(code(1), Code::BundleUnknown);
    device.rescue = Some(Generation(2));
    assert!(told_of_rescue(&evc, &mut device), "the newest is there as before");
}

/// Invariant 4: a bundle of a generation that its node says is over is told as such, and is not chosen to be given back; of the one in force it is.
#[test]
fn a_bundle_of_a_generation_that_is_over_is_told_and_not_offered() {
    let evc = Evc::start();
    let (mut device, tpm) = with_tpm(&evc);
    for (generation, bytes) in [(1, BYTES), (2, b"the next".as_slice())] {
        assert_eq!(upload(&evc, &device, sealed(&evc, &device, generation, bytes)), StoreKeysCode::Success);
    }
    evc.apply(
        "kind: VaultPolicy\nname: p\ncustody: tpm+controller\n---\nkind: Vault\nname: logs\ndevice: edge-1\npolicy: p\n",
    );
    let section = round(&evc, &mut device, &tpm, &pcrs(1)).expect("a section");
    let offer = |id: BundleId| {
        let path = format!("/devices/edge-1/escrow/bundle/{}/offer", hex::encode(id.digest));
        evc.operator("POST", &path, "", Some(&evc.token))
    };
    let over = || {
        let listed = evc.act("GET", "/devices/edge-1/escrow", "");
        [0, 1].map(|at: usize| listed[at].get("over").and_then(serde_json::Value::as_u64))
    };
    device.report(&evc, &section, 1);
    assert_eq!(
        (over(), offer(id_of(1, BYTES)).status),
        ([None, None], 200),
        "the next one's is not in force yet"
    );
    device.generation = Some(Generation(2));
    device.report(&evc, &section, 1);
    assert_eq!(over(), [None, Some(2)]);
    let problem = offer(id_of(1, BYTES)).problem();
    assert_eq!(problem.code, Code::BundleOver);
    let words = format!("{problem:?}");
    assert!(words.contains("generation 2") && words.contains("eve vault recover"), "{words}");
    assert_eq!(offer(id_of(2, b"the next")).status, 200);
}

fn told_of_rescue(evc: &Evc, device: &mut Device) -> bool {
    told(evc, device).is_some_and(|control| control.rescue.is_some())
}

/// Seen-by-users 1.6: a made vault that the next update would close stands in the lists with that, until its node's bundle is there.
#[test]
fn a_sealed_vault_without_a_bundle_calls_for_somebody() {
    let evc = Evc::start();
    let (mut device, tpm) = with_tpm(&evc);
    evc.apply(
        "kind: VaultPolicy\nname: p\ncustody: tpm+controller\nseal: pcrs\n---\nkind: Vault\nname: logs\ndevice: edge-1\npolicy: p\n",
    );
    let section = round(&evc, &mut device, &tpm, &pcrs(1)).expect("a section");
    let notes = || evc.act("GET", "/vaults", "")[0]["notes"].to_string();
    assert_eq!(notes(), "[]", "nothing is lost with a vault that was not made");
    device.report(&evc, &section, 1);
    assert!(notes().contains("not in escrow"), "{}", notes());
    assert_eq!(upload(&evc, &device, sealed(&evc, &device, 1, BYTES)), StoreKeysCode::Success);
    assert_eq!(notes(), "[]");
}

/// As a node makes one: with the shares of these vaults, and `lost` entered as lost with a table of before.
fn of_table(edition: u64, shares: &[VaultId], lost: &[VaultId]) -> Vec<u8> {
    let root = TpmRoot(RootSecret::copied_from(&[1; 32]));
    let mut table = Table::new(Generation(1));
    table.follow(edition);
    for (id, nonce) in shares.iter().zip(1..) {
        let share = TpmShare::copied_from(&[2; 32]);
        table.add(*id, Mark::Made, &root.vsk(), &share, Nonce([nonce; 12])).expect("added");
    }
    lost.iter().for_each(|id| table.add_lost(*id).expect("entered"));
    let (device, bytes) = (vault::ids::DeviceKey([3; 32]), table.encode(&root.table_key()));
    Bundle::new(&root.escrow_key(), None, (device, Generation(1)), bytes, BTreeMap::new()).encode()
}

/// Invariant 4: a share table that was begun anew makes bundles without the shares of before. However many come, the last that has them stays; it is
/// named, can be chosen to be given back, and goes by an operator's own word for it alone.
#[test]
fn the_last_bundle_that_has_a_vault_stays_and_can_be_given_back() {
    let evc = Evc::start();
    let (mut device, tpm) = with_tpm(&evc);
    round(&evc, &mut device, &tpm, &pcrs(1));
    evc.act("POST", "/references/1/approve", "");
    let put = |edition, shares: &[VaultId], lost: &[VaultId]| {
        let bytes = of_table(edition, shares, lost);
        assert_eq!(upload(&evc, &device, sealed(&evc, &device, 1, &bytes)), StoreKeysCode::Success);
        id_of(1, &bytes)
    };
    let good = put(1, &[CONFIG_VAULT, IMAGE_VAULT], &[]);
    let later: Vec<_> = (2..30).map(|edition| put(edition, &[CONFIG_VAULT], &[IMAGE_VAULT])).collect();
    let newest = *later.last().expect("some");
    let listed = evc.act("GET", "/devices/edge-1/escrow", "");
    let listed = listed.as_array().expect("a list");
    let last = listed.last().expect("some");
    assert_eq!(last["digest"], hex::encode(good.digest), "it is there, and {} newer ones", listed.len() - 1);
    assert_eq!((&last["last_of"], &last["vaults"]), (&json!(["image"]), &json!(["config", "image"])));
    assert_eq!(listed[0]["vaults"], json!(["config"]));
    let described = evc.act("GET", "/devices/edge-1", "");
    assert_eq!(described["device"]["escrow"]["older_alone"], json!(["image"]));
    device.rescue = Some(Generation(1));
    let mut given = |evc: &Evc| told(evc, &mut device).expect("an answer").rescue.expect("given").id;
    assert_eq!(given(&evc), newest);
    let good_by = format!("/devices/edge-1/escrow/bundle/{}", hex::encode(&good.digest[..4]));
    let done = evc.act("POST", &format!("{good_by}/offer"), "");
    assert!(done["done"].as_str().expect("words").contains("is given bundle"), "{done}");
    assert_eq!(given(&evc), good, "the one that was chosen");
    evc.act("DELETE", "/devices/edge-1/escrow/offer", "");
    assert_eq!(given(&evc), newest);
    evc.act("POST", &format!("{good_by}/offer"), "");
    let whole = of_table(40, &[CONFIG_VAULT, IMAGE_VAULT], &[]);
    assert_eq!(upload(&evc, &device, sealed(&evc, &device, 1, &whole)), StoreKeysCode::Success);
    let mut given = |evc: &Evc| told(evc, &mut device).expect("an answer").rescue.expect("given").id;
    assert_eq!(given(&evc), id_of(1, &whole), "one has all that it has: what was chosen holds no longer");
    let whole = of_table(41, &[CONFIG_VAULT, IMAGE_VAULT], &[]);
    assert_eq!(upload(&evc, &device, sealed(&evc, &device, 1, &whole)), StoreKeysCode::Success);
    let listed = evc.act("GET", "/devices/edge-1/escrow", "");
    assert!(!listed.to_string().contains(&hex::encode(good.digest)), "and nothing hangs on it any more");
}

/// By an operator's word for a generation what alone has something of a vault stays; by his word for it, it goes. The newest stays whatever he says.
#[test]
fn what_alone_has_something_of_a_vault_goes_by_its_name_alone() {
    let evc = Evc::start();
    let (device, _) = with_tpm(&evc);
    let (good, anew) = (of_table(1, &[IMAGE_VAULT], &[]), of_table(2, &[], &[IMAGE_VAULT]));
    for (generation, bytes) in [(1, &good), (2, &anew)] {
        assert_eq!(upload(&evc, &device, sealed(&evc, &device, generation, bytes)), StoreKeysCode::Success);
    }
    let done = evc.act("DELETE", "/devices/edge-1/escrow/1?confirm=edge-1", "");
    assert!(done["done"].as_str().expect("words").starts_with("0 bundles"), "{done}");
    assert!(done.to_string().contains("they alone have something of a vault"), "{done}");
    let path = |id: BundleId, letters: usize| {
        format!("/devices/edge-1/escrow/bundle/{}?confirm=edge-1", &hex::encode(id.digest)[..letters])
    };
    let (good, anew) = (id_of(1, &good), id_of(2, &anew));
    let refused = |path: &str| evc.operator("DELETE", path, "", Some(&evc.token)).problem().code;
    assert_eq!(refused(&path(good, 7)), Code::BundleUnknown, "too short to be meant");
    assert_eq!(refused(&path(anew, 64)), Code::BundleInForce);
    evc.act("DELETE", &path(good, 8), "");
    assert_eq!(evc.act("GET", "/devices/edge-1/escrow", "").as_array().expect("a list").len(), 1);
}

/// Bundles of a build before this one have nothing noted of what they have: they are opened to tell, and the last that has a vault stays.
#[test]
fn what_a_bundle_of_before_has_is_told_by_opening_it() {
    let evc = Evc::start();
    let (device, _) = with_tpm(&evc);
    let good = of_table(1, &[IMAGE_VAULT], &[]);
    assert_eq!(upload(&evc, &device, sealed(&evc, &device, 1, &good)), StoreKeysCode::Success);
    let file = rusqlite::Connection::open(evc.dir.path().join("evc.db")).expect("opened");
    file.execute("UPDATE bundles SET has = NULL, received_at = 1", ()).expect("as before");
    let last = || evc.act("GET", "/devices/edge-1/escrow", "")[0]["vaults"].clone();
    assert_eq!(last(), json!(["image"]));
    for edition in 2..9 {
        let bytes = of_table(edition, &[], &[IMAGE_VAULT]);
        assert_eq!(upload(&evc, &device, sealed(&evc, &device, 1, &bytes)), StoreKeysCode::Success);
    }
    let listed = evc.act("GET", "/devices/edge-1/escrow", "");
    assert!(listed.to_string().contains(&hex::encode(id_of(1, &good).digest)), "{listed}");
}

/// Threats, lost device: whoever has a device that is lost, or its copy, sends bundles as it does. None takes the place of one that is there, nor
/// pushes one out; he is told why, and the device in good hands again is heard as before.
#[test]
fn a_device_that_is_lost_or_may_be_two_puts_nothing_in_escrow() {
    let evc = Evc::start();
    let (device, _) = with_tpm(&evc);
    assert_eq!(upload(&evc, &device, sealed(&evc, &device, 1, BYTES)), StoreKeysCode::Success);
    let good = evc.act("GET", "/devices/edge-1/escrow", "");
    let alarm = |alarm: Alarm| {
        let set = evc.wait(
            evc.app
                .store
                .write(Scope::Device(device.id), |tx| Box::pin(tx.set_alarm(device.id, Some(&alarm)))),
        );
        set.expect("written");
    };
    let refused = |what: &str| {
        for n in 0..40 {
            let sent = sealed(&evc, &device, 1, format!("of whoever has it, {n}").as_bytes());
            let keys = StoreKeys { integrity_token: vec![], keys: vec![], bundle: Some(sent) };
            let body = AttestRequest::StoreKeys(keys).encode();
            let answer = evc.post(&device.own("attest"), &device.seal(&body));
            assert_eq!(answer.problem().code, Code::EscrowBarred, "{what}");
        }
        assert_eq!(evc.act("GET", "/devices/edge-1/escrow", ""), good, "{what}");
    };
    evc.act("POST", "/devices/edge-1/lost", "");
    refused("lost");
    evc.act("DELETE", "/devices/edge-1/lost", "");
    alarm(Alarm::Told("it may be two".into()));
    refused("an alarm");
    evc.act("DELETE", "/devices/edge-1/alarm?confirm=edge-1", "");
    assert_eq!(upload(&evc, &device, sealed(&evc, &device, 1, b"its own")), StoreKeysCode::Success);
}

/// A vault that was erased holds no bundle in escrow, also once nothing remembers it: else each app that comes and goes would take the place of one.
#[test]
fn a_vault_that_was_erased_keeps_no_bundle() {
    let evc = Evc::start();
    let (mut device, tpm) = with_tpm(&evc);
    evc.apply("kind: VaultPolicy\nname: p\ncustody: tpm\non_removal: { delete_after: 0s }\n---\nkind: Vault\nname: app\ndevice: edge-1\npolicy: p\n");
    let section = round(&evc, &mut device, &tpm, &pcrs(1)).expect("a section");
    let id = section.vaults.iter().find(|vault| vault.name.as_str() == "app").expect("listed").id;
    device.report(&evc, &section, 1);
    for bytes in [of_table(1, &[id], &[]), of_table(2, &[], &[id])] {
        assert_eq!(upload(&evc, &device, sealed(&evc, &device, 1, &bytes)), StoreKeysCode::Success);
    }
    let last_of = || evc.act("GET", "/devices/edge-1/escrow", "")[1]["last_of"].clone();
    assert_eq!(last_of(), json!(["app"]));
    evc.act("DELETE", "/devices/edge-1/vaults/app?confirm=app", "");
    let after = device.section(&evc);
    device.report(&evc, &after, 1);
    let rows = evc.act("GET", "/vaults?device=edge-1", "").to_string();
    assert!(!rows.contains("\"app\""), "forgotten: {rows}");
    let last = last_of();
    assert!(last.is_null() || last == json!([]), "{last}");
}

/// KO-1, invariant 4: that a node's newest bundle has no room is what an operator sees first, with what to do, and until one is taken again.
#[test]
fn an_escrow_without_room_is_shown_until_there_is_some() {
    let evc = Evc::start();
    let (device, _) = with_tpm(&evc);
    let bytes = |n: u64| of_table(n, &[VaultId(uuid::Uuid::from_u128(n.into()))], &[]);
    let put = |n: u64| upload(&evc, &device, sealed(&evc, &device, 1, &bytes(n)));
    let first_refused = (1..100).find(|n| put(*n) != StoreKeysCode::Success).expect("it is bounded");
    let listed = || evc.act("GET", "/devices", "")[0].clone();
    let shown = || evc.act("GET", "/devices/edge-1", "")["device"]["escrow"]["no_room"].clone();
    assert_eq!(listed()["condition_kind"], "escrow-full");
    assert!(
        listed()["condition"].as_str().expect("words").starts_with("escrow full: see `evc describe device`")
    );
    let said = shown().as_str().expect("words").to_owned();
    assert!(
        said.contains("evc escrow list edge-1") && said.contains("evc escrow delete edge-1 --bundle"),
        "{said}"
    );
    let glance = evc.act("GET", "/glance", "")["needs_somebody"].to_string();
    assert!(glance.contains("device edge-1: escrow full"), "{glance}");
    assert_eq!((put(first_refused), shown()), (StoreKeysCode::Invalid, json!(said)), "since the first");
    let one = hex::encode(id_of(1, &bytes(1)).digest);
    evc.act("DELETE", &format!("/devices/edge-1/escrow/bundle/{one}?confirm=edge-1"), "");
    assert_eq!(put(first_refused), StoreKeysCode::Success);
    assert_eq!((&listed()["condition_kind"], shown()), (&json!("online"), serde_json::Value::Null));
}
