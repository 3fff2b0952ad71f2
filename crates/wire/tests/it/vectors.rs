//! Golden bytes made by EVE's and Adam's own code: messages, envelopes, chains, a whole exchange, a TPM's signature.
//! Not here, because object encryption and escrow are not built yet: `cipher/*`, `messages/attestvolumekeydata-*`,
//! `tpm/vaultkey-escrow-tpm`, `tpm/sealed-disk-key`; quotes are read by the `attest` crate (`tpm/quote.*`).

use std::collections::BTreeSet;
use std::path::PathBuf;

use wire::attest::{AttestRequest, AttestResponse, QuoteCode, StoreKeysCode, VersionKind};
use wire::certs::encode_list;
use wire::config::{ConfigRequest, ConfigResponse};
use wire::info::{AtRest, AttestationState, DeviceInfo, Info, PcrStatus, TpmPresence};
use wire::register::{Register, UuidResponse, decode_uuid_request, uuid_request};

use crate::common::{bytes_field, vector};

/// What becomes of a golden message when it is read and written again.
enum Outcome {
    /// The same bytes.
    Same(Vec<u8>),
    /// It is read, and what it says is asserted elsewhere: we leave out fields that we do not speak.
    Read,
    /// It is refused, stricter than EVE; the reason.
    Refused(&'static str),
    /// It is of something that is not built yet.
    Later,
}

fn outcome(name: &str, bytes: &[u8]) -> Outcome {
    use Outcome::{Later, Read, Refused, Same};
    match name {
        "attestvolumekeydata-legacy" | "attestvolumekeydata-v1" => Later,
        "zattestreq-none" | "zattestresponse-none" => Refused("type 0 asks for nothing and answers nothing"),
        "zattestreq-quote" | "zattestreq-cert-attributes" => {
            AttestRequest::decode(bytes).unwrap();
            Read
        }
        "uuidrequest" => {
            decode_uuid_request(bytes).unwrap();
            Same(uuid_request())
        }
        "uuidresponse" => Same(UuidResponse::decode(bytes).unwrap().encode()),
        "edgedevconfig" => edge_dev_config(bytes),
        "zcontrollercert" => {
            let (signing, intermediate, ecdh) = ("controller-signing", "intermediate-ca", "controller-ecdh");
            let pem = |name| vector(&format!("keys/{name}.cert.pem"));
            Same(encode_list(&pem(signing), &[&pem(intermediate)], &[&pem(ecdh)]))
        }
        "zregistermsg" => Same(Register::decode(bytes).unwrap().encode()),
        _ if name.starts_with("configrequest") => Same(ConfigRequest::decode(bytes).unwrap().encode()),
        _ if name.starts_with("configresponse") => Same(ConfigResponse::decode(bytes).unwrap().encode()),
        _ if name.starts_with("zattestreq-") => Same(AttestRequest::decode(bytes).unwrap().encode()),
        _ if name.starts_with("zattestresponse-") => Same(AttestResponse::decode(bytes).unwrap().encode()),
        _ if name.starts_with("zinfomsg-") => {
            Info::decode(bytes).unwrap();
            Read
        }
        _ => panic!("{name}: no test for this golden message"),
    }
}

/// A configuration is only ever read inside its answer; there its bytes stay as they are.
fn edge_dev_config(bytes: &[u8]) -> Outcome {
    let answer = [bytes_field(1, bytes), bytes_field(2, b"hash")].concat();
    Outcome::Same(ConfigResponse::decode(&answer).unwrap().config.unwrap().bytes().to_vec())
}

fn names(folder: &str) -> BTreeSet<String> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../vectors").join(folder);
    let files =
        std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    files.filter_map(|file| file.strip_suffix(".bin").map(str::to_owned)).collect()
}

#[test]
fn every_golden_message_is_read_and_written_as_eve_does() {
    let mut same = 0;
    for name in names("messages") {
        let bytes = vector(&format!("messages/{name}.bin"));
        match outcome(&name, &bytes) {
            Outcome::Same(again) => {
                assert_eq!(hex::encode(again), hex::encode(&bytes), "{name}");
                same += 1;
            }
            Outcome::Refused(reason) => {
                let refused =
                    AttestRequest::decode(&bytes).is_err() && AttestResponse::decode(&bytes).is_err();
                assert!(refused, "{name}: {reason}");
            }
            Outcome::Read | Outcome::Later => {}
        }
    }
    assert_eq!(same, 25, "golden messages read and written");
}

/// Unknown fields of a config survive to the checkpoint; a section that is none is withheld, not fatal.
#[test]
fn what_is_not_understood_of_a_config_is_kept_and_hides_nothing() {
    let bytes = vector("messages/configresponse-unknown-field-50500.bin");
    let response = ConfigResponse::decode(&bytes).unwrap();
    let config = response.config.as_ref().unwrap();
    assert_eq!(config.device().unwrap().to_string(), "5d0767ee-0547-4569-b530-387e526f8cb9");
    assert_eq!(config.version(), "7");
    assert!(config.section().is_err(), "three bytes are no section");
    assert_eq!(response.encode(), bytes);

    let plain = ConfigResponse::decode(&vector("messages/configresponse.bin")).unwrap();
    assert_eq!(plain.config.unwrap().section(), Ok(None));
    let unchanged = ConfigResponse::decode(&vector("messages/configresponse-unchanged.bin")).unwrap();
    assert_eq!(unchanged.config, None);
    assert!(!unchanged.config_hash.is_empty());
}

