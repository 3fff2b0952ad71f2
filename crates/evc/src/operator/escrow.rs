//! Bundles in escrow, as operators see them. Nothing here gives a bundle back.

use std::collections::{BTreeMap, BTreeSet};

use ::attest::SessionKey;
use vault::decide::escrow;
use vault::defaults;
use vault::escrow::BundleId;
use vault::escrow::history::InHistory;
use vault::ids::{DeviceId, Generation, Name, Project, VaultId};
use vault::ledger::held_back;

use super::Operator;
use super::again::confirmed;
use crate::api::{Bundle, Confirmation, Done, DrillState, DrillView, InEscrow, Listed as OneOf};
use crate::custody::history;
use crate::fleet::view::View;
use crate::service::{InTheWay, Irrevocable, Refusal, Unknown, device_by_id, find_device};
use crate::store::{DamagedRow, DeviceRow, HeldBundle, OrDamaged, Scope, Tx, UnixSeconds};
use crate::words::escrow as words;

/// What is in escrow of a device, with its drills, of which one is made `every_s`.
pub(super) fn held(
    device: &DeviceRow,
    behind: Option<Generation>,
    every_s: u64,
    now: UnixSeconds,
) -> Option<InEscrow> {
    let HeldBundle { id, received_at } = device.held?;
    Some(InEscrow {
        generation: id.generation,
        behind,
        digest: hex::encode(id.digest),
        received: crate::clock::text(received_at),
        given_back: None,
        older_alone: Vec::new(),
        drill: drill(device, every_s, now)?,
        no_room: no_room(device, false),
    })
}

/// As long as the database is, or may be, older than the device none of its bundles is forgotten by itself.
fn no_room(device: &DeviceRow, put_back: bool) -> Option<String> {
    let older = held_back(device.older, put_back);
    device.no_room_at.map(|since| words::of_no_room(&device.name, since, older))
}

/// The generation in force, where no bundle of it is here. Of a TPM that was set back and forth an older bundle may be of it, and is what is given
/// back: the others are read only where the newest is of an earlier one.
pub(super) async fn behind(tx: &mut dyn Tx, device: &DeviceRow) -> Result<Option<Generation>, Refusal> {
    let Some(in_force) = newest_is_before(device) else { return Ok(None) };
    let bundles = tx.bundles(device.id).await?;
    Ok(bundles.iter().all(|listed| listed.held.id.generation != in_force).then_some(in_force))
}

/// The generation in force, where the newest bundle is of an earlier one. That of the next one comes before the next one is in force.
fn newest_is_before(device: &DeviceRow) -> Option<Generation> {
    let in_force = in_force(device)?;
    device.held.filter(|held| held.id.generation < in_force).map(|_| in_force)
}

/// The generation of the TPM's secrets that the node said last is in force. What is of one before it opens nothing there.
pub(super) fn in_force(device: &DeviceRow) -> Option<Generation> {
    device.report.get()?.generation
}

fn drill(device: &DeviceRow, every_s: u64, now: UnixSeconds) -> Option<DrillView> {
    let (held, drills) = (device.held?.into(), device.drills.get().cloned().unwrap_or_default());
    let overdue = drills.overdue(device.id, held, every_s, now).is_some();
    let last = drills.last.as_ref();
    let failed = last.and_then(|last| last.failed.clone());
    Some(DrillView {
        state: match last {
            Some(_) if failed.is_some() => DrillState::Failed,
            _ if overdue => DrillState::Overdue,
            Some(_) => DrillState::Passed,
            None => DrillState::None,
        },
        made: last.map(|last| crate::clock::text(last.at)),
        digest: last.map(|last| hex::encode(last.bundle.digest)),
        failed,
        due: drills.due(device.id, held, every_s).map(crate::clock::text),
        ordered: drills.is_ordered().map(crate::clock::text),
    })
}

