//! One vault's status (VaultInfo 50540) and the node's (ZInfoDevice 50530), into checked types and back.

use vault::defaults;
use vault::escrow::drill::{DrillAnswer, DrillNonce, MAX_FAILED, Proof};
use vault::ids::{Epoch, Generation, VaultId};
use vault::report::{By, Opened, Outcome, State, Storage, VaultReport};
use vault::space::StorageLimit;

use crate::control;
use crate::error::DecodeError;
use crate::info::NodeReport;
use crate::limits::{MAX_TEXT, MAX_WORDS, cut, cut_lines, exactly, known, lines, present, text, uuid};
use crate::pb::vault as pb;
use crate::section;

impl From<&VaultReport> for pb::VaultReport {
    fn from(report: &VaultReport) -> Self {
        Self {
            id: report.id.0.as_bytes().to_vec(),
            name: report.name.as_str().to_owned(),
            state: state_to(report.state).into(),
            created: report.created,
            epoch: report.epoch.map_or(0, |epoch| epoch.0),
            wanted: section::operation_to(report.wanted).into(),
            last: report.last.as_ref().map(Into::into),
            opened: report.opened.as_ref().map(Into::into),
            storage: report.storage.as_ref().map(Into::into),
            change_due: report.change_due,
            holds_escrow_up: report.holds_escrow_up,
            under_anothers_key: report.under_anothers_key,
            behind_in_escrow: report.behind_in_escrow,
            ordered_locked: report.ordered_locked,
            detail: cut_lines(&report.detail),
        }
    }
}

impl From<&Outcome> for pb::Outcome {
    fn from(outcome: &Outcome) -> Self {
        let error = outcome.error.as_deref().map_or(String::new(), words_of_error);
        Self { operation: cut(&outcome.operation, MAX_TEXT), error }
    }
}

/// An error without words must not read as success.
fn words_of_error(error: &str) -> String {
    if error.is_empty() { "unknown error".to_owned() } else { cut(error, MAX_WORDS) }
}

/// Checks a vault's status.
pub(crate) fn vault_report(raw: pb::VaultReport) -> Result<VaultReport, DecodeError> {
    let id = VaultId(uuid("vault", &raw.id)?);
    Ok(VaultReport {
        id,
        name: defaults::called(id, section::name("vault name", raw.name)?),
        state: state(raw.state)?,
        created: raw.created,
        epoch: (raw.epoch != 0).then_some(Epoch(raw.epoch)),
        wanted: section::operation(raw.wanted)?,
        last: raw.last.map(outcome).transpose()?,
        opened: raw.opened.and_then(opened),
        storage: raw.storage.map(storage).transpose()?,
        change_due: raw.change_due,
        holds_escrow_up: raw.holds_escrow_up,
        under_anothers_key: raw.under_anothers_key,
        behind_in_escrow: raw.behind_in_escrow,
        ordered_locked: raw.ordered_locked,
        detail: lines("detail", raw.detail)?,
    })
}

fn outcome(raw: pb::Outcome) -> Result<Outcome, DecodeError> {
    let error = text("outcome", raw.error, MAX_WORDS)?;
    Ok(Outcome {
        operation: text("operation", raw.operation, MAX_TEXT)?,
        error: (!error.is_empty()).then_some(error),
    })
}

macro_rules! states {
    ($($variant:ident),+) => {
        fn state_to(state: State) -> pb::VaultState {
            match state { $(State::$variant => pb::VaultState::$variant),+ }
        }
        fn state(value: i32) -> Result<State, DecodeError> {
            match known("state", value)? {
                $(pb::VaultState::$variant => Ok(State::$variant),)+
                pb::VaultState::Unspecified => Err(DecodeError::NotUnderstood { field: "state", value }),
            }
        }
    };
}
states!(Waiting, Creating, Locked, LockIncomplete, Unlocked, Missing, Removed, Orphan, Failed);

impl From<&Opened> for pb::Opened {
    fn from(opened: &Opened) -> Self {
        let by = match opened.by {
            By::LocalSeal => pb::OpenedBy::LocalSeal,
            By::ControllerKey => pb::OpenedBy::ControllerKey,
            By::Both => pb::OpenedBy::Both,
            By::RecoveryKey => pb::OpenedBy::RecoveryKey,
            By::Recreated => pb::OpenedBy::Recreated,
        };
        Self { by: by.into() }
    }
}

