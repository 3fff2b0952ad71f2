//! zedagent: the line to the controller. Polls the configuration, passes the signed bytes on unchanged, posts evidence and status,
//! keeps the checkpoint in the Config Vault. It never holds a vault's key: what it relays is sealed to vaultmgr.

mod checkpoint;
mod config;
mod courier;
mod escrow;
mod pace;
mod place;
mod post;
mod sealed;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, channel, sync_channel};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use disk::Disk;
use vault::ids::DeviceId;
use wire::{Certificate, TrustedCerts, envelope};

use super::ended::{Ended, StartsAnew};
use super::failed::Failed;
use super::repeats::Repeats;
use super::signer::BusSigner;
use super::{Options, forward};
use crate::bus::messages::{
    Agents, Bytes, ControllerStatus, CourierRefusal, EscrowWish, Evidence, ExportEvidence, ImportAnswer,
    Imported, Onboarded, Session, SignedConfig, TpmStatus, VaultStatus,
};
use crate::bus::{Bus, Call};
use crate::http::{Line, Refusal, now_unix_s};
use pace::{INFO_BURST, Pace, info_wait};
use sealed::SealedPoll;

pub(super) use checkpoint::BeforeWalls;

/// The verdict on evidence that was good.
const ACCEPTED: &str = "accepted";

enum Event {
    Onboarded(Onboarded),
    Session(Session),
    Evidence(Evidence),
    Tpm(TpmStatus),
    Vaults(Box<VaultStatus>),
    Escrow(EscrowWish),
    Agents(Agents),
    Import(ImportAnswer, courier::Reply<Imported>),
    Export(ExportEvidence, courier::Reply<Bytes>),
}

struct Identity {
    device: DeviceId,
    cert: Certificate,
    certs: TrustedCerts,
    /// The controller took the certificates of this device's keys, or there are none.
    uploaded: bool,
}

struct Zedagent<'a> {
    bus: &'a Bus,
    root: PathBuf,
    disk: Disk,
    line: Line,
    /// Who the device is, as client says; and what follows from that under the root that is believed.
    onboarded: Option<Onboarded>,
    identity: Option<Identity>,
    session: Option<Session>,
    tpm: Option<TpmStatus>,
    /// The nonce that tpmmgr was asked to answer, until it did: other evidence is of an earlier life, of ours or of tpmmgr's.
    asked: Option<[u8; 32]>,
    evidence: Option<Evidence>,
    /// Evidence that goes into a file.
    courier: Option<courier::Awaited>,
    /// Which demand this session's evidence does not meet, while it satisfies no policy.
    lacks: Option<String>,
    vaults: VaultStatus,
    /// What is to be told of agents that do not answer.
    silent: Vec<String>,
    vaults_due: bool,
    escrow: escrow::Errand,
    /// When it was posted, the newest first.
    info_at: [Option<Instant>; INFO_BURST],
    config_hash: String,
    /// The last poll that was answered.
    polled: Option<SealedPoll>,
    /// The last answer with a section, until it is in the checkpoint.
    unsaved: Option<SignedConfig>,
    checkpoint_read: bool,
    /// What the walls around this process know.
    walls: BeforeWalls,
    pace: Pace,
    status: ControllerStatus,
    /// What the exchanges failed of since the last that went well.
    failures: Repeats,
}

pub(super) fn run(
    bus: &Bus,
    (disk, root): (&Disk, &Path),
    options: Options,
    known: BeforeWalls,
) -> Result<(), Ended> {
    let (sender, events) = sync_channel(0);
    forward(bus.subscribe(), &sender, Event::Onboarded);
    forward(bus.subscribe(), &sender, Event::Session);
    forward(bus.subscribe(), &sender, Event::Evidence);
    forward(bus.subscribe(), &sender, Event::Tpm);
    forward(bus.subscribe(), &sender, |vaults| Event::Vaults(Box::new(vaults)));
    forward(bus.subscribe(), &sender, Event::Escrow);
    forward(bus.subscribe(), &sender, Event::Agents);
    answer(bus, &sender, Event::Import);
    answer(bus, &sender, Event::Export);
    let mut zedagent = Zedagent::new(bus, (disk, root), options, known);
    bus.publish(&zedagent.status);
    loop {
        match events.recv_timeout(zedagent.wait()) {
            Ok(event) => zedagent.hear(event),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Err(anyhow!("the bus is gone").into()),
        }
        while let Ok(event) = events.try_recv() {
            zedagent.hear(event);
        }
        zedagent.work()?;
    }
}

