//! HTTPS to the controller: its root only, bounded in time and size.

mod refusal;

use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, TlsProvider, parse_pem};

pub(crate) use refusal::Refusal;

/// The only media type that is read.
const PROTO: &str = "application/x-proto-binary";
/// Whole exchange.
const PATIENCE: Duration = Duration::from_secs(60);
/// To connect.
const CONNECT: Duration = Duration::from_secs(10);

/// A connection is taken up again within this: longer than from one poll to the next, shorter than the controller keeps it.
const IDLE: Duration = Duration::from_secs(100);

/// Longest answer that is read, bytes: with the certificates beside it, it must fit into a frame of the bus.
pub(crate) const MAX_ANSWER: u64 = 3 << 20;

/// Longest part of a refusal that is read, bytes.
const MAX_REFUSAL: u64 = 4 << 10;

/// An answer that is no refusal; empty when nothing changed (304).
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

/// The line to the controller.
pub(crate) struct Line {
    agent: ureq::Agent,
    server: String,
}

impl Line {
    /// Reads where the controller is and whom to believe.
    pub(crate) fn new(root: &Path) -> anyhow::Result<Self> {
        let server = std::fs::read_to_string(crate::paths::server(root))
            .context("config/server: the installer writes host:port there")?;
        let pem = std::fs::read(crate::paths::root_certificate(root))
            .context("config/root-certificate.pem: take it from the controller")?;
        let certs = parse_pem(&pem).filter_map(|item| match item {
            Ok(PemItem::Certificate(cert)) => Some(cert),
            _ => None,
        });
        let certs: Vec<Certificate<'static>> = certs.collect();
        ensure!(!certs.is_empty(), "config/root-certificate.pem has no certificate");
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .root_certs(RootCerts::new_with_certs(&certs))
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .build();
        let agent = ureq::Agent::config_builder()
            .tls_config(tls)
            .https_only(true)
            .proxy(None)
            .max_redirects(0)
            .http_status_as_error(false)
            .timeout_global(Some(PATIENCE))
            .timeout_connect(Some(CONNECT))
            .max_idle_age(IDLE)
            .build()
            .new_agent();
        Ok(Self {
            agent,
            server: server.trim().trim_start_matches("https://").trim_end_matches('/').to_owned(),
        })
    }

    pub(crate) fn server(&self) -> &str {
        &self.server
    }

    fn url(&self, path: &str) -> String {
        format!("https://{}/api/v2/edgedevice/{path}", self.server)
    }

    /// A refusal is an error: [`Refusal`].
    pub(crate) fn get(&self, path: &str) -> anyhow::Result<Answer> {
        let request = self.agent.get(self.url(path)).header("X-Request-Id", uuid::Uuid::new_v4().to_string());
        read(path, request.call())
    }

    /// A refusal is an error: [`Refusal`].
    pub(crate) fn post(&self, path: &str, body: &[u8]) -> anyhow::Result<Answer> {
        let request = self.agent.post(self.url(path)).header("Content-Type", PROTO);
        read(path, request.header("X-Request-Id", uuid::Uuid::new_v4().to_string()).send(body))
    }
}

fn read(path: &str, answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> anyhow::Result<Answer> {
    let mut answer = answer.map_err(unreachable)?;
    let header =
        |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let (status, media, retry) = (answer.status().as_u16(), header("content-type"), header("retry-after"));
    if !matches!(status, 200..300 | 304) {
        let mut words = Vec::new();
        // What can't be read of a refusal does not change that it is one.
        let _ = answer.body_mut().as_reader().take(MAX_REFUSAL).read_to_end(&mut words);
        let call = path.rsplit('/').next().unwrap_or(path);
        let retry_after_s = retry.and_then(|text| text.trim().parse().ok());
        bail!(Refusal::new(call, status, &words, retry_after_s));
    }
    let body =
        answer.body_mut().with_config().limit(MAX_ANSWER).read_to_vec().context("the controller's answer")?;
    let proto = media.is_some_and(|media| media.split(';').next().is_some_and(|kind| kind.trim() == PROTO));
    if !body.is_empty() && !proto {
        bail!("the controller's answer is not {PROTO}");
    }
    Ok(Answer { status, body })
}

/// Tells apart a controller that is not there and one that is not believed.
fn unreachable(error: ureq::Error) -> anyhow::Error {
    let words = match error.to_string().contains("certificate") {
        true => {
            "the controller's TLS certificate is not good under config/root-certificate.pem (is it this controller's, and is the clock right?)"
        }
        false => {
            "the controller can't be reached: see that config/server is right, that it runs and that the line is up"
        }
    };
    anyhow::Error::new(error).context(words)
}

/// The time, seconds since 1970.
pub(crate) fn now_unix_s() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