impl Operator {
    /// Those of a device, the newest first.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn bundles(&self, device: &str, now: UnixSeconds) -> Result<Vec<OneOf<Bundle>>, Refusal> {
        let read = self.store.read(|tx| Box::pin(self.listed_all(tx, device)));
        let (device, names, listed, damaged) = read.await?;
        let drill = drill(&device, self.drill_every_s, now);
        let shown = listed.into_iter().map(|(InHistory { id, at, has, offered, .. }, last)| {
            let newest = device.held.is_some_and(|newest| newest.id == id);
            let last = last.into_iter().filter(|_| !newest);
            let digest = hex::encode(id.digest);
            let drill = drill.clone().filter(|drill| newest || drill.is_on(&digest));
            Bundle {
                device: device.id,
                device_name: device.name.clone(),
                generation: id.generation,
                received: crate::clock::text(at),
                newest,
                vaults: has.vaults().map(|id| names.of(id)).collect(),
                last_of: last.map(|id| names.of(id)).collect(),
                offered,
                over: in_force(&device).filter(|now| id.generation < *now),
                drill: drill.map(|drill| drill.beside(&digest)),
                digest,
            }
        });
        let damaged = damaged.into_iter().map(|row| OneOf::Damaged(row.into()));
        Ok(shown.map(OneOf::Row).chain(damaged).collect())
    }

    /// With those that do not read.
    async fn listed_all(
        &self,
        tx: &mut dyn Tx,
        device: &str,
    ) -> Result<(DeviceRow, Names, Listed, Vec<DamagedRow>), Refusal> {
        let (device, names, listed) = self.listed(tx, device).await?;
        let damaged = tx.bundles_listed(device.id).await?.into_iter().filter_map(|row| match row {
            OrDamaged::Damaged(row) => Some(DamagedRow { device: Some(device.id.to_string()), ..row }),
            OrDamaged::Whole(_) => None,
        });
        let damaged = damaged.collect();
        Ok((device, names, listed, damaged))
    }

    async fn listed(&self, tx: &mut dyn Tx, device: &str) -> Result<(DeviceRow, Names, Listed), Refusal> {
        let device = find_device(tx, &self.project, device).await?;
        let names = Names::of_vaults(tx, device.id).await?;
        let listed = history(tx, &self.kek, &device).await?;
        Ok((device, names, listed))
    }

    /// The vaults of which an older bundle of a device has something that no newer one has.
    ///
    /// # Errors
    /// [`Refusal`].
    pub(super) async fn older_alone(&self, tx: &mut dyn Tx, device: &str) -> Result<Vec<String>, Refusal> {
        let (_, names, listed) = self.listed(tx, device).await?;
        let of: BTreeSet<VaultId> = listed.into_iter().skip(1).flat_map(|(_, last)| last).collect();
        Ok(of.into_iter().map(|id| names.of(id)).collect())
    }

    /// Has a bundle given back before newer ones of its generation, until one comes that has all that it has; none: the newest.
    ///
    /// # Errors
    /// [`Refusal`]: there is none of this name, or more than one, or it is of a generation that is over.
    pub async fn offer(&self, device: &str, digest: Option<&str>) -> Result<Done, Refusal> {
        let id = self.meant(device).await?;
        let offer = self.store.write(Scope::Device(id), |tx| Box::pin(self.offered(tx, id, digest)));
        let (device, bundle) = offer.await?;
        Ok(words::of_offered(&device, bundle))
    }

    async fn offered(
        &self,
        tx: &mut dyn Tx,
        id: DeviceId,
        digest: Option<&str>,
    ) -> Result<(Name, Option<BundleId>), Refusal> {
        let device = device_by_id(tx, &self.project, id).await?;
        let bundle = match digest {
            Some(digest) => Some(named(tx, &device, digest).await?),
            None => None,
        };
        if let Some((bundle, in_force)) =
            bundle.zip(in_force(&device)).filter(|(it, now)| it.generation < *now)
        {
            let generation = bundle.generation;
            return Err(InTheWay::BundleOver { device: device.name, generation, in_force }.into());
        }
        tx.offer_bundle(id, bundle.as_ref().map(|bundle| &bundle.digest)).await?;
        Ok((device.name, bundle))
    }

    /// Forgets one bundle, whatever it alone has.
    ///
    /// # Errors
    /// [`Refusal`]: there is none of this name, or it is the newest.
    pub async fn drop_bundle(&self, device: &str, digest: &str, how: &Confirmation) -> Result<Done, Refusal> {
        let id = self.meant(device).await?;
        let gone = self.store.write(Scope::Device(id), |tx| Box::pin(self.dropped(tx, id, digest, how)));
        let (device, bundle) = gone.await?;
        tracing::info!(%device, %bundle, "a bundle is forgotten by an operator's word");
        Ok(words::of_dropped_one(&device, bundle))
    }

    async fn dropped(
        &self,
        tx: &mut dyn Tx,
        id: DeviceId,
        digest: &str,
        how: &Confirmation,
    ) -> Result<(Name, BundleId), Refusal> {
        let device = device_by_id(tx, &self.project, id).await?;
        said_twice(&device, how)?;
        let bundle = named(tx, &device, digest).await?;
        if device.held.is_some_and(|held| held.id == bundle) {
            let generation = bundle.generation;
            return Err(InTheWay::BundleInForce { device: device.name, generation }.into());
        }
        tx.drop_bundle(id, &bundle.digest).await?;
        Ok((device.name, bundle))
    }

    /// Asks for a drill, which the device makes when it polls and its boot is approved.
    ///
    /// # Errors
    /// [`Refusal`]: there is nothing to make it on.
    pub async fn order_drill(&self, device: &str, now: UnixSeconds) -> Result<Done, Refusal> {
        let id = self.meant(device).await?;
        let body =
            self.store.write(Scope::Device(id), |tx| Box::pin(order_drill(tx, &self.project, id, now)));
        Ok(words::of_ordered(&body.await?))
    }

    /// Forgets those of a generation that is over, before their time, but for those that alone have something of a vault.
    ///
    /// # Errors
    /// [`Refusal`]: there is none, or it is the one of the newest.
    pub async fn drop_bundles(
        &self,
        device: &str,
        generation: Generation,
        how: &Confirmation,
    ) -> Result<Done, Refusal> {
        let id = self.meant(device).await?;
        let scope = Scope::Device(id);
        let gone = self.store.write(scope, |tx| Box::pin(self.dropped_of(tx, id, generation, how)));
        let (device, gone, kept) = gone.await?;
        Ok(words::of_dropped(&device.name, generation, gone, kept))
    }

    async fn dropped_of(
        &self,
        tx: &mut dyn Tx,
        id: DeviceId,
        generation: Generation,
        how: &Confirmation,
    ) -> Result<(DeviceRow, u64, u64), Refusal> {
        let device = device_by_id(tx, &self.project, id).await?;
        said_twice(&device, how)?;
        if device.held.is_some_and(|held| held.id.generation == generation) {
            return Err(InTheWay::BundleInForce { device: device.name, generation }.into());
        }
        let (mut gone, mut kept) = (0, 0);
        for (one, last) in history(tx, &self.kek, &device).await? {
            match one.id.generation == generation {
                true if last.is_empty() && !one.offered => {
                    tx.drop_bundle(id, &one.id.digest).await?;
                    gone += 1;
                }
                of_it => kept += u64::from(of_it),
            }
        }
        if gone + kept == 0 {
            return Err(Unknown::Bundle { device: device.name, generation }.into());
        }
        Ok((device, gone, kept))
    }
}

