//! One device as it stands at one moment: rows of one transaction, policies read, evidence judged anew.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ::attest::SessionKey;
use vault::decide::{Asking, Bars, Standing, StandingAt, TpmPin};
use vault::ids::{Name, VaultId};
use vault::ledger::{Mark, Sent, held_back};
use vault::policy::VaultPolicy;
use vault::rotation::Epochs;

use super::evidence::Shown;
use super::verdicts::Verdicts;
use crate::repeats::OnceForContent;
use crate::service::{Controller, Refusal};
use crate::store::{
    Around, CertRow, DeviceRow, Fared, PolicyRow, ReferenceRow, StandingRow, StoreError, Tx, UnixSeconds,
    VaultRemains, VaultRow, VaultStanding,
};

/// Bytes of a PCR's value in a map of them, about.
const PCR: usize = 64;

/// A vault with its policy and epochs.
pub(crate) struct ListedVault {
    pub(crate) row: VaultRow,
    pub(crate) policy: VaultPolicy,
    pub(crate) epochs: Epochs,
}

/// A device's evidence, judged.
#[derive(Clone, Copy)]
pub(crate) struct Stands<'v> {
    pub(crate) shown: &'v Shown,
    pub(crate) row: &'v StandingRow,
}

/// A device at one moment.
pub(crate) struct View {
    pub(crate) device: DeviceRow,
    pub(crate) vaults: Vec<ListedVault>,
    /// Vaults whose grace is over, until the node has told that they are gone.
    pub(crate) removed: Vec<VaultId>,
    /// The evidence that is kept, and what new evidence is held against.
    pub(crate) standing: Option<StandingRow>,
    pub(crate) certs: Vec<CertRow>,
    pub(crate) references: Vec<ReferenceRow>,
    /// What it shows, while it holds.
    pub(crate) shown: Option<Arc<Shown>>,
    /// Vaults of which the controller's newest key does not open, for who shows them; who answers the device looks anew.
    pub(crate) unopened: BTreeSet<VaultId>,
    /// Vaults whose row, or whose policy's, does not read, with which: no key of theirs goes out. Where that can be, they are listed all the same.
    pub(crate) damaged: BTreeMap<VaultId, String>,
    /// The database was put back, and nobody went through it, for who shows the device; of who answers it the chain is asked before.
    pub(crate) put_back: bool,
}

impl View {
    /// Reads it all in one transaction.
    pub(crate) async fn load(
        verdicts: &Verdicts,
        tx: &mut dyn Tx,
        device: DeviceRow,
    ) -> Result<Self, Refusal> {
        let around = tx.around(device.id).await?;
        let shown = shown(verdicts, &around, &device);
        let (rows, mut damaged) =
            as_far_as_it_reads(around.vaults, around.damaged, device.lost_at.is_some())?;
        // Not by the time: a vault leaves the list in the transaction that ends its grace.
        let (gone, listed): (Vec<_>, Vec<_>) =
            rows.into_iter().partition(|row| row.standing == VaultStanding::Gone);
        let removed = gone.into_iter().map(|row| row.id).collect();
        let mut vaults = Vec::new();
        for row in listed {
            let stored = |name: &Name| around.policies.iter().find(|row| row.policy.name == *name);
            let policy = match row.policy.as_ref().map(|name| named(name, stored(name))) {
                Some(Ok(policy)) => policy,
                // Not listed, each vault of the policy would be locked on every node that has one, and a default vault would return to its default
                // policy. Without a list what is open stays open.
                Some(Err(what)) => return Err(StoreError::Damaged(what).into()),
                None => default_of(&device),
            };
            let (row, epochs) = match Epochs::stored(row.current_epoch, row.last_epoch) {
                Ok(epochs) => (row, epochs),
                Err(why) => {
                    damaged.insert(row.id, format!("vault `{}` {}: {why}", row.name, row.id));
                    (VaultRow { reported_epoch: None, recreate: false, ..row }, Epochs::first())
                }
            };
            vaults.push(ListedVault { row, policy, epochs });
        }
        let Around { standing, certs, references, .. } = around;
        let (unopened, put_back) = (BTreeSet::new(), false);
        Ok(Self { device, vaults, removed, standing, certs, references, shown, unopened, damaged, put_back })
    }

    /// Those that do not read, and that are neither listed nor gone.
    pub(crate) fn unlisted(&self) -> Vec<VaultId> {
        let is_here =
            |id: &VaultId| self.vaults.iter().any(|held| held.row.id == *id) || self.removed.contains(id);
        self.damaged.keys().copied().filter(|id| !is_here(id)).collect()
    }

