//! Policies and vaults in SQLite.

use async_trait::async_trait;
use vault::decide::TpmPin;
use vault::defaults::{self, DEFAULT_VAULTS};
use vault::ids::{DeviceId, Epoch, Name, Project, VaultId};
use vault::policy::VaultPolicy;

use super::read::{
    Columns, FromRow, Word as _, blob, damaged, device, epoch, int, json, name, number, plain, project, text,
    vault, word,
};
use super::transaction::SqliteTx;
use crate::store::{
    DamagedRow, Grace, KeyRows as _, NodeWord, OrDamaged, PAST_VAULTS, Page, PolicyRow, RowKind, Stored,
    UnixSeconds, VaultRemains, VaultRow, VaultSaid, VaultStanding, Vaults,
};

impl FromRow for PolicyRow {
    const KIND: RowKind = RowKind::Policy;
    const COLUMNS: &'static str = "project, name, canonical, changed_at";
    fn from_row(row: &mut Columns<'_>) -> Stored<Self> {
        let (project, name) = (row.read(project)?, row.read(name)?);
        let policy = row.read(|value| VaultPolicy::from_canonical(text(value)?).ok())?;
        if policy.name != name {
            return Err(damaged("canonical"));
        }
        Ok(Self { project, policy, changed_at: row.read(number)? })
    }
}

impl FromRow for VaultRow {
    const KIND: RowKind = RowKind::Vault;
    const COLUMNS: &'static str =
        "project, device, id, name, standing, policy, delete_at, left_version, created, recreate,
        current_epoch, last_epoch, reported_epoch, report, reported_at, added_at, others_epoch";
    fn from_row(row: &mut Columns<'_>) -> Stored<Self> {
        let (project, device, id) = (row.read(project)?, row.read(device)?, row.read(vault)?);
        let (name, standing) = (row.read(super::read::name)?, row.read(word)?);
        let policy = policy_of(row, Some(id), Some(standing))?;
        Ok(Self {
            project,
            device,
            id,
            name,
            policy,
            standing,
            delete_at: row.read_some(number)?,
            left_version: row.read_some(number)?,
            created: row.read(plain)?,
            recreate: row.read(plain)?,
            current_epoch: row.read(epoch)?,
            last_epoch: row.read(epoch)?,
            reported_epoch: row.read_some(epoch)?,
            report: row.told()?,
            reported_at: row.read_some(number)?,
            added_at: row.read(number)?,
            others_epoch: row.read_some(epoch)?,
        })
    }
}

/// Its policy. A default vault may have none, and one that is gone; any other without one would be under the default policy, which may be the
/// looser one.
fn policy_of(
    row: &mut Columns<'_>,
    id: Option<VaultId>,
    standing: Option<VaultStanding>,
) -> Stored<Option<Name>> {
    let may_lack = id.is_some_and(VaultId::is_default) || standing == Some(VaultStanding::Gone);
    if may_lack { row.read_some(name) } else { row.read(name).map(Some) }
}

/// The last number that a column holds.
const LAST: i64 = i64::MAX;

/// Whose a vault is of which that does not read, until whoever asked says it.
const NOBODY: DeviceId = DeviceId(uuid::Uuid::nil());

/// What is certain of a vault whose row does not read, column by column. Of whom it is whoever asked for it knows.
pub(super) fn remains(damaged: DamagedRow, row: &mut Columns<'_>) -> VaultRemains {
    let (project, device) = (row.read(project).ok(), row.read(device).unwrap_or(NOBODY));
    let (id, name) = (row.read(vault).ok(), row.read(super::read::name).ok());
    let standing = row.read(word::<VaultStanding>).ok();
    let policy = policy_of(row, id, standing).ok();
    let is_gone = standing == Some(VaultStanding::Gone);
    let by_name = name.as_ref().is_none_or(|name| defaults::named(name).is_some());
    let may_be_default = id.map_or(by_name, VaultId::is_default);
    let listed = || {
        Some(VaultRow {
            project: project?,
            device,
            id: id?,
            name: name?,
            policy: policy?,
            // That one is gone is said by a row that reads, or by none: what is named as gone is erased.
            standing: standing.filter(|_| !is_gone)?,
            delete_at: None,
            left_version: None,
            // Made: a node that has it not says so, and makes no new one.
            created: true,
            recreate: false,
            current_epoch: Epoch::FIRST,
            last_epoch: Epoch::FIRST,
            reported_epoch: None,
            report: NodeWord::nothing(),
            reported_at: None,
            added_at: 0,
            others_epoch: None,
        })
    };
    VaultRemains { row: damaged, id, may_be_default, is_gone, listed: listed() }
}

