//! Controller keys of vaults: made at random, sealed under their period's key, opened only to be sealed to a session.

use std::collections::{BTreeSet, HashMap};

use ::attest::SessionKey;
use vault::decide::Granted;
use vault::ids::{DeviceId, Epoch, Project, VaultId};
use vault::secret::ControllerKey;
use vault::section::{Custody, Release, SealedKey};
use wire::release::{CIPHERTEXT_LEN, ENC_LEN, Purpose};
use zeroize::Zeroizing;

use super::encapsulation::Sealing;
use super::period_key::PeriodKey;
use super::restored::{GoesOver, goes_over};
use super::{CustodyError, Identity, Kek, SealedRow, random};
use crate::store::{
    DeviceRow, EpochRow, ReleaseRow, StoreError, Tx, UnixSeconds, VaultRow, VaultStanding, readable,
};

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
    kek.is_kept()?;
    let (period, period_key) = period_key(tx, kek, &period_of(now)).await?;
    let key = ControllerKey::init(|bytes| random(bytes))?;
    let (device, vault) = (of.device, of.id);
    let row = EpochRow { project: None, device, vault, epoch, period, sealed: Vec::new(), made_at: now };
    let row = sealed_as(&period_key, &of.project, &row, key.expose_controller_key())?;
    Ok(tx.add_epoch(&row).await?)
}

/// A row with this key, sealed as a project's.
pub(super) fn sealed_as(
    period_key: &PeriodKey,
    project: &Project,
    row: &EpochRow,
    plain: &[u8],
) -> Result<EpochRow, CustodyError> {
    let identity = Identity::Epoch(project, row.device, row.vault, row.epoch);
    let sealed = period_key.seal(identity, plain)?;
    Ok(EpochRow { project: Some(project.clone()), sealed, ..row.clone() })
}

/// A period's name and key, made at its first use. One that does not open keeps what was sealed under it, and nothing that is new: that goes
/// under another key of the same month.
async fn period_key(tx: &mut dyn Tx, kek: &Kek, month: &str) -> Result<(String, PeriodKey), CustodyError> {
    let mut period = month.to_owned();
    for number in 2.. {
        match period_key_of(tx, kek, &period).await {
            Err(CustodyError::Absent(_)) => break,
            Err(CustodyError::Unsealed(row)) => {
                tracing::error!(%row, "what is sealed under it opens no more; what is new is sealed under another key");
                period = format!("{month}.{number}");
            }
            opened => return Ok((period, opened?)),
        }
    }
    let (made, sealed) = PeriodKey::generate(kek, &period)?;
    match tx.add_period(&period, &sealed).await {
        // Another device was the first of the month meanwhile: its key is the period's.
        Err(StoreError::Taken) => Err(StoreError::Again.into()),
        added => Ok(added.map(|()| (period, made))?),
    }
}

/// A custody as it is called in a row of what went out.
fn name_of(custody: Custody) -> &'static str {
    match custody {
        Custody::Tpm => "tpm",
        Custody::Controller => "controller",
        Custody::TpmAndController => "tpm+controller",
    }
}

/// The custody under which a key went out.
///
/// # Errors
/// The row names none.
pub fn went_out_under(row: &ReleaseRow) -> Result<Custody, StoreError> {
    let all = [Custody::Tpm, Custody::Controller, Custody::TpmAndController];
    let found = all.into_iter().find(|custody| name_of(*custody) == row.custody);
    found.ok_or_else(|| StoreError::Damaged(format!("a release of vault {}: no custody", row.vault)))
}

/// Seals granted keys to one session of one device, in one transaction. Kept once made, so that an unchanged answer seals nothing. What
/// is needed of all vaults alike is read and opened once; an epoch's key is opened by itself, and only for what was granted.
pub struct Releases<'k> {
    kek: &'k Kek,
    project: Project,
    device: DeviceId,
    session: SessionKey,
    sealing: Sealing,
    kept: HashMap<(VaultId, Epoch, String), SealedKey>,
    /// Read when the first key is to be opened.
    epochs: Option<HashMap<(VaultId, Epoch), EpochRow>>,
    periods: HashMap<String, PeriodKey>,
}

