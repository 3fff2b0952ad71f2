//! The operator deletes a device, and forgets what is kept of deleted ones. It asks of a device's row, and of those of its vaults, no more than it
//! needs: one that is damaged can be deleted too. What is kept of it is copied as it is, and what does not read counts as if it had keys.

use uuid::Uuid;
use vault::ids::{DeviceId, Name, Project};
use vault::life::Life;
use wire::Certificate;

use super::Operator;
use super::again::confirmed;
use super::devices::went_out;
use super::show::readable;
use crate::api::{Confirmation, DeletedDevice, Deletion, Done, Listed};
use crate::fleet::life::life;
use crate::fleet::times::no_earlier_than_shown;
use crate::service::{AtStake, Fault, InTheWay, Irrevocable, Refusal, Unknown};
use crate::store::{
    DamagedRow, DeletedRow, DeviceRemains, OfDeleted, OrDamaged, RemovedRow, RowKind, Scope, Tx, UnixSeconds,
    VaultRow, VaultStanding,
};
use crate::words::deletion::{Gone, of_forgotten, of_gone};

impl Operator {
    /// Forgets a device. Refused while it has vaults, unless their keys are to go too, which is said twice. Its certificate is refused from then on, and it
    /// registers again only by an allowance for its own serial; those by which it came in go with it.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn delete_device(
        &self,
        device: &str,
        how: &Deletion,
        now: UnixSeconds,
    ) -> Result<Done, Refusal> {
        let kept = (self.deleted_grace_s, self.put_back);
        let gone = self
            .store
            .write(Scope::Fleet, |tx| Box::pin(delete(tx, &self.project, device, (how, kept.0, kept.1), now)))
            .await?;
        tracing::info!(device = %gone.id, name = %gone.name, "device deleted");
        Ok(of_gone(&gone))
    }

    /// Deleted devices of which something is kept, the first that was deleted first.
    ///
    /// # Errors
    /// [`Refusal`] of the store's.
    pub async fn deleted_devices(&self) -> Result<Vec<Listed<DeletedDevice>>, Refusal> {
        self.store.read(|tx| Box::pin(deleted(tx, &self.project))).await
    }

    /// Forgets what is kept of a deleted device, for good.
    ///
    /// # Errors
    /// [`Refusal`]: there is none of this name or identity, or more than one; or it was said once.
    pub async fn forget_device(&self, which: &str, how: &Confirmation) -> Result<Done, Refusal> {
        let forget = self.store.write(Scope::Fleet, |tx| Box::pin(forget(tx, &self.project, which, how)));
        let (name, device) = forget.await?;
        tracing::info!(%device, %name, "what was kept of a deleted device is forgotten by an operator's word");
        Ok(of_forgotten(&name))
    }
}

/// One that was removed, and of which its node has not said that it erased it.
fn unerased(row: &OrDamaged<VaultRow>) -> Option<Name> {
    match row {
        OrDamaged::Whole(row) if row.standing == VaultStanding::Gone => Some(row.name.clone()),
        OrDamaged::Whole(_) | OrDamaged::Damaged(_) => None,
    }
}

/// Of a project, with what is kept of each.
async fn deleted(tx: &mut dyn Tx, project: &Project) -> Result<Vec<Listed<DeletedDevice>>, Refusal> {
    let mut shown = Vec::new();
    for row in tx.deleted(project).await? {
        shown.push(match row {
            OrDamaged::Whole(row) => of_whole(tx, row).await?.into(),
            OrDamaged::Damaged(row) => Listed::Damaged(row.into()),
        });
    }
    Ok(shown)
}