impl FromRow for Grace {
    const COLUMNS: &'static str = "delete_at, device, id";
    fn from_row(row: &mut Columns<'_>) -> Stored<Self> {
        Ok(Self { until: row.read(number)?, device: row.read(device)?, vault: row.read(vault)? })
    }
}

#[async_trait]
impl Vaults for SqliteTx {
    async fn policy(&mut self, project: &Project, name: &str) -> Stored<Option<PolicyRow>> {
        self.one("FROM policies WHERE project = ? AND name = ?", (project.as_str(), name)).await
    }

    async fn policies(&mut self, project: &Project, page: &Page) -> Stored<Vec<OrDamaged<PolicyRow>>> {
        self.named("policies", project, page).await
    }

    async fn put_policy(&mut self, row: &PolicyRow) -> Stored<()> {
        let put = "INSERT INTO policies (project, name, canonical, changed_at) VALUES (?, ?, ?, ?)
                   ON CONFLICT (project, name) DO UPDATE SET canonical = excluded.canonical, changed_at = excluded.changed_at";
        let (project, name) = (row.project.as_str(), row.policy.name.as_str());
        self.run(put, (project, name, row.policy.to_canonical(), int(row.changed_at))).await.map(drop)
    }

    async fn drop_policy(&mut self, project: &Project, name: &str) -> Stored<()> {
        let forget = "DELETE FROM policies WHERE project = ? AND name = ?";
        self.run(forget, (project.as_str(), name)).await.map(drop)
    }

    async fn vault_with_policy(&mut self, project: &Project, policy: &str) -> Stored<Option<VaultRow>> {
        self.one("FROM vaults WHERE project = ? AND policy = ? LIMIT 1", (project.as_str(), policy)).await
    }

    async fn vault_with_policy_and_tpm(
        &mut self,
        project: &Project,
        policy: &str,
        tpm: TpmPin,
    ) -> Stored<Option<VaultRow>> {
        let find = "FROM vaults WHERE project = ? AND policy = ? AND standing = 'active'
                      AND EXISTS (SELECT 1 FROM devices WHERE devices.id = vaults.device AND tpm = ?) LIMIT 1";
        self.one(find, (project.as_str(), policy, tpm.word())).await
    }

    async fn vaults(&mut self, device: DeviceId) -> Stored<Vec<VaultRow>> {
        self.all("FROM vaults WHERE device = ? ORDER BY id", (blob(device.0),)).await
    }

    async fn vaults_listed(&mut self, device: DeviceId) -> Stored<Vec<OrDamaged<VaultRow>>> {
        let mut rows = self.all("FROM vaults WHERE device = ? ORDER BY id", (blob(device.0),)).await?;
        rows.extend(self.strayed(device).await?.into_iter().map(|remains| OrDamaged::Damaged(remains.row)));
        Ok(rows)
    }

    async fn vault(&mut self, device: DeviceId, id: VaultId) -> Stored<Option<VaultRow>> {
        self.one("FROM vaults WHERE device = ? AND id = ?", (blob(device.0), blob(id.0))).await
    }

    async fn vault_by_name(&mut self, device: DeviceId, name: &Name) -> Stored<Option<VaultRow>> {
        let find = "FROM vaults WHERE device = ? AND name = ? AND standing <> 'gone'";
        self.one(find, (blob(device.0), name.as_str())).await
    }

