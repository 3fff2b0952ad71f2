//! Bundles in escrow, as operators see them, and what an update that is planned will do to each vault. Nothing here gives a bundle back.

use ::attest::SessionKey;
use vault::decide::TpmPin;
use vault::decide::escrow;
use vault::foresee::{Node, Values, Vault, foresee};
use vault::ids::{DeviceId, Generation, Project};
use vault::report::State;

use super::Operator;
use crate::api::{Bundle, Done, Foreseen, InEscrow};
use crate::fleet::heard::{Word, word};
use crate::fleet::reported::said_at;
use crate::fleet::view::{ListedVault, View};
use crate::service::{InTheWay, Refusal, Unknown, Verdicts, device_by_id, find_device};
use crate::store::{
    DeviceRow, HeldBundle, ReferenceRow, ReferenceState, Scope, Tx, UnixSeconds, VaultStanding,
};
use crate::words::escrow as words;

impl From<HeldBundle> for InEscrow {
    fn from(HeldBundle { id, received_at }: HeldBundle) -> Self {
        Self {
            generation: id.generation,
            digest: hex::encode(id.digest),
            received: crate::clock::text(received_at),
            given_back: None,
        }
    }
}

impl Operator {
    /// Those of a device, the newest first.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn bundles(&self, device: &str) -> Result<Vec<Bundle>, Refusal> {
        let (device, held) = self.store.read(|tx| Box::pin(bundles(tx, &self.project, device))).await?;
        let shown = held.into_iter().map(|held| {
            let InEscrow { generation, digest, received, .. } = held.into();
            let newest = device.held == Some(held);
            Bundle {
                device: device.id,
                device_name: device.name.clone(),
                generation,
                digest,
                received,
                newest,
            }
        });
        Ok(shown.collect())
    }

    /// Forgets those of a generation that is over, before their time.
    ///
    /// # Errors
    /// [`Refusal`]: there is none, or it is the one of the newest.
    pub async fn drop_bundles(&self, device: &str, generation: Generation) -> Result<Done, Refusal> {
        let id = self.meant(device).await?;
        let scope = Scope::Device(id);
        let gone = self.store.write(scope, |tx| Box::pin(drop_bundles(tx, &self.project, id, generation)));
        let (device, gone) = gone.await?;
        Ok(words::of_dropped(&device.name, generation, gone))
    }

    /// What becomes of each vault of a device when it is booted with these values.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn foresee(
        &self,
        device: &str,
        reference: i64,
        now: UnixSeconds,
    ) -> Result<Vec<Foreseen>, Refusal> {
        let (view, values) = self
            .store
            .read(|tx| Box::pin(around(&self.verdicts, tx, &self.project, device, reference)))
            .await?;
        let heard = self.heard.newest(view.device.clone());
        let node = node(&view, &values);
        Ok(view.vaults.iter().map(|held| of_vault(&heard, held, (&node, values.id), now)).collect())
    }
}

async fn bundles(
    tx: &mut dyn Tx,
    project: &Project,
    device: &str,
) -> Result<(DeviceRow, Vec<HeldBundle>), Refusal> {
    let device = find_device(tx, project, device).await?;
    let held = tx.bundles(device.id).await?;
    Ok((device, held))
}

async fn drop_bundles(
    tx: &mut dyn Tx,
    project: &Project,
    id: DeviceId,
    generation: Generation,
) -> Result<(DeviceRow, u64), Refusal> {
    let device = device_by_id(tx, project, id).await?;
    if device.held.is_some_and(|held| held.id.generation == generation) {
        return Err(InTheWay::BundleInForce { device: device.name, generation }.into());
    }
    match tx.drop_bundles(id, generation).await? {
        0 => Err(Unknown::Bundle { device: device.name, generation }.into()),
        gone => Ok((device, gone)),
    }
}

/// A device with what is in escrow of it, and whether it would have that back: the decision of a poll, asked for whom it would be now.
pub(super) fn in_escrow(view: &View, now: UnixSeconds) -> Option<InEscrow> {
    let held = view.device.held?;
    let session = view.stands.as_ref().map_or(SessionKey([0; 32]), |stands| SessionKey(stands.row.session));
    let granted = escrow(&view.evidence(), &view.asking(session), now);
    Some(InEscrow { given_back: Some(words::of_giving_back(&granted, &view.device.name)), ..held.into() })
}

async fn around(
    verdicts: &Verdicts,
    tx: &mut dyn Tx,
    project: &Project,
    device: &str,
    reference: i64,
) -> Result<(View, ReferenceRow), Refusal> {
    let device = find_device(tx, project, device).await?;
    let values = tx.reference(project, reference).await?.filter(|row| row.device == device.id);
    let values = values.ok_or(Unknown::Reference { id: reference })?;
    Ok((View::load(verdicts, tx, device).await?, values))
}

fn node(view: &View, values: &ReferenceRow) -> Node {
    Node {
        tpm: match view.device.tpm {
            TpmPin::Unknown => None,
            TpmPin::Present => Some(true),
            TpmPin::Absent => Some(false),
        },
        barred: view.asking(SessionKey([0; 32])).barred,
        values: match values.state {
            ReferenceState::Approved => Values::Approved,
            ReferenceState::Pending => Values::Pending,
            ReferenceState::Rejected => Values::Rejected,
        },
        moved: view.stands.as_ref().is_none_or(|stands| stands.row.record.pcrs != values.pcrs),
        escrow: view.device.held.map(|held| held.id.generation),
    }
}

fn of_vault(
    device: &DeviceRow,
    ListedVault { row, policy, .. }: &ListedVault,
    (node, reference): (&Node, i64),
    now: UnixSeconds,
) -> Foreseen {
    let vault =
        Vault { policy, state: state(device, row, now), removing: row.standing == VaultStanding::Removing };
    let (opens, because, advice) = words::of_forecast(foresee(&vault, node), &device.name, reference);
    let (vault, name) = (row.id, row.name.clone());
    Foreseen { device: device.id, device_name: device.name.clone(), vault, name, opens, because, advice }
}

/// What the node said of it, where that still counts: a node that is silent is not asked to reboot.
fn state(device: &DeviceRow, row: &crate::store::VaultRow, now: UnixSeconds) -> Option<State> {
    let at = said_at(row, device.report.get())?;
    let state = row.report.get()?.state;
    matches!(word(device, at, now), Word::Fresh).then_some(state)
}
