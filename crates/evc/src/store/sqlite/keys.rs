//! The controller's own sealed keys, epochs, releases and tokens in SQLite.

use async_trait::async_trait;
use sqlx::query;
use sqlx::sqlite::SqliteRow;
use vault::ids::{DeviceId, Epoch, Project, VaultId};

use super::SqliteTx;
use super::read::{FromRow, blob, bytes32, device, epoch, get, int, number, project, some_project, vault};
use crate::store::{EpochRow, KeyRow, Keys, ReleaseRow, Stored, TokenRow};

/// One column called `value`.
struct Value(Vec<u8>);

impl FromRow for Value {
    fn from_row(row: &SqliteRow) -> Stored<Self> {
        get(row, "value").map(Self)
    }
}

impl FromRow for TokenRow {
    fn from_row(row: &SqliteRow) -> Stored<Self> {
        Ok(Self {
            hash: bytes32(row, "hash")?,
            project: project(row)?,
            name: get(row, "name")?,
            added_at: number(row, "added_at")?,
        })
    }
}

impl FromRow for KeyRow {
    fn from_row(row: &SqliteRow) -> Stored<Self> {
        Ok(Self { name: get(row, "name")?, sealed: get(row, "sealed")?, cert_pem: get(row, "cert_pem")? })
    }
}

impl FromRow for EpochRow {
    fn from_row(row: &SqliteRow) -> Stored<Self> {
        Ok(Self {
            project: some_project(row)?,
            device: device(row)?,
            vault: vault(row, "vault")?,
            epoch: epoch(row, "epoch")?,
            period: get(row, "period")?,
            sealed: get(row, "sealed")?,
            made_at: number(row, "made_at")?,
        })
    }
}

impl FromRow for ReleaseRow {
    fn from_row(row: &SqliteRow) -> Stored<Self> {
        Ok(Self {
            project: project(row)?,
            device: device(row)?,
            vault: vault(row, "vault")?,
            epoch: epoch(row, "epoch")?,
            custody: get(row, "custody")?,
            session: bytes32(row, "session")?,
            enc: get(row, "enc")?,
            ciphertext: get(row, "ciphertext")?,
        })
    }
}

#[async_trait]
impl Keys for SqliteTx {
    async fn meta(&mut self, name: &str) -> Stored<Option<Vec<u8>>> {
        let find = query("SELECT value FROM meta WHERE name = ?").bind(name.to_owned());
        Ok(self.one::<Value>(find).await?.map(|value| value.0))
    }

    async fn put_meta(&mut self, name: &str, value: &[u8]) -> Stored<()> {
        let put = query("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)");
        self.run(put.bind(name.to_owned()).bind(value.to_vec())).await.map(drop)
    }

    async fn key(&mut self, name: &str) -> Stored<Option<KeyRow>> {
        self.one(query("SELECT * FROM keys WHERE name = ?").bind(name.to_owned())).await
    }

    async fn put_key(&mut self, row: &KeyRow) -> Stored<()> {
        let put = query("INSERT OR REPLACE INTO keys (name, sealed, cert_pem) VALUES (?, ?, ?)");
        self.run(put.bind(row.name.clone()).bind(row.sealed.clone()).bind(row.cert_pem.clone()))
            .await
            .map(drop)
    }

    async fn token(&mut self, hash: &[u8; 32]) -> Stored<Option<TokenRow>> {
        self.one(query("SELECT * FROM tokens WHERE hash = ?").bind(hash.to_vec())).await
    }

    async fn add_token(&mut self, row: &TokenRow) -> Stored<()> {
        let add = query("INSERT INTO tokens (hash, project, name, added_at) VALUES (?, ?, ?, ?)");
        let add = add.bind(row.hash.to_vec()).bind(row.project.to_string());
        self.run(add.bind(row.name.clone()).bind(int(row.added_at))).await.map(drop)
    }

    async fn drop_other_tokens(&mut self, project: &Project, than: &[u8; 32]) -> Stored<u64> {
        let others = query("DELETE FROM tokens WHERE project = ? AND hash <> ?");
        self.run(others.bind(project.to_string()).bind(than.to_vec())).await
    }

    async fn period(&mut self, period: &str) -> Stored<Option<Vec<u8>>> {
        let find = query("SELECT sealed AS value FROM periods WHERE period = ?").bind(period.to_owned());
        Ok(self.one::<Value>(find).await?.map(|value| value.0))
    }

