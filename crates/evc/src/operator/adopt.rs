//! Orphans: vaults that a node has and that no section of this controller ever listed, of an earlier controller or an older database. The node
//! keeps them locked. An operator takes one in, under a policy; what he does not want he takes in and deletes, with the grace of its policy.

use vault::ids::{Incarnation, Name, SectionVersion};
use vault::life::{NotAdopted, adopted, orphan};
use vault::report::VaultReport;

use super::Operator;
use super::apply::{held_against, named_policy};
use crate::api::{Adoption, Done};
use crate::fleet::defaults::add_vault;
use crate::fleet::life::{beside_defaults, life, new_row};
use crate::service::{InTheWay, Refusal, find_device, in_life};
use crate::store::{Accepted, DeviceRow, Tx, UnixSeconds};

impl Operator {
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
        let device = find_device(tx, &self.project, device).await?;
        let refused = |cause: NotAdopted| in_life(&device, vault, cause);
        let orphan = orphan(reports(&device), vault).map_err(refused)?;
        held_against(&device, &named_policy(tx, &self.project, policy).await?, None)?;
        let rows = tx.vaults(device.id).await?;
        let there = rows.iter().find(|row| row.id == orphan.id).map(life).transpose()?;
        let at = (self.incarnation, accepted(&device));
        let adopted =
            adopted(&orphan, policy, there.as_ref(), beside_defaults(&rows), at).map_err(refused)?;
        // Of its removal, which its node knows nothing of.
        if there.is_some() {
            tx.drop_vault(device.id, orphan.id).await?;
        }
        let name = orphan.name;
        let row = new_row(&device, (orphan.id, name.clone()), adopted, now);
        add_vault(tx, &self.kek, row).await.map_err(|refusal| match refusal {
            Refusal::InTheWay(InTheWay::Taken) => refused(NotAdopted::NameTaken { name }),
            other => other,
        })
    }
}

/// The section that the node accepted last, as it said.
fn accepted(device: &DeviceRow) -> Option<SectionVersion> {
    let Accepted { incarnation, version } = device.report.as_ref()?.accepted?;
    Some(SectionVersion { incarnation: Incarnation(incarnation), version })
}

/// What the node said last of vaults that no row is kept of.
fn reports(device: &DeviceRow) -> Vec<VaultReport> {
    device.report.as_ref().map(|report| report.vaults.clone()).unwrap_or_default()
}
