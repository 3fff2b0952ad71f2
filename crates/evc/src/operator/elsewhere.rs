//! Whose it is here what a device's node tells of as another's: the device whose lists it holds to, and vaults that no row of its own is kept of. By their
//! identities, each a look-up by an index.

use std::collections::HashMap;

use vault::ids::{Name, VaultId};

use super::show::readable;
use super::strays::EXPLAINED;
use crate::fleet::reported::{is_held_to, orphans};
use crate::service::Refusal;
use crate::store::{self, DeviceRow, Tx, VaultStanding};

/// Most rows of one vault that are looked at.
const ROWS: u32 = 4;

/// Other devices here, by name.
#[derive(Debug, Default)]
pub(super) struct Elsewhere {
    /// The one whose lists the node holds to.
    pub(super) held_to: Option<Name>,
    vaults: HashMap<VaultId, Name>,
}

impl Elsewhere {
    /// Of a device as it is in this view.
    pub(super) async fn of(tx: &mut dyn Tx, device: &DeviceRow) -> Result<Self, Refusal> {
        let mut found = Self { held_to: held_to(tx, device).await?, vaults: HashMap::new() };
        // Under a controller's key: what the TPM alone opens is this node's.
        let told = orphans(device).filter(|told| told.epoch.is_some() && !told.id.is_default());
        for id in told.map(|told| told.id).take(EXPLAINED) {
            if let Some(owner) = owner(tx, device, id).await? {
                found.vaults.insert(id, owner);
            }
        }
        Ok(found)
    }

    /// The other device that has a vault here.
    pub(super) fn owner(&self, id: VaultId) -> Option<&Name> {
        self.vaults.get(&id)
    }
}

async fn held_to(tx: &mut dyn Tx, device: &DeviceRow) -> Result<Option<Name>, Refusal> {
    let Some(other) = is_held_to(device) else { return Ok(None) };
    let found = tx.remains(&device.project, &other.to_string()).await?;
    let is_it = |found: &store::DeviceRemains| {
        found.id == other && found.project.as_ref().is_none_or(|of| *of == device.project)
    };
    Ok(found.filter(is_it).and_then(|found| found.name))
}

async fn owner(tx: &mut dyn Tx, device: &DeviceRow, id: VaultId) -> Result<Option<Name>, Refusal> {
    let rows = store::readable(tx.vaults_of_identity(&device.project, id, ROWS).await?);
    let is_it = |row: &store::VaultRow| row.device != device.id && row.standing != VaultStanding::Gone;
    let Some(row) = rows.into_iter().find(is_it) else { return Ok(None) };
    let other = readable(tx.device(row.device).await.map_err(Refusal::from))?.flatten();
    Ok(other.map(|other| other.name))
}
