//! What of requests is told in the log: each refusal with who, from where and what for; and what operators did. What one source is refused over
//! and over is one line a minute, with how often it was. A device has lines of its own where it proved that it is that one; a UUID in a path
//! is anybody's word, and has none.

use std::time::Duration;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{Method, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tokio::sync::watch;
use tracing::Level;
use vault::ids::DeviceId;

use super::App;
use super::answer::in_words;
use super::shares::Source;
use crate::api::{Code, Done};
use crate::clock::now;
use crate::repeats::{KeptBack, OnceForContent, Over, Repeats, UNTOLD};
use crate::service::Names;
use crate::store::UnixSeconds;

/// Longest path that is told, in characters.
const LONGEST_PATH: usize = 200;

/// What was told of refusals.
#[derive(Default)]
pub(super) struct Refusals {
    /// To a device that had proved that it is this one.
    of_devices: Repeats<(DeviceId, Code, &'static str)>,
    /// To a source, whatever device it named: a line a minute for each code and kind of path.
    of_sources: Repeats<(Option<Source>, Code, &'static str)>,
}

impl Refusals {
    fn told(
        &self,
        who: (Option<Source>, Option<DeviceId>),
        (code, kind): (Code, &'static str),
        now: UnixSeconds,
    ) -> Option<KeptBack> {
        match who {
            (_, Some(device)) => self.of_devices.told((device, code, kind), now),
            (source, None) => self.of_sources.told((source, code, kind), now),
        }
    }

    /// Tells of what was refused, until it ended, as often as no line has said yet.
    fn tell_over(&self, names: &Names, now: Option<UnixSeconds>) {
        // Busy is told where every refusal is, and nowhere else.
        let is_told = |code: Code| code != Code::Busy;
        let Over { runs, others: of_devices } = self.of_devices.over(now);
        for ((device, code, kind), repeated) in runs.into_iter().filter(|((_, code, _), _)| is_told(*code)) {
            let name = names.of(device);
            tracing::info!(%device, name, ?code, kind, repeated, "refused: {UNTOLD}");
        }
        let Over { runs, others } = self.of_sources.over(now);
        for ((source, code, kind), repeated) in runs.into_iter().filter(|((_, code, _), _)| is_told(*code)) {
            let source = source.map(|source| source.address().to_string());
            tracing::info!(source, ?code, kind, repeated, "refused: {UNTOLD}");
        }
        let others = of_devices + others;
        if others > 0 {
            tracing::info!(others, "refused: {UNTOLD}");
        }
    }
}

/// Why a request was refused: travels with its answer to here.
#[derive(Clone)]
pub(super) struct Reason {
    pub(super) level: Level,
    pub(super) code: Code,
    pub(super) words: String,
    /// The device that the path names had proved to be the sender.
    pub(super) proved: bool,
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

/// How often ends of repeats are looked for.
const LOOK: Duration = Duration::from_secs(15);

/// Tells of refusals that repeated and are over, and at the end of all that no line has counted.
pub(super) async fn tell_over(app: App, mut stop: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK) => app.refused.tell_over(&app.names, Some(now())),
            _ = stop.wait_for(|stop| *stop) => return app.refused.tell_over(&app.names, None),
        }
    }
}

/// Around every route.
pub(super) async fn told(State(app): State<App>, request: Request, next: Next) -> Response {
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let source = request.extensions().get::<Source>().copied();
    let response = in_words(next.run(request).await).await;
    tell(&app, (&method, &uri), source, &response);
    if response.extensions().get::<Acted>().is_some() {
        // Whoever did something and looks sees it.
        app.glances.count_anew();
    }
    response
}

/// Tells of what was asked what came of it, where that is worth a line.
pub(super) fn tell(app: &App, (method, uri): (&Method, &Uri), source: Option<Source>, response: &Response) {
    if let Some(reason) = response.extensions().get::<Reason>() {
        refused(app, (method, uri), source, reason);
    }
    if let Some(Acted(done)) = response.extensions().get::<Acted>() {
        let source = source.map(|source| source.address().to_string());
        tracing::info!(%done, source, %method, path = path(uri), "operator");
    }
}

/// Rows that did not read, by what was said of them.
static DAMAGED: OnceForContent = OnceForContent::new();

fn refused(app: &App, (method, uri): (&Method, &Uri), source: Option<Source>, reason: &Reason) {
    let device = device(uri).filter(|_| reason.proved);
    // What does not read is refused at every poll of its device, for as long as nobody mends it.
    let of = device.map(|device| device.to_string()).unwrap_or_default();
    let damaged = reason.code == Code::DatabaseDamaged;
    if damaged && !DAMAGED.told(&[of.as_bytes(), reason.words.as_bytes()]) {
        return;
    }
    // Another content is another line, however soon it comes.
    let once = damaged.then_some(KeptBack { repeated: 0, others: 0 });
    let told = app.refused.told((source, device), (reason.code, kind(uri)), now());
    let Some(kept_back) = told.or(once) else { return };
    let KeptBack { repeated, others } = kept_back;
    let name = device.and_then(|it| app.names.of(it));
    let (source, device) = (source.map(|it| it.address().to_string()), device.map(|it| it.to_string()));
    let (why, path) = (&reason.words, path(uri));
    // The level of an event is fixed where it is written.
    match reason.level {
        Level::ERROR => {
            tracing::error!(error = %why, device, name, source, %method, path, repeated, others, "refused")
        }
        Level::DEBUG => {
            tracing::debug!(reason = %why, device, name, source, %method, path, repeated, others, "refused")
        }
        _ => {
            tracing::info!(reason = %why, device, name, source, %method, path, repeated, others, "refused");
        }
    }
}

fn path(uri: &Uri) -> String {
    uri.path().chars().take(LONGEST_PATH).collect()
}

/// The words of a path that are the same whatever things it names: what is counted together. Whoever makes paths up gets no line of his own
/// by that.
fn kind(uri: &Uri) -> &'static str {
    let known = |part| WORDS.iter().copied().find(|word| *word == part);
    uri.path().rsplit('/').find_map(known).unwrap_or_default()
}

/// What kinds of requests are told apart by.
const WORDS: [&str; 18] = [
    "edgedevice",
    "config",
    "attest",
    "info",
    "register",
    "uuid",
    "certs",
    "ping",
    "devices",
    "vaults",
    "policies",
    "rules",
    "references",
    "onboarding",
    "apply",
    "tokens",
    "escrow",
    "status",
];

/// The device that a path names by its UUID.
fn device(uri: &Uri) -> Option<DeviceId> {
    uri.path().split('/').find_map(|part| part.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who makes devices up, or names others', is one line a minute for what he is refused; a device that proved itself has its own.
    #[test]
    fn a_device_in_a_path_is_no_line_of_its_own_unless_it_proved_itself() {
        let refusals = Refusals::default();
        let source = |n: u8| Some(Source::of(std::net::IpAddr::from([192, 0, 2, n])));
        let (unproved, stale) = (Code::SignatureBad, Code::ReportStale);
        let device = |n| DeviceId(uuid::Uuid::from_u128(n));
        let of = |code, path: &str| (code, kind(&path.parse().expect("a path")));
        let posted = |n: u32| format!("/api/v2/edgedevice/id/{}/attest", device(n.into()).0);
        let lines =
            (0..500).filter(|n| refusals.told((source(1), None), of(unproved, &posted(*n)), 100).is_some());
        assert_eq!(lines.count(), 1);
        let made_up = |n: usize| {
            let words = WORDS.iter().cycle().skip(n).step_by(n % 7 + 1).take(n % 9);
            format!("/{}", words.copied().collect::<Vec<_>>().join("/"))
        };
        let lines =
            (0..5000).filter(|n| refusals.told((source(3), None), of(unproved, &made_up(*n)), 100).is_some());
        assert!(lines.count() <= WORDS.len() + 1, "paths that are made up of words that are known");
        let polled = posted(1).replace("attest", "config");
        assert!(
            refusals.told((source(1), None), of(unproved, &polled), 100).is_some(),
            "another kind of path"
        );
        assert!(refusals.told((source(2), None), of(unproved, &posted(1)), 100).is_some(), "another source");
        assert!(refusals.told((source(1), None), of(stale, &posted(1)), 100).is_some(), "another refusal");
        for n in 0..20 {
            let to = |source| refusals.told((source, Some(device(n))), of(stale, &posted(1)), 100);
            assert!(to(source(1)).is_some(), "device {n}");
            assert!(to(source(2)).is_none(), "from elsewhere");
        }
    }

    #[test]
    fn a_device_is_known_by_its_path() {
        let id = "00000000-0000-0000-0000-000000000005";
        let of = |path: &str| device(&path.parse().expect("a path")).map(|id| id.to_string());
        assert_eq!(of(&format!("/api/v2/edgedevice/id/{id}/config")).as_deref(), Some(id));
        assert_eq!(of("/api/v2/edgedevice/config"), None);
    }
}
