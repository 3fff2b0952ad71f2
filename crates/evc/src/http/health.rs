//! Whether the controller lives (`/healthz`) and can serve (`/readyz`), for a supervisor or a load balancer that has no token. Nothing of worth
//! is said, and however many ask, the database is looked at once a second.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use serde_json::json;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::App;
use crate::service::Controller;
use crate::store::{Failure as _, StoreError, Stored};

/// For so long a look at the database counts.
const FRESH: Duration = Duration::from_secs(1);
/// The longest that one takes.
const PATIENCE: Duration = Duration::from_secs(3);

/// Why it can't serve; none: it can.
type Lack = Option<&'static str>;

/// The last look at the database.
#[derive(Default)]
struct Looked(Mutex<Option<(Instant, Lack)>>);

impl Looked {
    /// The last one, or one that is made now. Who asks meanwhile waits for it.
    async fn lack(&self, controller: &Controller) -> Lack {
        let mut last = self.0.lock().await;
        if let Some((_, lack)) = last.filter(|(at, _)| at.elapsed() < FRESH) {
            return lack;
        }
        let lack =
            timeout(PATIENCE, look(controller)).await.unwrap_or(Some("the database does not answer in time"));
        *last = Some((Instant::now(), lack));
        lack
    }
}

async fn look(controller: &Controller) -> Lack {
    if controller.kek.is_kept().is_err() {
        return Some("the file of the key-encryption key is gone, or has another key");
    }
    match controller.store.is_there() {
        Ok(()) => {}
        Err(StoreError::LogRemoved) => {
            return Some("a file of the database (-wal, -shm) is gone, or is another one");
        }
        Err(StoreError::Overwritten) => {
            return Some("the database's file, or its -wal, was written over by another program");
        }
        Err(StoreError::Disk(_)) => {
            return Some("the database's disk is full or fails: nothing can be written");
        }
        Err(_) => return Some("the database's file is gone, or is another one"),
    }
    let read: Stored<_> =
        controller.store.read(|tx| Box::pin(async move { tx.meta("incarnation").await })).await;
    match read {
        Ok(_) => None,
        Err(StoreError::Disk(_)) => Some("the database's disk fails"),
        Err(error) if error.may_pass() => Some("the database is busy"),
        Err(_) => Some("the database can't be read"),
    }
}

/// The two routes.
pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/healthz", get(async || Json(json!({ "status": "alive" }))))
        .route("/readyz", get(ready))
        .layer(Extension(Arc::<Looked>::default()))
}

async fn ready(State(app): State<App>, Extension(looked): Extension<Arc<Looked>>) -> Response {
    match looked.lack(&app).await {
        None => Json(json!({ "status": "ready" })).into_response(),
        Some(reason) => {
            let told = Json(json!({ "status": "unready", "reason": reason }));
            (StatusCode::SERVICE_UNAVAILABLE, told).into_response()
        }
    }
}
