//! Vaults as they are put on devices: by a document of one device, and by a rule of those with some labels.

use uuid::Uuid;
use vault::decide::TpmPin;
use vault::defaults;
use vault::ids::{Name, Project, VaultId};
use vault::labels::Labels;
use vault::life::{Applied, AskedVault, Fit, Unfit, UnfitDefault, Writer, applied, fits, fits_default};
use vault::policy::{VaultPolicy, VaultRule, VaultSpec};

use super::defaults::add_vault;
use super::life::{beside_defaults, listed, new_row};
use super::view::policy_of;
use crate::api::Outcome;
use crate::custody::Kek;
use crate::service::{InTheWay, Refusal, Unknown, in_life};
use crate::store::{
    DeviceRow, OrDamaged, Page, RuleRow, Tx, UnixSeconds, VaultRow, VaultStanding, next_page,
};

/// Rules that are read at once.
const PAGE: u32 = 500;

/// A vault that was brought to what is written.
pub(crate) struct Placed {
    pub(crate) outcome: Outcome,
    /// It is being removed, and a rule leaves it so.
    pub(crate) left: bool,
    /// Or why it can't be opened on this device, where it was there before: nobody's word about himself undoes what is there.
    pub(crate) fit: Result<Fit, Unfit>,
    /// As it was before.
    pub(crate) before: Option<VaultRow>,
}

/// Brings a device's vault to what is written.
///
/// # Errors
/// [`Refusal`]: before anything is written, but for the store's.
pub(crate) async fn place(
    tx: &mut dyn Tx,
    kek: &Kek,
    device: &DeviceRow,
    (by, spec): (Writer, &VaultSpec),
    now: UnixSeconds,
) -> Result<Placed, Refusal> {
    let policy = named_policy(tx, &device.project, &spec.policy).await?;
    if spec.default_vault().is_some() {
        held_against_default(&policy, &spec.name)?;
    }
    let before = existing(tx, device, spec).await?;
    let is_new = before.as_ref().is_none_or(|row| !is_placed(row, spec));
    if is_new {
        held_against(device, &policy)?;
    }
    let fit = fits(&policy, device.tpm);
    let present = made_under(tx, device, spec, before.as_ref()).await?.map(|under| under.node.encryption);
    let wish = AskedVault { by, policy: &spec.policy, encryption: policy.node.encryption, present };
    let outcome = bring(tx, kek, device, (spec, before.as_ref()), wish, now).await?;
    let left = outcome.is_none();
    Ok(Placed { outcome: outcome.unwrap_or(Outcome::Unchanged), left, fit, before })
}

/// As [`fits_default`] says.
pub(crate) fn held_against_default(policy: &VaultPolicy, vault: &Name) -> Result<(), Refusal> {
    let Some(id) = defaults::named(vault) else { return Ok(()) };
    let (of, vault) = (policy.name.clone(), vault.clone());
    fits_default(policy, id).map_err(|cause| match cause {
        UnfitDefault::Lease => InTheWay::LeaseOfDefault { policy: of, vault }.into(),
        UnfitDefault::Limit => InTheWay::LimitOfConfig { policy: of, vault }.into(),
    })
}

/// Whether a document only says again what is so.
fn is_placed(row: &VaultRow, spec: &VaultSpec) -> bool {
    row.standing == VaultStanding::Active && row.policy.as_ref() == Some(&spec.policy)
}

/// None: it is left as it is, which is not as written.
async fn bring(
    tx: &mut dyn Tx,
    kek: &Kek,
    device: &DeviceRow,
    (spec, there): (&VaultSpec, Option<&VaultRow>),
    wish: AskedVault<'_>,
    now: UnixSeconds,
) -> Result<Option<Outcome>, Refusal> {
    let others = match there {
        None => beside_defaults(&tx.vaults(device.id).await?),
        Some(_) => 0,
    };
    let id = there.map(|row| row.id).or(spec.default_vault());
    let id = id.unwrap_or_else(|| VaultId(Uuid::new_v4()));
    let there = there.map(listed).transpose()?;
    let became = applied(id, there, wish, others).map_err(|cause| in_life(device, &spec.name, cause))?;
    match became {
        Applied::Created(vault) => {
            add_vault(tx, kek, new_row(device, (id, spec.name.clone()), vault, now)).await?;
            Ok(Some(Outcome::Created))
        }
        Applied::Unchanged => Ok(Some(Outcome::Unchanged)),
        Applied::Left => Ok(None),
        Applied::Changed(vault) => {
            tx.want_vault(device.id, id, vault.policy.as_ref()).await?;
            Ok(Some(Outcome::Changed))
        }
    }
}

/// The rules that name a device by its labels, and did not by those that it had before. One for a default vault, of before such were
/// refused, gives nothing: that vault is there.
pub(crate) async fn newly_named(
    tx: &mut dyn Tx,
    device: &DeviceRow,
    before: &Labels,
) -> Result<Vec<VaultRule>, Refusal> {
    let (mut all, mut page) = (Vec::new(), Some(Page::first(PAGE)));
    while let Some(this) = page {
        let rows = tx.rules(&device.project, &this).await?;
        page = next_page(this, &rows, |row| &row.rule.name);
        let rules = rows.into_iter().filter_map(readable);
        let rules = rules.map(|row| row.rule).filter(|rule| defaults::named(&rule.name).is_none());
        all.extend(
            rules.filter(|rule| {
                device.labels.are_named_by(&rule.devices) && !before.are_named_by(&rule.devices)
            }),
        );
    }
    Ok(all)
}

/// A rule that does not read gives nothing, and keeps no device from what others give.
fn readable(row: OrDamaged<RuleRow>) -> Option<RuleRow> {
    row.whole().inspect_err(|error| tracing::error!(%error, "this rule gives no vault")).ok()
}

/// The vault of a rule on a device that it names newly. One of that name that an operator wrote for this device, or removes, is left as it is.
///
/// # Errors
/// As [`place`].
pub(crate) async fn follow(
    tx: &mut dyn Tx,
    kek: &Kek,
    device: &DeviceRow,
    rule: &VaultRule,
    now: UnixSeconds,
) -> Result<Outcome, Refusal> {
    let spec = rule.of(device.id);
    match existing(tx, device, &spec).await? {
        Some(VaultRow { policy: Some(_), .. }) => Ok(Outcome::Unchanged),
        _ => Ok(place(tx, kek, device, (Writer::Rule, &spec), now).await?.outcome),
    }
}

pub(crate) async fn named_policy(
    tx: &mut dyn Tx,
    project: &Project,
    name: &Name,
) -> Result<VaultPolicy, Refusal> {
    let row = tx.policy(project, name.as_str()).await?;
    Ok(row.ok_or_else(|| Unknown::Policy { policy: name.clone() })?.policy)
}

/// Holds a policy against a device that is newly to have a vault under it.
pub(crate) fn held_against(device: &DeviceRow, policy: &VaultPolicy) -> Result<Fit, InTheWay> {
    fits(policy, device.tpm).map_err(|why| InTheWay::Unfit {
        policy: policy.name.clone(),
        device: device.name.clone(),
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
        None => Ok(spec.default_vault().map(|_| VaultPolicy::of_default_vault(device.tpm != TpmPin::Absent))),
    }
}
