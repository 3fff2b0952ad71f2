//! The controller over HTTP: EVE's device API and the operator's, on one TLS listener, with limits on everything from outside.

mod answer;
mod device;
mod envelope;
mod listen;
mod operator;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use tokio::sync::Semaphore;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::timeout::TimeoutLayer;

use crate::service::Controller;

pub use listen::{ListenError, Listener};

/// Longest body of a device.
const DEVICE_BODY: usize = wire::MAX_MESSAGE;
/// Longest body of an operator: the longest file, and its wrapping.
const OPERATOR_BODY: usize = vault::policy::MAX_FILE_BYTES + 4096;
/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Requests that are worked on at the same time; more are told to come back.
const WORKING: usize = 128;

type App = Arc<Controller>;

/// All routes.
pub fn router(controller: App) -> Router {
    let room = Arc::new(Semaphore::new(WORKING));
    let device = device::routes().layer(RequestBodyLimitLayer::new(DEVICE_BODY));
    let operator = operator::routes(controller.clone()).layer(RequestBodyLimitLayer::new(OPERATOR_BODY));
    Router::new()
        .nest("/api/v2/edgedevice", device)
        .nest("/api/v1", operator)
        .layer(axum::extract::DefaultBodyLimit::disable())
        .layer(CatchPanicLayer::new())
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, PATIENCE))
        .layer(from_fn_with_state(room, shed))
        .with_state(controller)
}

/// Overload is told at once; nothing queues without bound.
async fn shed(State(room): State<Arc<Semaphore>>, request: Request, next: Next) -> Response {
    match room.try_acquire() {
        Ok(_permit) => next.run(request).await,
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "5")]).into_response(),
    }
}
