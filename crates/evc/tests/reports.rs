//! What a device says of itself is its own word: shown, and bounded.

mod common;

use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use common::{Device, Evc, section, sql};
use vault::ids::{CONFIG_VAULT, VaultId};
use vault::report::{By, Opened, State, VaultReport};
use vault::section::Operation;
use wire::info::{AttestationState, DeviceInfo, NodeReport, PcrStatus, TpmPresence, VaultLine};

fn line(id: VaultId, detail: Vec<String>) -> VaultLine {
    let report = VaultReport {
        id,
        name: "lines".parse().expect("a name"),
        state: State::LockIncomplete,
        created: true,
        epoch: None,
        wanted: Operation::Lock,
        last: None,
        opened: None,
        storage: None,
        change_due: false,
        holds_escrow_up: false,
        under_anothers_key: false,
        behind_in_escrow: None,
        ordered_locked: false,
        detail,
    };
    VaultLine::of(report, PcrStatus::Unknown)
}

fn post(evc: &Evc, device: &Device, vaults: Vec<VaultLine>, notes: Vec<String>) -> u16 {
    static COUNTER: AtomicU64 = AtomicU64::new(1);
    let (session, counter) = (Some(device.session.session_key()), COUNTER.fetch_add(1, Ordering::Relaxed));
    let info = DeviceInfo {
        device: device.id,
        at_unix_s: evc::clock::now(),
        tpm: TpmPresence::Enabled,
        tpm_info: String::new(),
        attestation: AttestationState::None,
        attestation_error: None,
        vaults,
        node: Some(NodeReport { session, notes, counter, ..NodeReport::default() }),
    };
    evc.post(&device.own("info"), &device.seal(&info.encode())).status
}

fn length(evc: &Evc, path: &str) -> usize {
    evc.act("GET", path, "").to_string().len()
}

/// IF-2: the longest report that is taken makes neither a list nor a description long; an honest one is shown whole.
#[test]
fn one_devices_report_does_not_make_the_lists_long() {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    evc.apply("kind: VaultPolicy\nname: p\ncustody: controller\n---\nkind: Vault\nname: own\ndevice: edge-1\npolicy: p\n");
    let own: VaultId =
        evc.act("GET", "/vaults", "")[0]["id"].as_str().expect("text").parse().expect("an identity");
    let own_of = |rows: &serde_json::Value| {
        let rows = rows.as_array().expect("a list");
        rows.iter().find(|row| row["id"] == own.to_string()).expect("there").clone()
    };
    device.attested(&evc);
    let honest = vec!["held open by 17 (postgres)".to_owned()];
    assert_eq!(post(&evc, &device, vec![line(own, honest.clone())], honest.clone()), 201);
    let told = evc.act("GET", "/devices/edge-1", "");
    assert_eq!(own_of(&told["vaults"])["report"]["detail"][0], honest[0].as_str());
    assert_eq!(told["device"]["report"]["notes"][0], honest[0].as_str());

    let long = vec!["x".repeat(1000); 60];
    let short = vec!["x".repeat(30); 60];
    let strays = (1..1000).map(|n| line(VaultId(uuid::Uuid::from_u128(n)), short.clone()));
    let vaults = [line(own, long.clone()), line(CONFIG_VAULT, long.clone())].into_iter().chain(strays);
    assert_eq!(post(&evc, &device, vaults.collect(), long), 201);
    // Of vaults that are on no list of this database some are shown, with what to do, and the last says how many more there are.
    assert!(length(&evc, "/devices") < 20_000, "{}", length(&evc, "/devices"));
    let orphans = evc.act("GET", "/devices", "")[0]["orphans"].clone();
    let (orphans, more) = (orphans.as_array().expect("a list"), "and 979 more such vaults of device edge-1");
    assert!(orphans.len() == 20 && orphans[19]["notes"].to_string().contains(more), "{}", orphans[19]);
    assert!(orphans[19]["notes"].to_string().contains("evc get vaults --device edge-1"), "{}", orphans[19]);
    let of_device = evc.act("GET", "/vaults?device=edge-1", "");
    let each: Vec<_> =
        of_device.as_array().expect("a list").iter().filter(|row| row["standing"] == "unlisted").collect();
    assert_eq!(each.len(), 999, "that one shows each");
    assert!(
        each.iter().all(|row| row["notes"].to_string().contains("its node has it by a list")),
        "with what to do"
    );
    assert!(!of_device.to_string().contains("more such vaults") && of_device.to_string().len() < 1_500_000);
    assert!(length(&evc, "/vaults") < 3_000, "{}", length(&evc, "/vaults"));
    // A thousand vaults without a row are each named, for they are locked by name once the device is lost, with what opened them; their words are not all
    // told.
    assert!(length(&evc, "/devices/edge-1") < 400_000, "{}", length(&evc, "/devices/edge-1"));
    let listed = evc.act("GET", "/devices", "");
    assert_eq!(listed[0]["default_vaults"][0]["state"], "lock-incomplete", "what the lists show is there");
    assert_eq!(own_of(&evc.act("GET", "/vaults", ""))["state"], "lock-incomplete");
}

