//! A device's configuration: the request, the answer, and the signed answer whose bytes are kept.
//! The bytes of `EdgeDevConfig` are kept as received beside what we read of them: unknown fields survive to the checkpoint.
//! A [`SignedConfig`] exists only where the controller's signature over the whole answer was verified.

use attest::SessionKey;
use prost::Message as _;
use vault::ids::{DeviceId, Generation, SectionDigest};
use vault::lease::LeaseNonce;
use vault::section::Section;
use vault::wanted::{Head, OrderedAt};

use crate::certs::TrustedCerts;
use crate::control::{self, BundleId, Control};
use crate::envelope::{EnvelopeError, open_from_controller};
use crate::error::DecodeError;
use crate::limits::{MAX_TEXT, MAX_TOKEN, blob, decode, present, text};
use crate::pb::{self, config as raw};
use crate::{scan, section, suite};

/// What a device asks with. `config_hash` is the last one it received since it started, empty at first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConfigRequest {
    /// Opaque to the device, at most 256 bytes.
    pub config_hash: String,
    /// From the last attestation; opaque, at most 1 KiB. Ours needs none.
    pub integrity_token: Vec<u8>,
    /// The extension; absent from stock EVE.
    pub vault: Option<VaultAsk>,
}

/// What our node adds to its question (ConfigRequest 50521).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaultAsk {
    /// The session that wants to be answered: one life of vaultmgr.
    pub session: SessionKey,
    /// The newest escrow bundle that the controller holds, as this session heard it; none before it did.
    pub held: Option<BundleId>,
    /// The newest bundle of this generation is asked back.
    pub rescue: Option<Generation>,
    /// The section that it accepted last; none while it has none, or could not read its record yet.
    pub accepted: Option<Head>,
    /// Where the newest orders to lock that it holds stand in its history. None while it holds none; a node of before this field tells none.
    pub ordered: Option<OrderedAt>,
    /// What leases are to be renewed by.
    pub lease: Option<LeaseNonce>,
    /// It answers drills. A node of before there were any does not.
    pub drills: bool,
    /// It opens keys that share an encapsulation. A node of before there were any does not.
    pub series: bool,
}

impl ConfigRequest {
    /// Its bytes; the payload of an envelope.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let vault_ask = self.vault.as_ref().map(|ask| pb::vault::ConfigAsk {
            session: ask.session.0.to_vec(),
            suite: suite::X25519,
            held: ask.held.as_ref().map(Into::into),
            drills: ask.drills,
            series: ask.series,
            rescue: ask.rescue.map(|generation| generation.0).unwrap_or_default(),
            lease_nonce: ask.lease.map(|nonce| nonce.0.to_vec()).unwrap_or_default(),
            accepted: ask.accepted.map(|head| pb::vault::Accepted {
                version: Some((&head.version).into()),
                digest: head.digest.0.to_vec(),
                device: head.device.0.as_bytes().to_vec(),
            }),
            ordered: ask.ordered.map(|at| pb::vault::OrderedAt {
                version: Some((&at.version).into()),
                device: at.device.0.as_bytes().to_vec(),
            }),
        });
        let request = raw::ConfigRequest {
            config_hash: self.config_hash.clone(),
            integrity_token: self.integrity_token.clone(),
            vault_ask,
        };
        request.encode_to_vec()
    }

    /// Reads an envelope's payload.
    ///
    /// # Errors
    /// [`DecodeError`]: the peer's fault.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let request: raw::ConfigRequest = decode(bytes)?;
        Ok(Self {
            config_hash: text("configHash", request.config_hash, MAX_TEXT)?,
            integrity_token: blob("integrity_token", request.integrity_token, MAX_TOKEN)?,
            vault: request.vault_ask.map(vault_ask).transpose()?,
        })
    }
}

fn vault_ask(ask: pb::vault::ConfigAsk) -> Result<VaultAsk, DecodeError> {
    suite::check(ask.suite)?;
    let held = ask.held.map(control::bundle).transpose()?;
    let accepted = ask.accepted.map(accepted).transpose()?;
    let ordered = ask.ordered.map(ordered_at).transpose()?;
    let rescue = (ask.rescue != 0).then_some(Generation(ask.rescue));
    let lease = section::lease_nonce(&ask.lease_nonce)?;
    let session = section::session("session", &ask.session)?;
    Ok(VaultAsk { session, held, rescue, accepted, ordered, lease, drills: ask.drills, series: ask.series })
}