#[test]
fn golden_requests_say_what_their_descriptions_say() {
    let request = ConfigRequest::decode(&vector("messages/configrequest.bin")).unwrap();
    assert_eq!(request.config_hash, "m9zvWnTtGxg7x3qWfAcC0yTqWm5r1kR1n3e0m1xJt2I=");
    assert_eq!(request.integrity_token, b"token-0123456789");
    assert_eq!(request.vault, None);

    let register = Register::decode(&vector("messages/zregistermsg.bin")).unwrap();
    assert_eq!((register.serial(), register.soft_serial()), ("SN-000123", "soft-123"));
    assert_eq!(register.device_pem(), vector("keys/device.cert.pem"));

    let AttestRequest::Quote(quote) =
        AttestRequest::decode(&vector("messages/zattestreq-quote.bin")).unwrap()
    else {
        panic!("not a quote")
    };
    assert_eq!(quote.pcr_values.len(), 24);
    assert_eq!(quote.pcr_values[23].value[0], 23);
    let versions: Vec<_> = quote.versions.iter().map(|v| (v.kind, v.text.as_str())).collect();
    assert_eq!(
        versions,
        [(VersionKind::Eve, "16.0.0-kvm-amd64"), (VersionKind::Firmware, "ACME-1.2-01/02/2026")]
    );
    assert_eq!(quote.event_log_gzip, [0x1f, 0x8b, 8, 0]);

    let AttestRequest::Certs(certs) = AttestRequest::decode(&vector("messages/zattestreq-cert.bin")).unwrap()
    else {
        panic!("no certificates")
    };
    assert_eq!(certs[0].pem, vector("keys/device-ecdh.cert.pem"));
    assert_eq!(certs[2].tpm_public.as_deref(), Some([0, 4, 0xde, 0xad, 0xbe, 0xef].as_slice()));
}

#[test]
fn golden_answers_say_what_their_descriptions_say() {
    for (name, code) in [
        ("invalid", QuoteCode::Invalid),
        ("no-cert", QuoteCode::NoCertFound),
        ("nonce-mismatch", QuoteCode::NonceMismatch),
        ("quote-failed", QuoteCode::QuoteFailed),
        ("success", QuoteCode::Success),
    ] {
        let bytes = vector(&format!("messages/zattestresponse-quote-{name}.bin"));
        let AttestResponse::Quote(answer) = AttestResponse::decode(&bytes).unwrap() else { panic!("{name}") };
        assert_eq!(answer.code, code, "{name}");
    }
    for (name, code) in
        [("success", StoreKeysCode::Success), ("itoken-mismatch", StoreKeysCode::TokenMismatch)]
    {
        let bytes = vector(&format!("messages/zattestresponse-store-keys-{name}.bin"));
        assert_eq!(AttestResponse::decode(&bytes), Ok(AttestResponse::StoreKeys(code)), "{name}");
    }
    let bytes = vector("messages/zattestresponse-quote-success-policy.bin");
    let AttestResponse::Quote(answer) = AttestResponse::decode(&bytes).unwrap() else { panic!("no quote") };
    let policy = answer.keys[0].pcr_policy.as_ref().unwrap();
    assert_eq!((policy.pcrs.as_slice(), policy.id), ([0, 2, 4, 7, 8, 9, 13, 14].as_slice(), 42));
}

fn device_info(name: &str) -> DeviceInfo {
    match Info::decode(&vector(&format!("messages/zinfomsg-vault-{name}.bin"))).unwrap() {
        Info::Device(info) => *info,
        other => panic!("{other:?}"),
    }
}

#[test]
fn golden_vault_statuses_are_read_with_go_s_order_of_fields() {
    let enabled = device_info("enabled");
    assert_eq!(enabled.at_unix_s, 1_767_323_045);
    assert_eq!((enabled.tpm, enabled.attestation), (TpmPresence::Enabled, AttestationState::Complete));
    assert_eq!(enabled.vaults[0].name, "Application Data Store");
    assert_eq!((enabled.vaults[0].status, enabled.vaults[0].pcrs), (AtRest::Enabled, PcrStatus::Enabled));
    assert_eq!(enabled.vaults[0].report, None);

    let error = device_info("error");
    assert_eq!(error.vaults[0].status, AtRest::Error);
    assert_eq!(error.vaults[0].error.as_deref(), Some("cannot unseal: PCR 4 differs"));
    assert_eq!(error.attestation_error.as_deref(), Some("quote mismatch"));
    assert_eq!(device_info("disabled").vaults[0].status, AtRest::Disabled);
}
