//! Whether a vault is at stake ([`vault::life::AtStake`]), by its row, its device's and its policy.

use vault::life::{AtStake, Kept};
use vault::policy::{Door, VaultPolicy};
use vault::report::{State, VaultReport};

use super::life::listed;
use super::reported::is_held_to;
use crate::store::{DeviceRow, VaultRow, VaultStanding};

/// None of one that left the list; nor of one whose node goes by the lists of another device, of which that says more.
pub(crate) fn at_stake(row: &VaultRow, device: &DeviceRow, policy: Option<&VaultPolicy>) -> Option<AtStake> {
    let is_here = row.standing != VaultStanding::Gone && is_held_to(device).is_none();
    let told = told(row, device).filter(|_| is_here)?;
    listed(row).ok()?.at_stake(told, kept(device, policy))
}

/// Whether it is closed under a key that is not here.
pub(crate) fn is_closed(row: &VaultRow, device: &DeviceRow) -> bool {
    let lacks = |told: &&VaultReport| listed(row).is_ok_and(|vault| vault.is_under_anothers(told));
    let told = told(row, device).filter(|told| told.state == State::Locked).filter(lacks);
    told.is_some() && row.standing != VaultStanding::Gone && is_held_to(device).is_none()
}

/// How a vault under this policy is kept on the device.
pub(crate) fn kept(device: &DeviceRow, policy: Option<&VaultPolicy>) -> Kept {
    Kept {
        locks: policy.is_some_and(|policy| policy.operation == Door::Lock),
        lease: policy.and_then(|policy| policy.node.lease),
        lost: device.lost_at.is_some(),
        held_back: device.older.is_some(),
    }
}

/// What its node said of it last. Of one that was taken in since, it said that before there was a row.
fn told<'a>(row: &'a VaultRow, device: &'a DeviceRow) -> Option<&'a VaultReport> {
    let before = || {
        let mut all = device.report.get().into_iter().flat_map(|report| &report.vaults);
        all.find(|told| told.id == row.id && told.state != State::Orphan)
            .filter(|_| row.others_epoch.is_some())
    };
    row.report.get().or_else(before)
}
