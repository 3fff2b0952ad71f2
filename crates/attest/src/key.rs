//! The attestation key's public area, and the attributes without which a quote by it proves nothing.

use serde::{Deserialize, Serialize};
use tpm2_protocol::TpmUnmarshal as _;
use tpm2_protocol::data::{TpmAlgId, TpmEccCurve, TpmaObject, TpmtPublic, TpmuPublicId, TpmuPublicParms};

/// Why a public area is no attestation key's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum KeyError {
    /// Not a TPM2B_PUBLIC, or followed by more bytes.
    #[error("the attestation key is no TPM2B_PUBLIC")]
    Malformed,
    /// Not ECC P-256 with ECDSA and SHA-256.
    #[error("the attestation key is not of ECC P-256 for ECDSA with SHA-256")]
    Algorithm,
    /// Not a restricted signing key that was made in its TPM and cannot leave it.
    #[error("the attestation key is not restricted to signing inside its TPM: attributes {attributes:#x}")]
    Attributes {
        /// TPMA_OBJECT.
        attributes: u32,
    },
}

/// An attestation key: restricted, so that it signs structures of the TPM's own making only.
///
/// It does not establish that a TPM holds it: that takes credential activation against an endorsement key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AkPublic {
    point: [u8; 65],
}

const MUST: [TpmaObject; 5] = [
    TpmaObject::RESTRICTED,
    TpmaObject::SIGN_ENCRYPT,
    TpmaObject::FIXED_TPM,
    TpmaObject::FIXED_PARENT,
    TpmaObject::SENSITIVE_DATA_ORIGIN,
];

impl AkPublic {
    /// Reads a TPM2B_PUBLIC (TPM 2.0 Library, Part 2, 12.2.5).
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn from_tpm2b(bytes: &[u8]) -> Result<Self, KeyError> {
        let (size, area) = bytes.split_first_chunk::<2>().ok_or(KeyError::Malformed)?;
        if usize::from(u16::from_be_bytes(*size)) != area.len() {
            return Err(KeyError::Malformed);
        }
        let (public, rest) = TpmtPublic::unmarshal(area).map_err(|_| KeyError::Malformed)?;
        if !rest.is_empty() {
            return Err(KeyError::Malformed);
        }
        attributes(public.object_attributes)?;
        algorithm(&public)?;
        Ok(Self { point: point(&public.unique)? })
    }

    /// The key as a SEC1 uncompressed point.
    #[must_use]
    pub fn point(&self) -> &[u8; 65] {
        &self.point
    }
}

fn attributes(has: TpmaObject) -> Result<(), KeyError> {
    let good = MUST.iter().all(|must| has.contains(*must)) && !has.contains(TpmaObject::DECRYPT);
    if good { Ok(()) } else { Err(KeyError::Attributes { attributes: has.bits() }) }
}

fn algorithm(public: &TpmtPublic) -> Result<(), KeyError> {
    let TpmuPublicParms::Ecc(parms) = &public.parameters else { return Err(KeyError::Algorithm) };
    let hash = match parms.scheme.details {
        tpm2_protocol::data::TpmuAsymScheme::Hash(scheme) => scheme.hash_alg,
        tpm2_protocol::data::TpmuAsymScheme::Null => TpmAlgId::Null,
    };
    let good = public.object_type == TpmAlgId::Ecc
        && public.name_alg == TpmAlgId::Sha256
        && parms.curve_id == TpmEccCurve::NistP256
        && parms.scheme.scheme == TpmAlgId::Ecdsa
        && hash == TpmAlgId::Sha256;
    if good { Ok(()) } else { Err(KeyError::Algorithm) }
}

/// Coordinates may come without their leading zeros.
fn point(unique: &TpmuPublicId) -> Result<[u8; 65], KeyError> {
    let TpmuPublicId::Ecc(ecc) = unique else { return Err(KeyError::Algorithm) };
    let mut point = [0; 65];
    point[0] = 4;
    right_aligned(&mut point[1..33], &ecc.x)?;
    right_aligned(&mut point[33..], &ecc.y)?;
    Ok(point)
}

fn right_aligned(field: &mut [u8], coordinate: &[u8]) -> Result<(), KeyError> {
    let start = field.len().checked_sub(coordinate.len()).ok_or(KeyError::Algorithm)?;
    field[start..].copy_from_slice(coordinate);
    Ok(())
}
