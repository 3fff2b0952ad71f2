//! EVE's device API v2, under `/api/v2/edgedevice`: paths, methods and codes as EVE calls them.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use wire::attest::AttestRequest;
use wire::envelope::DeviceEnvelope;
use wire::info::Info;
use wire::register::{UuidResponse, decode_uuid_request};

use super::App;
use super::envelope::{Message, OpenedBody, open, parsed, sealed};
use crate::clock::now;
use crate::device::poll::Polled;
use crate::device::register::Registered;
use crate::device::sender::Sender;
use crate::fleet::evidence::Came;
use crate::service::Refusal;

pub(super) type Answer = Result<Response, Refusal>;

/// The routes whose bodies are short.
pub(super) fn short() -> Router<App> {
    Router::new()
        .route("/ping", get(|| async { StatusCode::OK }))
        .route("/certs", get(certs).post(certs))
        .route("/register", post(register))
        .route("/uuid", post(uuid))
        .route("/config", post(config_by_signature))
        .route("/id/{uuid}/config", post(config))
}

/// The route for evidence, and for what is to be kept in escrow.
pub(super) fn attested() -> Router<App> {
    Router::new().route("/id/{uuid}/attest", post(attest))
}

/// The routes for what may be long.
pub(super) fn long() -> Router<App> {
    Router::new()
        .route("/id/{uuid}/info", post(info))
        .route("/id/{uuid}/metrics", post(dropped))
        .route("/id/{uuid}/newlogs", post(dropped))
        .route("/id/{uuid}/logs", post(dropped))
        .route("/id/{uuid}/flowlog", post(dropped))
        .route("/id/{uuid}/hardwarehealth", post(dropped))
        .route("/id/{uuid}/apps/instanceid/{app}/newlogs", post(dropped_of_app))
}

async fn certs(State(app): State<App>) -> Answer {
    sealed(&app, StatusCode::OK, &app.authority.list)
}

async fn register(State(app): State<App>, message: Message) -> Answer {
    let envelope = DeviceEnvelope::parse(&message.body)?;
    let (certificate, from, at) = (envelope.sender().0, message.source.address(), now());
    let registered = app.register(envelope, from, at).await;
    Ok(match registered.inspect_err(|refused| app.knocks.heard(certificate, from, refused, at))? {
        Registered::New => StatusCode::CREATED.into_response(),
        Registered::Again => StatusCode::OK.into_response(),
    })
}

async fn uuid(State(app): State<App>, message: Message) -> Answer {
    let OpenedBody { sender: Sender { device, payload }, _turn } = open(&app, None, &message).await?;
    decode_uuid_request(&payload)?;
    let answer = UuidResponse { device, manufacturer: String::new(), product_name: String::new() };
    sealed(&app, StatusCode::OK, &answer.encode())
}

async fn config(State(app): State<App>, Path(uuid): Path<String>, message: Message) -> Answer {
    poll(&app, &message, Some(&uuid)).await
}

async fn config_by_signature(State(app): State<App>, message: Message) -> Answer {
    poll(&app, &message, None).await
}

pub(super) async fn poll(app: &App, message: &Message, path: Option<&str>) -> Answer {
    let (envelope, _turn) = parsed(app, message)?;
    let polled = app.poll(&envelope, path, now()).await?;
    message.proved(&envelope);
    match polled {
        Polled::Unchanged => Ok(StatusCode::NOT_MODIFIED.into_response()),
        Polled::Changed(answer) => sealed(app, StatusCode::OK, &answer.encode()),
    }
}

async fn attest(State(app): State<App>, Path(uuid): Path<String>, message: Message) -> Answer {
    evidence(&app, &message, &uuid).await
}

pub(super) async fn evidence(app: &App, message: &Message, path: &str) -> Answer {
    let OpenedBody { sender: Sender { device, payload }, _turn } = open(app, Some(path), message).await?;
    let request = AttestRequest::decode(&payload)?;
    let came = Came { at: now(), from: Some(message.source.address()), by_courier: false };
    let answer = app.attest(device, request, came).await?;
    sealed(app, StatusCode::CREATED, &answer.encode())
}

async fn info(State(app): State<App>, Path(uuid): Path<String>, message: Message) -> Answer {
    let OpenedBody { sender: Sender { device, payload }, _turn } = open(&app, Some(&uuid), &message).await?;
    let info = Info::decode(&payload)?;
    app.info(device, info, now()).await?;
    Ok(StatusCode::CREATED.into_response())
}

/// Metrics and logs are taken, so that the device does not keep them for ever, and not kept.
async fn dropped(State(app): State<App>, Path(uuid): Path<String>, message: Message) -> Answer {
    open(&app, Some(&uuid), &message).await?;
    Ok(StatusCode::CREATED.into_response())
}

async fn dropped_of_app(
    State(app): State<App>,
    Path((uuid, _)): Path<(String, String)>,
    message: Message,
) -> Answer {
    dropped(State(app), Path(uuid), message).await
}
