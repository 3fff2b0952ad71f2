//! One damaged row of what hangs on a device, wherever it is damaged: the device is served with all that does not need that row, every list is
//! shown, and what is withheld is withheld with its cause (invariant 6). The rows are of a real file, whose columns are read from its schema.

mod common;

use common::escrowed::{sealed, two_bundles, upload};
use common::quoting::{FakeTpm, pcrs, quote, with_tpm};
use common::{Device, Evc, damages, new_session, section, sql};
use serde_json::Value;
use vault::cause::Cause;
use vault::ids::Generation;
use vault::report::State;
use vault::section::Section;
use wire::attest::{AttestRequest, StoreKeysCode};
use wire::config::ConfigResponse;

/// `payments` needs an approved boot, `logs` nothing but the session, `image` is a default vault under a key of the controller's.
const FILE: &str = "\
kind: VaultPolicy
name: strict
custody: tpm+controller
attest: { require: [pcrs] }
---
kind: VaultPolicy
name: plain
custody: controller
---
kind: Vault
name: payments
device: edge-1
policy: strict
---
kind: Vault
name: logs
device: edge-1
policy: plain
---
kind: Vault
name: image
device: edge-1
policy: plain
";

/// Of `payments` alone.
const OF_ONE: &str = "WHERE vault = (SELECT id FROM vaults WHERE name = 'payments')";
const NO_KEY: &str = "is absent or does not open: stop evc";
const LISTS: [&str; 8] = [
    "/devices",
    "/devices/edge-1",
    "/vaults",
    "/vaults?device=edge-1",
    "/references",
    "/devices/edge-1/escrow",
    "/policies",
    "/glance",
];

/// What the loss of any row of a table withholds.
struct Table {
    name: &'static str,
    /// Which row.
    row: &'static str,
    /// Columns that are damaged without consequences: nobody decides by them, or the row is found by them, and is nobody's then.
    idle: &'static [&'static str],
    /// Of the two vaults, whose keys still go out to the session that has given evidence; none: it is asked for evidence first.
    keys: Option<[bool; 2]>,
    /// The same to a new session, once it gave evidence.
    anew: [bool; 2],
    /// Where its cause is told, and in what words; none where it mends itself, or nothing needs it.
    told: Option<(&'static str, &'static str)>,
}

const TABLES: [Table; 10] = [
    Table {
        name: "periods",
        row: "",
        idle: &[],
        keys: Some([true, true]),
        anew: [false, false],
        told: Some(("/glance", NO_KEY)),
    },
    Table {
        name: "epochs",
        row: OF_ONE,
        idle: &[],
        keys: Some([true, true]),
        anew: [false, true],
        told: Some(("/devices/edge-1", NO_KEY)),
    },
    Table {
        name: "releases",
        row: OF_ONE,
        idle: &[],
        keys: Some([true, true]),
        anew: [true, true],
        told: None,
    },
    Table {
        name: "refs",
        row: "",
        idle: &["id"],
        keys: Some([false, true]),
        anew: [false, true],
        told: Some(("/references", "no boot is good by it until then")),
    },
    Table {
        name: "device_certs",
        row: "",
        idle: &["pem", "added_at"],
        keys: None,
        anew: [false, false],
        told: Some(("/devices/edge-1", "withheld: evidence refused: ")),
    },
    Table { name: "standings", row: "", idle: &["renew"], keys: None, anew: [true, true], told: None },
    Table {
        name: "past_sessions",
        row: "",
        idle: &[],
        keys: Some([true, true]),
        anew: [true, true],
        told: None,
    },
    Table { name: "heard", row: "", idle: &[], keys: Some([true, true]), anew: [true, true], told: None },
    Table {
        name: "bundles",
        row: "WHERE generation = 1",
        idle: &["number", "project", "device", "sealed", "offered"],
        keys: Some([true, true]),
        anew: [true, true],
        told: Some(("/devices/edge-1/escrow", "it is not given back until then")),
    },
    Table {
        name: "past_vaults",
        row: "",
        idle: &[],
        keys: Some([true, true]),
        anew: [true, true],
        told: None,
    },
];

/// A device at work: two sessions gave evidence, keys went out, two bundles are in escrow, a vault was and is no more.
struct Scene {
    evc: Evc,
    device: Device,
    tpm: FakeTpm,
    given: Section,
}

impl Scene {
    fn new() -> Self {
        let evc = Evc::start();
        let (mut device, tpm) = with_tpm(&evc);
        evc.apply(FILE);
        gives_evidence(&evc, &mut device, &tpm);
        evc.act("POST", "/references/1/approve", "");
        two_bundles(&evc, &device);
        device.session = new_session();
        gives_evidence(&evc, &mut device, &tpm);
        let given = section(&device.poll(&evc).expect("an answer")).expect("a section");
        device.report(&evc, &given, 1);
        Self { evc, device, tpm, given }
    }

    /// The whole answer.
    fn polled(&mut self, at: &str) -> ConfigResponse {
        self.device.hash.clear();
        let status = self.evc.post(&self.device.own("config"), &self.device.seal(&self.device.ask())).status;
        assert_eq!(status, 200, "{at}: it is answered");
        self.device.hash.clear();
        self.device.poll(&self.evc).expect("an answer")
    }

    fn keys(&mut self, answer: &ConfigResponse) -> Option<[bool; 2]> {
        let section = section(answer)?;
        Some(["payments", "logs"].map(|name| self.device.keys(&section, name).is_some()))
    }

