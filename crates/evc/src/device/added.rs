//! The row of a device that registers: a new one, or the one that it was. Its serial is that of its allowance, and so is its name where that says one.

use uuid::Uuid;
use vault::decide::TpmPin;
use vault::ids::{DeviceId, Name, Project};
use vault::text::is_word;
use wire::register::Register;

use super::register::{ANY_SERIAL, key};
use crate::service::{NotAdmitted, Refusal};
use crate::store::{DeletedRow, DeviceRow, NodeWord, OnboardRow, StoreError, Tx, UnixSeconds};

/// The serial that it is let in by; by an allowance for any, the one that it says.
pub(super) fn serial<'a>(allowed: &'a OnboardRow, register: &'a Register) -> &'a str {
    if allowed.serial == ANY_SERIAL { said(register) } else { &allowed.serial }
}

/// The hardware's serial, or the installer's, by its own word.
pub(super) fn said(register: &Register) -> &str {
    if register.serial().is_empty() { register.soft_serial() } else { register.serial() }
}

/// A new device; or the one that it was, which goes on where it stopped.
pub(super) async fn add(
    tx: &mut dyn Tx,
    (allowed, was): (&OnboardRow, Option<&DeletedRow>),
    register: &Register,
    now: UnixSeconds,
) -> Result<DeviceId, Refusal> {
    let id = was.map_or_else(Uuid::new_v4, |was| was.device.0);
    let labels = was.filter(|_| allowed.labels.is_empty()).map_or(&allowed.labels, |was| &was.labels);
    let certificate = register.certificate();
    let row = DeviceRow {
        id: DeviceId(id),
        project: allowed.project.clone(),
        name: name(tx, (allowed, was), register, id).await?,
        labels: labels.clone(),
        cert_digest: certificate.digest().0,
        cert_der: certificate.der().to_vec(),
        key: Some(key(certificate)),
        serial: serial(allowed, register).to_owned(),
        let_in_by: (allowed.serial == ANY_SERIAL).then_some(allowed.cert_digest),
        tpm: TpmPin::Unknown,
        learn: true,
        registered_at: now,
        last_seen: Some(now),
        proved_at: None,
        answered: 0,
        section_version: 0,
        section_digest: None,
        report: NodeWord::nothing(),
        verdict: NodeWord::nothing(),
        ledger: vault::ledger::Ledger::default(),
        older: None,
        lost_at: None,
        alarm: None,
        reported: None,
        uploaded: None,
        held: None,
        drills: NodeWord::nothing(),
        no_room_at: None,
    };
    match tx.add_device(&row).await {
        Ok(()) => {}
        Err(StoreError::Taken) => return Err(Refusal::Busy),
        Err(other) => return Err(other.into()),
    }
    if let Some(was) = was {
        tx.go_on(was.id, row.id).await?;
    }
    Ok(row.id)
}

/// The operator's word first: one that was to have the name of another is not silently called otherwise. One that is what it was has its name again. A device's own serial is a name only where no other device has it, and none is to get it.
async fn name(
    tx: &mut dyn Tx,
    (allowed, was): (&OnboardRow, Option<&DeletedRow>),
    register: &Register,
    id: Uuid,
) -> Result<Name, Refusal> {
    let project = &allowed.project;
    match &allowed.name {
        Some(given) if tx.device_by_name(project, given.as_str()).await?.is_none() => {
            return Ok(given.clone());
        }
        Some(given) if allowed.serial != ANY_SERIAL => {
            return Err(NotAdmitted::OthersName { name: given.clone() }.into());
        }
        _ => {}
    }
    if let Some(was) = was
        && !is_taken(tx, project, &was.name).await?
    {
        return Ok(was.name.clone());
    }
    match own_name(serial(allowed, register)) {
        Some(own) if !is_taken(tx, project, &own).await? => Ok(own),
        _ => Ok(fallback(id)),
    }
}

/// The serial, where it is a name of one word: what a device calls itself is typed into commands. One that reads as a UUID would be taken for another
/// device's identity.
fn own_name(serial: &str) -> Option<Name> {
    serial.parse().ok().filter(|_| is_word(serial) && serial.parse::<Uuid>().is_err())
}

/// Whether a device of the project has this name, or is to get it when it registers.
async fn is_taken(tx: &mut dyn Tx, project: &Project, name: &Name) -> Result<bool, Refusal> {
    Ok(tx.remains(project, name.as_str()).await?.is_some() || tx.name_is_kept(project, name).await?)
}

fn fallback(id: Uuid) -> Name {
    format!("device-{}", id.simple()).parse().expect("39 letters, digits and hyphens")
}
