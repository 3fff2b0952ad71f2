//! The door for devices: an envelope is opened by the key of the device that is registered under its sender,
//! and a device reaches only what lies under its own UUID.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use vault::ids::DeviceId;
use wire::Certificate;
use wire::envelope::{DeviceEnvelope, EnvelopeError, seal_from_controller};

use super::App;
use super::shares::{Share, Source};
use crate::clock::now;
use crate::service::{Barred, Body, Controller, Fault, Refusal, Unproved};
use crate::store::{DeviceRow, Stored, Tx};

/// EVE's content type.
const PROTO: &str = "application/x-proto-binary";

/// A body as it came, and where from.
pub(super) struct Message {
    pub(super) source: Source,
    pub(super) body: Bytes,
}

impl<S: Send + Sync> FromRequest<S> for Message {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let source = request.extensions().get().copied().ok_or(Fault::Source)?;
        let body = Bytes::from_request(request, state).await.map_err(|_| Body::Unread)?;
        Ok(Self { source, body })
    }
}

/// While it is there, a request counts among those of its sender's at work.
pub(super) type Turn = Share<(Source, [u8; 32])>;

/// Who signed a body, and what.
pub(super) struct Sender {
    pub(super) device: DeviceRow,
    pub(super) payload: Vec<u8>,
    pub(super) _turn: Turn,
}

/// Opens a message. Busy: its sender has as many requests at work as it may.
pub(super) async fn open(app: &App, message: &Message) -> Result<Sender, Refusal> {
    let (envelope, turn) = parsed(app, message)?;
    let device = app.store.read(|tx| Box::pin(sender_of(tx, &envelope))).await?;
    let payload = verified(envelope, &device)?;
    app.heard.from(device.id, now());
    Ok(Sender { payload, device, _turn: turn })
}

/// A message that counts among its sender's, and is not verified yet.
pub(super) fn parsed(app: &App, message: &Message) -> Result<(DeviceEnvelope, Turn), Refusal> {
    let envelope = DeviceEnvelope::parse(&message.body)?;
    let turn = app.turns.take((message.source, envelope.sender().0)).ok_or(Refusal::Busy)?;
    Ok((envelope, turn))
}

/// The device that it says has signed it.
pub(super) async fn sender_of(tx: &mut dyn Tx, envelope: &DeviceEnvelope) -> Result<DeviceRow, Refusal> {
    let known = tx.device_by_cert(&envelope.sender().0).await?;
    match known {
        Some(known) => Ok(known),
        None => Err(stranger(tx, &envelope.sender().0).await?.into()),
    }
}

/// Nobody is known by the certificate; one that was removed is told so.
async fn stranger(tx: &mut dyn Tx, cert_digest: &[u8; 32]) -> Stored<Unproved> {
    let removed = tx.removed_device(cert_digest, &[0; 32]).await?;
    Ok(removed.map_or(Unproved::NoSuchCertificate, |_| Unproved::Removed))
}

/// What the device signed.
pub(super) fn verified(envelope: DeviceEnvelope, device: &DeviceRow) -> Result<Vec<u8>, Refusal> {
    let certificate = Certificate::from_der(&device.cert_der).map_err(|_| Fault::Certificate)?;
    envelope.verify(&certificate).map_err(|e| match e {
        EnvelopeError::BadSignature => Unproved::Signature.into(),
        other => other.into(),
    })
}

/// As [`open`], for a path that names a device.
pub(super) async fn open_own(app: &App, path: &str, message: &Message) -> Result<Sender, Refusal> {
    open(app, message).await?.own(path)
}

impl Sender {
    /// Refuses a path that names another device than the one that signed.
    fn own(self, path: &str) -> Result<Self, Refusal> {
        is_own(path, &self.device)?;
        Ok(self)
    }
}

/// Refuses a path that names another device than this one.
pub(super) fn is_own(path: &str, device: &DeviceRow) -> Result<(), Barred> {
    if path.parse::<DeviceId>().ok() == Some(device.id) {
        return Ok(());
    }
    Err(Barred::OthersPath)
}

/// Signs an answer.
pub(super) fn sealed(controller: &Controller, code: StatusCode, payload: &[u8]) -> Result<Response, Refusal> {
    let authority = &controller.authority;
    let envelope = seal_from_controller(payload, authority.signing_pem.as_bytes(), &authority.signer)
        .map_err(|_| Fault::Signing)?;
    Ok((code, [(header::CONTENT_TYPE, PROTO)], envelope).into_response())
}
