//! Keys of devices that registered before keys were kept: read from their certificates, in the transaction that brings the controller up.

use vault::ids::DeviceId;
use wire::Certificate;

use crate::store::{DeviceRow, OrDamaged, StoreError, Stored, Tx};

/// Rows that are read at once.
const BATCH: u32 = 500;

/// Why no key is kept of a device. It goes on, known by its certificate.
#[derive(Debug, Clone)]
pub(crate) enum Keyless {
    /// A row does not read.
    Damaged(String),
    /// Its certificate does not read.
    Unread(DeviceId),
    /// It is one with another device: they have one key.
    Twice(DeviceId, DeviceId),
}

/// Keeps the key of each; those that stay without.
///
/// # Errors
/// Of the store's: nothing is kept.
pub(crate) async fn keep_keys(tx: &mut dyn Tx) -> Stored<Vec<Keyless>> {
    let (mut left, mut after) = (Vec::new(), None);
    loop {
        let rows = tx.devices_before_keys(after, BATCH).await?;
        let Some(last) = rows.iter().rev().find_map(identity) else { return Ok(left) };
        after = Some(last);
        for row in rows {
            left.extend(match row {
                OrDamaged::Whole(row) => kept(tx, &row).await?,
                OrDamaged::Damaged(row) => Some(Keyless::Damaged(row.to_string())),
            });
        }
    }
}

fn identity(row: &OrDamaged<DeviceRow>) -> Option<DeviceId> {
    match row {
        OrDamaged::Whole(row) => Some(row.id),
        OrDamaged::Damaged(row) => row.id.as_ref()?.parse().ok(),
    }
}

/// What is damaged keeps no controller from starting.
async fn kept(tx: &mut dyn Tx, row: &DeviceRow) -> Stored<Option<Keyless>> {
    match keep(tx, row).await {
        Err(StoreError::Damaged(what)) => Ok(Some(Keyless::Damaged(what))),
        kept => kept,
    }
}

async fn keep(tx: &mut dyn Tx, row: &DeviceRow) -> Stored<Option<Keyless>> {
    let Ok(certificate) = Certificate::from_der(&row.cert_der) else {
        return Ok(Some(Keyless::Unread(row.id)));
    };
    let key = certificate.public_key().name().0;
    if let Some(other) = tx.device_by_key(&key).await? {
        return Ok(Some(Keyless::Twice(row.id, other.id)));
    }
    tx.put_device_key(row.id, &key).await?;
    Ok(None)
}

/// Says so, for whoever runs the controller.
pub(crate) fn tell(left: &[Keyless]) {
    for keyless in left {
        match keyless {
            Keyless::Damaged(row) => {
                tracing::error!(row, "this row does not read: see `evc status` for what to do");
            }
            Keyless::Unread(device) => {
                tracing::error!(%device, "this device's certificate does not read: bring its row back from a backup");
            }
            Keyless::Twice(device, other) => tracing::warn!(
                %device, %other,
                "these two devices have one key: whoever has it is either of them, so mark both as lost where one is"
            ),
        }
    }
}
