//! What was kept of a device that was deleted, sealed anew as the device's that it is now. Whoever has the device's key, and an operator's allowance of
//! its serial, is that device.

use vault::ids::DeviceId;

use super::epochs::{period_key_of, sealed_as};
use super::{CustodyError, Identity, Kek};
use crate::store::{BundleRow, DeviceRow, EpochRow, Tx};

/// A key of an epoch as this device's.
///
/// # Errors
/// [`CustodyError`]: it does not open.
pub async fn restored_epoch(
    tx: &mut dyn Tx,
    kek: &Kek,
    row: EpochRow,
    to: &DeviceRow,
) -> Result<EpochRow, CustodyError> {
    let period_key = period_key_of(tx, kek, &row.period).await?;
    let identity = Identity::Epoch(&to.project, row.device, row.vault, row.epoch);
    let plain = period_key.open(identity, &row.sealed)?;
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
