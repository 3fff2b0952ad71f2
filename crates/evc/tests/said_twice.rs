//! What can't be undone is said twice: the controller asks for it, whoever calls, and takes the name or the UUID of what it is done to,
//! whichever of the two the first word was (invariants 4 and 6).

mod common;
mod engines;

use common::escrowed::{BYTES, sealed, two_bundles, upload};
use common::{Device, Evc, new_session};
use engines::{Memory, World};
use evc::api::Code;
use serde_json::Value;
use vault::report::State;
use wire::attest::StoreKeysCode;

const FILE: &str = "\
kind: VaultPolicy
name: p
custody: controller
---
kind: VaultPolicy
name: now
custody: controller
on_removal: { delete_after: 0s }
---
kind: Vault
name: till
device: edge-1
policy: p
---
kind: Vault
name: cache
device: edge-1
policy: now
---
kind: Vault
name: far
device: away
policy: p
";

/// A fleet on which each act can be done.
struct Scene {
    evc: Evc,
    engine: Memory,
    world: World,
}

/// An act: how it is called, with its path's last word left open, and which thing of the lists it is done to.
struct Act {
    what: &'static str,
    method: &'static str,
    path: fn(&str) -> String,
    /// With what is said again, if anything is.
    body: fn(Option<&str>) -> String,
    /// Its own name, and where its UUID stands.
    name: &'static str,
    id: fn(&Evc) -> String,
}

fn none(_: Option<&str>) -> String {
    String::new()
}

