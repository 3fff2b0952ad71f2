//! Devices, vaults and policies as the operator sees them. Explains every refusal in full. Holds no secret.

use std::collections::HashMap;

use vault::ids::{DeviceId, Generation, Name, Project, VaultId};
use vault::labels::Labels;
use vault::policy::VaultPolicy;
use vault::section::MAX_VAULTS;
use wire::Certificate;

use super::Operator;
use super::elsewhere::Elsewhere;
use super::escrow::{behind, in_escrow};
use super::key_words::{is_withheld, of_its_key, opened_at, withheld_for};
use super::strays::{is_known, orphans};
use super::views::is_behind;
use crate::api::{
    Damaged, Described, DeviceView, InEscrow, Listed, PolicyView, ServerStatus, Standing, VaultView,
};
use crate::custody::unopened;
use crate::fleet::heard::is_silent;
use crate::fleet::reported::said_at;
use crate::fleet::view::View;
use crate::service::{Controller, Fault, Refusal, find_device};
use crate::store::{
    DeviceRow, OrDamaged, Page, PolicyRow, StoreError, Strange, Tx, UnixSeconds, VaultRow, VaultStanding,
};
use crate::words::key::OfKey;
use crate::words::withheld::Why;

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
    ) -> Result<Vec<Listed<DeviceView>>, Refusal> {
        let read = self.store.read(|tx| Box::pin(self.devices_and_keys(tx, selector, page, now)));
        let shown = |Seen { device, behind, elsewhere, strange }| {
            DeviceView::of((self.heard.newest(device), behind), &elsewhere, self.drill_every_s, now)
                .heard_by(&self.heard)
                .withheld_for(strange)
                .in_a_list()
        };
        Ok(read.await?.into_iter().map(|row| row.map(shown).into()).collect())
    }

    /// A page of devices, and for what their keys are withheld.
    async fn devices_and_keys(
        &self,
        tx: &mut dyn Tx,
        selector: Option<&Labels>,
        page: &Page,
        now: UnixSeconds,
    ) -> Result<Vec<OrDamaged<Seen>>, Refusal> {
        let rows = match selector {
            None => tx.devices(&self.project, page).await?,
            Some(labels) => tx.devices_named_by(&self.project, labels, page).await?,
        };
        let mut judged = Vec::with_capacity(rows.len());
        for row in rows {
            judged.push(match row {
                OrDamaged::Whole(device) => OrDamaged::Whole(self.seen(tx, device, now).await?),
                OrDamaged::Damaged(row) => OrDamaged::Damaged(row),
            });
        }
        Ok(judged)
    }

    async fn seen(&self, tx: &mut dyn Tx, device: DeviceRow, now: UnixSeconds) -> Result<Seen, Refusal> {
        let view = readable(strange_view(self, tx, &device).await)?.flatten();
        let (behind, elsewhere) = (behind(tx, &device).await?, Elsewhere::of(tx, &device).await?);
        Ok(Seen { behind, elsewhere, strange: view.and_then(|view| withheld_for(&view, now)), device })
    }

    /// One device with its vaults, and what is done about each key.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn show_device(&self, which: &str, now: UnixSeconds) -> Result<Described, Refusal> {
        let stored = self.store.read(|tx| Box::pin(self.stored(tx, which))).await?;
        let ends_held = stored.ends_held;
        let Described { device, vaults } = self.described(stored, None, now);
        Ok(Described { device, vaults: told_held(vaults, ends_held) })
    }

    /// With so many of the vaults that its node alone speaks of, where that is said.
    fn described(&self, stored: AsStored, most: Option<usize>, now: UnixSeconds) -> Described {
        let AsStored { device, behind, elsewhere, rows, view, .. } = stored;
        let device = self.heard.newest(device);
        let all = most.map(|most| orphans(&device, &elsewhere, most, now));
        let (mut rows, mut vaults) = split(rows);
        let damaged: Vec<Damaged> = vaults.iter().filter_map(damaged).cloned().collect();
        // Of one name, the one that is there comes before those that were.
        rows.sort_by_key(|row| row.standing == VaultStanding::Gone);
        let own: Vec<_> = match &view {
            Ok((view, _)) => rows.iter().map(|row| explained(view, (&device, behind), row, now)).collect(),
            Err(why) => rows.iter().map(|row| unexplained(why, &device, row, now)).collect(),
        };
        let shown =
            DeviceView::of((device, behind), &elsewhere, self.drill_every_s, now).heard_by(&self.heard);
        let shown = match view {
            Ok((view, older_alone)) => {
                let escrow = in_escrow(&view, behind, self.drill_every_s, now);
                let escrow = escrow.map(|escrow| InEscrow { older_alone, ..escrow });
                DeviceView { escrow, ..shown.withheld_for(withheld_for(&view, now)) }
            }
            Err(_) => shown,
        };
        let unlisted = shown.default_vaults.iter().filter(|vault| rows.iter().all(|row| row.id != vault.id));
        // What was removed, and its node has all the same, is told once: as its node has it.
        let is_told = |vault: &VaultView| shown.orphans.iter().any(|told| told.id == vault.id);
        let own = own.into_iter().filter(|vault| vault.standing != Standing::Gone || !is_told(vault));
        vaults.extend(unlisted.cloned().chain(own).map(Listed::Row));
        // What a row that does not read is of is none of nobody's.
        let is_damaged = |vault: &VaultView| damaged.iter().any(|row| row.may_be(vault.device, vault.id));
        let orphans = all
            .unwrap_or(shown.orphans)
            .into_iter()
            .filter(|vault| !is_known(&rows, vault) && !is_damaged(vault));
        let orphans = orphans.collect();
        let shown = DeviceView { orphans, ..shown }.held_against(self.incarnation);
        Described { device: shown, vaults }
    }

    /// All vaults that one device is known to have.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn show_vaults_of(
        &self,
        which: &str,
        now: UnixSeconds,
    ) -> Result<Vec<Listed<VaultView>>, Refusal> {
        let stored = self.store.read(|tx| Box::pin(self.stored(tx, which))).await?;
        let ends_held = stored.ends_held;
        let Described { device, mut vaults } = self.described(stored, Some(MAX_VAULTS), now);
        vaults.extend(device.orphans.into_iter().map(Listed::Row));
        Ok(told_held(vaults, ends_held))
    }

    async fn stored(&self, tx: &mut dyn Tx, which: &str) -> Result<AsStored, Refusal> {
        let device = find_device(tx, &self.project, which).await?;
        let rows = tx.vaults_listed(device.id).await?;
        let view = unless_damaged(self.judged(tx, &device, which).await)?;
        let (behind, elsewhere) = (behind(tx, &device).await?, Elsewhere::of(tx, &device).await?);
        let ends_held = ends_are_held(self, tx).await?;
        Ok(AsStored { device, behind, elsewhere, rows, view, ends_held })
    }

    async fn judged(
        &self,
        tx: &mut dyn Tx,
        device: &DeviceRow,
        which: &str,
    ) -> Result<(View, Vec<String>), Refusal> {
        let unopened = unopened(tx, &self.kek, device).await?;
        let loaded = View::load(&self.verdicts, tx, device.clone()).await?;
        let view = View { unopened, put_back: self.put_back, ..loaded };
        Ok((view, self.older_alone(tx, which).await?))
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
    ) -> Result<Vec<Listed<VaultView>>, Refusal> {
        let page = self.store.read(|tx| Box::pin(vaults_and_devices(self, tx, &self.project, after, limit)));
        let Around { rows, devices, strange, policies, ends_held } = page.await?;
        let devices: HashMap<_, _> =
            devices.into_iter().map(|(row, behind)| (row.id, (self.heard.newest(row), behind))).collect();
        let shown = |row: VaultRow| match devices.get(&row.device) {
            Some((device, behind)) => {
                in_a_list((strange.get(&row.device), &policies), (device, *behind), &row, now)
            }
            None => VaultView::from(&row),
        };
        let rows = rows.into_iter().map(|row| row.map(|row| shown(row).in_a_list()).into()).collect();
        Ok(told_held(rows, ends_held))
    }

    /// Policies by name, in their canonical form.
    ///
    /// # Errors
    /// [`Refusal`] of the store's.
    pub async fn show_policies(&self, page: &Page) -> Result<Vec<Listed<PolicyView>>, Refusal> {
        let rows = self.store.read(|tx| tx.policies(&self.project, page)).await?;
        let shown = |row: PolicyRow| PolicyView {
            name: row.policy.name.clone(),
            threats: crate::words::threats::of_policy(&row.policy),
            policy: row.policy,
            changed: crate::clock::text(row.changed_at),
        };
        Ok(rows.into_iter().map(|row| row.map(shown).into()).collect())
    }
}

