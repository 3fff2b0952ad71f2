//! All that an answer to a device depends on: one view of one moment, every row by an indexed key.

use std::collections::BTreeSet;

use vault::ids::DeviceId;

use super::transaction::SqliteTx;
use crate::store::{Around, Devices as _, EvidenceRows as _, PolicyRow, Stored, VaultRow, Vaults as _};

impl SqliteTx {
    pub(super) async fn all_around(&mut self, device: DeviceId) -> Stored<Around> {
        let vaults = self.vaults(device).await?;
        Ok(Around {
            policies: self.policies_of(&vaults).await?,
            vaults,
            standing: self.standing(device).await?,
            certs: self.certs(device).await?,
            references: self.references_of(device).await?,
        })
    }

    /// The policies that they name, each once: a look-up by key costs less than a join that finds one policy once for each vault.
    async fn policies_of(&mut self, vaults: &[VaultRow]) -> Stored<Vec<PolicyRow>> {
        let named = vaults.iter().filter_map(|vault| Some((&vault.project, vault.policy.as_ref()?)));
        let named: BTreeSet<_> = named.collect();
        let mut policies = Vec::with_capacity(named.len());
        for (project, name) in named {
            policies.extend(self.policy(project, name.as_str()).await?);
        }
        Ok(policies)
    }
}
