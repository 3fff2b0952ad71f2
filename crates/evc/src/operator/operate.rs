//! The operator's acts on one vault: delete (with its grace), recreate; and the end of a grace.

use vault::ids::{DeviceId, Name, Project, VaultId};
use vault::ledger::held_back;
use vault::life::{AskedRemoval, Bundles, Deleted, Deletion, Disk, Life, Listed};
use vault::policy::Removal;
use vault::report::State;

use super::Operator;
use super::again::{confirmed, is_meant};
use super::deletion::id_as_name;
use crate::api::{Done, Known, Recreation};
use crate::fleet::at_stake::at_stake;
use crate::fleet::life::{life, listed, write_gone};
use crate::fleet::reported::{default_states, disk_is_away};
use crate::fleet::times::no_earlier_than_shown;
use crate::fleet::view::policy_of;
use crate::service::{Fault, InTheWay, Irrevocable, Refusal, Unknown, device_by_id, find_device, in_life};
use crate::store::{
    DeviceRow, OfDeleted, OrDamaged, RowKind, Scope, StoreError, Tx, UnixSeconds, VaultRow, VaultStanding,
};
use crate::words::at_stake::CLOSED_BY_THIS;
use crate::words::{notes, of_older};

/// How an operator asks for a vault's removal.
#[derive(Debug, Clone, Default)]
pub struct RemovalWish {
    /// The grace that counts, whatever its policy says.
    pub after: Option<Removal>,
    /// The vault's name or UUID, as it was said again.
    pub confirm: Option<String>,
}

impl RemovalWish {
    /// Of this vault, beside what its policy says.
    pub(super) fn with(&self, (name, id): (&Name, VaultId), policy: Removal) -> AskedRemoval {
        let confirmed = is_meant(self.confirm.as_deref(), name, id.0);
        AskedRemoval { policy, said: self.after, confirmed }
    }
}

impl Operator {
    /// Removes a vault: locked and listed until its grace ends, or without an end where it is retained; a default vault returns to its
    /// default policy. One that would be erased at once is to be confirmed.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn delete_vault(
        &self,
        device: &str,
        name: &Name,
        wish: &RemovalWish,
        now: UnixSeconds,
    ) -> Result<Done, Refusal> {
        let id = self.meant(device).await?;
        let scope = Scope::Device(id);
        let of = (&self.project, self.put_back);
        self.store.write(scope, |tx| Box::pin(delete(tx, of, (id, name), wish, now))).await
    }

    /// Orders a missing vault to be made anew, empty.
    ///
    /// # Errors
    /// [`Refusal`]: the node did not report it missing; or all of its vaults, so that it is the disk that is not there, unless the operator
    /// says that it is a new one; or a bundle is in escrow that it may come back from, unless the operator gives that up; or it was said once.
    pub async fn recreate(&self, device: &str, name: &Name, how: &Recreation) -> Result<Done, Refusal> {
        let id = self.meant(device).await?;
        let scope = Scope::Device(id);
        let order = self.store.write(scope, |tx| Box::pin(order_recreate(tx, &self.project, id, name, how)));
        order.await?;
        Ok(Done {
            done: format!("vault `{name}` will be made anew, empty"),
            notes: vec!["what was in it is lost".into(), notes::of_order(name, device)],
        })
    }

    /// Takes the order back to make a vault anew. Safe to repeat.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn withdraw(&self, device: &str, name: &Name) -> Result<Done, Refusal> {
        let id = self.meant(device).await?;
        let scope = Scope::Device(id);
        let stood = self.store.write(scope, |tx| Box::pin(withdraw_recreate(tx, &self.project, id, name)));
        Ok(notes::of_withdrawn(name, stood.await?))
    }

    /// Whether a device has a vault of this name or UUID, or had one, also as its node alone tells of it.
    ///
    /// # Errors
    /// [`Unknown::Vault`]: nobody ever told of one here. Else the store's.
    pub async fn known_vault(&self, device: &str, name: Name) -> Result<Known, Refusal> {
        self.store.read(|tx| Box::pin(known(tx, &self.project, device, &name))).await
    }

    /// Removes a policy that no vault names.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn delete_policy(&self, name: &Name) -> Result<Done, Refusal> {
        self.store.write(Scope::Fleet, |tx| Box::pin(drop_policy(tx, &self.project, name))).await?;
        Ok(Done { done: format!("policy `{name}` is deleted"), notes: vec![] })
    }
}

