//! Devices of every kind, for whom everything can be asked.

use evc::clock::now;
use evc::store::{Alarm, ReferenceRow, ReferenceState};
use serde_json::json;
use vault::escrow::drill::{DrillAnswer, Proof};
use vault::ids::{DeviceId, Generation, Project, VaultId};
use vault::report::State;
use vault::section::Section;
use wire::attest::{AttestRequest, AttestResponse, StoreKeysCode};

use super::common::escrowed::{BYTES, id_of, sealed, upload};
use super::common::quoting::{FakeTpm, named_with_tpm, pcrs, quote};
use super::common::{Device, Evc, section};

pub(crate) const POLICIES: &str = "kind: VaultPolicy\nname: p\ncustody: controller\n---\nkind: VaultPolicy\nname: unused\ncustody: controller\n---\n\
     kind: VaultPolicy\nname: tpm\ncustody: tpm\n---\nkind: VaultPolicy\nname: both\ncustody: tpm+controller\n";
/// Gives a vault to whoever has the label.
const RULE: &str = "---\nkind: Vault\nname: of-a-rule\ndevices: { site: berlin }\npolicy: p\n";
/// One that no list of this controller's names.
pub(crate) const ORPHAN: &str = "orphan";

/// As which the node of `elsewhere` knows itself.
pub(crate) const HELD_TO: DeviceId = DeviceId(uuid::Uuid::from_u128(0x90));

pub(crate) fn vault(name: &str, device: &str) -> String {
    format!("---\nkind: Vault\nname: {name}\ndevice: {device}\npolicy: p\n")
}

/// The devices of a controller.
pub(crate) struct Fleet {
    /// `edge-1`, at work, without a TPM; the section that it has.
    pub(crate) worker: (Device, Section),
    /// `edge-2`, which gave no evidence.
    pub(crate) unattested: Device,
    /// `edge-4`, of which nothing was heard since it registered.
    pub(crate) unasked: Device,
    /// `away`, a lost one, that two seem to be, with a vault and a bundle.
    pub(crate) away: Device,
    /// `sealed`, with a TPM, an approved boot, bundles of two generations, and an orphan.
    pub(crate) sealed: (Device, FakeTpm, Section),
    /// Its answer to the drill that it was asked for.
    pub(crate) drilled: DrillAnswer,
    /// `gone`, which was deleted and may come again.
    pub(crate) gone: Device,
}

impl Fleet {
    pub(crate) fn at_work(evc: &Evc) -> Self {
        let worker = worker(evc);
        let (unattested, unasked) = (Device::onboarded(evc, "edge-2"), Device::onboarded(evc, "edge-4"));
        let (sealed, drilled) = with_escrow(evc);
        let (away, gone) = (away(evc), gone(evc));
        elsewhere(evc);
        Self { worker, unattested, unasked, away, sealed, drilled, gone }
    }
}

/// With a key that has yet to go out, a vault that is lost, one that is ordered anew, one in its grace, and a boot that nobody approved yet.
fn worker(evc: &Evc) -> (Device, Section) {
    let mut device = Device::onboarded(evc, "edge-1");
    let vaults = ["payments", "lost", "given-up", "old"].map(|name| vault(name, "edge-1"));
    evc.apply(&(POLICIES.to_owned() + &vaults.concat() + RULE));
    let section = device.attested(evc);
    let state =
        |name: &str| if matches!(name, "lost" | "given-up") { State::Missing } else { State::Unlocked };
    assert_eq!(evc.post(&device.own("info"), &device.reported(&section, 1, state)).status, 201);
    evc.act("POST", "/devices/edge-1/vaults/payments/rotate", "");
    evc.act("POST", "/devices/edge-1/vaults/given-up/recreate?confirm=given-up", "");
    evc.act("DELETE", "/devices/edge-1/vaults/old", "");
    let pending = ReferenceRow {
        id: 0,
        project: Project::default(),
        device: device.id,
        pcrs: evc::store::Pcrs([(0, [0xa5; 32].into()), (4, [0xa5; 32].into())].into()),
        state: ReferenceState::Pending,
        learned_at: now(),
        decided_at: None,
    };
    evc.meddle(|tx| tx.add_reference(&pending));
    (device, section)
}

