//! Labels of devices, and the rules that give a vault to each device with some labels.
//! A rule gives; it takes nothing: a device that loses a label, or whose rule is deleted, keeps its vaults until somebody deletes them.

use std::fmt::Display;

use vault::ids::{DeviceId, Name};
use vault::life::Writer;
use vault::policy::VaultRule;

use super::Operator;
use super::differences::of_rules;
use super::show::unless_damaged;
use crate::api::{Applied, Damaged, Done, Kind, Labelling, Listed, Outcome, RuleView};
use crate::fleet::placed::{follow, named_policy, newly_named};
use crate::service::{BadRequest, InTheWay, Refusal, Unknown, device_by_id};
use crate::store::{DeviceRow, OrDamaged, Page, RuleRow, Scope, StoreError, Tx, UnixSeconds, next_page};
use crate::words::notes;

/// Devices that are read at once.
const PAGE: u32 = 500;

impl From<RuleRow> for RuleView {
    fn from(RuleRow { rule, changed_at, .. }: RuleRow) -> Self {
        let VaultRule { name, devices, policy } = rule;
        Self { name, devices, policy, changed: crate::clock::text(changed_at) }
    }
}

impl Operator {
    /// Sets labels of a device and takes others away; each rule that names it by them now, and did not before, gives it its vault.
    ///
    /// # Errors
    /// [`Refusal`]: a rule's vault can't be on the device, or too many labels; then nothing of it is done.
    pub async fn label(&self, device: &str, how: &Labelling, now: UnixSeconds) -> Result<Done, Refusal> {
        let id = self.meant(device).await?;
        self.store.write(Scope::Device(id), |tx| Box::pin(self.relabel(tx, id, how, now))).await
    }

    async fn relabel(
        &self,
        tx: &mut dyn Tx,
        id: DeviceId,
        how: &Labelling,
        now: UnixSeconds,
    ) -> Result<Done, Refusal> {
        let was = device_by_id(tx, &self.project, id).await?;
        let labels = was.labels.changed(&how.set, &how.take).map_err(BadRequest::Labels)?;
        tx.put_labels(was.id, &labels).await?;
        let is = DeviceRow { labels, ..was.clone() };
        let mut given = Vec::new();
        for rule in newly_named(tx, &is, &was.labels).await? {
            let outcome = follow(tx, &self.kek, &is, &rule, now).await?;
            given.push((rule.name, outcome));
        }
        Ok(notes::of_labels(&is, &was.labels, &given))
    }

    /// Rules by name.
    ///
    /// # Errors
    /// [`Refusal`] of the store's.
    pub async fn show_rules(&self, page: &Page) -> Result<Vec<Listed<RuleView>>, Refusal> {
        let rows = self.store.read(|tx| tx.rules(&self.project, page)).await?;
        Ok(rows.into_iter().map(|row| row.map(RuleView::from).into()).collect())
    }

    /// Forgets a rule, and no vault.
    ///
    /// # Errors
    /// [`Unknown::Rule`]. Else the store's.
    pub async fn delete_rule(&self, name: &Name) -> Result<Done, Refusal> {
        if !self.store.write(Scope::Fleet, |tx| tx.drop_rule(&self.project, name)).await? {
            return Err(Unknown::Rule { rule: name.clone() }.into());
        }
        Ok(Done {
            done: format!("rule `{name}` is deleted"),
            notes: vec!["vaults that it gave stay: `evc delete vault` removes one".into()],
        })
    }

    /// Keeps a rule, and gives each device that it names its vault as it is written.
    pub(super) async fn put_rule(
        &self,
        tx: &mut dyn Tx,
        rule: &VaultRule,
        now: UnixSeconds,
    ) -> Result<Vec<Applied>, Refusal> {
        named_policy(tx, &self.project, &rule.policy).await?;
        let there = tx.rule(&self.project, &rule.name).await?.map(|row| row.rule);
        let outcome = match &there {
            None => Outcome::Created,
            Some(there) if there == rule => Outcome::Unchanged,
            Some(_) => Outcome::Changed,
        };
        if outcome != Outcome::Unchanged {
            tx.put_rule(&self.project, rule, now).await?;
        }
        let (named, vaults) = self.expanded(tx, rule, now).await?;
        let applied = Applied {
            kind: Kind::Rule,
            name: rule.name.to_string(),
            changes: of_rules(there.as_ref(), rule),
            outcome,
            notes: notes::of_rule(rule, there.as_ref(), named),
        };
        Ok([vec![applied], vaults].concat())
    }

    /// The vault of one of the devices that a rule names. One that can't have it keeps it from no other: that it has no TPM is its own word.
    async fn put_of_rule(
        &self,
        tx: &mut dyn Tx,
        device: &DeviceRow,
        rule: &VaultRule,
        now: UnixSeconds,
    ) -> Result<Applied, Refusal> {
        match self.put_vault(tx, device, (Writer::Rule, &rule.of(&device.name)), now).await {
            Err(Refusal::InTheWay(InTheWay::Unfit { policy, why, .. })) => {
                Ok(not_given(rule, &device.name, notes::of_not_given(&policy, why)))
            }
            // Of this device alone, and before anything was written.
            Err(refusal @ Refusal::Life(_)) => {
                Ok(not_given(rule, &device.name, notes::of_rule_refused(&refusal)))
            }
            Err(Refusal::Store(StoreError::Damaged(what))) => {
                // A row of the device's own that does not read stops it before it writes; what else is damaged may not have.
                unless_damaged(tx.vaults(device.id).await.map_err(Refusal::from))?.map_or_else(
                    |what| Ok(not_given(rule, &device.name, notes::of_rule_unread(&what))),
                    |_| Err(StoreError::Damaged(what).into()),
                )
            }
            put => put,
        }
    }

    /// How many devices it names, and those of their vaults that were not so.
    async fn expanded(
        &self,
        tx: &mut dyn Tx,
        rule: &VaultRule,
        now: UnixSeconds,
    ) -> Result<(usize, Vec<Applied>), Refusal> {
        let (mut named, mut vaults, mut page) = (0, Vec::new(), Some(Page::first(PAGE)));
        while let Some(this) = page {
            let devices = tx.devices_named_by(&self.project, &rule.devices, &this).await?;
            page = next_page(this, &devices, |row| &row.name);
            named += devices.len();
            for device in devices {
                let vault = match device {
                    OrDamaged::Whole(device) => self.put_of_rule(tx, &device, rule, now).await?,
                    OrDamaged::Damaged(device) => of_damaged(rule, device.into()),
                };
                vaults.extend(
                    (vault.outcome != Outcome::Unchanged || !vault.notes.is_empty()).then_some(vault),
                );
            }
        }
        Ok((named, vaults))
    }
}

/// A device that does not read keeps no other one from its vault.
fn of_damaged(rule: &VaultRule, device: Damaged) -> Applied {
    let note = format!("not given: {}: {}", device.words(), device.what_to_do);
    not_given(rule, &device.called(), note)
}

fn not_given(rule: &VaultRule, device: &dyn Display, note: String) -> Applied {
    Applied {
        kind: Kind::Vault,
        name: format!("{} on {device}", rule.name),
        changes: Vec::new(),
        outcome: Outcome::Unchanged,
        notes: vec![note],
    }
}
