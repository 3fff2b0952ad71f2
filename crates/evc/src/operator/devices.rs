//! The operator's acts on a device: it is lost, or found; its alarm is settled; it goes for good; its vaults go over to the device that it
//! became. Each is one transaction with what is decided for the device, so after its commit no key goes out that was not to.

use uuid::Uuid;
use vault::ids::{DeviceId, Name, Project};
use vault::life::{Life, Move, NotRehomed, Rehomed, Target};
use vault::section::Custody;
use wire::Certificate;

use super::Operator;
use super::operate::{Found, find_vault};
use crate::api::{DeletedDevice, Done, Rehoming};
use crate::custody::{rehome, went_out_under};
use crate::fleet::life::{life, new_row};
use crate::fleet::reported::is_held_to;
use crate::fleet::view::policy_of;
use crate::service::{Fault, InTheWay, Refusal, Unknown, device_by_id, find_device, in_life};
use crate::store::{
    DeletedRow, DeviceRow, OfDeleted, RemovedRow, Scope, StoreError, Tx, UnixSeconds, VaultRow,
};
use crate::words::notes::of_found_elsewhere;

impl Operator {
    /// From this commit on nothing is released to the device, and it is told to lock what it holds. Safe to repeat.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn lose(&self, device: &str, now: UnixSeconds) -> Result<Done, Refusal> {
        let (name, _) = self.marked(device, Some(now)).await?;
        Ok(Done {
            done: format!("device `{name}` is lost: no key goes out to it from now on"),
            notes: vec![
                "at its next contact it is told to lock its vaults and `image`, whatever its evidence shows; until then, and if it never comes, what is open there stays open"
                    .into(),
                "`config` stays open unless it has a policy of its own, or the node has no TPM: it holds the node's record of this controller's lists, and no app's data"
                    .into(),
                "a vault with custody `tpm` can be opened by who has the device, without this controller".into(),
            ],
        })
    }

    /// Takes the mark off. Safe to repeat.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn find(&self, device: &str) -> Result<Done, Refusal> {
        let (name, elsewhere) = self.marked(device, None).await?;
        Ok(Done {
            done: format!(
                "device `{name}` is not lost any more: keys are released to it as its policies say"
            ),
            notes: elsewhere.map(|other| of_found_elsewhere(&name, other)).into_iter().collect(),
        })
    }

    /// And which other device's lists its node holds to, if so.
    async fn marked(
        &self,
        device: &str,
        lost_at: Option<UnixSeconds>,
    ) -> Result<(Name, Option<DeviceId>), Refusal> {
        let id = self.meant(device).await?;
        self.store.write(Scope::Device(id), |tx| Box::pin(mark(tx, &self.project, id, lost_at))).await
    }

    /// An operator looked, and there is one device. Safe to repeat.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn settle(&self, device: &str) -> Result<Done, Refusal> {
        let id = self.meant(device).await?;
        let settled = self.store.write(Scope::Device(id), |tx| Box::pin(settle(tx, &self.project, id)));
        let (name, alarm) = settled.await?;
        let done = format!("device `{name}` is one: keys are released to it as its policies say");
        Ok(Done { done, notes: alarm.map(|alarm| format!("it was: {alarm}")).into_iter().collect() })
    }

    /// Forgets a device. Refused while it has vaults, unless their keys are to go too. Its certificate is refused from then on, and it
    /// registers again only by an allowance for its own serial; those by which it came in go with it.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn delete_device(&self, device: &str, force: bool, now: UnixSeconds) -> Result<Done, Refusal> {
        let grace = self.deleted_grace_s;
        let gone = self
            .store
            .write(Scope::Fleet, |tx| Box::pin(delete(tx, &self.project, device, (force, grace), now)))
            .await?;
        tracing::info!(device = %gone.id, name = %gone.name, "device deleted");
        let mut notes = vec![format!(
            "its certificate is refused; it may register again after `evc onboard add` for its serial `{}`",
            gone.serial
        )];
        notes.extend(of_marks(&gone));
        notes.extend(of_kept(&gone));
        Ok(Done { done: format!("device `{}` is deleted", gone.name), notes })
    }

    /// Deleted devices of which something is kept, the first that was deleted first.
    ///
    /// # Errors
    /// [`Refusal`] of the store's.
    pub async fn deleted_devices(&self) -> Result<Vec<DeletedDevice>, Refusal> {
        self.store.read(|tx| Box::pin(deleted(tx, &self.project))).await
    }

    /// Forgets what is kept of a deleted device, for good.
    ///
    /// # Errors
    /// [`Refusal`]: there is none of this name or identity, or more than one.
    pub async fn forget_device(&self, which: &str) -> Result<Done, Refusal> {
        let forget = self.store.write(Scope::Fleet, |tx| Box::pin(forget(tx, &self.project, which)));
        let row = forget.await?;
        tracing::info!(device = %row.id, name = %row.name, "what was kept of a deleted device is forgotten by an operator's word");
        Ok(Done {
            done: format!(
                "what was kept of the deleted device `{}` is forgotten: its keys and bundles are gone",
                row.name
            ),
            notes: vec!["copies of this database made before still have them".into()],
        })
    }

    /// Moves a vault of custody `controller` to the device that its own became, with all of its keys.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn rehome(&self, from: &str, vault: &Name, how: &Rehoming) -> Result<Done, Refusal> {
        let to = how.to.as_str();
        self.store.write(Scope::Fleet, |tx| Box::pin(self.moved(tx, from, vault, to))).await?;
        Ok(Done {
            done: format!("vault `{vault}` of device `{from}` is device `{to}`'s, with its keys"),
            notes: vec!["it opens there if its directory is on that device's disk".into()],
        })
    }

    async fn moved(&self, tx: &mut dyn Tx, from: &str, name: &Name, to: &str) -> Result<(), Refusal> {
        let from = find_device(tx, &self.project, from).await?;
        let Found { device: old, row, vault } = find_vault(tx, from, name).await?;
        let new = find_device(tx, &self.project, to).await?;
        let there = tx.vault(new.id, row.id).await?;
        let how = Move {
            same_device: old.id == new.id,
            lost: old.lost_at.is_some(),
            custody: policy_of(tx, &old, &row).await?.node.custody,
            in_tpm: vault.is_in_tpm(&went_out(tx, &row).await?),
            target: target(tx, there.as_ref()).await?,
        };
        let Rehomed { vault, replaces } = vault.rehome(how).map_err(|cause| match cause {
            NotRehomed::MadeThere => in_life(&new, there.as_ref().map_or(&row.name, |own| &own.name), cause),
            _ => in_life(&old, &row.name, cause),
        })?;
        if replaces {
            tx.drop_vault(new.id, row.id).await?;
        }
        rehome(tx, &self.kek, &row, &new).await?;
        tx.drop_vault(old.id, row.id).await?;
        let row = new_row(&new, (row.id, row.name), vault, row.added_at);
        tx.add_vault(&row).await.map_err(|error| match error {
            StoreError::Taken => in_life(&new, &row.name, NotRehomed::NameTaken),
            other => other.into(),
        })
    }
}

