//! What is kept of a vault, sealed anew as the device's that it is of from now on: given back to one that was deleted, moved to the one that its own became,
//! or to the same under another identity. Each caller says by whose word.

use vault::ids::{DeviceId, Project};

use super::epochs::{period_key_of, sealed_as};
use super::{CustodyError, Identity, Kek, SealedRow};
use crate::store::{BundleRow, DeviceRow, EpochRow, Tx, VaultRow};

/// A key as it goes over.
pub struct GoesOver {
    /// Its row.
    pub row: EpochRow,
    /// It does not open, and goes over as it is. No key of its epoch goes out to anybody any more, so nothing needs it.
    pub shut: Option<SealedRow>,
}

/// The key of one of a vault's epochs, as it goes over from a device of `project`.
///
/// # Errors
/// [`CustodyError`]: it does not open, and a node may need it.
pub async fn goes_over(
    tx: &mut dyn Tx,
    kek: &Kek,
    (vault, row): (&VaultRow, EpochRow),
    (project, to): (&Project, &DeviceRow),
) -> Result<GoesOver, CustodyError> {
    let as_it_is = EpochRow { device: to.id, ..row.clone() };
    match sealed_for(tx, kek, row, (project, to)).await {
        Err(CustodyError::Unsealed(shut) | CustodyError::Absent(shut))
            if as_it_is.epoch < vault.last_epoch =>
        {
            tracing::error!(row = %shut, "it does not open; its epoch is over, so it goes over as it is");
            Ok(GoesOver { row: as_it_is, shut: Some(shut) })
        }
        sealed => Ok(GoesOver { row: sealed?, shut: None }),
    }
}

async fn sealed_for(
    tx: &mut dyn Tx,
    kek: &Kek,
    row: EpochRow,
    (project, to): (&Project, &DeviceRow),
) -> Result<EpochRow, CustodyError> {
    let period_key = period_key_of(tx, kek, &row.period).await?;
    let plain = period_key.open(Identity::Epoch(project, row.device, row.vault, row.epoch), &row.sealed)?;
    sealed_as(&period_key, &to.project, &EpochRow { device: to.id, ..row }, &plain)
}

/// A bundle as this device's.
///
/// # Errors
/// [`CustodyError`]: it does not open.
pub fn restored_bundle(kek: &Kek, row: BundleRow, to: &DeviceRow) -> Result<BundleRow, CustodyError> {
    let identity = |device: DeviceId| Identity::Bundle(&to.project, device, row.held.id);
    let plain = kek.open(identity(row.device), &row.sealed)?;
    let sealed = kek.seal(identity(to.id), &plain)?;
    Ok(BundleRow { device: to.id, sealed, ..row })
}
