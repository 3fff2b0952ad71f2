//! All that an answer to a device depends on: one view of one moment, every row by an indexed key.

use std::collections::BTreeSet;

use vault::defaults;
use vault::ids::{DeviceId, VaultId};

use super::read::{Columns, FromRow, blob, vault};
use super::transaction::SqliteTx;
use super::vaults::remains;
use crate::store::{
    Around, DamagedRow, Devices as _, EvidenceRows as _, OrDamaged, PolicyRow, RowKind, StoreError, Stored,
    VaultRemains, VaultRow, Vaults as _,
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

/// A row of a vault that is found by its identity: what is certain of it but its device.
struct Strayed(VaultRemains);

impl FromRow for Strayed {
    const COLUMNS: &'static str = VaultRow::COLUMNS;
    fn from_row(row: &mut Columns<'_>) -> Stored<Self> {
        let damaged = DamagedRow { column: "device".to_owned(), ..row.damaged_row(RowKind::Vault) };
        Ok(Self(remains(damaged, row)))
    }
}

/// A vault by its keys; none where what they are of does not read: they are nobody's then.
struct OfKeys(Option<VaultId>);

impl FromRow for OfKeys {
    const COLUMNS: &'static str = "vault";
    fn from_row(row: &mut Columns<'_>) -> Stored<Self> {
        row.read(|value| Some(Self(vault(value))))
    }
}

/// Vaults that a device has keys of, and no row. From one to the next by the index.
const WITHOUT_ROW: &str = "FROM (WITH RECURSIVE of_keys (vault) AS (SELECT min(vault) FROM epochs WHERE device = ?1 UNION ALL
       SELECT (SELECT min(vault) FROM epochs WHERE device = ?1 AND vault > of_keys.vault) FROM of_keys WHERE of_keys.vault IS NOT NULL)
     SELECT vault FROM of_keys WHERE vault IS NOT NULL
       AND NOT EXISTS (SELECT 1 FROM vaults WHERE vaults.device = ?1 AND vaults.id = of_keys.vault))";
/// A vault's rows that are of no device, by their index.
const STRAYED: &str =
    "FROM vaults WHERE id = ? AND NOT EXISTS (SELECT 1 FROM devices WHERE devices.id = vaults.device)";

/// A default vault has the same identity everywhere: which row of no device is this one's nobody knows, and all of the fleet would be looked through
/// for any. Not listed, its node takes it for one under its default policy, which may be the looser one: so its device gets no list.
fn without_row(device: DeviceId, id: VaultId) -> VaultRemains {
    let row = DamagedRow {
        kind: RowKind::Vault,
        device: Some(device.to_string()),
        id: Some(id.to_string()),
        name: defaults::name(id).map(|name| name.to_string()),
        column: "device".to_owned(),
        content: 0,
    };
    VaultRemains { row, id: Some(id), may_be_default: true, is_gone: false, listed: None }
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
        damaged.extend(self.strayed(device).await?);
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

    /// Its vaults whose rows don't say so any more: by a list without them its node would lock them. A vault and its first key are made in one
    /// transaction.
    pub(super) async fn strayed(&mut self, device: DeviceId) -> Stored<Vec<VaultRemains>> {
        let mut all = Vec::new();
        for OfKeys(id) in self.all(WITHOUT_ROW, (blob(device.0),)).await? {
            let Some(id) = id else { continue };
            if id.is_default() {
                all.push(without_row(device, id));
                continue;
            }
            let rows: Vec<Strayed> = self.all(STRAYED, (blob(id.0),)).await?;
            let is_known = rows.len() == 1;
            all.extend(rows.into_iter().map(|Strayed(remains)| {
                let listed = remains.listed.filter(|_| is_known).map(|listed| VaultRow { device, ..listed });
                let row = DamagedRow { device: Some(device.to_string()), ..remains.row };
                VaultRemains { listed, row, ..remains }
            }));
        }
        Ok(all)
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

#[cfg(test)]
mod tests {
    use super::super::tables::bring_up_to_date;
    use super::*;

    /// Each poll of a device asks both: what that costs does not grow with the fleet, whatever is damaged.
    #[test]
    fn keys_whose_vault_has_no_row_have_no_table_looked_through() {
        let mut file = rusqlite::Connection::open_in_memory().expect("opened");
        bring_up_to_date(&mut file).expect("made");
        for ask in [format!("SELECT {} {STRAYED}", Strayed::COLUMNS), format!("SELECT vault {WITHOUT_ROW}")] {
            let mut plan = file.prepare(&format!("EXPLAIN QUERY PLAN {ask}")).expect("planned");
            let steps = plan.query_map((&[1; 16],), |row| row.get::<_, String>(3)).expect("told");
            let steps: Vec<String> = steps.collect::<Result<_, _>>().expect("text");
            for table in ["vaults", "devices", "epochs"] {
                let looked_through = format!("SCAN {table}");
                assert!(steps.iter().all(|step| !step.starts_with(&looked_through)), "{ask}: {steps:?}");
            }
        }
    }
}
