//! The default vaults of a node without a TPM: they take their key from the controller at first contact (DF-3),
//! so they are rows from the moment that such a node is known.

use vault::ids::{CONFIG_VAULT, DeviceId, IMAGE_VAULT, Name, VaultId};
use vault::rotation::Epochs;

use super::Refusal;
use crate::custody::{Kek, add_epoch};
use crate::store::{Tx, UnixSeconds, VaultRow, VaultStanding};

/// The names that operators know the default vaults by.
pub(super) const DEFAULT_VAULTS: [(VaultId, &str); 2] = [(CONFIG_VAULT, "config"), (IMAGE_VAULT, "image")];

/// Adds those that are not there.
pub(super) async fn add_default_vaults(
    tx: &mut dyn Tx,
    kek: &Kek,
    device: DeviceId,
    now: UnixSeconds,
) -> Result<(), Refusal> {
    for (id, name) in DEFAULT_VAULTS {
        if tx.vault(device, id).await?.is_none() {
            let name = name.parse().expect("letters are a name");
            add_vault(tx, kek, new_vault(device, id, name, None, now)).await?;
        }
    }
    Ok(())
}

/// A vault that is new.
pub(super) fn new_vault(
    device: DeviceId,
    id: VaultId,
    name: Name,
    policy: Option<Name>,
    now: UnixSeconds,
) -> VaultRow {
    let epochs = Epochs::first();
    VaultRow {
        device,
        id,
        name,
        policy,
        standing: VaultStanding::Active,
        delete_at: None,
        left_version: None,
        created: false,
        recreate: false,
        current_epoch: epochs.current(),
        last_epoch: epochs.last(),
        reported_epoch: None,
        report: None,
        reported_at: None,
        added_at: now,
    }
}

/// Adds a vault and its first key; every vault has one, so that its custody may change later.
pub(super) async fn add_vault(tx: &mut dyn Tx, kek: &Kek, row: VaultRow) -> Result<(), Refusal> {
    tx.add_vault(&row).await?;
    add_epoch(tx, kek, (row.device, row.id, row.current_epoch), row.added_at).await?;
    Ok(())
}
