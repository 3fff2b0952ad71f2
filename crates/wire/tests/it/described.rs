//! What golden messages say, in the words of their descriptions: our checked types written as protojson, and held against the
//! description field by field. What our types do not hold of EVE's messages is listed, path by path.

mod info;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use wire::attest::{
    AttestRequest, AttestResponse, DeviceCert, DeviceCertKind, EscrowKey, PcrAlgorithm, PcrValue, Quote,
    QuoteAnswer, QuoteCode, StoreKeys, StoreKeysCode, Version, VersionKind,
};
use wire::cert::short_hash;
use wire::certs::encode_list;
use wire::config::{ConfigRequest, ConfigResponse, DeviceConfig};
use wire::info::Info;
use wire::register::{Register, UuidResponse, decode_uuid_request};

use crate::common::bytes_field;

/// Of each message, the paths that our types leave out; list indices do not count.
fn left_out(message: &str) -> &'static [&'static str] {
    match message {
        "ZAttestReq" => &["certs.hashAlgo", "certs.attributes", "quote.event_log", "quote.gps_info"],
        "EdgeDevConfig" => &[
            "apps",
            "cipherContexts",
            "configItems",
            "config_timestamp",
            "contentInfo",
            "controller_epoch",
            "controllercert_confighash",
            "datastores",
            "device_name",
            "reboot",
            "volumes",
        ],
        "ZInfoMsg" => &[
            "dinfo.HostName",
            "dinfo.api_capability",
            "dinfo.attestation_info.error.severity",
            "dinfo.attestation_info.error.timestamp",
            "dinfo.cpuArch",
            "dinfo.dataSecAtRestInfo.info",
            "dinfo.dataSecAtRestInfo.status",
            "dinfo.dataSecAtRestInfo.vaultList.vaultErr.entities",
            "dinfo.dataSecAtRestInfo.vaultList.vaultErr.retry_condition",
            "dinfo.dataSecAtRestInfo.vaultList.vaultErr.severity",
            "dinfo.dataSecAtRestInfo.vaultList.vaultErr.timestamp",
            "dinfo.last_boot_reason",
            "dinfo.machineArch",
            "dinfo.maintenance_mode",
            "dinfo.maintenance_mode_reason",
            "dinfo.maintenance_mode_reasons",
            "dinfo.memory",
            "dinfo.ncpu",
            "dinfo.platform",
            "dinfo.powerCycleCounter",
            "dinfo.restartCounter",
            "dinfo.sec_info",
            "dinfo.state",
        ],
        _ => &[],
    }
}

/// The message, named as in EVE's protocol, says what its description says.
pub(crate) fn assert_says(message: &str, bytes: &[u8], description: &Value, what: &str) {
    let message = message.rsplit('.').next().unwrap();
    let said = match message {
        "ZAttestReq" => request(&AttestRequest::decode(bytes).unwrap()),
        "ZAttestResponse" => answer(&AttestResponse::decode(bytes).unwrap()),
        "ConfigRequest" => config_request(&ConfigRequest::decode(bytes).unwrap()),
        "ConfigResponse" => return config_response(bytes, description, what),
        "EdgeDevConfig" => {
            // Read only ever inside its answer.
            let answer = [bytes_field(1, bytes), bytes_field(2, b"hash")].concat();
            config(&ConfigResponse::decode(&answer).unwrap().config.unwrap())
        }
        "ZControllerCert" => return assert_eq!(hex::encode(list(description)), hex::encode(bytes), "{what}"),
        "ZInfoMsg" => info::info(&Info::decode(bytes).unwrap(), description),
        "ZRegisterMsg" => register(&Register::decode(bytes).unwrap()),
        "UuidRequest" => {
            decode_uuid_request(bytes).unwrap();
            json!({})
        }
        "UuidResponse" => uuid(&UuidResponse::decode(bytes).unwrap()),
        other => panic!("{what}: no test for golden messages of type {other}"),
    };
    assert_eq!(said, without(description, "", left_out(message)), "{what}");
}

/// The description without some paths.
fn without(value: &Value, path: &str, paths: &[&str]) -> Value {
    match value {
        Value::Array(all) => all.iter().map(|one| without(one, path, paths)).collect(),
        Value::Object(fields) => {
            let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
            let kept = fields.iter().filter(|(name, _)| !paths.contains(&below(name).as_str()));
            kept.map(|(name, value)| (name.clone(), without(value, &below(name), paths))).collect()
        }
        other => other.clone(),
    }
}

