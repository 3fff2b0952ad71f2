//! What nodes have under keys that a database does not have, by what they told it last: it is a copy, and they have gone on. Known before a new
//! life of the database begins, which locks it.

use std::path::Path;

use vault::ids::{Name, Project, VaultId};
use vault::report::{State, VaultReport};

use super::start::{StartError, claimed};
use crate::fleet::reported::{default_vaults, lacks_key, orphans};
use crate::store::{DeviceRow, Page, Tx, VaultStanding, next_page, readable};

/// Devices of one view.
const PAGE: u32 = 200;

/// A vault that its node told of last, by a list that this database does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftBehind {
    /// Its device.
    pub device: Name,
    /// Its name there.
    pub vault: Name,
    /// It is open.
    pub is_open: bool,
    /// It is under a key of a controller's.
    pub has_key: bool,
}

impl LeftBehind {
    fn of(device: &DeviceRow, told: &VaultReport) -> Self {
        let is_open = told.state == State::Unlocked;
        Self { device: device.name.clone(), vault: told.name.clone(), is_open, has_key: told.epoch.is_some() }
    }

    /// It, and whose it is.
    #[must_use]
    pub fn called(&self) -> String {
        format!("{} of {}", self.vault, self.device)
    }

    /// A new life of the database would close it for good.
    #[must_use]
    pub fn is_lost_by_a_lock(&self) -> bool {
        self.is_open && self.has_key
    }
}

/// Of all devices, in the database of a data folder on which no controller works. Rows that do not read tell of none.
///
/// # Errors
/// [`StartError`].
pub async fn left_behind(data: &Path) -> Result<Vec<LeftBehind>, StartError> {
    let store = claimed(data).await?;
    let (mut all, mut page) = (Vec::new(), Some(Page::first(PAGE)));
    while let Some(this) = page {
        let read = store.read(|tx| Box::pin(of_page(tx, &this))).await;
        let (next, found) = match read {
            Ok(read) => read,
            Err(error) => {
                store.close().await;
                return Err(error);
            }
        };
        all.extend(found);
        page = next;
    }
    store.close().await;
    Ok(all)
}

async fn of_page(tx: &mut dyn Tx, page: &Page) -> Result<(Option<Page>, Vec<LeftBehind>), StartError> {
    let rows = tx.devices(&Project::default(), page).await?;
    let next = next_page(page.clone(), &rows, |row| &row.name);
    let mut found = Vec::new();
    for device in readable(rows) {
        found.extend(of_device(tx, &device).await?);
    }
    Ok((next, found))
}

/// Those that no row is kept of. A default vault of which one is kept is under its policy.
async fn of_device(tx: &mut dyn Tx, device: &DeviceRow) -> Result<Vec<LeftBehind>, StartError> {
    let rows = readable(tx.vaults_listed(device.id).await?);
    let has_row = |id: VaultId| rows.iter().any(|row| row.id == id && row.standing != VaultStanding::Gone);
    let told = orphans(device).filter(|told| told.state != State::Orphan);
    let told = told.chain(default_vaults(device).filter(|told| lacks_key(device, told)));
    Ok(told.filter(|told| !has_row(told.id)).map(|told| LeftBehind::of(device, told)).collect())
}
