//! What a device posts to `/attest`.

use prost::Message as _;

use super::quote::{Quote, quote};
use crate::cert::short_hash;
use crate::error::DecodeError;
use crate::escrow::{self, SealedBundle};
use crate::limits::{MAX_CERTS, MAX_PEM, MAX_TOKEN, at_most, blob, decode, known, present};
use crate::pb::attest::{
    AttestPolicyPcrList, AttestStorageKeys, AttestVolumeKey, AttestVolumeKeyType, ZAttestReq, ZAttestReqType,
};
use crate::pb::certs::{ZCert, ZCertMetaData, ZCertMetaDataType, ZCertType};
use crate::pb::common::HashAlgorithm;
use crate::suite;

/// Longest TPM public area.
const MAX_TPM_PUBLIC: usize = 2048;
/// Longest escrowed key or bundle.
const MAX_ESCROW: usize = 2 << 20;
/// Most escrowed keys.
const MAX_KEYS: usize = 16;

/// What a device posts to `/attest`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttestRequest {
    /// Its certificates, at most 32.
    Certs(Vec<DeviceCert>),
    /// A nonce is asked for: stock EVE's way. Our nodes are challenged with their configuration.
    Nonce,
    /// Evidence.
    Quote(Box<Quote>),
    /// Keys to keep in escrow.
    StoreKeys(StoreKeys),
}

/// A certificate of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceCert {
    /// What its key is for.
    pub kind: DeviceCertKind,
    /// The PEM file, with its final newline; at most 64 KiB. Not read yet: an endorsement certificate may be RSA.
    pub pem: Vec<u8>,
    /// `certHash` as the device wrote it: how cipher contexts name it. Not checked against `pem`.
    pub name: Vec<u8>,
    /// `TPM2B_PUBLIC` of its key, if the device sent it; at most 2 KiB.
    pub tpm_public: Option<Vec<u8>>,
}

/// What a device certificate's key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeviceCertKind {
    /// Onboarding: type 10.
    Onboarding,
    /// Quotes: the AK, type 11.
    Attestation,
    /// Endorsement: the EK, type 12.
    Endorsement,
    /// Objects: type 13.
    Ecdh,
}

impl DeviceCert {
    /// Makes an entry; its name is the file's hash, as EVE does.
    #[must_use]
    pub fn new(kind: DeviceCertKind, pem: Vec<u8>, tpm_public: Option<Vec<u8>>) -> Self {
        Self { kind, name: short_hash(&pem).to_vec(), pem, tpm_public }
    }
}

/// Keys to keep in escrow: ciphertext that the controller can't open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreKeys {
    /// From the last attestation; at most 1 KiB.
    pub integrity_token: Vec<u8>,
    /// The keys, at most 16: stock EVE's way.
    pub keys: Vec<EscrowKey>,
    /// Our node's bundle, sealed to the controller's ECDH certificate.
    pub bundle: Option<SealedBundle>,
}

/// One key in escrow, of EVE's kind VSK (volume storage key).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EscrowKey {
    /// Opaque, at most 2 MiB.
    pub key: Vec<u8>,
    /// The PCRs that the controller wants it sealed to.
    pub pcr_policy: Option<PcrPolicy>,
}

/// The PCRs that a controller wants a key sealed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PcrPolicy {
    /// At most 15 of 0 to 15, no two alike, 0 among them and 5 not. Source: EVE `ValidatePolicyPcr`.
    pub pcrs: Vec<u8>,
    /// Chosen by the controller.
    pub id: u32,
}

impl AttestRequest {
    /// Its bytes; the payload of an envelope.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut request = ZAttestReq::default();
        let kind = match self {
            Self::Certs(certs) => {
                request.certs = certs.iter().map(Into::into).collect();
                ZAttestReqType::AttestReqCert
            }
            Self::Nonce => ZAttestReqType::AttestReqNonce,
            Self::Quote(quote) => {
                request.quote = Some(quote.as_ref().into());
                ZAttestReqType::AttestReqQuote
            }
            Self::StoreKeys(keys) => {
                request.storage_keys = Some(keys.into());
                ZAttestReqType::StoreKeys
            }
        };
        request.req_type = kind.into();
        request.encode_to_vec()
    }

    /// Reads an envelope's payload.
    ///
    /// # Errors
    /// [`DecodeError`]: the peer's fault.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let request: ZAttestReq = decode(bytes)?;
        Ok(match known("reqType", request.req_type)? {
            ZAttestReqType::AttestReqCert => Self::Certs(certs(request.certs)?),
            ZAttestReqType::AttestReqNonce => Self::Nonce,
            ZAttestReqType::AttestReqQuote => Self::Quote(Box::new(quote(present("quote", request.quote)?)?)),
            ZAttestReqType::StoreKeys => {
                Self::StoreKeys(store_keys(present("storage_keys", request.storage_keys)?)?)
            }
            ZAttestReqType::AttestReqNone => {
                return Err(DecodeError::NotUnderstood { field: "reqType", value: request.req_type });
            }
        })
    }
}

