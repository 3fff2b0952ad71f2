//! Deleted devices in SQLite.

use async_trait::async_trait;
use vault::escrow::drill::Drills;
use vault::ids::{DeviceId, Project, VaultId};

use super::read::{Columns, FromRow, blob, bytes32, int, name, number, plain, project, uuid};
use super::transaction::SqliteTx;
use crate::store::{
    BundleRow, Deleted, DeletedRow, EpochRow, KeptBundle, NodeWord, OfDeleted, Stored, UnixSeconds, VaultRow,
};

impl FromRow for DeletedRow {
    const COLUMNS: &'static str = "id, project, key, name, serial, deleted_at, until";
    fn from_row(row: &mut Columns<'_>) -> Stored<Self> {
        Ok(Self {
            id: DeviceId(row.read(uuid)?),
            project: row.read(project)?,
            key: row.read(bytes32)?,
            name: row.read(name)?,
            serial: row.read(plain)?,
            deleted_at: row.read(number)?,
            until: row.read(number)?,
        })
    }
}

impl FromRow for KeptBundle {
    const COLUMNS: &'static str = "project, device, generation, digest, received_at, has, sealed, offered";
    fn from_row(row: &mut Columns<'_>) -> Stored<Self> {
        Ok(Self { row: BundleRow::from_row(row)?, offered: row.read(plain)? })
    }
}

/// How the drills of one stood.
struct KeptDrills(NodeWord<Drills>);

impl FromRow for KeptDrills {
    const COLUMNS: &'static str = "drills";
    fn from_row(row: &mut Columns<'_>) -> Stored<Self> {
        row.told().map(Self)
    }
}

/// From the table of what is there into that of what is kept.
fn keep<T: FromRow>(table: &str, rest: &str) -> String {
    let columns = T::COLUMNS;
    format!("INSERT INTO deleted_{table} ({columns}) SELECT {columns} FROM {table} WHERE device = ? {rest}")
}

#[async_trait]
impl Deleted for SqliteTx {
    async fn keep_deleted(&mut self, row: &DeletedRow) -> Stored<()> {
        let add = "INSERT INTO deleted_devices (id, project, key, name, serial, deleted_at, until, drills)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, (SELECT drills FROM devices WHERE id = ?1))";
        let (deleted_at, until) = (int(row.deleted_at), int(row.until));
        let (project, name) = (row.project.as_str(), row.name.as_str());
        self.run(add, (blob(row.id.0), project, row.key, name, &row.serial, deleted_at, until)).await?;
        for kept in [
            keep::<VaultRow>("vaults", "AND standing <> 'gone'"),
            keep::<EpochRow>("epochs", ""),
            keep::<KeptBundle>("bundles", "ORDER BY number"),
        ] {
            self.run(&kept, (blob(row.id.0),)).await?;
        }
        Ok(())
    }

    async fn deleted(&mut self, project: &Project) -> Stored<Vec<DeletedRow>> {
        let list = "FROM deleted_devices WHERE project = ? ORDER BY deleted_at, id";
        self.all(list, (project.as_str(),)).await
    }

    async fn deleted_by_key(&mut self, key: &[u8; 32]) -> Stored<Vec<DeletedRow>> {
        self.all("FROM deleted_devices WHERE key = ? ORDER BY deleted_at, id", (key,)).await
    }

    async fn deleted_over(&mut self, now: UnixSeconds) -> Stored<Vec<DeletedRow>> {
        self.all("FROM deleted_devices WHERE until <= ? ORDER BY until, id", (int(now),)).await
    }

    async fn of_deleted(&mut self, id: DeviceId) -> Stored<OfDeleted> {
        let of = || (blob(id.0),);
        let drills = self.one("FROM deleted_devices WHERE id = ?", of()).await?;
        Ok(OfDeleted {
            vaults: self.all("FROM deleted_vaults WHERE device = ? ORDER BY id", of()).await?,
            epochs: self.all("FROM deleted_epochs WHERE device = ? ORDER BY vault, epoch", of()).await?,
            bundles: self.all("FROM deleted_bundles WHERE device = ? ORDER BY number", of()).await?,
            drills: drills.map_or_else(NodeWord::nothing, |KeptDrills(drills)| drills),
        })
    }

    async fn forget_deleted_vault(&mut self, id: DeviceId, vault: VaultId) -> Stored<()> {
        let of = || (blob(id.0), blob(vault.0));
        self.run("DELETE FROM deleted_epochs WHERE device = ? AND vault = ?", of()).await?;
        self.change("DELETE FROM deleted_vaults WHERE device = ? AND id = ?", of()).await
    }

    async fn forget_deleted_bundle(&mut self, id: DeviceId, digest: &[u8; 32]) -> Stored<()> {
        let forget = "DELETE FROM deleted_bundles WHERE device = ? AND digest = ?";
        self.change(forget, (blob(id.0), digest)).await
    }

    async fn forget_deleted(&mut self, id: DeviceId) -> Stored<()> {
        for table in ["deleted_bundles", "deleted_epochs", "deleted_vaults"] {
            self.run(&format!("DELETE FROM {table} WHERE device = ?"), (blob(id.0),)).await?;
        }
        self.change("DELETE FROM deleted_devices WHERE id = ?", (blob(id.0),)).await
    }
}
