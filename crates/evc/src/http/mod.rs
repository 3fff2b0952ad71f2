//! The controller over HTTP: EVE's device API and the operator's, on one TLS listener, with limits on everything from outside.
//!
//! | what | at most |
//! | --- | --- |
//! | connections | 4096; of these on which nobody has proved anything: 512 from this machine, 768 from sources that did before, 768 from all others |
//! | requests of devices at work, and memory for their bodies | 128, and 128 MiB |
//! | requests of operators at work, and memory for their bodies | 32, and 32 MiB, which devices can't take |
//! | requests at work of one certificate at one source | 4 |
//! | a device's report; its evidence, or a bundle for escrow; its other messages; an operator's file | 4 MiB; 2.25 MiB; 256 KiB; 1 MiB |
//! | time for one request | 30 s |
//! | time that a connection idles, or its peer takes nothing of an answer | 120 s, or 15 s when half of all connections are taken or its source has more than 256 |
//!
//! A source is an IPv4 address or an IPv6 /64. Of places and memory one source may hold as much as it leaves free: alone it gets half.
//! Of connections on which nobody has proved anything, so may the /56 and the /48 around an IPv6 source; the oldest makes room for who
//! comes ([`sources`]). A device that signed, or an operator whose token was good, keeps its connection. An operator's body is taken in
//! only after the token was checked, and strangers' wrong tokens take none of the operators' places ([`tokens`]).
//!
//! `/healthz` and `/readyz` ([`health`]) take no token, no body and no place.
//!
//! A body that is too long gets 413. A request that finds no place, no memory or no time gets 503 with Retry-After. A connection that
//! finds no older one to push out is closed at once; when all connections are taken, further ones wait in the kernel.

mod answer;
mod at_once;
mod code;
mod courier;
mod device;
mod devices;
mod envelope;
mod escrow;
mod front;
mod health;
mod intake;
mod listen;
pub(crate) mod log;
mod operator;
mod pace;
mod shares;
mod sources;
mod tokens;

use std::ops::Deref;
use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::TimeoutLayer;

use crate::service::Controller;
use front::{Front, Hot};
use intake::{Intake, WayIn, pass};
use log::Refusals;
use pace::PATIENCE;
use shares::{Allotments, Source};
use tokens::Tokens;

pub use listen::{CONNECTIONS, ListenError, Listener};

/// Longest body of a device's report, metrics or logs.
const LONG_BODY: usize = wire::MAX_MESSAGE;
/// Longest body of what is short by its nature: questions, registrations.
const SHORT_BODY: usize = 256 << 10;
/// Longest body of evidence with its event log, or of a bundle for escrow, in its envelope.
const ATTEST_BODY: usize = vault::escrow::MAX_BUNDLE_BYTES + SHORT_BODY;
/// Longest body of an operator: the longest file, and its wrapping.
const OPERATOR_BODY: usize = vault::policy::MAX_FILE_BYTES + 4096;
/// Longest body of an operator with a courier's file: that in base64, and its wrapping.
const COURIER_BODY: usize = wire::courier::MAX_EVIDENCE_FILE.div_ceil(3) * 4 + 4096;
/// Devices' requests that are worked on at the same time, and bytes of their bodies; more are told to come back.
const DEVICES: (usize, usize) = (128, 128 << 20);
/// The same of operators: theirs alone, so that they get through whatever devices do.
const OPERATORS: (usize, usize) = (32, 32 << 20);
/// Requests of one sender at one source that are worked on at the same time: a device has no use for more.
const OF_SENDER: usize = 4;

/// What every handler has.
#[derive(Clone)]
pub(super) struct App {
    controller: Arc<Controller>,
    /// By source and certificate (SHA-256 of its DER). Counted before anything is looked up or verified, so that it bounds that work
    /// too; and by source, so that nobody elsewhere takes a device's by naming it.
    turns: Arc<Allotments<(Source, [u8; 32])>>,
    tokens: Arc<Tokens>,
    /// What was told in the log.
    refused: Arc<Refusals>,
}

impl Deref for App {
    type Target = Controller;

    fn deref(&self) -> &Controller {
        &self.controller
    }
}

/// What answers, over all routes. Each request carries its [`Source`].
fn front(controller: Arc<Controller>) -> Front {
    let app = App {
        controller,
        turns: Allotments::for_each(OF_SENDER),
        tokens: Arc::default(),
        refused: Arc::default(),
    };
    let devices = Intake::new(DEVICES.0, DEVICES.1);
    let operators = Intake::new(OPERATORS.0, OPERATORS.1);
    let [config, attest] =
        [SHORT_BODY, ATTEST_BODY].map(|longest| WayIn { intake: devices.clone(), longest });
    let hot = Hot { app: app.clone(), config, attest };
    let device_api = bounded(device::short(), &devices, SHORT_BODY);
    let device_api = device_api.merge(bounded(device::attested(), &devices, ATTEST_BODY));
    let device_api = device_api.merge(bounded(device::long(), &devices, LONG_BODY));
    let operator_api = bounded(operator::routes(), &operators, OPERATOR_BODY);
    let operator_api = operator_api.merge(bounded(operator::long(), &operators, COURIER_BODY));
    let routes = Router::new()
        .merge(health::routes())
        .nest("/api/v2/edgedevice", device_api)
        .nest("/api/v1", operator::authorized(operator_api, app.clone(), operators))
        .layer(axum::extract::DefaultBodyLimit::disable())
        .layer(CatchPanicLayer::new())
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, PATIENCE))
        .layer(from_fn_with_state(app.clone(), log::told))
        .with_state(app);
    Front::of(hot, routes)
}

fn bounded(routes: Router<App>, intake: &Arc<Intake>, longest: usize) -> Router<App> {
    routes.layer(from_fn_with_state(WayIn { intake: intake.clone(), longest }, pass))
}
