//! Onboarding of a device: an allowed certificate and serial, once; who the device is.

use uuid::Uuid;
use vault::ids::{DeviceId, Name};
use wire::Certificate;
use wire::envelope::DeviceEnvelope;
use wire::register::Register;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::{Controller, Refusal};
use crate::store::{DeviceRow, OnboardRow, StoreError, Tpm, Tx, UnixSeconds};

/// Any serial, in an allowance.
pub const ANY_SERIAL: &str = "*";

/// How a registration went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registered {
    /// A new device.
    New,
    /// The same certificate, again.
    Again,
}

impl Controller {
    /// Registers a device.
    ///
    /// # Errors
    /// [`Refusal`]: malformed, not allowed, expired, or the serial is another device's.
    pub async fn register(&self, envelope: DeviceEnvelope, now: UnixSeconds) -> Result<Registered, Refusal> {
        let (onboard, payload) = envelope.verify_registration().map_err(|e| unverified(&e))?;
        let register = Register::decode(&payload).map_err(|e| Refusal::message(&e))?;
        valid(&onboard, now, "onboarding")?;
        valid(register.certificate(), now, "device")?;
        let mut tx = self.store.write().await?;
        let allowed = allowance(&mut *tx, &onboard, &register).await?;
        if let Some(known) = tx.device_by_cert(&register.certificate().digest().0).await? {
            return again(&allowed, &known);
        }
        if allowed.device.is_some() && allowed.serial != ANY_SERIAL {
            return Err(Refusal::conflict(
                "this onboarding certificate and serial were used by another device",
                "if that device is gone, allow another serial with `evc onboard add`",
            ));
        }
        let device = add(&mut *tx, &allowed, &register, now).await?;
        tx.use_onboarding(&allowed.cert_digest, &allowed.serial, device).await?;
        tx.commit().await?;
        tracing::info!(%device, serial = register.serial(), "device registered");
        Ok(Registered::New)
    }
}

fn unverified(error: &wire::envelope::EnvelopeError) -> Refusal {
    match error {
        wire::envelope::EnvelopeError::BadSignature => Refusal::Unauthorized("the signature does not verify"),
        wire::envelope::EnvelopeError::UnknownSender => {
            Refusal::Unauthorized("the certificate is not the one that is named")
        }
        other => Refusal::message(other),
    }
}

/// A certificate is good only in its own time.
fn valid(certificate: &Certificate, now: UnixSeconds, which: &str) -> Result<(), Refusal> {
    let unreadable = || Refusal::bad(format!("the {which} certificate does not read"), "make a new one");
    let (_, x509) = X509Certificate::from_der(certificate.der()).map_err(|_| unreadable())?;
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    let validity = x509.validity();
    if now < validity.not_before.timestamp() || now > validity.not_after.timestamp() {
        return Err(Refusal::Forbidden {
            problem: format!("the {which} certificate is not valid at this time"),
            advice: "make a new one, and see that the clocks are right".into(),
        });
    }
    Ok(())
}

async fn allowance(
    tx: &mut dyn Tx,
    onboard: &Certificate,
    register: &Register,
) -> Result<OnboardRow, Refusal> {
    for serial in [register.serial(), register.soft_serial(), ANY_SERIAL] {
        if let Some(allowed) = tx.onboarding(&onboard.digest().0, serial).await? {
            return Ok(allowed);
        }
    }
    Err(Refusal::Forbidden {
        problem: format!("serial `{}` may not onboard with this certificate", register.serial()),
        advice: "allow it with `evc onboard add --cert FILE --serial SERIAL`".into(),
    })
}

/// The same device certificate under the same allowance is the same registration, said twice.
fn again(allowed: &OnboardRow, known: &DeviceRow) -> Result<Registered, Refusal> {
    if allowed.device == Some(known.id) || allowed.serial == ANY_SERIAL {
        return Ok(Registered::Again);
    }
    Err(Refusal::conflict(
        "this device certificate is registered with another onboarding certificate or serial",
        "register with the one that was used first, or make a new device certificate",
    ))
}

async fn add(
    tx: &mut dyn Tx,
    allowed: &OnboardRow,
    register: &Register,
    now: UnixSeconds,
) -> Result<DeviceId, Refusal> {
    let id = Uuid::new_v4();
    let certificate = register.certificate();
    let mut row = DeviceRow {
        id: DeviceId(id),
        name: name(allowed, register, id),
        cert_digest: certificate.digest().0,
        cert_der: certificate.der().to_vec(),
        serial: register.serial().to_owned(),
        tpm: Tpm::Unknown,
        learn: true,
        registered_at: now,
        last_seen: Some(now),
        section_version: 0,
        section_digest: None,
        report: None,
        verdict: None,
    };
    if tx.device_by_name(row.name.as_str()).await?.is_some() {
        row.name = fallback(id);
    }
    match tx.add_device(&row).await {
        Ok(()) => Ok(row.id),
        Err(StoreError::Taken) => Err(Refusal::Busy),
        Err(other) => Err(other.into()),
    }
}

fn name(allowed: &OnboardRow, register: &Register, id: Uuid) -> Name {
    let wished = allowed.name.clone();
    wished.or_else(|| register.serial().parse().ok()).unwrap_or_else(|| fallback(id))
}

fn fallback(id: Uuid) -> Name {
    format!("device-{}", id.simple()).parse().expect("39 letters, digits and hyphens")
}
