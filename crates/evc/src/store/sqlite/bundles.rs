//! Escrow bundles in SQLite.

use async_trait::async_trait;
use vault::escrow::BundleId;
use vault::escrow::drill::Drills;
use vault::ids::{DeviceId, Generation};

use super::read::{Columns, FromRow, blob, bytes32, device, generation, int, json, number, plain, project};
use super::transaction::SqliteTx;
use crate::store::{BundleRow, Bundles, HeldBundle, Keep, Stored};

impl FromRow for HeldBundle {
    const COLUMNS: &'static str = "generation, digest, received_at";
    fn from_row(row: &mut Columns<'_>) -> Stored<Self> {
        let id = BundleId { generation: row.read(generation)?, digest: row.read(bytes32)? };
        Ok(Self { id, received_at: row.read(number)? })
    }
}

impl FromRow for BundleRow {
    const COLUMNS: &'static str = "project, device, generation, digest, received_at, sealed";
    fn from_row(row: &mut Columns<'_>) -> Stored<Self> {
        Ok(Self {
            project: row.read(project)?,
            device: row.read(device)?,
            held: HeldBundle::from_row(row)?,
            sealed: row.read(plain)?,
        })
    }
}

#[async_trait]
impl Bundles for SqliteTx {
    async fn put_bundle(&mut self, row: &BundleRow, keep: Keep) -> Stored<()> {
        let HeldBundle { id, received_at } = row.held;
        let device = || blob(row.device.0);
        let generation = int(id.generation.0.into());
        self.run("DELETE FROM bundles WHERE device = ? AND digest = ?", (device(), id.digest)).await?;
        let add = "INSERT INTO bundles (project, device, generation, digest, received_at, sealed) VALUES (?, ?, ?, ?, ?, ?)";
        let values = (row.project.as_str(), device(), generation, id.digest, int(received_at), &row.sealed);
        self.run(add, values).await?;
        let newest = "(SELECT number FROM bundles WHERE device = ?1 ORDER BY number DESC LIMIT";
        let over = format!(
            "DELETE FROM bundles WHERE device = ?1 AND number NOT IN {newest} ?2)
               AND number NOT IN (SELECT max(number) FROM bundles WHERE device = ?1 GROUP BY generation = ?5)
               AND (received_at < ?3 OR number NOT IN {newest} ?4))"
        );
        self.run(&over, (device(), keep.newest, int(keep.since), keep.most, generation)).await?;
        let held = "UPDATE devices SET held_generation = ?, held_digest = ?, held_at = ? WHERE id = ?";
        self.run(held, (generation, id.digest, int(received_at), device())).await.map(drop)
    }

    async fn bundles(&mut self, device: DeviceId) -> Stored<Vec<HeldBundle>> {
        self.all("FROM bundles WHERE device = ? ORDER BY number DESC", (blob(device.0),)).await
    }

    async fn drop_bundles(&mut self, device: DeviceId, generation: Generation) -> Stored<u64> {
        let drop = "DELETE FROM bundles WHERE device = ?1 AND generation = ?2
                      AND digest IS NOT (SELECT held_digest FROM devices WHERE id = ?1)";
        let gone = self.run(drop, (blob(device.0), int(generation.0.into()))).await?;
        Ok(gone as u64)
    }

    async fn put_drills(&mut self, device: DeviceId, drills: &Drills) -> Stored<()> {
        self.change("UPDATE devices SET drills = ? WHERE id = ?", (json(drills), blob(device.0))).await
    }

    async fn bundle_of(&mut self, device: DeviceId, generation: Generation) -> Stored<Option<BundleRow>> {
        let find = "FROM bundles WHERE device = ? AND generation = ? ORDER BY number DESC LIMIT 1";
        self.one(find, (blob(device.0), int(generation.0.into()))).await
    }
}