/// IF-2: however long the lines of a node are, each is there, and its end with it: what to do stands there.
#[test]
fn if2_long_lines_of_a_node_keep_what_to_do_and_push_no_other_out() {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    device.attested(&evc);
    let long = |n: usize| format!("{n}: /persist/img/{}: move it away", "\u{10ffff}".repeat(1000 + n));
    let lines: Vec<_> = (0..20).map(long).chain(["the disk is away".to_owned()]).collect();
    assert_eq!(post(&evc, &device, vec![line(CONFIG_VAULT, lines.clone())], lines), 201);
    let told = evc.act("GET", "/devices/edge-1", "");
    let told = told["device"]["report"]["notes"].as_array().expect("lines");
    assert_eq!(told.len(), 21);
    for (n, note) in told[..20].iter().map(|note| note.as_str().expect("text")).enumerate() {
        assert!(
            note.starts_with(&format!("{n}: /persist/img/")) && note.ends_with(": move it away"),
            "{note}"
        );
    }
    assert_eq!(told[20], "the disk is away");
}

/// IF-2: how far a node's long work on a vault is stands beside the vault while it goes on, for who describes it, and no longer.
#[test]
fn if2_progress_of_long_work_is_shown_until_the_next_report() {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    evc.apply("kind: VaultPolicy\nname: p\ncustody: controller\n---\nkind: Vault\nname: own\ndevice: edge-1\npolicy: p\n");
    let own: VaultId =
        evc.act("GET", "/vaults", "")[0]["id"].as_str().expect("text").parse().expect("an identity");
    device.attested(&evc);
    let told = || {
        let said = Command::new(env!("CARGO_BIN_EXE_evc"))
            .args(["describe", "vault", "own", "--device", "edge-1"])
            .args(["--url", &evc.url, "--data"])
            .arg(evc.dir.path())
            .output()
            .expect("ran");
        String::from_utf8_lossy(&said.stdout).into_owned()
    };
    for progress in ["1 MiB of 3 MiB", "2 MiB of 3 MiB"] {
        let line = line(own, vec![format!("moving plain files in: {progress}")]);
        assert_eq!(post(&evc, &device, vec![line], vec![]), 201);
        let told = told();
        assert!(told.contains(&format!("moving plain files in: {progress}")), "{told}");
    }
    assert_eq!(post(&evc, &device, vec![line(own, vec![])], vec![]), 201);
    assert!(!told().contains("moving plain files in"), "{}", told());
}

