//! `evc apply`: policies and vaults from the operator's file become so, all of them or none. Repeating changes nothing.

use vault::decide::TpmPin;
use vault::ids::Project;
use vault::life::fits;
use vault::policy::{Document, Located, VaultPolicy, VaultSpec, read};

use super::Operator;
use super::differences::{of_policies, of_vault};
use super::operate::of_deleted;
use crate::api::{Applied, Kind, Outcome};
use crate::fleet::placed::{self, Placed};
use crate::service::{Fault, InTheWay, Refusal, find_device};
use crate::store::{DeviceRow, PolicyRow, Scope, Tx, UnixSeconds, VaultRow};
use crate::words::notes;

impl Operator {
    /// Applies a file. With `dry_run` everything is checked and nothing kept.
    ///
    /// # Errors
    /// [`Refusal`]: the first thing wrong, with its place; nothing of the file was applied.
    pub async fn apply(&self, text: &str, dry_run: bool, now: UnixSeconds) -> Result<Vec<Applied>, Refusal> {
        let documents = read(text)?;
        if dry_run {
            self.store.rehearse(Scope::Fleet, |tx| Box::pin(self.apply_all(tx, &documents, now))).await
        } else {
            self.store.write(Scope::Fleet, |tx| Box::pin(self.apply_all(tx, &documents, now))).await
        }
    }

    async fn apply_all(
        &self,
        tx: &mut dyn Tx,
        documents: &[Located],
        now: UnixSeconds,
    ) -> Result<Vec<Applied>, Refusal> {
        let mut applied = Vec::new();
        // Policies first, wherever they stand in the file: vaults name them.
        for located in documents {
            if let Document::Policy(policy) = &located.document {
                applied.push(put_policy(tx, &self.project, policy, now).await?);
            }
        }
        for located in documents {
            let put = self.put(tx, &located.document, now).await;
            applied.extend(put.map_err(|e| e.of_document(place(located)))?);
        }
        // Last, for the file may have given a changed policy's vaults another one.
        for located in documents {
            if let Document::Policy(policy) = &located.document {
                let impossible = impossible_where(tx, &self.project, policy).await?;
                let is_it = |it: &&mut Applied| it.kind == Kind::Policy && it.name == policy.name.as_str();
                applied.iter_mut().filter(is_it).for_each(|it| it.notes.extend(impossible.clone()));
            }
        }
        Ok(applied)
    }

    pub(super) async fn put_vault(
        &self,
        tx: &mut dyn Tx,
        device: &DeviceRow,
        spec: &VaultSpec,
        now: UnixSeconds,
    ) -> Result<Applied, Refusal> {
        let Placed { outcome, fit, before } = placed::place(tx, &self.kek, device, spec, now).await?;
        let changes = of_vault(before.as_ref(), spec);
        Ok(Applied {
            kind: Kind::Vault,
            name: format!("{} on {}", spec.name, device.name),
            changes: if outcome == Outcome::Unchanged { Vec::new() } else { changes },
            outcome,
            notes: notes::of_fit(fit).into_iter().collect(),
        })
    }

    async fn put(
        &self,
        tx: &mut dyn Tx,
        document: &Document,
        now: UnixSeconds,
    ) -> Result<Vec<Applied>, Refusal> {
        match document {
            // They were put before.
            Document::Policy(_) => Ok(Vec::new()),
            Document::Vault(spec) => {
                let device = find_device(tx, &self.project, &spec.device).await?;
                Ok(vec![self.put_vault(tx, &device, spec, now).await?])
            }
            Document::Rule(rule) => self.put_rule(tx, rule, now).await,
        }
    }
}

fn place(at: &Located) -> (u64, u64) {
    (at.line, at.column)
}

async fn put_policy(
    tx: &mut dyn Tx,
    project: &Project,
    policy: &VaultPolicy,
    now: UnixSeconds,
) -> Result<Applied, Refusal> {
    let there = tx.policy(project, policy.name.as_str()).await?;
    let outcome = match &there {
        None => Outcome::Created,
        Some(row) if row.policy == *policy => Outcome::Unchanged,
        Some(row) => {
            encryption_stays(tx, row, policy).await?;
            defaults_fit(tx, row, policy).await?;
            Outcome::Changed
        }
    };
    if outcome != Outcome::Unchanged {
        let (project, policy) = (project.clone(), policy.clone());
        tx.put_policy(&PolicyRow { project, policy, changed_at: now }).await?;
    }
    let cautions = policy.cautions().into_iter().map(notes::of_caution);
    let changed = (outcome == Outcome::Changed).then(|| notes::of_changed(&policy.name));
    Ok(Applied {
        kind: Kind::Policy,
        name: policy.name.to_string(),
        outcome,
        changes: of_policies(there.as_ref().map(|row| &row.policy), policy),
        notes: cautions.chain(changed).collect(),
    })
}

/// The kernel fixes a vault's modes when it is made.
async fn encryption_stays(tx: &mut dyn Tx, row: &PolicyRow, policy: &VaultPolicy) -> Result<(), Refusal> {
    if row.policy.node.encryption == policy.node.encryption {
        return Ok(());
    }
    if tx.vault_with_policy(&row.project, policy.name.as_str()).await?.is_some() {
        return Err(InTheWay::EncryptionOfVaults { policy: policy.name.clone() }.into());
    }
    // One that is kept of a deleted device is made already, and may come back.
    if let Some((device, vault)) = of_deleted(tx, &row.project, &policy.name).await? {
        return Err(InTheWay::PolicyOfDeleted { policy: policy.name.clone(), vault, device }.into());
    }
    Ok(())
}

/// Most vaults that are read at once.
const PAGE: u32 = 500;

/// A policy that gets a lease or a storage limit: no default vault is under it that can't have it. They are looked through, for that is seldom.
async fn defaults_fit(tx: &mut dyn Tx, row: &PolicyRow, policy: &VaultPolicy) -> Result<(), Refusal> {
    let (before, after) = (&row.policy.node, &policy.node);
    let leased = before.lease.is_none() && after.lease.is_some();
    let limited = before.storage_limit.is_none() && after.storage_limit.is_some();
    if !leased && !limited {
        return Ok(());
    }
    let under = |vault: &&VaultRow| vault.id.is_default() && vault.policy.as_ref() == Some(&policy.name);
    for deleted in tx.deleted(&row.project).await? {
        let vaults = tx.of_deleted(deleted.id).await?.vaults;
        vaults.iter().filter(under).try_for_each(|vault| placed::fits_default(policy, &vault.name))?;
    }
    let mut after = None;
    loop {
        let rows = tx.all_vaults(&row.project, after, PAGE).await?;
        rows.iter().filter(under).try_for_each(|vault| placed::fits_default(policy, &vault.name))?;
        let Some(last) = rows.last() else { return Ok(()) };
        after = Some((last.device, last.id));
    }
}

/// A vault that it can't be met for, if any. What a device says of its TPM refuses no policy: it would be one device's word against all others.
/// A vault that is being removed does not count: whoever keeps it again has it held against its policy then.
async fn impossible_where(
    tx: &mut dyn Tx,
    project: &Project,
    policy: &VaultPolicy,
) -> Result<Option<String>, Refusal> {
    let Err(why) = fits(policy, TpmPin::Absent) else { return Ok(None) };
    let found = tx.vault_with_policy_and_tpm(project, policy.name.as_str(), TpmPin::Absent).await?;
    let Some(row) = found else { return Ok(None) };
    let device = tx.device(row.device).await?.ok_or(Fault::VaultWithoutDevice)?;
    Ok(Some(notes::of_impossible(&row.name, &device.name, why)))
}