impl<'k> Releases<'k> {
    /// With those that were sealed for this session before.
    ///
    /// # Errors
    /// [`CustodyError`]: nothing is released.
    pub async fn to(
        tx: &mut dyn Tx,
        kek: &'k Kek,
        device: &DeviceRow,
        session: SessionKey,
        sealing: Sealing,
    ) -> Result<Self, CustodyError> {
        let rows = tx.releases(&device.project, device.id, &session.0).await?.into_iter();
        // What no node would read is sealed anew.
        let whole = |row: &ReleaseRow| (row.enc.len(), row.ciphertext.len()) == (ENC_LEN, CIPHERTEXT_LEN);
        let kept = rows.filter(whole).map(|row| {
            let ReleaseRow { vault, epoch, custody, enc, number, ciphertext, .. } = row;
            ((vault, epoch, custody), SealedKey { epoch, enc, number, ciphertext })
        });
        let (project, kept) = (device.project.clone(), kept.collect());
        let (device, epochs, periods) = (device.id, None, HashMap::new());
        Ok(Self { kek, project, device, session, sealing, kept, epochs, periods })
    }

    /// To which session.
    #[must_use]
    pub fn session(&self) -> SessionKey {
        self.session
    }

    /// The keys that a decision granted.
    ///
    /// # Errors
    /// [`CustodyError`]: nothing is released.
    pub async fn of(&mut self, tx: &mut dyn Tx, granted: &Granted) -> Result<Release, CustodyError> {
        let epochs = granted.epochs();
        let current = self.sealed(tx, granted, epochs.current()).await?;
        if epochs.last() == epochs.current() {
            return Ok(Release::Keys { last: current.clone(), current });
        }
        let last = match self.sealed(tx, granted, epochs.last()).await {
            // A node that took the current one has no use for it.
            Err(error) if is_of_the_row(&error) => {
                tracing::error!(vault = %granted.vault(), %error, "only the newest key goes out");
                current.clone()
            }
            last => last?,
        };
        Ok(Release::Keys { current, last })
    }

    /// Why the current key of what was granted does not open; none where it does, or was sealed for this session before.
    ///
    /// # Errors
    /// [`CustodyError::Store`].
    pub async fn shut(
        &mut self,
        tx: &mut dyn Tx,
        granted: &Granted,
    ) -> Result<Option<CustodyError>, CustodyError> {
        let epoch = granted.epochs().current();
        if self.kept.contains_key(&(granted.vault(), epoch, name_of(granted.custody()).into())) {
            return Ok(None);
        }
        match self.open(tx, granted, epoch).await {
            Err(error) if is_of_the_row(&error) => Ok(Some(error)),
            opened => opened.map(|_| None),
        }
    }

    async fn sealed(
        &mut self,
        tx: &mut dyn Tx,
        granted: &Granted,
        epoch: Epoch,
    ) -> Result<SealedKey, CustodyError> {
        let mut row = self.row(granted, epoch)?;
        if let Some(kept) = self.kept.remove(&(row.vault, epoch, row.custody.clone())) {
            return Ok(kept);
        }
        let key = self.open(tx, granted, epoch).await?;
        let purpose =
            Purpose { device: granted.device(), vault: granted.vault(), custody: granted.custody() };
        let sealed = self.sealing.seal(&granted.session(), &purpose, epoch, &key)?;
        (row.enc, row.number, row.ciphertext) =
            (sealed.enc.clone(), sealed.number, sealed.ciphertext.clone());
        tx.put_release(&row).await?;
        Ok(sealed)
    }

    /// What was granted to another device or session is not released here.
    fn row(&self, granted: &Granted, epoch: Epoch) -> Result<ReleaseRow, CustodyError> {
        let identity = Identity::Epoch(&self.project, granted.device(), granted.vault(), epoch);
        let is_own = (granted.device(), granted.session()) == (self.device, self.session);
        if !is_own || !granted.epochs().may_release(epoch) {
            return Err(CustodyError::Absent(identity.into()));
        }
        let custody = name_of(granted.custody());
        Ok(ReleaseRow {
            project: self.project.clone(),
            device: self.device,
            vault: granted.vault(),
            epoch,
            custody: custody.into(),
            session: self.session.0,
            enc: Vec::new(),
            number: 0,
            ciphertext: Vec::new(),
        })
    }

