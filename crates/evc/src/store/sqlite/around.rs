//! All that an answer to a device depends on in one round to the database: most of what a query costs is the way there and back.

use sqlx::query;
use sqlx::sqlite::SqliteRow;
use vault::ids::DeviceId;

use super::read::{FromRow, blob, get};
use super::{SqliteTx, failed};
use crate::store::{Around, StoreError, Stored};

/// Each row says what it is of. One transaction: a view of one moment.
const AROUND: &str = "
    SELECT 'vault' AS of, * FROM vaults WHERE device = ?1 ORDER BY id;
    SELECT 'policy' AS of, * FROM policies WHERE (project, name) IN (SELECT project, policy FROM vaults WHERE device = ?1);
    SELECT 'standing' AS of, * FROM standings WHERE device = ?1;
    SELECT 'cert' AS of, * FROM device_certs WHERE device = ?1 ORDER BY kind;
    SELECT 'ref' AS of, * FROM refs WHERE device = ?1 ORDER BY id;";

impl SqliteTx {
    pub(super) async fn all_around(&mut self, device: DeviceId) -> Stored<Around> {
        let rows = query(AROUND).bind(blob(device.0)).fetch_all(&mut *self.tx).await.map_err(failed)?;
        let mut around = Around::default();
        for row in &rows {
            sort_in(&mut around, row)?;
        }
        Ok(around)
    }
}

fn sort_in(around: &mut Around, row: &SqliteRow) -> Stored<()> {
    match get::<&str>(row, "of")? {
        "vault" => around.vaults.push(FromRow::from_row(row)?),
        "policy" => around.policies.push(FromRow::from_row(row)?),
        "standing" => around.standing = Some(FromRow::from_row(row)?),
        "cert" => around.certs.push(FromRow::from_row(row)?),
        "ref" => around.references.push(FromRow::from_row(row)?),
        other => return Err(StoreError::Damaged(format!("a row of {other}"))),
    }
    Ok(())
}
