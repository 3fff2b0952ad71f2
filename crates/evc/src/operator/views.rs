//! Rows as operators see them.

use std::cmp::Ordering;

use vault::decide::TpmPin;
use vault::ids::Epoch;
use vault::life::fits;
use vault::policy::VaultPolicy;
use vault::report::{State, VaultReport};
use vault::section::Seal;

use super::escrow::held;
use crate::api::{self, Attestation, Condition, DeviceView, DrillState, NodeReport, StateNow, VaultView};
use crate::fleet::heard::{Word, ago, condition, word};
use crate::fleet::life::listed;
use crate::fleet::reported;
use crate::store::{
    Accepted, DeviceReport, DeviceRow, Fared, Moment, Strange, UnixSeconds, VaultRow, VaultStanding,
};
use crate::words::condition::{DISK_AWAY, of_condition};
use crate::words::escrow::NOT_ESCROWED;
use crate::words::notes::{of_fit, of_held_to};

impl DeviceView {
    /// `drill_every_s`: how often escrow drills are made.
    pub(super) fn of(row: DeviceRow, drill_every_s: u64, now: UnixSeconds) -> Self {
        let of_older = row.older.map(|older| format!("{older}; {}", crate::words::OLDER));
        let of_other = reported::is_held_to(&row).map(|other| of_held_to(&row.name, other));
        let (seen, escrow) = (row.proved_at.or(row.last_seen), held(&row, drill_every_s, now));
        let (condition_kind, since) = condition(&row, now);
        Self {
            default_vaults: default_vaults(&row, now),
            condition: of_condition(condition_kind, since),
            condition_kind,
            attestation: row.verdict.take().map(Into::into),
            id: row.id,
            name: row.name,
            labels: row.labels,
            serial: row.serial,
            tpm: row.tpm,
            registered: crate::clock::text(row.registered_at),
            seen: seen.map(|at| ago(at, now)),
            last_seen: seen.map(crate::clock::text),
            heard: row
                .last_seen
                .filter(|heard| seen.is_some_and(|seen| *heard > seen))
                .map(crate::clock::text),
            alarm: of_older.or(of_other).or(row.alarm),
            section_version: row.section_version,
            escrow,
            report: row.report.take().map(Into::into),
        }
    }
}

impl DeviceView {
    /// One that is there, and whose keys are withheld for what its evidence shows, says so first.
    pub(super) fn withheld_for(self, why: Option<Strange>) -> Self {
        match why {
            None => self.drilled(),
            Some(Strange::Unmeasured) => self.but_for(Condition::Unmeasured),
            Some(Strange::Differ) => self.but_for(Condition::PcrsDiffer),
        }
    }

    /// One that is there, and whose escrow may be of no use, says so first.
    fn drilled(self) -> Self {
        if self.escrow.as_ref().is_some_and(|escrow| escrow.no_room.is_some()) {
            return self.but_for(Condition::EscrowFull);
        }
        let state = self.escrow.as_ref().map(|escrow| escrow.drill.state);
        match state {
            Some(DrillState::Failed) => self.but_for(Condition::DrillFailed),
            Some(DrillState::Overdue) => self.but_for(Condition::DrillOverdue),
            Some(DrillState::None | DrillState::Passed) | None => self,
        }
    }

    /// What is said of one of which nothing worse is.
    fn but_for(self, condition_kind: Condition) -> Self {
        if self.condition_kind != Condition::Online {
            return self;
        }
        // Of none of these is it said since when.
        Self { condition: of_condition(condition_kind, 0), condition_kind, ..self }
    }
}

impl From<Fared> for Attestation {
    fn from(Fared { at, from, session, pcrs, outcome, words, .. }: Fared) -> Self {
        Self { at: crate::clock::text(at), from, session, pcrs, outcome, words }
    }
}

impl From<DeviceReport> for NodeReport {
    fn from(report: DeviceReport) -> Self {
        Self {
            received: report.received.into(),
            tpm: report.tpm,
            tpm_info: report.tpm_info,
            attestation: report.attestation,
            attestation_error: report.attestation_error,
            accepted: report.accepted.map(Into::into),
            notes: report.notes,
            vaults: report.vaults,
            vaults_received: report.vaults_received.map(Into::into),
        }
    }
}

impl From<Accepted> for api::Accepted {
    fn from(Accepted { incarnation, version }: Accepted) -> Self {
        Self { incarnation: hex::encode(incarnation), version }
    }
}

fn default_vaults(row: &DeviceRow, now: UnixSeconds) -> Vec<VaultView> {
    let Some(Moment(at)) = row.report.get().map(DeviceReport::vaults_received) else { return Vec::new() };
    let defaults = reported::default_vaults(row);
    defaults.map(|vault| as_reported(row, vault.clone(), at).aged(row, Some(at), now)).collect()
}

