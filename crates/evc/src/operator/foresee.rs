//! What an update that is planned will do to each vault of a device, as [`vault::foresee`] says. It changes nothing.

use vault::decide::TpmPin;
use vault::escrow::drill::Drills;
use vault::escrow::history::Contents;
use vault::foresee::{Node, Values, Vault, foresee};
use vault::ids::Generation;
use vault::report::{State, VaultReport};

use super::Operator;
use super::escrow::in_force;
use crate::api::Foreseen;
use crate::custody::would_give_back;
use crate::fleet::heard::{Word, word};
use crate::fleet::reported::{is_held_to, said_at};
use crate::fleet::view::{ListedVault, View};
use crate::service::{Refusal, Unknown, find_device};
use crate::store::{DeviceRow, ReferenceRow, ReferenceState, Tx, UnixSeconds, VaultRow, VaultStanding};
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
        let read = self.store.read(|tx| Box::pin(self.around(tx, device, reference)));
        let (view, values, bundle) = read.await?;
        let view = View { put_back: self.put_back, ..view };
        let heard = self.heard.newest(view.device.clone());
        let node = node(&view, &values, bundle.as_ref());
        let has = bundle.and_then(|bundle| bundle.has);
        let of_each = view.vaults.iter();
        Ok(of_each.map(|held| of_vault(&heard, held, (&node, has.as_ref(), values.id), now)).collect())
    }

    /// A device, the values of a reference, and the very bundle that would be given back to a boot of these.
    async fn around(
        &self,
        tx: &mut dyn Tx,
        device: &str,
        reference: i64,
    ) -> Result<(View, ReferenceRow, Option<WouldGoBack>), Refusal> {
        let device = find_device(tx, &self.project, device).await?;
        let values = tx.reference(&self.project, reference).await?.filter(|row| row.device == device.id);
        let values = values.ok_or(Unknown::Reference { id: reference })?;
        let in_force = in_force(&device);
        let bundles = tx.bundles(device.id).await?;
        let of_it = bundles.iter().map(|listed| listed.held.id.generation).find(|of| Some(*of) == in_force);
        let bundle = match of_it.or(device.held.map(|held| held.id.generation)) {
            Some(generation) => {
                let has = would_give_back(tx, &self.kek, device.id, generation).await?;
                Some(WouldGoBack { generation, has })
            }
            None => None,
        };
        Ok((View::load(&self.verdicts, tx, device).await?, values, bundle))
    }
}

/// A bundle that would be given back.
struct WouldGoBack {
    generation: Generation,
    /// What it has; none where it does not open.
    has: Option<Contents>,
}

fn node(view: &View, values: &ReferenceRow, bundle: Option<&WouldGoBack>) -> Node {
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
        escrow: bundle.map(|bundle| bundle.generation),
        escrow_opens: bundle.is_some_and(|bundle| bundle.has.is_some()),
        in_force: in_force(&view.device),
        drill_failed: view.device.drills.get().is_some_and(Drills::has_failed),
    }
}

fn of_vault(
    device: &DeviceRow,
    ListedVault { row, policy, .. }: &ListedVault,
    (node, has, reference): (&Node, Option<&Contents>, i64),
    now: UnixSeconds,
) -> Foreseen {
    let removing = row.standing != VaultStanding::Active;
    let behind = row.report.get().is_some_and(VaultReport::is_behind_in_escrow);
    let in_escrow = has.and_then(|has| has.has_share(row.id));
    let vault = Vault { policy, state: state(device, row, now), removing, behind, in_escrow };
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
