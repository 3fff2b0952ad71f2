//! What nodes have under keys that a database does not have, by what they told it last: it is a copy, and they have gone on. Known before a new
//! life of the database begins, which locks it.

use std::path::Path;

use vault::ids::{Name, Project, VaultId};
use vault::life::{self, is_last_time};
use vault::policy::VaultPolicy;
use vault::report::{State, VaultReport};

use super::start::{StartError, claimed};
use crate::fleet::at_stake::at_stake;
use crate::fleet::reported::{default_vaults, is_held_to, orphans};
use crate::store::{DeviceRow, Page, StoreError, Tx, VaultRow, VaultStanding, next_page, readable};

/// Devices of one view.
const PAGE: u32 = 200;

/// A vault that its node told of last, under a key, or by a list, that this database does not have.
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
    /// By whose list.
    pub whose: Whose,
}

/// By whose list a node has a vault, and whether a key of this database can be put on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// One that is not here: its node locks it by a list of this database.
    Unlisted,
    /// The same, and its node may not have its key at hand any more.
    LastTime,
    /// It is listed here, and its node has it under a key that is not here, which it may not have at hand any more.
    Listed,
    /// The same, and a list of this database locks it, whatever its node has at hand.
    Shut,
    /// One of another device, of which this database may know nothing.
    Elsewhere,
    /// It was removed here, and its node did not tell that it erased it.
    Removed,
}

impl LeftBehind {
    fn of(device: &DeviceRow, told: &VaultReport, whose: Whose) -> Self {
        let is_open = told.state == State::Unlocked;
        let has_key = told.epoch.is_some();
        Self { device: device.name.clone(), vault: told.name.clone(), is_open, has_key, whose }
    }

    fn listed(device: &DeviceRow, row: &VaultRow, whose: Whose) -> Self {
        let (device, vault) = (device.name.clone(), row.name.clone());
        Self { device, vault, is_open: true, has_key: true, whose }
    }

    fn removed(device: &DeviceRow, row: &VaultRow) -> Self {
        let (device, vault) = (device.name.clone(), row.name.clone());
        Self { device, vault, is_open: false, has_key: false, whose: Whose::Removed }
    }

    /// It, and whose it is.
    #[must_use]
    pub fn called(&self) -> String {
        format!("{} of {}", self.vault, self.device)
    }

    /// A new life of the database would close it for good, or it is open for the last time.
    #[must_use]
    pub fn is_lost_by_a_lock(&self) -> bool {
        self.is_open && self.has_key
    }

    /// A key of this database can be put on it while it is open.
    #[must_use]
    pub fn is_to_be_taken_in(&self) -> bool {
        self.whose == Whose::Unlisted
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

/// Those that no row is kept of, a default vault under its default policy among them; and those that are listed, and open for the last time.
async fn of_device(tx: &mut dyn Tx, device: &DeviceRow) -> Result<Vec<LeftBehind>, StartError> {
    let rows = readable(tx.vaults_listed(device.id).await?);
    let is_held = is_held_to(device).is_some();
    let has_row = |id: VaultId| rows.iter().any(|row| row.id == id && row.standing != VaultStanding::Gone);
    // What is said of a default vault by one that holds to another's lists is of those.
    let defaults = default_vaults(device).filter(|told| life::lacks_key(told));
    let defaults = defaults.filter(|told| is_held || !has_row(told.id));
    let told = orphans(device).filter(|told| told.state != State::Orphan && !has_row(told.id));
    let whose = |told: &VaultReport| match is_last_time(told) {
        _ if is_held => Whose::Elsewhere,
        true => Whose::LastTime,
        false => Whose::Unlisted,
    };
    let told = told.chain(defaults).map(|told| LeftBehind::of(device, told, whose(told)));
    let told: Vec<_> = told.chain(of_rows(tx, device, &rows).await?).collect();
    let is_told = |id: VaultId| orphans(device).any(|told| told.id == id);
    let removed = rows.iter().filter(|row| row.standing == VaultStanding::Gone && !is_told(row.id));
    Ok(told.into_iter().chain(removed.map(|row| LeftBehind::removed(device, row))).collect())
}

/// Those that are listed, and that the new life would lock, or that nothing opens again once they are closed.
async fn of_rows(
    tx: &mut dyn Tx,
    device: &DeviceRow,
    rows: &[VaultRow],
) -> Result<Vec<LeftBehind>, StartError> {
    let mut found = Vec::new();
    for row in rows.iter().filter(|row| at_stake(row, device, None).is_some()) {
        let policy = policy_of(tx, row).await?;
        let stake = at_stake(row, device, policy.as_ref());
        let whose = stake.and_then(|stake| match stake.closes {
            _ if stake.last_time => Some(Whose::Listed),
            closes => closes.is_by_list().then_some(Whose::Shut),
        });
        found.extend(whose.map(|whose| LeftBehind::listed(device, row, whose)));
    }
    Ok(found)
}

/// One that does not read is told elsewhere, and no list goes out by it.
async fn policy_of(tx: &mut dyn Tx, row: &VaultRow) -> Result<Option<VaultPolicy>, StartError> {
    let Some(name) = &row.policy else { return Ok(None) };
    match tx.policy(&row.project, name.as_str()).await {
        Ok(found) => Ok(found.map(|found| found.policy)),
        Err(StoreError::Damaged(_)) => Ok(None),
        Err(other) => Err(other.into()),
    }
}
