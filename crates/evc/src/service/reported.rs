//! What a device reported of itself, as it is kept in its row: JSON for people, bounded, and read back field by field.

use serde_json::{Value, json};
use vault::report::{State, VaultReport};
use wire::info::DeviceInfo;

use crate::store::{DeviceRow, UnixSeconds, VaultRow};

/// Kept JSON; nothing where there is none.
pub(super) fn value(text: Option<&str>) -> Value {
    text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or(Value::Null)
}

/// The states of the default vaults that have no row, as the node told them last.
pub(super) fn default_states(row: &DeviceRow) -> impl Iterator<Item = State> + use<> {
    let report = value(row.report.as_deref());
    let reported = report["vaults"].as_array().cloned().unwrap_or_default().into_iter();
    let parsed = reported.filter_map(|vault| serde_json::from_value::<VaultReport>(vault).ok());
    let defaults = parsed.filter(|vault| vault.id.is_default());
    defaults.map(|vault| vault.state)
}

/// Longest part of a report that speaks of vaults without a row here.
const MAX_STRAYS: usize = 64 << 10;

/// What a device reported of itself, as kept. What it says of a vault is kept in that vault's row; here are its default vaults and
/// those that no row is kept of.
/// While its vaultmgr does not report, what it said last stays, with its time.
pub(super) fn node_json(
    info: &DeviceInfo,
    rows: &[VaultRow],
    before: Option<&str>,
    now: UnixSeconds,
) -> String {
    let has_row = |report: &&VaultReport| rows.iter().any(|row| row.id == report.id);
    let reports = info.vaults.iter().filter_map(|line| line.report.as_ref());
    let (defaults, others): (Vec<_>, Vec<_>) = reports.partition(|report| report.id.is_default());
    let strays = others.into_iter().filter(|report| !has_row(report));
    let mut room = MAX_STRAYS;
    let vaults = defaults.into_iter().chain(strays).map(|report| json!(report)).take_while(|report| {
        let length = report.to_string().len();
        room = room.saturating_sub(length);
        room > 0
    });
    let vaults: Vec<Value> = vaults.collect();
    let (vaults, vaults_received) = match (info.vaults.is_empty(), value(before)) {
        (true, before) if before["vaults"].is_array() => {
            let at = before.get("vaults_received").unwrap_or(&before["received"]).clone();
            (before["vaults"].clone(), at)
        }
        _ => (json!(vaults), crate::clock::text(now).into()),
    };
    let node = info.node.as_ref();
    let accepted = node
        .and_then(|node| node.accepted)
        .map(|at| json!({ "incarnation": hex::encode(at.incarnation.0), "version": at.version }));
    json!({
        "received": crate::clock::text(now),
        "tpm": format!("{:?}", info.tpm).to_lowercase(),
        "tpm_info": info.tpm_info,
        "attestation": format!("{:?}", info.attestation),
        "attestation_error": info.attestation_error,
        "accepted": accepted,
        "notes": node.map(|node| node.notes.clone()).unwrap_or_default(),
        "vaults": vaults,
        "vaults_received": vaults_received,
    })
    .to_string()
}
