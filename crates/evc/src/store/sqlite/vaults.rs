//! Policies and vaults in SQLite.

use async_trait::async_trait;
use sqlx::query;
use sqlx::sqlite::SqliteRow;
use vault::ids::{DeviceId, Epoch, Name, VaultId};

use super::SqliteTx;
use super::read::{
    FromRow, Word as _, blob, device, epoch, get, int, name, number, some_name, some_number, vault, word,
};
use crate::store::{Keys as _, Page, PolicyRow, StoreError, Stored, Tpm, UnixSeconds, VaultRow, Vaults};

impl FromRow for PolicyRow {
    fn from_row(row: &SqliteRow) -> Stored<Self> {
        Ok(Self {
            name: name(row, "name")?,
            canonical: get(row, "canonical")?,
            changed_at: number(row, "changed_at")?,
        })
    }
}

impl FromRow for VaultRow {
    fn from_row(row: &SqliteRow) -> Stored<Self> {
        Ok(Self {
            device: device(row)?,
            id: vault(row, "id")?,
            name: name(row, "name")?,
            policy: some_name(row, "policy")?,
            standing: word(row, "standing")?,
            delete_at: some_number(row, "delete_at")?,
            left_version: some_number(row, "left_version")?,
            created: get(row, "created")?,
            recreate: get(row, "recreate")?,
            current_epoch: epoch(row, "current_epoch")?,
            last_epoch: epoch(row, "last_epoch")?,
            reported_epoch: some_number(row, "reported_epoch")?.map(Epoch),
            report: get(row, "report")?,
            reported_at: some_number(row, "reported_at")?,
            added_at: number(row, "added_at")?,
        })
    }
}

#[async_trait]
impl Vaults for SqliteTx {
    async fn policy(&mut self, name: &str) -> Stored<Option<PolicyRow>> {
        self.one(query("SELECT * FROM policies WHERE name = ?").bind(name.to_owned())).await
    }

    async fn policies(&mut self, page: &Page) -> Stored<Vec<PolicyRow>> {
        let list = query("SELECT * FROM policies WHERE name > ? ORDER BY name LIMIT ?");
        self.all(list.bind(page.after.clone()).bind(page.limit)).await
    }

    async fn put_policy(&mut self, row: &PolicyRow) -> Stored<()> {
        let put = "INSERT INTO policies (name, canonical, changed_at) VALUES (?, ?, ?)
                   ON CONFLICT (name) DO UPDATE SET canonical = excluded.canonical, changed_at = excluded.changed_at";
        self.run(query(put).bind(row.name.to_string()).bind(row.canonical.clone()).bind(int(row.changed_at)))
            .await
            .map(drop)
    }

    async fn drop_policy(&mut self, name: &str) -> Stored<()> {
        self.run(query("DELETE FROM policies WHERE name = ?").bind(name.to_owned())).await.map(drop)
    }

    async fn vault_with_policy(&mut self, policy: &str) -> Stored<Option<VaultRow>> {
        self.one(query("SELECT * FROM vaults WHERE policy = ? LIMIT 1").bind(policy.to_owned())).await
    }

    async fn vault_with_policy_and_tpm(&mut self, policy: &str, tpm: Tpm) -> Stored<Option<VaultRow>> {
        let find = "SELECT vaults.* FROM vaults JOIN devices ON devices.id = vaults.device
                    WHERE vaults.policy = ? AND vaults.standing = 'active' AND devices.tpm = ? LIMIT 1";
        self.one(query(find).bind(policy.to_owned()).bind(tpm.word())).await
    }

    async fn vaults(&mut self, device: DeviceId) -> Stored<Vec<VaultRow>> {
        self.all(query("SELECT * FROM vaults WHERE device = ? ORDER BY id").bind(blob(device.0))).await
    }

    async fn vault(&mut self, device: DeviceId, id: VaultId) -> Stored<Option<VaultRow>> {
        self.one(
            query("SELECT * FROM vaults WHERE device = ? AND id = ?").bind(blob(device.0)).bind(blob(id.0)),
        )
        .await
    }

    async fn vault_by_name(&mut self, device: DeviceId, name: &Name) -> Stored<Option<VaultRow>> {
        let find = query("SELECT * FROM vaults WHERE device = ? AND name = ? AND standing <> 'gone'");
        self.one(find.bind(blob(device.0)).bind(name.to_string())).await
    }

    async fn all_vaults(&mut self, after: Option<(DeviceId, VaultId)>, limit: u32) -> Stored<Vec<VaultRow>> {
        let (device, id) =
            after.map_or((vec![], vec![]), |(d, v)| (d.0.as_bytes().to_vec(), v.0.as_bytes().to_vec()));
        let list = query("SELECT * FROM vaults WHERE (device, id) > (?, ?) ORDER BY device, id LIMIT ?");
        self.all(list.bind(device).bind(id).bind(limit)).await
    }

    async fn put_vault(&mut self, row: &VaultRow) -> Stored<()> {
        // Not `INSERT OR REPLACE`: that would silently drop another vault of the same name.
        let put = "INSERT INTO vaults (device, id, name, policy, standing, delete_at, left_version, created, recreate,
                     current_epoch, last_epoch, reported_epoch, report, reported_at, added_at)
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                   ON CONFLICT (device, id) DO UPDATE SET name = excluded.name, policy = excluded.policy,
                     standing = excluded.standing, delete_at = excluded.delete_at, left_version = excluded.left_version,
                     created = excluded.created, recreate = excluded.recreate, current_epoch = excluded.current_epoch,
                     last_epoch = excluded.last_epoch, reported_epoch = excluded.reported_epoch, report = excluded.report,
                     reported_at = excluded.reported_at";
        let put = query(put).bind(blob(row.device.0)).bind(blob(row.id.0)).bind(row.name.to_string());
        let put = put.bind(row.policy.as_ref().map(ToString::to_string)).bind(row.standing.word());
        let put = put
            .bind(row.delete_at.map(int))
            .bind(row.left_version.map(int))
            .bind(row.created)
            .bind(row.recreate);
        let put = put
            .bind(int(row.current_epoch.0))
            .bind(int(row.last_epoch.0))
            .bind(row.reported_epoch.map(|e| int(e.0)));
        let put = put.bind(row.report.clone()).bind(row.reported_at.map(int)).bind(int(row.added_at));
        self.run(put).await.map(drop)
    }

    async fn drop_vault(&mut self, device: DeviceId, id: VaultId) -> Stored<()> {
        self.drop_epochs(device, id).await?;
        let dropped = self
            .run(
                query("DELETE FROM vaults WHERE device = ? AND id = ?").bind(blob(device.0)).bind(blob(id.0)),
            )
            .await?;
        if dropped == 1 {
            Ok(())
        } else {
            Err(StoreError::Damaged("a vault that was read is not there".into()))
        }
    }

    async fn vaults_to_end(&mut self, now: UnixSeconds, limit: u32) -> Stored<Vec<VaultRow>> {
        let list = query(
            "SELECT * FROM vaults WHERE standing = 'removing' AND delete_at <= ? ORDER BY delete_at LIMIT ?",
        );
        self.all(list.bind(int(now)).bind(limit)).await
    }
}
