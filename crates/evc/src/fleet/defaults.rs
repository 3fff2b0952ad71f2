//! The default vaults of a node without a TPM: they take their key from the controller at first contact (DF-3),
//! so they are rows from the moment that such a node is known.

use vault::defaults::DEFAULT_VAULTS;
use vault::life::Listed;

use super::life::new_row;
use crate::custody::{Kek, add_epoch};
use crate::service::Refusal;
use crate::store::{DeviceRow, Tx, UnixSeconds, VaultRow};

/// Adds those that are not there.
pub(crate) async fn add_default_vaults(
    tx: &mut dyn Tx,
    kek: &Kek,
    device: &DeviceRow,
    now: UnixSeconds,
) -> Result<(), Refusal> {
    for (id, name) in DEFAULT_VAULTS {
        if tx.vault(device.id, id).await?.is_none() {
            let name = name.parse().expect("letters are a name");
            add_vault(tx, kek, new_row(device, (id, name), Listed::new(None), now)).await?;
        }
    }
    Ok(())
}

/// Adds a vault and its first key; every vault has one, so that its custody may change later.
pub(crate) async fn add_vault(tx: &mut dyn Tx, kek: &Kek, row: VaultRow) -> Result<(), Refusal> {
    tx.add_vault(&row).await?;
    add_epoch(tx, kek, &row, row.current_epoch, row.added_at).await?;
    Ok(())
}