async fn mark(
    tx: &mut dyn Tx,
    project: &Project,
    id: DeviceId,
    lost_at: Option<UnixSeconds>,
) -> Result<(Name, Option<DeviceId>), Refusal> {
    let row = device_by_id(tx, project, id).await?;
    // The first word counts.
    tx.set_lost(row.id, lost_at.map(|now| row.lost_at.unwrap_or(now))).await?;
    let elsewhere = is_held_to(&row);
    Ok((row.name, elsewhere))
}

async fn settle(tx: &mut dyn Tx, project: &Project, id: DeviceId) -> Result<(Name, Option<String>), Refusal> {
    let row = device_by_id(tx, project, id).await?;
    tx.set_alarm(row.id, None).await?;
    // Which of the two spoke last is nobody's proof: whichever speaks now begins anew, and the other one is heard. Reports of before stay over.
    tx.settle_sessions(row.id).await?;
    tx.renew_standing(row.id).await?;
    Ok((row.name, row.alarm))
}

/// What was forgotten.
struct Gone {
    id: DeviceId,
    name: Name,
    serial: String,
    vaults: Vec<Name>,
    bundles: bool,
    is_lost: bool,
    has_alarm: bool,
    /// Until when what there was of it is kept; none: it is gone.
    kept_until: Option<UnixSeconds>,
}

/// What still holds for who has its key.
fn of_marks(Gone { name, is_lost, has_alarm, .. }: &Gone) -> Vec<String> {
    let lost = is_lost.then(|| {
        format!("it is lost, also when it registers again: `evc device found {name}` says otherwise then")
    });
    let alarm = has_alarm.then(|| {
        format!("its alarm stands, also when it registers again: `evc device settle {name}` ends it then")
    });
    lost.into_iter().chain(alarm).collect()
}

/// What became of its keys and bundles.
fn of_kept(Gone { name, vaults, bundles, kept_until, .. }: &Gone) -> Vec<String> {
    if vaults.is_empty() && !bundles {
        return Vec::new();
    }
    let Some(until) = kept_until else {
        let bundles = bundles.then(|| "its bundles in escrow are gone too".into());
        return bundles
            .into_iter()
            .chain(vaults.iter().map(|vault| format!("the keys of its vault `{vault}` are gone")))
            .collect();
    };
    let mut what: Vec<String> =
        vaults.iter().map(|vault| format!("the keys of its vault `{vault}`")).collect();
    what.extend(bundles.then(|| "its bundles in escrow".into()));
    vec![
        format!(
            "kept until {}, and its own again if the same device is let in with `evc onboard add --give-back`: {}",
            crate::clock::text(*until),
            what.join(", ")
        ),
        format!("to delete them for good: `evc device forget {name} --confirm {name}`"),
    ]
}

