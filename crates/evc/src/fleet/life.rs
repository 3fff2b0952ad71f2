//! Rows of vaults as lives, and back: between the store and [`vault::life`], which decides.

use vault::ids::{DeviceId, Name, VaultId};
use vault::life::{Gone, Life, Listed, Phase, ReportedState};
use vault::rotation::Epochs;

use crate::service::Refusal;
use crate::store::{DeviceRow, NodeWord, StoreError, Stored, Tx, UnixSeconds, VaultRow, VaultStanding};

/// A row as a life.
///
/// # Errors
/// No life leads there: the store is damaged.
pub(crate) fn life(row: &VaultRow) -> Stored<Life> {
    let damaged =
        |why: &str| StoreError::Damaged(format!("vault {} of device {}: {why}", row.id, row.device));
    let phase = match (row.standing, row.delete_at) {
        (VaultStanding::Active, _) => Phase::Wanted,
        (VaultStanding::Removing, Some(until)) => Phase::Grace { until },
        (VaultStanding::Retained, _) => Phase::Retained,
        (VaultStanding::Removing, None) => return Err(damaged("its grace has no end")),
        (VaultStanding::Gone, _) => {
            let left = row.left_version.ok_or_else(|| damaged("it left no version of the section"))?;
            return Ok(Life::Gone(Gone { left, used: row.created || row.reported_epoch.is_some() }));
        }
    };
    Ok(Life::Listed(Listed {
        policy: row.policy.clone(),
        phase,
        made: row.created,
        recreate: row.recreate,
        epochs: Epochs::stored(row.current_epoch, row.last_epoch).map_err(|e| damaged(&e.to_string()))?,
        taken: row.reported_epoch,
        said: said(row),
        others: row.others_epoch,
    }))
}

/// A row that was found among the listed ones.
///
/// # Errors
/// As [`life`].
pub(crate) fn listed(row: &VaultRow) -> Stored<Listed> {
    match life(row)? {
        Life::Listed(vault) => Ok(vault),
        Life::Gone(_) => Err(StoreError::Damaged(format!("vault {} is gone, and was found", row.id))),
    }
}

/// What its node said last.
fn said(row: &VaultRow) -> Option<ReportedState> {
    row.report.get().map(ReportedState::from)
}

/// The row of a vault that comes to a device, whose node has said nothing of it.
pub(crate) fn new_row(
    device: &DeviceRow,
    (id, name): (VaultId, Name),
    vault: Listed,
    added_at: UnixSeconds,
) -> VaultRow {
    let (standing, delete_at) = VaultStanding::of(vault.phase);
    VaultRow {
        project: device.project.clone(),
        device: device.id,
        id,
        name,
        policy: vault.policy,
        standing,
        delete_at,
        left_version: None,
        created: vault.made,
        recreate: vault.recreate,
        current_epoch: vault.epochs.current(),
        last_epoch: vault.epochs.last(),
        reported_epoch: vault.taken,
        report: NodeWord::nothing(),
        reported_at: None,
        added_at,
        others_epoch: vault.others,
    }
}

/// How many vaults of a device are listed beside its default ones. Those that left the list take no room.
pub(crate) fn beside_defaults(rows: &[VaultRow]) -> usize {
    rows.iter().filter(|row| !row.id.is_default() && row.standing != VaultStanding::Gone).count()
}

/// From here on the vault is in no list, and its keys are gone.
pub(crate) async fn write_gone(
    tx: &mut dyn Tx,
    device: DeviceId,
    vault: VaultId,
    gone: Gone,
) -> Result<(), Refusal> {
    tx.end_grace(device, vault, gone.left).await?;
    // There will be such a version, also when no section ever went out with the vault.
    tx.end_section(device).await?;
    Ok(tx.drop_epochs(device, vault).await?)
}
