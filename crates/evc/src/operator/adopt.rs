//! Orphans: vaults that a node has and that no section of this controller ever listed, of an earlier controller or an older database. The node
//! keeps them locked. And vaults of a list that this database does not have, of a newer copy of it or of another controller: its node has them
//! as that list says, until it takes one of this database. An operator takes one in, under a policy; what he does not want he takes in to be removed, after the grace of the policy.

use vault::ids::{DeviceId, Incarnation, Name, SectionVersion, VaultId};
use vault::ledger::held_back;
use vault::life::{NotAdopted, Orphan, adopted, orphan};
use vault::report::VaultReport;

use super::Operator;
use super::operate::RemovalWish;
use crate::api::{Adoption, Done};
use crate::custody::{Kek, add_epoch};
use crate::fleet::at_stake::kept;
use crate::fleet::defaults::add_vault;
use crate::fleet::life::{beside_defaults, life, new_row};
use crate::fleet::placed::{held_against, named_policy};
use crate::fleet::reported::{is_held_to, orphans};
use crate::fleet::times::no_earlier_than_shown;
use crate::service::{InTheWay, Refusal, device_by_id, in_life};
use crate::store::{Accepted, DeviceRow, Scope, Tx, UnixSeconds, VaultRow, VaultStanding};
use crate::words::unlisted::{TakenIn, of_adopted};

impl Operator {
    /// Takes in a vault that its node reports as an orphan.
    ///
    /// # Errors
    /// [`Refusal`]: the node reports no such orphan, its key is not here, the policy does not fit, or it would be erased at once, and that
    /// was not confirmed.
    pub async fn adopt(
        &self,
        device: &str,
        vault: &Name,
        how: &Adoption,
        now: UnixSeconds,
    ) -> Result<Done, Refusal> {
        let id = self.meant(device).await?;
        let scope = Scope::Device(id);
        let taken = self.store.write(scope, |tx| Box::pin(self.taken_in(tx, id, vault, how, now))).await?;
        Ok(of_adopted(vault, how, &taken))
    }

    async fn taken_in(
        &self,
        tx: &mut dyn Tx,
        id: DeviceId,
        vault: &Name,
        how: &Adoption,
        now: UnixSeconds,
    ) -> Result<TakenIn, Refusal> {
        let device = device_by_id(tx, &self.project, id).await?;
        let refused = |cause: NotAdopted| in_life(&device, vault, cause);
        let found = orphan(reports(&device), vault);
        let orphan = if how.remove { found } else { found.and_then(Orphan::to_open) }.map_err(refused)?;
        if let Some(other) = is_held_to(&device).filter(|_| orphan.listed) {
            return Err(refused(NotAdopted::Elsewhere { name: orphan.name, other }));
        }
        let policy = named_policy(tx, &self.project, &how.policy).await?;
        held_against(&device, &policy)?;
        let orphan = if how.remove {
            orphan
        } else {
            orphan.to_stay_open(kept(&device, Some(&policy))).map_err(refused)?
        };
        let rows = tx.vaults(device.id).await?;
        let there = rows.iter().find(|row| row.id == orphan.id).map(life).transpose()?;
        let older = held_back(device.older, self.put_back);
        let at = (self.incarnation, accepted(&device), older);
        let adopted =
            adopted(&orphan, &how.policy, there.as_ref(), beside_defaults(&rows), at).map_err(refused)?;
        // Of its removal, which its node knows nothing of.
        if there.is_some() {
            tx.drop_vault(device.id, orphan.id).await?;
        }
        let called = orphan.name.clone();
        let renamed = if how.remove { None } else { give_way(tx, &rows, &orphan).await? };
        let epoch = adopted.epochs.current();
        let taken = TakenIn { renamed, last_time: orphan.last_time, above: orphan.above, epoch };
        let name = if how.remove { free_name(&rows, &orphan) } else { orphan.name };
        let adopted = if how.remove {
            let wish = RemovalWish { after: None, confirm: how.confirm.clone() };
            let begins = no_earlier_than_shown(tx, now).await?;
            let removed = adopted.to_remove(begins, wish.with((&called, orphan.id), policy.on_removal));
            removed.map_err(|cause| in_life(&device, &called, cause))?
        } else {
            adopted
        };
        let row = new_row(&device, (orphan.id, name.clone()), adopted, now);
        add_with_epochs(tx, &self.kek, row).await.map_err(|refusal| match refusal {
            Refusal::InTheWay(InTheWay::Taken) => refused(NotAdopted::NameTaken { name }),
            other => other,
        })?;
        Ok(taken)
    }
}

/// The name of a vault that its node has on a newer list is that one's: whatever else has it here was written down before, or in ignorance of it.
async fn give_way(tx: &mut dyn Tx, rows: &[VaultRow], orphan: &Orphan) -> Result<Option<VaultId>, Refusal> {
    let may_be = |row: &&VaultRow| orphan.listed && row.id != orphan.id && !row.id.is_default();
    let Some(row) = rows.iter().filter(may_be).find(|row| has_its_name(row, orphan)) else { return Ok(None) };
    tx.rename_vault(row.device, row.id, &by_identity(row.id)).await?;
    Ok(Some(row.id))
}

fn has_its_name(row: &VaultRow, orphan: &Orphan) -> bool {
    row.name == orphan.name && row.standing != VaultStanding::Gone
}

fn by_identity(id: VaultId) -> Name {
    id.to_string().parse().expect("36 letters, digits and hyphens")
}

/// With a key of each of its epochs.
async fn add_with_epochs(tx: &mut dyn Tx, kek: &Kek, row: VaultRow) -> Result<(), Refusal> {
    add_vault(tx, kek, row.clone()).await?;
    if row.last_epoch != row.current_epoch {
        add_epoch(tx, kek, &row, row.last_epoch, row.added_at).await?;
    }
    Ok(())
}

/// For one that is only to be removed: another vault of its name is no reason to keep it.
fn free_name(rows: &[VaultRow], orphan: &Orphan) -> Name {
    let is_taken = rows.iter().any(|row| has_its_name(row, orphan));
    if is_taken { by_identity(orphan.id) } else { orphan.name.clone() }
}

/// The section that the node accepted last, as it said.
fn accepted(device: &DeviceRow) -> Option<SectionVersion> {
    let report = device.report.get().filter(|_| is_held_to(device).is_none())?;
    let Accepted { incarnation, version } = report.accepted?;
    Some(SectionVersion { incarnation: Incarnation(incarnation), version })
}

/// What the node said last of vaults that no row is kept of.
fn reports(device: &DeviceRow) -> Vec<VaultReport> {
    orphans(device).cloned().collect()
}