/// One of these, with what is kept of it; damaged where a row of that is, which is named then.
async fn of_whole(tx: &mut dyn Tx, row: DeletedRow) -> Result<OrDamaged<DeletedDevice>, Refusal> {
    let OfDeleted { vaults, bundles, damaged, .. } = tx.of_deleted(row.id).await?;
    if let Some(part) = damaged.first() {
        let (id, name) = (Some(row.device.to_string()), Some(row.name.to_string()));
        let column = format!("{} of {}", part.column, part.called());
        let kind = RowKind::DeletedDevice;
        return Ok(OrDamaged::Damaged(DamagedRow { kind, device: None, id, name, column, content: 0 }));
    }
    let (removed, wanted): (Vec<_>, Vec<_>) =
        vaults.into_iter().partition(|row| row.standing == VaultStanding::Gone);
    Ok(OrDamaged::Whole(DeletedDevice {
        id: row.device,
        name: row.name,
        serial: row.serial,
        deleted: crate::clock::text(row.deleted_at),
        kept_until: crate::clock::text(row.until),
        vaults: names(wanted),
        removed: names(removed),
        bundles: bundles.len() as u64,
    }))
}

fn names(rows: Vec<VaultRow>) -> Vec<Name> {
    rows.into_iter().map(|row| row.name).collect()
}

/// Forgets what is kept of one device, by name or identity: its name, and its identity.
async fn forget(
    tx: &mut dyn Tx,
    project: &Project,
    which: &str,
    how: &Confirmation,
) -> Result<(String, String), Refusal> {
    let kept: Vec<_> = tx.deleted(project).await?.into_iter().filter_map(|row| meant(row, which)).collect();
    let Some((name, device, _)) =
        kept.first().cloned().filter(|(_, device, _)| kept.iter().all(|(_, other, _)| other == device))
    else {
        return Err(Unknown::DeletedDevice { which: which.to_owned() }.into());
    };
    said_twice(how.confirm.as_deref(), (&name, &device))?;
    // One device may be kept of more than one of its deletions.
    for (_, _, row) in kept {
        tx.forget_deleted(row).await?;
    }
    Ok((name, device))
}

/// Of one that is kept, as its row tells of it: what does not read as a name is called by its identity, and that by nothing.
fn said_twice(said: Option<&str>, (name, device): (&str, &str)) -> Result<(), Refusal> {
    let id = device.parse().unwrap_or_default();
    let name = name.parse().unwrap_or_else(|_| id_as_name(DeviceId(id)));
    confirmed(said, (&name, id), || Irrevocable::ForgetDevice)
}

/// Its name, the device that it is of, and its own identity, where it is meant.
fn meant(row: OrDamaged<DeletedRow>, which: &str) -> Option<(String, String, DeviceId)> {
    let (name, device, id) = match row {
        OrDamaged::Whole(row) => (row.name.to_string(), row.device.to_string(), row.id),
        OrDamaged::Damaged(row) => (row.name?, row.device?, row.id?.parse().ok()?),
    };
    (name == which || device == which).then_some((name, device, id))
}

/// What reads of a device of a project, by UUID or name.
pub(super) async fn find_remains(
    tx: &mut dyn Tx,
    project: &Project,
    which: &str,
) -> Result<DeviceRemains, Refusal> {
    let found = tx.remains(project, which).await?;
    // Of a project that does not read, it is nobody else's.
    let found = found.filter(|found| found.project.as_ref().is_none_or(|of| of == project));
    found.ok_or_else(|| Unknown::Device { which: which.to_owned() }.into())
}

/// What it goes by.
pub(super) fn called(of: &DeviceRemains) -> Name {
    of.name.clone().unwrap_or_else(|| id_as_name(of.id))
}

pub(super) fn id_as_name(id: DeviceId) -> Name {
    id.to_string().parse().expect("a UUID is a name")
}