/// An object as protojson writes it: without what is zero, empty or absent.
fn fields<const N: usize>(fields: [(&str, Value); N]) -> Value {
    let zero = [Value::Null, json!(0), json!(""), json!([]), json!(false)];
    let kept = fields.into_iter().filter(|(_, value)| !zero.contains(value));
    Value::Object(kept.map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>())
}

fn all<T>(list: &[T], one: impl Fn(&T) -> Value) -> Value {
    list.iter().map(one).collect()
}

fn base64(bytes: &[u8]) -> Value {
    json!(STANDARD.encode(bytes))
}

fn request(request: &AttestRequest) -> Value {
    match request {
        AttestRequest::Certs(certs) => {
            fields([("reqType", json!("ATTEST_REQ_CERT")), ("certs", all(certs, cert))])
        }
        AttestRequest::Nonce => fields([("reqType", json!("ATTEST_REQ_NONCE"))]),
        AttestRequest::Quote(sent) => {
            fields([("reqType", json!("ATTEST_REQ_QUOTE")), ("quote", quote(sent))])
        }
        AttestRequest::StoreKeys(keys) => {
            fields([("reqType", json!("Z_ATTEST_REQ_TYPE_STORE_KEYS")), ("storage_keys", store_keys(keys))])
        }
    }
}

fn cert(cert: &DeviceCert) -> Value {
    let kind = match cert.kind {
        DeviceCertKind::Onboarding => "CERT_TYPE_DEVICE_ONBOARDING",
        DeviceCertKind::Attestation => "CERT_TYPE_DEVICE_RESTRICTED_SIGNING",
        DeviceCertKind::Endorsement => "CERT_TYPE_DEVICE_ENDORSEMENT_RSA",
        DeviceCertKind::Ecdh => "CERT_TYPE_DEVICE_ECDH_EXCHANGE",
    };
    let public = cert
        .tpm_public
        .as_ref()
        .map(|public| json!([{ "type": "Z_CERT_META_DATA_TYPE_TPM2_PUBLIC", "meta_data": base64(public) }]));
    fields([
        ("type", json!(kind)),
        ("cert", base64(&cert.pem)),
        ("certHash", base64(&cert.name)),
        ("meta_data_items", json!(public)),
    ])
}

fn quote(quote: &Quote) -> Value {
    assert_eq!(quote.binding, None, "EVE has no extension of ours");
    fields([
        ("attestData", base64(&quote.attest_data)),
        ("signature", base64(&quote.signature)),
        ("pcr_values", all(&quote.pcr_values, pcr)),
        ("versions", all(&quote.versions, version)),
        ("tpm_binary_event_log", base64(&quote.event_log_gzip)),
    ])
}

fn pcr(pcr: &PcrValue) -> Value {
    let bank = match pcr.algorithm {
        PcrAlgorithm::Sha1 => "TPM_HASH_ALGO_SHA1",
        PcrAlgorithm::Sha256 => "TPM_HASH_ALGO_SHA256",
        PcrAlgorithm::Sha384 => "TPM_HASH_ALGO_SHA384",
        PcrAlgorithm::Sha512 => "TPM_HASH_ALGO_SHA512",
    };
    fields([("index", json!(pcr.index)), ("hash_algo", json!(bank)), ("value", base64(&pcr.value))])
}

fn version(version: &Version) -> Value {
    let kind = match version.kind {
        VersionKind::Eve => json!("ATTEST_VERSION_TYPE_EVE"),
        VersionKind::Firmware => json!("ATTEST_VERSION_TYPE_FIRMWARE"),
        VersionKind::EveOrigin => json!("ATTEST_VERSION_TYPE_EVE_ORIGIN"),
        VersionKind::Other(kind) => json!(kind),
    };
    fields([("version_type", kind), ("version", json!(version.text))])
}

fn store_keys(keys: &StoreKeys) -> Value {
    fields([("integrity_token", base64(&keys.integrity_token)), ("keys", all(&keys.keys, escrow_key))])
}

fn escrow_key(key: &EscrowKey) -> Value {
    let policy = key.pcr_policy.as_ref();
    let list = policy.map(|policy| json!({ "pcr_indices": policy.pcrs, "policy_id": policy.id }));
    fields([
        ("key_type", json!("ATTEST_VOLUME_KEY_TYPE_VSK")),
        ("key", base64(&key.key)),
        ("has_policy_pcr_list", json!(policy.is_some())),
        ("policy_pcr_list", json!(list)),
    ])
}

