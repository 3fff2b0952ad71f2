//! What is said of the epoch that a vault is under on its node, and of the key.

use std::cmp::Ordering;

use vault::ids::Epoch;
use vault::life::AtStake;
use vault::policy::VaultPolicy;
use vault::report::{State, VaultReport};

use crate::api::VaultView;
use crate::fleet::at_stake::at_stake;
use crate::fleet::life::listed;
use crate::store::{DeviceRow, VaultRow};
use crate::words::at_stake::{Whose, of_closes, of_last_time, of_not_wrapped};
use crate::words::unlisted::UNDER_ANOTHERS;

/// The epoch that a node reported, when it was never made here.
fn unknown_epoch(row: &VaultRow) -> Option<Epoch> {
    listed(row).ok()?.never_made()
}

/// The epoch that a node reported while the list that it went by was another controller's.
fn others_epoch(row: &VaultRow) -> Option<Epoch> {
    let said = row.report.get()?.epoch?;
    let is_told = row.reported_epoch == Some(said) || row.others_epoch.is_some_and(|others| said <= others);
    (said <= row.current_epoch && !is_told).then_some(said)
}

impl VaultView {
    /// With what is said of its epoch and key, and whether it is open for the last time.
    pub(super) fn noted(mut self, row: &VaultRow, device: &DeviceRow, policy: Option<&VaultPolicy>) -> Self {
        let stake = at_stake(row, device, policy);
        let of = Whose { vault: &row.name, device: &device.name };
        self.last_time = stake.is_some_and(|stake| stake.last_time);
        self.notes.extend(epoch_note(row, stake, of).into_iter().chain(key_note(row, stake, of)));
        self
    }
}

/// Epochs that differ are said: the number alone does not say who waits for whom.
fn epoch_note(row: &VaultRow, stake: Option<AtStake>, of: Whose<'_>) -> Option<String> {
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
            let closes = stake.filter(|stake| !stake.last_time);
            let closes = closes.map(|stake| format!("; {}", of_closes(stake.closes, of))).unwrap_or_default();
            Some(format!(
                "the node is at epoch {theirs}, above {ours}: this database is older than its node{closes}"
            ))
        }
    }
}

/// Its node has it under a key that is not here.
fn key_note(row: &VaultRow, stake: Option<AtStake>, of: Whose<'_>) -> Option<String> {
    let is_locked = |told: &VaultReport| told.state == State::Locked && told.under_anothers_key;
    match stake {
        Some(stake) if stake.last_time => Some(of_last_time(stake.closes, of)),
        // Above ours, its epoch says it.
        Some(_) if unknown_epoch(row).is_some() => None,
        Some(stake) => Some(of_not_wrapped(&stake, row.current_epoch, of)),
        None => row.report.get().is_some_and(is_locked).then(|| UNDER_ANOTHERS.into()),
    }
}