impl From<&DeviceCert> for ZCert {
    fn from(cert: &DeviceCert) -> Self {
        let kind = match cert.kind {
            DeviceCertKind::Onboarding => ZCertType::CertTypeDeviceOnboarding,
            DeviceCertKind::Attestation => ZCertType::CertTypeDeviceRestrictedSigning,
            DeviceCertKind::Endorsement => ZCertType::CertTypeDeviceEndorsementRsa,
            DeviceCertKind::Ecdh => ZCertType::CertTypeDeviceEcdhExchange,
        };
        let public = cert
            .tpm_public
            .clone()
            .map(|meta_data| ZCertMetaData { r#type: ZCertMetaDataType::Tpm2Public.into(), meta_data });
        Self {
            hash_algo: HashAlgorithm::Sha25616bytes.into(),
            cert_hash: cert.name.clone(),
            r#type: kind.into(),
            cert: cert.pem.clone(),
            attributes: None,
            meta_data_items: public.into_iter().collect(),
        }
    }
}

fn certs(raw: Vec<ZCert>) -> Result<Vec<DeviceCert>, DecodeError> {
    at_most("certs", raw.len(), MAX_CERTS)?;
    raw.into_iter().map(device_cert).collect()
}

fn device_cert(raw: ZCert) -> Result<DeviceCert, DecodeError> {
    let kind = match known("type", raw.r#type)? {
        ZCertType::CertTypeDeviceOnboarding => DeviceCertKind::Onboarding,
        ZCertType::CertTypeDeviceRestrictedSigning => DeviceCertKind::Attestation,
        ZCertType::CertTypeDeviceEndorsementRsa => DeviceCertKind::Endorsement,
        ZCertType::CertTypeDeviceEcdhExchange => DeviceCertKind::Ecdh,
        _ => return Err(DecodeError::Invalid { field: "type", why: "is not of a device's certificate" }),
    };
    Ok(DeviceCert {
        kind,
        pem: blob("cert", raw.cert, MAX_PEM)?,
        name: blob("certHash", raw.cert_hash, 32)?,
        tpm_public: tpm_public(raw.meta_data_items)?,
    })
}

fn tpm_public(items: Vec<ZCertMetaData>) -> Result<Option<Vec<u8>>, DecodeError> {
    let mut publics = items.into_iter().filter(|item| item.r#type == ZCertMetaDataType::Tpm2Public as i32);
    let public = publics.next().map(|item| blob("meta_data", item.meta_data, MAX_TPM_PUBLIC)).transpose()?;
    match publics.next() {
        Some(_) => Err(DecodeError::Invalid { field: "meta_data_items", why: "has two public areas" }),
        None => Ok(public),
    }
}

impl From<&StoreKeys> for AttestStorageKeys {
    fn from(keys: &StoreKeys) -> Self {
        let integrity_token = keys.integrity_token.clone();
        let vault_bundle = keys.bundle.as_ref().map(|bundle| escrow::raw(bundle, suite::P256));
        Self { integrity_token, keys: keys.keys.iter().map(Into::into).collect(), vault_bundle }
    }
}

impl From<&EscrowKey> for AttestVolumeKey {
    fn from(key: &EscrowKey) -> Self {
        Self {
            key_type: AttestVolumeKeyType::Vsk.into(),
            key: key.key.clone(),
            has_policy_pcr_list: key.pcr_policy.is_some(),
            policy_pcr_list: key.pcr_policy.as_ref().map(|policy| AttestPolicyPcrList {
                pcr_indices: policy.pcrs.iter().map(|pcr| u32::from(*pcr)).collect(),
                policy_id: policy.id,
            }),
        }
    }
}

fn store_keys(raw: AttestStorageKeys) -> Result<StoreKeys, DecodeError> {
    let integrity_token = blob("integrity_token", raw.integrity_token, MAX_TOKEN)?;
    let bundle = raw.vault_bundle.map(|raw| escrow::sealed(raw, suite::P256)).transpose()?;
    Ok(StoreKeys { integrity_token, keys: escrow_keys(raw.keys)?, bundle })
}

pub(super) fn escrow_keys(raw: Vec<AttestVolumeKey>) -> Result<Vec<EscrowKey>, DecodeError> {
    at_most("keys", raw.len(), MAX_KEYS)?;
    raw.into_iter().map(escrow_key).collect()
}

fn escrow_key(raw: AttestVolumeKey) -> Result<EscrowKey, DecodeError> {
    if raw.key_type != AttestVolumeKeyType::Vsk as i32 {
        return Err(DecodeError::NotUnderstood { field: "key_type", value: raw.key_type });
    }
    let list = raw.policy_pcr_list.filter(|_| raw.has_policy_pcr_list);
    Ok(EscrowKey { key: blob("key", raw.key, MAX_ESCROW)?, pcr_policy: list.map(pcr_policy).transpose()? })
}

fn pcr_policy(raw: AttestPolicyPcrList) -> Result<PcrPolicy, DecodeError> {
    let wrong = DecodeError::Invalid { field: "pcr_indices", why: "is no set that EVE seals to" };
    let mut pcrs: Vec<u8> = Vec::new();
    for index in raw.pcr_indices {
        match u8::try_from(index) {
            Ok(pcr) if pcr < 16 && pcr != 5 && !pcrs.contains(&pcr) => pcrs.push(pcr),
            _ => return Err(wrong),
        }
    }
    if pcrs.contains(&0) { Ok(PcrPolicy { pcrs, id: raw.policy_id }) } else { Err(wrong) }
}
