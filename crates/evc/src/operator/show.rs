//! Devices, vaults and policies as the operator sees them. Explains every refusal in full. Holds no secret.

use std::collections::HashMap;

use vault::decide::{Decision, Ruling, Withheld, decide};
use vault::ids::{DeviceId, Epoch, Name, Project, VaultId};
use vault::labels::Labels;
use vault::policy::VaultPolicy;
use vault::report::State;
use wire::Certificate;

use ::attest::SessionKey;

use super::Operator;
use super::escrow::in_escrow;
use crate::api::{DeviceView, InEscrow, PolicyView, ServerStatus, StateNow, VaultView};
use crate::fleet::fared::strange;
use crate::fleet::heard::is_silent;
use crate::fleet::reported::{is_held_to, said_at};
use crate::fleet::section::subject;
use crate::fleet::view::{ListedVault, View};
use crate::service::{Controller, Fault, Refusal, Verdicts, find_device};
use crate::store::{Appraised, DeviceRow, Page, Strange, Tx, UnixSeconds, VaultRow, VaultStanding};
use crate::words::notes::withheld_from_who_is_ahead;

impl Controller {
    /// Itself, at a glance. Nothing of it is secret.
    ///
    /// # Errors
    /// [`Fault::Certificate`]: its own root certificate does not read.
    pub fn status(&self, now: UnixSeconds) -> Result<ServerStatus, Refusal> {
        let root =
            Certificate::from_pem(self.authority.root_pem.as_bytes()).map_err(|_| Fault::Certificate)?;
        Ok(ServerStatus {
            version: env!("CARGO_PKG_VERSION").into(),
            root_fingerprint: hex::encode(root.digest().0),
            incarnation: hex::encode(self.incarnation.0),
            now: crate::clock::text(now),
        })
    }
}

impl Operator {
    /// Devices by name; with a selector, those with its labels.
    ///
    /// # Errors
    /// [`Refusal`] of the store's.
    pub async fn show_devices(
        &self,
        selector: Option<&Labels>,
        page: &Page,
        now: UnixSeconds,
    ) -> Result<Vec<DeviceView>, Refusal> {
        let read = self.store.read(|tx| Box::pin(self.devices_and_keys(tx, selector, page, now)));
        let rows = read.await?.into_iter().map(|(row, why)| (self.heard.newest(row), why));
        Ok(rows
            .map(|(row, why)| DeviceView::of(row, self.drill_every_s, now).withheld_for(why).in_a_list())
            .collect())
    }

    /// A page of devices, and for what their keys are withheld.
    async fn devices_and_keys(
        &self,
        tx: &mut dyn Tx,
        selector: Option<&Labels>,
        page: &Page,
        now: UnixSeconds,
    ) -> Result<Vec<(DeviceRow, Option<Strange>)>, Refusal> {
        let rows = match selector {
            None => tx.devices(&self.project, page).await?,
            Some(labels) => tx.devices_named_by(&self.project, labels, page).await?,
        };
        let mut judged = Vec::with_capacity(rows.len());
        for row in rows {
            let view = strange_view(&self.verdicts, tx, &row).await?;
            judged.push((row, view.and_then(|view| withheld_for(&view, now))));
        }
        Ok(judged)
    }

