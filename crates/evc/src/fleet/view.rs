//! One device as it stands at one moment: rows of one transaction, policies read, evidence judged anew.

use std::sync::Arc;

use ::attest::SessionKey;
use vault::decide::{Asking, Bar, Standing, StandingAt, TpmPin};
use vault::ids::{Name, VaultId};
use vault::policy::VaultPolicy;
use vault::rotation::Epochs;
use vault::section::MAX_VAULTS;

use super::evidence::Shown;
use super::verdicts::Verdicts;
use crate::service::{Controller, Refusal};
use crate::store::{Around, DeviceRow, PolicyRow, StandingRow, StoreError, Tx, VaultRow, VaultStanding};

/// A vault with its policy and epochs.
pub(crate) struct ListedVault {
    pub(crate) row: VaultRow,
    pub(crate) policy: VaultPolicy,
    pub(crate) epochs: Epochs,
}

/// A device's evidence, judged.
pub(crate) struct Stands {
    pub(crate) shown: Arc<Shown>,
    pub(crate) row: StandingRow,
}

/// A device at one moment.
pub(crate) struct View {
    pub(crate) device: DeviceRow,
    pub(crate) vaults: Vec<ListedVault>,
    /// Vaults whose grace is over, until the node has told that they are gone.
    pub(crate) removed: Vec<VaultId>,
    pub(crate) stands: Option<Stands>,
}

impl View {
    /// Reads it all in one transaction.
    pub(crate) async fn load(
        verdicts: &Verdicts,
        tx: &mut dyn Tx,
        device: DeviceRow,
    ) -> Result<Self, Refusal> {
        let around = tx.around(device.id).await?;
        let stands = stands(verdicts, &around, &device);
        // Not by the time: a vault leaves the list in the transaction that ends its grace.
        let (gone, listed): (Vec<_>, Vec<_>) =
            around.vaults.into_iter().partition(|row| row.standing == VaultStanding::Gone);
        let removed = gone.into_iter().map(|row| row.id).take(MAX_VAULTS).collect();
        let mut vaults = Vec::new();
        for row in listed {
            let policy = match &row.policy {
                Some(name) => named(name, around.policies.iter().find(|row| row.policy.name == *name))?,
                None => default_of(&device),
            };
            let epochs = Epochs::stored(row.current_epoch, row.last_epoch)
                .map_err(|e| StoreError::Damaged(e.to_string()))?;
            vaults.push(ListedVault { row, policy, epochs });
        }
        Ok(Self { device, vaults, removed, stands })
    }

    /// The evidence, as decisions take it.
    pub(crate) fn evidence(&self) -> StandingAt<'_> {
        match &self.stands {
            Some(stands) => {
                StandingAt { standing: stands.shown.standing(), at: stands.row.at, renew: stands.row.renew }
            }
            None => StandingAt { standing: Standing::None, at: 0, renew: false },
        }
    }

    /// Who asks.
    pub(crate) fn asking(&self, session: SessionKey) -> Asking {
        Asking { device: self.device.id, session, tpm: self.device.tpm, barred: barred(&self.device) }
    }
}

fn barred(device: &DeviceRow) -> Option<Bar> {
    match device {
        DeviceRow { lost_at: Some(_), .. } => Some(Bar::Lost),
        DeviceRow { alarm: Some(_), .. } => Some(Bar::Doubled),
        _ => None,
    }
}

/// A vault's policy; a default vault without one has the default policy.
pub(crate) async fn policy_of(
    tx: &mut dyn Tx,
    device: &DeviceRow,
    row: &VaultRow,
) -> Result<VaultPolicy, Refusal> {
    match &row.policy {
        Some(name) => named(name, tx.policy(&row.project, name.as_str()).await?.as_ref()),
        None => Ok(default_of(device)),
    }
}

fn default_of(device: &DeviceRow) -> VaultPolicy {
    VaultPolicy::of_default_vault(device.tpm != TpmPin::Absent)
}

/// The policy that a vault names is there.
fn named(name: &Name, stored: Option<&PolicyRow>) -> Result<VaultPolicy, Refusal> {
    let stored = stored.ok_or_else(|| StoreError::Damaged(format!("policy {name}: absent")))?;
    Ok(stored.policy.clone())
}

/// The stored evidence is judged by what it is held against now: no verdict is believed because it was written down, and an operator's
/// word on a reference value takes effect at once.
fn stands(verdicts: &Verdicts, around: &Around, device: &DeviceRow) -> Option<Stands> {
    let row = around.standing.as_ref()?;
    // Evidence that no longer holds is no evidence: the session is challenged.
    let shown = verdicts.judge(&row.record, device, &around.certs, &around.references).ok()?;
    Some(Stands { shown, row: row.clone() })
}

impl Controller {
    /// The section's place in the device's history.
    pub(crate) fn place(&self, version: u64) -> vault::ids::SectionVersion {
        vault::ids::SectionVersion { incarnation: self.incarnation, version }
    }
}