/// Has a call answered between two other things that are heard.
fn answer<C: Call<Error = CourierRefusal>>(
    bus: &Bus,
    sender: &SyncSender<Event>,
    event: fn(C, courier::Reply<C::Answer>) -> Event,
) {
    let sender = sender.clone();
    bus.serve::<C>(move |_, call| {
        let (reply, answer) = channel();
        sender.send(event(call, reply)).map_err(|_| CourierRefusal::Ending)?;
        answer.recv().map_err(|_| CourierRefusal::Ending)?
    });
}

impl<'a> Zedagent<'a> {
    fn new(bus: &'a Bus, (disk, root): (&Disk, &Path), options: Options, walls: BeforeWalls) -> Self {
        let mut zedagent = Self {
            bus,
            root: root.to_owned(),
            disk: disk.clone(),
            line: Line::new(root),
            onboarded: None,
            identity: None,
            session: None,
            tpm: None,
            asked: None,
            evidence: None,
            courier: None,
            lacks: None,
            vaults: VaultStatus::default(),
            silent: Vec::new(),
            vaults_due: false,
            escrow: escrow::Errand::default(),
            info_at: [None; INFO_BURST],
            config_hash: String::new(),
            polled: None,
            unsaved: None,
            checkpoint_read: false,
            walls,
            pace: Pace::new(options.poll, Instant::now()),
            status: ControllerStatus::default(),
            failures: Repeats::default(),
        };
        zedagent.tell_place();
        zedagent
    }

    fn hear(&mut self, event: Event) {
        match event {
            // client says the same again when it was asked to look: what failed is due at its own time.
            Event::Onboarded(same) if self.onboarded.as_ref() == Some(&same) => {}
            Event::Onboarded(onboarded) => {
                self.onboarded = Some(onboarded);
                self.identity = None;
                self.config_hash.clear();
                self.pace.at_once(Instant::now());
            }
            // The same life asks anew that leases be renewed.
            Event::Session(session) if self.session.is_some_and(|of| of.key == session.key) => {
                let asks = self.session.replace(session) != Some(session);
                if asks {
                    self.pace.at_once(Instant::now());
                }
            }
            Event::Session(session) => {
                self.session = Some(session);
                self.config_hash.clear();
                self.status.attested = false;
                self.status.attestation = None;
                self.lacks = None;
                self.pace.at_once(Instant::now());
            }
            Event::Import(answer, reply) => drop(reply.send(self.import(answer))),
            Event::Export(ask, reply) => self.export(&ask, reply),
            Event::Evidence(evidence) => {
                if !self.is_carried(&evidence)
                    && self.asked.take_if(|nonce| *nonce == evidence.nonce).is_some()
                {
                    self.evidence = Some(evidence);
                }
            }
            Event::Tpm(tpm) => self.tpm = Some(tpm),
            Event::Agents(agents) => self.hear_agents(&agents),
            Event::Escrow(wish) => {
                if self.escrow.take(wish) {
                    self.pace.at_once(Instant::now());
                }
            }
            Event::Vaults(vaults) => {
                // What was sent before this was known follows nothing: the next section does.
                if self.vaults.head.is_none() && vaults.head.is_some() {
                    self.pace.at_once(Instant::now());
                }
                // Another controller was accepted: it said its list when that did not count, and is to say it again.
                let is_another = self.vaults.root.is_some() && self.vaults.root != vaults.root;
                if is_another || self.vaults.head.is_some() && vaults.head.is_none() {
                    self.config_hash.clear();
                    self.pace.at_once(Instant::now());
                }
                self.vaults = *vaults;
                self.vaults_due = true;
            }
        }
    }

    /// All that is due now. What fails is due again later.
    fn work(&mut self) -> Result<(), StartsAnew> {
        self.checkpoint()?;
        if self.onboarded.is_none() {
            self.pace.later(Instant::now());
            return Ok(());
        }
        let now = Instant::now();
        let news = self.info_wait().is_zero() || self.escrow.is_due(now);
        if self.pace.is_due(now) || self.evidence_due() || (news && self.status.reachable) {
            if !self.status.reachable {
                self.look_again()?;
            }
            let done = self.identify().and_then(|()| self.exchange(now));
            self.note(now, done);
        }
        Ok(())
    }

