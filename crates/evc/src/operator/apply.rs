//! `evc apply`: policies and vaults from the operator's file become so, all of them or none. Repeating changes nothing.

use uuid::Uuid;
use vault::ids::{Name, Project, VaultId};
use vault::life::{self, Fit, Wish, applied, fits};
use vault::policy::{Document, Located, VaultPolicy, VaultSpec, read};

use super::Operator;
use super::differences::{of_policies, of_vault};
use crate::api::{Applied, Outcome};
use crate::fleet::defaults::add_vault;
use crate::fleet::life::{beside_defaults, listed, new_row};
use crate::fleet::view::policy_of;
use crate::service::{Fault, InTheWay, Refusal, Unknown, find_device, in_life};
use crate::store::{DeviceRow, PolicyRow, Scope, Tpm, Tx, UnixSeconds, VaultRow};
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
            if let Document::Vault(spec) = &located.document {
                let put = self.put_vault(tx, spec, now).await;
                applied.push(put.map_err(|e| e.of_document(place(located)))?);
            }
        }
        // Last, for the file may have given a changed policy's vaults another one.
        for located in documents {
            if let Document::Policy(policy) = &located.document {
                let fits = fits_its_vaults(tx, &self.project, policy).await;
                fits.map_err(|e| e.of_document(place(located)))?;
            }
        }
        Ok(applied)
    }

    async fn put_vault(
        &self,
        tx: &mut dyn Tx,
        spec: &VaultSpec,
        now: UnixSeconds,
    ) -> Result<Applied, Refusal> {
        let device = find_device(tx, &self.project, &spec.device).await?;
        let policy = named_policy(tx, &self.project, &spec.policy).await?;
        let fit = held_against(&device, &policy, None)?;
        let there = existing(tx, &device, spec).await?;
        let present = made_under(tx, &device, spec, there.as_ref()).await?.map(|under| under.node.encryption);
        let changes = of_vault(there.as_ref(), spec);
        let wish = Wish { policy: &spec.policy, encryption: policy.node.encryption, present };
        let outcome = self.bring(tx, &device, (spec, there), wish, now).await?;
        Ok(Applied {
            kind: "vault".into(),
            name: format!("{} on {}", spec.name, device.name),
            changes: if outcome == Outcome::Unchanged { Vec::new() } else { changes },
            outcome,
            notes: notes::of_fit(fit).into_iter().collect(),
        })
    }

    /// Brings a vault to what is written.
    async fn bring(
        &self,
        tx: &mut dyn Tx,
        device: &DeviceRow,
        (spec, there): (&VaultSpec, Option<VaultRow>),
        wish: Wish<'_>,
        now: UnixSeconds,
    ) -> Result<Outcome, Refusal> {
        let others = match &there {
            None => beside_defaults(&tx.vaults(device.id).await?),
            Some(_) => 0,
        };
        let id = there.as_ref().map(|row| row.id).or(spec.default_vault());
        let id = id.unwrap_or_else(|| VaultId(Uuid::new_v4()));
        let there = there.as_ref().map(listed).transpose()?;
        let became = applied(id, there, wish, others).map_err(|cause| in_life(device, &spec.name, cause))?;
        match became {
            life::Applied::Created(vault) => {
                add_vault(tx, &self.kek, new_row(device, (id, spec.name.clone()), vault, now)).await?;
                Ok(Outcome::Created)
            }
            life::Applied::Unchanged => Ok(Outcome::Unchanged),
            life::Applied::Changed(vault) => {
                tx.want_vault(device.id, id, vault.policy.as_ref()).await?;
                Ok(Outcome::Changed)
            }
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
        kind: "policy".into(),
        name: policy.name.to_string(),
        outcome,
        changes: of_policies(there.as_ref().map(|row| &row.policy), policy),
        notes: cautions.chain(changed).collect(),
    })
}

/// The kernel fixes a vault's modes when it is made.
async fn encryption_stays(tx: &mut dyn Tx, row: &PolicyRow, policy: &VaultPolicy) -> Result<(), Refusal> {
    if row.policy.node.encryption == policy.node.encryption
        || tx.vault_with_policy(&row.project, policy.name.as_str()).await?.is_none()
    {
        return Ok(());
    }
    Err(InTheWay::EncryptionOfVaults { policy: policy.name.clone() }.into())
}

pub(crate) async fn named_policy(
    tx: &mut dyn Tx,
    project: &Project,
    name: &Name,
) -> Result<VaultPolicy, Refusal> {
    let row = tx.policy(project, name.as_str()).await?;
    Ok(row.ok_or_else(|| Unknown::Policy { policy: name.clone() })?.policy)
}

/// Whether it can be met wherever it is named. That turns on nothing of a device but its TPM, so one of each kind stands for all.
/// A vault that is being removed does not count: whoever keeps it again has it held against its policy then.
async fn fits_its_vaults(tx: &mut dyn Tx, project: &Project, policy: &VaultPolicy) -> Result<(), Refusal> {
    for tpm in [Tpm::Absent, Tpm::Present, Tpm::Unknown] {
        let Some(row) = tx.vault_with_policy_and_tpm(project, policy.name.as_str(), tpm).await? else {
            continue;
        };
        let device = tx.device(row.device).await?.ok_or(Fault::VaultWithoutDevice)?;
        held_against(&device, policy, Some(&row.name))?;
    }
    Ok(())
}

/// Holds a policy against a device. `vault`: the one that names it, where it is the policy that is applied.
pub(crate) fn held_against(
    device: &DeviceRow,
    policy: &VaultPolicy,
    vault: Option<&Name>,
) -> Result<Fit, InTheWay> {
    fits(policy, device.tpm.into()).map_err(|why| InTheWay::Unfit {
        policy: policy.name.clone(),
        device: device.name.clone(),
        vault: vault.cloned(),
        why,
    })
}

async fn existing(
    tx: &mut dyn Tx,
    device: &DeviceRow,
    spec: &VaultSpec,
) -> Result<Option<VaultRow>, Refusal> {
    match spec.default_vault() {
        Some(id) => Ok(tx.vault(device.id, id).await?),
        None => Ok(tx.vault_by_name(device.id, &spec.name).await?),
    }
}

/// The policy that a vault is under already. A node makes its default vaults by itself, whether or not it spoke of them.
async fn made_under(
    tx: &mut dyn Tx,
    device: &DeviceRow,
    spec: &VaultSpec,
    there: Option<&VaultRow>,
) -> Result<Option<VaultPolicy>, Refusal> {
    match there {
        Some(row) => Ok(Some(policy_of(tx, device, row).await?)),
        None => Ok(spec.default_vault().map(|_| VaultPolicy::of_default_vault(device.tpm != Tpm::Absent))),
    }
}
