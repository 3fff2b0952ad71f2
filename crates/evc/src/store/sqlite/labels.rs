//! Labels of devices, and rules of vaults by them, in SQLite.

use async_trait::async_trait;
use vault::ids::{DeviceId, Name, Project};
use vault::labels::Labels;
use vault::policy::VaultRule;

use super::read::{Columns, FromRow, blob, from_json, int, json, name, number, project};
use super::transaction::SqliteTx;
use crate::store::{DeviceRow, OrDamaged, Page, RowKind, RuleRow, Rules, Stored, UnixSeconds};

impl FromRow for RuleRow {
    const KIND: RowKind = RowKind::Rule;
    const COLUMNS: &'static str = "project, name, devices, policy, changed_at";
    fn from_row(row: &mut Columns<'_>) -> Stored<Self> {
        let project = row.read(project)?;
        let rule =
            VaultRule { name: row.read(name)?, devices: row.read(from_json)?, policy: row.read(name)? };
        Ok(Self { project, rule, changed_at: row.read(number)? })
    }
}

#[async_trait]
impl Rules for SqliteTx {
    async fn put_labels(&mut self, id: DeviceId, labels: &Labels) -> Stored<()> {
        self.change("UPDATE devices SET labels = ? WHERE id = ?", (json(labels), blob(id.0))).await
    }

    /// No index leads to a label: it is asked by operators alone, and reads a project's devices by name.
    async fn devices_named_by(
        &mut self,
        project: &Project,
        selector: &Labels,
        page: &Page,
    ) -> Stored<Vec<OrDamaged<DeviceRow>>> {
        let list = "FROM devices WHERE project = ?1 AND name > ?2 AND ?3 <> '{}' AND (NOT json_valid(labels) OR NOT EXISTS (
                      SELECT 1 FROM json_each(?3) AS wanted WHERE NOT EXISTS (
                        SELECT 1 FROM json_each(iif(json_valid(devices.labels), devices.labels, '{}')) AS label
                        WHERE label.key = wanted.key AND label.value = wanted.value)))
                    ORDER BY name LIMIT ?4";
        let values = (project.as_str(), &page.after, json(selector), page.limit);
        self.page(("devices", page.after.is_empty()), list, values).await
    }

    async fn rule(&mut self, project: &Project, name: &Name) -> Stored<Option<RuleRow>> {
        let find = "FROM vault_rules WHERE project = ? AND name = ?";
        self.one(find, (project.as_str(), name.as_str())).await
    }

    async fn rules(&mut self, project: &Project, page: &Page) -> Stored<Vec<OrDamaged<RuleRow>>> {
        self.named("vault_rules", project, page).await
    }

    async fn rule_with_policy(&mut self, project: &Project, policy: &Name) -> Stored<Option<RuleRow>> {
        let find = "FROM vault_rules WHERE project = ? AND policy = ? LIMIT 1";
        self.one(find, (project.as_str(), policy.as_str())).await
    }

    async fn put_rule(&mut self, project: &Project, rule: &VaultRule, at: UnixSeconds) -> Stored<()> {
        let put = "INSERT OR REPLACE INTO vault_rules (project, name, devices, policy, changed_at) VALUES (?, ?, ?, ?, ?)";
        let (name, policy) = (rule.name.as_str(), rule.policy.as_str());
        self.run(put, (project.as_str(), name, json(&rule.devices), policy, int(at))).await.map(drop)
    }

    async fn drop_rule(&mut self, project: &Project, name: &Name) -> Stored<bool> {
        let forget = "DELETE FROM vault_rules WHERE project = ? AND name = ?";
        Ok(self.run(forget, (project.as_str(), name.as_str())).await? == 1)
    }
}