async fn delete(
    tx: &mut dyn Tx,
    project: &Project,
    device: &str,
    (how, grace_s, put_back): (&Deletion, u64, bool),
    now: UnixSeconds,
) -> Result<Gone, Refusal> {
    let of = find_remains(tx, project, device).await?;
    let rows = tx.vaults_listed(of.id).await?;
    let vaults = with_keys_here(tx, &rows).await?;
    let unerased = rows.iter().filter_map(unerased).collect();
    let name = called(&of);
    if how.force {
        let goes = || Irrevocable::DeleteDevice { vaults: rows.iter().filter_map(at_stake).collect() };
        confirmed(how.confirm.as_deref(), (&name, of.id.0), goes)?;
    } else {
        may_go(tx, &of, &vaults).await?;
    }
    let (cert_digest, key) = identified(&of)?;
    let removed = RemovedRow {
        cert_digest,
        key,
        name: name.clone(),
        serial: of.serial.clone(),
        removed_at: now,
        lost_at: of.lost_at,
        alarm: of.alarm.clone(),
    };
    let begins = no_earlier_than_shown(tx, now).await?;
    let is_held = put_back || tx.one_older().await?.is_some();
    let kept_until = (grace_s > 0 || is_held).then(|| begins.saturating_add(grace_s));
    if let Some(until) = kept_until.filter(|_| !rows.is_empty() || of.has_bundle) {
        tx.keep_deleted(&to_keep(&of, project, key, (begins, until))).await?;
    }
    tx.drop_device(of.id, &removed).await?;
    Ok(Gone {
        id: of.id,
        name,
        serial: of.serial,
        vaults,
        unerased,
        bundles: of.has_bundle,
        is_lost: of.lost_at.is_some(),
        has_alarm: of.alarm.is_some(),
        kept_until,
    })
}

/// Without an operator's word that keys and bundles may go.
async fn may_go(tx: &mut dyn Tx, of: &DeviceRemains, vaults: &[Name]) -> Result<(), Refusal> {
    let device = called(of);
    if !vaults.is_empty() {
        return Err(InTheWay::HasVaults { device, vaults: vaults.to_vec() }.into());
    }
    if of.has_bundle {
        let held = tx.device(of.id).await?.and_then(|row| row.held);
        let received_at = held.map_or(0, |held| held.received_at);
        return Err(InTheWay::HasBundle { device, received_at }.into());
    }
    Ok(())
}

/// SHA-256 of its certificate and of its key, by which it is refused from now on: of the certificate as it is, else as its columns say.
fn identified(of: &DeviceRemains) -> Result<([u8; 32], [u8; 32]), Fault> {
    let certificate = of.cert_der.as_deref().and_then(|der| Certificate::from_der(der).ok());
    match (certificate, of.cert_digest, of.key) {
        (Some(certificate), digest, _) => {
            Ok((digest.unwrap_or(certificate.digest().0), certificate.public_key().name().0))
        }
        (None, Some(digest), Some(key)) => Ok((digest, key)),
        (None, ..) => Err(Fault::Certificate),
    }
}

/// The row of what is kept of a device.
fn to_keep(
    of: &DeviceRemains,
    project: &Project,
    key: [u8; 32],
    (deleted_at, until): (UnixSeconds, UnixSeconds),
) -> DeletedRow {
    DeletedRow {
        id: DeviceId(Uuid::new_v4()),
        device: of.id,
        node_of: of.node_of,
        labels: of.labels.clone().unwrap_or_default(),
        project: project.clone(),
        key,
        name: called(of),
        serial: of.serial.clone().unwrap_or_default(),
        deleted_at,
        until,
    }
}

/// Vaults that would lose a key with the device, or of which that can't be told.
async fn with_keys_here(tx: &mut dyn Tx, rows: &[OrDamaged<VaultRow>]) -> Result<Vec<Name>, Refusal> {
    let mut names = Vec::new();
    for row in rows {
        match row {
            OrDamaged::Whole(row) if readable(has_key_here(tx, row).await)? == Some(false) => {}
            OrDamaged::Whole(row) => names.push(row.name.clone()),
            OrDamaged::Damaged(row) => names.push(name_of(row)),
        }
    }
    names.sort();
    Ok(names)
}

/// One that is still listed, or of which that can't be told.
fn at_stake(row: &OrDamaged<VaultRow>) -> Option<AtStake> {
    match row {
        OrDamaged::Whole(row) => (row.standing != VaultStanding::Gone).then(|| AtStake {
            name: row.name.clone(),
            known: Some((row.standing, row.report.get().map(|report| report.state))),
        }),
        OrDamaged::Damaged(row) => Some(AtStake { name: name_of(row), known: None }),
    }
}

fn name_of(row: &DamagedRow) -> Name {
    let own = [&row.name, &row.id].into_iter().flatten().find_map(|text| text.parse().ok());
    own.unwrap_or_else(|| "a vault without a name".parse().expect("letters and spaces are a name"))
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