    /// One device with its vaults, and what is done about each key.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn show_device(
        &self,
        which: &str,
        now: UnixSeconds,
    ) -> Result<(DeviceView, Vec<VaultView>), Refusal> {
        let read = self.store.read(|tx| Box::pin(self.stored(tx, which)));
        let ((device, mut rows, view), older_alone) = read.await?;
        // Of one name, the one that is there comes before those that were.
        rows.sort_by_key(|row| row.standing == VaultStanding::Gone);
        let device = self.heard.newest(device);
        let vaults: Vec<_> = rows.iter().map(|row| explained(&view, &device, row, now)).collect();
        let shown = DeviceView::of(device, self.drill_every_s, now).withheld_for(withheld_for(&view, now));
        let escrow = in_escrow(&view, self.drill_every_s, now);
        let escrow = escrow.map(|escrow| InEscrow { older_alone, ..escrow });
        let shown = DeviceView { escrow, ..shown };
        let unlisted = shown.default_vaults.iter().filter(|vault| rows.iter().all(|row| row.id != vault.id));
        let vaults = unlisted.cloned().chain(vaults).collect();
        Ok((shown, vaults))
    }

    async fn stored(
        &self,
        tx: &mut dyn Tx,
        which: &str,
    ) -> Result<((DeviceRow, Vec<VaultRow>, View), Vec<String>), Refusal> {
        let stored = stored(&self.verdicts, tx, &self.project, which).await?;
        let older_alone = self.older_alone(tx, which).await?;
        Ok((stored, older_alone))
    }

    /// Vaults of all devices, after one of them.
    ///
    /// # Errors
    /// [`Refusal`] of the store's.
    pub async fn show_vaults(
        &self,
        after: Option<(DeviceId, VaultId)>,
        limit: u32,
        now: UnixSeconds,
    ) -> Result<Vec<VaultView>, Refusal> {
        let page = self
            .store
            .read(|tx| Box::pin(vaults_and_devices(&self.verdicts, tx, &self.project, after, limit)));
        let Around { rows, devices, strange, policies } = page.await?;
        let devices: HashMap<_, _> =
            devices.into_iter().map(|row| (row.id, self.heard.newest(row))).collect();
        let shown = |row: &VaultRow| match devices.get(&row.device) {
            Some(device) => in_a_list((strange.get(&row.device), &policies), device, row, now),
            None => row.into(),
        };
        Ok(rows.iter().map(|row| shown(row).in_a_list()).collect())
    }

    /// Policies by name, in their canonical form.
    ///
    /// # Errors
    /// [`Refusal`] of the store's.
    pub async fn show_policies(&self, page: &Page) -> Result<Vec<PolicyView>, Refusal> {
        let rows = self.store.read(|tx| tx.policies(&self.project, page)).await?;
        let shown = rows.into_iter().map(|row| PolicyView {
            name: row.policy.name.clone(),
            threats: crate::words::threats::of_policy(&row.policy),
            policy: row.policy,
            changed: crate::clock::text(row.changed_at),
        });
        Ok(shown.collect())
    }
}

/// A page of vaults, the devices that they are of, all around those whose evidence shows PCRs of no reference value, and the policies that
/// they name.
struct Around {
    rows: Vec<VaultRow>,
    devices: Vec<DeviceRow>,
    strange: HashMap<DeviceId, View>,
    policies: Policies,
}

/// By name.
pub(super) type Policies = HashMap<Name, VaultPolicy>;

/// Reads those that vaults name and that are not there yet.
pub(super) async fn read_policies(
    tx: &mut dyn Tx,
    project: &Project,
    rows: &[VaultRow],
    policies: &mut Policies,
) -> Result<(), Refusal> {
    for name in rows.iter().filter_map(|row| row.policy.as_ref()) {
        if !policies.contains_key(name)
            && let Some(row) = tx.policy(project, name.as_str()).await?
        {
            policies.insert(name.clone(), row.policy);
        }
    }
    Ok(())
}

async fn vaults_and_devices(
    verdicts: &Verdicts,
    tx: &mut dyn Tx,
    project: &Project,
    after: Option<(DeviceId, VaultId)>,
    limit: u32,
) -> Result<Around, Refusal> {
    let rows = tx.all_vaults(project, after, limit).await?;
    let (mut devices, mut strange) = (Vec::<DeviceRow>::new(), HashMap::new());
    // In the order of their devices.
    for of in rows.chunk_by(|one, next| one.device == next.device).filter_map(<[_]>::first) {
        let Some(device) = tx.device(of.device).await? else { continue };
        let view = strange_view(verdicts, tx, &device).await?;
        strange.extend(view.map(|view| (device.id, view)));
        devices.push(device);
    }
    let mut policies = HashMap::new();
    read_policies(tx, project, &rows, &mut policies).await?;
    Ok(Around { rows, devices, strange, policies })
}

async fn stored(
    verdicts: &Verdicts,
    tx: &mut dyn Tx,
    project: &Project,
    which: &str,
) -> Result<(DeviceRow, Vec<VaultRow>, View), Refusal> {
    let device = find_device(tx, project, which).await?;
    let rows = tx.vaults(device.id).await?;
    let view = View::load(verdicts, tx, device.clone()).await?;
    Ok((device, rows, view))
}