/// A device in a list, and for what its keys are withheld.
struct Seen {
    device: DeviceRow,
    /// The generation in force, where no bundle of it is here.
    behind: Option<Generation>,
    elsewhere: Elsewhere,
    strange: Option<Strange>,
}

/// A page of vaults, the devices that they are of, all around those whose evidence shows PCRs of no reference value, and the policies that
/// they name.
struct Around {
    rows: Vec<OrDamaged<VaultRow>>,
    devices: Vec<(DeviceRow, Option<Generation>)>,
    strange: HashMap<DeviceId, View>,
    policies: Policies,
    ends_held: bool,
}

/// By name.
pub(super) type Policies = HashMap<Name, VaultPolicy>;

/// Reads those that vaults name and that are not there yet; but what is damaged, which the list of policies names.
pub(super) async fn read_policies(
    tx: &mut dyn Tx,
    project: &Project,
    rows: &[VaultRow],
    policies: &mut Policies,
) -> Result<(), Refusal> {
    for name in rows.iter().filter_map(|row| row.policy.as_ref()) {
        if !policies.contains_key(name) {
            let row = readable(tx.policy(project, name.as_str()).await.map_err(Refusal::from))?.flatten();
            policies.extend(row.map(|row| (name.clone(), row.policy)));
        }
    }
    Ok(())
}