/// IF-2: by what a node says that a vault was opened is told in the vault's view, in lists too.
#[test]
fn if2_what_a_vault_was_opened_by_is_shown() {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    evc.apply("kind: VaultPolicy\nname: p\ncustody: controller\n---\nkind: Vault\nname: own\ndevice: edge-1\npolicy: p\n");
    let section = device.attested(&evc);
    let shown = |evc: &Evc| evc.act("GET", "/vaults", "")[0]["opened"].clone();
    assert!(shown(&evc).is_null(), "nothing was said of it");
    let VaultLine { report, pcrs, .. } = line(section.vaults[0].id, Vec::new());
    let report = report.map(|report| VaultReport {
        state: State::Unlocked,
        wanted: Operation::Unlock,
        opened: Some(Opened { by: By::ControllerKey }),
        ..report
    });
    assert_eq!(post(&evc, &device, vec![VaultLine::of(report.expect("ours"), pcrs)], Vec::new()), 201);
    assert_eq!(shown(&evc)["by"], "controller-key");
}

/// IF-2: what a node said in words of another version is as if it was not said, and the next report is taken; lists stay whole.
#[test]
fn words_of_another_version_hide_nothing_and_the_next_report_is_taken() {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    evc.apply("kind: VaultPolicy\nname: p\ncustody: controller\n---\nkind: Vault\nname: own\ndevice: edge-1\npolicy: p\n");
    let section = device.attested(&evc);
    device.report(&evc, &section, 1);
    let data = evc.stop();
    let other = "SET report = '{\"state\":\"of another version\"}'";
    let words = [format!("UPDATE devices {other}, verdict = '[]'"), format!("UPDATE vaults {other}")];
    sql(data.path(), &words.each_ref().map(String::as_str));
    let evc = Evc::over(data);
    let own = |evc: &Evc| {
        let told = evc.act("GET", "/devices/edge-1", "");
        let vaults = told["vaults"].as_array().expect("a list").clone();
        vaults.into_iter().find(|vault| vault["name"] == "own").expect("listed")
    };
    assert_eq!(evc.act("GET", "/devices", "").as_array().expect("a list").len(), 1);
    assert!(own(&evc)["state"].is_null() && own(&evc)["reported_epoch"] == 1, "{}", own(&evc));
    device.report(&evc, &section, 1);
    assert_eq!(own(&evc)["state"], "unlocked");
}

/// IF-2: a vault that a node told of in words of another version hides none of the others.
#[test]
fn a_vault_in_words_of_another_version_is_left_out_alone() {
    let evc = Evc::start();
    let _device = Device::onboarded(&evc, "edge-1");
    let data = evc.stop();
    let one = r#"{"id":"00000000-0000-0000-0000-000000000005","name":"v","state":"locked","created":true,"epoch":null,"wanted":"lock","last":null,"detail":[]}"#;
    let other = one.replace("\"locked\"", "\"melted\"");
    let kept = format!(
        r#"{{"received":"2026-11-01T00:00:00Z","tpm":"notfound","attestation":"Complete","vaults":[{other},7,{one}]}}"#
    );
    sql(data.path(), &[&format!("UPDATE devices SET report = '{kept}'")]);
    let evc = Evc::over(data);
    let report = evc.act("GET", "/devices/edge-1", "")["device"]["report"].clone();
    let states: Vec<_> = report["vaults"].as_array().expect("a list").iter().map(|of| &of["state"]).collect();
    assert_eq!(states, ["locked"], "{report}");
    assert_eq!((&report["received"], &report["tpm"]), (&"2026-11-01T00:00:00Z".into(), &"notfound".into()));
}

