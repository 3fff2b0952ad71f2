//! zedagent: the line to the controller. Polls the configuration, passes the signed bytes on unchanged, posts evidence and status,
//! keeps the checkpoint in the Config Vault. It never holds a vault's key: what it relays is sealed to vaultmgr.

mod checkpoint;
mod post;

use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use wire::config::{ConfigRequest, SignedConfig as Verified, VaultAsk};
use wire::{Certificate, ControllerCerts, TrustedCerts, Validity, envelope};

use super::client::fetch_certs;
use super::signer::BusSigner;
use super::{Options, forward};
use crate::bus::Bus;
use crate::bus::messages::{
    Bytes, Challenge, ControllerStatus, Evidence, Onboarded, Session, SignedConfig, Source, TpmStatus,
    VaultStatus,
};
use crate::http::{Line, now_unix_s};
use crate::paths;

pub(super) use checkpoint::Known;

/// After a failure: this long, then twice as long, up to the poll interval.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The status is posted at least this often.
const INFO_EVERY: Duration = Duration::from_secs(600);

enum Event {
    Onboarded(Onboarded),
    Session(Session),
    Evidence(Evidence),
    Tpm(TpmStatus),
    Vaults(VaultStatus),
}

struct Identity {
    onboarded: Onboarded,
    cert: Certificate,
    certs: TrustedCerts,
    uploaded: bool,
}

struct Zedagent<'a> {
    bus: &'a Bus,
    root: PathBuf,
    poll: Duration,
    line: Line,
    identity: Option<Identity>,
    session: Option<Session>,
    tpm: Option<TpmStatus>,
    evidence: Option<Evidence>,
    vaults: VaultStatus,
    vaults_due: bool,
    info_at: Option<Instant>,
    config_hash: String,
    /// The last answer with a configuration, until it is in the checkpoint.
    unsaved: Option<SignedConfig>,
    checkpoint_read: bool,
    config_vault: Known,
    next_poll: Instant,
    pause: Duration,
    status: ControllerStatus,
}

pub(super) fn run(bus: &Bus, root: &Path, options: Options, config_vault: Known) -> anyhow::Result<()> {
    let (sender, events) = channel();
    forward(bus.subscribe(), &sender, Event::Onboarded);
    forward(bus.subscribe(), &sender, Event::Session);
    forward(bus.subscribe(), &sender, Event::Evidence);
    forward(bus.subscribe(), &sender, Event::Tpm);
    forward(bus.subscribe(), &sender, Event::Vaults);
    let mut zedagent = Zedagent::new(bus, root, options, config_vault)?;
    loop {
        let wait = zedagent.next_poll.saturating_duration_since(Instant::now());
        match events.recv_timeout(wait) {
            Ok(event) => zedagent.hear(event)?,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => bail!("the bus is gone"),
        }
        while let Ok(event) = events.try_recv() {
            zedagent.hear(event)?;
        }
        zedagent.work()?;
    }
}

impl<'a> Zedagent<'a> {
    fn new(bus: &'a Bus, root: &Path, options: Options, config_vault: Known) -> anyhow::Result<Self> {
        let line = Line::new(root)?;
        let status = ControllerStatus { server: line.server().to_owned(), ..ControllerStatus::default() };
        Ok(Self {
            bus,
            root: root.to_owned(),
            poll: options.poll,
            line,
            identity: None,
            session: None,
            tpm: None,
            evidence: None,
            vaults: VaultStatus::default(),
            vaults_due: false,
            info_at: None,
            config_hash: String::new(),
            unsaved: None,
            checkpoint_read: false,
            config_vault,
            next_poll: Instant::now() + options.poll,
            pause: FIRST_PAUSE,
            status,
        })
    }

    fn hear(&mut self, event: Event) -> anyhow::Result<()> {
        match event {
            Event::Onboarded(onboarded) => {
                self.identity = Some(self.identify(onboarded)?);
                self.next_poll = Instant::now();
            }
            Event::Session(session) if self.session != Some(session) => {
                self.session = Some(session);
                self.config_hash.clear();
                self.status.attested = false;
                self.next_poll = Instant::now();
            }
            Event::Session(_) => {}
            Event::Evidence(evidence) => self.evidence = Some(evidence),
            Event::Tpm(tpm) => self.tpm = Some(tpm),
            Event::Vaults(vaults) => {
                self.vaults = vaults;
                self.vaults_due = true;
            }
        }
        Ok(())
    }

    fn identify(&self, onboarded: Onboarded) -> anyhow::Result<Identity> {
        let root_pem = std::fs::read(paths::root_certificate(&self.root))?;
        let certs = ControllerCerts::decode(&onboarded.certs.0)?.verify(&root_pem, Validity::Ignored)?;
        let cert = Certificate::from_pem(&onboarded.device_cert.0)?;
        Ok(Identity { onboarded, cert, certs, uploaded: false })
    }

