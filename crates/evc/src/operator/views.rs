//! Rows as operators see them.

use vault::decide::TpmPin;
use vault::ids::{CONFIG_VAULT, Generation, Incarnation, Name};
use vault::ledger::{Mark, Older};
use vault::life::fits;
use vault::policy::VaultPolicy;
use vault::report::{State, VaultReport};
use vault::section::{Operation, Seal};

use super::elsewhere::Elsewhere;
use super::escrow::held;
use super::strays::{EXPLAINED, default_vaults, orphans};
use crate::api::{
    self, Attestation, Condition, DeviceView, DrillState, InEscrow, NodeReport, Standing, StateNow, VaultView,
};
use crate::fleet::heard::{Heard, Word, ago, condition, word};
use crate::fleet::reported;
use crate::store::{Accepted, DeviceReport, DeviceRow, Fared, Strange, UnixSeconds, VaultRow};
use crate::words::at_stake::of_held_lock;
use crate::words::condition::{DISK_AWAY, of_condition};
use crate::words::escrow::{ESCROW_BEHIND, NOT_ESCROWED, NOT_SEALED_YET};
use crate::words::evidence::{of_alarm, of_fared, of_references};
use crate::words::notes::{HELD_BY_AGENTS, of_fit, of_held_to, of_locks_elsewhere};
use crate::words::of_lost_and_older;
use crate::words::unlisted::of_elsewhere;

/// What it is, and beside that it is lost what else keeps its list from it.
fn conditions(row: &DeviceRow, (kind, since): (Condition, UnixSeconds)) -> String {
    let words = of_condition(kind, since);
    match row.older {
        Some(mark) if kind == Condition::Lost => {
            let beside = if mark.is_put_back() { Condition::PutBack } else { Condition::Ahead };
            let held =
                if mark.lets_lock() { String::new() } else { format!("; {}", of_held_lock(&row.name)) };
            format!("{words}; {}{held}", of_condition(beside, since))
        }
        _ => words,
    }
}

/// Both of it: what the device showed, and that the database was put back. `lost`: its name, where it is marked as lost.
fn of_mark(mark: Mark, lost: Option<&Name>) -> String {
    let put_back = mark.is_put_back().then_some(Older::PutBack);
    let said = |older: Older| format!("{older}; {}", crate::words::older_advice(older));
    let lost = lost.filter(|_| mark.was_shown().is_some()).map(of_lost_and_older);
    put_back.into_iter().chain(mark.was_shown()).map(said).chain(lost).collect::<Vec<_>>().join("; ")
}

impl DeviceView {
    /// With the generation in force, where no bundle of it is here, and whose it is what its node has of others. `drill_every_s`: how often escrow drills are made.
    pub(super) fn of(
        (row, behind): (DeviceRow, Option<Generation>),
        elsewhere: &Elsewhere,
        drill_every_s: u64,
        now: UnixSeconds,
    ) -> Self {
        let of_older = row.older.map(|mark| of_mark(mark, row.lost_at.map(|_| &row.name)));
        let of_other =
            reported::is_held_to(&row).map(|other| of_held_to(&row.name, other, elsewhere.held_to.as_ref()));
        let alarm = row.alarm.as_ref().map(|alarm| of_alarm(alarm, &row.name));
        let of_locks = orders_that_stand(&row);
        let (seen, escrow) = (row.proved_at.or(row.last_seen), held(&row, behind, drill_every_s, now));
        let (condition_kind, since) = condition(&row, now);
        Self {
            default_vaults: default_vaults(&row, now),
            orphans: orphans(&row, elsewhere, EXPLAINED, now),
            condition: conditions(&row, (condition_kind, since)),
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
            // Each of them: what takes one off may take another off with it.
            alarm: joined([of_older, of_other, of_locks, alarm]),
            section_version: row.section_version,
            learns: row.learn,
            escrow,
            report: row.report.take().map(Into::into),
        }
    }
}

/// Orders to lock that no list of this device's lifts, as its node tells of them. While it is marked as lost they are as they are to be.
fn orders_that_stand(row: &DeviceRow) -> Option<String> {
    let other = reported::is_held_to(row).filter(|_| row.lost_at.is_none())?;
    let vaults = row.report.get().into_iter().flat_map(|report| &report.vaults);
    // One that no list has is locked by no order.
    let is_locked = |vault: &&VaultReport| vault.wanted == Operation::Lock && vault.state != State::Orphan;
    let locked: Vec<_> = vaults.filter(is_locked).map(|vault| &vault.name).collect();
    (!locked.is_empty()).then(|| of_locks_elsewhere(&locked, other))
}

