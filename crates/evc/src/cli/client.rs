//! Speaks to a controller's API: TLS with its own root alone, the token from a file, a time limit, errors with their advice.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Body, http::Response};
use zeroize::Zeroizing;

use super::args::Reach;
use super::failed::Failed;
use super::read;
use crate::api::calls::{Call, Method, Query};
use crate::api::{Damaged, List, Listed, Paged, Problem};
use crate::service::is_nobody_elses;

/// For one request, connection included.
const PATIENCE: Duration = Duration::from_secs(30);
/// Rows asked for at once.
const PAGE: u32 = 1000;
/// Longest file of those that say whom to ask.
const LONGEST_FILE: u64 = 1 << 20;
/// Longest answer that is read.
const LONGEST: u64 = 64 << 20;
const OTHER_VERSION: &str = "the controller did as it was told, and its answer is of another version\n  what to do: use the `evc` that runs there\n  cause";

/// A controller that can be asked.
pub(super) struct Client {
    agent: Agent,
    base: String,
    bearer: Zeroizing<String>,
    token_file: PathBuf,
}

const NO_TOKEN: &str = "give --token-file; where there is none any more, as after a restore, `evc token new` on the controller's machine makes one";

const NO_URL: &str = "is `evc serve` running? if with another data folder, name that by --data or EVC_DATA; if on another machine, give --url";

/// The token goes to nobody in plain text.
fn encrypted(url: &str) -> anyhow::Result<()> {
    match url.split_once("://") {
        Some(("https", _)) => Ok(()),
        Some((_, place)) => bail!(
            "{url} is not encrypted, and the token would be read on the way\n  what to do: use https://{place}"
        ),
        None => bail!("{url} is no URL\n  what to do: write it as https://{url}"),
    }
}

impl Client {
    /// Finds URL, token and root: by flag or variable, else in the data folder.
    pub(super) fn new(reach: &Reach) -> anyhow::Result<Self> {
        Self::patient(reach, PATIENCE)
    }

    /// The same, with another time limit for each request.
    pub(super) fn patient(reach: &Reach, patience: Duration) -> anyhow::Result<Self> {
        let data = reach.data();
        if reach.url().is_none() || reach.ca().is_none() || reach.token_file().is_none() {
            may_be_believed(reach, &data)?;
        }
        let url = file(reach.url().map(Given::Text), &data.join("url"), NO_URL)?;
        encrypted(&url)?;
        let token_file = token_file(reach);
        let token = Zeroizing::new(file(reach.token_file().map(Given::File), &token_file, NO_TOKEN)?);
        let ca_file = reach.ca().unwrap_or_else(|| data.join("root-certificate.pem"));
        let ca = file(reach.ca().map(Given::File), &ca_file, "give --ca")?;
        let agent = agent(&ca, patience);
        Ok(Self {
            agent: agent.with_context(|| format!("{} holds no root certificate", ca_file.display()))?,
            base: format!("{}/api/v1", url.trim_end_matches('/')),
            bearer: bearer(&token),
            token_file,
        })
    }

    /// Where its token lies.
    pub(super) fn token_file(&self) -> &Path {
        &self.token_file
    }

    /// Goes on with another token.
    pub(super) fn carry(&mut self, token: &str) {
        self.bearer = bearer(token);
    }

    /// A call that takes nothing but its path.
    pub(super) fn call<A: DeserializeOwned>(
        &self,
        call: &Call<(), (), A>,
        parts: &[&str],
    ) -> Result<A, Failed> {
        self.send(call, parts, &(), "")
    }

    /// A call that takes a query.
    pub(super) fn ask<P: Query, A: DeserializeOwned>(
        &self,
        call: &Call<P, (), A>,
        parts: &[&str],
        query: &P,
    ) -> Result<A, Failed> {
        self.send(call, parts, query, "")
    }

