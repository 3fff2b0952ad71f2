//! Controller keys of vaults: made at random, sealed under their period's key, opened only to be sealed to a session.

use vault::decide::Granted;
use vault::ids::{Epoch, Project};
use vault::secret::ControllerKey;
use vault::section::{Custody, Release, SealedKey};
use wire::release::{Purpose, seal};
use zeroize::Zeroizing;

use super::{CustodyError, Identity, Kek, random};
use crate::store::{DeviceRow, EpochRow, ReleaseRow, StoreError, Tx, UnixSeconds, VaultRow};

/// The period of a time: its month, like `2026-11`.
#[must_use]
pub fn period_of(now: UnixSeconds) -> String {
    let text = crate::clock::text(now);
    text.get(..7).unwrap_or(&text).to_owned()
}

/// Makes the key of one epoch and keeps it, sealed.
///
/// # Errors
/// [`CustodyError`]: nothing is kept.
pub async fn add_epoch(
    tx: &mut dyn Tx,
    kek: &Kek,
    of: &VaultRow,
    epoch: Epoch,
    now: UnixSeconds,
) -> Result<(), CustodyError> {
    let period = period_of(now);
    let period_key = period_key(tx, kek, &period).await?;
    let key = ControllerKey::init(|bytes| random(bytes))?;
    let (device, vault) = (of.device, of.id);
    let row = EpochRow { project: None, device, vault, epoch, period, sealed: Vec::new(), made_at: now };
    let row = sealed_as(&period_key, &of.project, &row, key.expose_controller_key())?;
    Ok(tx.add_epoch(&row).await?)
}

/// A row with this key, sealed as a project's.
pub(super) fn sealed_as(
    period_key: &Kek,
    project: &Project,
    row: &EpochRow,
    plain: &[u8],
) -> Result<EpochRow, CustodyError> {
    let identity = Identity::Epoch(project, row.device, row.vault, row.epoch);
    let sealed = period_key.seal(identity, plain)?;
    Ok(EpochRow { project: Some(project.clone()), sealed, ..row.clone() })
}

/// The period's key, made at its first use.
async fn period_key(tx: &mut dyn Tx, kek: &Kek, period: &str) -> Result<Kek, CustodyError> {
    let row = Identity::Period(period);
    if let Some(sealed) = tx.period(period).await? {
        return Kek::from_bytes(&kek.open(row, &sealed)?).ok_or_else(|| CustodyError::Unsealed(row.into()));
    }
    let made = Kek::generate()?;
    match tx.add_period(period, &kek.seal(row, made.expose_kek())?).await {
        // Another device was the first of the month meanwhile: its key is the period's.
        Err(StoreError::Taken) => Err(StoreError::Again.into()),
        added => Ok(added.map(|()| made)?),
    }
}

/// The keys that a decision granted to a device of this project, sealed to its session: kept once made, so that an unchanged answer seals nothing.
///
/// # Errors
/// [`CustodyError`]: nothing is released.
pub async fn release(
    tx: &mut dyn Tx,
    kek: &Kek,
    project: &Project,
    granted: &Granted,
) -> Result<Release, CustodyError> {
    let epochs = granted.epochs();
    let current = sealed(tx, kek, project, granted, epochs.current()).await?;
    let last = if epochs.last() == epochs.current() {
        current.clone()
    } else {
        sealed(tx, kek, project, granted, epochs.last()).await?
    };
    Ok(Release::Keys { current, last })
}

async fn sealed(
    tx: &mut dyn Tx,
    kek: &Kek,
    project: &Project,
    granted: &Granted,
    epoch: Epoch,
) -> Result<SealedKey, CustodyError> {
    let mut row = row(project, granted, epoch);
    if let Some(kept) = tx.release(&row).await? {
        return Ok(SealedKey { epoch, enc: kept.enc, ciphertext: kept.ciphertext });
    }
    let key = open(tx, kek, project, granted, epoch).await?;
    let purpose = Purpose { device: granted.device(), vault: granted.vault(), custody: granted.custody() };
    let sealed = seal(&granted.session(), &purpose, epoch, &key)?;
    (row.enc, row.ciphertext) = (sealed.enc.clone(), sealed.ciphertext.clone());
    tx.put_release(&row).await?;
    Ok(sealed)
}

fn row(project: &Project, granted: &Granted, epoch: Epoch) -> ReleaseRow {
    let custody = match granted.custody() {
        Custody::Tpm => "tpm",
        Custody::Controller => "controller",
        Custody::TpmAndController => "tpm+controller",
    };
    ReleaseRow {
        project: project.clone(),
        device: granted.device(),
        vault: granted.vault(),
        epoch,
        custody: custody.into(),
        session: granted.session().0,
        enc: Vec::new(),
        ciphertext: Vec::new(),
    }
}

/// Opens an epoch's key for release. The only place, and only for what was granted.
async fn open(
    tx: &mut dyn Tx,
    kek: &Kek,
    project: &Project,
    granted: &Granted,
    epoch: Epoch,
) -> Result<ControllerKey, CustodyError> {
    let identity = Identity::Epoch(project, granted.device(), granted.vault(), epoch);
    let absent = || CustodyError::Absent(identity.into());
    if !granted.epochs().may_release(epoch) {
        return Err(absent());
    }
    let row = tx.epoch(granted.device(), granted.vault(), epoch).await?.ok_or_else(absent)?;
    let plain = unsealed(tx, kek, project, &row).await?;
    let unsealed = || CustodyError::Unsealed(identity.into());
    ControllerKey::init(|key| {
        let plain: &[u8; 32] = plain.as_slice().try_into().map_err(|_| unsealed())?;
        key.copy_from_slice(plain);
        Ok(())
    })
}

/// Seals the keys of all of a vault's epochs anew, as another device's: they go with the vault, and nowhere else.
///
/// # Errors
/// [`CustodyError`]: nothing is kept.
pub async fn rehome(
    tx: &mut dyn Tx,
    kek: &Kek,
    vault: &VaultRow,
    to: &DeviceRow,
) -> Result<(), CustodyError> {
    for epoch in (1..=vault.current_epoch.0).map(Epoch) {
        let Some(row) = tx.epoch(vault.device, vault.id, epoch).await? else { continue };
        let plain = unsealed(tx, kek, &vault.project, &row).await?;
        let period_key = period_key_of(tx, kek, &row.period).await?;
        let row = EpochRow { device: to.id, ..row };
        tx.add_epoch(&sealed_as(&period_key, &to.project, &row, &plain)?).await?;
    }
    Ok(())
}

/// By the project that the vault is of. What its row says of that is for who looks for rows of before, and opens nothing.
async fn unsealed(
    tx: &mut dyn Tx,
    kek: &Kek,
    project: &Project,
    row: &EpochRow,
) -> Result<Zeroizing<Vec<u8>>, CustodyError> {
    let period_key = period_key_of(tx, kek, &row.period).await?;
    period_key.open(Identity::Epoch(project, row.device, row.vault, row.epoch), &row.sealed)
}

pub(super) async fn period_key_of(tx: &mut dyn Tx, kek: &Kek, period: &str) -> Result<Kek, CustodyError> {
    let identity = Identity::Period(period);
    let sealed = tx.period(period).await?.ok_or_else(|| CustodyError::Absent(identity.into()))?;
    Kek::from_bytes(&kek.open(identity, &sealed)?).ok_or_else(|| CustodyError::Unsealed(identity.into()))
}
