//! The operator's acts on a device: it is lost, or found; its alarm is settled; its vaults go over to the device that it became. That it goes
//! for good is [`super::deletion`]'s. Each is one transaction with what is decided for the device, so after its commit no key goes out that was not to.

use vault::decide::{Barred, Bars};
use vault::ids::{DeviceId, Name, Project};
use vault::ledger::{Mark, Older, held_back};
use vault::life::{Move, NotRehomed, Rehomed, Target};
use vault::section::Custody;

use super::Operator;
use super::again::confirmed;
use super::deletion::{called, find_remains};
use super::operate::{Found, find_vault};
use crate::api::{Confirmation, Done, Rehoming};
use crate::custody::{rehome, went_out_under};
use crate::fleet::evidence::{ATTESTATION_CERT, ENDORSEMENT_CERT, taken_off};
use crate::fleet::life::{beside_defaults, life, new_row};
use crate::fleet::placed::held_against;
use crate::fleet::reported::is_held_to;
use crate::fleet::view::policy_of;
use crate::service::{Irrevocable, Refusal, device_by_id, find_device, in_life};
use crate::store::{Alarm, CertRow, Scope, StoreError, Tx, UnixSeconds, VaultRow};
use crate::words::evidence::of_alarm;
use crate::words::notes::{Moved, of_found_elsewhere, of_moved};
use crate::words::older_advice;

impl Operator {
    /// From this commit on nothing is released to the device, and it is told to lock what it holds. Safe to repeat.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn lose(&self, device: &str, now: UnixSeconds) -> Result<Done, Refusal> {
        let id = self.store.read(|tx| Box::pin(find_remains(tx, &self.project, device))).await?.id;
        let which = id.to_string();
        let mark = self.store.write(Scope::Device(id), |tx| Box::pin(bar(tx, &self.project, &which, now)));
        let (name, mark) = mark.await?;
        let older = held_back(mark, self.put_back).map(|older| {
            format!(
                "no list is sent to it, for {older}; it is ordered to lock all that it has all the same: {}",
                older_advice(older)
            )
        });
        Ok(Done {
            done: format!("device `{name}` is lost: no key goes out to it from now on"),
            notes: vec![
                "at its next contact it is told to lock its vaults and `image`, whatever its evidence shows; until then, and if it never comes, what is open there stays open"
                    .into(),
                "`config` stays open unless it has a policy of its own, or the node has no TPM: it holds the node's record of this controller's lists, and no app's data; where it is ordered to be locked, the node's own agents hold it, and it stays `lock-incomplete` until the node is stopped or boots"
                    .into(),
                "a vault with custody `tpm` can be opened by who has the device, without this controller".into(),
            ]
            .into_iter()
            .chain(older)
            .collect(),
        })
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
        Ok(Done {
            done: format!("device `{name}` is not lost any more: {}", released_to(bars)),
            notes: elsewhere.map(|other| of_found_elsewhere(&name, other)).into_iter().collect(),
        })
    }

    /// An operator looked, and there is one device, and this is the newest database of it. Safe to repeat.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn settle(&self, device: &str, how: &Confirmation) -> Result<Done, Refusal> {
        let id = self.meant(device).await?;
        let settled = self.store.write(Scope::Device(id), |tx| Box::pin(settle(tx, &self.project, id, how)));
        let Settled { name, lost, alarm, older, anew } = settled.await?;
        let bars = Bars { lost, older: held_back(None, self.put_back), doubled: false };
        let done = format!("device `{name}` is one: {}", released_to(bars));
        let was = alarm.map(|alarm| format!("it was: {}", of_alarm(&alarm, &name)));
        let newest = older.map(|older| {
            format!("it was: {older}; if it tells that again, this database is not the newest: bring that one back")
        });
        let anew = anew.then(|| {
            "its TPM is behind what it was, as that of a machine that was set back: its next evidence begins a new history of it, and nothing of before is held against it"
                .into()
        });
        Ok(Done { done, notes: was.into_iter().chain(newest).chain(anew).collect() })
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
        Ok(Done {
            done: format!("device `{name}`: the next attestation key that it shows is pinned"),
            notes: vec![
                "whoever has its device key can show one: see with `evc describe device` that evidence is accepted, and of the boot that you expect"
                    .into(),
                "the key that was pinned is not pinned again; if it is the one that the device has after all, say this once more".into(),
                "what its TPM had a part in opens only if that part is still there; vaults with custody `controller` open as before".into(),
            ],
        })
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
        rehome(tx, &self.kek, &row, &new).await?;
        tx.drop_vault(old.id, row.id).await?;
        let opened = row.report.get().and_then(|report| report.opened.clone());
        let row = new_row(&new, (row.id, row.name), vault, row.added_at);
        tx.add_vault(&row).await.map_err(|error| match error {
            StoreError::Taken => in_life(&new, &row.name, NotRehomed::NameTaken),
            other => other.into(),
        })?;
        let by_tpm_too = went_out.contains(&Custody::TpmAndController);
        Ok(Moved { vault: row.name, from: old.name, to: new.name, by_tpm_too, opened })
    }
}

/// Whether keys go out to a device of which something was taken off, or what is left that keeps them.
pub(super) fn released_to(bars: Bars) -> String {
    match bars.barred() {
        Some(Barred::Lost) => {
            "it is marked as lost all the same, and gets no key until `evc device found`".into()
        }
        Some(Barred::Older(older)) => {
            format!("no key is released to it all the same: {older}; {}", older_advice(older))
        }
        Some(Barred::Doubled) => {
            "its alarm stands all the same, and no key is released to it until `evc device settle`".into()
        }
        None => "keys are released to it as its policies say".into(),
    }
}

/// Of a damaged row as of any other: it asks for nothing of it but what it is.
async fn bar(
    tx: &mut dyn Tx,
    project: &Project,
    which: &str,
    now: UnixSeconds,
) -> Result<(String, Option<Mark>), Refusal> {
    let of = find_remains(tx, project, which).await?;
    // The first word counts.
    tx.set_lost(of.id, Some(of.lost_at.unwrap_or(now))).await?;
    // Of a row that does not read the mark is not known.
    let mark = match tx.device(of.id).await {
        Err(StoreError::Damaged(_)) => None,
        row => row?.and_then(|row| row.older),
    };
    Ok((called(&of).to_string(), mark))
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
    // What it was ordered while nothing is numbered to it stands after its last section: that one, said again under its number, does not lift it.
    tx.end_section(row.id).await?;
    let (elsewhere, doubled) = (is_held_to(&row), row.alarm.is_some());
    Ok(Unmarked { name: row.name, elsewhere, doubled, mark: row.older })
}

/// What was settled.
struct Settled {
    name: Name,
    /// It is marked as lost, and stays so.
    lost: bool,
    alarm: Option<Alarm>,
    /// That it was further on than this database.
    older: Option<Older>,
    /// Its evidence begins a new history.
    anew: bool,
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