/// A device's bundles, each with the vaults that it is the last of.
type Listed = Vec<(InHistory, BTreeSet<VaultId>)>;

/// What is forgotten of a device can't be given back to it any more.
fn said_twice(device: &DeviceRow, how: &Confirmation) -> Result<(), Refusal> {
    confirmed(how.confirm.as_deref(), (&device.name, device.id.0), || Irrevocable::ForgetBundles)
}

/// Vaults by their names.
struct Names(BTreeMap<VaultId, Name>);

impl Names {
    async fn of_vaults(tx: &mut dyn Tx, device: DeviceId) -> Result<Self, Refusal> {
        Ok(Self(tx.vaults(device).await?.into_iter().map(|row| (row.id, row.name)).collect()))
    }

    fn of(&self, id: VaultId) -> String {
        let name = self.0.get(&id).cloned().or_else(|| defaults::name(id));
        name.map_or_else(|| id.to_string(), |name| name.to_string())
    }
}

/// Of a name so many letters have to be given.
const SHORTEST: usize = 8;

/// The bundle whose SHA-256 begins so.
async fn named(tx: &mut dyn Tx, device: &DeviceRow, digest: &str) -> Result<BundleId, Refusal> {
    let begins = |id: &BundleId| digest.len() >= SHORTEST && hex::encode(id.digest).starts_with(digest);
    let all: Vec<_> = tx.bundles(device.id).await?.into_iter().map(|listed| listed.held.id).collect();
    match all.into_iter().filter(begins).collect::<Vec<_>>()[..] {
        [one] => Ok(one),
        _ => Err(Unknown::BundleOfName { device: device.name.clone() }.into()),
    }
}

async fn order_drill(
    tx: &mut dyn Tx,
    project: &Project,
    id: DeviceId,
    now: UnixSeconds,
) -> Result<Name, Refusal> {
    let device = device_by_id(tx, project, id).await?;
    if device.held.is_none() {
        return Err(Unknown::NoBundle { device: device.name }.into());
    }
    let mut drills = device.drills.get().cloned().unwrap_or_default();
    drills.order(now);
    tx.put_drills(id, &drills).await?;
    Ok(device.name)
}

/// A device with what is in escrow of it, and whether it would have that back: the decision of a poll, asked for whom it would be now.
pub(super) fn in_escrow(
    view: &View,
    behind: Option<Generation>,
    every_s: u64,
    now: UnixSeconds,
) -> Option<InEscrow> {
    let held = held(&view.device, behind, every_s, now)?;
    let session = view.stands().map_or(SessionKey([0; 32]), |stands| SessionKey(stands.row.session));
    let granted = escrow(&view.evidence(), &view.asking(session), now);
    let given_back = match held.behind {
        Some(in_force) => words::of_behind(held.generation, in_force),
        None => words::of_giving_back(&granted, &view.device.name),
    };
    let no_room = no_room(&view.device, view.put_back);
    Some(InEscrow { given_back: Some(given_back), no_room, ..held })
}
