//! What a device reported of itself, as it is kept in its row: bounded, and read back as the type that it was written of.

use vault::report::{State, VaultReport};
use wire::info::DeviceInfo;

use crate::api::{Accepted, NodeReport};
use crate::store::{DeviceRow, UnixSeconds, VaultRow};

/// Longest part of a report that speaks of vaults without a row here.
const MAX_STRAYS: usize = 64 << 10;

/// What a device reported of itself last; nothing, too, where that is of a software that this one does not understand.
pub(crate) fn report_of(row: &DeviceRow) -> Option<NodeReport> {
    kept(row.report.as_deref())
}

fn kept(text: Option<&str>) -> Option<NodeReport> {
    serde_json::from_str(text?).ok()
}

/// The states of the default vaults that have no row, as the node told them last.
pub(crate) fn default_states(row: &DeviceRow) -> impl Iterator<Item = State> + use<> {
    let told = report_of(row).map(|report| report.vaults).unwrap_or_default().into_iter();
    told.filter(|vault| vault.id.is_default()).map(|vault| vault.state)
}

/// What a device reported of itself, as kept. What it says of a vault is kept in that vault's row; here are its default vaults and
/// those that no row is kept of.
/// While its vaultmgr does not report, what it said last stays, with its time.
pub(crate) fn node_json(
    info: &DeviceInfo,
    rows: &[VaultRow],
    before: Option<&str>,
    now: UnixSeconds,
) -> String {
    let received = crate::clock::text(now);
    let (vaults, vaults_received) = match kept(before).filter(|_| info.vaults.is_empty()) {
        Some(before) => {
            let at = before.vaults_at().to_owned();
            (before.vaults, at)
        }
        None => (strays(info, rows), received.clone()),
    };
    let node = info.node.as_ref();
    let accepted = node
        .and_then(|node| node.accepted)
        .map(|at| Accepted { incarnation: hex::encode(at.incarnation.0), version: at.version });
    let report = NodeReport {
        received,
        tpm: info.tpm,
        tpm_info: info.tpm_info.clone(),
        attestation: info.attestation,
        attestation_error: info.attestation_error.clone(),
        accepted,
        notes: node.map(|node| node.notes.clone()).unwrap_or_default(),
        vaults,
        vaults_received: Some(vaults_received),
    };
    json(&report)
}

/// Its default vaults, then those without a row, as many as there is room for.
fn strays(info: &DeviceInfo, rows: &[VaultRow]) -> Vec<VaultReport> {
    let has_row = |report: &&VaultReport| rows.iter().any(|row| row.id == report.id);
    let reports = info.vaults.iter().filter_map(|line| line.report.as_ref());
    let (defaults, others): (Vec<_>, Vec<_>) = reports.partition(|report| report.id.is_default());
    let strays = others.into_iter().filter(|report| !has_row(report));
    let mut room = MAX_STRAYS;
    let fits = |report: &&VaultReport| {
        room = room.saturating_sub(json(report).len());
        room > 0
    };
    defaults.into_iter().chain(strays).take_while(fits).cloned().collect()
}

fn json(it: &impl serde::Serialize) -> String {
    serde_json::to_string(it).expect("no map with keys that are not text")
}