/// Of a project, with what is kept of each.
async fn deleted(tx: &mut dyn Tx, project: &Project) -> Result<Vec<DeletedDevice>, Refusal> {
    let mut shown = Vec::new();
    for row in tx.deleted(project).await? {
        let OfDeleted { vaults, bundles, .. } = tx.of_deleted(row.id).await?;
        shown.push(DeletedDevice {
            id: row.device,
            name: row.name,
            serial: row.serial,
            deleted: crate::clock::text(row.deleted_at),
            kept_until: crate::clock::text(row.until),
            vaults: vaults.into_iter().map(|vault| vault.name).collect(),
            bundles: bundles.len() as u64,
        });
    }
    Ok(shown)
}

async fn forget(tx: &mut dyn Tx, project: &Project, which: &str) -> Result<DeletedRow, Refusal> {
    let is_it = |row: &DeletedRow| row.name.as_str() == which || row.device.to_string() == which;
    let mut found: Vec<_> = tx.deleted(project).await?.into_iter().filter(is_it).collect();
    let Some(row) = found.pop().filter(|row| found.iter().all(|other| other.device == row.device)) else {
        return Err(Unknown::DeletedDevice { which: which.to_owned() }.into());
    };
    // One device may be kept of more than one of its deletions.
    for other in found {
        tx.forget_deleted(other.id).await?;
    }
    tx.forget_deleted(row.id).await?;
    Ok(row)
}

async fn delete(
    tx: &mut dyn Tx,
    project: &Project,
    device: &str,
    (force, grace_s): (bool, u64),
    now: UnixSeconds,
) -> Result<Gone, Refusal> {
    let row = find_device(tx, project, device).await?;
    let rows = tx.vaults(row.id).await?;
    let vaults = with_keys_here(tx, &rows).await?;
    if let (Some(held), true, false) = (row.held, vaults.is_empty(), force) {
        return Err(InTheWay::HasBundle { device: row.name, received_at: held.received_at }.into());
    }
    if !vaults.is_empty() && !force {
        return Err(InTheWay::HasVaults { device: row.name, vaults }.into());
    }
    let certificate = Certificate::from_der(&row.cert_der).map_err(|_| Fault::Certificate)?;
    let key = certificate.public_key().name().0;
    let serial = Some(row.serial.clone());
    let removed = RemovedRow {
        cert_digest: row.cert_digest,
        key,
        name: row.name.clone(),
        serial,
        removed_at: now,
        lost_at: row.lost_at,
        alarm: row.alarm.clone(),
    };
    let kept_until = (grace_s > 0).then(|| now.saturating_add(grace_s));
    if let Some(until) = kept_until.filter(|_| !rows.is_empty() || row.held.is_some()) {
        tx.keep_deleted(&to_keep(&row, key, (now, until))).await?;
    }
    tx.drop_device(row.id, &removed).await?;
    let (bundles, is_lost, has_alarm) = (row.held.is_some(), row.lost_at.is_some(), row.alarm.is_some());
    Ok(Gone {
        id: row.id,
        name: row.name,
        serial: row.serial,
        vaults,
        bundles,
        is_lost,
        has_alarm,
        kept_until,
    })
}

/// The row of what is kept of a device.
fn to_keep(row: &DeviceRow, key: [u8; 32], (deleted_at, until): (UnixSeconds, UnixSeconds)) -> DeletedRow {
    DeletedRow {
        id: DeviceId(Uuid::new_v4()),
        device: row.id,
        node_of: row.report.get().and_then(|report| report.accepted_for),
        labels: row.labels.clone(),
        project: row.project.clone(),
        key,
        name: row.name.clone(),
        serial: row.serial.clone(),
        deleted_at,
        until,
    }
}

/// Vaults that would lose a key with the device.
async fn with_keys_here(tx: &mut dyn Tx, rows: &[VaultRow]) -> Result<Vec<Name>, Refusal> {
    let mut names = Vec::new();
    for row in rows {
        if has_key_here(tx, row).await? {
            names.push(row.name.clone());
        }
    }
    names.sort();
    Ok(names)
}

/// A default vault is every node's: it keeps no device here but while the node may have it under a key of ours. What its policy says by now is
/// only what the node is to do at its next contact.
async fn has_key_here(tx: &mut dyn Tx, row: &VaultRow) -> Result<bool, Refusal> {
    match life(row)? {
        Life::Gone(_) => Ok(false),
        Life::Listed(_) if !row.id.is_default() => Ok(true),
        Life::Listed(vault) => Ok(vault.may_need_keys(!went_out(tx, row).await?.is_empty())),
    }
}

/// The custodies under which a vault's keys went out to its device.
async fn went_out(tx: &mut dyn Tx, row: &VaultRow) -> Result<Vec<Custody>, Refusal> {
    let rows = tx.releases_of(row.device, row.id).await?;
    Ok(rows.iter().map(went_out_under).collect::<Result<_, _>>()?)
}

/// What a device has there. A key that went out counts, also when the node has not told yet what it made with it.
async fn target(tx: &mut dyn Tx, there: Option<&VaultRow>) -> Result<Target, Refusal> {
    let Some(row) = there else { return Ok(Target::Free) };
    Ok(Target::of(Some(&life(row)?), !tx.releases_of(row.device, row.id).await?.is_empty()))
}
