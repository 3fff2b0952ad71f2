//! The operator's acts on a device: it is lost, or found; its alarm is settled; its vaults go over to the device that it became. That it goes
//! for good is [`super::deletion`]'s. Each is one transaction with what is decided for the device, so after its commit no key goes out that was not to.

use vault::decide::Bars;
use vault::ids::{DeviceId, Name, Project};
use vault::ledger::{Mark, held_back};
use vault::life::{Move, NotRehomed, Rehomed, Target};
use vault::report::{State, VaultReport};
use vault::section::Custody;

use super::Operator;
use super::again::confirmed;
use super::deletion::{called, find_remains};
use super::operate::{Found, find_vault};
use crate::api::{Confirmation, Done, Rehoming};
use crate::custody::{rehome, went_out_under};
use crate::fleet::at_stake::{at_stake, is_closed};
use crate::fleet::evidence::{ATTESTATION_CERT, ENDORSEMENT_CERT, taken_off};
use crate::fleet::life::{beside_defaults, life, new_row};
use crate::fleet::placed::held_against;
use crate::fleet::reported::{is_held_to, orphans};
use crate::fleet::view::policy_of;
use crate::service::{Irrevocable, Refusal, device_by_id, find_device, in_life, key_shut};
use crate::store::{CertRow, DeviceRow, Scope, StoreError, Tx, UnixSeconds, VaultRow, readable};
use crate::words::marks::{Settled, of_found, of_lost, of_repinned, of_settled};
use crate::words::notes::{Moved, of_moved};

impl Operator {
    /// From this commit on nothing is released to the device, and it is told to lock what it holds. Safe to repeat.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn lose(&self, device: &str, now: UnixSeconds) -> Result<Done, Refusal> {
        let id = self.store.read(|tx| Box::pin(find_remains(tx, &self.project, device))).await?.id;
        let which = id.to_string();
        let mark = self.store.write(Scope::Device(id), |tx| Box::pin(bar(tx, &self.project, &which, now)));
        let Lost { name, mark, closes } = mark.await?;
        self.lost_here.say(id);
        Ok(of_lost(&name, held_back(mark, self.put_back), &closes))
    }

    /// Takes the mark off. Safe to repeat.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn find(&self, device: &str) -> Result<Done, Refusal> {
        let id = self.meant(device).await?;
        let found = self.store.write(Scope::Device(id), |tx| Box::pin(unmark(tx, &self.project, id)));
        let Unmarked { name, elsewhere, doubled, mark } = found.await?;
        let bars = Bars { lost: false, older: held_back(mark, self.put_back), doubled };
        Ok(of_found(&name, bars, elsewhere))
    }

    /// An operator looked, and there is one device, and this is the newest database of it. Safe to repeat.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn settle(&self, device: &str, how: &Confirmation) -> Result<Done, Refusal> {
        let id = self.meant(device).await?;
        let settled = self.store.write(Scope::Device(id), |tx| Box::pin(settle(tx, &self.project, id, how)));
        let settled = settled.await?;
        let older = held_back(None, self.put_back);
        Ok(of_settled(&settled, Bars { lost: settled.lost, older, doubled: false }))
    }

    /// An operator says that the device's TPM has other keys from now on: the next that it shows are pinned. It has a TPM all the same, and must
    /// quote. Safe to repeat.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn repin(&self, device: &str, how: &Confirmation) -> Result<Done, Refusal> {
        let id = self.meant(device).await?;
        let repin = self.store.write(Scope::Device(id), |tx| Box::pin(repin(tx, &self.project, id, how)));
        let name = repin.await?;
        tracing::info!(device = %id, %name, "the attestation key of a device is forgotten by an operator's word");
        Ok(of_repinned(&name))
    }

    /// Moves a vault of custody `controller` to the device that its own became, with all of its keys.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn rehome(&self, from: &str, vault: &Name, how: &Rehoming) -> Result<Done, Refusal> {
        let moved = self.store.write(Scope::Fleet, |tx| Box::pin(self.moved(tx, from, vault, how)));
        Ok(of_moved(&moved.await?))
    }

    async fn moved(
        &self,
        tx: &mut dyn Tx,
        from: &str,
        name: &Name,
        Rehoming { to, confirm }: &Rehoming,
    ) -> Result<Moved, Refusal> {
        let from = find_device(tx, &self.project, from).await?;
        let Found { device: old, row, vault } = find_vault(tx, from, name).await?;
        let leaves = || Irrevocable::Rehome { device: old.name.clone() };
        confirmed(confirm.as_deref(), (&row.name, row.id.0), leaves)?;
        let new = find_device(tx, &self.project, to).await?;
        let there = tx.vault(new.id, row.id).await?;
        let policy = policy_of(tx, &old, &row).await?;
        let is_others = at_stake(&row, &old, Some(&policy)).is_some() || is_closed(&row, &old);
        let went_out = went_out(tx, &row).await?;
        let beside = beside_defaults(&tx.vaults(new.id).await?);
        let how = Move {
            same_device: old.id == new.id,
            lost: old.lost_at.is_some(),
            older: held_back(old.older.or(new.older), self.put_back),
            custody: policy.node.custody,
            in_tpm: vault.is_in_tpm(&went_out),
            target: target(tx, there.as_ref()).await?,
            others: (!row.id.is_default()).then_some(beside),
        };
        let Rehomed { vault, replaces } = vault.rehome(how).map_err(|cause| match cause {
            NotRehomed::MadeThere | NotRehomed::Full => {
                in_life(&new, there.as_ref().map_or(&row.name, |own| &own.name), cause)
            }
            _ => in_life(&old, &row.name, cause),
        })?;
        held_against(&new, &policy)?;
        if replaces {
            tx.drop_vault(new.id, row.id).await?;
        }
        let moved = rehome(tx, &self.kek, &row, &new).await;
        let shut = moved.map_err(|error| key_shut(error, &old.name, &row.name))?;
        tx.drop_vault(old.id, row.id).await?;
        let opened = row.report.get().and_then(|report| report.opened.clone());
        let row = new_row(&new, (row.id, row.name), vault, row.added_at);
        tx.add_vault(&row).await.map_err(|error| match error {
            StoreError::Taken => in_life(&new, &row.name, NotRehomed::NameTaken),
            other => other.into(),
        })?;
        let by_tpm_too = went_out.contains(&Custody::TpmAndController);
        Ok(Moved { vault: row.name, from: old.name, to: new.name, by_tpm_too, opened, shut, is_others })
    }
}

