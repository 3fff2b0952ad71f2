//! What a device reported of itself, as it is kept in its row: bounded, and read as it was written.

use std::collections::{BTreeSet, HashSet};

use vault::draft::Told;
use vault::ids::{DeviceId, VaultId};
use vault::life::{self, is_unlisted};
use vault::report::{State, VaultReport};
use vault::section::MAX_ORDERS;
use wire::info::DeviceInfo;

use crate::store::{DeviceReport, DeviceRow, Moment, Repeated, UnixSeconds, VaultRow, VaultStanding};

/// Default vaults, as the node told of them last.
pub(crate) fn default_vaults(row: &DeviceRow) -> impl Iterator<Item = &VaultReport> {
    let reported = row.report.get().into_iter().flat_map(|report| &report.vaults);
    reported.filter(|vault| vault.id.is_default())
}

/// The states of the default vaults that have no row, as the node told them last.
pub(crate) fn default_states(row: &DeviceRow) -> impl Iterator<Item = State> {
    default_vaults(row).map(|vault| vault.state)
}

/// Vaults that the node told of last, and that no row is kept of: those of no list, and those of a list that this database does not have, or of
/// [another device's](is_held_to). A row may have been made since.
pub(crate) fn orphans(row: &DeviceRow) -> impl Iterator<Item = &VaultReport> {
    // One that is to be erased here may have been kept again in a newer copy, and only there.
    let may_be =
        move |told: &&VaultReport| is_unlisted(told) && (row.older.is_some() || !was_removed(row, told));
    let reported = row.report.get().into_iter().flat_map(|report| &report.vaults);
    reported.filter(move |told| told.state == State::Orphan || may_be(told))
}

/// Whether a row is kept of it that is gone.
pub(crate) fn was_removed(row: &DeviceRow, told: &VaultReport) -> bool {
    row.report.get().is_some_and(|report| report.of_gone.contains(&told.id))
}

/// Whether a vault is under a controller's key that is not here. Where its node holds to another device's lists, it is by them.
pub(crate) fn lacks_key(row: &DeviceRow, vault: &VaultReport) -> bool {
    is_held_to(row).is_none() && life::lacks_key(vault)
}

/// Most bytes, as text, of what a report says of vaults without a row here, beside which they are.
const MAX_STRAYS: usize = 64 << 10;

/// What a device reported of itself, as kept. What it says of a vault is kept in that vault's row; here are its default vaults and
/// those that no row is kept of.
/// While its vaultmgr does not report, what it said last stays, with its time.
pub(crate) fn node_report(
    info: &DeviceInfo,
    rows: &[VaultRow],
    before: Option<DeviceReport>,
    repeated: Option<Repeated>,
    now: UnixSeconds,
) -> DeviceReport {
    let now = Moment(now);
    let (vaults, of_gone, at) = match before.filter(|_| info.vaults.is_empty()) {
        Some(before) => {
            let at = before.vaults_received();
            (before.vaults, before.of_gone, at)
        }
        None => {
            let strays = strays(info, rows);
            let of_gone = of_gone(&strays, rows);
            (strays, of_gone, now)
        }
    };
    let node = info.node.as_ref();
    DeviceReport {
        received: now,
        tpm: info.tpm,
        tpm_info: info.tpm_info.clone(),
        attestation: info.attestation,
        attestation_error: info.attestation_error.clone(),
        accepted: node.and_then(|node| node.accepted).map(Into::into),
        accepted_for: node.and_then(|node| node.accepted_for),
        notes: node.map(|node| node.notes.clone()).unwrap_or_default(),
        vaults,
        of_gone,
        vaults_received: Some(at),
        disk_away: node.is_some_and(|node| node.disk_away),
        generation: node.and_then(|node| node.generation),
        measured: node.and_then(|node| node.measured),
        repeated,
    }
}

