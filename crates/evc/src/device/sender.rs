//! Who signed a message: an envelope is opened by the key of the device that is registered under its sender, and a device reaches only
//! what lies under its own UUID. What was found of a sender is remembered (`fleet::settled`), so that the next message of its costs one
//! verification, and no look into the store while nothing of the device was written.

use vault::ids::DeviceId;
use wire::envelope::{DeviceEnvelope, EnvelopeError, Verified};
use wire::{Certificate, P256PublicKey};

use crate::fleet::settled::KnownSender;
use crate::service::{Barred, Controller, Fault, Refusal, Unproved};
use crate::store::{DeviceRow, Stored, Tx, UnixSeconds};

/// Who signed a message, and what.
pub struct Sender {
    /// Who.
    pub device: DeviceId,
    /// What.
    pub payload: Vec<u8>,
}

/// A sender in the view in which it was found.
pub(super) struct Found<'e> {
    pub(super) row: DeviceRow,
    pub(super) key: P256PublicKey,
    pub(super) verified: Verified<'e>,
}

impl Controller {
    /// Opens a message; `path` is the UUID under which it came, where it came under one.
    ///
    /// # Errors
    /// [`Refusal`]: nobody is known by the certificate, the signature is not good, or the path is another device's.
    pub async fn open(
        &self,
        envelope: &DeviceEnvelope,
        path: Option<&str>,
        now: UnixSeconds,
    ) -> Result<Sender, Refusal> {
        let as_of = self.store.as_of();
        let known = self.verified(envelope)?;
        if let Some((known, verified)) = known.filter(|(known, _)| self.is_still(known)) {
            self.heard_from(known.device, path, now)?;
            return Ok(Sender { device: known.device, payload: verified.payload().to_vec() });
        }
        let known = known.map(|(known, verified)| (known.key, verified));
        let Found { row, key, verified } =
            self.store.glance(|tx| Box::pin(find(tx, envelope, known))).await?;
        self.names.learn(row.id, &row.name);
        self.heard_from(row.id, path, now)?;
        self.settled.keep(envelope.sender(), KnownSender { key, device: row.id, as_of, unchanged: None });
        Ok(Sender { device: row.id, payload: verified.payload().to_vec() })
    }

    /// Verifies by a key that is remembered; none is.
    fn verified<'e>(
        &self,
        envelope: &'e DeviceEnvelope,
    ) -> Result<Option<(KnownSender, Verified<'e>)>, Refusal> {
        let Some(known) = self.settled.of(&envelope.sender()) else { return Ok(None) };
        Ok(Some((known, verified_by(envelope, &known.key)?)))
    }

    /// Whether what is remembered is what a view of now would say. Asked last: after what takes long.
    pub(super) fn is_still(&self, known: &KnownSender) -> bool {
        self.store.unchanged_since(known.as_of, known.device)
    }

    /// Counts the device as heard, whichever path it took.
    pub(super) fn heard_from(
        &self,
        device: DeviceId,
        path: Option<&str>,
        now: UnixSeconds,
    ) -> Result<(), Barred> {
        self.heard.from(device, now);
        match path {
            Some(path) if path.parse::<DeviceId>().ok() != Some(device) => Err(Barred::OthersPath),
            _ => Ok(()),
        }
    }
}

/// The device that signed, as it is in this view; `known` is the sender's key and the message, where that was verified by it before. The
/// key needs no other look: whoever is registered under the digest has it.
pub(super) async fn find<'e>(
    tx: &mut dyn Tx,
    envelope: &'e DeviceEnvelope,
    known: Option<(P256PublicKey, Verified<'e>)>,
) -> Result<Found<'e>, Refusal> {
    let sender = envelope.sender();
    let Some(row) = tx.device_by_cert(&sender.0).await? else {
        return Err(stranger(tx, &sender.0).await?.into());
    };
    if let Some((key, verified)) = known {
        return Ok(Found { row, key, verified });
    }
    let key = *Certificate::from_der(&row.cert_der).map_err(|_| Fault::Certificate)?.public_key();
    let verified = verified_by(envelope, &key)?;
    Ok(Found { row, key, verified })
}

pub(super) fn verified_by<'e>(
    envelope: &'e DeviceEnvelope,
    key: &P256PublicKey,
) -> Result<Verified<'e>, Refusal> {
    envelope.verify_by(key).map_err(unproved)
}

/// Nobody is known by the certificate; one that was removed is told so.
async fn stranger(tx: &mut dyn Tx, cert_digest: &[u8; 32]) -> Stored<Unproved> {
    let removed = tx.removed_device(cert_digest, &[0; 32]).await?;
    Ok(removed.map_or(Unproved::NoSuchCertificate, |_| Unproved::Removed))
}

fn unproved(error: EnvelopeError) -> Refusal {
    match error {
        EnvelopeError::BadSignature => Unproved::Signature.into(),
        other => other.into(),
    }
}