/// Of a damaged row as of any other: it asks for nothing of it but what it is.
async fn bar(tx: &mut dyn Tx, project: &Project, which: &str, now: UnixSeconds) -> Result<Lost, Refusal> {
    let of = find_remains(tx, project, which).await?;
    // The first word counts.
    tx.set_lost(of.id, Some(of.lost_at.unwrap_or(now))).await?;
    // Of a row that does not read no more is known.
    let row = match tx.device(of.id).await {
        Err(StoreError::Damaged(_)) => None,
        row => row?,
    };
    let (name, mark) = (called(&of).to_string(), row.as_ref().and_then(|row| row.older));
    if let Some(mark) = mark {
        tx.set_older(of.id, Some(mark.with_lost(true))).await?;
    }
    let closes = match row {
        Some(row) => closes(tx, &row).await?,
        None => Vec::new(),
    };
    Ok(Lost { name, mark, closes })
}

/// A device that is lost from now on.
struct Lost {
    name: String,
    mark: Option<Mark>,
    /// Vaults that it has open, under keys that are not here.
    closes: Vec<Name>,
}

async fn closes(tx: &mut dyn Tx, device: &DeviceRow) -> Result<Vec<Name>, Refusal> {
    let rows = readable(tx.vaults_listed(device.id).await?);
    let listed = rows.iter().filter(|row| at_stake(row, device, None).is_some()).map(|row| row.name.clone());
    let is_open = |told: &&VaultReport| told.state == State::Unlocked && told.epoch.is_some();
    let has_row = |told: &&VaultReport| rows.iter().any(|row| row.id == told.id);
    let others = orphans(device).filter(is_open).filter(|told| !has_row(told)).map(|told| told.name.clone());
    Ok(listed.chain(others).collect())
}

