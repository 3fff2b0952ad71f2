//! ECDSA signatures of the device key and the AK, and the digest that the device key signs.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use tss_esapi::constants::tss::{TPM2_RH_NULL, TPM2_ST_HASHCHECK};
use tss_esapi::interface_types::algorithm::HashingAlgorithm;
use tss_esapi::structures::{Digest, HashScheme, Signature, SignatureScheme};
use tss_esapi::tss2_esys::TPMT_TK_HASHCHECK;

use crate::identity::pad_left;
use crate::keys;
use crate::shell::Shell;
use crate::{CommandError, TpmError};

/// A SHA-256 digest, to be signed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Digest32(pub [u8; 32]);

impl Digest32 {
    /// The digest of `message`.
    #[must_use]
    pub fn of(message: &[u8]) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest(&SHA256, message).as_ref());
        Self(bytes)
    }
}

impl fmt::Debug for Digest32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// An ECDSA P-256 signature; both numbers big-endian, padded on the left to 32 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EcdsaSignature {
    /// r.
    pub r: [u8; 32],
    /// s.
    pub s: [u8; 32],
}

impl EcdsaSignature {
    /// r then s, 64 bytes: the form of EVE's envelopes.
    #[must_use]
    pub fn to_fixed(&self) -> [u8; 64] {
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(&self.r);
        bytes[32..].copy_from_slice(&self.s);
        bytes
    }

    /// DER `SEQUENCE { r INTEGER, s INTEGER }`: the form of X.509 and of EVE's quotes.
    #[must_use]
    pub fn to_der(&self) -> Vec<u8> {
        let content = [der_integer(&self.r), der_integer(&self.s)].concat();
        // At most 70 bytes, so one length byte does.
        [&[0x30, content.len() as u8][..], &content].concat()
    }

    pub(crate) fn from_tpm(signature: &Signature, command: &'static str) -> Result<Self, CommandError> {
        let malformed = || CommandError::malformed(command);
        let Signature::EcDsa(ecdsa) = signature else { return Err(malformed()) };
        let (mut r, mut s) = ([0; 32], [0; 32]);
        pad_left(ecdsa.signature_r().value(), &mut r).ok_or_else(malformed)?;
        pad_left(ecdsa.signature_s().value(), &mut s).ok_or_else(malformed)?;
        Ok(Self { r, s })
    }
}

/// A non-negative INTEGER: no leading zeros but one where the top bit would make it negative.
fn der_integer(number: &[u8; 32]) -> Vec<u8> {
    let zeros = number.iter().take(31).take_while(|byte| **byte == 0).count();
    let digits = &number[zeros..];
    let sign = if digits[0] & 0x80 == 0 { &[][..] } else { &[0] };
    [&[2, (sign.len() + digits.len()) as u8], sign, digits].concat()
}

/// ECDSA with SHA-256, the scheme of both signing keys.
pub(crate) fn ecdsa_sha256() -> SignatureScheme {
    SignatureScheme::EcDsa { hash_scheme: HashScheme::new(HashingAlgorithm::Sha256) }
}

impl Shell {
    /// Signs with the device key. In the open: a digest and a signature are for everybody's eyes.
    pub(crate) fn sign(&mut self, digest: &Digest32) -> Result<EcdsaSignature, TpmError> {
        let key = self.identity_key(&keys::DEVICE)?;
        let signature = self.run_open("Sign", |context| {
            context.sign(key, Digest::try_from(&digest.0[..])?, ecdsa_sha256(), no_ticket().try_into()?)
        })?;
        Ok(EcdsaSignature::from_tpm(&signature, "Sign")?)
    }
}

/// The null ticket: an unrestricted key asks for no proof that the TPM made the digest.
fn no_ticket() -> TPMT_TK_HASHCHECK {
    TPMT_TK_HASHCHECK { tag: TPM2_ST_HASHCHECK, hierarchy: TPM2_RH_NULL, digest: Default::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn der_has_no_needless_zeros() {
        let mut signature = EcdsaSignature { r: [0; 32], s: [0; 32] };
        signature.r[31] = 0x7f;
        signature.s[30] = 0x80;
        assert_eq!(signature.to_der(), [0x30, 8, 2, 1, 0x7f, 2, 3, 0, 0x80, 0]);
        assert_eq!(EcdsaSignature { r: [0; 32], s: [0; 32] }.to_der(), [0x30, 6, 2, 1, 0, 2, 1, 0]);
    }

    proptest! {
        #[test]
        fn der_holds_both_numbers(r: [u8; 32], s: [u8; 32], zeros in 0usize..32) {
            let (mut r, s) = (r, s);
            r[..zeros].fill(0);
            let der = EcdsaSignature { r, s }.to_der();
            let (sequence, rest) = (&der[2..], der[1] as usize);
            prop_assert_eq!(sequence.len(), rest);
            let first = 2 + sequence[1] as usize;
            let number = |tlv: &[u8]| {
                let mut field = [0; 33];
                pad_left(&tlv[2..], &mut field).map(|()| field[1..].to_vec())
            };
            prop_assert_eq!(number(&sequence[..first]), Some(r.to_vec()));
            prop_assert_eq!(number(&sequence[first..]), Some(s.to_vec()));
        }
    }
}
