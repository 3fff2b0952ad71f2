//! The controller over HTTP: EVE's device API and the operator's, on one TLS listener, with limits on everything from outside.

mod answer;
mod device;
mod envelope;
mod intake;
mod listen;
mod operator;
mod sources;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::timeout::TimeoutLayer;

use crate::service::Controller;
use intake::{Intake, pass};

pub use listen::{CONNECTIONS, ListenError, Listener};

/// Longest body of a device.
const DEVICE_BODY: usize = wire::MAX_MESSAGE;
/// Longest body of an operator: the longest file, and its wrapping.
const OPERATOR_BODY: usize = vault::policy::MAX_FILE_BYTES + 4096;
/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(30);

type App = Arc<Controller>;

/// All routes.
pub fn router(controller: App) -> Router {
    let intake = Intake::new();
    let bounded = |routes: Router<App>, most| {
        routes.layer(from_fn_with_state(intake.clone(), pass)).layer(RequestBodyLimitLayer::new(most))
    };
    Router::new()
        .nest("/api/v2/edgedevice", bounded(device::routes(), DEVICE_BODY))
        .nest("/api/v1", bounded(operator::routes(controller.clone()), OPERATOR_BODY))
        .layer(axum::extract::DefaultBodyLimit::disable())
        .layer(CatchPanicLayer::new())
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, PATIENCE))
        .with_state(controller)
}