async fn vaults_and_devices(
    of: &Controller,
    tx: &mut dyn Tx,
    project: &Project,
    after: Option<(DeviceId, VaultId)>,
    limit: u32,
) -> Result<Around, Refusal> {
    let rows = tx.all_vaults(project, after, limit).await?;
    let (mut devices, mut strange) = (Vec::new(), HashMap::new());
    let whole: Vec<_> = rows.iter().cloned().filter_map(|row| row.whole().ok()).collect();
    // In the order of their devices.
    for first in whole.chunk_by(|one, next| one.device == next.device).filter_map(<[_]>::first) {
        let device = readable(tx.device(first.device).await.map_err(Refusal::from))?;
        let Some(device) = device.flatten() else { continue };
        let view = readable(strange_view(of, tx, &device).await)?.flatten();
        strange.extend(view.map(|view| (device.id, view)));
        let behind = behind(tx, &device).await?;
        devices.push((device, behind));
    }
    let mut policies = HashMap::new();
    read_policies(tx, project, &whole, &mut policies).await?;
    let ends_held = ends_are_held(of, tx).await?;
    Ok(Around { rows, devices, strange, policies, ends_held })
}

/// Whether no grace ends, of any device.
async fn ends_are_held(of: &Controller, tx: &mut dyn Tx) -> Result<bool, Refusal> {
    Ok(of.put_back || tx.one_older().await?.is_some())
}

/// With that said of those whose grace runs.
fn told_held(vaults: Vec<Listed<VaultView>>, ends_held: bool) -> Vec<Listed<VaultView>> {
    let told = |listed: Listed<VaultView>| match listed {
        Listed::Row(vault) if vault.standing == Standing::Removing => {
            Listed::Row(VaultView { held: ends_held, ..vault })
        }
        other => other,
    };
    vaults.into_iter().map(told).collect()
}

/// One device as the database has it.
struct AsStored {
    device: DeviceRow,
    /// The generation in force, where no bundle of it is here.
    behind: Option<Generation>,
    elsewhere: Elsewhere,
    rows: Vec<OrDamaged<VaultRow>>,
    /// It, judged, and the vaults that older bundles alone have something of; or what of it is damaged.
    view: Result<(View, Vec<String>), String>,
    /// No grace ends, of any device.
    ends_held: bool,
}

pub(super) fn damaged(row: &Listed<VaultView>) -> Option<&Damaged> {
    match row {
        Listed::Damaged(damaged) => Some(damaged),
        Listed::Row(_) => None,
    }
}

