//! A device in software, without a TPM: onboards, polls, gives evidence, opens what is released to it.

use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

use attest::SessionKey;
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use vault::escrow::BundleId;
use vault::escrow::drill::DrillAnswer;
use vault::ids::{DeviceId, Generation, VaultId};
use vault::lease::LeaseNonce;
use vault::section::Section;
use vault::wanted::Head;
use wire::Certificate;
use wire::attest::{AttestRequest, AttestResponse, EvidenceBinding, Quote};
use wire::config::{ConfigRequest, ConfigResponse, SignedConfig, VaultAsk};
use wire::envelope::{seal_from_device, seal_registration};
use wire::info::{AttestationState, DeviceInfo, NodeReport, TpmPresence, VaultLine};
use wire::register::{Register, UuidResponse, uuid_request};
use wire::release::{Purpose, SessionSecret};
use wire::sign::{FileSigner, Signer as _};

use super::Evc;

/// A key and its self-signed certificate.
pub(crate) struct Key {
    pub(crate) pem: String,
    pub(crate) cert: Certificate,
    pub(crate) signer: FileSigner,
    der: Vec<u8>,
}

/// The year in which the next certificate of a known key ends.
static YEAR: AtomicI32 = AtomicI32::new(2062);

impl Key {
    pub(crate) fn new(common_name: &str) -> Self {
        Self::until(common_name, 2060)
    }

    /// Good until that year begins.
    pub(crate) fn until(common_name: &str, year: i32) -> Self {
        let key = KeyPair::generate().expect("a key");
        let pem = params(common_name, 2000, year).self_signed(&key).expect("signed").pem();
        Self::of(pem, &key)
    }

    /// One key with two certificates.
    pub(crate) fn twice(common_name: &str) -> [Self; 2] {
        let key = KeyPair::generate().expect("a key");
        [2060, 2061].map(|year| {
            Self::of(params(common_name, 2000, year).self_signed(&key).expect("signed").pem(), &key)
        })
    }

    /// The same key with another certificate.
    pub(crate) fn certified_anew(&self) -> Self {
        let key = KeyPair::try_from(self.der.as_slice()).expect("a key");
        let year = YEAR.fetch_add(1, Ordering::Relaxed);
        Self::of(params("EVE", 2000, year).self_signed(&key).expect("signed").pem(), &key)
    }

    /// A certificate that names another's key, made without it.
    pub(crate) fn claiming(other: &Self) -> Self {
        use x509_parser::prelude::FromDer as _;
        let (_, x509) = x509_parser::prelude::X509Certificate::from_der(other.cert.der()).expect("X.509");
        let public = rcgen::SubjectPublicKeyInfo::from_der(x509.public_key().raw).expect("a key");
        let own = KeyPair::generate().expect("a key");
        let issuer = rcgen::Issuer::new(params("EVE", 2000, 2060), &own);
        Self::of(params("EVE", 2000, 2060).signed_by(&public, &issuer).expect("signed").pem(), &own)
    }

    /// Good from that year on.
    pub(crate) fn from(common_name: &str, year: i32) -> Self {
        let key = KeyPair::generate().expect("a key");
        Self::of(params(common_name, year, year + 1).self_signed(&key).expect("signed").pem(), &key)
    }

    /// A certificate that was written down, and its key as PKCS #8.
    pub(crate) fn read(pem: String, der: Vec<u8>) -> Self {
        let cert = Certificate::from_pem(pem.as_bytes()).expect("a certificate");
        Self { pem, cert, signer: FileSigner::from_der(&der).expect("a signer"), der }
    }

    fn of(pem: String, key: &KeyPair) -> Self {
        Self::read(pem, key.serialize_der())
    }
}

fn params(common_name: &str, from: i32, until: i32) -> CertificateParams {
    let mut params = CertificateParams::new(vec![]).expect("params");
    params.distinguished_name.push(rcgen::DnType::CommonName, common_name);
    (params.not_before, params.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(until, 1, 1));
    params
}

/// A device without a TPM.
pub(crate) struct Device {
    pub(crate) key: Key,
    pub(crate) onboard: Key,
    pub(crate) serial: String,
    pub(crate) id: DeviceId,
    pub(crate) session: SessionSecret,
    pub(crate) hash: String,
    /// The section that it accepted last.
    pub(crate) head: Option<Head>,
    /// Where the orders to lock that it holds stand.
    pub(crate) ordered: Option<vault::wanted::OrderedAt>,
    /// The bundle that it knows to be held.
    pub(crate) held: Option<BundleId>,
    /// The generation of which it asks the bundle back.
    pub(crate) rescue: Option<Generation>,
    /// What it asks with that leases be renewed.
    pub(crate) lease: Option<LeaseNonce>,
    /// It answers drills.
    pub(crate) drills: bool,
    /// It opens keys that share an encapsulation, as nodes of this version do.
    pub(crate) series: bool,
    /// How the last one went.
    pub(crate) drilled: Option<DrillAnswer>,
    /// The generation that it reports to have in force.
    pub(crate) generation: Option<vault::ids::Generation>,
}