    /// Reports as before; and puts another bundle into escrow.
    fn is_heard(&mut self, at: &str) {
        let report = self.device.reported(&self.given, 1, |_| State::Unlocked);
        assert_eq!(self.evc.post(&self.device.own("info"), &report).status, 201, "{at}: its report is taken");
        let stored = upload(&self.evc, &self.device, sealed(&self.evc, &self.device, 3, b"the next"));
        assert_eq!(stored, StoreKeysCode::Success, "{at}: its bundle is taken");
    }

    fn gives_evidence_anew(&mut self, at: &str) -> Option<[bool; 2]> {
        self.device.session = new_session();
        self.device.hash.clear();
        let challenged = self.polled(at).control.and_then(|control| control.challenge);
        sends(&self.evc, &self.device, &self.tpm, challenged.expect(at).nonce);
        let answer = self.polled(at);
        self.keys(&answer)
    }
}

fn gives_evidence(evc: &Evc, device: &mut Device, tpm: &FakeTpm) {
    let nonce = device.challenged(evc);
    sends(evc, device, tpm, nonce);
}

fn sends(evc: &Evc, device: &Device, tpm: &FakeTpm, nonce: [u8; 32]) {
    device.attest(evc, &AttestRequest::Quote(Box::new(quote(device, tpm, nonce, &pcrs(1)))));
}

/// A vault is made, and one is rotated, whatever became of keys of before; and a device comes, with default vaults of its own.
fn new_keys_are_made(evc: &Evc, at: &str) {
    evc.apply("kind: Vault\nname: anew\ndevice: edge-1\npolicy: plain\n");
    let rotate = evc.operator(
        "POST",
        "/devices/edge-1/vaults/anew/rotate",
        r#"{"force":true,"confirm":"anew"}"#,
        Some(&evc.token),
    );
    assert_eq!(rotate.status, 200, "{at}: a key is made");
    let mut other = Device::onboarded(evc, "other");
    let section = other.attested(evc);
    assert!(other.keys(&section, "config").is_some(), "{at}: another device's first keys go out");
}

fn shown(evc: &Evc, at: &str) -> Vec<(&'static str, String)> {
    evc.app.glances.count_anew();
    let shown = LISTS.iter().map(|list| {
        let answer = evc.operator("GET", list, "", Some(&evc.token));
        assert_eq!(answer.status, 200, "{at}: {list}");
        let _: Value = serde_json::from_slice(&answer.body).expect("JSON");
        (*list, String::from_utf8(answer.body).expect("text"))
    });
    shown.collect()
}

/// Invariant 6, each column of each table.
#[test]
fn a_damaged_row_withholds_what_needs_it_and_nothing_else() {
    for Table { name, row, idle, keys, anew, told } in TABLES {
        let columns = damages(&Evc::start(), name);
        for (column, value) in columns {
            let at = format!("{name}.{column}");
            let mut scene = Scene::new();
            sql(scene.evc.dir.path(), &[&format!("UPDATE OR REPLACE {name} SET {column} = {value} {row}")]);
            let is_idle = idle.contains(&column.as_str());
            let answer = scene.polled(&at);
            assert_eq!(
                scene.keys(&answer),
                if is_idle { Some([true, true]) } else { keys },
                "{at}: this session"
            );
            scene.is_heard(&at);
            let again = scene.gives_evidence_anew(&at);
            let anew = if is_idle { [true, true] } else { anew };
            assert_eq!(again.unwrap_or_default(), anew, "{at}: a new session");
            let lists = shown(&scene.evc, &at);
            if let Some((list, words)) = told.filter(|_| !is_idle) {
                let (_, shown) = lists.iter().find(|(path, _)| *path == list).expect("a list");
                assert!(shown.contains(words), "{at}: {list}: {shown}");
            }
            new_keys_are_made(&scene.evc, &at);
        }
    }
}

/// The bundle that is asked back is the damaged one: that is said in its place, and the rest of the answer is as it was.
#[test]
fn a_damaged_bundle_that_is_asked_back_keeps_no_key_back() {
    let unnoted = "has = NULL, project = CAST(x'ff21' AS TEXT)";
    for damage in ["received_at = -7", "sealed = x'00'", "has = 'no'", unnoted] {
        let mut scene = Scene::new();
        sql(scene.evc.dir.path(), &[&format!("UPDATE bundles SET {damage}")]);
        scene.device.rescue = Some(Generation(2));
        let answer = scene.polled(damage);
        assert_eq!(scene.keys(&answer), Some([true, true]), "{damage}");
        let control = answer.control.expect("control");
        assert!(control.rescue.is_none(), "{damage}");
        assert!(control.no_rescue == Some(Cause::BundleUnopened), "{damage}: {:?}", control.no_rescue);
        scene.is_heard(damage);
    }
}

/// Threats, Controller: one damaged policy does not keep out all new devices that a rule names; what it has is given once it is mended.
#[test]
fn a_damaged_policy_of_a_rule_keeps_nobody_from_registering() {
    let evc = Evc::start();
    evc.apply("kind: VaultPolicy\nname: q\ncustody: controller\n---\nkind: Vault\nname: ruled\ndevices: { site: berlin }\npolicy: q\n");
    sql(evc.dir.path(), &["UPDATE policies SET canonical = 'x' WHERE name = 'q'"]);
    let device = Device::new("edge-1");
    let allow = serde_json::json!({ "cert_pem": device.onboard.pem, "serial": device.serial, "name": "edge-1", "labels": { "site": "berlin" } });
    evc.act("POST", "/onboarding", &allow.to_string());
    assert_eq!(device.register(&evc), 201);
}
