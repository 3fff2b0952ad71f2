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

#[cfg(test)]
mod tests {
    use super::*;

    /// A TPM2B_PUBLIC of a restricted ECDSA P-256 key that signs, with `more` attributes.
    fn area(more: u32, x: &[u8], y: &[u8]) -> Vec<u8> {
        let attributes = MUST.iter().fold(more, |all, must| all | must.bits());
        let sized = |bytes: &[u8]| [&(bytes.len() as u16).to_be_bytes(), bytes].concat();
        let parameters = [0x00, 0x00, 0x00, 0x10, 0x00, 0x18, 0x00, 0x0B, 0x00, 0x03, 0x00, 0x10];
        let head = [[0x00, 0x23, 0x00, 0x0B].as_slice(), &attributes.to_be_bytes(), &parameters].concat();
        sized(&[head, sized(x), sized(y)].concat())
    }

    fn point_of(area: &[u8]) -> Result<[u8; 65], KeyError> {
        AkPublic::from_tpm2b(area).map(|key| *key.point())
    }

    /// AC-3, attack F6: keys are told apart by their points alone: by both coordinates, each with or without its leading zeros, and by nothing that stands
    /// beside them.
    #[test]
    fn a_point_is_the_same_however_it_is_written_and_another_is_another() {
        let (zero, long, other) = ([[0].as_slice(), &[7; 31]].concat(), [9; 32], [8; 32]);
        let is = point_of(&area(0, &zero, &long)).expect("reads");
        assert_eq!((is[0], is[1], is[2], is[33]), (4, 0, 7, 9), "SEC1, uncompressed");
        assert_eq!(point_of(&area(0, &zero[1..], &long)), Ok(is), "without its leading zero");
        assert_eq!(point_of(&area(TpmaObject::NO_DA.bits(), &zero, &long)), Ok(is), "of other attributes");
        for (x, y) in [(&other[..], &long[..]), (&zero, &other), (&long, &zero), (&[7; 32], &long)] {
            assert_ne!(point_of(&area(0, x, y)), Ok(is), "{x:?} {y:?}");
        }
        let longer = [[0].as_slice(), &zero].concat();
        assert_eq!(point_of(&area(0, &longer, &long)), Err(KeyError::Algorithm), "longer than the curve's");
    }
}
