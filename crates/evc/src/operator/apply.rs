//! `evc apply`: policies and vaults from the operator's file become so, all of them or none. Repeating changes nothing.

use uuid::Uuid;
use vault::ids::{Name, Project, VaultId};
use vault::life::{self, Wish, applied};
use vault::policy::{Check, Document, Located, VaultPolicy, VaultSpec, read};

use super::Operator;
use super::words::refused;
use crate::api::{Applied, Outcome};
use crate::fleet::defaults::add_vault;
use crate::fleet::life::{beside_defaults, listed, new_row};
use crate::fleet::view::policy_of;
use crate::service::{Refusal, find_device};
use crate::store::{DeviceRow, PolicyRow, Scope, Tpm, Tx, UnixSeconds, VaultRow};

impl Operator {
    /// Applies a file. With `dry_run` everything is checked and nothing kept.
    ///
    /// # Errors
    /// [`Refusal`]: the first thing wrong, with its place; nothing of the file was applied.
    pub async fn apply(&self, text: &str, dry_run: bool, now: UnixSeconds) -> Result<Vec<Applied>, Refusal> {
        let documents = read(text).map_err(|e| {
            let place = format!("line {}, column {}: {}", e.line, e.column, e.problem);
            Refusal::bad(if e.line == 0 { e.problem } else { place }, e.advice)
        })?;
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
                applied.push(self.put_vault(tx, spec, located, now).await?);
            }
        }
        // Last, for the file may have given a changed policy's vaults another one.
        for located in documents {
            if let Document::Policy(policy) = &located.document {
                fits_its_vaults(tx, &self.project, policy).await.map_err(|e| placed(e, located))?;
            }
        }
        Ok(applied)
    }

    async fn put_vault(
        &self,
        tx: &mut dyn Tx,
        spec: &VaultSpec,
        at: &Located,
        now: UnixSeconds,
    ) -> Result<Applied, Refusal> {
        let device = find_device(tx, &self.project, &spec.device).await.map_err(|e| placed(e, at))?;
        let policy = named_policy(tx, &self.project, &spec.policy).await.map_err(|e| placed(e, at))?;
        let notes = fits(&device, &policy).map_err(|e| placed(e, at))?;
        let there = existing(tx, &device, spec).await?;
        let present = made_under(tx, &device, spec, there.as_ref()).await?.map(|under| under.node.encryption);
        let wish = Wish { policy: &spec.policy, encryption: policy.node.encryption, present };
        let outcome = self.bring(tx, &device, (spec, there), wish, now).await.map_err(|e| placed(e, at))?;
        Ok(Applied {
            kind: "vault".into(),
            name: format!("{} on {}", spec.name, device.name),
            outcome,
            notes,
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
        let became = applied(id, there, wish, others).map_err(|cause| refused(device, &spec.name, cause))?;
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

/// Puts the document's place before what is wrong with it.
fn placed(refusal: Refusal, at: &Located) -> Refusal {
    match refusal {
        Refusal::Bad { .. } | Refusal::NotFound { .. } | Refusal::Conflict { .. } | Refusal::Life(_) => {
            let advice = crate::service::Advice::advice(&refusal);
            Refusal::bad(format!("line {}, column {}: {refusal}", at.line, at.column), advice)
        }
        other => other,
    }
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
    Ok(Applied { kind: "policy".into(), name: policy.name.to_string(), outcome, notes: notes_on(policy) })
}

/// The kernel fixes a vault's modes when it is made.
async fn encryption_stays(tx: &mut dyn Tx, row: &PolicyRow, policy: &VaultPolicy) -> Result<(), Refusal> {
    if row.policy.node.encryption == policy.node.encryption
        || tx.vault_with_policy(&row.project, policy.name.as_str()).await?.is_none()
    {
        return Ok(());
    }
    Err(Refusal::conflict(
        format!("policy `{}` has vaults, and the encryption of a vault can't be changed", policy.name),
        "write a new policy and make new vaults under it",
    ))
}

pub(crate) async fn named_policy(
    tx: &mut dyn Tx,
    project: &Project,
    name: &Name,
) -> Result<VaultPolicy, Refusal> {
    let unknown = || Refusal::NotFound {
        what: format!("policy `{}`", name),
        advice: "put a `kind: VaultPolicy` document of that name into the file".into(),
    };
    Ok(tx.policy(project, name.as_str()).await?.ok_or_else(unknown)?.policy)
}

/// Whether it can be met wherever it is named. That turns on nothing of a device but its TPM, so one of each kind stands for all.
/// A vault that is being removed does not count: whoever keeps it again has it held against its policy then.
async fn fits_its_vaults(tx: &mut dyn Tx, project: &Project, policy: &VaultPolicy) -> Result<(), Refusal> {
    for tpm in [Tpm::Absent, Tpm::Present, Tpm::Unknown] {
        let Some(row) = tx.vault_with_policy_and_tpm(project, policy.name.as_str(), tpm).await? else {
            continue;
        };
        let device = tx.device(row.device).await?.ok_or(Refusal::Internal("a vault without a device"))?;
        fits(&device, policy).map_err(|refusal| match refusal {
            Refusal::Conflict { problem, advice } => {
                Refusal::conflict(format!("{problem}, where vault `{}` names it", row.name), advice)
            }
            other => other,
        })?;
    }
    Ok(())
}

/// Whether the policy can ever be met on this device.
pub(crate) fn fits(device: &DeviceRow, policy: &VaultPolicy) -> Result<Vec<String>, Refusal> {
    let impossible = |what: &str| {
        Refusal::conflict(
            format!("policy `{}` {what}, and device `{}` has no TPM", policy.name, device.name),
            "use a policy with `custody: controller` and no `require: [pcrs]` for this device",
        )
    };
    match device.tpm {
        Tpm::Absent if policy.node.custody.needs_tpm() => Err(impossible("asks for a TPM")),
        Tpm::Absent if policy.attest.require.contains(&Check::Pcrs) => {
            Err(impossible("requires measured PCRs"))
        }
        Tpm::Unknown => Ok(vec!["it is not known yet whether this device has a TPM".into()]),
        Tpm::Absent | Tpm::Present => Ok(Vec::new()),
    }
}

fn notes_on(policy: &VaultPolicy) -> Vec<String> {
    let mut notes = Vec::new();
    if policy.node.seal == vault::section::Seal::Pcrs {
        notes.push("not escrowed: after an update of firmware or system the vault will not open".into());
    }
    if policy.node.custody.needs_controller() && policy.attest.require.is_empty() {
        notes.push("nothing is required of the evidence but its identity and session".into());
    }
    notes
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
