//! Golden envelopes and a golden exchange of EVE and its controller, the bad ones too.

use wire::attest::{AttestRequest, AttestResponse};
use wire::certs::open_answer;
use wire::config::{ConfigRequest, ConfigResponse, SignedConfig};
use wire::envelope::{DeviceEnvelope, EnvelopeError, open_from_controller};
use wire::info::Info;
use wire::register::{Register, UuidResponse, decode_uuid_request};
use wire::{Certificate, ControllerCerts, Validity};

use crate::common::*;
use crate::described::assert_says;

/// EVE's verdict on 18 envelopes is ours, but where the row says why not.
#[test]
fn mutated_envelopes_get_eves_verdict_or_a_stricter_one() {
    let stricter =
        [("signature-extra-leading-zero-in-s.bin", "r || s is 64 bytes: one form for one signature")];
    let trusted = golden_trust();
    let verdicts = vector_json("authcontainer/verdicts/verdicts.json");
    let cases = verdicts["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 18);
    for case in cases {
        let file = case["file"].as_str().unwrap();
        let opened = open_from_controller(&vector(&format!("authcontainer/verdicts/{file}")), &trusted);
        if let Some((_, reason)) = stricter.iter().find(|(name, _)| *name == file) {
            assert!(opened.is_err(), "{file}: {reason}");
            continue;
        }
        assert_eq!(opened.is_ok(), case["eve_accepts"].as_bool().unwrap(), "{file}: {opened:?}");
        if let Err(error) = opened {
            let status = case["eve_status"].as_str().unwrap();
            assert!(matches_status(&error, status), "{file}: {error:?} is not {status}");
        }
    }
}

fn matches_status(error: &EnvelopeError, status: &str) -> bool {
    use EnvelopeError::{Algorithm, BadSignature, HashLength, NoPayload, SignatureLength, UnknownSender};
    match status {
        "SenderStatusCertMiss" => matches!(error, UnknownSender),
        "SenderStatusAlgoFail" => matches!(error, Algorithm(_)),
        "SenderStatusHashSizeError" => matches!(error, HashLength(_)),
        "SenderStatusSignVerifyFail" => matches!(error, BadSignature | SignatureLength(_) | NoPayload),
        panic => panic.starts_with("PANIC") && matches!(error, SignatureLength(_)),
    }
}

#[test]
fn lists_of_certificates_get_eves_verdict() {
    let root = vector("keys/root-ca.cert.pem");
    let chains = vector_json("authcontainer/chains/chains.json");
    let cases = chains["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 13);
    for case in cases {
        let file = case["file"].as_str().unwrap();
        let list = vector(&format!("authcontainer/chains/{file}"));
        for validity in [Validity::At(IN_2027), Validity::Ignored] {
            let trusted = ControllerCerts::decode(&list).and_then(|certs| certs.verify(&root, validity));
            let accepts = case["eve_accepts"].as_bool().unwrap();
            assert_eq!(trusted.is_ok(), accepts, "{file} {validity:?}: {trusted:?}");
            if let Ok(trusted) = trusted {
                assert_eq!(hex::encode(trusted.signing_hash()), case["signing_cert_hash_hex"], "{file}");
                assert_eq!(trusted.bytes(), list);
            }
        }
    }
}

/// Every golden envelope opens with the certificate that its description names, to what it describes.
#[test]
fn envelopes_verify_and_hold_what_is_described() {
    let of_folder = std::fs::read_dir(path("authcontainer")).unwrap().map(|entry| entry.unwrap().file_name());
    let names =
        of_folder.filter_map(|name| Some(format!("authcontainer/{}", name.to_str()?.strip_suffix(".bin")?)));
    for name in names.chain(["tpm/authcontainer-signed-by-tpm".to_owned()]) {
        let (bytes, golden) = (vector(&format!("{name}.bin")), vector_json(&format!("{name}.json")));
        let signer = golden["signer_cert"].as_str().unwrap().trim_start_matches("../");
        let payload = match signer {
            "keys/controller-signing.cert.pem" => {
                let trusted = golden_trust();
                assert_eq!(hex::encode(trusted.signing_hash()), golden["decoded"]["sender_cert_hash_hex"]);
                open_from_controller(&bytes, &trusted).unwrap()
            }
            signer => opened_from_device(&bytes, &golden, &Certificate::from_pem(&vector(signer)).unwrap()),
        };
        assert_eq!(hex::encode(&payload), golden["decoded"]["payload_hex"].as_str().unwrap(), "{name}");
        if let Some(said) = golden.get("payload_json") {
            assert_says(golden["payload_message"].as_str().unwrap(), &payload, said, &name);
        }
    }
}

fn opened_from_device(bytes: &[u8], golden: &serde_json::Value, signer: &Certificate) -> Vec<u8> {
    let envelope = DeviceEnvelope::parse(bytes).unwrap();
    assert_eq!(envelope.sender().to_string(), golden["decoded"]["sender_cert_hash_hex"]);
    match golden["decoded"].get("sender_cert_ascii") {
        None => envelope.verify(signer).unwrap(),
        Some(_) => {
            let (onboard, payload) = envelope.verify_registration().unwrap();
            assert_eq!(&onboard, signer);
            payload
        }
    }
}

#[test]
fn an_answer_of_certs_opens_by_what_is_in_it() {
    let answer = vector("authcontainer/controller-certs-response.bin");
    open_answer(&answer, &vector("keys/root-ca.cert.pem"), Validity::At(IN_2027)).unwrap();
}

/// The whole exchange of EVE and Adam: every request verifies as at a controller, every answer as at a device.
#[test]
fn a_whole_exchange_is_read_from_both_ends() {
    let root = vector("keys/root-ca.cert.pem");
    let trusted = open_answer(&vector("flow-soft/02-certs.resp.bin"), &root, Validity::At(IN_2027)).unwrap();
    let device = Certificate::from_pem(&vector("keys/device.cert.pem")).unwrap();
    let mut read = 0;
    for step in vector_json("flow-soft/flow.json")["steps"].as_array().unwrap() {
        if let Some(file) = step["request_body"].as_str() {
            let envelope = DeviceEnvelope::parse(&vector(&format!("flow-soft/{file}"))).unwrap();
            let payload = match step["path"].as_str().unwrap().ends_with("/register") {
                true => envelope.verify_registration().unwrap().1,
                false => envelope.verify(&device).unwrap(),
            };
            let message = step["request_message"].as_str().unwrap();
            read_request(message, &payload);
            assert_says(message, &payload, &step["request_json"], file);
            read += 1;
        }
        if let Some(file) = step["response_body"].as_str() {
            let envelope = vector(&format!("flow-soft/{file}"));
            let payload = open_from_controller(&envelope, &trusted).unwrap();
            let message = step["response_message"].as_str().unwrap();
            read_answer(message, &payload);
            assert_says(message, &payload, &step["response_json"], file);
            read += 1;
        }
    }
    assert_eq!(read, 28, "bodies read");
    let config = SignedConfig::verify(&vector("flow-soft/13-config-first.resp.bin"), &trusted).unwrap();
    assert_eq!(config.envelope(), vector("flow-soft/13-config-first.resp.bin"));
    assert!(config.response().config.is_some());
}

fn read_request(message: &str, payload: &[u8]) {
    match message.rsplit('.').next().unwrap() {
        "UuidRequest" => decode_uuid_request(payload).unwrap(),
        "ZRegisterMsg" => assert_eq!(Register::decode(payload).unwrap().encode(), payload),
        "ConfigRequest" => assert_eq!(ConfigRequest::decode(payload).unwrap().encode(), payload),
        "ZAttestReq" => assert_eq!(AttestRequest::decode(payload).unwrap().encode(), payload),
        "ZInfoMsg" => assert!(matches!(Info::decode(payload), Ok(Info::Device(_)))),
        other => panic!("{other}"),
    }
}

fn read_answer(message: &str, payload: &[u8]) {
    match message.rsplit('.').next().unwrap() {
        "ZControllerCert" => assert!(ControllerCerts::decode(payload).is_ok()),
        "UuidResponse" => assert_eq!(UuidResponse::decode(payload).unwrap().encode(), payload),
        "ConfigResponse" => assert_eq!(ConfigResponse::decode(payload).unwrap().encode(), payload),
        "ZAttestResponse" => assert_eq!(AttestResponse::decode(payload).unwrap().encode(), payload),
        other => panic!("{other}"),
    }
}
