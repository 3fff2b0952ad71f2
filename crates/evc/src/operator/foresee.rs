//! What an update that is planned will do to each vault of a device, as [`vault::foresee`] says. It changes nothing.

use vault::decide::TpmPin;
use vault::escrow::drill::Drills;
use vault::foresee::{Node, Values, Vault, foresee};
use vault::ids::Project;
use vault::report::{State, VaultReport};

use super::Operator;
use crate::api::Foreseen;
use crate::fleet::heard::{Word, word};
use crate::fleet::reported::{is_held_to, said_at};
use crate::fleet::view::{ListedVault, View};
use crate::service::{Refusal, Unknown, Verdicts, find_device};
use crate::store::{
    DeviceRow, HeldBundle, ReferenceRow, ReferenceState, Tx, UnixSeconds, VaultRow, VaultStanding,
};
use crate::words::escrow as words;

impl Operator {
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
        let view = View { put_back: self.put_back, ..view };
        let heard = self.heard.newest(view.device.clone());
        let node = node(&view, &values, &bundles);
        Ok(view.vaults.iter().map(|held| of_vault(&heard, held, (&node, values.id), now)).collect())
    }
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
    let bundles = tx.bundles(device.id).await?.into_iter().map(|listed| listed.held).collect();
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
        barred: view.bars().barred(),
        held_to_other: is_held_to(&view.device).is_some(),
        values: match values.state {
            ReferenceState::Approved => Values::Approved,
            ReferenceState::Pending => Values::Pending,
            ReferenceState::Rejected => Values::Rejected,
        },
        moved: view.stands().is_none_or(|stands| stands.row.record.pcrs != values.pcrs),
        escrow: of_it.or(view.device.held.map(|held| held.id.generation)),
        in_force,
        drill_failed: view.device.drills.get().is_some_and(Drills::has_failed),
    }
}

fn of_vault(
    device: &DeviceRow,
    ListedVault { row, policy, .. }: &ListedVault,
    (node, reference): (&Node, i64),
    now: UnixSeconds,
) -> Foreseen {
    let removing = row.standing != VaultStanding::Active;
    let behind = row.report.get().is_some_and(VaultReport::is_behind_in_escrow);
    let vault = Vault { policy, state: state(device, row, now), removing, behind };
    let (opens, because, advice) = words::of_forecast(foresee(&vault, node), &device.name, reference);
    let (vault, name) = (row.id, row.name.clone());
    Foreseen { device: device.id, device_name: device.name.clone(), vault, name, opens, because, advice }
}

/// What the node said of it, where that still counts: a node that is silent is not asked to reboot.
fn state(device: &DeviceRow, row: &VaultRow, now: UnixSeconds) -> Option<State> {
    let at = said_at(row, device.report.get())?;
    let state = row.report.get()?.state;
    matches!(word(device, at, now), Word::Fresh).then_some(state)
}