    /// A call that takes a body.
    pub(super) fn tell<B: Serialize, A: DeserializeOwned>(
        &self,
        call: &Call<(), B, A>,
        parts: &[&str],
        body: &B,
    ) -> Result<A, Failed> {
        self.send(call, parts, &(), &serde_json::to_string(body).context("the request can't be written")?)
    }

    /// A call with a body as it is written.
    pub(super) fn send<P: Query, B, A: DeserializeOwned>(
        &self,
        call: &Call<P, B, A>,
        parts: &[&str],
        query: &P,
        body: &str,
    ) -> Result<A, Failed> {
        let url = format!("{}{}{}", self.base, call.path_of(parts), query.text());
        let bearer = self.bearer.as_str();
        self.told(match call.method {
            Method::Get => self.agent.get(url).header("authorization", bearer).call(),
            Method::Delete => self.agent.delete(url).header("authorization", bearer).call(),
            Method::Post => self.agent.post(url).header("authorization", bearer).send(body),
        })
    }

    /// All rows of a list, page by page.
    pub(super) fn list<T: Paged>(&self) -> Result<Rows<T>, Failed> {
        self.list_of(None)
    }

    /// Of devices, those with some labels.
    pub(super) fn list_of<T: Paged>(&self, selector: Option<&str>) -> Result<Rows<T>, Failed> {
        let (mut all, mut after) = (Rows::default(), String::new());
        loop {
            let selector = selector.map(Into::into);
            let query = List { after: after.clone(), limit: Some(PAGE), device: None, selector };
            let page = self.ask(&T::CALL, &[], &query)?;
            let full = page.len() >= PAGE as usize;
            // Past rows whose place can't be said: they come again in the next page.
            let next = page.iter().rev().find_map(cursor).filter(|next| *next != after);
            all.extend(page);
            match next.filter(|_| full) {
                Some(next) => after = next,
                None => return Ok(all),
            }
        }
    }

    fn told<A: DeserializeOwned>(&self, answer: Result<Response<Body>, ureq::Error>) -> Result<A, Failed> {
        let mut answer = answer.map_err(|error| self.unanswered(error))?;
        let status = answer.status();
        let text = answer.body_mut().with_config().limit(LONGEST).read_to_string();
        let text = text.context("the answer does not read")?;
        if status.is_success() {
            return Ok(serde_json::from_str(&text).context(OTHER_VERSION)?);
        }
        match serde_json::from_str::<Problem>(&text) {
            Ok(problem) => Err(problem.into()),
            Err(_) => Err(anyhow!("the controller answered {status}; see its log").into()),
        }
    }
}

impl Client {
    /// Tells apart a controller that is not there and one that is not believed.
    fn unanswered(&self, error: ureq::Error) -> anyhow::Error {
        let words = if is_of_a_certificate(&error) {
            format!(
                "the certificate of {} is not good under the root certificate at hand\n  what to do: give --ca the \
                 root-certificate.pem of that controller's data folder, reach it by a name that `evc serve --name` was given, \
                 and see that the clock is right\n  cause",
                self.base
            )
        } else {
            format!("no answer from {}; is the controller running there?", self.base)
        };
        anyhow::Error::new(error).context(words)
    }
}

/// Whether TLS ended because the controller showed no certificate that is good here.
fn is_of_a_certificate(error: &ureq::Error) -> bool {
    use rustls::Error::{InvalidCertificate, NoCertificatesPresented};
    let error = match error {
        ureq::Error::Rustls(error) => Some(error),
        ureq::Error::Io(error) => error.get_ref().and_then(|inner| inner.downcast_ref()),
        _ => None,
    };
    matches!(error, Some(InvalidCertificate(_) | NoCertificatesPresented))
}

/// Where the token lies, or is to lie.
pub(super) fn token_file(reach: &Reach) -> PathBuf {
    reach.token_file().unwrap_or_else(|| reach.data().join("operator.token"))
}

fn bearer(token: &str) -> Zeroizing<String> {
    Zeroizing::new(format!("Bearer {token}"))
}

/// What somebody said by an option or a variable.
enum Given {
    Text(String),
    File(PathBuf),
}

