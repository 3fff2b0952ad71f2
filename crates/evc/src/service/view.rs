//! One device as it stands at one moment: rows of one transaction, policies read, evidence judged anew.

use std::collections::HashMap;

use ::attest::SessionKey;
use vault::decide::{Asking, Evidence, Standing, Tpm as Pinned};
use vault::ids::Name;
use vault::policy::VaultPolicy;
use vault::rotation::Epochs;

use super::evidence::{Record, Shown, judge};
use super::{Controller, Refusal};
use crate::store::{DeviceRow, StandingRow, StoreError, Tpm, Tx, VaultRow, VaultStanding};

/// A vault with its policy and epochs.
pub(super) struct Held {
    pub(super) row: VaultRow,
    pub(super) policy: VaultPolicy,
    pub(super) epochs: Epochs,
}

/// A device's evidence, judged.
pub(super) struct Stands {
    pub(super) shown: Shown,
    pub(super) row: StandingRow,
}

/// A device at one moment.
pub(super) struct View {
    pub(super) device: DeviceRow,
    pub(super) vaults: Vec<Held>,
    pub(super) stands: Option<Stands>,
}

impl View {
    /// Reads it all in one transaction.
    pub(super) async fn load(tx: &mut dyn Tx, device: DeviceRow) -> Result<Self, Refusal> {
        let rows = tx.vaults(device.id).await?;
        // Not by the time: a vault leaves the list in the transaction that ends its grace.
        let listed = rows.into_iter().filter(|row| row.standing != VaultStanding::Gone);
        let mut policies = HashMap::new();
        let mut vaults = Vec::new();
        for row in listed {
            let policy = policy_of(tx, &device, &row, &mut policies).await?;
            let epochs = Epochs::stored(row.current_epoch, row.last_epoch)
                .map_err(|e| StoreError::Damaged(e.to_string()))?;
            vaults.push(Held { row, policy, epochs });
        }
        let stands = stands(tx, &device).await?;
        Ok(Self { device, vaults, stands })
    }

    /// The evidence, as decisions take it.
    pub(super) fn evidence(&self) -> Evidence<'_> {
        match &self.stands {
            Some(stands) => {
                Evidence { standing: stands.shown.standing(), at: stands.row.at, renew: stands.row.renew }
            }
            None => Evidence { standing: Standing::None, at: 0, renew: false },
        }
    }

    /// Who asks.
    pub(super) fn asking(&self, session: SessionKey) -> Asking {
        let tpm = match self.device.tpm {
            Tpm::Unknown => Pinned::Unknown,
            Tpm::Present => Pinned::Present,
            Tpm::Absent => Pinned::Absent,
        };
        Asking { device: self.device.id, session, tpm }
    }
}

/// A vault's policy; a default vault without one has the default policy.
pub(super) async fn policy_of(
    tx: &mut dyn Tx,
    device: &DeviceRow,
    row: &VaultRow,
    seen: &mut HashMap<String, VaultPolicy>,
) -> Result<VaultPolicy, Refusal> {
    let Some(name) = &row.policy else {
        return Ok(VaultPolicy::of_default_vault(device.tpm != Tpm::Absent));
    };
    policy_of_name(tx, name, seen).await
}

/// A stored policy, read once for all the vaults that name it.
async fn policy_of_name(
    tx: &mut dyn Tx,
    name: &Name,
    seen: &mut HashMap<String, VaultPolicy>,
) -> Result<VaultPolicy, Refusal> {
    if let Some(policy) = seen.get(name.as_str()) {
        return Ok(policy.clone());
    }
    let damaged = |why: String| StoreError::Damaged(format!("policy {name}: {why}"));
    let stored = tx.policy(name.as_str()).await?.ok_or_else(|| damaged("absent".into()))?;
    let policy = VaultPolicy::from_canonical(&stored.canonical).map_err(|e| damaged(e.to_string()))?;
    seen.insert(name.to_string(), policy.clone());
    Ok(policy)
}

/// The stored evidence is judged anew each time: no verdict is believed because it was written down, and an operator's
/// word on a reference value takes effect at once.
async fn stands(tx: &mut dyn Tx, device: &DeviceRow) -> Result<Option<Stands>, Refusal> {
    let Some(row) = tx.standing(device.id).await? else { return Ok(None) };
    let record = Record::from_json(&row.record).map_err(|e| StoreError::Damaged(format!("standing: {e}")))?;
    let certs = tx.certs(device.id).await?;
    let references = tx.references_of(device.id).await?;
    // Evidence that no longer holds is no evidence: the session is challenged.
    Ok(judge(&record, device, &certs, &references).ok().map(|shown| Stands { shown, row }))
}

impl Controller {
    /// The section's place in the device's history.
    pub(super) fn place(&self, version: u64) -> vault::ids::SectionVersion {
        vault::ids::SectionVersion { incarnation: self.incarnation, version }
    }
}