fn explained(view: &View, device: &DeviceRow, row: &VaultRow, now: UnixSeconds) -> VaultView {
    let held = view.vaults.iter().find(|held| held.row.id == row.id);
    let withheld = held.is_some_and(|held| is_withheld(view, held, now));
    let shown = VaultView { withheld, ..row.into() }.fitted(held.map(|held| &held.policy), &view.device);
    let shown = shown.aged(device, said_at(row, device.report.get()), now);
    let opened_at = opened_at(&shown).filter(|_| !is_silent(device, now));
    let key = held.map(|held| key_words(view, held, opened_at, now));
    VaultView { key, ..shown }
}

/// What a list says of it: why a key is withheld where the evidence shows PCRs of no reference value, and else nothing of its key.
pub(super) fn in_a_list(
    (strange, policies): (Option<&View>, &Policies),
    device: &DeviceRow,
    row: &VaultRow,
    now: UnixSeconds,
) -> VaultView {
    let policy = row.policy.as_ref().and_then(|name| policies.get(name));
    match strange {
        Some(view) => explained(view, device, row, now).if_withheld(),
        None => {
            VaultView::from(row).fitted(policy, device).aged(device, said_at(row, device.report.get()), now)
        }
    }
}

/// All around a device whose last evidence shows PCRs of no reference value; of others a list judges nothing.
pub(super) async fn strange_view(
    verdicts: &Verdicts,
    tx: &mut dyn Tx,
    device: &DeviceRow,
) -> Result<Option<View>, Refusal> {
    match device.verdict.get().and_then(|fared| fared.strange) {
        Some(_) => View::load(verdicts, tx, device.clone()).await.map(Some),
        None => Ok(None),
    }
}

/// What of the evidence that stands keeps a key back; none where it keeps none.
pub(super) fn withheld_for(view: &View, now: UnixSeconds) -> Option<Strange> {
    let why = strange(&view.stands.as_ref()?.shown)?;
    view.vaults.iter().any(|held| is_withheld(view, held, now)).then_some(why)
}

/// Whether a key that would be released is withheld for what the evidence shows.
fn is_withheld(view: &View, held: &ListedVault, now: UnixSeconds) -> bool {
    matches!(decided(view, held, now).ruling, Ruling::Withhold(Withheld::Failed { .. }))
}

fn decided(view: &View, held: &ListedVault, now: UnixSeconds) -> Decision {
    let session = view.stands.as_ref().map_or(SessionKey([0; 32]), |stands| SessionKey(stands.row.session));
    decide(&subject(held), &view.evidence(), &view.asking(session), now)
}

/// The epoch at which the vault is open, by its node's word.
fn opened_at(shown: &VaultView) -> Option<Epoch> {
    shown.reported_epoch.filter(|_| matches!(shown.state, Some(StateNow::Said(State::Unlocked))))
}

fn key_words(view: &View, held: &ListedVault, opened_at: Option<Epoch>, now: UnixSeconds) -> String {
    let session = view.stands.as_ref().map_or(SessionKey([0; 32]), |stands| SessionKey(stands.row.session));
    if let Some(other) = is_held_to(&view.device) {
        return format!(
            "of no use: the node takes no list for this device, it holds to that of device {other}"
        );
    }
    match decided(view, held, now).ruling {
        Ruling::NotNeeded => "not needed: the TPM alone holds the key".into(),
        _ if let Some(older) = view.device.older => withheld_from_who_is_ahead(older),
        Ruling::Release(_) => match refused_since(view) {
            // What is good is of an earlier session; the present one has shown nothing that is.
            Some(why) => format!("withheld: evidence refused: {why}"),
            None => released(&session, opened_at),
        },
        Ruling::Withhold(why) => match refused_since(view) {
            Some(refused) => format!("withheld: evidence refused: {refused}; before that: {}", why.explain()),
            None => format!("withheld: {}", why.explain()),
        },
    }
}

/// Of a key that nothing keeps back: whether it is there already.
fn released(session: &SessionKey, opened_at: Option<Epoch>) -> String {
    let session = hex::encode(&session.0[..4]);
    match opened_at {
        Some(epoch) => {
            format!("released: the vault is open at epoch {epoch}; session {session} may have it again")
        }
        None => format!("would be released to session {session}"),
    }
}

/// Why the last evidence was refused, when none was good since.
fn refused_since(view: &View) -> Option<String> {
    let fared = view.device.verdict.get()?;
    let since = view.stands.as_ref().is_none_or(|stands| stands.row.at <= fared.at);
    (since && fared.outcome == Appraised::Refused).then(|| fared.words.join("; "))
}