/// What a session says that gave no evidence may be an old word that somebody sends again, since nothing remembers it: it is shown, and what
/// decides stays as it was.
pub(crate) fn undecided(report: DeviceReport, before: Option<DeviceReport>) -> DeviceReport {
    let Some(before) = before else {
        return DeviceReport {
            accepted: None,
            accepted_for: None,
            vaults: Vec::new(),
            of_gone: BTreeSet::new(),
            disk_away: false,
            generation: None,
            measured: None,
            ..report
        };
    };
    DeviceReport {
        accepted: before.accepted,
        accepted_for: before.accepted_for,
        vaults_received: Some(before.vaults_received()),
        vaults: before.vaults,
        of_gone: before.of_gone,
        disk_away: before.disk_away,
        generation: before.generation,
        measured: before.measured,
        ..report
    }
}

/// Whether its node said last that the disk of its vaults is not there.
pub(crate) fn disk_is_away(row: &DeviceRow) -> bool {
    row.report.get().is_some_and(|report| report.disk_away)
}

/// Of whose lists its node told that it holds to.
pub(crate) fn told(row: &DeviceRow) -> Told<'_> {
    let report = row.report.get();
    report.map_or_else(Told::default, |report| Told {
        accepted_for: report.accepted_for,
        strays: &report.vaults,
    })
}

/// The device whose lists its node holds to, where that is another one.
pub(crate) fn is_held_to(row: &DeviceRow) -> Option<DeviceId> {
    told(row).held_to(row.id)
}

/// Of which rows a report says nothing, and so confirms nothing.
pub(crate) fn repeated(info: &DeviceInfo, rows: &[VaultRow], now: UnixSeconds) -> Repeated {
    let told: HashSet<VaultId> =
        info.vaults.iter().filter_map(|line| Some(line.report.as_ref()?.id)).collect();
    let silent = |row: &&VaultRow| {
        row.reported_at.is_some() && (row.standing == VaultStanding::Gone || !told.contains(&row.id))
    };
    Repeated { at: Moment(now), but: rows.iter().filter(silent).map(|row| row.id).collect() }
}

/// When a device last said of a vault what its row says.
pub(crate) fn said_at(row: &VaultRow, report: Option<&DeviceReport>) -> Option<UnixSeconds> {
    let repeated = report.and_then(|report| report.repeated(row.id));
    row.reported_at.map(|first| repeated.map_or(first, |at| at.max(first)))
}

/// Default vaults, then others without a row. Each is named, by its identity, name and state: a lost device's are ordered to lock by that. The words
/// of those for which there is no more room are left out. No more are named than can be ordered to lock.
fn strays(info: &DeviceInfo, rows: &[VaultRow]) -> Vec<VaultReport> {
    let reports = info.vaults.iter().filter_map(|line| line.report.as_ref());
    let (defaults, others): (Vec<_>, Vec<_>) = reports.partition(|report| report.id.is_default());
    let strays = others.into_iter().filter(|report| rows.iter().all(|row| !is_told_by(row, report)));
    let mut room = MAX_STRAYS;
    let as_it_fits = |report: &VaultReport| {
        let length = length(report);
        let fits = length <= room;
        room -= if fits { length } else { 0 };
        if fits { report.clone() } else { named(report) }
    };
    defaults.into_iter().chain(strays).take(MAX_ORDERS).map(as_it_fits).collect()
}

/// Without its words.
fn named(report: &VaultReport) -> VaultReport {
    VaultReport { last: None, storage: None, detail: Vec::new(), ..report.clone() }
}

/// Whether what is said of a vault is its row's. A row that is gone has nothing of an orphan: its node knows of no list that it was on. Nor of
/// one that is open: that may be of a newer list.
fn is_told_by(row: &VaultRow, report: &VaultReport) -> bool {
    let may_be_another = matches!(report.state, State::Orphan | State::Unlocked);
    row.id == report.id && !(row.standing == VaultStanding::Gone && may_be_another)
}

/// Those of which a row is gone.
fn of_gone(strays: &[VaultReport], rows: &[VaultRow]) -> BTreeSet<VaultId> {
    let gone = rows.iter().filter(|row| row.standing == VaultStanding::Gone).map(|row| row.id);
    gone.filter(|id| strays.iter().any(|told| told.id == *id)).collect()
}

/// As text.
fn length(report: &VaultReport) -> usize {
    serde_json::to_string(report).map_or(usize::MAX, |text| text.len())
}
