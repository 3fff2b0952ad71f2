//! HTTPS to the controller: its root only, bounded in time and size. Where it is and whom to believe may change while the node
//! runs: whoever failed to reach it looks again.

mod place;
mod refusal;
#[cfg(test)]
mod tests;
mod whole;

use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ureq::ProxyProtocol;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, TlsProvider, parse_pem};
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{Connector as _, DefaultConnector};

use place::ControllerPlace;
pub(crate) use place::{ConfigFile, PlaceError, check};
pub(crate) use refusal::Refusal;
use whole::InOnePiece;

/// The only media type that is read.
const PROTO: &str = "application/x-proto-binary";
/// Whole exchange.
const PATIENCE: Duration = Duration::from_secs(60);
/// To connect.
const CONNECT: Duration = Duration::from_secs(10);

/// A connection is taken up again within this: longer than from one poll to the next, shorter than the controller keeps it.
const IDLE: Duration = Duration::from_secs(100);

/// Longest answer that is read, bytes.
pub(crate) const MAX_ANSWER: u64 = wire::MAX_ANSWER as u64;

/// Longest part of a refusal that is read, bytes.
const MAX_REFUSAL: u64 = 4 << 10;

/// An answer that is no refusal; empty when nothing changed (304).
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LineError {
    /// `config/` says nothing that can be used: nobody was asked.
    #[error(transparent)]
    Config(#[from] PlaceError),
    /// Somebody answers who is not believed.
    #[error(
        "the controller's TLS certificate is not good under config/root-certificate.pem (is it this controller's?): put the controller's there"
    )]
    NotBelieved(#[source] ureq::Error),
    /// By this node's clock, a certificate on the way to the controller's is not good yet, or not any more.
    #[error(
        "by this node's clock, which says {}, the controller's TLS certificate is {}: set the clock; if it is right, renew the certificate at the controller", day(*.clock_unix_s), .judged.words()
    )]
    Dates {
        /// What the clock says, seconds since 1970.
        clock_unix_s: u64,
        /// On which side of the dates that is.
        judged: Judged,
        source: ureq::Error,
    },
    /// The proxy lets nobody through.
    #[error(
        "the proxy that config/proxy names does not let this node through to the controller: see that config/server is right, allow it there, or write another one"
    )]
    Proxy(#[source] ureq::Error),
    /// Nobody answers by way of a proxy: it may be the proxy that is not there.
    #[error(
        "the controller can't be reached by the proxy that config/proxy names: see that the proxy is right and runs, that config/server is right, and that the line is up"
    )]
    ByProxy(#[source] ureq::Error),
    /// Nobody answers.
    #[error(
        "the controller can't be reached: see that config/server is right, that it runs and that the line is up"
    )]
    Unreachable(#[source] ureq::Error),
    /// It said no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It broke off, or is too long.
    #[error(
        "the controller's answer broke off, or is too long: it is asked again; see that the line is good"
    )]
    Answer(#[source] ureq::Error),
    /// Not what a controller says.
    #[error(
        "what answers at config/server is no controller: its answer is not {PROTO}; see that the address is right"
    )]
    OtherMedia,
}

/// A clock outside the dates of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Judged {
    /// Before the first.
    Early,
    /// After the last.
    Late,
}

impl Judged {
    fn words(self) -> &'static str {
        match self {
            Self::Early => "not valid yet",
            Self::Late => "not valid any more",
        }
    }
}

/// A day, as a clock says it.
fn day(unix_s: u64) -> String {
    let at = std::time::UNIX_EPOCH.checked_add(Duration::from_secs(unix_s));
    at.map_or_else(
        || format!("{unix_s} s since 1970"),
        |at| humantime::format_rfc3339_seconds(at).to_string(),
    )
}

/// The line to the controller.
pub(crate) struct Line(Result<Link, PlaceError>);

/// A client of one place.
struct Link {
    agent: ureq::Agent,
    place: ControllerPlace,
}

impl Line {
    /// Reads where the controller is and whom to believe. What is wrong with that is told at each use.
    pub(crate) fn new(root: &Path) -> Self {
        Self(ControllerPlace::read(root).and_then(Link::new))
    }

    /// Takes what `config/` says by now.
    pub(crate) fn look_again(&mut self, root: &Path) {
        let found = ControllerPlace::read(root);
        let same = matches!((&self.0, &found), (Ok(link), Ok(place)) if link.place == *place);
        if !same {
            self.0 = found.and_then(Link::new);
        }
    }

    fn link(&self) -> Result<&Link, PlaceError> {
        self.0.as_ref().map_err(Clone::clone)
    }

    /// The controller's address, as written; empty where none is.
    pub(crate) fn server(&self) -> &str {
        self.0.as_ref().map_or("", |link| &link.place.server)
    }

    /// The proxy on the way to it, without its password.
    pub(crate) fn proxy(&self) -> Option<String> {
        let proxy = self.0.as_ref().ok()?.agent.config().proxy()?;
        Some(format!("{}:{}", proxy.host(), proxy.port()))
    }

    /// The only root that is believed, PEM.
    ///
    /// # Errors
    /// `config/` says nothing that can be used.
    pub(crate) fn root_pem(&self) -> Result<&[u8], PlaceError> {
        Ok(&self.link()?.place.root_pem)
    }

