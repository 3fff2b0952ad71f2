//! The checks of one quote by itself, a function each, beside those of its form (`quote`), of the quote before (`continuity`) and of
//! the reference values (`references`). Each says what it does not establish; only [`crate::appraise`] puts them together.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use tpm2_protocol::data::TpmAlgId;

use crate::bank::PcrDigest;
use crate::binding::sha256;
use crate::key::AkPublic;
use crate::quote::Quote;

/// PCR to its value, all of one bank.
pub type PcrValues = BTreeMap<u8, PcrDigest>;

/// Why a quote is worth nothing here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum CheckError {
    /// Not signed by the pinned attestation key.
    #[error("the attestation key did not sign this quote")]
    Signature,
    /// Another question, session or claims.
    #[error("the quote answers another nonce, session or claims")]
    QualifyingData,
    /// Fewer, more or other PCRs than asked for, or not of one bank that is appraised.
    #[error("the quote is not over exactly the PCRs asked for in the SHA-256 or the SHA-384 bank")]
    Selection,
    /// The values sent are not those quoted.
    #[error("the PCR values sent are not those that were quoted")]
    Composite,
}

/// The quote's bytes were signed by this key (ECDSA P-256 over SHA-256, DER).
///
/// Does not establish that a TPM holds the key, what the bytes say, or when they were signed.
///
/// # Errors
/// [`CheckError::Signature`].
pub fn signature(ak: &AkPublic, attest_data: &[u8], signature_der: &[u8]) -> Result<(), CheckError> {
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, ak.point())
        .verify(attest_data, signature_der)
        .map_err(|_| CheckError::Signature)
}

/// The quote was asked for with exactly these bytes.
///
/// Does not establish that the nonce within them is fresh: who made it must know, and spend it once.
///
/// # Errors
/// [`CheckError::QualifyingData`].
pub fn qualifying(quote: &Quote, expected: &[u8]) -> Result<(), CheckError> {
    if quote.qualifying_data == expected { Ok(()) } else { Err(CheckError::QualifyingData) }
}

/// The quote is over exactly the PCRs of `mask` (bit n is PCR n, 0 to 23), in one bank that is appraised and no other.
///
/// Does not establish their values, nor that they are of the bank in which a reference value was approved: values tell.
///
/// # Errors
/// [`CheckError::Selection`].
pub fn selection(quote: &Quote, mask: u32) -> Result<(), CheckError> {
    let bitmap = &mask.to_le_bytes()[..3];
    match quote.selections.as_slice() {
        [(_, selected)] if selected == bitmap && mask < 1 << 24 && mask != 0 && quote.bank().is_some() => {
            Ok(())
        }
        _ => Err(CheckError::Selection),
    }
}

/// The quote is over no PCR at all of the SHA-256 bank, which is asked for where no other was found: the TPM that made it has neither.
pub(crate) fn no_bank(quote: &Quote) -> bool {
    matches!(quote.selections.as_slice(), [(TpmAlgId::Sha256, none)] if none.iter().all(|byte| *byte == 0))
}

/// The values are those that were quoted: exactly the PCRs of `mask`, of the quote's bank, hashing to its composite.
///
/// Does not establish that they are good: see [`mod@crate::references`].
///
/// # Errors
/// [`CheckError::Composite`].
pub fn composite(quote: &Quote, mask: u32, values: &PcrValues) -> Result<(), CheckError> {
    let wanted = (0..24u8).filter(|pcr| mask & (1 << pcr) != 0);
    let all: Vec<u8> = values.values().flat_map(PcrDigest::as_bytes).copied().collect();
    let of_it = values.values().all(|value| Some(value.bank()) == quote.bank());
    let good = wanted.eq(values.keys().copied()) && of_it && quote.composite == sha256(&all);
    if good { Ok(()) } else { Err(CheckError::Composite) }
}
