//! Bundles in escrow, as operators see them, and what an update that is planned will do to each vault. Nothing here gives a bundle back.

use ::attest::SessionKey;
use vault::decide::TpmPin;
use vault::decide::escrow;
use vault::foresee::{Node, Values, Vault, foresee};
use vault::ids::{DeviceId, Generation, Name, Project};
use vault::report::State;

use super::Operator;
use crate::api::{Bundle, Done, DrillState, DrillView, Foreseen, InEscrow};
use crate::fleet::heard::{Word, word};
use crate::fleet::reported::said_at;
use crate::fleet::view::{ListedVault, View};
use crate::service::{InTheWay, Refusal, Unknown, Verdicts, device_by_id, find_device};
use crate::store::{
    DeviceRow, HeldBundle, ReferenceRow, ReferenceState, Scope, Tx, UnixSeconds, VaultStanding,
};
use crate::words::escrow as words;

/// What is in escrow of a device, with its drills, of which one is made `every_s`.
pub(super) fn held(device: &DeviceRow, every_s: u64, now: UnixSeconds) -> Option<InEscrow> {
    let HeldBundle { id, received_at } = device.held?;
    Some(InEscrow {
        generation: id.generation,
        digest: hex::encode(id.digest),
        received: crate::clock::text(received_at),
        given_back: None,
        drill: drill(device, every_s, now)?,
    })
}

fn drill(device: &DeviceRow, every_s: u64, now: UnixSeconds) -> Option<DrillView> {
    let (held, drills) = (device.held?.into(), device.drills.get().cloned().unwrap_or_default());
    let overdue = drills.overdue(device.id, held, every_s, now).is_some();
    let last = drills.last.as_ref();
    let failed = last.and_then(|last| last.failed.clone());
    Some(DrillView {
        state: match last {
            Some(_) if failed.is_some() => DrillState::Failed,
            _ if overdue => DrillState::Overdue,
            Some(_) => DrillState::Passed,
            None => DrillState::None,
        },
        made: last.map(|last| crate::clock::text(last.at)),
        digest: last.map(|last| hex::encode(last.bundle.digest)),
        failed,
        due: drills.due(device.id, held, every_s).map(crate::clock::text),
        ordered: drills.is_ordered().map(crate::clock::text),
    })
}

impl Operator {
    /// Those of a device, the newest first.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn bundles(&self, device: &str, now: UnixSeconds) -> Result<Vec<Bundle>, Refusal> {
        let (device, held) = self.store.read(|tx| Box::pin(bundles(tx, &self.project, device))).await?;
        let drill = drill(&device, self.drill_every_s, now);
        let shown = held.into_iter().map(|HeldBundle { id, received_at }| {
            let newest = device.held.is_some_and(|newest| newest.id == id);
            Bundle {
                device: device.id,
                device_name: device.name.clone(),
                generation: id.generation,
                digest: hex::encode(id.digest),
                received: crate::clock::text(received_at),
                newest,
                drill: drill.clone().filter(|_| newest),
            }
        });
        Ok(shown.collect())
    }

    /// Asks for a drill, which the device makes when it polls and its boot is approved.
    ///
    /// # Errors
    /// [`Refusal`]: there is nothing to make it on.
    pub async fn order_drill(&self, device: &str, now: UnixSeconds) -> Result<Done, Refusal> {
        let id = self.meant(device).await?;
        let body =
            self.store.write(Scope::Device(id), |tx| Box::pin(order_drill(tx, &self.project, id, now)));
        Ok(words::of_ordered(&body.await?))
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
        let (view, values, bundles) = self
            .store
            .read(|tx| Box::pin(around(&self.verdicts, tx, &self.project, device, reference)))
            .await?;
        let heard = self.heard.newest(view.device.clone());
        let node = node(&view, &values, &bundles);
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

async fn order_drill(
    tx: &mut dyn Tx,
    project: &Project,
    id: DeviceId,
    now: UnixSeconds,
) -> Result<Name, Refusal> {
    let device = device_by_id(tx, project, id).await?;
    if device.held.is_none() {
        return Err(Unknown::NoBundle { device: device.name }.into());
    }
    let mut drills = device.drills.get().cloned().unwrap_or_default();
    drills.order(now);
    tx.put_drills(id, &drills).await?;
    Ok(device.name)
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
pub(super) fn in_escrow(view: &View, every_s: u64, now: UnixSeconds) -> Option<InEscrow> {
    let held = held(&view.device, every_s, now)?;
    let session = view.stands.as_ref().map_or(SessionKey([0; 32]), |stands| SessionKey(stands.row.session));
    let granted = escrow(&view.evidence(), &view.asking(session), now);
    Some(InEscrow { given_back: Some(words::of_giving_back(&granted, &view.device.name)), ..held })
}

async fn around(
    verdicts: &Verdicts,
    tx: &mut dyn Tx,
    project: &Project,
    device: &str,
    reference: i64,
) -> Result<(View, ReferenceRow, Vec<HeldBundle>), Refusal> {
    let device = find_device(tx, project, device).await?;
    let values = tx.reference(project, reference).await?.filter(|row| row.device == device.id);
    let values = values.ok_or(Unknown::Reference { id: reference })?;
    let bundles = tx.bundles(device.id).await?;
    Ok((View::load(verdicts, tx, device).await?, values, bundles))
}

fn node(view: &View, values: &ReferenceRow, bundles: &[HeldBundle]) -> Node {
    let in_force = view.device.report.get().and_then(|report| report.generation);
    let of_it = bundles.iter().map(|held| held.id.generation).find(|of| Some(*of) == in_force);
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
        escrow: of_it.or(view.device.held.map(|held| held.id.generation)),
        in_force,
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
