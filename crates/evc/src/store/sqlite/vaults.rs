//! Policies and vaults in SQLite.

use async_trait::async_trait;
use sqlx::query;
use sqlx::sqlite::SqliteRow;
use vault::ids::{DeviceId, Epoch, Name, Project, VaultId};
use vault::policy::VaultPolicy;

use super::SqliteTx;
use super::read::{
    FromRow, Word as _, blob, damaged, device, epoch, get, int, json, name, number, project, said, some_name,
    some_number, vault, word,
};
use crate::store::{
    Grace, Keys as _, Page, PolicyRow, Stored, Tpm, UnixSeconds, VaultRow, VaultSaid, Vaults,
};

impl FromRow for PolicyRow {
    fn from_row(row: &SqliteRow) -> Stored<Self> {
        let policy = VaultPolicy::from_canonical(get(row, "canonical")?).map_err(|_| damaged("canonical"))?;
        if policy.name != name(row, "name")? {
            return Err(damaged("canonical"));
        }
        Ok(Self { project: project(row)?, policy, changed_at: number(row, "changed_at")? })
    }
}

impl FromRow for VaultRow {
    fn from_row(row: &SqliteRow) -> Stored<Self> {
        Ok(Self {
            project: project(row)?,
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
            report: said(row, "report")?,
            reported_at: some_number(row, "reported_at")?,
            added_at: number(row, "added_at")?,
        })
    }
}

impl FromRow for Grace {
    fn from_row(row: &SqliteRow) -> Stored<Self> {
        Ok(Self { until: number(row, "delete_at")?, device: device(row)?, vault: vault(row, "id")? })
    }
}

#[async_trait]
impl Vaults for SqliteTx {
    async fn policy(&mut self, project: &Project, name: &str) -> Stored<Option<PolicyRow>> {
        let find = query("SELECT * FROM policies WHERE project = ? AND name = ?");
        self.one(find.bind(project.to_string()).bind(name.to_owned())).await
    }

    async fn policies(&mut self, project: &Project, page: &Page) -> Stored<Vec<PolicyRow>> {
        let list = query("SELECT * FROM policies WHERE project = ? AND name > ? ORDER BY name LIMIT ?");
        self.all(list.bind(project.to_string()).bind(page.after.clone()).bind(page.limit)).await
    }

    async fn put_policy(&mut self, row: &PolicyRow) -> Stored<()> {
        let put = "INSERT INTO policies (project, name, canonical, changed_at) VALUES (?, ?, ?, ?)
                   ON CONFLICT (project, name) DO UPDATE SET canonical = excluded.canonical, changed_at = excluded.changed_at";
        let put = query(put).bind(row.project.to_string()).bind(row.policy.name.to_string());
        self.run(put.bind(row.policy.to_canonical()).bind(int(row.changed_at))).await.map(drop)
    }

    async fn drop_policy(&mut self, project: &Project, name: &str) -> Stored<()> {
        let forget = query("DELETE FROM policies WHERE project = ? AND name = ?");
        self.run(forget.bind(project.to_string()).bind(name.to_owned())).await.map(drop)
    }

    async fn vault_with_policy(&mut self, project: &Project, policy: &str) -> Stored<Option<VaultRow>> {
        let find = query("SELECT * FROM vaults WHERE project = ? AND policy = ? LIMIT 1");
        self.one(find.bind(project.to_string()).bind(policy.to_owned())).await
    }

    async fn vault_with_policy_and_tpm(
        &mut self,
        project: &Project,
        policy: &str,
        tpm: Tpm,
    ) -> Stored<Option<VaultRow>> {
        let find = "SELECT vaults.* FROM vaults JOIN devices ON devices.id = vaults.device
                    WHERE vaults.project = ? AND vaults.policy = ? AND vaults.standing = 'active' AND devices.tpm = ? LIMIT 1";
        self.one(query(find).bind(project.to_string()).bind(policy.to_owned()).bind(tpm.word())).await
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

    async fn all_vaults(
        &mut self,
        project: &Project,
        after: Option<(DeviceId, VaultId)>,
        limit: u32,
    ) -> Stored<Vec<VaultRow>> {
        let (device, id) =
            after.map_or((vec![], vec![]), |(d, v)| (d.0.as_bytes().to_vec(), v.0.as_bytes().to_vec()));
        let list =
            "SELECT * FROM vaults WHERE project = ? AND (device, id) > (?, ?) ORDER BY device, id LIMIT ?";
        self.all(query(list).bind(project.to_string()).bind(device).bind(id).bind(limit)).await
    }

    async fn add_vault(&mut self, row: &VaultRow) -> Stored<()> {
        let add = "INSERT INTO vaults (project, device, id, name, policy, standing, delete_at, left_version, created, recreate,
                     current_epoch, last_epoch, reported_epoch, report, reported_at, added_at)
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
        let add = query(add)
            .bind(row.project.to_string())
            .bind(blob(row.device.0))
            .bind(blob(row.id.0))
            .bind(row.name.to_string());
        let add = add.bind(row.policy.as_ref().map(ToString::to_string)).bind(row.standing.word());
        let add = add.bind(row.delete_at.map(int)).bind(row.left_version.map(int));
        let add = add.bind(row.created).bind(row.recreate);
        let add = add.bind(int(row.current_epoch.0)).bind(int(row.last_epoch.0));
        let add = add.bind(row.reported_epoch.map(|e| int(e.0))).bind(row.report.as_ref().map(json));
        self.run(add.bind(row.reported_at.map(int)).bind(int(row.added_at))).await.map(drop)
    }

