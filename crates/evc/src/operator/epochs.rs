//! What is said of the epoch that a vault is under on its node, and of the key.

use std::cmp::Ordering;

use vault::ids::Epoch;
use vault::report::State;

use crate::fleet::life::listed;
use crate::store::{VaultRow, VaultStanding};
use crate::words::unlisted::{CLOSES, UNDER_ANOTHERS, of_last_time};

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
pub(super) fn epoch_note(row: &VaultRow) -> Option<String> {
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
            let closes =
                row.report.get().filter(|told| told.state == State::Unlocked && told.opened.is_some());
            let closes = closes.map_or("", |_| CLOSES);
            Some(format!(
                "the node is at epoch {theirs}, above {ours}: this database is older than its node{closes}"
            ))
        }
    }
}

/// Its node has it under a key that is not here, and puts none of ours on it.
pub(super) fn key_note(row: &VaultRow) -> Option<String> {
    let told = row.report.get()?;
    match told.state {
        _ if is_open_for_the_last_time(row) => Some(of_last_time()),
        State::Locked if told.under_anothers_key => Some(UNDER_ANOTHERS.into()),
        _ => None,
    }
}

pub(super) fn is_open_for_the_last_time(row: &VaultRow) -> bool {
    let vault = || if row.standing == VaultStanding::Gone { None } else { listed(row).ok() };
    row.report.get().is_some_and(|told| vault().is_some_and(|vault| vault.is_last_time(told)))
}
