//! What a request passes before it is worked on: first its whole body comes in, within a budget of memory for all; then it takes
//! a place among those at work. Who sends slowly, or not at all, holds neither: only bytes that came are counted.

use std::error::Error;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http_body_util::{BodyExt as _, LengthLimitError};
use tokio::sync::{Semaphore, SemaphorePermit};

/// Requests that are worked on at the same time; more are told to come back.
const WORKING: usize = 128;
/// Bytes of all bodies that are coming in or worked on.
const MEMORY: usize = 256 << 20;

/// The two bounds.
pub(super) struct Intake {
    places: Semaphore,
    memory: Semaphore,
}

impl Intake {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { places: Semaphore::new(WORKING), memory: Semaphore::new(MEMORY) })
    }

    async fn body(&self, mut body: Body) -> Result<(Vec<u8>, Option<SemaphorePermit<'_>>), StatusCode> {
        let (mut bytes, mut held) = (Vec::new(), None::<SemaphorePermit<'_>>);
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|e| meaning(&e))?.into_data() else { continue };
            let more = u32::try_from(data.len()).ok().and_then(|n| self.memory.try_acquire_many(n).ok());
            let more = more.ok_or(StatusCode::SERVICE_UNAVAILABLE)?;
            match &mut held {
                Some(held) => held.merge(more),
                None => held = Some(more),
            }
            bytes.extend_from_slice(&data);
        }
        Ok((bytes, held))
    }
}

/// Passes a request on with its body whole, or answers why not: nothing queues without bound.
pub(super) async fn pass(State(intake): State<Arc<Intake>>, request: Request, next: Next) -> Response {
    let (head, body) = request.into_parts();
    let (bytes, _held) = match intake.body(body).await {
        Ok(whole) => whole,
        Err(code) => return refused(code),
    };
    let Ok(_place) = intake.places.try_acquire() else { return refused(StatusCode::SERVICE_UNAVAILABLE) };
    next.run(Request::from_parts(head, Body::from(bytes))).await
}

fn refused(code: StatusCode) -> Response {
    match code {
        StatusCode::SERVICE_UNAVAILABLE => (code, [(header::RETRY_AFTER, "5")]).into_response(),
        other => other.into_response(),
    }
}

/// Too long, or broken off.
fn meaning(error: &axum::Error) -> StatusCode {
    let mut cause: Option<&dyn Error> = Some(error);
    while let Some(error) = cause {
        if error.is::<LengthLimitError>() {
            return StatusCode::PAYLOAD_TOO_LARGE;
        }
        cause = error.source();
    }
    StatusCode::BAD_REQUEST
}
