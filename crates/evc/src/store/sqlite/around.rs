//! All that an answer to a device depends on: one view of one moment, every row by an indexed key.

use std::collections::BTreeSet;

use vault::ids::DeviceId;

use super::read::{Columns, FromRow, blob};
use super::transaction::SqliteTx;
use super::vaults::remains;
use crate::store::{
    Around, Devices as _, EvidenceRows as _, OrDamaged, PolicyRow, StoreError, Stored, VaultRemains,
    VaultRow, Vaults as _,
};

/// A vault's row, or what is certain of it.
enum InPart {
    Whole(Box<VaultRow>),
    Damaged(Box<VaultRemains>),
}

impl FromRow for InPart {
    const COLUMNS: &'static str = VaultRow::COLUMNS;
    fn from_row(row: &mut Columns<'_>) -> Stored<Self> {
        Ok(match OrDamaged::from_row(row)? {
            OrDamaged::Whole(row) => Self::Whole(Box::new(row)),
            OrDamaged::Damaged(damaged) => Self::Damaged(Box::new(remains(damaged, &mut row.anew()))),
        })
    }
}

impl SqliteTx {
    pub(super) async fn all_around(&mut self, device: DeviceId) -> Stored<Around> {
        let (mut vaults, mut damaged) = (Vec::new(), Vec::new());
        for row in self.all("FROM vaults WHERE device = ? ORDER BY id", (blob(device.0),)).await? {
            match row {
                InPart::Whole(row) => vaults.push(*row),
                InPart::Damaged(remains) => damaged.push(*remains),
            }
        }
        let listed = vaults.iter().chain(damaged.iter().filter_map(|remains| remains.listed.as_ref()));
        Ok(Around {
            policies: self.policies_of(listed).await?,
            vaults,
            damaged,
            standing: self.standing(device).await?,
            certs: self.certs(device).await?,
            references: self.references_of(device).await?,
        })
    }

    /// The policies that they name, each once: a look-up by key costs less than a join that finds one policy once for each vault.
    async fn policies_of(
        &mut self,
        vaults: impl Iterator<Item = &VaultRow> + Send,
    ) -> Stored<Vec<PolicyRow>> {
        let named = vaults.filter_map(|vault| Some((&vault.project, vault.policy.as_ref()?)));
        let named: BTreeSet<_> = named.collect();
        let mut policies = Vec::with_capacity(named.len());
        for (project, name) in named {
            match self.policy(project, name.as_str()).await {
                Err(StoreError::Damaged(_)) => {}
                found => policies.extend(found?),
            }
        }
        Ok(policies)
    }
}