    async fn want_vault(&mut self, device: DeviceId, id: VaultId, policy: Option<&Name>) -> Stored<()> {
        let write =
            "UPDATE vaults SET policy = ?, standing = 'active', delete_at = NULL WHERE device = ? AND id = ?";
        let write = query(write).bind(policy.map(ToString::to_string));
        self.change(write.bind(blob(device.0)).bind(blob(id.0))).await
    }

    async fn begin_grace(&mut self, device: DeviceId, id: VaultId, until: UnixSeconds) -> Stored<()> {
        let write = "UPDATE vaults SET standing = 'removing', delete_at = ? WHERE device = ? AND id = ?";
        self.change(query(write).bind(int(until)).bind(blob(device.0)).bind(blob(id.0))).await
    }

    async fn end_grace(&mut self, device: DeviceId, id: VaultId, left_version: u64) -> Stored<()> {
        let write = "UPDATE vaults SET standing = 'gone', policy = NULL, left_version = ? WHERE device = ? AND id = ?";
        self.change(query(write).bind(int(left_version)).bind(blob(device.0)).bind(blob(id.0))).await
    }

    async fn order_recreate(&mut self, device: DeviceId, id: VaultId) -> Stored<()> {
        let write = query("UPDATE vaults SET recreate = 1 WHERE device = ? AND id = ?");
        self.change(write.bind(blob(device.0)).bind(blob(id.0))).await
    }

    async fn put_epochs(&mut self, device: DeviceId, id: VaultId, current: Epoch, last: Epoch) -> Stored<()> {
        let write = query("UPDATE vaults SET current_epoch = ?, last_epoch = ? WHERE device = ? AND id = ?");
        let write = write.bind(int(current.0)).bind(int(last.0));
        self.change(write.bind(blob(device.0)).bind(blob(id.0))).await
    }

    async fn report_vault(&mut self, device: DeviceId, id: VaultId, said: &VaultSaid) -> Stored<()> {
        let write =
            "UPDATE vaults SET created = ?, recreate = ?, reported_epoch = ?, report = ?, reported_at = ?
                     WHERE device = ? AND id = ?";
        let write = query(write).bind(said.created).bind(said.recreate);
        let write = write.bind(said.epoch.map(|epoch| int(epoch.0))).bind(json(&said.report));
        self.change(write.bind(int(said.at)).bind(blob(device.0)).bind(blob(id.0))).await
    }

    async fn drop_vault(&mut self, device: DeviceId, id: VaultId) -> Stored<()> {
        self.drop_epochs(device, id).await?;
        let forget = query("DELETE FROM vaults WHERE device = ? AND id = ?");
        self.change(forget.bind(blob(device.0)).bind(blob(id.0))).await
    }

    async fn delay_graces(&mut self, by_s: u64) -> Stored<()> {
        // An end beyond the last number would be a fraction.
        let write = "UPDATE vaults SET delete_at = iif(delete_at > 9223372036854775807 - ?1, 9223372036854775807, delete_at + ?1)
                     WHERE standing = 'removing'";
        self.run(query(write).bind(int(by_s))).await.map(drop)
    }

    async fn graces_over(
        &mut self,
        now: UnixSeconds,
        after: Option<Grace>,
        limit: u32,
    ) -> Stored<Vec<Grace>> {
        let list = "SELECT delete_at, device, id FROM vaults
                    WHERE standing = 'removing' AND delete_at <= ? AND (delete_at, device, id) > (?, ?, ?)
                      AND NOT EXISTS (SELECT 1 FROM devices WHERE devices.id = vaults.device AND older IS NOT NULL)
                    ORDER BY delete_at, device, id LIMIT ?";
        let (until, device, id) = after.map_or((-1, vec![], vec![]), |after| {
            (int(after.until), blob(after.device.0), blob(after.vault.0))
        });
        self.all(query(list).bind(int(now)).bind(until).bind(device).bind(id).bind(limit)).await
    }
}