impl DeviceView {
    /// Whether what it showed last is of its present session.
    pub(super) fn heard_by(self, heard: &Heard) -> Self {
        let is_present = |fared: &Attestation| {
            fared.session.as_deref().is_some_and(|session| heard.is_present(self.id, session))
        };
        let attestation = self.attestation.map(|fared| Attestation { of_now: is_present(&fared), ..fared });
        Self { attestation, ..self }
    }

    /// With whether the list that the node took is of this life of the database: numbers of two lives say nothing of each other.
    pub(super) fn held_against(mut self, here: Incarnation) -> Self {
        let accepted = self.report.as_mut().and_then(|report| report.accepted.as_mut());
        if let Some(accepted) = accepted {
            accepted.of_this_life = Some(accepted.incarnation == hex::encode(here.0));
        }
        self
    }

    /// One that is there says first that its keys are withheld for what its evidence shows, or that its escrow may be of no use.
    pub(super) fn withheld_for(self, why: Option<Strange>) -> Self {
        let strange = why.map(|why| match why {
            Strange::Unmeasured => Condition::Unmeasured,
            Strange::Differ => Condition::PcrsDiffer,
            Strange::Unapproved => Condition::Unapproved,
        });
        let escrow = self.escrow.as_ref().map(of_escrow).unwrap_or_default();
        let first = Condition::first([self.condition_kind].into_iter().chain(strange).chain(escrow));
        if first == self.condition_kind {
            return self;
        }
        // Of none of these is it said since when.
        Self { condition: of_condition(first, 0), condition_kind: first, ..self }
    }
}

/// What is wrong with what is in escrow.
fn of_escrow(escrow: &InEscrow) -> Vec<Condition> {
    let drill = match escrow.drill.state {
        DrillState::Failed => Some(Condition::DrillFailed),
        DrillState::Overdue => Some(Condition::DrillOverdue),
        DrillState::None | DrillState::Passed => None,
    };
    let full = escrow.no_room.is_some().then_some(Condition::EscrowFull);
    let behind = escrow.behind.is_some().then_some(Condition::EscrowBehind);
    full.into_iter().chain(behind).chain(drill).collect()
}

impl From<Fared> for Attestation {
    fn from(fared: Fared) -> Self {
        let words = of_fared(&fared);
        let references = fared.references().map(of_references);
        let Fared { at, from, session, pcrs, outcome, .. } = fared;
        Self { at: crate::clock::text(at), from, session, pcrs, outcome, words, references, of_now: false }
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
        Self { incarnation: hex::encode(incarnation), version, of_this_life: None }
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
            standing: row.standing.into(),
            delete_at: row.delete_at.map(crate::clock::text),
            held: false,
            created: row.created,
            recreate: row.recreate,
            current_epoch: row.current_epoch,
            last_epoch: row.last_epoch,
            reported_epoch: row.reported_epoch,
            state: row.report.get().map(|report| StateNow::Said(report.state)),
            last_state: None,
            state_now: None,
            notes: Vec::new(),
            key: None,
            key_now: None,
            withheld: false,
            last_time: false,
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
        for shown in [&mut self.default_vaults, &mut self.orphans] {
            *shown = std::mem::take(shown).into_iter().map(VaultView::in_a_list).collect();
        }
        self
    }
}

/// For so long a node may say that what is in escrow is not what it has: each change is followed by a bundle.
const PATIENCE_S: u64 = 600;

/// Its node has said for long that what is in escrow is not what it has.
pub(super) fn is_behind(row: &VaultRow, now: UnixSeconds) -> bool {
    let since = row.reported_at.is_some_and(|since| now.saturating_sub(since) >= PATIENCE_S);
    since && row.report.get().is_some_and(VaultReport::is_behind_in_escrow)
}

