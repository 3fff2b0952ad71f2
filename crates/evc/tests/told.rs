//! What `evc status` and `evc get devices` may not pass over in silence. By the real service and its API.

mod common;

use common::{Device, Evc};
use uuid::Uuid;
use vault::ids::VaultId;
use vault::report::State;
use wire::attest::{AttestRequest, AttestResponse, EvidenceAnswer};

const VAULT: &str = "kind: VaultPolicy\nname: p\ncustody: controller\n---\nkind: Vault\nname: day\ndevice: edge-1\npolicy: p\n";

/// M3: locked data of a vault that no list here has is somebody's to take in.
#[test]
fn an_orphan_is_told_at_a_glance() {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    evc.apply(VAULT);
    let mut section = device.attested(&evc);
    let mut stray = section.vaults.iter().find(|entry| entry.name.as_str() == "day").expect("listed").clone();
    (stray.id, stray.name) = (VaultId(Uuid::from_u128(9)), "stray".parse().expect("a name"));
    section.vaults.push(stray);
    let state = |name: &str| if name == "stray" { State::Orphan } else { State::Unlocked };
    assert_eq!(evc.post(&device.own("info"), &device.reported(&section, 1, state)).status, 201);
    let glance = evc.act("GET", "/glance", "").to_string();
    assert!(glance.contains("evc adopt vault stray --device edge-1"), "{glance}");
    assert_eq!(glance.matches("orphan").count(), 1, "{glance}");
}

/// What a node has and no list names is listed with all else that there is, once, with its standing and what to do; of two of one name each by
/// its identity. It is in no document.
#[test]
fn orphans_are_listed_until_they_are_taken_in() {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    evc.apply(VAULT);
    let mut section = device.attested(&evc);
    let listed = section.vaults.iter().find(|entry| entry.name.as_str() == "day").expect("listed").clone();
    for (id, name) in [(7, "stray"), (8, "twin"), (9, "twin")] {
        let mut stray = listed.clone();
        (stray.id, stray.name) = (VaultId(Uuid::from_u128(id)), name.parse().expect("a name"));
        section.vaults.push(stray);
    }
    let mut info = device.info(&section, 1);
    for report in info.vaults.iter_mut().filter_map(|line| line.report.as_mut()) {
        let foreign = report.id.0.as_u128() == 9;
        if ["stray", "twin"].contains(&report.name.as_str()) {
            (report.state, report.epoch) = (State::Orphan, foreign.then_some(vault::ids::Epoch(3)));
        }
    }
    device.tell(&evc, &info);
    let shown = |args: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_evc"));
        let told = command.args(args).arg("--data").arg(evc.dir.path()).args(["--url", &evc.url]).output();
        let told = told.expect("ran");
        assert!(told.status.success(), "{args:?}: {}", String::from_utf8_lossy(&told.stderr));
        String::from_utf8(told.stdout).expect("text")
    };
    let lists: [&[&str]; 2] = [&["get", "vaults"], &["get", "vaults", "--device", "edge-1"]];
    for list in lists {
        let table = shown(list);
        let line = |word: &str| {
            table.lines().find(|line| line.contains(word)).unwrap_or_else(|| panic!("{word}: {table}"))
        };
        let adopt = "evc adopt vault stray --device edge-1 --policy POLICY` takes it in";
        assert!(line("stray").contains("orphan") && line("stray").contains(adopt), "{table}");
        let foreign = Uuid::from_u128(9).to_string();
        assert!(
            line(&foreign).contains("of another controller") && line(&foreign).contains("--remove"),
            "{table}"
        );
        assert_eq!(table.lines().filter(|line| line.contains("twin")).count(), 2, "{table}");
        let rows: serde_json::Value =
            serde_json::from_str(&shown(&[list, &["-o", "json"]].concat())).expect("JSON");
        let orphans = rows.as_array().expect("a list").iter().filter(|row| row["standing"] == "orphan");
        assert_eq!(orphans.filter(|row| row["policy"].is_null()).count(), 3, "{rows}");
        assert!(!shown(&[list, &["-o", "yaml"]].concat()).contains("stray"), "it is in no document");
    }
    evc.act("POST", "/devices/edge-1/vaults/stray/adopt", r#"{"policy":"p"}"#);
    for list in lists {
        let table = shown(list);
        assert_eq!(table.lines().filter(|line| line.contains("stray")).count(), 1, "once: {table}");
        assert!(!table.contains("evc adopt vault stray"), "{table}");
    }
}

/// TH-2: the Config Vault of a lost device that runs is held by the node's own agents: that is said, and not that somebody is to be ended. Of
/// another vault that does not lock nothing of it is said.
#[test]
fn what_a_lost_nodes_own_agents_hold_is_told_as_that() {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    evc.apply(VAULT);
    let section = device.attested(&evc);
    let lost = evc.act("POST", "/devices/edge-1/lost", "").to_string();
    assert!(lost.contains("stays `lock-incomplete` until the node is stopped or boots"), "{lost}");
    let held = "its node's own agents hold it for as long as they run";
    for (which, times) in [("config", 1), ("day", 0), ("none", 0)] {
        let state = |name: &str| if name == which { State::LockIncomplete } else { State::Locked };
        assert_eq!(evc.post(&device.own("info"), &device.reported(&section, 1, state)).status, 201);
        evc.app.glances.count_anew();
        for list in ["/vaults?device=edge-1", "/glance"] {
            let told = evc.act("GET", list, "").to_string();
            assert_eq!(told.matches(held).count(), times, "{which}: {list}: {told}");
        }
        let vaults = evc.act("GET", "/devices/edge-1", "")["vaults"].to_string();
        assert_eq!(vaults.matches(held).count(), times, "{which}: {vaults}");
    }
}

/// M5: whose evidence is refused is not said to be well.
#[test]
fn a_device_whose_evidence_is_refused_is_not_online() {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    let condition = || evc.act("GET", "/devices", "")[0]["condition_kind"].clone();
    device.attested(&evc);
    assert_eq!(condition(), "online");
    device.session = common::new_session();
    device.hash.clear();
    let nonce = device.challenged(&evc);
    let mut quote = device.evidence(nonce, device.session.session_key());
    quote.binding.as_mut().expect("bound").claims = b"elsewhere".to_vec();
    let AttestResponse::Quote(told) = device.attest(&evc, &AttestRequest::Quote(Box::new(quote))) else {
        panic!("not on evidence")
    };
    assert!(matches!(told.verdict, Some(EvidenceAnswer::Refused(_))), "{told:?}");
    assert_eq!(condition(), "evidence-refused");
    let glance = evc.act("GET", "/glance", "").to_string();
    assert!(glance.contains("device edge-1: evidence refused"), "{glance}");
    device.hash.clear();
    device.attested(&evc);
    assert_eq!(condition(), "online", "until good evidence comes");
}
