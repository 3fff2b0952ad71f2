//! A quote as EVE sends it, with the extension that binds it to a session (ZAttestQuote 50560).

use ::attest::{PcrBank, SessionKey};

use crate::error::DecodeError;
use crate::limits::{MAX_TEXT, at_most, blob, cut, exactly, known, text};
use crate::pb::attest::{AttestVersionInfo, AttestVersionType, TpmHashAlgo, TpmPcrValue, ZAttestQuote};
use crate::pb::vault as pb;
use crate::section;
use crate::sign::Signature;
use crate::suite;

/// Longest `TPMS_ATTEST` or signature.
const MAX_TPM_STRUCTURE: usize = 2048;
/// Longest compressed event log: EVE leaves out what is longer than its message limit of 62 KiB.
const MAX_EVENT_LOG: usize = 1 << 20;
/// Longest claims.
pub(crate) const MAX_CLAIMS: usize = 64 << 10;
/// Most PCR values: 24 of each of four banks.
const MAX_PCR_VALUES: usize = 96;
/// Most versions.
const MAX_VERSIONS: usize = 16;

/// What a device sends as evidence. Everything of the quote is empty when there is no TPM: then only `versions`, and for
/// our nodes `binding`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Quote {
    /// `TPMS_ATTEST`, without size prefix, at most 2 KiB.
    pub attest_data: Vec<u8>,
    /// DER of the attestation key's ECDSA signature over SHA-256 of `attest_data`, at most 2 KiB.
    pub signature: Vec<u8>,
    /// The PCRs, as claimed: true only if they hash to what the quote says.
    pub pcr_values: Vec<PcrValue>,
    /// Versions, as claimed.
    pub versions: Vec<Version>,
    /// The firmware's event log, gzip, at most 1 MiB; empty if not sent.
    pub event_log_gzip: Vec<u8>,
    /// The extension; absent from stock EVE.
    pub binding: Option<EvidenceBinding>,
}

/// What the evidence binds (ZAttestQuote 50560).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvidenceBinding {
    /// The session that keys are to be sealed to.
    pub session: SessionKey,
    /// The challenge that it answers.
    pub nonce: [u8; 32],
    /// Location, addresses, versions: bytes as hashed into the qualifying data, at most 64 KiB.
    pub claims: Vec<u8>,
    /// The device key's signature over the qualifying data, where no TPM quotes.
    pub device_signature: Option<Signature>,
}

/// One PCR.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PcrValue {
    /// 0 to 23.
    pub index: u8,
    /// Its bank.
    pub algorithm: PcrAlgorithm,
    /// As long as the bank's hash.
    pub value: Vec<u8>,
}

/// A bank of PCRs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PcrAlgorithm {
    /// 20 bytes; never enough for an appraisal.
    Sha1,
    /// 32 bytes.
    Sha256,
    /// 48 bytes. Not in EVE's API: under a number of ours.
    Sha384,
    /// 64 bytes.
    Sha512,
}

impl PcrAlgorithm {
    /// That of a bank that is appraised.
    #[must_use]
    pub fn of(bank: PcrBank) -> Self {
        match bank {
            PcrBank::Sha256 => Self::Sha256,
            PcrBank::Sha384 => Self::Sha384,
        }
    }
}

/// A version as claimed by the device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Of what.
    pub kind: VersionKind,
    /// The text, at most 256 bytes.
    pub text: String,
}

/// What a version is of. Claims only, so an unknown kind is kept by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VersionKind {
    /// EVE.
    Eve,
    /// Firmware.
    Firmware,
    /// Where the EVE image came from.
    EveOrigin,
    /// One that this version does not know.
    Other(i32),
}

impl From<&Quote> for ZAttestQuote {
    fn from(quote: &Quote) -> Self {
        Self {
            attest_data: quote.attest_data.clone(),
            signature: quote.signature.clone(),
            pcr_values: quote.pcr_values.iter().map(Into::into).collect(),
            versions: quote.versions.iter().map(Into::into).collect(),
            tpm_binary_event_log: quote.event_log_gzip.clone(),
            vault_evidence: quote.binding.as_ref().map(Into::into),
        }
    }
}

impl From<&EvidenceBinding> for pb::EvidenceBinding {
    fn from(binding: &EvidenceBinding) -> Self {
        Self {
            session: binding.session.0.to_vec(),
            suite: suite::X25519,
            nonce: binding.nonce.to_vec(),
            claims: binding.claims.clone(),
            device_signature: binding.device_signature.map_or(Vec::new(), Into::into),
        }
    }
}

