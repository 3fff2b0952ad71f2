//! A courier's files (decision 76). An answer that root brings is passed on as one of the line's: signed, whole, to the same topic, and vaultmgr
//! verifies and judges it as any other. What is judged here beforehand only gives words. Evidence is tpmmgr's, over the answer's challenge and
//! the present session; what goes beside it is what this device would post.

use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use vault::ids::{DeviceId, DeviceKey, SectionVersion};
use wire::attest::AttestRequest;
use wire::config::{ConfigRequest, SignedConfig as Verified, VaultAsk};
use wire::control::{Challenge, Control};
use wire::courier::CourierEvidence;
use wire::{Certificate, ControllerCerts, P256PublicKey, Validity, envelope};

use super::Zedagent;
use super::post::quote;
use crate::agents::signer::BusSigner;
use crate::bus::Agent;
use crate::bus::messages::{
    Bytes, CarriedAnswer, CourierRefusal, Evidence, EvidenceWanted, ExportEvidence, ImportAnswer, Imported,
    Session, SignedConfig, SignedWord, Source, TpmStatus,
};

pub(super) type Reply<A> = Sender<Result<A, CourierRefusal>>;

/// Evidence that a courier waits for.
pub(super) struct Awaited {
    nonce: [u8; 32],
    session: Session,
    device: DeviceId,
    cert: Certificate,
    reply: Reply<Bytes>,
    since: Instant,
}

/// What an answer says beside a challenge, to the session that it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Says {
    /// It asks, and nothing more: a challenge is for any session.
    Nothing,
    /// It gives the bundle back. It takes the place of no answer that speaks of vaults.
    OfTheBundle,
    /// A list of vaults, or orders.
    OfVaults,
}

impl Says {
    pub(super) fn of(control: &Control, has_section: bool) -> Self {
        match (has_section || !control.orders.is_empty(), control.rescue.is_some()) {
            (true, _) => Self::OfVaults,
            (false, true) => Self::OfTheBundle,
            (false, false) => Self::Nothing,
        }
    }
}

/// For so long whoever asked (`eve export-evidence`) for evidence waits for it.
const PATIENCE: Duration = Duration::from_secs(120);

