//! What a request passes before it is worked on: first its whole body comes in, within a budget of memory for all; then it takes
//! a place among those at work. Who sends slowly, or not at all, holds neither: only bytes that came are counted. Of both, one source
//! may hold at most as much as it leaves to others. Operators have places and memory of their own, which no device takes.

use std::sync::Arc;

use axum::Extension;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http_body_util::BodyExt as _;

use super::answer::busy;
use super::shares::{Allotment, Allotments, Source};
use crate::service::{Body as Ill, Refusal};

/// The bounds for all requests of a kind.
pub(super) struct Intake {
    places: Arc<Allotments<Source>>,
    memory: Arc<Allotments<Source>>,
}

impl Intake {
    /// At most so many at work at the same time, and so many bytes of bodies that are coming in or worked on.
    pub(super) fn new(places: usize, memory: usize) -> Arc<Self> {
        Arc::new(Self { places: Allotments::of(places), memory: Allotments::of(memory) })
    }

    /// Memory for a body, none of it taken yet.
    pub(super) fn memory(&self, source: Source) -> Allotment<Source> {
        self.memory.share(source)
    }

    /// A place among those at work, or busy: nothing queues without bound.
    pub(super) fn place(&self, source: Source) -> Option<Allotment<Source>> {
        self.places.take(source)
    }
}

/// The way in for requests whose bodies have at most `longest` bytes.
#[derive(Clone)]
pub(super) struct WayIn {
    pub(super) intake: Arc<Intake>,
    pub(super) longest: usize,
}

impl WayIn {
    pub(super) async fn body(
        &self,
        mut body: impl HttpBody<Data = Bytes> + Unpin,
        memory: &mut Allotment<Source>,
    ) -> Result<Vec<u8>, Response> {
        let too_long = || Refusal::from(Ill::TooLong { most: self.longest }).into_response();
        if body.size_hint().lower() > self.longest as u64 {
            return Err(too_long());
        }
        let mut bytes = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| Refusal::from(Ill::Cut).into_response())?;
            let Ok(data) = frame.into_data() else { continue };
            if bytes.len() + data.len() > self.longest {
                return Err(too_long());
            }
            if !memory.more(data.len()) {
                return Err(busy());
            }
            bytes.extend_from_slice(&data);
        }
        Ok(bytes)
    }
}

/// Passes a request on with its body whole, or answers why not.
pub(super) async fn pass(
    State(way): State<WayIn>,
    Extension(source): Extension<Source>,
    request: Request,
    next: Next,
) -> Response {
    let (head, body) = request.into_parts();
    let mut memory = way.intake.memory(source);
    let bytes = match way.body(body, &mut memory).await {
        Ok(bytes) => bytes,
        Err(refused) => return refused,
    };
    let Some(_place) = way.intake.place(source) else { return busy() };
    next.run(Request::from_parts(head, Body::from(bytes))).await
}