fn answer(answer: &AttestResponse) -> Value {
    match answer {
        AttestResponse::Certs => json!({ "respType": "ATTEST_RESP_CERT" }),
        AttestResponse::Nonce(nonce) => {
            json!({ "respType": "ATTEST_RESP_NONCE", "nonce": { "nonce": base64(nonce) } })
        }
        AttestResponse::Quote(answer) => {
            json!({ "respType": "ATTEST_RESP_QUOTE_RESP", "quoteResp": quote_answer(answer) })
        }
        AttestResponse::StoreKeys(code) => {
            let code = match code {
                StoreKeysCode::Invalid => "",
                StoreKeysCode::Success => "ATTEST_STORAGE_KEYS_RESPONSE_CODE_SUCCESS",
                StoreKeysCode::TokenMismatch => "ATTEST_STORAGE_KEYS_RESPONSE_CODE_ITOKEN_MISMATCH",
            };
            let answer = fields([("response", json!(code))]);
            json!({ "respType": "Z_ATTEST_RESP_TYPE_STORE_KEYS", "storage_keys_resp": answer })
        }
    }
}

fn quote_answer(answer: &QuoteAnswer) -> Value {
    assert_eq!(answer.verdict, None, "EVE's controller has no extension of ours");
    let code = match answer.code {
        QuoteCode::Invalid => "",
        QuoteCode::Success => "Z_ATTEST_RESPONSE_CODE_SUCCESS",
        QuoteCode::NonceMismatch => "Z_ATTEST_RESPONSE_CODE_NONCE_MISMATCH",
        QuoteCode::NoCertFound => "Z_ATTEST_RESPONSE_CODE_NO_CERT_FOUND",
        QuoteCode::QuoteFailed => "Z_ATTEST_RESPONSE_CODE_QUOTE_FAILED",
    };
    fields([
        ("response", json!(code)),
        ("integrity_token", base64(&answer.integrity_token)),
        ("keys", all(&answer.keys, escrow_key)),
    ])
}

fn config_request(request: &ConfigRequest) -> Value {
    assert_eq!(request.vault, None, "EVE has no extension of ours");
    fields([
        ("configHash", json!(request.config_hash)),
        ("integrity_token", base64(&request.integrity_token)),
    ])
}

fn config_response(bytes: &[u8], description: &Value, what: &str) {
    let response = ConfigResponse::decode(bytes).unwrap();
    assert_eq!(json!(response.config_hash), description["configHash"], "{what}");
    let said = response.config.as_ref().map(config);
    let described = description.get("config").map(|one| without(one, "", left_out("EdgeDevConfig")));
    assert_eq!(said, described, "{what}");
}

fn config(config: &DeviceConfig) -> Value {
    let device = config.device().map(|device| device.to_string());
    fields([("id", fields([("uuid", json!(device)), ("version", json!(config.version()))]))])
}

/// A list of certificates, written by us as it is described: its hashes are ours.
fn list(description: &Value) -> Vec<u8> {
    let certs: Vec<_> = description["certs"].as_array().unwrap().iter().map(described_cert).collect();
    let of_kind = |kind: &str| -> Vec<&[u8]> {
        certs.iter().filter(|(found, _)| *found == kind).map(|(_, pem)| pem.as_slice()).collect()
    };
    let signing = of_kind("CERT_TYPE_CONTROLLER_SIGNING")[0];
    let intermediates = of_kind("CERT_TYPE_CONTROLLER_INTERMEDIATE");
    encode_list(signing, &intermediates, &of_kind("CERT_TYPE_CONTROLLER_ECDH_EXCHANGE"))
}

/// Kind and PEM of a described certificate, whose hash is described as we make it.
fn described_cert(cert: &Value) -> (&str, Vec<u8>) {
    let pem = STANDARD.decode(cert["cert"].as_str().unwrap()).unwrap();
    assert_eq!(cert["certHash"], base64(&short_hash(&pem)));
    assert_eq!(cert["hashAlgo"], "HASH_ALGORITHM_SHA256_16BYTES");
    (cert["type"].as_str().unwrap(), pem)
}

fn register(register: &Register) -> Value {
    fields([
        ("pemCert", base64(STANDARD.encode(register.device_pem()).as_bytes())),
        ("serial", json!(register.serial())),
        ("softSerial", json!(register.soft_serial())),
    ])
}

fn uuid(answer: &UuidResponse) -> Value {
    fields([
        ("uuid", json!(answer.device.to_string())),
        ("manufacturer", json!(answer.manufacturer)),
        ("product_name", json!(answer.product_name)),
    ])
}