/// What is left of a device that is not lost any more.
struct Unmarked {
    name: Name,
    /// Which other device's lists its node holds to, if so.
    elsewhere: Option<DeviceId>,
    /// Its alarm stands.
    doubled: bool,
    mark: Option<Mark>,
}

async fn unmark(tx: &mut dyn Tx, project: &Project, id: DeviceId) -> Result<Unmarked, Refusal> {
    let row = device_by_id(tx, project, id).await?;
    tx.set_lost(row.id, None).await?;
    if let Some(mark) = row.older {
        tx.set_older(row.id, Some(mark.with_lost(false))).await?;
    }
    // What it was ordered while nothing is numbered to it stands after its last section: that one, said again under its number, does not lift it.
    tx.end_section(row.id).await?;
    let (elsewhere, doubled) = (is_held_to(&row), row.alarm.is_some());
    Ok(Unmarked { name: row.name, elsewhere, doubled, mark: row.older })
}

async fn settle(
    tx: &mut dyn Tx,
    project: &Project,
    id: DeviceId,
    how: &Confirmation,
) -> Result<Settled, Refusal> {
    let row = device_by_id(tx, project, id).await?;
    // That the whole database was put back is not of one device, and stays.
    let older = row.older.and_then(Mark::was_shown);
    if row.alarm.is_some() || older.is_some() {
        confirmed(how.confirm.as_deref(), (&row.name, row.id.0), || Irrevocable::Settle)?;
    }
    tx.set_alarm(row.id, None).await?;
    if older.is_some() {
        tx.set_older(row.id, row.older.and_then(Mark::settled)).await?;
        let mut ledger = row.ledger.clone();
        if older.is_some_and(|older| ledger.settle(older)) {
            tx.put_ledger(row.id, &ledger).await?;
        }
    }
    // Which of the two spoke last is nobody's proof: whichever speaks now begins anew, and the other one is heard. Reports of before stay over.
    tx.settle_sessions(row.id).await?;
    tx.renew_standing(row.id).await?;
    // What called last is behind what stands, and would be refused for that for ever. Else what stands goes on.
    let anew = row.alarm.is_some() && row.verdict.get().is_some_and(|fared| fared.went_back);
    if anew {
        tx.drop_standing(row.id).await?;
    }
    Ok(Settled { name: row.name, lost: row.lost_at.is_some(), alarm: row.alarm, older, anew })
}

async fn repin(
    tx: &mut dyn Tx,
    project: &Project,
    id: DeviceId,
    how: &Confirmation,
) -> Result<Name, Refusal> {
    let row = device_by_id(tx, project, id).await?;
    confirmed(how.confirm.as_deref(), (&row.name, row.id.0), || Irrevocable::Repin)?;
    let certs = tx.certs(row.id).await?;
    for kind in [ATTESTATION_CERT, ENDORSEMENT_CERT] {
        tx.drop_cert(row.id, taken_off(kind)).await?;
        // Whoever has what its node uploaded before could have that pinned again. Said while nothing is pinned, whichever comes counts.
        if let Some(pinned) = certs.iter().find(|cert| cert.kind == kind) {
            tx.put_cert(&CertRow { kind: taken_off(kind), ..pinned.clone() }).await?;
        }
        tx.drop_cert(row.id, kind).await?;
    }
    // It was signed by that key, and another TPM's counters are not held against it.
    tx.drop_standing(row.id).await?;
    Ok(row.name)
}

/// The custodies under which a vault's keys went out to its device.
pub(super) async fn went_out(tx: &mut dyn Tx, row: &VaultRow) -> Result<Vec<Custody>, Refusal> {
    let rows = tx.releases_of(row.device, row.id).await?;
    Ok(rows.iter().map(went_out_under).collect::<Result<_, _>>()?)
}

/// What a device has there. A key that went out counts, also when the node has not told yet what it made with it.
async fn target(tx: &mut dyn Tx, there: Option<&VaultRow>) -> Result<Target, Refusal> {
    let Some(row) = there else { return Ok(Target::Free) };
    Ok(Target::of(Some(&life(row)?), !tx.releases_of(row.device, row.id).await?.is_empty()))
}