/// Of one that is sealed to the boot of now, with no copy that goes back to another one.
fn at_risk(policy: &VaultPolicy, device: &DeviceRow, is_behind: bool) -> Option<&'static str> {
    if !seals_to_boot(policy) || device.tpm != TpmPin::Present {
        return None;
    }
    match device.held {
        None => Some(NOT_ESCROWED),
        Some(_) => is_behind.then_some(ESCROW_BEHIND),
    }
}

fn seals_to_boot(policy: &VaultPolicy) -> bool {
    policy.node.custody.needs_tpm() && policy.node.seal == Seal::Pcrs
}

impl VaultView {
    /// With a note where its policy can never be met on its device, where it is not carried out yet, and where the next update would close it.
    pub(super) fn fitted(
        mut self,
        policy: Option<&VaultPolicy>,
        device: &DeviceRow,
        is_behind: bool,
    ) -> Self {
        let fit = policy.filter(|_| self.standing == Standing::Active);
        let unfit = fit.and_then(|policy| fits(policy, device.tpm).err());
        self.notes.extend(unfit.and_then(|why| of_fit(Err(why))));
        let due = self.report.as_ref().is_some_and(|report| report.change_due);
        self.notes.extend(fit.filter(|policy| due && seals_to_boot(policy)).map(|_| NOT_SEALED_YET.into()));
        let at_risk = fit.filter(|_| self.created).and_then(|policy| at_risk(policy, device, is_behind));
        self.notes.extend(at_risk.map(Into::into));
        self
    }

    /// With what its state, that was said then, is worth now.
    pub(super) fn aged(self, device: &DeviceRow, said: Option<UnixSeconds>, now: UnixSeconds) -> Self {
        let reported = said.map(crate::clock::text);
        let named = Self { device_name: Some(device.name.clone()), reported, ..self };
        let named = named.held_by_agents().held_elsewhere(device);
        let (Some(at), Some(StateNow::Said(state))) = (said, named.state) else { return named };
        let word = word(device, at, now);
        let (is, words) = match word {
            _ if reported::disk_is_away(device) && state != State::Failed => {
                (StateNow::Unknown, format!("{DISK_AWAY} (was {state}, {})", ago(at, now)))
            }
            Word::Fresh => (StateNow::Said(state), state.to_string()),
            Word::Silent => (StateNow::Unknown, format!("{state}, {}", ago(at, now))),
            Word::Superseded => {
                (StateNow::Unknown, format!("unknown since {} (was {state})", crate::clock::text(at)))
            }
        };
        let last_state = matches!(word, Word::Silent).then_some(state);
        Self { state: Some(is), last_state, state_now: Some(words), ..named }
    }

    /// With a note where its node's own agents keep it from being locked: there is nobody to be ended.
    fn held_by_agents(mut self) -> Self {
        let is_held = self.id == CONFIG_VAULT && self.state == Some(StateNow::Said(State::LockIncomplete));
        self.notes.extend(is_held.then(|| HELD_BY_AGENTS.into()));
        self
    }

    /// With a note where it is listed, and its node has it open by the lists of another device, under a key that is not here: most often one of its
    /// default vaults, of which the device alone tells.
    fn held_elsewhere(mut self, device: &DeviceRow) -> Self {
        let Some(other) = reported::is_held_to(device).filter(|_| self.standing != Standing::Unlisted) else {
            return self;
        };
        let of_device = reported::default_vaults(device).find(|told| told.id == self.id);
        let told = self.report.as_ref().or(of_device);
        // One of the same identity was moved here with its keys; a default vault has the same identity everywhere.
        let lacks = |told: &&VaultReport| told.id.is_default() || told.epoch > Some(self.current_epoch);
        let told = told.filter(|told| told.state == State::Unlocked && told.epoch.is_some()).filter(lacks);
        self.notes.extend(told.map(|told| of_elsewhere(told, &device.name, other)));
        self.last_time |= told.is_some();
        self
    }

    /// Of a list: what is withheld is told, and of the rest no key is judged.
    pub(super) fn if_withheld(self) -> Self {
        if self.withheld { self } else { self.keyed(None) }
    }

    pub(super) fn in_a_list(self) -> Self {
        Self { report: None, ..self }
    }
}

/// All that is to be said, as one.
fn joined(alarms: [Option<String>; 4]) -> Option<String> {
    let said: Vec<String> = alarms.into_iter().flatten().collect();
    (!said.is_empty()).then(|| said.join("; and: "))
}
