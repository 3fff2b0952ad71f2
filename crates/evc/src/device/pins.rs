//! The certificates of a device's keys, pinned at first sight.

use ::attest::{AkPublic, DeviceKey, NotPinned, Pinning, pin};
use vault::decide::TpmPin;
use vault::ids::DeviceId;
use wire::attest::{AttestResponse, DeviceCert, DeviceCertKind};

use super::attest::there;
use crate::fleet::evidence::{ATTESTATION_CERT, ENDORSEMENT_CERT, taken_off};
use crate::service::{Barred, Controller, Message, Refusal};
use crate::store::{CertRow, DeviceRow, Scope, Tx, UnixSeconds};

impl Controller {
    pub(super) async fn pin(
        &self,
        id: DeviceId,
        certs: Vec<DeviceCert>,
        now: UnixSeconds,
    ) -> Result<AttestResponse, Refusal> {
        self.store.write(Scope::Device(id), |tx| Box::pin(pin_all(tx, id, &certs, now))).await?;
        Ok(AttestResponse::Certs)
    }
}

fn cert_row(device: &DeviceRow, cert: &DeviceCert, now: UnixSeconds) -> CertRow {
    let kind = match cert.kind {
        DeviceCertKind::Onboarding => 10,
        DeviceCertKind::Attestation => ATTESTATION_CERT,
        DeviceCertKind::Endorsement => ENDORSEMENT_CERT,
        DeviceCertKind::Ecdh => 13,
    };
    CertRow { device: device.id, kind, pem: cert.pem.clone(), public: cert.tpm_public.clone(), added_at: now }
}

pub(super) async fn pin_all(
    tx: &mut dyn Tx,
    device: DeviceId,
    certs: &[DeviceCert],
    now: UnixSeconds,
) -> Result<(), Refusal> {
    let device = there(tx, device).await?;
    for cert in certs {
        let row = cert_row(&device, cert, now);
        if row.kind == ATTESTATION_CERT && row.public.is_some() {
            tx.pin_tpm(device.id, with_tpm(&device, &row)?).await?;
        }
        pin_one(tx, &device, &row).await?;
    }
    Ok(())
}

/// As [`::attest::pin`] says.
async fn pin_one(tx: &mut dyn Tx, device: &DeviceRow, row: &CertRow) -> Result<(), Refusal> {
    let certs = tx.certs(row.device).await?;
    let of_kind = |kind: i32| certs.iter().find(|known| known.kind == kind).map(Known::of);
    let (pinned, was) = (of_kind(row.kind), of_kind(taken_off(row.kind)));
    let shown = Known::of(row);
    let (kind, device) = (row.kind, device.name.clone());
    match pin(&shown.key(), pinned.as_ref().map(Known::key).as_ref(), was.as_ref().map(Known::key).as_ref()) {
        Ok(Pinning::AsItIs) => Ok(()),
        Ok(Pinning::Now) => Ok(tx.put_cert(row).await?),
        Err(NotPinned::Other) => Err(Barred::Pinned { kind, device }.into()),
        Err(NotPinned::TakenOff) => Err(Barred::TakenOff { kind, device }.into()),
    }
}

/// A row, and what its certificate is of.
struct Known<'a> {
    row: &'a CertRow,
    spki: Option<Vec<u8>>,
}

impl<'a> Known<'a> {
    fn of(row: &'a CertRow) -> Self {
        Self { row, spki: spki(&row.pem) }
    }

    fn key(&self) -> DeviceKey<'_> {
        DeviceKey { cert: &self.row.pem, spki: self.spki.as_deref(), public: self.row.public.as_deref() }
    }
}

/// An attestation key with its public area is a TPM's: from then on the device quotes, always. So it must be a key that can quote, and
/// a device that was believed to have no TPM does not get one by its own word: its vaults are made without.
fn with_tpm(device: &DeviceRow, row: &CertRow) -> Result<TpmPin, Refusal> {
    if device.tpm == TpmPin::Absent {
        return Err(Barred::LateTpm { device: device.name.clone() }.into());
    }
    let read = AkPublic::from_tpm2b(row.public.as_deref().unwrap_or_default());
    Ok(read.map(|_| TpmPin::Present).map_err(Message::AttestationKey)?)
}

/// SubjectPublicKeyInfo of a certificate, DER.
fn spki(pem: &[u8]) -> Option<Vec<u8>> {
    let (_, pem) = x509_parser::pem::parse_x509_pem(pem).ok()?;
    let certificate = pem.parse_x509().ok()?;
    Some(certificate.public_key().raw.to_vec())
}