    async fn add_period(&mut self, period: &str, sealed: &[u8]) -> Stored<()> {
        let add = query("INSERT INTO periods (period, sealed) VALUES (?, ?)");
        self.run(add.bind(period.to_owned()).bind(sealed.to_vec())).await.map(drop)
    }

    async fn epoch(&mut self, device: DeviceId, vault: VaultId, epoch: Epoch) -> Stored<Option<EpochRow>> {
        let find = query("SELECT * FROM epochs WHERE device = ? AND vault = ? AND epoch = ?");
        self.one(find.bind(blob(device.0)).bind(blob(vault.0)).bind(int(epoch.0))).await
    }

    async fn epochs_before_projects(
        &mut self,
        after: Option<(DeviceId, VaultId, Epoch)>,
        limit: u32,
    ) -> Stored<Vec<EpochRow>> {
        let (device, id, epoch) =
            after.map_or((vec![], vec![], 0), |(device, id, epoch)| (blob(device.0), blob(id.0), epoch.0));
        let list = "SELECT * FROM epochs WHERE project IS NULL AND (device, vault, epoch) > (?, ?, ?)
                    ORDER BY device, vault, epoch LIMIT ?";
        self.all(query(list).bind(device).bind(id).bind(int(epoch)).bind(limit)).await
    }

    async fn bind_epoch(&mut self, row: &EpochRow) -> Stored<()> {
        let bind = "UPDATE epochs SET project = ?, sealed = ? WHERE device = ? AND vault = ? AND epoch = ? AND project IS NULL";
        let bind = query(bind).bind(row.project.as_ref().map(ToString::to_string)).bind(row.sealed.clone());
        self.change(bind.bind(blob(row.device.0)).bind(blob(row.vault.0)).bind(int(row.epoch.0))).await
    }

    async fn add_epoch(&mut self, row: &EpochRow) -> Stored<()> {
        let add = query(
            "INSERT INTO epochs (project, device, vault, epoch, period, sealed, made_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
        );
        let add = add
            .bind(row.project.as_ref().map(ToString::to_string))
            .bind(blob(row.device.0))
            .bind(blob(row.vault.0))
            .bind(int(row.epoch.0))
            .bind(row.period.clone());
        self.run(add.bind(row.sealed.clone()).bind(int(row.made_at))).await.map(drop)
    }

    async fn drop_epochs(&mut self, device: DeviceId, vault: VaultId) -> Stored<()> {
        self.run(
            query("DELETE FROM releases WHERE device = ? AND vault = ?")
                .bind(blob(device.0))
                .bind(blob(vault.0)),
        )
        .await?;
        self.run(
            query("DELETE FROM epochs WHERE device = ? AND vault = ?")
                .bind(blob(device.0))
                .bind(blob(vault.0)),
        )
        .await
        .map(drop)
    }

    async fn drop_releases_before(&mut self, device: DeviceId, vault: VaultId, epoch: Epoch) -> Stored<()> {
        let forget = query("DELETE FROM releases WHERE device = ? AND vault = ? AND epoch < ?");
        self.run(forget.bind(blob(device.0)).bind(blob(vault.0)).bind(int(epoch.0))).await.map(drop)
    }

    async fn release(&mut self, like: &ReleaseRow) -> Stored<Option<ReleaseRow>> {
        let find = "SELECT * FROM releases WHERE project = ? AND device = ? AND vault = ? AND epoch = ? AND custody = ? AND session = ?";
        let find = query(find).bind(like.project.to_string()).bind(blob(like.device.0));
        let find = find.bind(blob(like.vault.0)).bind(int(like.epoch.0));
        self.one(find.bind(like.custody.clone()).bind(like.session.to_vec())).await
    }

    async fn was_released(&mut self, device: DeviceId, vault: VaultId) -> Stored<bool> {
        let count = query("SELECT count(*) AS count FROM releases WHERE device = ? AND vault = ?");
        Ok(self.count(count.bind(blob(device.0)).bind(blob(vault.0))).await? > 0)
    }

    async fn put_release(&mut self, row: &ReleaseRow) -> Stored<()> {
        let put = "INSERT OR REPLACE INTO releases (project, device, vault, epoch, custody, session, enc, ciphertext)
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
        let put = query(put)
            .bind(row.project.to_string())
            .bind(blob(row.device.0))
            .bind(blob(row.vault.0))
            .bind(int(row.epoch.0))
            .bind(row.custody.clone());
        self.run(put.bind(row.session.to_vec()).bind(row.enc.clone()).bind(row.ciphertext.clone()))
            .await
            .map(drop)
    }
}
