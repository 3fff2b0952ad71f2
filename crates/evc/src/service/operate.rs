//! The operator's acts on one vault: delete (with its grace), recreate; and the end of a grace.

use serde::{Deserialize, Serialize};
use vault::ids::{Name, VaultId};

use super::show::VaultView;
use super::view::policy_of;
use super::{Controller, Refusal, find_device};
use crate::store::{DeviceRow, Tx, UnixSeconds, VaultRow, VaultStanding};

/// Most graces that are ended in one transaction.
const BATCH: u32 = 200;

/// What was done, in words.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Done {
    /// One sentence.
    pub done: String,
    /// What the operator should know.
    pub notes: Vec<String>,
}

impl Controller {
    /// Removes a vault: locked and listed until its grace ends; a default vault returns to its default policy.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn delete_vault(&self, device: &str, name: &Name, now: UnixSeconds) -> Result<Done, Refusal> {
        let mut tx = self.store.write().await?;
        let (device, row) = find_vault(&mut *tx, device, name).await?;
        let done = if row.id.is_default() {
            restore_default(&mut *tx, row).await?
        } else {
            self.remove(&mut *tx, &device, row, now).await?
        };
        tx.commit().await?;
        Ok(done)
    }

    async fn remove(
        &self,
        tx: &mut dyn Tx,
        device: &DeviceRow,
        mut row: VaultRow,
        now: UnixSeconds,
    ) -> Result<Done, Refusal> {
        if row.standing == VaultStanding::Removing {
            let end = crate::clock::text(row.delete_at.unwrap_or(now));
            return Ok(Done {
                done: format!("vault `{}` is being removed already, until {end}", row.name),
                notes: vec![],
            });
        }
        let policy = policy_of(tx, device, &row).await?;
        let end = now + policy.delete_after.as_secs();
        (row.standing, row.delete_at) = (VaultStanding::Removing, Some(end));
        let name = row.name.clone();
        if end <= now {
            end_grace(tx, device, row).await?;
            return Ok(Done {
                done: format!("vault `{name}` left the list; the node erases it at its next contact"),
                notes: vec![
                    "removed, not crypto-erased on the node; its controller keys are deleted here".into(),
                ],
            });
        }
        tx.put_vault(&row).await?;
        Ok(Done {
            done: format!("vault `{name}` is locked and kept until {}", crate::clock::text(end)),
            notes: vec!["`evc apply` of its document keeps it".into()],
        })
    }

    /// Orders a missing vault to be made anew, empty.
    ///
    /// # Errors
    /// [`Refusal`]: the node did not report it missing.
    pub async fn recreate(&self, device: &str, name: &Name) -> Result<Done, Refusal> {
        let mut tx = self.store.write().await?;
        let (_, mut row) = find_vault(&mut *tx, device, name).await?;
        let reported = VaultView::from(&row).state;
        if reported.as_deref() != Some("missing") {
            return Err(Refusal::conflict(
                format!("the node does not report vault `{name}` as missing"),
                "only a vault that lost a part is made anew; see `evc describe vault`",
            ));
        }
        row.recreate = true;
        tx.put_vault(&row).await?;
        tx.commit().await?;
        Ok(Done {
            done: format!("vault `{name}` will be made anew, empty"),
            notes: vec!["what was in it is lost".into()],
        })
    }

    /// Removes a policy that no vault names.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn delete_policy(&self, name: &Name) -> Result<Done, Refusal> {
        let mut tx = self.store.write().await?;
        if tx.policy(name.as_str()).await?.is_none() {
            return Err(Refusal::NotFound {
                what: format!("policy `{name}`"),
                advice: "see `evc get policies`".into(),
            });
        }
        if let Some(vault) = tx.vault_with_policy(name.as_str()).await? {
            let problem = format!("vault `{}` of device {} names policy `{name}`", vault.name, vault.device);
            return Err(Refusal::conflict(problem, "delete its vaults or give them another policy first"));
        }
        tx.drop_policy(name.as_str()).await?;
        tx.commit().await?;
        Ok(Done { done: format!("policy `{name}` is deleted"), notes: vec![] })
    }
}

/// Ends the graces that are over: the keys go, the node erases at its next contact. Safe to repeat. How many it were.
pub(super) async fn end_graces(tx: &mut dyn Tx, now: UnixSeconds) -> Result<usize, Refusal> {
    let due = tx.vaults_to_end(now, BATCH).await?;
    let count = due.len();
    for row in due {
        let device = tx.device(row.device).await?.ok_or(Refusal::Internal("a vault without a device"))?;
        end_grace(tx, &device, row).await?;
    }
    Ok(count)
}

/// From here on the vault is in no list, and its keys are gone.
async fn end_grace(tx: &mut dyn Tx, device: &DeviceRow, mut row: VaultRow) -> Result<(), Refusal> {
    row.standing = VaultStanding::Gone;
    row.policy = None;
    row.left_version = Some(device.section_version + 1);
    tx.put_vault(&row).await?;
    // There will be such a version, also when no section ever went out with the vault.
    tx.update_device(&DeviceRow { section_digest: None, ..device.clone() }).await?;
    tx.drop_epochs(row.device, row.id).await?;
    tracing::info!(device = %row.device, vault = %row.id, "grace over, keys deleted");
    Ok(())
}

/// The row and its epochs stay for good: a key that went out may be in the vault before the node says so, and an epoch's number
/// never gets a second key.
async fn restore_default(tx: &mut dyn Tx, mut row: VaultRow) -> Result<Done, Refusal> {
    let done = format!("vault `{}` returns to its default policy", row.name);
    (row.policy, row.standing, row.delete_at) = (None, VaultStanding::Active, None);
    tx.put_vault(&row).await?;
    Ok(Done { done, notes: vec!["a default vault is never deleted".into()] })
}

/// A device and one of its vaults that is not gone, by name or UUID.
pub(super) async fn find_vault(
    tx: &mut dyn Tx,
    device: &str,
    name: &Name,
) -> Result<(DeviceRow, VaultRow), Refusal> {
    let device = find_device(tx, device).await?;
    let by_name = tx.vault_by_name(device.id, name).await?;
    let found = match (by_name, name.as_str().parse::<VaultId>()) {
        (Some(row), _) => Some(row),
        (None, Ok(id)) => tx.vault(device.id, id).await?.filter(|row| row.standing != VaultStanding::Gone),
        (None, Err(_)) => None,
    };
    let what = format!("vault `{name}` of device `{}`", device.name);
    let row = found.ok_or_else(|| Refusal::NotFound { what, advice: "see `evc get vaults`".into() })?;
    Ok((device, row))
}
