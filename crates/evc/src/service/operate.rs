//! The operator's acts on one vault: delete (with its grace), recreate; and the end of a grace.

use serde::{Deserialize, Serialize};
use vault::ids::{DeviceId, Name, VaultId};

use super::reported::default_states;
use super::show::VaultView;
use super::view::policy_of;
use super::{Controller, Refusal, find_device};
use crate::store::{DeviceRow, Scope, Tx, UnixSeconds, VaultRow, VaultStanding};

/// Most graces that are ended in one round.
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
        let scope = self.scope_of(device).await?;
        self.store.write(scope, |tx| Box::pin(delete(tx, device, name, now))).await
    }

    /// Orders a missing vault to be made anew, empty.
    ///
    /// # Errors
    /// [`Refusal`]: the node did not report it missing; or all of its vaults, so that it is the disk that is not there, unless the operator
    /// says that it is a new one.
    pub async fn recreate(&self, device: &str, name: &Name, new_disk: bool) -> Result<Done, Refusal> {
        let scope = self.scope_of(device).await?;
        self.store.write(scope, |tx| Box::pin(order_recreate(tx, device, name, new_disk))).await?;
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
        self.store.write(Scope::Fleet, |tx| Box::pin(drop_policy(tx, name))).await?;
        Ok(Done { done: format!("policy `{name}` is deleted"), notes: vec![] })
    }

    /// Ends the graces that are over: the keys go, the node erases at its next contact. Each for itself, so that no device waits for
    /// another's. Safe to repeat. How many it were.
    pub(super) async fn end_graces(&self, now: UnixSeconds) -> Result<usize, Refusal> {
        let due = self.store.read(|tx| tx.vaults_to_end(now, BATCH)).await?;
        let mut ended = 0;
        for VaultRow { device, id: vault, .. } in due {
            let end =
                self.store.write(Scope::Device(device), |tx| Box::pin(end_if_over(tx, device, vault, now)));
            if end.await? {
                tracing::info!(%device, %vault, "grace over, keys deleted");
                ended += 1;
            }
        }
        Ok(ended)
    }
}

async fn delete(tx: &mut dyn Tx, device: &str, name: &Name, now: UnixSeconds) -> Result<Done, Refusal> {
    let (device, row) = find_vault(tx, device, name).await?;
    if row.id.is_default() { restore_default(tx, row).await } else { remove(tx, &device, row, now).await }
}

async fn order_recreate(tx: &mut dyn Tx, device: &str, name: &Name, new_disk: bool) -> Result<(), Refusal> {
    let (device, row) = find_vault(tx, device, name).await?;
    let reported = VaultView::from(&row).state;
    if reported.as_deref() != Some("missing") {
        return Err(Refusal::conflict(
            format!("the node does not report vault `{name}` as missing"),
            "only a vault that lost a part is made anew; see `evc describe vault`",
        ));
    }
    if !new_disk && all_missing(&device, &tx.vaults(row.device).await?) {
        return Err(Refusal::conflict(
            format!(
                "every vault of device `{}` is missing, its default ones too: its disk is not there",
                device.name
            ),
            "mount the disk on persist there, and start it again; only if the disk was replaced, and what was on it is gone, add `--new-disk`",
        ));
    }
    Ok(tx.order_recreate(row.device, row.id).await?)
}

/// Whether the node misses all that it ever had.
fn all_missing(device: &DeviceRow, rows: &[VaultRow]) -> bool {
    let known = rows.iter().filter(|row| row.standing != VaultStanding::Gone && row.created);
    let mut all = known.map(|row| VaultView::from(row).state).chain(default_states(device)).peekable();
    all.peek().is_some() && all.all(|state| state.as_deref() == Some("missing"))
}

async fn drop_policy(tx: &mut dyn Tx, name: &Name) -> Result<(), Refusal> {
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
    Ok(tx.drop_policy(name.as_str()).await?)
}

async fn remove(
    tx: &mut dyn Tx,
    device: &DeviceRow,
    row: VaultRow,
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
    let name = &row.name;
    tx.begin_grace(row.device, row.id, end).await?;
    if end <= now {
        end_grace(tx, device, row.id).await?;
        return Ok(Done {
            done: format!("vault `{name}` left the list; the node erases it at its next contact"),
            notes: vec![
                "removed, not crypto-erased on the node; its controller keys are deleted here".into(),
            ],
        });
    }
    Ok(Done {
        done: format!("vault `{name}` is locked and kept until {}", crate::clock::text(end)),
        notes: vec!["`evc apply` of its document keeps it".into()],
    })
}

/// Whether it still had to end: an operator may have kept the vault since the list was read.
async fn end_if_over(
    tx: &mut dyn Tx,
    device: DeviceId,
    vault: VaultId,
    now: UnixSeconds,
) -> Result<bool, Refusal> {
    let over = |row: &VaultRow| {
        row.standing == VaultStanding::Removing && row.delete_at.is_some_and(|end| end <= now)
    };
    if !tx.vault(device, vault).await?.as_ref().is_some_and(over) {
        return Ok(false);
    }
    let device = tx.device(device).await?.ok_or(Refusal::Internal("a vault without a device"))?;
    // The grace may have been undone in the newer copy.
    if device.older.is_some() {
        return Ok(false);
    }
    end_grace(tx, &device, vault).await?;
    Ok(true)
}

/// From here on the vault is in no list, and its keys are gone.
async fn end_grace(tx: &mut dyn Tx, device: &DeviceRow, vault: VaultId) -> Result<(), Refusal> {
    tx.end_grace(device.id, vault, device.section_version + 1).await?;
    // There will be such a version, also when no section ever went out with the vault.
    tx.end_section(device.id).await?;
    Ok(tx.drop_epochs(device.id, vault).await?)
}

/// The row and its epochs stay for good: a key that went out may be in the vault before the node says so, and an epoch's number
/// never gets a second key.
async fn restore_default(tx: &mut dyn Tx, row: VaultRow) -> Result<Done, Refusal> {
    let done = format!("vault `{}` returns to its default policy", row.name);
    tx.want_vault(row.device, row.id, None).await?;
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
