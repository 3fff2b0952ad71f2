//! What devices send all the time, under their own UUIDs, answered before the router: a layer of the router's costs each request a boxed copy of
//! the request and of its future, and a poll that is told that nothing is new does little else. The bounds are the same, and so is the work:
//! what is not plainly one of these goes to the router, which has all routes.
//! The future of a request is moved several times before it runs, and a connection has room for it as long as it is open. So whatever an
//! unchanged poll does not need is in a box of its own, made when it is needed: [`LARGEST`].

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use hyper::body::Incoming;
use hyper::service::Service as _;
use hyper::{Method, Request};
use hyper_util::service::TowerToHyperService;

use super::answer::{busy, in_words};
use super::envelope::Message;
use super::intake::WayIn;
use super::pace::Pace;
use super::sources::Seat;
use super::{App, device, log};

/// Answers requests.
#[derive(Clone)]
pub(super) struct Front {
    hot: Option<Arc<Hot>>,
    rest: TowerToHyperService<Router>,
}

/// What is at hand for what devices send all the time.
pub(super) struct Hot {
    pub(super) app: App,
    pub(super) config: WayIn,
    pub(super) attest: WayIn,
}

/// Bytes of an unchanged poll's future, at most. With the work of other requests in it, and room for it twice in three layers, it had 34,000, and
/// was moved twice.
#[cfg(test)]
const LARGEST: usize = 2048;

/// Such a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Config,
    Attest,
}

impl Front {
    pub(super) fn of(hot: Hot, rest: Router) -> Self {
        Self { hot: Some(Arc::new(hot)), rest: TowerToHyperService::new(rest) }
    }

    /// A router alone.
    #[cfg(test)]
    pub(super) fn alone(rest: Router) -> Self {
        Self { hot: None, rest: TowerToHyperService::new(rest) }
    }

    /// What every handler has; none where a router stands alone.
    pub(super) fn app(&self) -> Option<App> {
        self.hot.as_ref().map(|hot| hot.app.clone())
    }

    pub(super) async fn answer(
        &self,
        place: &Arc<Seat>,
        mut request: Request<Incoming>,
        pace: &Pace,
    ) -> Response {
        if let Some(hot) = &self.hot
            && request.method() == Method::POST
            && asked(request.uri().path()).is_some()
        {
            let (uri, source) = (request.uri().clone(), place.source());
            let response = hot.answer(place, request, pace).await;
            log::tell(&hot.app, (&Method::POST, &uri), Some(source), &response);
            return response;
        }
        request.extensions_mut().insert(place.source());
        request.extensions_mut().insert(place.clone());
        match Box::pin(self.rest.call(request)).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}

impl Hot {
    async fn answer(&self, place: &Arc<Seat>, request: Request<Incoming>, pace: &Pace) -> Response {
        // Pinned here, once: each layer that takes a future by value has room for it twice.
        let work = pin!(self.work(place, request));
        let code = match pace.patiently(caught(work)).await {
            Some(Some(response)) => return response,
            Some(None) => StatusCode::INTERNAL_SERVER_ERROR,
            None => StatusCode::SERVICE_UNAVAILABLE,
        };
        Box::pin(in_words(code.into_response())).await
    }

    async fn work(&self, place: &Arc<Seat>, request: Request<Incoming>) -> Response {
        let (head, body) = request.into_parts();
        let Some((uuid, asked)) = asked(head.uri.path()) else {
            return Box::pin(in_words(StatusCode::NOT_FOUND.into_response())).await;
        };
        let way = match asked {
            Asked::Config => &self.config,
            Asked::Attest => &self.attest,
        };
        let source = place.source();
        let mut memory = way.intake.memory(source);
        let body = match way.body(body, &mut memory).await {
            Ok(bytes) => bytes.into(),
            Err(refused) => return refused,
        };
        let Some(_at_work) = way.intake.place(source) else { return busy() };
        let message = Message { source, place: place.clone(), body };
        let answer = match asked {
            Asked::Config => device::poll(&self.app, &message, Some(uuid)).await,
            Asked::Attest => Box::pin(device::evidence(&self.app, &message, uuid)).await,
        };
        answer.into_response()
    }
}

/// The UUID of a path and what is asked under it; none of one that is not written as the router would have it, letter by letter.
fn asked(path: &str) -> Option<(&str, Asked)> {
    let (uuid, what) = path.strip_prefix("/api/v2/edgedevice/id/")?.split_at_checked(36)?;
    let plain = uuid.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    let asked = match what {
        "/config" => Asked::Config,
        "/attest" => Asked::Attest,
        _ => return None,
    };
    plain.then_some((uuid, asked))
}

/// What it comes to; nothing when it panics, which costs its caller an answer and nobody else anything.
async fn caught<T>(work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
        Ok(polled) => polled.map(Some),
        Err(_) => std::task::Poll::Ready(None),
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "5b4ba3b8-31ae-4b4b-9a08-1b1b8a4e4f11";

    /// What the router would read otherwise, or refuse, is the router's.
    #[test]
    fn a_path_is_a_devices_own_when_it_is_plainly_written() {
        let of = |path: &str| asked(&format!("/api/v2/edgedevice{path}")).map(|(_, asked)| asked);
        assert_eq!(of(&format!("/id/{UUID}/config")), Some(Asked::Config));
        assert_eq!(of(&format!("/id/{UUID}/attest")), Some(Asked::Attest));
        let others = ["/config".to_owned(), format!("/id/{UUID}/config/"), format!("/id/{UUID}/info")];
        let odd = [
            format!("/id/%{}/config", &UUID[1..]),
            format!("/id/{}/config", &UUID[1..]),
            format!("//id/{UUID}/config"),
        ];
        for path in others.iter().chain(&odd) {
            assert_eq!(of(path), None, "{path}");
        }
    }

    /// Decision 28: what a poll that is told that nothing is new does not do is not carried along by it.
    #[test]
    fn the_future_of_a_request_is_small() {
        fn size<'h, F: Future>(_: fn(&'h Hot, &'h Arc<Seat>, Request<Incoming>) -> F) -> usize {
            size_of::<F>()
        }
        fn size_of_all<'f, F: Future>(
            _: fn(&'f Front, &'f Arc<Seat>, Request<Incoming>, &'f Pace) -> F,
        ) -> usize {
            size_of::<F>()
        }
        let (hot, all) = (size(Hot::work), size_of_all(Front::answer));
        assert!(hot <= LARGEST && all <= 2 * LARGEST, "{hot} and {all} bytes");
    }

    #[tokio::test]
    async fn a_panic_is_nobody_elses() {
        assert_eq!(caught(async { 7 }).await, Some(7));
        assert_eq!(caught(async { panic!("of a handler") }).await, None::<()>);
    }
}
