//! A device's report, as protojson.

use serde_json::{Value, json};
use wire::info::{AtRest, AttestationState, DeviceInfo, Info, PcrStatus, TpmPresence, VaultLine};

use super::{all, fields};

pub(super) fn info(info: &Info, description: &Value) -> Value {
    let Info::Device(info) = info else { panic!("{info:?}") };
    // We hold whole seconds.
    let (seconds, described) = (moment(info.at_unix_s), description["atTimeStamp"].as_str().unwrap());
    let at = if described.starts_with(&seconds) { described } else { &seconds };
    json!({
        "ztype": "ZiDevice",
        "devId": info.device.to_string(),
        "atTimeStamp": at,
        "dinfo": device_info(info),
    })
}

fn device_info(info: &DeviceInfo) -> Value {
    assert_eq!(info.node, None, "EVE has no extension of ours");
    let tpm = match info.tpm {
        TpmPresence::Unknown => "",
        TpmPresence::NotFound => "NOTFOUND",
        TpmPresence::Disabled => "DISABLED",
        TpmPresence::Enabled => "ENABLED",
    };
    let state = match info.attestation {
        AttestationState::None => "",
        AttestationState::NonceWait => "ATTESTATION_STATE_NONCE_WAIT",
        AttestationState::QuoteWait => "ATTESTATION_STATE_TPM_QUOTE_WAIT",
        AttestationState::EscrowWait => "ATTESTATION_STATE_TPM_ESCROW_WAIT",
        AttestationState::AttestWait => "ATTESTATION_STATE_ATTEST_WAIT",
        AttestationState::AttestEscrowWait => "ATTESTATION_STATE_ATTEST_ESCROW_WAIT",
        AttestationState::RestartWait => "ATTESTATION_STATE_RESTART_WAIT",
        AttestationState::Complete => "ATTESTATION_STATE_COMPLETE",
    };
    let attestation = fields([("state", json!(state)), ("error", error(info.attestation_error.as_deref()))]);
    fields([
        ("HSMStatus", json!(tpm)),
        ("HSMInfo", json!(info.tpm_info)),
        ("attestation_info", if attestation == json!({}) { Value::Null } else { attestation }),
        ("dataSecAtRestInfo", json!({ "vaultList": all(&info.vaults, vault) })),
    ])
}

fn vault(line: &VaultLine) -> Value {
    assert_eq!(line.report, None, "EVE has no extension of ours");
    let status = match line.status {
        AtRest::Unknown => "",
        AtRest::Disabled => "DATASEC_AT_REST_DISABLED",
        AtRest::Enabled => "DATASEC_AT_REST_ENABLED",
        AtRest::Error => "DATASEC_AT_REST_ERROR",
    };
    let pcrs = match line.pcrs {
        PcrStatus::Unknown => "",
        PcrStatus::Enabled => "PCR_ENABLED",
        PcrStatus::Disabled => "PCR_DISABLED",
    };
    fields([
        ("name", json!(line.name)),
        ("status", json!(status)),
        ("pcrStatus", json!(pcrs)),
        ("vaultErr", error(line.error.as_deref())),
    ])
}

fn error(words: Option<&str>) -> Value {
    json!(words.map(|words| json!({ "description": words })))
}

/// A time as RFC 3339 writes it, but for its fraction and zone.
fn moment(unix_s: u64) -> String {
    let at = x509_parser::time::ASN1Time::from_timestamp(unix_s.try_into().unwrap()).unwrap().to_datetime();
    let (date, (hour, minute, second)) = (at.date(), at.to_hms());
    format!("{date}T{hour:02}:{minute:02}:{second:02}")
}