/// Those that read, and those that do not as they are told.
pub(super) fn split<T>(rows: Vec<OrDamaged<VaultRow>>) -> (Vec<VaultRow>, Vec<Listed<T>>) {
    let (mut whole, mut damaged) = (Vec::new(), Vec::new());
    for row in rows {
        match row {
            OrDamaged::Whole(row) => whole.push(row),
            OrDamaged::Damaged(row) => damaged.push(Listed::Damaged(row.into())),
        }
    }
    (whole, damaged)
}

/// What was asked for, or what is damaged of it. Any other error stays one.
pub(super) fn unless_damaged<T>(asked: Result<T, Refusal>) -> Result<Result<T, String>, Refusal> {
    match asked {
        Ok(it) => Ok(Ok(it)),
        Err(Refusal::Store(StoreError::Damaged(what))) => Ok(Err(what)),
        Err(other) => Err(other),
    }
}

/// For a list: nothing in place of what is damaged.
pub(super) fn readable<T>(asked: Result<T, Refusal>) -> Result<Option<T>, Refusal> {
    Ok(unless_damaged(asked)?.ok())
}

/// Where something that its key depends on is damaged.
fn unexplained(damaged: &str, device: &DeviceRow, row: &VaultRow, now: UnixSeconds) -> VaultView {
    let shown = VaultView::from(row).noted(row, device, None);
    let shown = shown.aged(device, said_at(row, device.report.get()), now);
    let why = Why::plain(format!("the database is damaged: {damaged}"));
    VaultView { withheld: true, ..shown }.keyed(Some(OfKey::Withheld(why)))
}

fn explained(
    view: &View,
    (device, behind): (&DeviceRow, Option<Generation>),
    row: &VaultRow,
    now: UnixSeconds,
) -> VaultView {
    if let Some(damaged) = view.damaged.get(&row.id) {
        return unexplained(damaged, device, row, now);
    }
    let held = view.vaults.iter().find(|held| held.row.id == row.id);
    let withheld = held.is_some_and(|held| is_withheld(view, held, now));
    let policy = held.map(|held| &held.policy);
    let shown = VaultView { withheld, ..row.into() }.noted(row, device, policy).fitted(
        policy,
        &view.device,
        behind.is_some() || is_behind(row, now),
    );
    let shown = shown.aged(device, said_at(row, device.report.get()), now);
    let opened_at = opened_at(&shown).filter(|_| !is_silent(device, now));
    let key = held.map(|held| of_its_key(view, held, opened_at, now));
    let key = key.map(|key| match key {
        // It would be released, and opens nothing.
        OfKey::Ready { .. } if shown.last_time => OfKey::NotHere,
        key => key,
    });
    shown.keyed(key)
}

/// What a list says of it: why a key is withheld where the evidence shows PCRs of no reference value, and else nothing of its key.
pub(super) fn in_a_list(
    (strange, policies): (Option<&View>, &Policies),
    (device, behind): (&DeviceRow, Option<Generation>),
    row: &VaultRow,
    now: UnixSeconds,
) -> VaultView {
    let policy = row.policy.as_ref().and_then(|name| policies.get(name));
    match strange {
        Some(view) => explained(view, (device, behind), row, now).if_withheld(),
        None => {
            let is_behind = behind.is_some() || is_behind(row, now);
            let noted = VaultView::from(row).noted(row, device, policy);
            let fitted = noted.fitted(policy, device, is_behind);
            fitted.aged(device, said_at(row, device.report.get()), now)
        }
    }
}

/// All around a device whose last evidence shows PCRs of no reference value, or of which a key does not open; of others a list judges nothing.
pub(super) async fn strange_view(
    of: &Controller,
    tx: &mut dyn Tx,
    device: &DeviceRow,
) -> Result<Option<View>, Refusal> {
    let unopened = unopened(tx, &of.kek, device).await?;
    if unopened.is_empty() && device.verdict.get().and_then(|fared| fared.strange).is_none() {
        return Ok(None);
    }
    let loaded = View::load(&of.verdicts, tx, device.clone()).await?;
    Ok(Some(View { unopened, put_back: of.put_back, ..loaded }))
}