fn ordered_at(raw: pb::vault::OrderedAt) -> Result<OrderedAt, DecodeError> {
    Ok(OrderedAt {
        device: section::device("ordered device", &raw.device)?,
        version: section::version(present("ordered version", raw.version)?)?,
    })
}

fn accepted(raw: pb::vault::Accepted) -> Result<Head, DecodeError> {
    Ok(Head {
        device: section::device("accepted device", &raw.device)?,
        version: section::version(present("accepted version", raw.version)?)?,
        digest: section::digest("accepted digest", &raw.digest)?,
    })
}

/// A controller's answer. Without `config`: unchanged since `config_hash`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigResponse {
    /// Never empty: stock EVE would disregard the configuration.
    pub config_hash: String,
    /// The configuration, if it changed.
    pub config: Option<DeviceConfig>,
    /// What is said beside it, to our nodes only.
    pub control: Option<Control>,
}

/// A configuration: its bytes as received, and what we read of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceConfig {
    bytes: Vec<u8>,
    device: Option<DeviceId>,
    version: String,
    section: Result<Option<Section>, DecodeError>,
    section_digest: Option<SectionDigest>,
}

/// What a controller writes into a configuration.
#[derive(Debug, Clone, Default)]
pub struct ConfigParts {
    /// The device; its UUID goes into `id`.
    pub device: Option<DeviceId>,
    /// `id.version`: for people.
    pub version: String,
    /// The device's name: for people.
    pub device_name: String,
    /// Changes when the controller's certificates do: the device fetches them again.
    pub controller_certs_hash: String,
    /// When the configuration was made, seconds since 1970; a device refuses one older than it has.
    pub made_unix_s: Option<u64>,
    /// Settings of stock EVE, for example `timer.config.interval`.
    pub items: Vec<(String, String)>,
    /// The vault section. Absent: withheld.
    pub section: Option<Section>,
}

impl DeviceConfig {
    /// Makes a configuration.
    ///
    /// # Errors
    /// [`DecodeError`]: a part is out of the bounds that readers hold to.
    pub fn new(parts: &ConfigParts) -> Result<Self, DecodeError> {
        Self::decode(config_of(parts).encode_to_vec())
    }

    fn decode(bytes: Vec<u8>) -> Result<Self, DecodeError> {
        let config: raw::EdgeDevConfig = decode(&bytes)?;
        let id = config.id.unwrap_or_default();
        let device = device_of(&id)?;
        let section_digest = config.vault_section.as_deref().map(digest_of);
        let section = config.vault_section.map(|bytes| section_of(&bytes, device)).transpose();
        let version = text("id.version", id.version, MAX_TEXT)?;
        Ok(Self { device, version, section, section_digest, bytes })
    }

    /// Its bytes as received: an `EdgeDevConfig` with all its unknown fields.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
    /// The device it is for, if it says so.
    #[must_use]
    pub fn device(&self) -> Option<DeviceId> {
        self.device
    }
    /// `id.version`, for people.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }
    /// The vault section; nothing when it is absent, which means withheld.
    ///
    /// # Errors
    /// [`DecodeError`]: it is there and not understood, or damaged. That too means withheld, and the status says why.
    pub fn section(&self) -> Result<Option<&Section>, &DecodeError> {
        self.section.as_ref().map(Option::as_ref)
    }
    /// SHA-256 of the section's bytes as they came, unknown fields too: its place in the chain that both sides keep.
    #[must_use]
    pub fn section_digest(&self) -> Option<SectionDigest> {
        self.section_digest
    }
}

fn digest_of(section: &[u8]) -> SectionDigest {
    let mut digest = [0; 32];
    digest.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, section).as_ref());
    SectionDigest(digest)
}