    /// Evidence is of use only behind the keys that it is signed with.
    fn evidence_due(&self) -> bool {
        self.evidence.is_some()
            && matches!(self.tpm, Some(TpmStatus::Ready { .. } | TpmStatus::Absent { .. }))
    }

    /// How long the status waits.
    fn info_wait(&self) -> Duration {
        info_wait(self.info_at.map(|at| at.map(|at| at.elapsed())), self.vaults_due)
    }

    /// How long nothing is due, unless something is heard.
    fn wait(&self) -> Duration {
        let info = self.info_wait();
        let now = Instant::now();
        let upload = self.escrow.wait(now).filter(|_| self.status.reachable);
        let poll = self.pace.wait(now).min(upload.unwrap_or(Duration::MAX));
        // What fails is tried again at the pace of polls.
        if self.vaults_due && self.status.reachable && !info.is_zero() { poll.min(info) } else { poll }
    }

    /// What the controller refuses of certificates and evidence is noted, and keeps nothing else from going on (AC-2).
    fn exchange(&mut self, now: Instant) -> Result<(), Failed> {
        self.upload_certs(self.pace.is_due(now))?;
        let posted = self.evidence_due() && self.post_evidence()?;
        let posted = (self.escrow.is_due(now) && self.post_bundle(now)?) || posted;
        if let Some(poll) = self.pace.poll(now, posted) {
            self.poll_config(poll)?;
        }
        if self.info_wait().is_zero() {
            self.post_info()?;
        }
        Ok(())
    }

    fn note(&mut self, began: Instant, done: Result<(), Failed>) {
        let now = Instant::now();
        match done {
            Ok(()) => {
                // Of one that was not reached: the last word was a warning.
                let failed = self.failures.end();
                if !self.status.reachable && failed > 0 {
                    tracing::info!(server = self.status.server, failed, "the controller answers again");
                }
                self.status.reachable = true;
                self.status.words = "ok".to_owned();
                self.status.not_asked = false;
                self.status.refused = false;
                self.status.unknown_device = false;
                self.status.removed = false;
                self.status.last_answer_unix_s = Some(now_unix_s());
                self.pace.went_well(began, now, jitter());
            }
            Err(error) => {
                self.status.reachable = false;
                self.status.not_asked = error.not_asked();
                self.status.refused = error.refusal().is_some();
                self.status.unknown_device = error.unknown_device();
                // Who does not answer takes back nothing.
                error.refusal().iter().for_each(|it| self.status.removed = it.removed_device());
                let again = self.pace.failed(now, error.refusal().and_then(Refusal::retry_after_s));
                self.status.words = format!("{}; tried again in {again:?}", error.words());
                if let Some(times) = self.failures.count(&error.words()) {
                    tracing::warn!(times, "{}", self.status.words);
                }
            }
        }
        self.status.overdue_at_s = Some(clock_s() + self.pace.overdue_in(now).as_secs());
        self.bus.publish(&self.status.clone());
    }

    fn known(&self) -> anyhow::Result<&Identity> {
        self.identity.as_ref().context("the controller has not said yet which device this is")
    }

    /// Posts a signed payload to a path of this device's.
    fn post(&self, path: &str, payload: &[u8]) -> Result<crate::http::Answer, Failed> {
        let body = envelope::seal_from_device(payload, &self.known()?.cert, &BusSigner(self.bus))?;
        self.send(path, &body)
    }

    /// Posts what is signed.
    fn send(&self, path: &str, body: &[u8]) -> Result<crate::http::Answer, Failed> {
        Ok(self.line.post(&format!("id/{}/{path}", self.known()?.device), body)?)
    }
}

/// CLOCK_MONOTONIC, by which zedagent waits too: a suspend makes nothing overdue. It is the same for all processes.
pub(crate) fn clock_s() -> u64 {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC);
    now.map_or(0, |now| Duration::from(now).as_secs())
}

/// 0.7 to 1.0.
fn jitter() -> f64 {
    let random = uuid::Uuid::new_v4().as_u128() % 300;
    1.0 - random as f64 / 1000.0
}
