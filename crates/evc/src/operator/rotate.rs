//! A new key for one vault (VC-3, VC-4): whether one is made is [`Listed::rotate`]'s to say.

use vault::decide::Bars;
use vault::ids::{DeviceId, Name};
use vault::ledger::held_back;
use vault::life::{self, Listed, Rotated};

use super::Operator;
use super::again::confirmed;
use super::operate::{Found, find_vault};
use crate::api::{Done, Rotation};
use crate::custody::add_epoch;
use crate::fleet::at_stake;
use crate::fleet::view::policy_of;
use crate::service::{Irrevocable, Refusal, device_by_id, in_life};
use crate::store::{Scope, Tx, UnixSeconds, VaultRow};
use crate::words::at_stake::NOT_TO_BE_TAKEN;
use crate::words::marks::released_to;
use crate::words::notes;

impl Operator {
    /// Makes a new key current.
    ///
    /// # Errors
    /// [`Refusal`]: nothing was rotated.
    pub async fn rotate(
        &self,
        device: &str,
        name: &Name,
        how: &Rotation,
        now: UnixSeconds,
    ) -> Result<Done, Refusal> {
        let id = self.meant(device).await?;
        self.store.write(Scope::Device(id), |tx| Box::pin(self.rotated(tx, id, name, how, now))).await
    }

    async fn rotated(
        &self,
        tx: &mut dyn Tx,
        id: DeviceId,
        name: &Name,
        how: &Rotation,
        now: UnixSeconds,
    ) -> Result<Done, Refusal> {
        let device = device_by_id(tx, &self.project, id).await?;
        let Found { device, row, vault } = find_vault(tx, device, name).await?;
        let policy = policy_of(tx, &device, &row).await?;
        let needs_controller = policy.node.custody.needs_controller();
        let can_not = at_stake::at_stake(&row, &device, Some(&policy)).is_some_and(|stake| stake.last_time);
        let Rotation { force, expect_epoch, confirm } = how.clone();
        let how = life::Rotation { force, expect_epoch, older: held_back(device.older, self.put_back) };
        let became =
            vault.rotate(needs_controller, how).map_err(|cause| in_life(&device, &row.name, cause))?;
        match became {
            Rotated::Before => {
                let done = format!("vault `{}` was rotated to epoch {} already", row.name, row.current_epoch);
                Ok(Done { done, notes: vec![] })
            }
            Rotated::Now { vault, shut_out } => {
                if let Some(node) = shut_out {
                    let force = || Irrevocable::Force { node };
                    confirmed(confirm.as_deref(), (&row.name, row.id.0), force)?;
                }
                self.keep(tx, &row, &vault, now).await?;
                let current = vault.epochs.current();
                let (lost, doubled) = (device.lost_at.is_some(), device.alarm.is_some());
                let barred = (lost || doubled).then(|| released_to(Bars { lost, older: None, doubled }));
                let when = match barred {
                    Some(_) => "",
                    None if can_not => NOT_TO_BE_TAKEN,
                    None => "; the node takes it at its next contact",
                };
                let done = format!("vault `{name}` is at epoch {current}{when}");
                Ok(Done { done, notes: shut_out.map(notes::at_stake).into_iter().chain(barred).collect() })
            }
        }
    }

    async fn keep(
        &self,
        tx: &mut dyn Tx,
        row: &VaultRow,
        vault: &Listed,
        now: UnixSeconds,
    ) -> Result<(), Refusal> {
        let epochs = vault.epochs;
        add_epoch(tx, &self.kek, row, epochs.current(), now).await?;
        tx.drop_old_releases(row.device, row.id, epochs.last()).await?;
        Ok(tx.put_epochs(row.device, row.id, epochs.current(), epochs.last()).await?)
    }
}
