//! What becomes of a vault that is deleted: its grace, the way back, its end, and when it is forgotten.

mod common;

use std::process::Command;
use std::time::Duration;

use common::{Device, Evc, end_graces};
use evc::api::Code;
use evc::clock::now;
use vault::cause::Cause;
use vault::section::{Operation, Presence, Release, Section};
use wire::config::ConfigRequest;

const VAULT: &str = "kind: VaultPolicy\nname: p\ncustody: controller\non_removal: { delete_after: 10m }\n---\n\
                     kind: Vault\nname: payments\ndevice: edge-1\npolicy: p\n";

/// A device whose vault is made.
fn made() -> (Evc, Device, Section) {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    evc.apply(VAULT);
    let section = device.attested(&evc);
    device.report(&evc, &section, 1);
    (evc, device, section)
}

/// IF-5: a removed vault stays listed and locked until its grace ends; undone by apply; then it leaves the list and its keys are gone.
#[test]
fn removal_has_a_grace_an_undo_and_an_end() {
    let (evc, mut device, _) = made();
    let made = device.section(&evc);
    assert!(made.vaults.iter().all(|entry| entry.created), "created is learned from the report");
    evc.act("DELETE", "/devices/edge-1/vaults/payments", "");
    let removing = device.section(&evc);
    let entry =
        removing.vaults.iter().find(|entry| entry.name.as_str() == "payments").expect("listed in its grace");
    assert_eq!((entry.standing, entry.operation), (Presence::Removing, Operation::Lock));
    assert!(matches!(&entry.release, Release::Withheld { reason } if *reason == Cause::BeingRemoved));
    evc.apply(VAULT);
    let undone = device.section(&evc);
    assert!(device.keys(&undone, "payments").is_some(), "undone");
    evc.act("DELETE", "/devices/edge-1/vaults/payments", "");
    device.poll(&evc);
    // It began a moment ago: less than half a minute, however busy the machine is.
    assert_eq!(end_graces(&evc, now() + 570), 0);
    assert_eq!(end_graces(&evc, now() + 601), 1);
    let (id, current) = (entry.id, vault::ids::Epoch(1));
    let key = evc.stored(|tx| tx.epoch(device.id, id, current));
    assert_eq!(key, None, "its key is gone at the controller");
    let after = device.section(&evc);
    assert!(after.vaults.iter().all(|entry| entry.name.as_str() != "payments"), "left the list");
    assert!(after.version.version > removing.version.version);
    device.report(&evc, &after, 1);
    let left = evc.act("GET", "/vaults?device=edge-1", "");
    assert_eq!(
        left.as_array().expect("a list").len(),
        2,
        "forgotten when the node accepted the list without it"
    );
}

/// What `evc wait vault .. --for gone` ends with, and says.
fn gone(evc: &Evc, name: &str) -> (Option<i32>, String) {
    let mut wait = Command::new(env!("CARGO_BIN_EXE_evc"));
    wait.args(["wait", "vault", name, "--device", "edge-1", "--for", "gone", "--timeout", "100ms", "--data"]);
    let told = wait.arg(evc.dir.path()).args(["--url", &evc.url]).output().expect("ran");
    (told.status.code(), String::from_utf8_lossy(&[told.stdout, told.stderr].concat()).into_owned())
}

/// CC-1: only what was there is gone. A name that nobody ever told of is an error, at once: a word mistyped must not end a script as if its
/// vault were erased.
#[test]
fn a_vault_that_never_was_is_not_called_gone() {
    let (evc, mut device, section) = made();
    let id = section.vaults.iter().find(|entry| entry.name.as_str() == "payments").expect("listed").id;
    assert_eq!(gone(&evc, "payments").0, Some(5), "it is there");
    for mistyped in ["payment", "image2", &uuid::Uuid::new_v4().to_string()] {
        let (code, said) = gone(&evc, mistyped);
        assert!(code == Some(4) && said.contains(&format!("vault `{mistyped}`")), "{mistyped}: {said}");
    }
    evc.act("DELETE", "/devices/edge-1/vaults/payments", "");
    assert_eq!(end_graces(&evc, now() + 601), 1);
    assert_eq!(gone(&evc, "payments").0, Some(5), "its node has not said so");
    let after = device.section(&evc);
    device.report(&evc, &after, 1);
    for name in ["payments", &id.to_string()] {
        let (code, said) = gone(&evc, name);
        assert!(code == Some(0) && said.contains("is gone"), "{name}: {said}");
    }
    assert_eq!(gone(&evc, "payment").0, Some(4));
    let mut orphan = device.info(&after, 1);
    let told = orphan.vaults.iter_mut().find_map(|line| line.report.as_mut()).expect("a vault");
    (told.id, told.name) = (vault::ids::VaultId(uuid::Uuid::new_v4()), "left".parse().expect("a name"));
    told.state = vault::report::State::Orphan;
    device.tell(&evc, &orphan);
    let (code, said) = gone(&evc, "left");
    assert!(code == Some(5) && said.contains("its node still has it"), "{said}");
}