/// A body of these fields, and of what is said again.
fn said_again(again: Option<&str>, fields: &str) -> String {
    let again = again.map(|said| format!(r#","confirm":"{said}""#)).unwrap_or_default();
    format!("{{{fields}{again}}}")
}

fn device_of(evc: &Evc, name: &str) -> String {
    text(&evc.act("GET", &format!("/devices/{name}"), "")["device"]["id"])
}

fn vault_of(evc: &Evc, device: &str, name: &str) -> String {
    let shown = evc.act("GET", &format!("/devices/{device}"), "");
    let rows = shown["vaults"].as_array().expect("a list");
    text(&rows.iter().find(|row| row["name"] == name).expect("there")["id"])
}

fn text(value: &Value) -> String {
    value.as_str().expect("a word").to_owned()
}

const ORPHAN: u128 = 9;

const ACTS: [Act; 12] = [
    Act {
        what: "a vault is erased at once",
        method: "DELETE",
        path: |of| format!("/devices/edge-1/vaults/{of}"),
        body: none,
        name: "cache",
        id: |evc| vault_of(evc, "edge-1", "cache"),
    },
    Act {
        what: "a vault is erased at once by an operator's word",
        method: "DELETE",
        path: |of| format!("/devices/edge-1/vaults/{of}?delete_after=0"),
        body: none,
        name: "till",
        id: |evc| vault_of(evc, "edge-1", "till"),
    },
    Act {
        what: "an orphan is taken in to be erased at once",
        method: "POST",
        path: |of| format!("/devices/edge-1/vaults/{of}/adopt"),
        body: |again| said_again(again, r#""policy":"now","remove":true"#),
        name: "ledger",
        id: |_| uuid::Uuid::from_u128(ORPHAN).to_string(),
    },
    Act {
        what: "a vault is made anew",
        method: "POST",
        path: |of| format!("/devices/edge-1/vaults/{of}/recreate?despite_escrow=true"),
        body: none,
        name: "till",
        id: |evc| vault_of(evc, "edge-1", "till"),
    },
    Act {
        what: "a vault leaves its device",
        method: "POST",
        path: |of| format!("/devices/away/vaults/{of}/rehome"),
        body: |again| said_again(again, r#""to":"edge-1""#),
        name: "far",
        id: |evc| vault_of(evc, "away", "far"),
    },
    Act {
        what: "bundles of a generation are forgotten",
        method: "DELETE",
        path: |of| format!("/devices/{of}/escrow/1"),
        body: none,
        name: "edge-1",
        id: |evc| device_of(evc, "edge-1"),
    },
    Act {
        what: "the attestation key is forgotten",
        method: "DELETE",
        path: |of| format!("/devices/{of}/attestation-key"),
        body: none,
        name: "edge-1",
        id: |evc| device_of(evc, "edge-1"),
    },
    Act {
        what: "a device goes with its keys",
        method: "DELETE",
        path: |of| format!("/devices/{of}?force=true"),
        body: none,
        name: "edge-1",
        id: |evc| device_of(evc, "edge-1"),
    },
    Act {
        what: "a key is rotated past its node",
        method: "POST",
        path: |of| format!("/devices/away/vaults/{of}/rotate"),
        body: |again| said_again(again, r#""force":true"#),
        name: "far",
        id: |evc| vault_of(evc, "away", "far"),
    },
    Act {
        what: "what was seen of a device is settled",
        method: "DELETE",
        path: |of| format!("/devices/{of}/alarm"),
        body: none,
        name: "away",
        id: |evc| device_of(evc, "away"),
    },
    Act {
        what: "a device has another identity",
        method: "POST",
        path: |of| format!("/devices/{of}/identity"),
        body: |again| said_again(again, r#""id":"00000000-0000-0000-0000-000000000090""#),
        name: "elsewhere",
        id: |evc| device_of(evc, "elsewhere"),
    },
    Act {
        what: "what is kept of a deleted device is forgotten",
        method: "DELETE",
        path: |of| format!("/deleted-devices/{of}"),
        body: none,
        name: "gone",
        id: |evc| text(&evc.act("GET", "/deleted-devices", "")[0]["id"]),
    },
];

impl Act {
    /// The request, with the first word and the second one.
    fn said(&self, first: &str, again: Option<&str>) -> (String, String) {
        let (path, body) = ((self.path)(first), (self.body)(again));
        match again {
            Some(said) if body.is_empty() => {
                let sign = if path.contains('?') { '&' } else { '?' };
                (format!("{path}{sign}confirm={said}"), body)
            }
            _ => (path, body),
        }
    }
}

fn scene() -> Scene {
    let engine = Memory::default();
    let evc = Evc::over_engine(engine.clone());
    let [mut one, mut away, gone] = ["edge-1", "away", "gone"].map(|name| Device::onboarded(&evc, name));
    evc.apply(FILE);
    let far = away.attested(&evc);
    away.report(&evc, &far, 1);
    // Its node has not taken the key that is the newest; and there may be two of it.
    evc.act("POST", "/devices/away/vaults/far/rotate", "");
    takes_turns(&evc, &mut away);
    evc.act("POST", "/devices/away/lost", "");
    two_bundles(&evc, &one);
    assert_eq!(upload(&evc, &gone, sealed(&evc, &gone, 1, BYTES)), StoreKeysCode::Success);
    evc.act("DELETE", "/devices/gone?force=true&confirm=gone", "");
    told_missing(&evc, &mut one);
    held_elsewhere(&evc);
    let world = engine.world();
    Scene { evc, engine, world }
}

/// The session that gave evidence gives it again after another one.
fn takes_turns(evc: &Evc, device: &mut Device) {
    let first = std::mem::replace(&mut device.session, new_session());
    for session in [None, Some(first)] {
        device.session = session.unwrap_or_else(new_session);
        device.hash.clear();
        device.proves_itself(evc);
    }
}

/// A device whose node holds to the lists of another one.
fn held_elsewhere(evc: &Evc) {
    let mut device = Device::onboarded(evc, "elsewhere");
    let section = device.attested(evc);
    let mut info = device.info(&section, 1);
    info.node.as_mut().expect("ours").accepted_for = Some(vault::ids::DeviceId(uuid::Uuid::from_u128(0x90)));
    device.tell(evc, &info);
}

/// `till` is missing, the others are open, and the node has an orphan.
fn told_missing(evc: &Evc, device: &mut Device) {
    let mut section = device.attested(evc);
    let mut orphan = section.vaults[0].clone();
    orphan.id = vault::ids::VaultId(uuid::Uuid::from_u128(ORPHAN));
    orphan.name = "ledger".parse().expect("a name");
    section.vaults.push(orphan);
    let mut info = device.info(&section, 1);
    for report in info.vaults.iter_mut().filter_map(|line| line.report.as_mut()) {
        match report.name.as_str() {
            "till" => report.state = State::Missing,
            "ledger" => (report.state, report.epoch) = (State::Orphan, None),
            _ => {}
        }
    }
    device.tell(evc, &info);
}

/// Each act, said once or of another thing, is refused with what works, and nothing is changed; said twice by either name, it is done.
#[test]
fn each_act_that_cant_be_undone_is_said_twice_by_either_name() {
    let Scene { evc, engine, world } = scene();
    for act in &ACTS {
        engine.restore(&world);
        let id = (act.id)(&evc);
        for first in [act.name, id.as_str()] {
            for again in [None, Some(""), Some("image"), Some("edge")] {
                let (path, body) = act.said(first, again);
                let refused = evc.operator(act.method, &path, &body, Some(&evc.token)).problem();
                assert_eq!(refused.code, Code::NotConfirmed, "{}: {path}: {refused:?}", act.what);
                let works = format!("--confirm {}", act.name);
                assert!(refused.advice.ends_with(&works), "{}: {refused:?}", act.what);
                assert_eq!(engine.world(), world, "{}: {path} {body}: nothing is changed", act.what);
            }
            for again in [act.name, id.as_str()] {
                let (path, body) = act.said(first, Some(again));
                let done = evc.operator(act.method, &path, &body, Some(&evc.token));
                assert_eq!(done.status, 200, "{}: {path} {body}: {:?}", act.what, done.body);
                assert_ne!(engine.world(), world, "{}: {path} {body}: it is done", act.what);
                engine.restore(&world);
            }
        }
    }
}

/// A bundle is named by its SHA-256, and the device is what is said again.
#[test]
fn a_bundle_is_forgotten_by_a_word_that_was_said_twice() {
    let Scene { evc, engine, world } = scene();
    let older = text(&evc.act("GET", "/devices/edge-1/escrow", "")[1]["digest"]);
    for (again, code) in [("", 409), ("?confirm=till", 409), ("?confirm=edge-1", 200)] {
        let path = format!("/devices/edge-1/escrow/bundle/{older}{again}");
        let told = evc.operator("DELETE", &path, "", Some(&evc.token));
        assert_eq!((told.status, engine.world() == world), (code, code == 409), "{path}");
    }
}

/// What takes nothing from anybody is said once: a rotation that its node may miss, also a forced one, and a device that has no alarm.
#[test]
fn what_shuts_nobody_out_is_said_once() {
    let Scene { evc, .. } = scene();
    evc.act("POST", "/devices/edge-1/vaults/cache/rotate", r#"{"force":true}"#);
    evc.act("DELETE", "/devices/edge-1/alarm", "");
}