/// Invariant 6: what decides about a release and does not read back is no default: nothing is released by it, until it is mended. Evidence is asked
/// for anew, and what asks for no measured boot needs no reference value.
#[test]
fn what_decides_about_a_release_must_read_back() {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    evc.apply("kind: VaultPolicy\nname: p\ncustody: controller\n---\nkind: Vault\nname: own\ndevice: edge-1\npolicy: p\n");
    device.attested(&evc);
    let mut data = evc.stop();
    for (damage, mend) in [
        (
            "UPDATE policies SET canonical = '{}'",
            "UPDATE policies SET canonical = (SELECT canonical FROM aside)",
        ),
        (
            "UPDATE policies SET canonical = json_set(canonical, '$.name', 'q')",
            "UPDATE policies SET canonical = (SELECT canonical FROM aside)",
        ),
        ("UPDATE standings SET record = x'7b7d'", "UPDATE standings SET record = (SELECT record FROM aside)"),
        ("UPDATE standings SET record = x'0103'", "UPDATE standings SET record = (SELECT record FROM aside)"),
        (
            "INSERT INTO refs (project, device, pcrs, state, learned_at) SELECT project, id, CAST('{\"0\":\"00\"}' AS BLOB), 'approved', 1 FROM devices",
            "DELETE FROM refs",
        ),
    ] {
        let aside = "CREATE TABLE aside AS SELECT canonical, record FROM policies, standings";
        sql(data.path(), &["DROP TABLE IF EXISTS aside", aside, damage]);
        let evc = Evc::over(data);
        device.hash = String::new();
        let asked = device.seal(&device.ask());
        let answer = evc.post(&device.own("config"), &asked);
        if damage.contains("policies") {
            assert_eq!(answer.status, 500, "{damage}");
        } else {
            let told = device.poll(&evc).expect("an answer");
            let keys = section(&told).and_then(|section| device.keys(&section, "own"));
            assert_eq!(keys.is_some(), damage.contains("refs"), "{damage}");
            let challenged = told.control.is_some_and(|control| control.challenge.is_some());
            assert_eq!(challenged, damage.contains("standings"), "{damage}");
        }
        let policies = evc.act("GET", "/policies", "").to_string();
        assert_eq!(policies.contains("what_to_do"), damage.contains("policies"), "{damage}: {policies}");
        data = evc.stop();
        sql(data.path(), &[mend]);
        let evc = Evc::over(data);
        device.hash = String::new();
        let section = device.section(&evc);
        assert!(device.keys(&section, "own").is_some(), "{mend}");
        data = evc.stop();
    }
}

/// KO-1: an operator who narrowed a vault's seal sees in the list that its node has not done it yet, and in the description why.
#[test]
fn ko1_a_seal_that_is_not_narrowed_yet_is_no_plain_unlocked() {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    evc.apply("kind: VaultPolicy\nname: p\ncustody: tpm\nseal: pcrs\n---\nkind: Vault\nname: own\ndevice: edge-1\npolicy: p\n");
    let own: VaultId =
        evc.act("GET", "/vaults", "")[0]["id"].as_str().expect("text").parse().expect("an identity");
    device.attested(&evc);
    let notes = |change_due: bool, words: &str| {
        let said = line(own, vec![words.to_owned()]);
        let report = said.report.map(|report| VaultReport { change_due, ..report });
        let said = VaultLine { report, ..said };
        assert_eq!(post(&evc, &device, vec![said], vec![]), 201);
        let rows = evc.act("GET", "/vaults", "");
        let row = rows.as_array().expect("a list").iter().find(|row| row["id"] == own.to_string());
        row.expect("listed").to_string()
    };
    assert!(!notes(false, "not escrowed").contains("has not carried out its policy"));
    let words = "a change of key or custody is due: approve this boot";
    assert!(!notes(false, words).contains("has not carried out its policy"), "words decide nothing");
    let told = notes(true, "in other words");
    assert!(told.contains("has not carried out its policy") && told.contains("seal: pcrs"), "{told}");
}

/// A node whose bundles wait for a vault is named at a glance, with the vault; one whose bundle is only under way is not.
#[test]
fn a_vault_that_holds_escrow_up_is_told_at_a_glance() {
    let evc = Evc::start();
    for (name, holds_escrow_up) in [("edge-1", true), ("edge-2", false)] {
        let mut device = Device::onboarded(&evc, name);
        device.attested(&evc);
        let said = line(CONFIG_VAULT, vec!["in other words".into()]);
        let report = said.report.map(|report| VaultReport { holds_escrow_up, ..report });
        assert_eq!(post(&evc, &device, vec![VaultLine { report, ..said }], Vec::new()), 201);
    }
    let glance = evc.act("GET", "/glance", "").to_string();
    assert!(glance.contains("device edge-1: its escrow waits for vault lines"), "{glance}");
    assert!(!glance.contains("device edge-2: its escrow"), "{glance}");
}