/// What was said, else what is found in the data folder.
fn file(said: Option<Given>, found: &Path, advice: &str) -> anyhow::Result<String> {
    let (text, path) = match said {
        Some(Given::Text(text)) => return Ok(text),
        Some(Given::File(path)) => (read::named(&path, LONGEST_FILE), path),
        // Nothing failed: who waits for a controller reads no error of the system's.
        None if is_absent(found) => {
            return Err(anyhow::Error::msg(format!("{} is not there; {advice}", found.display())));
        }
        None => (read::found(found, LONGEST_FILE), found.to_owned()),
    };
    let text = text.with_context(|| format!("can't read {}; {advice}", path.display()))?;
    Ok(text.trim().to_owned())
}

fn is_absent(path: &Path) -> bool {
    path.symlink_metadata().is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
}

/// A data folder that others may have filled does not say to whom a token is sent; nor does one that nobody named, where the token is
/// said: it may have come with a download.
fn may_be_believed(reach: &Reach, data: &Path) -> anyhow::Result<()> {
    if data.is_dir() && !is_nobody_elses(data).unwrap_or(false) {
        bail!(
            "others may write into {}, which says where the controller is\n  what to do: name another folder with --data, or give --url, --ca and --token-file",
            data.display()
        );
    }
    if reach.token_file().is_some() && !reach.names_data() {
        bail!(
            "the token is said, and {} would say to whom it is sent\n  what to do: give --url and --ca too, or --data",
            data.display()
        );
    }
    Ok(())
}

/// The place of the last row, by which the next page is asked for.
fn cursor<T: Paged>(row: &Listed<T>) -> Option<String> {
    let place = match row {
        Listed::Row(row) => Some(row.place()),
        Listed::Damaged(row) => row.place(),
    };
    Some(place?.join("/"))
}

/// The rows of a list: those that read, and those that do not.
#[derive(Debug)]
pub(super) struct Rows<T> {
    pub(super) whole: Vec<T>,
    pub(super) damaged: Vec<Damaged>,
}

impl<T> Default for Rows<T> {
    fn default() -> Self {
        Self { whole: Vec::new(), damaged: Vec::new() }
    }
}

impl<T> Rows<T> {
    fn extend(&mut self, rows: Vec<Listed<T>>) {
        for row in rows {
            match row {
                Listed::Row(row) => self.whole.push(row),
                Listed::Damaged(row) if self.damaged.contains(&row) => {}
                Listed::Damaged(row) => self.damaged.push(row),
            }
        }
    }

    /// Each whole row as others, or as none.
    pub(super) fn flat_map<U, I: IntoIterator<Item = U>>(self, of: impl FnMut(T) -> I) -> Rows<U> {
        Rows { whole: self.whole.into_iter().flat_map(of).collect(), damaged: self.damaged }
    }
}

impl<T> From<Vec<Listed<T>>> for Rows<T> {
    fn from(rows: Vec<Listed<T>>) -> Self {
        let mut all = Self::default();
        all.extend(rows);
        all
    }
}

impl<T> From<Vec<T>> for Rows<T> {
    fn from(whole: Vec<T>) -> Self {
        Self { whole, damaged: Vec::new() }
    }
}

fn agent(ca_pem: &str, patience: Duration) -> anyhow::Result<Agent> {
    // Fails only when one was chosen before, which is the same.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let roots: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(ca_pem.as_bytes()).collect();
    let roots = roots
        .ok()
        .filter(|roots| !roots.is_empty())
        .context("give --ca the root-certificate.pem of the controller's data folder")?;
    let roots: Vec<_> = roots.iter().map(|der| Certificate::from_der(der).to_owned()).collect();
    let tls = TlsConfig::builder().root_certs(RootCerts::Specific(Arc::new(roots))).build();
    Ok(Agent::config_builder()
        .tls_config(tls)
        .timeout_global(Some(patience))
        .https_only(true)
        .max_redirects(0)
        .http_status_as_error(false)
        .proxy(None)
        .build()
        .into())
}
