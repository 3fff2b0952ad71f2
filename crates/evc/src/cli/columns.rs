//! docs/statuses.md has every column of every list, and each value of those that have a few: held against the types.

use form::{first_cells, in_backticks, rows, speaks_of};
use serde::Serialize;
use vault::condition::State;
use vault::decide::TpmPin;
use vault::policy::{Check, Door};
use vault::report::By;
use vault::section::{Custody, Encryption, Seal};

use super::table::Row;
use crate::api::{
    Allowance, Applied, Condition, DeletedDevice, DeviceView, Kind, Knock, Outcome, PolicyView, Reference,
    RuleView, VaultView,
};
use crate::store::{Appraised, ReferenceState};
use crate::words::condition::of_condition;

const STATUSES: &str = include_str!("../../../../docs/statuses.md");

form::every! {
    conditions: Condition {
        Condition::Online => Condition::Online,
        Condition::Silent => Condition::Silent,
        Condition::Replayed => Condition::Replayed,
        Condition::Lost => Condition::Lost,
        Condition::Ahead => Condition::Ahead,
        Condition::PutBack => Condition::PutBack,
        Condition::Doubled => Condition::Doubled,
        Condition::HeldToAnother => Condition::HeldToAnother,
        Condition::DiskAway => Condition::DiskAway,
        Condition::EvidenceRefused => Condition::EvidenceRefused,
        Condition::Unmeasured => Condition::Unmeasured,
        Condition::PcrsDiffer => Condition::PcrsDiffer,
        Condition::Unapproved => Condition::Unapproved,
        Condition::EscrowFull => Condition::EscrowFull,
        Condition::EscrowBehind => Condition::EscrowBehind,
        Condition::DrillFailed => Condition::DrillFailed,
        Condition::DrillOverdue => Condition::DrillOverdue,
        Condition::Other => Condition::Other,
    }
    states: State {
        State::Waiting => State::Waiting,
        State::Creating => State::Creating,
        State::Locked => State::Locked,
        State::LockIncomplete => State::LockIncomplete,
        State::Unlocked => State::Unlocked,
        State::Missing => State::Missing,
        State::Removed => State::Removed,
        State::Orphan => State::Orphan,
        State::Failed => State::Failed,
    }
    tpms: TpmPin { TpmPin::Unknown => TpmPin::Unknown, TpmPin::Present => TpmPin::Present, TpmPin::Absent => TpmPin::Absent }
    appraised: Appraised {
        Appraised::Quoted => Appraised::Quoted,
        Appraised::DeviceSigned => Appraised::DeviceSigned,
        Appraised::Refused => Appraised::Refused,
    }
    opened: By {
        By::LocalSeal => By::LocalSeal,
        By::ControllerKey => By::ControllerKey,
        By::Both => By::Both,
        By::RecoveryKey => By::RecoveryKey,
        By::Recreated => By::Recreated,
    }
    custodies: Custody {
        Custody::Tpm => Custody::Tpm,
        Custody::Controller => Custody::Controller,
        Custody::TpmAndController => Custody::TpmAndController,
    }
    seals: Seal { Seal::Tpm => Seal::Tpm, Seal::Pcrs => Seal::Pcrs }
    checks: Check { Check::Pcrs => Check::Pcrs }
    doors: Door { Door::Unlock => Door::Unlock, Door::Lock => Door::Lock }
    encryptions: Encryption {
        Encryption::Aes256Xts => Encryption::Aes256Xts,
        Encryption::Adiantum => Encryption::Adiantum,
    }
    references: ReferenceState {
        ReferenceState::Pending => ReferenceState::Pending,
        ReferenceState::Approved => ReferenceState::Approved,
        ReferenceState::Rejected => ReferenceState::Rejected,
    }
    kinds: Kind { Kind::Policy => Kind::Policy, Kind::Rule => Kind::Rule, Kind::Vault => Kind::Vault }
    outcomes: Outcome {
        Outcome::Created => Outcome::Created,
        Outcome::Unchanged => Outcome::Unchanged,
        Outcome::Changed => Outcome::Changed,
    }
}

/// As tables show it.
fn shown<T: Serialize>(all: Vec<T>) -> Vec<String> {
    all.iter()
        .map(|it| serde_json::to_value(it).expect("JSON").as_str().expect("a word").to_owned())
        .collect()
}

fn said<T: ToString>(all: Vec<T>) -> Vec<String> {
    all.iter().map(ToString::to_string).collect()
}

/// Columns of a list, those of a wide one last.
fn columns<R: Row>(list: &str) {
    let heading = format!("### {list}");
    let told: Vec<String> =
        first_cells(STATUSES, &heading).iter().map(|cell| cell.trim_matches('`').to_owned()).collect();
    assert_eq!(told, [R::COLUMNS, R::WIDE].concat(), "{list}");
}

fn values(list: &str, column: &str, is: &[String]) {
    let rows = rows(STATUSES, &format!("### {list}"));
    let row = rows.iter().find(|row| row[0].trim_matches('`') == column).expect("a row");
    assert_eq!(in_backticks(&row[1]), is, "{list}: {column}");
}

/// Issue 8, statuses: each list of `evc` is in the document, column by column, and nothing that is not in a list.
#[test]
fn the_document_has_every_column_of_every_list() {
    columns::<DeviceView>("evc get devices");
    columns::<VaultView>("evc get vaults");
    columns::<PolicyView>("evc get policies");
    columns::<RuleView>("evc get rules");
    columns::<Reference>("evc get references");
    columns::<Allowance>("evc get onboarding");
    columns::<Knock>("evc get pending");
    columns::<DeletedDevice>("evc device deleted");
    columns::<Applied>("evc apply");
}

/// And each value of a column that has a few.
#[test]
fn the_document_has_every_value_of_a_column() {
    values("evc get devices", "TPM", &shown(tpms()));
    values("evc get devices", "ATTESTATION", &shown(appraised()));
    values("evc get vaults", "OPENED BY", &said(opened()));
    values("evc get policies", "CUSTODY", &shown(custodies()));
    values("evc get policies", "SEAL", &shown(seals()));
    values("evc get policies", "REQUIRE", &shown(checks()));
    values("evc get policies", "OPERATION", &shown(doors()));
    values("evc get policies", "ENCRYPTION", &said(encryptions()));
    values("evc get references", "STATE", &shown(references()));
    values("evc apply", "KIND", &shown(kinds()));
    values("evc apply", "OUTCOME", &shown(outcomes()));
}

/// A heading's first cells, and sentences: each is spoken of by one, and each speaks of one.
fn both(heading: &str, sentences: &[String]) {
    let cells = first_cells(STATUSES, heading);
    let lacking: Vec<_> =
        sentences.iter().filter(|it| !cells.iter().any(|cell| speaks_of(cell, it))).collect();
    assert!(lacking.is_empty(), "{heading} lacks {lacking:#?}");
    let idle: Vec<_> = cells.iter().filter(|cell| !sentences.iter().any(|it| speaks_of(cell, it))).collect();
    assert!(idle.is_empty(), "{heading} has what nobody says: {idle:#?}");
}

#[test]
fn the_document_has_every_condition_of_a_device_and_no_other() {
    let told: Vec<String> = conditions().into_iter().map(|condition| of_condition(condition, 7)).collect();
    both("## Condition of a device", &told);
}

/// Each state has its row; rows of what is known of one beside it are more.
#[test]
fn the_document_has_every_state_of_a_vault() {
    let cells = first_cells(STATUSES, "## State of a vault");
    for state in said(states()) {
        assert!(cells.contains(&format!("`{state}`")), "{state}: {cells:?}");
    }
}