    /// All that is due now. What fails is due again later.
    fn work(&mut self) -> anyhow::Result<()> {
        self.checkpoint()?;
        if self.identity.is_none() {
            self.next_poll = Instant::now() + self.poll;
            return Ok(());
        }
        let info_due = self.vaults_due || self.info_at.is_none_or(|at| at.elapsed() >= INFO_EVERY);
        let poll_due = Instant::now() >= self.next_poll;
        if poll_due || self.evidence.is_some() || (info_due && self.status.reachable) {
            let done = self.exchange(poll_due, info_due);
            self.note(done);
        }
        Ok(())
    }

    fn exchange(&mut self, poll_due: bool, info_due: bool) -> anyhow::Result<()> {
        self.upload_certs()?;
        let answered = self.evidence.is_some();
        self.post_evidence()?;
        if poll_due || answered {
            self.poll_config()?;
        }
        if info_due {
            self.post_info()?;
        }
        Ok(())
    }

    fn note(&mut self, done: anyhow::Result<()>) {
        let now = Instant::now();
        match done {
            Ok(()) => {
                self.status.reachable = true;
                self.status.words = "ok".to_owned();
                self.status.last_answer_unix_s = Some(now_unix_s());
                self.pause = FIRST_PAUSE;
                if self.next_poll <= now {
                    self.next_poll = now + jitter(self.poll);
                }
            }
            Err(error) => {
                self.status.reachable = false;
                self.status.words = format!("{error:#}");
                tracing::warn!(error = %self.status.words, again_in = ?self.pause, "the controller");
                self.next_poll = now + self.pause;
                self.pause = (self.pause * 2).min(self.poll.max(FIRST_PAUSE));
            }
        }
        self.bus.publish(&self.status.clone());
    }

    fn known(&self) -> anyhow::Result<&Identity> {
        self.identity.as_ref().context("not onboarded yet")
    }

    /// Posts a signed payload to a path of this device's.
    fn post(&self, path: &str, payload: &[u8]) -> anyhow::Result<crate::http::Answer> {
        let identity = self.known()?;
        let body = envelope::seal_from_device(payload, &identity.cert, &BusSigner(self.bus))?;
        self.line.post(&format!("id/{}/{path}", identity.onboarded.device), &body)
    }

    fn poll_config(&mut self) -> anyhow::Result<()> {
        let vault = self.session.map(|session| VaultAsk { session: session.key, bundle: None });
        let ask = ConfigRequest { config_hash: self.config_hash.clone(), integrity_token: Vec::new(), vault };
        let answer = self.post("config", &ask.encode())?;
        match answer.status {
            304 => Ok(()),
            200 => self.take_config(answer.body),
            403 => bail!("the controller wants evidence first (403)"),
            400 | 404 => {
                bail!("the controller does not know this device ({}); was it deleted there?", answer.status)
            }
            503 => {
                self.pause = Duration::from_secs(answer.retry_after_s.unwrap_or(5).clamp(1, 600));
                bail!("the controller is overloaded (503)")
            }
            status => bail!("the controller answered {status} on /config"),
        }
    }

    fn take_config(&mut self, body: Vec<u8>) -> anyhow::Result<()> {
        let identity = self.known()?;
        let verified = match Verified::verify(&body, &identity.certs) {
            Ok(verified) => verified,
            Err(_) => {
                // The controller's certificates may have changed.
                let certs = fetch_certs(&self.line, &self.root)?;
                let verified = Verified::verify(&body, &certs)?;
                if let Some(identity) = &mut self.identity {
                    identity.certs = certs;
                }
                verified
            }
        };
        let response = verified.response();
        self.config_hash.clone_from(&response.config_hash);
        let control = response.control.as_ref();
        let session = self.session;
        let for_us = control.filter(|control| session.is_some_and(|session| session.key == control.session));
        if let Some(question) = for_us.and_then(|control| control.challenge.clone()) {
            let session = for_us.expect("it asked").session;
            self.bus.publish(&Challenge { session, question });
        }
        let certs = Bytes(self.known()?.certs.bytes().to_vec());
        let signed = SignedConfig { source: Source::Live, envelope: Bytes(body), certs };
        self.bus.publish(&signed);
        if response.config.is_some() {
            self.unsaved = Some(signed);
        }
        Ok(())
    }
}

/// 0.7 to 1.0 of the interval, so that a fleet does not poll in step.
fn jitter(interval: Duration) -> Duration {
    let random = uuid::Uuid::new_v4().as_u128() % 300;
    interval.mul_f64(1.0 - random as f64 / 1000.0)
}
