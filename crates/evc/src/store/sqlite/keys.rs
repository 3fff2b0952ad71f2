//! The controller's own sealed keys, epochs, releases and tokens in SQLite.

use async_trait::async_trait;
use aws_lc_rs::digest::{Context, SHA256};
use vault::ids::{DeviceId, Epoch, Project, VaultId};

use super::read::{Columns, FromRow, blob, bytes32, device, epoch, int, number, plain, project, vault};
use super::transaction::SqliteTx;
use crate::store::{EpochRow, KeyRow, KeyRows, OrDamaged, ReleaseRow, Stored, TokenRow, readable};

/// A value of the controller's own.
struct Value(Vec<u8>);

impl FromRow for Value {
    const COLUMNS: &'static str = "value";
    fn from_row(row: &mut Columns<'_>) -> Stored<Self> {
        row.read(plain).map(Self)
    }
}

/// A key of a period, sealed.
struct Sealed(Vec<u8>);

impl FromRow for Sealed {
    const COLUMNS: &'static str = "sealed";
    fn from_row(row: &mut Columns<'_>) -> Stored<Self> {
        row.read(plain).map(Self)
    }
}

impl FromRow for TokenRow {
    const COLUMNS: &'static str = "hash, project, name, added_at";
    fn from_row(row: &mut Columns<'_>) -> Stored<Self> {
        Ok(Self {
            hash: row.read(bytes32)?,
            project: row.read(project)?,
            name: row.read(plain)?,
            added_at: row.read(number)?,
        })
    }
}

impl FromRow for KeyRow {
    const COLUMNS: &'static str = "name, sealed, cert_pem";
    fn from_row(row: &mut Columns<'_>) -> Stored<Self> {
        Ok(Self { name: row.read(plain)?, sealed: row.read(plain)?, cert_pem: row.read(plain)? })
    }
}

impl FromRow for EpochRow {
    const COLUMNS: &'static str = "project, device, vault, epoch, period, sealed, made_at";
    fn from_row(row: &mut Columns<'_>) -> Stored<Self> {
        Ok(Self {
            project: row.read_some(project)?,
            device: row.read(device)?,
            vault: row.read(vault)?,
            epoch: row.read(epoch)?,
            period: row.read(plain)?,
            sealed: row.read(plain)?,
            made_at: row.read(number)?,
        })
    }
}

impl FromRow for ReleaseRow {
    const COLUMNS: &'static str = "project, device, vault, epoch, custody, session, enc, number, ciphertext";
    fn from_row(row: &mut Columns<'_>) -> Stored<Self> {
        Ok(Self {
            project: row.read(project)?,
            device: row.read(device)?,
            vault: row.read(vault)?,
            epoch: row.read(epoch)?,
            custody: row.read(plain)?,
            session: row.read(bytes32)?,
            enc: row.read(plain)?,
            number: row.read(plain)?,
            ciphertext: row.read(plain)?,
        })
    }
}

/// One that is as it went out, where a digest tells: it may be said again. No node opens another, and none says so to who keeps it.
struct Whole(ReleaseRow);

impl FromRow for Whole {
    const COLUMNS: &'static str =
        "project, device, vault, epoch, custody, session, enc, number, ciphertext, digest";
    fn from_row(row: &mut Columns<'_>) -> Stored<Self> {
        let release = ReleaseRow::from_row(row)?;
        row.read_some(|digest| (bytes32(digest)? == digest_of(&release)).then_some(()))?;
        Ok(Self(release))
    }
}

/// Of all that a node opens it by.
fn digest_of(row: &ReleaseRow) -> [u8; 32] {
    let mut all = Context::new(&SHA256);
    let of_what = [&blob(row.device.0)[..], &blob(row.vault.0), &row.epoch.0.to_be_bytes(), &row.session];
    of_what.into_iter().for_each(|part| all.update(part));
    for part in [row.custody.as_bytes(), &row.enc, &row.number.to_be_bytes(), &row.ciphertext] {
        all.update(&(part.len() as u64).to_be_bytes());
        all.update(part);
    }
    all.finish().as_ref().try_into().expect("of 32 bytes")
}

#[async_trait]
impl KeyRows for SqliteTx {
    async fn meta(&mut self, name: &str) -> Stored<Option<Vec<u8>>> {
        Ok(self.one("FROM meta WHERE name = ?", (name,)).await?.map(|Value(value)| value))
    }

    async fn put_meta(&mut self, name: &str, value: &[u8]) -> Stored<()> {
        self.run("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)", (name, value)).await.map(drop)
    }

    async fn key(&mut self, name: &str) -> Stored<Option<KeyRow>> {
        self.one("FROM keys WHERE name = ?", (name,)).await
    }

    async fn put_key(&mut self, row: &KeyRow) -> Stored<()> {
        let put = "INSERT OR REPLACE INTO keys (name, sealed, cert_pem) VALUES (?, ?, ?)";
        self.run(put, (&row.name, &row.sealed, &row.cert_pem)).await.map(drop)
    }

    async fn token(&mut self, hash: &[u8; 32]) -> Stored<Option<TokenRow>> {
        self.one("FROM tokens WHERE hash = ?", (hash,)).await
    }

    async fn add_token(&mut self, row: &TokenRow) -> Stored<()> {
        let add = "INSERT INTO tokens (hash, project, name, added_at) VALUES (?, ?, ?, ?)";
        self.run(add, (row.hash, row.project.as_str(), &row.name, int(row.added_at))).await.map(drop)
    }

    async fn drop_other_tokens(&mut self, project: &Project, than: &[u8; 32]) -> Stored<u64> {
        let others = "DELETE FROM tokens WHERE project = ? AND hash <> ?";
        self.run(others, (project.as_str(), than)).await.map(|dropped| dropped as u64)
    }