/// A default vault under its default policy, by the node's word alone.
fn as_reported(row: &DeviceRow, vault: VaultReport, at: UnixSeconds) -> VaultView {
    VaultView {
        device: row.id,
        device_name: Some(row.name.clone()),
        id: vault.id,
        name: vault.name.clone(),
        policy: None,
        standing: VaultStanding::Active,
        delete_at: None,
        created: vault.created,
        recreate: false,
        current_epoch: Epoch(0),
        last_epoch: Epoch(0),
        reported_epoch: vault.epoch,
        state: Some(StateNow::Said(vault.state)),
        state_now: None,
        notes: Vec::new(),
        key: Some("not needed: its default policy".into()),
        withheld: false,
        opened: vault.opened.clone(),
        storage: vault.storage,
        report: Some(vault),
        reported: Some(crate::clock::text(at)),
    }
}

impl From<&VaultRow> for VaultView {
    fn from(row: &VaultRow) -> Self {
        Self {
            device: row.device,
            device_name: None,
            id: row.id,
            name: row.name.clone(),
            policy: row.policy.clone(),
            standing: row.standing,
            delete_at: row.delete_at.map(crate::clock::text),
            created: row.created,
            recreate: row.recreate,
            current_epoch: row.current_epoch,
            last_epoch: row.last_epoch,
            reported_epoch: row.reported_epoch,
            state: row.report.get().map(|report| StateNow::Said(report.state)),
            state_now: None,
            notes: epoch_note(row).into_iter().collect(),
            key: None,
            withheld: false,
            opened: row.report.get().and_then(|report| report.opened.clone()),
            storage: row.report.get().and_then(|report| report.storage),
            report: row.report.get().cloned(),
            reported: row.reported_at.map(crate::clock::text),
        }
    }
}

impl DeviceView {
    pub(super) fn in_a_list(mut self) -> Self {
        self.report = None;
        self.default_vaults = self.default_vaults.into_iter().map(VaultView::in_a_list).collect();
        self
    }
}

/// Sealed to the boot of now, with no copy that goes back to another one.
fn is_at_risk(policy: &VaultPolicy, device: &DeviceRow) -> bool {
    let sealed = policy.node.custody.needs_tpm() && policy.node.seal == Seal::Pcrs;
    sealed && device.tpm == TpmPin::Present && device.held.is_none()
}

/// The epoch that a node reported, when it was never made here.
fn unknown_epoch(row: &VaultRow) -> Option<Epoch> {
    listed(row).ok()?.never_made()
}

/// The epoch that a node reported while the list that it went by was another controller's.
fn others_epoch(row: &VaultRow) -> Option<Epoch> {
    let said = row.report.get()?.epoch?;
    (said <= row.current_epoch && row.reported_epoch != Some(said)).then_some(said)
}

/// Epochs that differ are said: the number alone does not say who waits for whom.
fn epoch_note(row: &VaultRow) -> Option<String> {
    if let Some(others) = others_epoch(row) {
        return Some(format!(
            "the node says epoch {others}, and accepted no list of this controller: it is not known whose key that is"
        ));
    }
    let (ours, theirs) = (row.current_epoch, unknown_epoch(row).or(row.reported_epoch)?);
    match theirs.cmp(&ours) {
        Ordering::Equal => None,
        Ordering::Less => Some(format!("the node has not taken epoch {ours} yet, and is at {theirs}")),
        Ordering::Greater => {
            Some(format!("the node is at epoch {theirs}, above {ours}: this database is older than its node"))
        }
    }
}

impl VaultView {
    /// With a note where its policy can never be met on its device, and where the next update would close it.
    pub(super) fn fitted(mut self, policy: Option<&VaultPolicy>, device: &DeviceRow) -> Self {
        let fit = policy.filter(|_| self.standing == VaultStanding::Active);
        let unfit = fit.and_then(|policy| fits(policy, device.tpm).err());
        self.notes.extend(unfit.and_then(|why| of_fit(Err(why))));
        self.notes.extend(
            fit.filter(|policy| self.created && is_at_risk(policy, device)).map(|_| NOT_ESCROWED.into()),
        );
        self
    }

    /// With what its state, that was said then, is worth now.
    pub(super) fn aged(self, device: &DeviceRow, said: Option<UnixSeconds>, now: UnixSeconds) -> Self {
        let reported = said.map(crate::clock::text);
        let named = Self { device_name: Some(device.name.clone()), reported, ..self };
        let (Some(at), Some(StateNow::Said(state))) = (said, named.state) else { return named };
        let (is, words) = match word(device, at, now) {
            _ if reported::disk_is_away(device) && state != State::Failed => {
                (StateNow::Unknown, format!("{DISK_AWAY} (was {state}, {})", ago(at, now)))
            }
            Word::Fresh => (StateNow::Said(state), state.to_string()),
            Word::Silent => (StateNow::Said(state), format!("{state}, {}", ago(at, now))),
            Word::Superseded => {
                (StateNow::Unknown, format!("unknown since {} (was {state})", crate::clock::text(at)))
            }
        };
        Self { state: Some(is), state_now: Some(words), ..named }
    }

    /// Of a list: what is withheld is told, and of the rest no key is judged.
    pub(super) fn if_withheld(self) -> Self {
        let key = self.key.filter(|_| self.withheld);
        Self { key, ..self }
    }

    pub(super) fn in_a_list(self) -> Self {
        Self { report: None, ..self }
    }
}