impl From<&PcrValue> for TpmPcrValue {
    fn from(pcr: &PcrValue) -> Self {
        let algorithm = match pcr.algorithm {
            PcrAlgorithm::Sha1 => TpmHashAlgo::Sha1,
            PcrAlgorithm::Sha256 => TpmHashAlgo::Sha256,
            PcrAlgorithm::Sha384 => TpmHashAlgo::Sha384,
            PcrAlgorithm::Sha512 => TpmHashAlgo::Sha512,
        };
        Self { index: pcr.index.into(), hash_algo: algorithm.into(), value: pcr.value.clone() }
    }
}

impl From<&Version> for AttestVersionInfo {
    fn from(version: &Version) -> Self {
        let kind = match version.kind {
            VersionKind::Eve => AttestVersionType::Eve.into(),
            VersionKind::Firmware => AttestVersionType::Firmware.into(),
            VersionKind::EveOrigin => AttestVersionType::EveOrigin.into(),
            VersionKind::Other(kind) => kind,
        };
        Self { version_type: kind, version: cut(&version.text, MAX_TEXT) }
    }
}

/// Checks a quote's shape.
pub(super) fn quote(raw: ZAttestQuote) -> Result<Quote, DecodeError> {
    at_most("pcr_values", raw.pcr_values.len(), MAX_PCR_VALUES)?;
    at_most("versions", raw.versions.len(), MAX_VERSIONS)?;
    Ok(Quote {
        attest_data: blob("attestData", raw.attest_data, MAX_TPM_STRUCTURE)?,
        signature: blob("signature", raw.signature, MAX_TPM_STRUCTURE)?,
        pcr_values: pcr_values(raw.pcr_values)?,
        versions: raw.versions.into_iter().map(version).collect::<Result<_, _>>()?,
        event_log_gzip: blob("tpm_binary_event_log", raw.tpm_binary_event_log, MAX_EVENT_LOG)?,
        binding: raw.vault_evidence.map(binding).transpose()?,
    })
}

fn pcr_values(raw: Vec<TpmPcrValue>) -> Result<Vec<PcrValue>, DecodeError> {
    let mut values: Vec<PcrValue> = Vec::new();
    for value in raw {
        let value = pcr_value(value)?;
        if values.iter().any(|v| v.index == value.index && v.algorithm == value.algorithm) {
            return Err(DecodeError::Invalid { field: "pcr_values", why: "has one PCR twice" });
        }
        values.push(value);
    }
    Ok(values)
}

fn pcr_value(raw: TpmPcrValue) -> Result<PcrValue, DecodeError> {
    let (algorithm, length) = match known("hash_algo", raw.hash_algo)? {
        TpmHashAlgo::Sha1 => (PcrAlgorithm::Sha1, 20),
        TpmHashAlgo::Sha256 => (PcrAlgorithm::Sha256, 32),
        TpmHashAlgo::Sha384 => (PcrAlgorithm::Sha384, 48),
        TpmHashAlgo::Sha512 => (PcrAlgorithm::Sha512, 64),
        TpmHashAlgo::Invalid => {
            return Err(DecodeError::NotUnderstood { field: "hash_algo", value: raw.hash_algo });
        }
    };
    let index = u8::try_from(raw.index).ok().filter(|index| *index < 24);
    let index = index.ok_or(DecodeError::Invalid { field: "pcr index", why: "is above 23" })?;
    if raw.value.len() != length {
        return Err(DecodeError::Invalid { field: "pcr value", why: "has the wrong length" });
    }
    Ok(PcrValue { index, algorithm, value: raw.value })
}

fn version(raw: AttestVersionInfo) -> Result<Version, DecodeError> {
    let kind = match AttestVersionType::try_from(raw.version_type) {
        Ok(AttestVersionType::Eve) => VersionKind::Eve,
        Ok(AttestVersionType::Firmware) => VersionKind::Firmware,
        Ok(AttestVersionType::EveOrigin) => VersionKind::EveOrigin,
        Ok(AttestVersionType::Invalid) | Err(_) => VersionKind::Other(raw.version_type),
    };
    Ok(Version { kind, text: text("version", raw.version, MAX_TEXT)? })
}

fn binding(raw: pb::EvidenceBinding) -> Result<EvidenceBinding, DecodeError> {
    suite::check(raw.suite)?;
    let signature =
        (!raw.device_signature.is_empty()).then(|| exactly("device_signature", &raw.device_signature));
    Ok(EvidenceBinding {
        session: section::session("session", &raw.session)?,
        nonce: exactly("nonce", &raw.nonce)?,
        claims: blob("claims", raw.claims, MAX_CLAIMS)?,
        device_signature: signature.transpose()?.map(Signature),
    })
}