impl Zedagent<'_> {
    /// Takes an answer that came by a file.
    pub(super) fn import(&mut self, ImportAnswer(answer): ImportAnswer) -> Result<Imported, CourierRefusal> {
        let (verified, control) = self.believed(&answer)?;
        let session = self.session.ok_or(CourierRefusal::NotYet { agent: Agent::Vaultmgr })?;
        let config = verified.response().config.as_ref();
        let section = config.and_then(|config| config.section().ok().flatten());
        let says = Says::of(&control, section.is_some());
        let version = section.map(|section| section.version);
        let mut told = Imported {
            device: control.device,
            section: version,
            known: false,
            orders: 0,
            lacks: String::new(),
            asks: control.challenge.is_some(),
            rescue: control.rescue.is_some(),
        };
        if says == Says::Nothing {
            return Ok(told);
        }
        if control.session != session.key {
            return Err(CourierRefusal::OtherSession);
        }
        told.known = self.is_known(version.or(control.as_of))?;
        told.orders = if section.is_some() { 0 } else { control.orders.len() };
        told.lacks.clone_from(&control.lacks);
        match says {
            Says::OfVaults => self.pass_on(answer, version.is_some()),
            _ => self.bus.publish(&SignedWord { envelope: answer.envelope, certs: answer.certs }),
        }
        Ok(told)
    }

    /// To vaultmgr, and to the checkpoint. What the line says next is asked for in full.
    fn pass_on(&mut self, CarriedAnswer { envelope, certs }: CarriedAnswer, has_section: bool) {
        let signed = SignedConfig { source: Source::Live, envelope, certs };
        self.config_hash.clear();
        self.bus.publish(&signed);
        if has_section {
            self.session.into_iter().for_each(|session| self.attested_by(session.key));
            self.unsaved = Some(signed);
            self.bus.publish(&self.status.clone());
        }
    }

    /// Whether it was accepted before; vaultmgr judges that by its record.
    fn is_known(&self, version: Option<SectionVersion>) -> Result<bool, CourierRefusal> {
        let (Some(file), Some(accepted)) = (version, self.vaults.accepted) else { return Ok(false) };
        if file.incarnation == accepted.incarnation && file.version < accepted.version {
            return Err(CourierRefusal::Older { file: file.version, accepted: accepted.version });
        }
        Ok(file == accepted)
    }

    /// Verifies an answer up to the installed root, whatever the clock says, and that it is for this node's key.
    pub(super) fn believed(&self, answer: &CarriedAnswer) -> Result<(Verified, Control), CourierRefusal> {
        let verified = self.verified(answer).map_err(|why| CourierRefusal::NotBelieved { why })?;
        let control = verified.response().control.clone();
        let control = control.ok_or(CourierRefusal::NoChallenge)?;
        if control.device_key == Some(self.own_key()?) {
            Ok((verified, control))
        } else {
            Err(CourierRefusal::OtherDevice(control.device))
        }
    }

    fn verified(&self, answer: &CarriedAnswer) -> Result<Verified, String> {
        let root = self.line.root_pem().map_err(|error| error.to_string())?;
        let certs = ControllerCerts::decode(&answer.certs.0).map_err(|error| error.to_string())?;
        let trusted = certs.verify(root, Validity::Ignored).map_err(|error| error.to_string())?;
        Verified::verify(&answer.envelope.0, &trusted).map_err(|error| error.to_string())
    }

    fn own_key(&self) -> Result<DeviceKey, CourierRefusal> {
        let point = match &self.tpm {
            Some(TpmStatus::Absent { device_key }) => Some(device_key),
            Some(TpmStatus::Ready { identity, .. }) => Some(&identity.device_key),
            None | Some(TpmStatus::Failing { .. }) => None,
        };
        let key = point.and_then(|point| P256PublicKey::from_point(point).ok());
        key.map(|key| key.name()).ok_or(CourierRefusal::NotYet { agent: Agent::Tpmmgr })
    }

    /// Asks tpmmgr for evidence over an answer's challenge. Who asks is told when it came. One at a time: another would take the question of the one
    /// before away from tpmmgr.
    pub(super) fn export(&mut self, ask: &ExportEvidence, reply: Reply<Bytes>) {
        if self.courier.as_ref().is_some_and(|first| first.since.elapsed() < PATIENCE) {
            return drop(reply.send(Err(CourierRefusal::Busy)));
        }
        match self.asked(ask) {
            Ok((device, question, session, cert)) => {
                let nonce = question.nonce;
                self.bus.publish(&EvidenceWanted { session: session.key, question });
                self.courier = Some(Awaited { nonce, session, device, cert, reply, since: Instant::now() });
            }
            Err(refused) => drop(reply.send(Err(refused))),
        }
    }

    fn asked(
        &self,
        ask: &ExportEvidence,
    ) -> Result<(DeviceId, Challenge, Session, Certificate), CourierRefusal> {
        let (_, control) = self.believed(&ask.answer)?;
        let question = control.challenge.ok_or(CourierRefusal::NoChallenge)?;
        let session = self.session.ok_or(CourierRefusal::NotYet { agent: Agent::Vaultmgr })?;
        let cert = Certificate::from_pem(&ask.device_cert.0).map_err(|_| CourierRefusal::NotRegistered)?;
        if cert.public_key().name() != self.own_key()? {
            return Err(CourierRefusal::NotRegistered);
        }
        Ok((control.device, question, session, cert))
    }

    /// Whether a courier waits for this evidence: then he has it.
    pub(super) fn is_carried(&mut self, evidence: &Evidence) -> bool {
        let waits = |it: &mut Awaited| it.nonce == evidence.nonce && it.session.key == evidence.session;
        let Some(awaited) = self.courier.take_if(waits) else { return false };
        let file = self.packed(&awaited, evidence);
        let file = file.map_err(|error| CourierRefusal::NotMade { why: format!("{error:#}") });
        let _ = awaited.reply.send(file.map(Bytes));
        true
    }

    /// What this device would post.
    fn packed(&mut self, of: &Awaited, evidence: &Evidence) -> anyhow::Result<Vec<u8>> {
        let keys = match &self.tpm {
            Some(TpmStatus::Ready { identity, .. }) => {
                let certs = self.device_certs(identity).map_err(|error| anyhow::anyhow!(error.words()))?;
                self.sealed(of, &AttestRequest::Certs(certs).encode())?
            }
            _ => Vec::new(),
        };
        let quote = self.sealed(of, &AttestRequest::Quote(Box::new(quote(evidence)?)).encode())?;
        let report = self.sealed(of, &self.info_of(of.device)?.encode())?;
        let (held, rescue) = self.escrow.ask(Instant::now());
        let (accepted, ordered, lease) = (self.vaults.head, self.vaults.ordered, of.session.lease);
        let session = of.session.key;
        let ask = VaultAsk { session, held, rescue, accepted, ordered, lease, drills: false, series: true };
        let vault = Some(ask);
        let ask = ConfigRequest { config_hash: String::new(), integrity_token: Vec::new(), vault };
        let poll = self.sealed(of, &ask.encode())?;
        Ok(CourierEvidence { keys, quote, report, poll }.encode()?)
    }

    fn sealed(&self, of: &Awaited, payload: &[u8]) -> anyhow::Result<Vec<u8>> {
        Ok(envelope::seal_from_device(payload, &of.cert, &BusSigner(self.bus))?)
    }
}