/// Numbers the reports of all devices.
static COUNTER: AtomicU64 = AtomicU64::new(1);

pub(crate) fn new_session() -> SessionSecret {
    SessionSecret::init(|bytes| aws_lc_rs::rand::fill(bytes)).expect("randomness")
}

impl Device {
    /// Allowed, registered, told its UUID.
    pub(crate) fn onboarded(evc: &Evc, name: &str) -> Self {
        let mut device = Self::new(name);
        let allow =
            serde_json::json!({ "cert_pem": device.onboard.pem, "serial": device.serial, "name": name });
        evc.act("POST", "/onboarding", &allow.to_string());
        assert_eq!(device.register(evc), 201);
        device.id = device.uuid(evc).expect("known");
        device
    }

    pub(crate) fn new(name: &str) -> Self {
        Self {
            key: Key::new("EVE"),
            onboard: Key::new("onboard"),
            serial: format!("serial-{name}"),
            id: DeviceId(uuid::Uuid::new_v4()),
            session: new_session(),
            hash: String::new(),
            head: None,
            ordered: None,
            held: None,
            rescue: None,
            lease: None,
            drills: false,
            series: true,
            drilled: None,
            generation: Some(vault::ids::Generation(1)),
        }
    }

    pub(crate) fn register(&self, evc: &Evc) -> u16 {
        let register = Register::new(self.key.pem.as_bytes(), &self.serial, "").expect("a registration");
        let envelope =
            seal_registration(&register.encode(), self.onboard.pem.as_bytes(), &self.onboard.signer)
                .expect("sealed");
        evc.post("/register", &envelope).status
    }

    pub(crate) fn seal(&self, payload: &[u8]) -> Vec<u8> {
        seal_from_device(payload, &self.key.cert, &self.key.signer).expect("sealed")
    }

    pub(crate) fn uuid(&self, evc: &Evc) -> Option<DeviceId> {
        let answer = evc.post("/uuid", &self.seal(&uuid_request()));
        let payload = (answer.status == 200)
            .then(|| wire::envelope::open_from_controller(&answer.body, &evc.trusted()).expect("opened"))?;
        Some(UuidResponse::decode(&payload).expect("an answer").device)
    }

    pub(crate) fn own(&self, what: &str) -> String {
        format!("/id/{}/{what}", self.id)
    }

    pub(crate) fn ask(&self) -> Vec<u8> {
        let vault = Some(VaultAsk {
            session: self.session.session_key(),
            held: self.held,
            rescue: self.rescue,
            accepted: self.head,
            ordered: self.ordered,
            lease: self.lease,
            drills: self.drills,
            series: self.series,
        });
        ConfigRequest { config_hash: self.hash.clone(), integrity_token: vec![], vault }.encode()
    }

    /// Polls; nothing for 304.
    pub(crate) fn poll(&mut self, evc: &Evc) -> Option<ConfigResponse> {
        let answer = evc.post(&self.own("config"), &self.seal(&self.ask()));
        if answer.status == 304 {
            return None;
        }
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        let response = SignedConfig::verify(&answer.body, &evc.trusted()).expect("signed").response().clone();
        self.take(&response);
        Some(response)
    }

    /// Takes an answer for its own.
    pub(crate) fn take(&mut self, response: &ConfigResponse) {
        self.hash = response.config_hash.clone();
        if let Some(config) = &response.config {
            self.accept(config);
        }
    }

    /// As a node does: a section is accepted as the next one of its history, or not at all.
    fn accept(&mut self, config: &wire::config::DeviceConfig) {
        let (Ok(Some(section)), Some(digest)) = (config.section(), config.section_digest()) else { return };
        let anew = self.head.is_none_or(|head| head.version.incarnation != section.version.incarnation);
        if anew || self.head.map(|head| head.digest) == section.follows {
            self.head = Some(Head { device: section.device, version: section.version, digest });
        }
    }

    /// The nonce of a poll's challenge.
    pub(crate) fn challenged(&mut self, evc: &Evc) -> [u8; 32] {
        let control = self.poll(evc).expect("an answer").control.expect("control");
        control.challenge.expect("a challenge").nonce
    }

    pub(crate) fn evidence(&self, nonce: [u8; 32], session: SessionKey) -> Quote {
        let claims = b"claims".to_vec();
        let signed = attest::evidence_message(&nonce, &session, &claims);
        let device_signature = Some(self.key.signer.sign(&signed).expect("signed"));
        Quote {
            binding: Some(EvidenceBinding { session, nonce, claims, device_signature }),
            ..Quote::default()
        }
    }