fn config_of(parts: &ConfigParts) -> raw::EdgeDevConfig {
    let id = parts
        .device
        .map(|device| raw::UuiDandVersion { uuid: device.to_string(), version: parts.version.clone() });
    let item = |(key, value): &(String, String)| raw::ConfigItem { key: key.clone(), value: value.clone() };
    raw::EdgeDevConfig {
        id,
        config_items: parts.items.iter().map(item).collect(),
        controllercert_confighash: parts.controller_certs_hash.clone(),
        device_name: parts.device_name.clone(),
        config_timestamp: parts.made_unix_s.map(timestamp),
        vault_section: parts.section.as_ref().map(|s| pb::vault::VaultSection::from(s).encode_to_vec()),
    }
}

pub(crate) fn timestamp(unix_s: u64) -> pb::Timestamp {
    pb::Timestamp { seconds: i64::try_from(unix_s).unwrap_or(i64::MAX), nanos: 0 }
}

fn device_of(id: &raw::UuiDandVersion) -> Result<Option<DeviceId>, DecodeError> {
    if id.uuid.is_empty() {
        return Ok(None);
    }
    let device = id.uuid.parse().map_err(|_| DecodeError::Invalid { field: "id.uuid", why: "is no UUID" });
    device.map(Some)
}

/// A section for another device than the configuration around it is no section.
fn section_of(bytes: &[u8], device: Option<DeviceId>) -> Result<Section, DecodeError> {
    let section = section::section(decode(bytes)?)?;
    if device.is_some_and(|device| device != section.device) {
        return Err(DecodeError::Invalid {
            field: "device",
            why: "of the section is not the configuration's",
        });
    }
    Ok(section)
}

/// `ConfigResponse.config`.
const CONFIG_FIELD: u32 = 1;

impl ConfigResponse {
    /// Its bytes; the payload of an envelope. The configuration's own bytes go in unchanged.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        if let Some(config) = &self.config {
            bytes.push(0x0a); // Field 1, length-delimited.
            prost::encode_length_delimiter(config.bytes.len(), &mut bytes).expect("a vector grows");
            bytes.extend_from_slice(&config.bytes);
        }
        let rest = raw::ConfigResponse {
            config: None,
            config_hash: self.config_hash.clone(),
            vault_control: self.control.as_ref().map(Into::into),
        };
        rest.encode(&mut bytes).expect("a vector grows");
        bytes
    }

    /// Reads an envelope's payload.
    ///
    /// # Errors
    /// [`DecodeError`]: the peer's fault.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let response: raw::ConfigResponse = decode(bytes)?;
        if response.config_hash.is_empty() {
            return Err(DecodeError::Missing { field: "configHash" });
        }
        let config = scan::find("ConfigResponse", bytes, CONFIG_FIELD)?;
        Ok(Self {
            config_hash: text("configHash", response.config_hash, MAX_TEXT)?,
            config: config.map(|bytes| DeviceConfig::decode(bytes.to_vec())).transpose()?,
            control: response.vault_control.map(control::control).transpose()?,
        })
    }
}

/// A controller's answer whose signature was verified, with the envelope's bytes for whoever verifies it again.
#[derive(Debug, Clone)]
pub struct SignedConfig {
    envelope: Vec<u8>,
    response: ConfigResponse,
}

/// Why a signed configuration was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignedConfigError {
    /// The envelope.
    #[error("the envelope of the configuration")]
    Envelope(#[from] EnvelopeError),
    /// What is inside, although signed.
    #[error("the signed configuration")]
    Decode(#[from] DecodeError),
}

impl SignedConfig {
    /// Verifies an envelope and reads the answer inside. Newness, device and session are the caller's to check.
    ///
    /// # Errors
    /// [`SignedConfigError`]: nothing of it is used.
    pub fn verify(envelope: &[u8], trusted: &TrustedCerts) -> Result<Self, SignedConfigError> {
        let payload = open_from_controller(envelope, trusted)?;
        let response = ConfigResponse::decode(&payload)?;
        Ok(Self { envelope: envelope.to_vec(), response })
    }

    /// The envelope as received.
    #[must_use]
    pub fn envelope(&self) -> &[u8] {
        &self.envelope
    }
    /// The answer.
    #[must_use]
    pub fn response(&self) -> &ConfigResponse {
        &self.response
    }
}
