//! What of requests is told in the log: each refusal with who, from where and what for; and what operators did. What one source is refused over
//! and over is one line a minute, with how often it was.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{Method, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tracing::Level;
use vault::ids::DeviceId;

use super::App;
use super::answer::in_words;
use super::shares::Source;
use crate::api::{Code, Done};
use crate::clock::now;
use crate::store::UnixSeconds;

/// The same is not told again within so many seconds.
const QUIET_S: u64 = 60;
/// Most that are remembered as told.
const MOST: usize = 1024;
/// Longest path that is told, in characters.
const LONGEST_PATH: usize = 200;

/// How often the same was told and kept back.
#[derive(Debug)]
pub struct Repeats<K>(Mutex<HashMap<K, (UnixSeconds, u64)>>);

impl<K> Default for Repeats<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Hash + Eq> Repeats<K> {
    /// Whether it is to be told now, and how often it was kept back since it was last.
    pub fn told(&self, key: K, now: UnixSeconds) -> Option<u64> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, kept_back)) = all.get_mut(&key) {
            if now.abs_diff(*at) < QUIET_S {
                *kept_back += 1;
                return None;
            }
            *at = now;
            return Some(std::mem::take(kept_back));
        }
        if all.len() >= MOST {
            all.retain(|_, (at, _)| now.abs_diff(*at) < QUIET_S);
        }
        if all.len() >= MOST {
            all.clear();
        }
        all.insert(key, (now, 0));
        Some(0)
    }
}

/// Who is refused what.
pub(super) type Refused = (Option<Source>, Option<DeviceId>, Code);

/// Why a request was refused: travels with its answer to here.
#[derive(Clone)]
pub(super) struct Reason {
    pub(super) level: Level,
    pub(super) code: Code,
    pub(super) words: String,
}

/// What an operator's request did, in words: the same.
#[derive(Clone)]
struct Acted(String);

/// An answer to an operator who changed something.
pub(super) struct Act<T = Done> {
    answer: T,
    words: String,
}

impl Act {
    /// What was done says itself.
    pub(super) fn done(done: Done) -> Self {
        Self { words: done.done.clone(), answer: done }
    }
}

impl<T> Act<T> {
    /// An answer that does not say what was done.
    pub(super) fn of(answer: T, words: String) -> Self {
        Self { answer, words }
    }
}

impl<T: Serialize> IntoResponse for Act<T> {
    fn into_response(self) -> Response {
        let mut response = Json(self.answer).into_response();
        response.extensions_mut().insert(Acted(self.words));
        response
    }
}

/// Around every route.
pub(super) async fn told(State(app): State<App>, request: Request, next: Next) -> Response {
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let source = request.extensions().get::<Source>().copied();
    let response = in_words(next.run(request).await).await;
    tell(&app, (&method, &uri), source, &response);
    response
}

/// Tells of what was asked what came of it, where that is worth a line.
pub(super) fn tell(app: &App, (method, uri): (&Method, &Uri), source: Option<Source>, response: &Response) {
    if let Some(reason) = response.extensions().get::<Reason>() {
        refused(app, (method, uri), source, reason);
    }
    if let Some(Acted(done)) = response.extensions().get::<Acted>() {
        let source = source.map(|source| source.address().to_string());
        tracing::info!(%done, source, path = path(uri), "operator");
    }
}

fn refused(app: &App, (method, uri): (&Method, &Uri), source: Option<Source>, reason: &Reason) {
    let device = device(uri);
    let Some(repeated) = app.refused.told((source, device, reason.code), now()) else { return };
    let (source, device) = (source.map(|it| it.address().to_string()), device.map(|it| it.to_string()));
    let (why, path) = (&reason.words, path(uri));
    // The level of an event is fixed where it is written.
    match reason.level {
        Level::ERROR => tracing::error!(error = %why, device, source, %method, path, repeated, "refused"),
        Level::DEBUG => tracing::debug!(reason = %why, device, source, %method, path, repeated, "refused"),
        _ => tracing::info!(reason = %why, device, source, %method, path, repeated, "refused"),
    }
}

fn path(uri: &Uri) -> String {
    uri.path().chars().take(LONGEST_PATH).collect()
}

/// The device that a path names by its UUID.
fn device(uri: &Uri) -> Option<DeviceId> {
    uri.path().split('/').find_map(|part| part.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seen-by-users 1.15: a node that is refused at each poll is a line a minute, and how often is told.
    #[test]
    fn the_same_is_told_once_a_minute_with_how_often_it_was() {
        let repeats = Repeats::default();
        assert_eq!(repeats.told("a", 100), Some(0));
        (101..160).for_each(|at| assert_eq!(repeats.told("a", at), None));
        assert_eq!(repeats.told("b", 130), Some(0), "another one");
        assert_eq!(repeats.told("a", 160), Some(59));
        assert_eq!(repeats.told("a", 161), None);
        let many = Repeats::default();
        (0..10 * MOST).for_each(|n| assert_eq!(many.told(n, 100), Some(0)));
        assert!(many.0.lock().expect("there").len() <= MOST);
    }

    #[test]
    fn a_device_is_known_by_its_path() {
        let id = "00000000-0000-0000-0000-000000000005";
        let of = |path: &str| device(&path.parse().expect("a path")).map(|id| id.to_string());
        assert_eq!(of(&format!("/api/v2/edgedevice/id/{id}/config")).as_deref(), Some(id));
        assert_eq!(of("/api/v2/edgedevice/config"), None);
    }
}