/// SECURITY, "Keys at the controller": what is told as deleted lies in the database's log no longer, sealed as it was, once a round of
/// housekeeping was made.
#[test]
fn a_key_that_was_deleted_is_not_in_the_log_either() {
    let (evc, device, section) = made();
    let id = section.vaults.iter().find(|entry| entry.name.as_str() == "payments").expect("listed").id;
    let row = evc.stored(|tx| tx.epoch(device.id, id, vault::ids::Epoch(1))).expect("a key");
    let lies = || {
        ["evc.db", "evc.db-wal"].map(|file| {
            // By another process: who closes a file has no lock on it any more.
            let bytes = Command::new("cat").arg(evc.dir.path().join(file)).output().expect("read").stdout;
            bytes.windows(row.sealed.len()).any(|window| window == row.sealed)
        })
    };
    assert!(lies().contains(&true), "the twin: it is found where it is");
    evc.act("DELETE", "/devices/edge-1/vaults/payments", "");
    assert_eq!(end_graces(&evc, now() + 601), 1);
    assert_eq!(lies(), [false, false]);
}

/// Until its row is ended a vault is listed, and can be kept, however late; then it is in no list, and what is under its name is another:
/// the node may have erased it.
#[test]
fn a_vault_is_listed_until_it_is_ended_and_not_brought_back_after() {
    let (evc, mut device, section) = made();
    let id = |section: &Section| {
        section.vaults.iter().find(|entry| entry.name.as_str() == "payments").map(|entry| entry.id)
    };
    let old = id(&section);
    evc.act("DELETE", "/devices/edge-1/vaults/payments", "");
    let late = now() + 601;
    let ask = ConfigRequest::decode(&device.ask()).expect("a question");
    let answer = evc.config_at(device.id, &ask, late).expect("answered").expect("changed");
    assert_eq!(id(&common::section(&answer).expect("a section")), old, "listed: its row was not ended yet");
    evc.wait(evc.as_operator().apply(VAULT, false, late)).expect("applied");
    assert_eq!(id(&device.section(&evc)), old, "kept");
    evc.act("DELETE", "/devices/edge-1/vaults/payments", "");
    assert_eq!(end_graces(&evc, now() + 601), 1);
    evc.apply(VAULT);
    let anew = device.section(&evc);
    assert!(id(&anew).is_some_and(|new| Some(new) != old), "another vault of the same name");
    device.report(&evc, &anew, 1);
    let rows = evc.act("GET", "/vaults?device=edge-1", "");
    let ids: Vec<_> = rows.as_array().expect("a list").iter().map(|row| row["id"].clone()).collect();
    assert!(!ids.contains(&old.expect("an id").to_string().into()), "the old one is forgotten: {ids:?}");
}

/// One that no section ever listed, and none ever left out, is forgotten too.
#[test]
fn a_vault_that_came_and_went_between_two_polls_is_forgotten() {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    device.attested(&evc);
    evc.apply(VAULT);
    evc.act("DELETE", "/devices/edge-1/vaults/payments", "");
    assert_eq!(end_graces(&evc, now() + 601), 1);
    let after = device.section(&evc);
    device.report(&evc, &after, 1);
    let left = evc.act("GET", "/vaults?device=edge-1", "");
    assert_eq!(left.as_array().expect("a list").len(), 2, "{left}");
}