async fn delete(
    tx: &mut dyn Tx,
    (project, put_back): (&Project, bool),
    (id, name): (DeviceId, &Name),
    wish: &RemovalWish,
    now: UnixSeconds,
) -> Result<Done, Refusal> {
    let device = device_by_id(tx, project, id).await?;
    let Found { device, row, vault } = find_vault(tx, device, name).await?;
    let policy = policy_of(tx, &device, &row).await?;
    let (of_policy, stake) = (policy.on_removal, at_stake(&row, &device, Some(&policy)));
    let shown = held_back(device.older, put_back);
    let by_another = tx.one_older().await?.is_some();
    let how = Deletion {
        now: no_earlier_than_shown(tx, now).await?,
        asked: wish.with((&row.name, row.id), of_policy),
        next_version: device.section_version + 1,
        older: shown.is_some() || by_another,
    };
    let became = vault.delete(row.id, how).map_err(|cause| in_life(&device, &row.name, cause))?;
    match &became {
        Deleted::Default(vault) => tx.want_vault(device.id, row.id, vault.policy.as_ref()).await?,
        Deleted::Already { .. } => {}
        Deleted::Grace { until, .. } | Deleted::Held { until, .. } => {
            tx.begin_grace(device.id, row.id, *until).await?
        }
        Deleted::Retained { .. } => tx.retain_vault(device.id, row.id).await?,
        Deleted::AtOnce { vault, until } => {
            tx.begin_grace(device.id, row.id, *until).await?;
            write_gone(tx, device.id, row.id, *vault).await?;
        }
    }
    let mut done = notes::of_deleted(&row.name, &became, shown);
    let closes = stake.is_some() && !matches!(became, Deleted::Default(_) | Deleted::AtOnce { .. });
    done.notes.iter_mut().take(1).filter(|_| closes).for_each(|note| *note = CLOSED_BY_THIS.into());
    // That another device showed it is none of this one's, and is not settled at this one.
    let others = (shown.is_none() && by_another && !matches!(became, Deleted::Default(_))).then(of_older);
    done.notes.extend(others);
    Ok(done)
}

async fn order_recreate(
    tx: &mut dyn Tx,
    project: &Project,
    id: DeviceId,
    name: &Name,
    Recreation { new_disk, despite_escrow, confirm }: &Recreation,
) -> Result<(), Refusal> {
    let device = device_by_id(tx, project, id).await?;
    let Found { device, row, vault } = find_vault(tx, device, name).await?;
    confirmed(confirm.as_deref(), (&row.name, row.id.0), || Irrevocable::Recreate)?;
    let disk = if disk_is_away(&device) {
        Disk::NotMounted
    } else if *new_disk {
        Disk::New
    } else {
        disk(&device, &tx.vaults(device.id).await?)?
    };
    let bundles = match device.held {
        Some(_) if *despite_escrow => Bundles::GivenUp,
        Some(_) => Bundles::Held,
        None => Bundles::None,
    };
    vault.order_anew(disk, bundles).map_err(|cause| in_life(&device, &row.name, cause))?;
    Ok(tx.set_recreate(device.id, row.id, true).await?)
}

/// Whether one stood.
async fn withdraw_recreate(
    tx: &mut dyn Tx,
    project: &Project,
    id: DeviceId,
    name: &Name,
) -> Result<bool, Refusal> {
    let device = device_by_id(tx, project, id).await?;
    let Found { device, row, vault } = find_vault(tx, device, name).await?;
    if vault.recreate {
        tx.set_recreate(device.id, row.id, false).await?;
    }
    Ok(vault.recreate)
}

/// By what the node says of all that it ever had.
fn disk(device: &DeviceRow, rows: &[VaultRow]) -> Result<Disk, Refusal> {
    let mut states: Vec<Option<State>> = default_states(device).map(Some).collect();
    for row in rows {
        if let Life::Listed(vault) = life(row)? {
            states.extend(vault.made.then_some(vault.said.map(|said| said.state)));
        }
    }
    Ok(Disk::by(states))
}

