//! EVE's device API v2, under `/api/v2/edgedevice`: paths, methods and codes as EVE calls them.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use vault::ids::DeviceId;
use wire::attest::AttestRequest;
use wire::config::ConfigRequest;
use wire::envelope::DeviceEnvelope;
use wire::info::Info;
use wire::register::{UuidResponse, decode_uuid_request};

use super::App;
use super::envelope::{Message, Sender, is_own, open, open_own, parsed, sealed, sender_of, verified};
use crate::clock::now;
use crate::device::config::Look;
use crate::device::register::Registered;
use crate::fleet::evidence::Came;
use crate::service::Refusal;
use crate::store::{Tx, UnixSeconds};

type Answer = Result<Response, Refusal>;

/// The routes whose bodies are short.
pub(super) fn short() -> Router<App> {
    Router::new()
        .route("/ping", get(|| async { StatusCode::OK }))
        .route("/certs", get(certs).post(certs))
        .route("/register", post(register))
        .route("/uuid", post(uuid))
        .route("/config", post(config_by_signature))
        .route("/id/{uuid}/config", post(config))
        .route("/id/{uuid}/attest", post(attest))
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
    let registered = app.register(envelope, at).await;
    Ok(match registered.inspect_err(|refused| app.knocks.heard(certificate, from, refused, at))? {
        Registered::New => StatusCode::CREATED.into_response(),
        Registered::Again => StatusCode::OK.into_response(),
    })
}

async fn uuid(State(app): State<App>, message: Message) -> Answer {
    let Sender { device, payload, _turn } = open(&app, &message).await?;
    decode_uuid_request(&payload)?;
    let answer = UuidResponse { device: device.id, manufacturer: String::new(), product_name: String::new() };
    sealed(&app, StatusCode::OK, &answer.encode())
}

async fn config(State(app): State<App>, Path(uuid): Path<String>, message: Message) -> Answer {
    poll(&app, &message, Some(&uuid)).await
}

async fn config_by_signature(State(app): State<App>, message: Message) -> Answer {
    poll(&app, &message, None).await
}

async fn poll(app: &App, message: &Message, path: Option<&str>) -> Answer {
    let (envelope, _turn) = parsed(app, message)?;
    let now = now();
    let (device, hash, look) = app.store.read(|tx| Box::pin(look(app, tx, &envelope, path, now))).await?;
    let answer = match look {
        Look::Unchanged => return Ok(StatusCode::NOT_MODIFIED.into_response()),
        Look::Accepted(ask) => {
            app.accepted(device, &ask).await?;
            return Ok(StatusCode::NOT_MODIFIED.into_response());
        }
        Look::Stock(answer) => *answer,
        // Others read while this waits to write.
        Look::Changed(ask) => app.answer(device, &hash, &ask, now).await?,
    };
    sealed(app, StatusCode::OK, &answer.encode())
}

/// In the one view in which its sender is found: an unchanged poll is one transaction.
async fn look(
    app: &App,
    tx: &mut dyn Tx,
    envelope: &DeviceEnvelope,
    path: Option<&str>,
    now: UnixSeconds,
) -> Result<(DeviceId, String, Look), Refusal> {
    let device = sender_of(tx, envelope).await?;
    let payload = verified(envelope.clone(), &device)?;
    app.heard.from(device.id, now);
    path.map_or(Ok(()), |path| is_own(path, &device))?;
    let ask = ConfigRequest::decode(&payload)?;
    let (id, look) = (device.id, app.look(tx, device, &ask, now).await?);
    Ok((id, ask.config_hash, look))
}

async fn attest(State(app): State<App>, Path(uuid): Path<String>, message: Message) -> Answer {
    let Sender { device, payload, _turn } = open_own(&app, &uuid, &message).await?;
    let request = AttestRequest::decode(&payload)?;
    let came = Came { at: now(), from: Some(message.source.address()) };
    let answer = app.attest(device, request, came).await?;
    sealed(&app, StatusCode::CREATED, &answer.encode())
}

async fn info(State(app): State<App>, Path(uuid): Path<String>, message: Message) -> Answer {
    let Sender { device, payload, _turn } = open_own(&app, &uuid, &message).await?;
    let info = Info::decode(&payload)?;
    app.info(device, info, now()).await?;
    Ok(StatusCode::CREATED.into_response())
}

/// Metrics and logs are taken, so that the device does not keep them for ever, and not kept.
async fn dropped(State(app): State<App>, Path(uuid): Path<String>, message: Message) -> Answer {
    open_own(&app, &uuid, &message).await?;
    Ok(StatusCode::CREATED.into_response())
}

async fn dropped_of_app(
    State(app): State<App>,
    Path((uuid, _)): Path<(String, String)>,
    message: Message,
) -> Answer {
    dropped(State(app), Path(uuid), message).await
}
