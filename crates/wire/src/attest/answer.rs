//! What a controller answers on `/attest`, with the extension that says why (ZAttestQuoteResp 50570).

use std::fmt;

use prost::Message as _;

use super::request::{EscrowKey, escrow_keys};
use crate::error::DecodeError;
use crate::limits::{MAX_TOKEN, MAX_WORDS, at_most, blob, cut, decode, known, present, text};
use crate::pb::attest::{
    AttestStorageKeysResp, AttestStorageKeysResponseCode, ZAttestNonceResp, ZAttestQuoteResp,
    ZAttestRespType, ZAttestResponse, ZAttestResponseCode,
};
use crate::pb::vault as pb;

/// What a controller answers on `/attest`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttestResponse {
    /// Certificates were received.
    Certs,
    /// A nonce, 12 to 32 bytes.
    Nonce(Vec<u8>),
    /// On evidence.
    Quote(QuoteAnswer),
    /// On keys for escrow.
    StoreKeys(StoreKeysCode),
}

/// The answer on evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuoteAnswer {
    /// In EVE's words.
    pub code: QuoteCode,
    /// For later requests of stock EVE; at most 1 KiB.
    pub integrity_token: Vec<u8>,
    /// Keys back from escrow, at most 16.
    pub keys: Vec<EscrowKey>,
    /// The extension: why, coarsely.
    pub verdict: Option<EvidenceAnswer>,
}

/// EVE's verdicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuoteCode {
    /// Malformed.
    Invalid,
    /// Good.
    Success,
    /// Of another nonce, or none was asked.
    NonceMismatch,
    /// The attestation key is not known.
    NoCertFound,
    /// Well formed and not good.
    QuoteFailed,
}

impl fmt::Display for QuoteCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Invalid => "the evidence does not read",
            Self::Success => "the evidence was accepted",
            Self::NonceMismatch => "the evidence is for another nonce, or was not asked for",
            Self::NoCertFound => "the attestation key is not known there",
            Self::QuoteFailed => "the quote is not good",
        })
    }
}

/// Our verdict, coarse: the operator sees it in full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EvidenceAnswer {
    /// The evidence was taken.
    Accepted,
    /// It was not, and this is what to do or whom to ask.
    Refused(String),
}

/// The answer on keys for escrow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreKeysCode {
    /// Malformed.
    Invalid,
    /// Kept.
    Success,
    /// Attest again.
    TokenMismatch,
}

impl AttestResponse {
    /// Its bytes; the payload of an envelope.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut response = ZAttestResponse::default();
        let kind = match self {
            Self::Certs => ZAttestRespType::AttestRespCert,
            Self::Nonce(nonce) => {
                response.nonce = Some(ZAttestNonceResp { nonce: nonce.clone() });
                ZAttestRespType::AttestRespNonce
            }
            Self::Quote(answer) => {
                response.quote_resp = Some(answer.into());
                ZAttestRespType::AttestRespQuoteResp
            }
            Self::StoreKeys(code) => {
                response.storage_keys_resp = Some(AttestStorageKeysResp { response: store_code_to(*code) });
                ZAttestRespType::StoreKeys
            }
        };
        response.resp_type = kind.into();
        response.encode_to_vec()
    }

    /// Reads an envelope's payload.
    ///
    /// # Errors
    /// [`DecodeError`]: as if there had been no answer.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let response: ZAttestResponse = decode(bytes)?;
        Ok(match known("respType", response.resp_type)? {
            ZAttestRespType::AttestRespCert => Self::Certs,
            ZAttestRespType::AttestRespNonce => Self::Nonce(nonce(present("nonce", response.nonce)?)?),
            ZAttestRespType::AttestRespQuoteResp => {
                Self::Quote(quote_answer(present("quoteResp", response.quote_resp)?)?)
            }
            ZAttestRespType::StoreKeys => {
                let answer = present("storage_keys_resp", response.storage_keys_resp)?;
                Self::StoreKeys(store_code(answer.response)?)
            }
            ZAttestRespType::AttestRespNone => {
                return Err(DecodeError::NotUnderstood { field: "respType", value: response.resp_type });
            }
        })
    }
}

