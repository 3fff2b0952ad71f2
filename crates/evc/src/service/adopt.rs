//! Orphans: vaults that a node has and that no section of this controller ever listed, of an earlier controller or an older database. The node
//! keeps them locked. An operator takes one in, under a policy; what he does not want he takes in and deletes, with the grace of its policy.

use serde::Deserialize;
use vault::ids::{Name, VaultId};
use vault::report::{State, VaultReport};

use super::apply::{fits, has_room, named_policy};
use super::defaults::{add_vault, new_vault};
use super::operate::Done;
use super::{Controller, Refusal, find_device};
use crate::store::{DeviceRow, StoreError, Tx, UnixSeconds, VaultRow, VaultStanding};

/// Under which policy.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Adoption {
    /// Its name.
    pub policy: Name,
}

impl Controller {
    /// Takes in a vault that its node reports as an orphan.
    ///
    /// # Errors
    /// [`Refusal`]: the node reports no such orphan, its key is not here, or the policy does not fit.
    pub async fn adopt(
        &self,
        device: &str,
        vault: &Name,
        how: &Adoption,
        now: UnixSeconds,
    ) -> Result<Done, Refusal> {
        let scope = self.scope_of(device).await?;
        self.store.write(scope, |tx| Box::pin(self.taken_in(tx, device, vault, &how.policy, now))).await?;
        Ok(Done {
            done: format!(
                "vault `{vault}` is under policy `{}`; its node opens it at its next contact",
                how.policy
            ),
            notes: vec![
                "if it is not wanted, `evc delete vault` removes it there, after the grace of its policy"
                    .into(),
            ],
        })
    }

    async fn taken_in(
        &self,
        tx: &mut dyn Tx,
        device: &str,
        vault: &Name,
        policy: &Name,
        now: UnixSeconds,
    ) -> Result<(), Refusal> {
        let device = find_device(tx, device).await?;
        let orphan = orphan(&device, vault)?;
        fits(&device, &named_policy(tx, policy).await?)?;
        let rows = tx.vaults(device.id).await?;
        has_room(&rows)?;
        if rows.iter().any(|row| row.id == orphan.id && row.standing != VaultStanding::Gone) {
            return Err(Refusal::conflict(
                format!("vault `{}` is this controller's already", orphan.name),
                "see `evc get vaults`; its node lists it at its next contact",
            ));
        }
        // What is left of its removal, before this database began a new life, is over.
        if rows.iter().any(|row| row.id == orphan.id) {
            tx.drop_vault(device.id, orphan.id).await?;
        }
        let row = new_vault(device.id, orphan.id, orphan.name.clone(), Some(policy.clone()), now);
        let added = add_vault(tx, &self.kek, VaultRow { created: true, ..row }).await;
        added.map_err(|refusal| match refusal {
            Refusal::Conflict { .. } => Refusal::conflict(
                format!("device `{}` has another vault of the name `{}`", device.name, orphan.name),
                "delete that one first, and wait for its end",
            ),
            other => other,
        })
    }
}

/// What the node said of it last.
fn orphan(device: &DeviceRow, vault: &Name) -> Result<VaultReport, Refusal> {
    let report = device.report.as_deref().map(serde_json::from_str::<serde_json::Value>).transpose();
    let report = report.map_err(|e| StoreError::Damaged(format!("a report: {e}")))?.unwrap_or_default();
    let told = report["vaults"].as_array().cloned().unwrap_or_default().into_iter();
    let id = vault.as_str().parse::<VaultId>().ok();
    let mut named = told
        .filter_map(|told| serde_json::from_value::<VaultReport>(told).ok())
        .filter(|told| told.state == State::Orphan && (Some(told.id) == id || told.name == *vault));
    match (named.next(), named.next()) {
        (Some(orphan), None) => controllers_no_key(orphan),
        (Some(_), Some(_)) => Err(Refusal::conflict(
            format!("device `{}` reports several orphans of the name `{vault}`", device.name),
            "give the UUID; see `evc describe device`",
        )),
        (None, _) => Err(Refusal::NotFound {
            what: format!("orphan `{vault}` of device `{}`", device.name),
            advice: "`evc describe device` shows what its node reports".into(),
        }),
    }
}

/// A key of another controller's, or of another device here, does not come with the name.
fn controllers_no_key(orphan: VaultReport) -> Result<VaultReport, Refusal> {
    match orphan.epoch {
        None => Ok(orphan),
        Some(epoch) => Err(Refusal::conflict(
            format!(
                "vault `{}` needs a controller's key, of epoch {epoch}, that this device has none of here",
                orphan.name
            ),
            "if the vault was another device's at this controller: `evc rehome vault`; else it opens only under the controller that made it",
        )),
    }
}
