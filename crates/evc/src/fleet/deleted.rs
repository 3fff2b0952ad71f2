//! A device that was deleted, and what is kept of it for a grace, so that nothing is lost by one command: given back when the same device is let in
//! again, in the transaction that adds it. What can't be given back keeps nobody from registering, and stays kept until its grace is over.

use vault::escrow::drill::Drills;
use vault::life::{Life, Listed, Phase};

use super::life::{life, new_row};
use crate::custody::{CustodyError, Kek, restored_bundle, restored_epoch};
use crate::service::Refusal;
use crate::store::{DeletedRow, DeviceRow, EpochRow, KeptBundle, OfDeleted, Tx, UnixSeconds, VaultRow};

/// What a device that came again got back.
#[derive(Debug, Default)]
pub(crate) struct GivenBack {
    pub(crate) vaults: u64,
    pub(crate) bundles: u64,
    /// What could not be given back, and why.
    pub(crate) left: Vec<String>,
}

/// What is kept of the device that a key and a project name, the newest deletion first.
pub(crate) async fn kept(tx: &mut dyn Tx, of: &DeviceRow) -> Result<Vec<DeletedRow>, Refusal> {
    let Some(key) = of.key else { return Ok(Vec::new()) };
    let all = tx.deleted_by_key(&key).await?;
    Ok(all.into_iter().rev().filter(|row| row.project == of.project).collect())
}

/// Gives a device that was just added all that is kept of it. What is given is kept for nobody any more.
pub(crate) async fn give_back(
    tx: &mut dyn Tx,
    kek: &Kek,
    device: &DeviceRow,
    now: UnixSeconds,
) -> Result<GivenBack, Refusal> {
    let mut given = GivenBack::default();
    let mut all = Vec::new();
    for row in kept(tx, device).await? {
        let mut of = tx.of_deleted(row.id).await?;
        let left = given.left.len();
        vaults(tx, kek, (device, &row), &mut of, now, &mut given).await?;
        all.push((row, of, given.left.len() > left));
    }
    // Of the newest deletion last: its newest bundle is the device's.
    for (row, of, vaults_left) in all.into_iter().rev() {
        let left = given.left.len();
        bundles(tx, kek, (device, &row), of, &mut given).await?;
        if !vaults_left && given.left.len() == left {
            tx.forget_deleted(row.id).await?;
        }
    }
    Ok(given)
}

async fn vaults(
    tx: &mut dyn Tx,
    kek: &Kek,
    (device, row): (&DeviceRow, &DeletedRow),
    of: &mut OfDeleted,
    now: UnixSeconds,
    given: &mut GivenBack,
) -> Result<(), Refusal> {
    for vault in std::mem::take(&mut of.vaults) {
        let (id, name) = (vault.id, vault.name.clone());
        let own = of.epochs.iter().filter(|epoch| epoch.vault == id).cloned().collect();
        match one(tx, kek, (device, row), (vault, own), now).await? {
            None => {
                tx.forget_deleted_vault(row.id, id).await?;
                given.vaults += 1;
            }
            Some(why) => given.left.push(format!("vault `{name}`: {why}")),
        }
    }
    Ok(())
}

/// With the one that an operator chose, and how its drills stood: one that failed is not called good for having been deleted.
async fn bundles(
    tx: &mut dyn Tx,
    kek: &Kek,
    (device, row): (&DeviceRow, &DeletedRow),
    of: OfDeleted,
    given: &mut GivenBack,
) -> Result<(), Refusal> {
    let (before, mut chosen) = (given.bundles, None);
    for KeptBundle { row: bundle, offered } in of.bundles {
        let digest = bundle.held.id.digest;
        match unopened(restored_bundle(kek, bundle, device))? {
            Ok(bundle) => {
                tx.put_bundle(&bundle).await?;
                tx.forget_deleted_bundle(row.id, &digest).await?;
                chosen = chosen.or(offered.then_some(digest));
                given.bundles += 1;
            }
            Err(why) => given.left.push(why),
        }
    }
    if given.bundles > before {
        tx.offer_bundle(device.id, chosen.as_ref()).await?;
        // A question that is out was to a session of before.
        let drills = of.drills.take().map(|drills| Drills { asked: None, ..drills });
        tx.put_drills(device.id, &drills.unwrap_or_default()).await?;
    }
    Ok(())
}

/// Gives one vault back with all of its keys, or nothing of it: why.
async fn one(
    tx: &mut dyn Tx,
    kek: &Kek,
    (device, deleted): (&DeviceRow, &DeletedRow),
    (vault, epochs): (VaultRow, Vec<EpochRow>),
    now: UnixSeconds,
) -> Result<Option<String>, Refusal> {
    let Life::Listed(listed) = life(&vault)? else { return Ok(None) };
    if tx.vault(device.id, vault.id).await?.is_some()
        || tx.vault_by_name(device.id, &vault.name).await?.is_some()
    {
        return Ok(Some("the device has one of its name or identity".into()));
    }
    if let Some(policy) = &vault.policy
        && tx.policy(&device.project, policy.as_str()).await?.is_none()
    {
        return Ok(Some(format!("its policy `{policy}` is not there")));
    }
    let mut own = Vec::new();
    for epoch in epochs {
        match unopened(restored_epoch(tx, kek, epoch, device).await)? {
            Ok(epoch) => own.push(epoch),
            Err(why) => return Ok(Some(why)),
        }
    }
    let listed = as_it_goes_on(listed, deleted, now);
    tx.add_vault(&new_row(device, (vault.id, vault.name), listed, vault.added_at)).await?;
    for epoch in own {
        tx.add_epoch(&epoch).await?;
    }
    Ok(None)
}

/// A grace goes on where it was; an order to make the vault anew was of before.
fn as_it_goes_on(vault: Listed, row: &DeletedRow, now: UnixSeconds) -> Listed {
    let phase = match vault.phase {
        phase @ (Phase::Wanted | Phase::Retained) => phase,
        Phase::Grace { until } => {
            Phase::Grace { until: now.saturating_add(until.saturating_sub(row.deleted_at)) }
        }
    };
    Listed { phase, recreate: false, ..vault }
}

/// A row that does not open is no error of the registration's.
fn unopened<T>(restored: Result<T, CustodyError>) -> Result<Result<T, String>, CustodyError> {
    match restored {
        Ok(restored) => Ok(Ok(restored)),
        Err(CustodyError::Unsealed(row) | CustodyError::Absent(row)) => {
            Ok(Err(format!("{row} does not open")))
        }
        Err(other) => Err(other),
    }
}