/// EVE makes no quote over a nonce shorter than 12 or longer than 32 bytes.
fn nonce(raw: ZAttestNonceResp) -> Result<Vec<u8>, DecodeError> {
    at_most("nonce", raw.nonce.len(), 32)?;
    if raw.nonce.len() < 12 {
        return Err(DecodeError::Invalid { field: "nonce", why: "is shorter than 12 bytes" });
    }
    Ok(raw.nonce)
}

impl From<&QuoteAnswer> for ZAttestQuoteResp {
    fn from(answer: &QuoteAnswer) -> Self {
        Self {
            response: quote_code_to(answer.code),
            integrity_token: answer.integrity_token.clone(),
            keys: answer.keys.iter().map(Into::into).collect(),
            vault_verdict: answer.verdict.as_ref().map(Into::into),
        }
    }
}

impl From<&EvidenceAnswer> for pb::Verdict {
    fn from(verdict: &EvidenceAnswer) -> Self {
        match verdict {
            EvidenceAnswer::Accepted => {
                Self { kind: pb::VerdictKind::Accepted.into(), reason: String::new() }
            }
            EvidenceAnswer::Refused(reason) => {
                Self { kind: pb::VerdictKind::Refused.into(), reason: cut(reason, MAX_WORDS) }
            }
        }
    }
}

fn quote_answer(raw: ZAttestQuoteResp) -> Result<QuoteAnswer, DecodeError> {
    let answer = QuoteAnswer {
        code: quote_code(raw.response)?,
        integrity_token: blob("integrity_token", raw.integrity_token, MAX_TOKEN)?,
        keys: escrow_keys(raw.keys)?,
        verdict: raw.vault_verdict.map(verdict).transpose()?,
    };
    let accepted = answer.verdict == Some(EvidenceAnswer::Accepted);
    if answer.verdict.is_some() && accepted != (answer.code == QuoteCode::Success) {
        return Err(DecodeError::Invalid { field: "verdict", why: "contradicts the response code" });
    }
    Ok(answer)
}

fn verdict(raw: pb::Verdict) -> Result<EvidenceAnswer, DecodeError> {
    match known("verdict", raw.kind)? {
        pb::VerdictKind::Accepted => Ok(EvidenceAnswer::Accepted),
        pb::VerdictKind::Refused => Ok(EvidenceAnswer::Refused(text("reason", raw.reason, MAX_WORDS)?)),
        pb::VerdictKind::Unspecified => Err(DecodeError::NotUnderstood { field: "verdict", value: raw.kind }),
    }
}

fn quote_code_to(code: QuoteCode) -> i32 {
    match code {
        QuoteCode::Invalid => ZAttestResponseCode::Invalid,
        QuoteCode::Success => ZAttestResponseCode::Success,
        QuoteCode::NonceMismatch => ZAttestResponseCode::NonceMismatch,
        QuoteCode::NoCertFound => ZAttestResponseCode::NoCertFound,
        QuoteCode::QuoteFailed => ZAttestResponseCode::QuoteFailed,
    }
    .into()
}

fn quote_code(value: i32) -> Result<QuoteCode, DecodeError> {
    Ok(match known("response", value)? {
        ZAttestResponseCode::Invalid => QuoteCode::Invalid,
        ZAttestResponseCode::Success => QuoteCode::Success,
        ZAttestResponseCode::NonceMismatch => QuoteCode::NonceMismatch,
        ZAttestResponseCode::NoCertFound => QuoteCode::NoCertFound,
        ZAttestResponseCode::QuoteFailed => QuoteCode::QuoteFailed,
    })
}

fn store_code_to(code: StoreKeysCode) -> i32 {
    match code {
        StoreKeysCode::Invalid => AttestStorageKeysResponseCode::Invalid,
        StoreKeysCode::Success => AttestStorageKeysResponseCode::Success,
        StoreKeysCode::TokenMismatch => AttestStorageKeysResponseCode::ItokenMismatch,
    }
    .into()
}

fn store_code(value: i32) -> Result<StoreKeysCode, DecodeError> {
    Ok(match known("response", value)? {
        AttestStorageKeysResponseCode::Invalid => StoreKeysCode::Invalid,
        AttestStorageKeysResponseCode::Success => StoreKeysCode::Success,
        AttestStorageKeysResponseCode::ItokenMismatch => StoreKeysCode::TokenMismatch,
    })
}
