//! The door for devices: a body is an envelope, and each sender has so many requests at work.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use wire::envelope::{DeviceEnvelope, seal_from_controller};

use super::App;
use super::shares::{Allotment, Source};
use super::sources::{Prover, Seat};
use crate::clock::now;
use crate::device::sender::Sender;
use crate::service::{Body, Controller, Fault, Refusal};

/// EVE's content type.
const PROTO: &str = "application/x-proto-binary";

/// A body as it came, and where from.
pub(super) struct Message {
    pub(super) source: Source,
    pub(super) place: Arc<Seat>,
    pub(super) body: Bytes,
}

impl Message {
    /// The device of this envelope signed it: its connection keeps its place.
    pub(super) fn proved(&self, envelope: &DeviceEnvelope) {
        self.place.proved(Prover::Device(envelope.sender().0));
    }
}

impl<S: Send + Sync> FromRequest<S> for Message {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let source = request.extensions().get().copied().ok_or(Fault::Source)?;
        let place = request.extensions().get().cloned().ok_or(Fault::Source)?;
        let body = Bytes::from_request(request, state).await.map_err(|_| Body::Unread)?;
        Ok(Self { source, place, body })
    }
}

/// While it is there, a request counts among those of its sender's at work.
pub(super) type Turn = Allotment<(Source, [u8; 32])>;

/// Who signed a body, and what.
pub(super) struct OpenedBody {
    pub(super) sender: Sender,
    pub(super) _turn: Turn,
}

/// Opens a message; `path` is the UUID under which it came, where it came under one. Busy: its sender has as many requests at work as it may.
pub(super) async fn open(app: &App, path: Option<&str>, message: &Message) -> Result<OpenedBody, Refusal> {
    let (envelope, turn) = parsed(app, message)?;
    let sender = app.open(&envelope, path, now()).await?;
    message.proved(&envelope);
    Ok(OpenedBody { sender, _turn: turn })
}

/// A message that counts among its sender's, and is not verified yet.
pub(super) fn parsed(app: &App, message: &Message) -> Result<(DeviceEnvelope, Turn), Refusal> {
    let envelope = DeviceEnvelope::parse(&message.body)?;
    let turn = app.turns.take((message.source, envelope.sender().0)).ok_or(Refusal::Busy)?;
    Ok((envelope, turn))
}

/// Signs an answer.
pub(super) fn sealed(controller: &Controller, code: StatusCode, payload: &[u8]) -> Result<Response, Refusal> {
    let authority = &controller.authority;
    let envelope = seal_from_controller(payload, authority.signing_pem.as_bytes(), &authority.signer)
        .map_err(|_| Fault::Signing)?;
    Ok((code, [(header::CONTENT_TYPE, PROTO)], envelope).into_response())
}