/// What can't be kept again is asked for twice, by the server: whoever calls it, and however the vault comes to have no grace.
#[test]
fn nothing_is_erased_at_once_by_a_word_that_was_said_once() {
    let (evc, mut device, section) = made();
    let id = section.vaults.iter().find(|entry| entry.name.as_str() == "payments").expect("listed").id;
    evc.apply("kind: VaultPolicy\nname: now\ncustody: controller\non_removal: { delete_after: 0s }\n");
    let kept = |how: &str, method: &str, path: String, body: &str| {
        let refused = evc.operator(method, &path, body, Some(&evc.token)).problem();
        assert_eq!(refused.code, Code::NotConfirmed, "{how}: {refused:?}");
        assert!(refused.advice.contains("--confirm"), "{refused:?}");
        let key = evc.stored(|tx| tx.epoch(device.id, id, vault::ids::Epoch(1)));
        assert!(key.is_some(), "{how}: its key is kept");
    };
    let payments = |query: &str| format!("/devices/edge-1/vaults/payments{query}");
    kept("by an operator's word", "DELETE", payments("?delete_after=0"), "");
    kept("by a word on another", "DELETE", payments("?delete_after=0&confirm=image"), "");
    evc.act("DELETE", &payments(""), "");
    kept("while its grace runs", "DELETE", payments("?delete_after=0"), "");
    evc.apply(&VAULT.replace("policy: p", "policy: now"));
    kept("by its policy", "DELETE", payments(""), "");
    let mut with = section.clone();
    let mut orphan = with.vaults[0].clone();
    (orphan.id, orphan.name) =
        (vault::ids::VaultId(uuid::Uuid::from_u128(9)), "ledger".parse().expect("a name"));
    with.vaults.push(orphan);
    let mut info = device.info(&with, 1);
    for report in info.vaults.iter_mut().filter_map(|line| line.report.as_mut()) {
        if report.name.as_str() == "ledger" {
            (report.state, report.epoch) = (vault::report::State::Orphan, None);
        }
    }
    device.tell(&evc, &info);
    let adopt = "/devices/edge-1/vaults/ledger/adopt";
    kept("taken in for that", "POST", adopt.into(), r#"{"policy":"now","remove":true}"#);
    assert!(device.section(&evc).vaults.iter().all(|entry| entry.name.as_str() != "ledger"), "not taken in");
    evc.act("POST", adopt, r#"{"policy":"now","remove":true,"confirm":"ledger"}"#);
    evc.act("DELETE", &payments("?confirm=payments"), "");
    assert_eq!(evc.stored(|tx| tx.epoch(device.id, id, vault::ids::Epoch(1))), None, "said twice");
}

/// An end that an operator says counts, also where a grace runs already: sooner, later, or at once.
#[test]
fn a_grace_that_runs_ends_when_its_operator_says() {
    let (evc, device, section) = made();
    let id = section.vaults.iter().find(|entry| entry.name.as_str() == "payments").expect("listed").id;
    let until = || evc.stored(|tx| tx.vault(device.id, id)).and_then(|row| row.delete_at).expect("a grace");
    let delete = |query: &str| evc.act("DELETE", &format!("/devices/edge-1/vaults/payments{query}"), "");
    delete("");
    let first = until();
    delete("");
    assert_eq!(until(), first, "said again, with no end: it goes on as it was");
    let told = delete("?delete_after=8640000").to_string();
    let later = until();
    assert!(later >= first + 8_639_000, "{told}");
    assert!(told.contains(&evc::clock::text(later)), "{told}");
    delete("?delete_after=60");
    assert!(until() < first);
    delete("?delete_after=0&confirm=payments");
    assert_eq!(evc.stored(|tx| tx.epoch(device.id, id, vault::ids::Epoch(1))), None, "at once");
}

/// Invariant 6: a clock that jumps ahead deletes no key and takes no vault off the list; run on without another jump, it is believed.
#[test]
fn a_grace_does_not_end_by_a_jump_of_the_clock() {
    let (evc, mut device, section) = made();
    evc.act("DELETE", "/devices/edge-1/vaults/payments", "");
    let id = section.vaults.iter().find(|entry| entry.name.as_str() == "payments").expect("listed").id;
    let mut clock = evc.wait(evc.app.clock(now())).expect("read");
    let mut round =
        |at, passed| evc.wait(evc.app.keep_house(&mut clock, at, Duration::from_secs(passed))).expect("kept");
    let jumped = now() + 40 * 365 * 86_400;
    assert_eq!((round(jumped, 15), round(jumped + 15, 15)), (0, 0));
    let removing = device.section(&evc);
    assert!(removing.vaults.iter().any(|entry| entry.id == id), "still listed");
    assert_eq!(round(now(), 15), 0, "set right again");
    evc.apply(VAULT);
    let kept = device.section(&evc);
    assert!(device.keys(&kept, "payments").is_some(), "and it can be kept");
    evc.act("DELETE", "/devices/edge-1/vaults/payments", "");
    assert_eq!(
        (round(now() + 3600, 3600), round(now() + 3616, 15)),
        (1, 0),
        "the time that did pass ends it"
    );
}

/// A vault may have another one's UUID for its name. The UUID is that one's, whatever anything is called: so it is not the wrong one that goes.
#[test]
fn a_uuid_names_the_vault_that_has_it_and_not_one_that_is_called_so() {
    let (evc, mut device, section) = made();
    let id = section.vaults.iter().find(|entry| entry.name.as_str() == "payments").expect("listed").id;
    evc.apply(&format!("kind: Vault\nname: {id}\ndevice: edge-1\npolicy: p\n"));
    evc.act("DELETE", &format!("/devices/edge-1/vaults/{id}"), "");
    let section = device.section(&evc);
    let goes: Vec<_> = section.vaults.iter().filter(|entry| entry.standing == Presence::Removing).collect();
    assert_eq!(goes.iter().map(|entry| entry.name.as_str()).collect::<Vec<_>>(), ["payments"]);
}

/// Seen-by-users 2: of a vault that is in no document `-o yaml` says so, and not nothing at all.
#[test]
fn a_vault_that_is_removed_is_not_nothing_as_yaml() {
    let (evc, ..) = made();
    evc.act("DELETE", "/devices/edge-1/vaults/payments", "");
    let args =
        ["describe", "vault", "payments", "--device", "edge-1", "-o", "yaml", "--url", &evc.url, "--data"];
    let told = Command::new(env!("CARGO_BIN_EXE_evc")).args(args).arg(evc.dir.path()).output().expect("ran");
    let text = String::from_utf8_lossy(&told.stdout);
    assert!(text.starts_with("# vault payments is in no document"), "{text}");
}
