//! Escrow bundles in SQLite.

use async_trait::async_trait;
use vault::escrow::BundleId;
use vault::escrow::drill::Drills;
use vault::escrow::history::Contents;
use vault::ids::{DeviceId, Generation};

use super::read::{
    Columns, FromRow, blob, bytes32, device, from_json, generation, int, json, number, plain, project,
};
use super::transaction::SqliteTx;
use crate::store::{
    BundleRow, Bundles, HeldBundle, ListedBundle, OrDamaged, RowKind, StoreError, Stored, UnixSeconds,
    readable,
};

impl FromRow for HeldBundle {
    const COLUMNS: &'static str = "generation, digest, received_at";
    fn from_row(row: &mut Columns<'_>) -> Stored<Self> {
        let id = BundleId { generation: row.read(generation)?, digest: row.read(bytes32)? };
        Ok(Self { id, received_at: row.read(number)? })
    }
}

impl FromRow for ListedBundle {
    const KIND: RowKind = RowKind::Bundle;
    const COLUMNS: &'static str = "generation, digest, received_at, has, offered";
    fn from_row(row: &mut Columns<'_>) -> Stored<Self> {
        let held = HeldBundle::from_row(row)?;
        Ok(Self { held, has: row.read_some(from_json)?, offered: row.read(plain)? })
    }
}

impl FromRow for BundleRow {
    const COLUMNS: &'static str = "project, device, generation, digest, received_at, has, sealed";
    fn from_row(row: &mut Columns<'_>) -> Stored<Self> {
        Ok(Self {
            project: row.read(project)?,
            device: row.read(device)?,
            held: HeldBundle::from_row(row)?,
            has: row.read_some(from_json)?,
            sealed: row.read(plain)?,
        })
    }
}

#[async_trait]
impl Bundles for SqliteTx {
    async fn put_bundle(&mut self, row: &BundleRow) -> Stored<()> {
        let HeldBundle { id, received_at } = row.held;
        let device = || blob(row.device.0);
        let generation = int(id.generation.0.into());
        self.erase("DELETE FROM bundles WHERE device = ? AND digest = ?", (device(), id.digest)).await?;
        let add = "INSERT INTO bundles (project, device, generation, digest, received_at, has, sealed) VALUES (?, ?, ?, ?, ?, ?, ?)";
        let (project, has) = (row.project.as_str(), row.has.as_ref().map(json));
        let values = (project, device(), generation, id.digest, int(received_at), has, &row.sealed);
        self.run(add, values).await?;
        let held = "UPDATE devices SET held_generation = ?, held_digest = ?, held_at = ? WHERE id = ?";
        self.run(held, (generation, id.digest, int(received_at), device())).await.map(drop)
    }

    async fn bundles(&mut self, device: DeviceId) -> Stored<Vec<ListedBundle>> {
        Ok(readable(self.bundles_listed(device).await?))
    }

    async fn bundles_listed(&mut self, device: DeviceId) -> Stored<Vec<OrDamaged<ListedBundle>>> {
        self.all("FROM bundles WHERE device = ? ORDER BY number DESC", (blob(device.0),)).await
    }

    async fn note_contents(&mut self, device: DeviceId, digest: &[u8; 32], has: &Contents) -> Stored<()> {
        let note = "UPDATE bundles SET has = ? WHERE device = ? AND digest = ?";
        self.change(note, (json(has), blob(device.0), digest)).await
    }

    async fn offer_bundle(&mut self, device: DeviceId, digest: Option<&[u8; 32]>) -> Stored<()> {
        let offer = "UPDATE bundles SET offered = (digest IS ?2) WHERE device = ?1";
        self.run(offer, (blob(device.0), digest)).await.map(drop)
    }

    async fn drop_bundle(&mut self, device: DeviceId, digest: &[u8; 32]) -> Stored<()> {
        let drop = "DELETE FROM bundles WHERE device = ?1 AND digest = ?2
                      AND digest IS NOT (SELECT held_digest FROM devices WHERE id = ?1)";
        match self.erase(drop, (blob(device.0), digest)).await? {
            1 => Ok(()),
            _ => Err(StoreError::Damaged("a bundle that was read is not there".into())),
        }
    }

    async fn put_drills(&mut self, device: DeviceId, drills: &Drills) -> Stored<()> {
        self.change("UPDATE devices SET drills = ? WHERE id = ?", (json(drills), blob(device.0))).await
    }

    async fn set_no_room(&mut self, device: DeviceId, since: Option<UnixSeconds>) -> Stored<()> {
        let note = "UPDATE devices SET no_room_at = ? WHERE id = ?";
        self.change(note, (since.map(int), blob(device.0))).await
    }

    async fn bundle(&mut self, device: DeviceId, digest: &[u8; 32]) -> Stored<Option<BundleRow>> {
        self.one("FROM bundles WHERE device = ? AND digest = ?", (blob(device.0), digest)).await
    }

    async fn bundle_of(&mut self, device: DeviceId, generation: Generation) -> Stored<Option<BundleRow>> {
        let find =
            "FROM bundles WHERE device = ? AND generation = ? ORDER BY offered DESC, number DESC LIMIT 1";
        self.one(find, (blob(device.0), int(generation.0.into()))).await
    }
}