    pub(crate) fn attest(&self, evc: &Evc, request: &AttestRequest) -> AttestResponse {
        let answer = evc.post(&self.own("attest"), &self.seal(&request.encode()));
        assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.body));
        let payload = wire::envelope::open_from_controller(&answer.body, &evc.trusted()).expect("opened");
        AttestResponse::decode(&payload).expect("an answer")
    }

    /// Challenge, evidence, section.
    pub(crate) fn attested(&mut self, evc: &Evc) -> Section {
        self.proves_itself(evc);
        self.section(evc)
    }

    /// Challenge, evidence.
    pub(crate) fn proves_itself(&mut self, evc: &Evc) {
        let nonce = self.challenged(evc);
        let quote = self.evidence(nonce, self.session.session_key());
        let told = self.attest(evc, &AttestRequest::Quote(Box::new(quote)));
        let AttestResponse::Quote(answer) = told else { panic!("not on evidence: {told:?}") };
        assert_eq!(answer.verdict, Some(wire::attest::EvidenceAnswer::Accepted));
    }

    /// Reports every vault as made and unlocked at an epoch.
    pub(crate) fn report(&self, evc: &Evc, section: &Section, epoch: u64) {
        self.tell(evc, &self.info(section, epoch));
    }

    /// Reports with words of its own, of itself and of each vault.
    pub(crate) fn report_saying(&self, evc: &Evc, section: &Section, words: &str) {
        let mut info = self.info(section, 1);
        info.vaults
            .iter_mut()
            .filter_map(|line| line.report.as_mut())
            .for_each(|report| report.detail = vec![words.to_owned()]);
        info.node.as_mut().expect("ours").notes = vec![words.to_owned()];
        self.tell(evc, &info);
    }

    pub(crate) fn tell(&self, evc: &Evc, info: &DeviceInfo) {
        assert_eq!(evc.post(&self.own("info"), &self.seal(&info.encode())).status, 201);
    }

    /// A report of every vault as made and unlocked at an epoch.
    pub(crate) fn info(&self, section: &Section, epoch: u64) -> DeviceInfo {
        self.info_of(section, epoch, |_| vault::report::State::Unlocked)
    }

    /// A report of every vault as made, as it is sent.
    pub(crate) fn reported(
        &self,
        section: &Section,
        epoch: u64,
        state: impl Fn(&str) -> vault::report::State,
    ) -> Vec<u8> {
        self.seal(&self.info_of(section, epoch, state).encode())
    }

    /// The same of vaults in this state, by name.
    pub(crate) fn info_of(
        &self,
        section: &Section,
        epoch: u64,
        state: impl Fn(&str) -> vault::report::State,
    ) -> DeviceInfo {
        let line = |entry: &vault::section::Entry| {
            let report = vault::report::VaultReport {
                id: entry.id,
                name: entry.name.clone(),
                state: state(entry.name.as_str()),
                created: true,
                epoch: Some(vault::ids::Epoch(epoch)),
                wanted: entry.operation,
                last: None,
                opened: (state(entry.name.as_str()) == vault::report::State::Unlocked)
                    .then_some(vault::report::Opened { by: vault::report::By::ControllerKey }),
                storage: None,
                change_due: false,
                holds_escrow_up: false,
                under_anothers_key: false,
                behind_in_escrow: None,
                ordered_locked: false,
                detail: vec![],
            };
            VaultLine::of(report, wire::info::PcrStatus::Unknown)
        };
        DeviceInfo {
            device: self.id,
            at_unix_s: evc::clock::now(),
            tpm: TpmPresence::NotFound,
            tpm_info: String::new(),
            attestation: AttestationState::Complete,
            attestation_error: None,
            vaults: section.vaults.iter().map(line).collect(),
            node: Some(NodeReport {
                session: Some(section.session),
                accepted: Some(section.version),
                accepted_for: Some(section.device),
                notes: vec!["not escrowed".into()],
                counter: COUNTER.fetch_add(1, Ordering::Relaxed),
                disk_away: false,
                drill: self.drilled.clone(),
                generation: self.generation,
                measured: None,
            }),
        }
    }

    pub(crate) fn section(&mut self, evc: &Evc) -> Section {
        section(&self.poll(evc).expect("changed")).expect("a section")
    }

    /// Opens what was released for a vault: its current and last keys.
    pub(crate) fn keys(&self, section: &Section, name: &str) -> Option<([u8; 32], [u8; 32])> {
        let entry = section.vaults.iter().find(|entry| entry.name.as_str() == name)?;
        let vault::section::Release::Keys { current, last } = &entry.release else { return None };
        let purpose = Purpose { device: self.id, vault: entry.id, custody: entry.policy.custody };
        let open = |sealed| {
            *wire::release::open(&self.session, &purpose, sealed).expect("opens").expose_controller_key()
        };
        Some((open(current), open(last)))
    }
}

/// A vault's identity, by its name in a section.
pub(crate) fn id_in(section: &Section, name: &str) -> VaultId {
    section.vaults.iter().find(|entry| entry.name.as_str() == name).expect("listed").id
}

/// The section of an answer.
pub(crate) fn section(answer: &ConfigResponse) -> Option<Section> {
    answer.config.as_ref()?.section().expect("understood").cloned()
}