    /// What keeps it from being used.
    pub(crate) fn config_error(&self) -> Option<&PlaceError> {
        self.0.as_ref().err()
    }

    /// # Errors
    /// [`LineError`].
    pub(crate) fn get(&self, path: &str) -> Result<Answer, LineError> {
        let link = self.link()?;
        let request = link.agent.get(link.url(path)).header("X-Request-Id", uuid::Uuid::new_v4().to_string());
        read(path, request.call().map_err(|error| link.unreachable(error)))
    }

    /// # Errors
    /// [`LineError`].
    pub(crate) fn post(&self, path: &str, body: &[u8]) -> Result<Answer, LineError> {
        let link = self.link()?;
        let request = link.agent.post(link.url(path)).header("Content-Type", PROTO);
        let request = request.header("X-Request-Id", uuid::Uuid::new_v4().to_string());
        read(path, request.send(body).map_err(|error| link.unreachable(error)))
    }
}

impl Link {
    fn new(place: ControllerPlace) -> Result<Self, PlaceError> {
        let certs = parse_pem(&place.root_pem).filter_map(|item| match item {
            Ok(PemItem::Certificate(cert)) => Some(cert),
            _ => None,
        });
        let certs: Vec<Certificate<'static>> = certs.collect();
        if certs.is_empty() {
            return Err(PlaceError::NoCertificate);
        }
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .root_certs(RootCerts::new_with_certs(&certs))
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .build();
        let config = ureq::Agent::config_builder()
            .tls_config(tls)
            .https_only(true)
            // What the environment says of proxies is none of the installer's words.
            .proxy(place.proxy.as_deref().map(proxy).transpose()?)
            .max_redirects(0)
            .http_status_as_error(false)
            .timeout_global(Some(PATIENCE))
            .timeout_connect(Some(CONNECT))
            .max_idle_age(IDLE)
            .build();
        let connector = DefaultConnector::default().chain(InOnePiece);
        let agent = ureq::Agent::with_parts(config, connector, DefaultResolver::default());
        Ok(Self { agent, place })
    }

    fn url(&self, path: &str) -> String {
        format!("https://{}/api/v2/edgedevice/{path}", self.place.server)
    }

    /// Tells apart a controller that is not there, one that is not believed, and a proxy in between.
    fn unreachable(&self, error: ureq::Error) -> LineError {
        match &error {
            ureq::Error::ConnectProxyFailed(_) => LineError::Proxy(error),
            other if is_of_certificates(other) => match of_dates(other) {
                Some(judged) => LineError::Dates { clock_unix_s: now_unix_s(), judged, source: error },
                None => LineError::NotBelieved(error),
            },
            _ if self.place.proxy.is_some() => LineError::ByProxy(error),
            _ => LineError::Unreachable(error),
        }
    }
}

/// The TLS of the controller goes through it unopened (CONNECT); the controller's name is the proxy's to resolve.
fn proxy(written: &str) -> Result<ureq::Proxy, PlaceError> {
    let read = ureq::Proxy::new(written).ok().filter(|proxy| proxy.protocol() == ProxyProtocol::Http);
    read.ok_or(PlaceError::Proxy)
}

fn read(
    path: &str,
    answer: Result<ureq::http::Response<ureq::Body>, LineError>,
) -> Result<Answer, LineError> {
    let mut answer = answer?;
    let header =
        |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let (status, media, retry) = (answer.status().as_u16(), header("content-type"), header("retry-after"));
    if !matches!(status, 200..300 | 304) {
        let mut words = Vec::new();
        // What can't be read of a refusal does not change that it is one.
        let _ = answer.body_mut().as_reader().take(MAX_REFUSAL).read_to_end(&mut words);
        let call = path.rsplit('/').next().unwrap_or(path);
        let retry_after_s = retry.and_then(|text| text.trim().parse().ok());
        return Err(Refusal::new(call, status, &words, retry_after_s).into());
    }
    let body = answer.body_mut().with_config().limit(MAX_ANSWER).read_to_vec().map_err(LineError::Answer)?;
    let proto = media.is_some_and(|media| media.split(';').next().is_some_and(|kind| kind.trim() == PROTO));
    if !body.is_empty() && !proto {
        return Err(LineError::OtherMedia);
    }
    Ok(Answer { status, body })
}

/// The handshake runs when first bytes are written: what rustls says of it comes as an error of input and output.
fn is_of_certificates(error: &ureq::Error) -> bool {
    matches!(said(error), Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented))
}

/// On which side of a certificate's dates the clock is, where it is that.
fn of_dates(error: &ureq::Error) -> Option<Judged> {
    use rustls::CertificateError::{Expired, ExpiredContext, NotValidYet, NotValidYetContext};
    match said(error)? {
        rustls::Error::InvalidCertificate(NotValidYet | NotValidYetContext { .. }) => Some(Judged::Early),
        rustls::Error::InvalidCertificate(Expired | ExpiredContext { .. }) => Some(Judged::Late),
        _ => None,
    }
}

fn said(error: &ureq::Error) -> Option<&rustls::Error> {
    match error {
        ureq::Error::Rustls(said) => Some(said),
        ureq::Error::Io(error) => error.get_ref().and_then(|inner| inner.downcast_ref()),
        _ => None,
    }
}

/// The time, seconds since 1970.
pub(crate) fn now_unix_s() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