    async fn period(&mut self, period: &str) -> Stored<Option<Vec<u8>>> {
        Ok(self.one("FROM periods WHERE period = ?", (period,)).await?.map(|Sealed(key)| key))
    }

    async fn add_period(&mut self, period: &str, sealed: &[u8]) -> Stored<()> {
        self.run("INSERT INTO periods (period, sealed) VALUES (?, ?)", (period, sealed)).await.map(drop)
    }

    async fn epoch(&mut self, device: DeviceId, vault: VaultId, epoch: Epoch) -> Stored<Option<EpochRow>> {
        let find = "FROM epochs WHERE device = ? AND vault = ? AND epoch = ?";
        self.one(find, (blob(device.0), blob(vault.0), int(epoch.0))).await
    }

    async fn epochs_in_use(&mut self, device: DeviceId) -> Stored<Vec<OrDamaged<EpochRow>>> {
        let list = "FROM epochs WHERE device = ? AND EXISTS
             (SELECT 1 FROM vaults WHERE vaults.device = epochs.device AND vaults.id = epochs.vault
                AND epochs.epoch IN (vaults.current_epoch, vaults.last_epoch))";
        self.all(list, (blob(device.0),)).await
    }

    async fn epochs_before_projects(
        &mut self,
        after: Option<(DeviceId, VaultId, Epoch)>,
        limit: u32,
    ) -> Stored<Vec<EpochRow>> {
        let (device, id, epoch) = after.map_or((vec![], vec![], 0), |(device, id, epoch)| {
            (blob(device.0).to_vec(), blob(id.0).to_vec(), epoch.0)
        });
        let list = "FROM epochs WHERE project IS NULL AND (device, vault, epoch) > (?, ?, ?)
                    ORDER BY device, vault, epoch LIMIT ?";
        self.all(list, (device, id, int(epoch), limit)).await
    }

    async fn bind_epoch(&mut self, row: &EpochRow) -> Stored<()> {
        let bind = "UPDATE epochs SET project = ?, sealed = ? WHERE device = ? AND vault = ? AND epoch = ? AND project IS NULL";
        let (project, epoch) = (row.project.as_ref().map(Project::as_str), int(row.epoch.0));
        self.change(bind, (project, &row.sealed, blob(row.device.0), blob(row.vault.0), epoch)).await
    }

    async fn add_epoch(&mut self, row: &EpochRow) -> Stored<()> {
        let add = "INSERT INTO epochs (project, device, vault, epoch, period, sealed, made_at) VALUES (?, ?, ?, ?, ?, ?, ?)";
        let values = (
            row.project.as_ref().map(Project::as_str),
            blob(row.device.0),
            blob(row.vault.0),
            int(row.epoch.0),
            &row.period,
            &row.sealed,
            int(row.made_at),
        );
        self.run(add, values).await.map(drop)
    }

    async fn drop_epochs(&mut self, device: DeviceId, vault: VaultId) -> Stored<()> {
        let of = (blob(device.0), blob(vault.0));
        self.run("DELETE FROM releases WHERE device = ? AND vault = ?", of).await?;
        self.erase("DELETE FROM epochs WHERE device = ? AND vault = ?", of).await.map(drop)
    }

    async fn drop_old_releases(&mut self, device: DeviceId, vault: VaultId, epoch: Epoch) -> Stored<()> {
        let forget = "DELETE FROM releases WHERE device = ?1 AND vault = ?2 AND epoch < ?3
                        AND epoch < (SELECT max(epoch) FROM releases WHERE device = ?1 AND vault = ?2)";
        self.run(forget, (blob(device.0), blob(vault.0), int(epoch.0))).await.map(drop)
    }

    async fn drop_releases_before(&mut self, device: DeviceId, vault: VaultId, epoch: Epoch) -> Stored<()> {
        let forget = "DELETE FROM releases WHERE device = ? AND vault = ? AND epoch < ?";
        self.run(forget, (blob(device.0), blob(vault.0), int(epoch.0))).await.map(drop)
    }

    async fn releases(
        &mut self,
        project: &Project,
        device: DeviceId,
        session: &[u8; 32],
    ) -> Stored<Vec<ReleaseRow>> {
        let find = "FROM releases WHERE device = ? AND session = ? AND project = ?";
        let kept = self.all(find, (blob(device.0), session, project.as_str())).await?;
        let damaged =
            kept.iter().filter(|row: &&OrDamaged<Whole>| matches!(row, OrDamaged::Damaged(_))).count();
        if damaged > 0 {
            tracing::warn!(%device, keys = damaged, "keys as they went out are damaged in the database: they are sealed anew");
        }
        Ok(readable(kept).into_iter().map(|Whole(row)| row).collect())
    }

    async fn releases_of(&mut self, device: DeviceId, vault: VaultId) -> Stored<Vec<ReleaseRow>> {
        let find = "FROM releases WHERE device = ? AND vault = ? ORDER BY epoch, custody";
        self.all(find, (blob(device.0), blob(vault.0))).await
    }

    async fn put_release(&mut self, row: &ReleaseRow) -> Stored<()> {
        let put = "INSERT OR REPLACE INTO releases (project, device, vault, epoch, custody, session, enc, number, ciphertext, digest)
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
        let values = (
            row.project.as_str(),
            blob(row.device.0),
            blob(row.vault.0),
            int(row.epoch.0),
            &row.custody,
            row.session,
            &row.enc,
            row.number,
            &row.ciphertext,
            digest_of(row),
        );
        self.run(put, values).await.map(drop)
    }
}