    /// Opens an epoch's key for release. The only place, and only for what was granted.
    async fn open(
        &mut self,
        tx: &mut dyn Tx,
        granted: &Granted,
        epoch: Epoch,
    ) -> Result<ControllerKey, CustodyError> {
        let identity = Identity::Epoch(&self.project, granted.device(), granted.vault(), epoch);
        if self.epochs.is_none() {
            let rows = readable(tx.epochs_in_use(self.device).await?).into_iter();
            self.epochs = Some(rows.map(|row| ((row.vault, row.epoch), row)).collect());
        }
        let row = self.epochs.as_ref().and_then(|rows| rows.get(&(granted.vault(), epoch)));
        let row = row.ok_or_else(|| CustodyError::Absent(identity.into()))?;
        if !self.periods.contains_key(&row.period) {
            let opened = period_key_of(tx, self.kek, &row.period).await?;
            self.periods.insert(row.period.clone(), opened);
        }
        let plain = self.periods[&row.period].open(identity, &row.sealed)?;
        let unsealed = || CustodyError::Unsealed(identity.into());
        ControllerKey::init(|key| {
            let plain: &[u8; 32] = plain.as_slice().try_into().map_err(|_| unsealed())?;
            key.copy_from_slice(plain);
            Ok(())
        })
    }
}

/// Whether one row is what is wrong, and not the store or the key-encryption key's file.
fn is_of_the_row(error: &CustodyError) -> bool {
    matches!(error, CustodyError::Absent(_) | CustodyError::Unsealed(_))
}

/// The vaults of a device whose newest key is absent or does not open.
///
/// # Errors
/// [`CustodyError::Store`].
pub async fn unopened(
    tx: &mut dyn Tx,
    kek: &Kek,
    device: &DeviceRow,
) -> Result<BTreeSet<VaultId>, CustodyError> {
    let rows = readable(tx.epochs_in_use(device.id).await?);
    let mut unopened = BTreeSet::new();
    let vaults = readable(tx.vaults_listed(device.id).await?);
    for vault in vaults.iter().filter(|vault| vault.standing != VaultStanding::Gone) {
        let row = rows.iter().find(|row| (row.vault, row.epoch) == (vault.id, vault.current_epoch));
        let opens = match row {
            None => false,
            Some(row) => match unsealed(tx, kek, &vault.project, row).await {
                Err(error) if is_of_the_row(&error) => false,
                opened => opened.map(|_| true)?,
            },
        };
        unopened.extend((!opens).then_some(vault.id));
    }
    Ok(unopened)
}

/// Seals the keys of all of a vault's epochs anew, as another device's: they go with the vault, and nowhere else. Those that do not open, and that
/// nothing needs, go as they are: which.
///
/// # Errors
/// [`CustodyError`]: nothing is kept.
pub async fn rehome(
    tx: &mut dyn Tx,
    kek: &Kek,
    vault: &VaultRow,
    to: &DeviceRow,
) -> Result<Vec<SealedRow>, CustodyError> {
    let mut left = Vec::new();
    for epoch in (1..=vault.current_epoch.0).map(Epoch) {
        let Some(row) = tx.epoch(vault.device, vault.id, epoch).await? else { continue };
        let GoesOver { row, shut } = goes_over(tx, kek, (vault, row), (&vault.project, to)).await?;
        tx.add_epoch(&row).await?;
        left.extend(shut);
    }
    Ok(left)
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

pub(super) async fn period_key_of(
    tx: &mut dyn Tx,
    kek: &Kek,
    period: &str,
) -> Result<PeriodKey, CustodyError> {
    let absent = || CustodyError::Absent(Identity::Period(period).into());
    let sealed = match tx.period(period).await {
        // Of the wrong type: no more of a key than one that does not open.
        Err(StoreError::Damaged(_)) => return Err(CustodyError::Unsealed(Identity::Period(period).into())),
        found => found?.ok_or_else(absent)?,
    };
    PeriodKey::unsealed(kek, period, &sealed)
}
