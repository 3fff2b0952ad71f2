//! `evc apply`: policies and vaults from the operator's file become so, all of them or none. Repeating changes nothing.

use std::collections::HashMap;

use vault::decide::TpmPin;
use vault::ids::{DeviceId, Name, Project};
use vault::life::{Writer, fits};
use vault::policy::{Document, Located, VaultPolicy, VaultSpec, read};
use vault::report::State;

use super::Operator;
use super::differences::{of_policies, of_vault};
use super::operate::{kept_vaults, of_deleted};
use super::show::unless_damaged;
use super::turned::{Budget, turned};
use crate::api::{Applied, Kind, Outcome};
use crate::fleet::at_stake::{at_stake, is_closed};
use crate::fleet::placed::{self, Placed};
use crate::fleet::reported::{is_held_to, orphans};
use crate::fleet::view::policy_of;
use crate::service::{Fault, InTheWay, Refusal, find_device};
use crate::store::{DeviceRow, PolicyRow, Scope, Tx, UnixSeconds, VaultRow};
use crate::words::at_stake::{NO_KEY_OPENS, Whose, of_closes};
use crate::words::notes;
use crate::words::turned::of_turned;
use crate::words::unlisted::of_namesake;

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
        let (mut applied, mut changed) = (Vec::new(), HashMap::new());
        // Policies first, wherever they stand in the file: vaults name them.
        for located in documents {
            if let Document::Policy(policy) = &located.document {
                let (put, was) = put_policy(tx, &self.project, policy, now).await?;
                changed.extend(was.map(|was| (policy.name.clone(), was)));
                applied.push(put);
            }
        }
        let mut seen = Seen::new();
        for located in documents {
            let put = self.put(tx, located, &mut seen, now).await;
            applied.extend(put.map_err(|e| e.of_document(place(located)))?);
        }
        let mut budget = Budget::of_a_file();
        // Last, for the file may have given a changed policy's vaults another one.
        for located in documents {
            if let Document::Policy(policy) = &located.document {
                let impossible = impossible_where(tx, &self.project, policy).await?;
                let turned = match changed.get(&policy.name) {
                    Some(was) => turned(self, tx, &self.project, (was, policy), &mut budget, now).await?,
                    None => None,
                };
                let turned = turned.iter().flat_map(of_turned);
                let told: Vec<String> = impossible.into_iter().chain(turned).collect();
                let is_it = |it: &&mut Applied| it.kind == Kind::Policy && it.name == policy.name.as_str();
                applied.iter_mut().filter(is_it).for_each(|it| it.notes.extend(told.clone()));
            }
        }
        Ok(applied)
    }

    pub(super) async fn put_vault(
        &self,
        tx: &mut dyn Tx,
        device: &DeviceRow,
        (by, spec): (Writer, &VaultSpec),
        now: UnixSeconds,
    ) -> Result<Applied, Refusal> {
        let placed = placed::place(tx, &self.kek, device, (by, spec), now).await?;
        let Placed { outcome, left, fit, before } = placed;
        let changes = of_vault(before.as_ref(), spec);
        let namesake = namesake(tx, device, &spec.name).await?;
        let no_key = no_key(tx, device, &spec.name).await?;
        Ok(Applied {
            kind: Kind::Vault,
            name: format!("{} on {}", spec.name, device.name),
            changes: if outcome == Outcome::Unchanged { Vec::new() } else { changes },
            outcome,
            notes: notes::of_fit(fit)
                .into_iter()
                .chain(left.then(notes::of_left_removed))
                .chain(namesake)
                .chain(no_key)
                .collect(),
        })
    }

    async fn put(
        &self,
        tx: &mut dyn Tx,
        located: &Located,
        seen: &mut Seen,
        now: UnixSeconds,
    ) -> Result<Vec<Applied>, Refusal> {
        match &located.document {
            // They were put before.
            Document::Policy(_) => Ok(Vec::new()),
            Document::Vault(spec) => {
                let device = find_device(tx, &self.project, &spec.device).await?;
                once(seen, &device, spec, located.line)?;
                Ok(vec![self.put_vault(tx, &device, (Writer::Document, spec), now).await?])
            }
            Document::Rule(rule) => self.put_rule(tx, rule, now).await,
        }
    }
}

