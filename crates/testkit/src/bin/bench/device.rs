//! A device in software, by `wire`, that a controller can't tell from one with a TPM: to ask it many things quickly over kept
//! connections. What it says is understood by every build since de4fa5e: what those do not know they leave aside.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use attest::PcrValues;
use rcgen::{CertificateParams, KeyPair};
use testkit::Evc;
use ureq::Agent;
use ureq::tls::{Certificate as UreqCertificate, RootCerts, TlsConfig, TlsProvider};
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{Connector as _, DefaultConnector};
use vault::ids::DeviceId;
use vault::wanted::Head;
use wire::attest::{
    AttestRequest, AttestResponse, DeviceCert, DeviceCertKind, EvidenceBinding, PcrAlgorithm, PcrValue,
    Quote, QuoteCode,
};
use wire::config::{ConfigRequest, ConfigResponse, SignedConfig, VaultAsk};
use wire::envelope::{open_from_controller, seal_from_device, seal_registration};
use wire::register::{Register, UuidResponse, uuid_request};
use wire::release::SessionSecret;
use wire::{Certificate, FileSigner, TrustedCerts, Validity, certs};

// The same writer of quotes as in the tests of the decision.
#[path = "../../../../vault/src/decide/tests/fake_tpm.rs"]
mod fake_tpm;

// As a node sends its requests.
#[path = "../../../../eve/src/http/whole.rs"]
mod whole;

use fake_tpm::FakeTpm;
use whole::InOnePiece;

const MEDIA: &str = "application/x-proto-binary";

/// A key and its certificate.
struct Key {
    pem: String,
    cert: Certificate,
    signer: FileSigner,
}

impl Key {
    fn new() -> Result<Self> {
        let key = KeyPair::generate()?;
        let pem = CertificateParams::new(Vec::new())?.self_signed(&key)?.pem();
        let cert = Certificate::from_pem(pem.as_bytes())?;
        Ok(Self { pem, cert, signer: FileSigner::from_der(&key.serialize_der())? })
    }
}

/// The way to one controller, over connections that are kept; and whom to believe there.
#[derive(Clone)]
pub(crate) struct Line {
    url: String,
    agent: Agent,
    trusted: Arc<TrustedCerts>,
}

impl Line {
    pub(crate) fn new(evc: &Evc) -> Result<Self> {
        let url = format!("https://{}/api/v2/edgedevice", evc.server());
        let root = std::fs::read(evc.data().join("root-certificate.pem"))?;
        let agent = agent(&root)?;
        let list = agent.get(format!("{url}/certs")).call()?.body_mut().read_to_vec()?;
        let trusted = Arc::new(certs::open_answer(&list, &root, Validity::Ignored)?);
        Ok(Self { url, agent, trusted })
    }

    fn send(&self, path: &str, body: &[u8]) -> Result<(u16, Vec<u8>)> {
        let request = self.agent.post(format!("{}/{path}", self.url)).header("content-type", MEDIA);
        let mut answer = request.send(body)?;
        Ok((answer.status().as_u16(), answer.body_mut().read_to_vec()?))
    }
}

/// What lets devices in: an onboarding certificate that is good for any serial.
pub(crate) struct Onboarding(Key);

impl Onboarding {
    /// Makes one, and allows it.
    pub(crate) fn allowed(evc: &Evc, folder: &Path, name: &str) -> Result<Self> {
        let (key, file) = (Key::new()?, folder.join(name));
        std::fs::write(&file, &key.pem)?;
        evc.run(&["onboard", "add", "--cert", &file.to_string_lossy(), "--serial", "*"])?;
        Ok(Self(key))
    }
}

/// The device.
pub(crate) struct Device {
    key: Key,
    tpm: FakeTpm,
    id: DeviceId,
    session: SessionSecret,
    hash: String,
    /// The section that it accepted last, as a node tells it.
    head: Option<Head>,
    /// The last unchanged poll, as it was signed: a node signs one anew when it says something else.
    signed: Option<Vec<u8>>,
}

impl Device {
    /// Registered under its serial as its name, its attestation key pinned.
    pub(crate) fn registered(line: &Line, onboarding: &Onboarding, serial: &str) -> Result<Self> {
        let mut device = Self {
            key: Key::new()?,
            tpm: FakeTpm::new(),
            id: DeviceId(uuid::Uuid::nil()),
            session: session()?,
            hash: String::new(),
            head: None,
            signed: None,
        };
        device.register(line, &onboarding.0, serial)?;
        Ok(device)
    }

    fn register(&mut self, line: &Line, onboarding: &Key, serial: &str) -> Result<()> {
        let register = Register::new(self.key.pem.as_bytes(), serial, "")?.encode();
        let sealed = seal_registration(&register, onboarding.pem.as_bytes(), &onboarding.signer)?;
        let (status, words) = line.send("register", &sealed)?;
        ensure!((200..300).contains(&status), "register: {status} {}", String::from_utf8_lossy(&words));
        self.id = UuidResponse::decode(&self.ask(line, "uuid", &uuid_request())?)?.device;
        // Whose key the certificate is of says nothing: it is the TPM's public area that is pinned.
        let pem = onboarding.pem.clone().into_bytes();
        let ak = DeviceCert::new(DeviceCertKind::Attestation, pem, Some(self.tpm.ak()));
        self.ask(line, &self.own("attest"), &AttestRequest::Certs(vec![ak]).encode()).map(drop)
    }

