//! Which certificates and serials may onboard: the operator's side.

use vault::ids::{DeviceId, Name, Project};
use wire::Certificate;

use super::Operator;
use super::show::readable;
use crate::api::{Allow, Allowance, Done, Listed};
use crate::fleet::deleted::not_erased;
use crate::service::{BadRequest, InTheWay, Refusal, Unknown};
use crate::store::{DeletedRow, OnboardRow, OrDamaged, Scope, Tx, UnixSeconds, VaultStanding};
use crate::words::notes::{self, of_kept_device};

impl From<OnboardRow> for Allowance {
    fn from(row: OnboardRow) -> Self {
        Self {
            certificate: hex::encode(row.cert_digest),
            serial: row.serial,
            name: row.name,
            labels: row.labels,
            added: crate::clock::text(row.added_at),
            device: row.device,
            device_name: None,
            give_back: row.give_back,
            notes: Vec::new(),
        }
    }
}

impl Operator {
    /// Allows a certificate and serial.
    ///
    /// # Errors
    /// [`Refusal`]: no certificate, no serial, a name that another device has or is to get, or allowed before with another name.
    pub async fn allow(
        &self,
        Allow { cert_pem, serial, labels, give_back, .. }: Allow,
        name: Option<Name>,
        now: UnixSeconds,
    ) -> Result<Allowance, Refusal> {
        let certificate = Certificate::from_pem(cert_pem.as_bytes());
        let certificate = certificate.map_err(BadRequest::OnboardingCertificate)?;
        if serial.is_empty() || serial.len() > 256 || serial.chars().any(char::is_control) {
            return Err(BadRequest::Serial.into());
        }
        if give_back && serial == "*" {
            return Err(BadRequest::GiveBackToAny.into());
        }
        let row = OnboardRow {
            project: self.project.clone(),
            cert_digest: certificate.digest().0,
            serial,
            cert_der: certificate.der().to_vec(),
            name,
            labels,
            added_at: now,
            device: None,
            give_back,
        };
        self.store.write(Scope::Onboarding, |tx| Box::pin(add(tx, &row))).await
    }

    /// Withdraws what was allowed. A device that used it stays what it is.
    ///
    /// # Errors
    /// [`Unknown::Allowance`]: it was not allowed. Else the store's.
    pub async fn disallow(&self, cert_digest: &[u8; 32], serial: &str) -> Result<Done, Refusal> {
        let scope = Scope::Onboarding;
        let used =
            self.store.write(scope, |tx| Box::pin(withdraw(tx, &self.project, cert_digest, serial))).await?;
        let stays = used.map(|device| format!("device `{device}`, which used it, stays registered"));
        Ok(Done {
            done: format!("serial `{serial}` may not onboard with this certificate"),
            notes: stays.into_iter().collect(),
        })
    }

    /// At most `limit` allowances, after a certificate (SHA-256 of DER) and serial.
    ///
    /// # Errors
    /// [`Refusal`] of the store's.
    pub async fn allowances(
        &self,
        after: Option<([u8; 32], &str)>,
        limit: u32,
    ) -> Result<Vec<Listed<Allowance>>, Refusal> {
        self.store.read(|tx| Box::pin(listed(tx, &self.project, after, limit))).await
    }
}

async fn add(tx: &mut dyn Tx, row: &OnboardRow) -> Result<Allowance, Refusal> {
    if let Some(there) = tx.onboarding(&row.cert_digest, &row.serial).await? {
        let notes = of_kept(tx, row).await?;
        return Ok(Allowance { notes, ..allowed_before(there, row)? });
    }
    if let Some(name) = &row.name
        && is_anothers(tx, row, name).await?
    {
        return Err(InTheWay::OthersName { name: name.clone() }.into());
    }
    tx.add_onboarding(row).await?;
    let notes = of_kept(tx, row).await?;
    Ok(Allowance { notes, ..row.clone().into() })
}