/// Of a vault of this name that its node has by a list that is not here: it is another one, and waits to be taken in.
async fn namesake(tx: &mut dyn Tx, device: &DeviceRow, name: &Name) -> Result<Option<String>, Refusal> {
    let others = orphans(device).filter(|told| told.name == *name && told.state != State::Orphan);
    let Some(told) = others.last().filter(|_| is_held_to(device).is_none()) else { return Ok(None) };
    let row = tx.vault_by_name(device.id, name).await?;
    let is_other = row.is_none_or(|row| row.id != told.id);
    Ok(is_other.then(|| of_namesake(told, &device.name)))
}

/// Of a vault that is open, or closed, under a key that is not here: what closes it as it is written now, or that nothing opens it.
async fn no_key(tx: &mut dyn Tx, device: &DeviceRow, name: &Name) -> Result<Option<String>, Refusal> {
    let Some(row) = tx.vault_by_name(device.id, name).await? else { return Ok(None) };
    let policy = policy_of(tx, device, &row).await?;
    let stake = at_stake(&row, device, Some(&policy)).filter(|stake| stake.closes.is_by_list());
    let of = Whose { vault: &row.name, device: &device.name };
    let closes = stake.map(|stake| of_closes(stake.closes, of));
    Ok(closes.or_else(|| is_closed(&row, device).then(|| NO_KEY_OPENS.into())))
}

/// The line of each vault of a file, by its device as it is found and not as it is written.
type Seen = HashMap<(DeviceId, Name), u64>;

fn once(seen: &mut Seen, device: &DeviceRow, spec: &VaultSpec, line: u64) -> Result<(), Refusal> {
    match seen.insert((device.id, spec.name.clone()), line) {
        None => Ok(()),
        Some(line) => {
            let (vault, device) = (spec.name.clone(), device.name.clone());
            Err(InTheWay::VaultTwice { vault, device, line }.into())
        }
    }
}

fn place(at: &Located) -> (u64, u64) {
    (at.line, at.column)
}

/// With what it said before, where that is changed and was read.
async fn put_policy(
    tx: &mut dyn Tx,
    project: &Project,
    policy: &VaultPolicy,
    now: UnixSeconds,
) -> Result<(Applied, Option<VaultPolicy>), Refusal> {
    let there = unless_damaged(tx.policy(project, policy.name.as_str()).await.map_err(Refusal::from))?;
    let is_mended = there.is_err();
    let there = there.unwrap_or_default();
    let outcome = match &there {
        // What it said is not known: this is the whole of it now.
        None if is_mended => {
            defaults_fit(tx, project, None, policy).await?;
            Outcome::Changed
        }
        None => Outcome::Created,
        Some(row) if row.policy == *policy => Outcome::Unchanged,
        Some(row) => {
            encryption_stays(tx, row, policy).await?;
            defaults_fit(tx, project, Some(&row.policy), policy).await?;
            Outcome::Changed
        }
    };
    if outcome != Outcome::Unchanged {
        let (project, policy) = (project.clone(), policy.clone());
        tx.put_policy(&PolicyRow { project, policy, changed_at: now }).await?;
    }
    let cautions = policy.cautions().into_iter().map(notes::of_caution);
    let is_changed = outcome == Outcome::Changed;
    let changed = is_changed.then(|| notes::of_changed(&policy.name));
    let applied = Applied {
        kind: Kind::Policy,
        name: policy.name.to_string(),
        outcome,
        changes: of_policies(there.as_ref().map(|row| &row.policy), policy),
        notes: cautions.chain(is_mended.then(notes::of_mended)).chain(changed).collect(),
    };
    Ok((applied, there.filter(|_| is_changed).map(|row| row.policy)))
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

/// A policy that gets a lease or a storage limit: no default vault is under it that can't have it.
async fn defaults_fit(
    tx: &mut dyn Tx,
    project: &Project,
    before: Option<&VaultPolicy>,
    policy: &VaultPolicy,
) -> Result<(), Refusal> {
    let (before, after) = (before.map(|before| &before.node), &policy.node);
    let leased = after.lease.is_some() && before.is_none_or(|before| before.lease.is_none());
    let limited = after.storage_limit.is_some() && before.is_none_or(|before| before.storage_limit.is_none());
    if !leased && !limited {
        return Ok(());
    }
    let under = |vault: &&VaultRow| vault.id.is_default() && vault.policy.as_ref() == Some(&policy.name);
    for (_, vaults) in kept_vaults(tx, project).await? {
        vaults
            .iter()
            .filter(under)
            .try_for_each(|vault| placed::held_against_default(policy, &vault.name))?;
    }
    let vaults = tx.defaults_under(project, &policy.name).await?;
    vaults.iter().try_for_each(|vault| placed::held_against_default(policy, &vault.name))
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