    fn own(&self, path: &str) -> String {
        format!("id/{}/{path}", self.id)
    }

    fn sealed(&self, payload: &[u8]) -> Result<Vec<u8>> {
        Ok(seal_from_device(payload, &self.key.cert, &self.key.signer)?)
    }

    fn ask(&self, line: &Line, path: &str, payload: &[u8]) -> Result<Vec<u8>> {
        let (status, body) = line.send(path, &self.sealed(payload)?)?;
        ensure!((200..300).contains(&status), "{path}: {status} {}", String::from_utf8_lossy(&body));
        Ok(open_from_controller(&body, &line.trusted)?)
    }

    /// An unchanged poll, signed anew.
    pub(crate) fn signed_anew(&mut self) -> Result<Vec<u8>> {
        let body = self.poll_body()?;
        self.signed = Some(body.clone());
        Ok(body)
    }

    /// The same as it was signed last.
    pub(crate) fn as_signed(&mut self) -> Result<Vec<u8>> {
        self.signed.clone().map_or_else(|| self.signed_anew(), Ok)
    }

    fn poll_body(&self) -> Result<Vec<u8>> {
        let vault = Some(VaultAsk {
            session: self.session.session_key(),
            held: None,
            rescue: None,
            accepted: self.head,
            ordered: None,
            lease: None,
            drills: false,
            series: true,
        });
        let ask = ConfigRequest { config_hash: self.hash.clone(), integrity_token: Vec::new(), vault };
        self.sealed(&ask.encode())
    }

    /// Sends a poll; true when nothing has changed (304).
    pub(crate) fn unchanged(&self, line: &Line, body: &[u8]) -> Result<bool> {
        Ok(line.send(&self.own("config"), body)?.0 == 304)
    }

    fn poll(&mut self, line: &Line) -> Result<ConfigResponse> {
        let (status, body) = line.send(&self.own("config"), &self.poll_body()?)?;
        ensure!(status == 200, "a poll that should bring something: {status}");
        let response = SignedConfig::verify(&body, &line.trusted)?.response().clone();
        self.hash.clone_from(&response.config_hash);
        if let Some(config) = &response.config
            && let (Ok(Some(section)), Some(digest)) = (config.section(), config.section_digest())
        {
            self.head = Some(Head { device: section.device, version: section.version, digest });
        }
        Ok(response)
    }

    /// A new life: challenge, evidence, section. Returns how many vaults were released.
    pub(crate) fn attest(&mut self, line: &Line) -> Result<usize> {
        (self.session, self.signed) = (session()?, None);
        let control = self.poll(line)?.control.context("control")?;
        let nonce = control.challenge.context("a challenge")?.nonce;
        let request = AttestRequest::Quote(Box::new(self.quote(nonce))).encode();
        let AttestResponse::Quote(answer) =
            AttestResponse::decode(&self.ask(line, &self.own("attest"), &request)?)?
        else {
            anyhow::bail!("an answer on something else")
        };
        ensure!(answer.code == QuoteCode::Success, "the quote was refused: {answer:?}");
        let config = self.poll(line)?.config.context("a configuration")?;
        let section = config.section().map_err(|error| anyhow::anyhow!("{error}"))?;
        let Some(section) = section else { return Ok(0) };
        let released =
            |entry: &&vault::section::Entry| matches!(entry.release, vault::section::Release::Keys { .. });
        Ok(section.vaults.iter().filter(released).count())
    }

    fn quote(&self, nonce: [u8; 32]) -> Quote {
        let (session, pcrs) = (self.session.session_key(), pcrs());
        let (attest_data, signature) = self.tpm.quote(&nonce, &session, b"claims", &pcrs);
        let value = |(index, value): (&u8, &attest::PcrDigest)| PcrValue {
            index: *index,
            algorithm: PcrAlgorithm::Sha256,
            value: value.as_bytes().to_vec(),
        };
        let binding = EvidenceBinding { session, nonce, claims: b"claims".to_vec(), device_signature: None };
        let pcr_values = pcrs.iter().map(value).collect();
        Quote { attest_data, signature, pcr_values, binding: Some(binding), ..Quote::default() }
    }
}

/// EVE's default sealing set, which the controller asks for.
fn pcrs() -> PcrValues {
    (0..15).filter(|pcr| *pcr != 5).map(|pcr| (pcr, [pcr; 32].into())).collect()
}

fn session() -> Result<SessionSecret> {
    SessionSecret::init(|bytes| aws_lc_rs::rand::fill(bytes)).context("randomness")
}

fn agent(root: &[u8]) -> Result<Agent> {
    let roots = RootCerts::Specific(Arc::new(vec![UreqCertificate::from_pem(root)?]));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = TlsConfig::builder().provider(TlsProvider::Rustls).root_certs(roots);
    let tls = tls.unversioned_rustls_crypto_provider(provider).build();
    let config = Agent::config_builder().tls_config(tls).http_status_as_error(false).proxy(None);
    let config = config.max_idle_connections_per_host(32).max_idle_connections(32);
    let config = config.timeout_global(Some(std::time::Duration::from_secs(30))).build();
    let connector = DefaultConnector::default().chain(InOnePiece);
    Ok(Agent::with_parts(config, connector, DefaultResolver::default()))
}