    async fn all_vaults(
        &mut self,
        project: &Project,
        after: Option<(DeviceId, VaultId)>,
        limit: u32,
    ) -> Stored<Vec<OrDamaged<VaultRow>>> {
        let first = ("vaults", after.is_none());
        let (device, id) = after.map_or((vec![], vec![]), |(d, v)| (blob(d.0).to_vec(), blob(v.0).to_vec()));
        let list = "FROM vaults WHERE project = ? AND (device, id) > (?, ?) ORDER BY device, id LIMIT ?";
        self.page(first, list, (project.as_str(), device, id, limit)).await
    }

    async fn vaults_of_identity(
        &mut self,
        project: &Project,
        id: VaultId,
        limit: u32,
    ) -> Stored<Vec<OrDamaged<VaultRow>>> {
        let find = "FROM vaults WHERE id = ? AND +project = ? ORDER BY device LIMIT ?";
        self.all(find, (blob(id.0), project.as_str(), limit)).await
    }

    async fn defaults_under(&mut self, project: &Project, policy: &Name) -> Stored<Vec<VaultRow>> {
        let under = "FROM vaults WHERE project = ? AND policy = ? AND +id IN (?, ?)";
        let [one, other] = DEFAULT_VAULTS.map(|(id, _)| blob(id.0));
        self.all(under, (project.as_str(), policy.as_str(), one, other)).await
    }

    async fn vaults_under(&mut self, project: &Project, policy: &Name, limit: u32) -> Stored<Vec<VaultRow>> {
        let under = "FROM vaults WHERE project = ? AND policy = ? AND standing = 'active' ORDER BY device, id LIMIT ?";
        self.all(under, (project.as_str(), policy.as_str(), limit)).await
    }