/// What is kept of a deleted device with this serial, where this allowance gives none of it back.
async fn of_kept(tx: &mut dyn Tx, row: &OnboardRow) -> Result<Vec<String>, Refusal> {
    let mut notes = Vec::new();
    // One that does not read says of no serial that it is its own.
    let kept = tx.deleted(&row.project).await?.into_iter().filter_map(|kept| kept.whole().ok());
    let kept: Vec<_> = kept.filter(|it| it.serial == row.serial).collect();
    notes.extend(of_not_erased(tx, row, &kept).await?);
    for deleted in kept {
        let registered = readable(tx.device_by_key(&deleted.key).await.map_err(Refusal::from))?.flatten();
        notes.extend(of_kept_device(&deleted, row.give_back, registered.map(|device| device.name)));
    }
    Ok(notes)
}

/// Removed vaults that a device would have back, and whose identity one has that is wanted.
async fn of_not_erased(
    tx: &mut dyn Tx,
    row: &OnboardRow,
    kept: &[DeletedRow],
) -> Result<Option<String>, Refusal> {
    let mut vaults = Vec::new();
    for deleted in kept.iter().filter(|_| row.give_back) {
        vaults.extend(tx.of_deleted(deleted.id).await?.vaults);
    }
    let not_erased = not_erased(vaults.iter());
    let gone = vaults.iter().filter(|row| row.standing == VaultStanding::Gone);
    let names: Vec<_> = gone.filter(|row| not_erased.contains(&row.id)).map(|row| &row.name).collect();
    Ok(notes::of_not_erased(&names))
}

async fn listed(
    tx: &mut dyn Tx,
    project: &Project,
    after: Option<([u8; 32], &str)>,
    limit: u32,
) -> Result<Vec<Listed<Allowance>>, Refusal> {
    let mut all = Vec::new();
    for row in tx.onboardings(project, after, limit).await? {
        let device_name = match &row {
            OrDamaged::Whole(OnboardRow { device: Some(device), .. }) => name_of(tx, *device).await?,
            _ => None,
        };
        all.push(row.map(|row| Allowance { device_name, ..row.into() }).into());
    }
    Ok(all)
}

/// The device that used it.
async fn withdraw(
    tx: &mut dyn Tx,
    project: &Project,
    cert_digest: &[u8; 32],
    serial: &str,
) -> Result<Option<String>, Refusal> {
    let allowed = tx.onboarding(cert_digest, serial).await?.filter(|row| row.project == *project);
    let allowed = allowed.ok_or_else(|| Unknown::Allowance { serial: serial.to_owned() })?;
    tx.drop_onboarding(cert_digest, serial).await?;
    let Some(device) = allowed.device else { return Ok(None) };
    Ok(Some(name_of(tx, device).await?.map_or_else(|| device.to_string(), |name| name.to_string())))
}

async fn name_of(tx: &mut dyn Tx, device: DeviceId) -> Result<Option<Name>, Refusal> {
    let row = readable(tx.device(device).await.map_err(Refusal::from))?.flatten();
    Ok(row.map(|row| row.name))
}

fn allowed_before(there: OnboardRow, row: &OnboardRow) -> Result<Allowance, Refusal> {
    if there.project != row.project {
        return Err(InTheWay::AllowedElsewhere.into());
    }
    if (&there.name, &there.labels, there.give_back) == (&row.name, &row.labels, row.give_back) {
        return Ok(there.into());
    }
    Err(InTheWay::AllowedOtherwise.into())
}

/// Whether this name is kept in the project, or a device has it that did not register with this serial. One that did may have to come again.
async fn is_anothers(tx: &mut dyn Tx, row: &OnboardRow, name: &Name) -> Result<bool, Refusal> {
    let holder = tx.remains(&row.project, name.as_str()).await?;
    let has = holder.is_some_and(|device| device.serial.as_ref() != Some(&row.serial));
    Ok(has || tx.name_is_kept(&row.project, name).await?)
}
