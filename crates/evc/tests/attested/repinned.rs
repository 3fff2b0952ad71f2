//! Which key a public area is of: what stands beside the point in it says nothing of which key signs.

use super::common::escrowed::{sealed, upload};
use super::*;

/// Of a TPM2B_PUBLIC: size, type, name algorithm, then its attributes.
const ATTRIBUTES: usize = 6;
/// TPMA_OBJECT noDA, which a key that quotes may have or not.
const NO_DA: u32 = 1 << 10;

/// The same key in another area, as its TPM would show it if it had been made so.
fn in_another_area(ak: &[u8]) -> Vec<u8> {
    let mut area = ak.to_vec();
    let (attributes, _) = area[ATTRIBUTES..].split_first_chunk_mut::<4>().expect("attributes");
    *attributes = (u32::from_be_bytes(*attributes) ^ NO_DA).to_be_bytes();
    area
}

/// Attack F6: a key that an operator took off is not pinned again by other words around it, nor under another certificate; another point is
/// another key.
#[test]
fn a_key_that_was_taken_off_is_known_in_any_area() {
    let evc = Evc::start();
    let (device, tpm) = with_tpm(&evc);
    let (own, other) = (tpm.ak(), FakeTpm::new().ak());
    assert_ne!(in_another_area(&own), own);
    evc.act("DELETE", "/devices/edge-1/attestation-key?confirm=edge-1", "");
    for (area, what) in [(own.clone(), "as it was"), (in_another_area(&own), "in another area")] {
        let (status, text) = pin(&evc, &device, &Key::new("AK"), Some(area));
        assert!(status == 403 && text.contains("was taken off by an operator"), "{what}: {text}");
    }
    let mut broken = own.clone();
    broken.pop();
    assert_ne!(pin(&evc, &device, &Key::new("AK"), Some(broken)).0, 201, "what does not read is no key");
    assert_eq!(pin(&evc, &device, &Key::new("AK"), Some(in_another_area(&other))).0, 201, "another point");
}

const RECORDED: &str = "kind: VaultPolicy\nname: p\ncustody: controller\n---\nkind: Vault\nname: day\ndevice: edge-1\npolicy: p\n";

/// Threats, Controller: where no evidence stands (after `evc device repin`), a bundle of a session that is over is taken again, and is the newest.
#[test]
fn a_recorded_bundle_is_not_taken_where_no_evidence_stands() {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    device.attested(&evc);
    let recorded = sealed(&evc, &device, 1, b"of the first session");
    assert_eq!(upload(&evc, &device, recorded.clone()), StoreKeysCode::Success);
    device.session = new_session();
    device.hash.clear();
    device.attested(&evc);
    let newest = sealed(&evc, &device, 1, b"of the second");
    assert_eq!(upload(&evc, &device, newest.clone()), StoreKeysCode::Success);
    assert_eq!(upload(&evc, &device, recorded.clone()), StoreKeysCode::Invalid, "while evidence stands");
    evc.act("DELETE", "/devices/edge-1/attestation-key?confirm=edge-1", "");
    let told = upload(&evc, &device, recorded);
    let held = evc.act("GET", "/devices/edge-1/escrow", "").to_string();
    assert_eq!(told, StoreKeysCode::Invalid, "{held}");
}

/// Threats, Controller: a device that is deleted, let in again and gives evidence: nothing of a session before decides.
#[test]
fn a_device_that_is_given_back_takes_no_recorded_report_or_bundle() {
    let evc = Evc::start();
    let mut device = Device::onboarded(&evc, "edge-1");
    evc.apply(RECORDED);
    let given = device.attested(&evc);
    let recorded = sealed(&evc, &device, 1, b"of the first session");
    upload(&evc, &device, recorded.clone());
    let report = device.reported(&given, 1, |_| vault::report::State::Missing);
    device.session = new_session();
    device.hash.clear();
    let given = device.attested(&evc);
    device.report(&evc, &given, 1);
    upload(&evc, &device, sealed(&evc, &device, 1, b"of the second"));
    evc.act("DELETE", "/devices/edge-1?force=true&confirm=edge-1", "");
    let allow = serde_json::json!({ "cert_pem": device.onboard.pem, "serial": device.serial, "name": "edge-1", "give_back": true });
    evc.act("POST", "/onboarding", &allow.to_string());
    assert_eq!(device.register(&evc), 201);
    assert_ne!(evc.post(&device.own("info"), &report).status, 201, "the report");
    let told = upload(&evc, &device, recorded);
    assert_eq!(told, StoreKeysCode::Invalid, "the bundle");
    device.session = new_session();
    device.hash.clear();
    device.attested(&evc);
    let own = sealed(&evc, &device, 1, b"of the second");
    assert_eq!(upload(&evc, &device, own), StoreKeysCode::Success, "its own, after its evidence");
}

/// Seen-by-users 2: after `evc reference learn` the value that is waited for is not one that was learned before.
#[test]
fn a_wait_for_what_is_learned_is_not_over_by_what_was_learned_before() {
    let evc = Evc::start();
    let (mut device, tpm) = with_tpm(&evc);
    let waits = || {
        let args =
            ["wait", "device", "edge-1", "--for", "learned", "--timeout", "1s", "--url", &evc.url, "--data"];
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_evc"));
        command.args(args).arg(evc.dir.path()).output().expect("ran").status.code()
    };
    round(&evc, &mut device, &tpm, &pcrs(1));
    evc.act("POST", "/references/1/approve", "");
    assert_eq!(waits(), Some(0), "it was learned");
    evc.act("POST", "/devices/edge-1/learn", "");
    assert_eq!(waits(), Some(5), "not again yet");
    device.session = new_session();
    round(&evc, &mut device, &tpm, &pcrs(2));
    assert_eq!(waits(), Some(0), "now it was");
}