async fn drop_policy(tx: &mut dyn Tx, project: &Project, name: &Name) -> Result<(), Refusal> {
    if tx.policy(project, name.as_str()).await?.is_none() {
        return Err(Unknown::Policy { policy: name.clone() }.into());
    }
    if let Some(row) = tx.rule_with_policy(project, name).await? {
        return Err(InTheWay::PolicyOfRule { policy: name.clone(), rule: row.rule.name }.into());
    }
    if let Some(vault) = tx.vault_with_policy(project, name.as_str()).await? {
        let device = tx.device(vault.device).await?.ok_or(Fault::VaultWithoutDevice)?.name;
        let in_use = InTheWay::PolicyInUse { policy: name.clone(), vault: vault.name, device };
        return Err(in_use.into());
    }
    if let Some((device, vault)) = of_deleted(tx, project, name).await? {
        return Err(InTheWay::PolicyOfDeleted { policy: name.clone(), vault, device }.into());
    }
    Ok(tx.drop_policy(project, name.as_str()).await?)
}

/// A deleted device, and a vault that it would have back under the policy.
pub(super) async fn of_deleted(
    tx: &mut dyn Tx,
    project: &Project,
    policy: &Name,
) -> Result<Option<(Name, Name)>, Refusal> {
    for (device, vaults) in kept_vaults(tx, project).await? {
        if let Some(vault) = vaults.into_iter().find(|vault| vault.policy.as_ref() == Some(policy)) {
            return Ok(Some((device, vault.name)));
        }
    }
    Ok(None)
}

/// The vaults that are kept of each deleted device, with its name. What else of such a device does not read is no matter of theirs. One of them that
/// does not read may be under any policy: it is an error.
pub(super) async fn kept_vaults(
    tx: &mut dyn Tx,
    project: &Project,
) -> Result<Vec<(Name, Vec<VaultRow>)>, Refusal> {
    let mut kept = Vec::new();
    for row in tx.deleted(project).await? {
        let (id, name) = match row {
            OrDamaged::Whole(row) => (row.id, row.name),
            OrDamaged::Damaged(row) => {
                let id = row.id.as_deref().and_then(|id| id.parse().ok());
                let id: DeviceId = id.ok_or_else(|| StoreError::from(row.clone()))?;
                (id, row.name.and_then(|name| name.parse().ok()).unwrap_or_else(|| id_as_name(id)))
            }
        };
        let OfDeleted { vaults, damaged, .. } = tx.of_deleted(id).await?;
        if let Some(vault) = damaged.into_iter().find(|row| row.kind == RowKind::Vault) {
            return Err(StoreError::from(vault).into());
        }
        kept.push((name, vaults));
    }
    Ok(kept)
}

async fn known(tx: &mut dyn Tx, project: &Project, device: &str, name: &Name) -> Result<Known, Refusal> {
    let device = find_device(tx, project, device).await?;
    let id = name.as_str().parse().ok();
    let is_it = |of: VaultId, called: &Name| Some(of) == id || called == name;
    let is_called = |row: &OrDamaged<VaultRow>| match row {
        OrDamaged::Whole(row) => is_it(row.id, &row.name),
        OrDamaged::Damaged(row) => [&row.name, &row.id].contains(&&Some(name.to_string())),
    };
    let mut told = device.report.get().into_iter().flat_map(|report| &report.vaults);
    if tx.vaults_listed(device.id).await?.iter().any(is_called)
        || told.any(|vault| is_it(vault.id, &vault.name))
    {
        return Ok(Known::Is);
    }
    if tx.was_vault(device.id, name).await? {
        return Ok(Known::Was);
    }
    Err(Unknown::Vault { vault: name.clone(), device: device.name }.into())
}

/// A vault that is listed, with its device.
pub(crate) struct Found {
    pub(crate) device: DeviceRow,
    pub(crate) row: VaultRow,
    pub(crate) vault: Listed,
}

/// One of a device's vaults that is not gone, by UUID or name. As of devices, a UUID is not taken for another one's name where it is known.
pub(crate) async fn find_vault(tx: &mut dyn Tx, device: DeviceRow, name: &Name) -> Result<Found, Refusal> {
    let by_id = match name.as_str().parse::<VaultId>() {
        Ok(id) => tx.vault(device.id, id).await?,
        Err(_) => None,
    };
    let found = match by_id {
        Some(row) => Some(row).filter(|row| row.standing != VaultStanding::Gone),
        None => tx.vault_by_name(device.id, name).await?,
    };
    let unknown = || {
        let (vault, device) = (name.clone(), device.name.clone());
        let is_default = vault::defaults::named(name).is_some();
        if is_default { Unknown::DefaultVault { vault, device } } else { Unknown::Vault { vault, device } }
    };
    let row = found.ok_or_else(unknown)?;
    let vault = listed(&row)?;
    Ok(Found { device, row, vault })
}
