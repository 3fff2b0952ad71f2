//! What a node reads out of a courier's file, and writes into one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use vault::section::Section;
use wire::attest::AttestRequest;
use wire::config::{ConfigResponse, SignedConfig};
use wire::courier::{CourierAnswer, CourierEvidence};

use super::{Device, Evc};

/// What a node reads out of a file.
pub(crate) fn read(evc: &Evc, made: &Value) -> ConfigResponse {
    let bytes = STANDARD.decode(made["file"].as_str().expect("a file")).expect("base64");
    let CourierAnswer { certs, envelope } = CourierAnswer::decode(&bytes).expect("an answer");
    assert_eq!(certs, evc.trusted().bytes());
    SignedConfig::verify(&envelope, &evc.trusted()).expect("signed").response().clone()
}

/// Of its challenge.
pub(crate) fn nonce(response: &ConfigResponse) -> [u8; 32] {
    let control = response.control.as_ref().expect("control");
    control.challenge.as_ref().expect("a challenge").nonce
}

/// What a node writes over a challenge.
pub(crate) fn parts(device: &Device, nonce: [u8; 32]) -> CourierEvidence {
    let quote = device.evidence(nonce, device.session.session_key());
    let quote = device.seal(&AttestRequest::Quote(Box::new(quote)).encode());
    let mut info = device.info(&nothing(device), 1);
    info.node.as_mut().expect("ours").accepted = None;
    let report = device.seal(&info.encode());
    CourierEvidence { keys: vec![], quote, report, poll: device.seal(&device.ask()) }
}

/// Before any section was heard.
pub(crate) fn nothing(device: &Device) -> Section {
    let version = vault::ids::SectionVersion { incarnation: vault::ids::Incarnation([1; 16]), version: 0 };
    Section {
        device: device.id,
        device_key: device.key.cert.public_key().name(),
        session: device.session.session_key(),
        version,
        follows: None,
        vaults: vec![],
        removed: Default::default(),
        lease: None,
    }
}

/// The request that brings a file.
pub(crate) fn body(parts: &CourierEvidence) -> String {
    json!({ "file": STANDARD.encode(parts.encode().expect("fits")) }).to_string()
}