/// It is for people alone: a way that a newer node knows is not known here, and what else it says still counts.
fn opened(raw: pb::Opened) -> Option<Opened> {
    let by = match pb::OpenedBy::try_from(raw.by).ok()? {
        pb::OpenedBy::LocalSeal => By::LocalSeal,
        pb::OpenedBy::ControllerKey => By::ControllerKey,
        pb::OpenedBy::Both => By::Both,
        pb::OpenedBy::RecoveryKey => By::RecoveryKey,
        pb::OpenedBy::Recreated => By::Recreated,
        pb::OpenedBy::Unspecified => return None,
    };
    Some(Opened { by })
}

impl From<&Storage> for pb::Storage {
    fn from(storage: &Storage) -> Self {
        Self { used: storage.used, limit: storage.limit.map_or(0, StorageLimit::bytes) }
    }
}

fn storage(raw: pb::Storage) -> Result<Storage, DecodeError> {
    Ok(Storage { used: raw.used, limit: section::storage_limit(raw.limit)? })
}

impl From<&NodeReport> for pb::NodeReport {
    fn from(report: &NodeReport) -> Self {
        Self {
            session: report.session.as_ref().map_or(Vec::new(), |session| session.0.to_vec()),
            accepted: report.accepted.as_ref().map(Into::into),
            notes: cut_lines(&report.notes),
            counter: report.counter,
            disk_away: report.disk_away,
            drill: report.drill.as_ref().map(Into::into),
            generation: report.generation.map_or(0, |generation| generation.0),
            measured: report.measured,
            accepted_for: report.accepted_for.map_or(Vec::new(), |device| device.0.as_bytes().to_vec()),
        }
    }
}

/// Checks a node's status.
pub(crate) fn node_report(raw: pb::NodeReport) -> Result<NodeReport, DecodeError> {
    let session = (!raw.session.is_empty()).then(|| section::session("session", &raw.session));
    let accepted_for =
        (!raw.accepted_for.is_empty()).then(|| section::device("accepted_for", &raw.accepted_for));
    Ok(NodeReport {
        session: session.transpose()?,
        accepted: raw.accepted.map(section::version).transpose()?,
        accepted_for: accepted_for.transpose()?,
        notes: lines("notes", raw.notes)?,
        counter: raw.counter,
        disk_away: raw.disk_away,
        drill: raw.drill.map(answer).transpose()?,
        generation: (raw.generation != 0).then_some(Generation(raw.generation)),
        measured: raw.measured,
    })
}

impl From<&DrillAnswer> for pb::DrillAnswer {
    fn from(answer: &DrillAnswer) -> Self {
        let (proof, failed) = match &answer.outcome {
            Ok(proof) => (proof.0.to_vec(), String::new()),
            Err(why) => (Vec::new(), words_of_failure(why)),
        };
        Self { nonce: answer.nonce.0.to_vec(), bundle: Some((&answer.bundle).into()), proof, failed }
    }
}

fn words_of_failure(why: &str) -> String {
    if why.is_empty() { "unknown error".to_owned() } else { cut(why, MAX_FAILED) }
}

/// It passed by its proof, and failed by its words: never both, never neither.
fn answer(raw: pb::DrillAnswer) -> Result<DrillAnswer, DecodeError> {
    let failed = text("failed", raw.failed, MAX_FAILED)?;
    let outcome = match (raw.proof.is_empty(), failed.is_empty()) {
        (false, true) => Ok(Proof(exactly("proof", &raw.proof)?)),
        (true, false) => Err(failed),
        _ => {
            return Err(DecodeError::Invalid {
                field: "proof",
                why: "stands where it failed, or is missing",
            });
        }
    };
    Ok(DrillAnswer {
        nonce: DrillNonce(exactly("drill's nonce", &raw.nonce)?),
        bundle: control::bundle(present("drill's bundle", raw.bundle)?)?,
        outcome,
    })
}