    async fn add_vault(&mut self, row: &VaultRow) -> Stored<()> {
        let add = "INSERT INTO vaults (project, device, id, name, policy, standing, delete_at, left_version, created, recreate,
                     current_epoch, last_epoch, reported_epoch, report, reported_at, added_at)
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
        let values = (
            row.project.as_str(),
            blob(row.device.0),
            blob(row.id.0),
            row.name.as_str(),
            row.policy.as_ref().map(Name::as_str),
            row.standing.word(),
            row.delete_at.map(int),
            row.left_version.map(int),
            row.created,
            row.recreate,
            int(row.current_epoch.0),
            int(row.last_epoch.0),
            row.reported_epoch.map(|epoch| int(epoch.0)),
            row.report.get().map(json),
            row.reported_at.map(int),
            int(row.added_at),
        );
        self.run(add, values).await?;
        // One value more than a statement takes. Few have it.
        let Some(others) = row.others_epoch else { return Ok(()) };
        let write = "UPDATE vaults SET others_epoch = ? WHERE device = ? AND id = ?";
        self.change(write, (int(others.0), blob(row.device.0), blob(row.id.0))).await
    }

    async fn want_vault(&mut self, device: DeviceId, id: VaultId, policy: Option<&Name>) -> Stored<()> {
        let write = "UPDATE vaults SET policy = ?, standing = 'active', delete_at = NULL, recreate = 0 WHERE device = ? AND id = ?";
        self.change(write, (policy.map(Name::as_str), blob(device.0), blob(id.0))).await
    }

    async fn begin_grace(&mut self, device: DeviceId, id: VaultId, until: UnixSeconds) -> Stored<()> {
        let write = "UPDATE vaults SET standing = 'removing', delete_at = ?, recreate = 0 WHERE device = ? AND id = ?";
        self.change(write, (int(until), blob(device.0), blob(id.0))).await
    }

    async fn retain_vault(&mut self, device: DeviceId, id: VaultId) -> Stored<()> {
        let write = "UPDATE vaults SET standing = 'retained', delete_at = NULL, recreate = 0 WHERE device = ? AND id = ?";
        self.change(write, (blob(device.0), blob(id.0))).await
    }

    async fn rename_vault(&mut self, device: DeviceId, id: VaultId, name: &Name) -> Stored<()> {
        let write = "UPDATE vaults SET name = ? WHERE device = ? AND id = ?";
        self.change(write, (name.as_str(), blob(device.0), blob(id.0))).await
    }

    async fn end_grace(&mut self, device: DeviceId, id: VaultId, left_version: u64) -> Stored<()> {
        let write = "UPDATE vaults SET standing = 'gone', policy = NULL, left_version = ? WHERE device = ? AND id = ?";
        self.change(write, (int(left_version), blob(device.0), blob(id.0))).await
    }

    async fn set_recreate(&mut self, device: DeviceId, id: VaultId, recreate: bool) -> Stored<()> {
        let write = "UPDATE vaults SET recreate = ? WHERE device = ? AND id = ?";
        self.change(write, (recreate, blob(device.0), blob(id.0))).await
    }

    async fn put_epochs(&mut self, device: DeviceId, id: VaultId, current: Epoch, last: Epoch) -> Stored<()> {
        let write = "UPDATE vaults SET current_epoch = ?, last_epoch = ? WHERE device = ? AND id = ?";
        self.change(write, (int(current.0), int(last.0), blob(device.0), blob(id.0))).await
    }

    async fn report_vault(&mut self, device: DeviceId, id: VaultId, said: &VaultSaid) -> Stored<()> {
        let write =
            "UPDATE vaults SET created = ?, recreate = ?, reported_epoch = ?, report = ?, reported_at = ?
                     WHERE device = ? AND id = ?";
        let values = (
            said.created,
            said.recreate,
            said.epoch.map(|epoch| int(epoch.0)),
            json(&said.report),
            int(said.at),
            blob(device.0),
            blob(id.0),
        );
        self.change(write, values).await
    }

    async fn drop_vault(&mut self, device: DeviceId, id: VaultId) -> Stored<()> {
        self.drop_epochs(device, id).await?;
        let keep = "INSERT OR REPLACE INTO past_vaults (device, id, name, number)
                    SELECT device, id, name, (SELECT coalesce(max(number), 0) + 1 FROM past_vaults WHERE device = ?1)
                    FROM vaults WHERE device = ?1 AND id = ?2";
        self.run(keep, (blob(device.0), blob(id.0))).await?;
        let oldest = "DELETE FROM past_vaults
                      WHERE device = ?1 AND number <= (SELECT max(number) FROM past_vaults WHERE device = ?1) - ?2";
        self.run(oldest, (blob(device.0), PAST_VAULTS)).await?;
        let forget = "DELETE FROM vaults WHERE device = ? AND id = ?";
        self.change(forget, (blob(device.0), blob(id.0))).await
    }

    async fn was_vault(&mut self, device: DeviceId, which: &Name) -> Stored<bool> {
        let id = which.as_str().parse::<VaultId>().ok().map(|id| blob(id.0));
        let was = "FROM past_vaults WHERE device = ?1 AND (name = ?2 OR id = ?3)";
        self.any(was, (blob(device.0), which.as_str(), id)).await
    }

    async fn move_graces(&mut self, by_s: i64) -> Stored<()> {
        for (table, end, which) in
            [("vaults", "delete_at", "WHERE standing = 'removing'"), ("deleted_devices", "until", "")]
        {
            // An end beyond the last number would be a fraction; how far beyond nobody knows when it is to come back.
            let moved = format!(
                "UPDATE {table} SET {end} = CASE WHEN {end} = {LAST} OR (?1 > 0 AND {end} > {LAST} - ?1) THEN {LAST}
                 ELSE max(0, {end} + ?1) END {which}"
            );
            self.run(&moved, (by_s,)).await?;
        }
        Ok(())
    }

    async fn graces_over(
        &mut self,
        now: UnixSeconds,
        after: Option<Grace>,
        limit: u32,
    ) -> Stored<Vec<Grace>> {
        let list = "FROM vaults
                    WHERE standing = 'removing' AND delete_at <= ? AND (delete_at, device, id) > (?, ?, ?)
                      AND NOT EXISTS (SELECT 1 FROM devices WHERE older IS NOT NULL)
                    ORDER BY delete_at, device, id LIMIT ?";
        let (until, device, id) = after.map_or((-1, vec![], vec![]), |after| {
            (int(after.until), blob(after.device.0).to_vec(), blob(after.vault.0).to_vec())
        });
        self.all(list, (int(now), until, device, id, limit)).await
    }
}