    /// The evidence that holds.
    pub(crate) fn stands(&self) -> Option<Stands<'_>> {
        let (shown, row) = (self.shown.as_deref()?, self.standing.as_ref()?);
        Some(Stands { shown, row })
    }

    /// The evidence, as decisions take it.
    pub(crate) fn evidence(&self) -> StandingAt<'_> {
        match self.stands() {
            Some(stands) => {
                StandingAt { standing: stands.shown.standing(), at: stands.row.at, renew: stands.row.renew }
            }
            None => StandingAt { standing: Standing::None, at: 0, renew: false },
        }
    }

    /// Good evidence was taken, and its device was there at a time.
    pub(crate) fn proved(
        &mut self,
        standing: StandingRow,
        shown: Arc<Shown>,
        fared: Fared,
        shown_at: UnixSeconds,
    ) {
        let device = &mut self.device;
        device.answered += 1;
        device.verdict = fared.into();
        (device.last_seen, device.proved_at) = (Some(shown_at), Some(shown_at));
        (self.standing, self.shown) = (Some(standing), Some(shown));
    }

    /// Bytes of what a device can make long, about.
    pub(crate) fn bytes(&self) -> usize {
        let DeviceRow { cert_der, serial, report, verdict, drills, ledger, .. } = &self.device;
        let row = cert_der.len() + serial.len() + report.bytes() + verdict.bytes() + drills.bytes();
        let vaults: usize = self.vaults.iter().map(|held| 1024 + held.row.report.bytes()).sum();
        let certs: usize =
            self.certs.iter().map(|cert| cert.pem.len() + cert.public.as_ref().map_or(0, Vec::len)).sum();
        let standing = self.standing.as_ref().map_or(0, |row| row.record.bytes());
        let pcrs: usize = self.references.iter().map(|reference| reference.pcrs.0.len() * PCR).sum();
        row + ledger.sent.len() * size_of::<Sent>()
            + vaults
            + certs
            + standing
            + pcrs
            + self.removed.len() * 16
    }

    /// Who asks.
    pub(crate) fn asking(&self, session: SessionKey) -> Asking {
        let barred = self.bars().of_a_poll();
        Asking { device: self.device.id, session, tpm: self.device.tpm, barred }
    }

    /// What keeps every key from it.
    pub(crate) fn bars(&self) -> Bars {
        let DeviceRow { lost_at, alarm, older, .. } = &self.device;
        Bars { lost: lost_at.is_some(), older: held_back(*older, self.put_back), doubled: alarm.is_some() }
    }

    /// Whether all of the database is to be gone through first.
    pub(crate) fn is_put_back(&self) -> bool {
        self.put_back || self.device.older.is_some_and(Mark::is_put_back)
    }
}

/// A vault's policy; a default vault without one has the default policy.
pub(crate) async fn policy_of(
    tx: &mut dyn Tx,
    device: &DeviceRow,
    row: &VaultRow,
) -> Result<VaultPolicy, Refusal> {
    match &row.policy {
        Some(name) => {
            let stored = tx.policy(&row.project, name.as_str()).await?;
            Ok(named(name, stored.as_ref()).map_err(StoreError::Damaged)?)
        }
        None => Ok(default_of(device)),
    }
}

fn default_of(device: &DeviceRow) -> VaultPolicy {
    VaultPolicy::of_default_vault(device.tpm != TpmPin::Absent)
}

/// The policy that a vault names is there, and reads.
fn named(name: &Name, stored: Option<&PolicyRow>) -> Result<VaultPolicy, String> {
    let stored = stored.ok_or_else(|| format!("policy `{name}` is absent, or does not read"))?;
    Ok(stored.policy.clone())
}

/// Damaged rows that were told: they are met with every request of their device.
static TOLD: OnceForContent = OnceForContent::new();

/// Rows that are to be listed, in the order of their identity, and what does not read of them. Each has to read so far that it can be listed: by a
/// list without it its node would lock it, or take a default vault for one under the default policy. Without a list what is open stays open. But
/// one that is gone is open nowhere, and on a lost device all is to be locked.
fn as_far_as_it_reads(
    whole: Vec<VaultRow>,
    remains: Vec<VaultRemains>,
    is_lost: bool,
) -> Result<(Vec<VaultRow>, BTreeMap<VaultId, String>), StoreError> {
    let (mut rows, mut damaged) = (whole, BTreeMap::new());
    for VaultRemains { row, id, may_be_default, is_gone, listed } in remains {
        let may_be_left_out = !may_be_default && (is_gone || is_lost);
        if listed.is_none() && !may_be_left_out {
            return Err(row.into());
        }
        if TOLD.told(&[row.to_string().as_bytes(), &row.content.to_be_bytes()]) {
            tracing::error!(%row, "this row does not read, and no key of its vault goes out; see `evc status`");
        }
        damaged.extend(id.map(|id| (id, row.to_string())));
        rows.extend(listed);
    }
    rows.sort_by_key(|row| row.id);
    Ok((rows, damaged))
}

/// The stored evidence is judged by what it is held against now: no verdict is believed because it was written down, and an operator's
/// word on a reference value takes effect at once.
fn shown(verdicts: &Verdicts, around: &Around, device: &DeviceRow) -> Option<Arc<Shown>> {
    let row = around.standing.as_ref()?;
    // Evidence that no longer holds is no evidence: the session is challenged.
    verdicts.judge(&row.record, device, &around.certs, &around.references).ok()
}

impl Controller {
    /// The section's place in the device's history.
    pub(crate) fn place(&self, version: u64) -> vault::ids::SectionVersion {
        vault::ids::SectionVersion { incarnation: self.incarnation, version }
    }
}