fn with_escrow(evc: &Evc) -> ((Device, FakeTpm, Section), DrillAnswer) {
    let (mut device, tpm) = named_with_tpm(evc, "sealed");
    evc.apply("kind: Vault\nname: logs\ndevice: sealed\npolicy: both\n");
    let nonce = device.challenged(evc);
    let evidence = AttestRequest::Quote(Box::new(quote(&device, &tpm, nonce, &pcrs(1))));
    assert!(matches!(device.attest(evc, &evidence), AttestResponse::Quote(_)));
    let learned = evc.act("GET", "/references?device=sealed", "")[0]["id"].clone();
    evc.act("POST", &format!("/references/{learned}/approve"), "");
    let listed = section(&device.poll(evc).expect("an answer")).expect("a section");
    for (generation, bytes) in [(1, b"of before".as_slice()), (2, BYTES)] {
        assert_eq!(upload(evc, &device, sealed(evc, &device, generation, bytes)), StoreKeysCode::Success);
    }
    (device.held, device.drills) = (Some(id_of(2, BYTES)), true);
    device.tell(evc, &with_an_orphan(&device, &listed));
    evc.act("POST", "/devices/sealed/escrow/drill", "");
    let control = device.poll(evc).expect("an answer").control.expect("control");
    let asked = control.drill.expect("a drill");
    let proof = Proof::of(asked.nonce, &device.session.session_key().0, Generation(2), BYTES);
    let answer = DrillAnswer { nonce: asked.nonce, bundle: asked.bundle.id, outcome: Ok(proof) };
    ((device, tpm, listed), answer)
}

fn with_an_orphan(device: &Device, section: &Section) -> wire::info::DeviceInfo {
    let mut section = section.clone();
    let mut orphan = section.vaults[0].clone();
    (orphan.id, orphan.name) = (VaultId(uuid::Uuid::from_u128(7)), ORPHAN.parse().expect("a name"));
    let id = orphan.id;
    section.vaults.push(orphan);
    let mut info = device.info(&section, 1);
    let reports = info.vaults.iter_mut().filter_map(|line| line.report.as_mut());
    reports.filter(|report| report.id == id).for_each(|it| (it.state, it.epoch) = (State::Orphan, None));
    info
}

fn away(evc: &Evc) -> Device {
    let away = Device::onboarded(evc, "away");
    evc.apply(&vault("far", "away"));
    assert_eq!(upload(evc, &away, sealed(evc, &away, 1, BYTES)), StoreKeysCode::Success);
    evc.act("POST", "/devices/away/lost", "");
    let two = Alarm::Told("two of one key".into());
    evc.meddle(|tx| tx.set_alarm(away.id, Some(&two)));
    away
}

/// `elsewhere`, whose node holds to the lists of another device.
fn elsewhere(evc: &Evc) {
    let mut device = Device::onboarded(evc, "elsewhere");
    evc.apply(&vault("there", "elsewhere"));
    let section = device.attested(evc);
    assert_eq!(upload(evc, &device, sealed(evc, &device, 1, BYTES)), StoreKeysCode::Success);
    let mut info = device.info(&section, 1);
    info.node.as_mut().expect("ours").accepted_for = Some(HELD_TO);
    device.tell(evc, &info);
}

fn gone(evc: &Evc) -> Device {
    let gone = Device::onboarded(evc, "gone");
    evc.apply(&vault("kept", "gone"));
    assert_eq!(upload(evc, &gone, sealed(evc, &gone, 1, BYTES)), StoreKeysCode::Success);
    evc.act("DELETE", "/devices/gone?force=true&confirm=gone", "");
    let allow =
        json!({ "cert_pem": gone.onboard.pem, "serial": gone.serial, "name": "gone", "give_back": true });
    evc.act("POST", "/onboarding", &allow.to_string());
    gone
}

/// One that it is given for evidence.
pub(crate) fn nonce(evc: &Evc, device: &Device) -> [u8; 32] {
    let AttestResponse::Nonce(nonce) = device.attest(evc, &AttestRequest::Nonce) else { panic!("no nonce") };
    nonce.try_into().expect("32 bytes")
}
