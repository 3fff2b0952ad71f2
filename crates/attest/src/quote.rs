//! A quote as the TPM signed it: TPMS_ATTEST of type TPM_ST_ATTEST_QUOTE, read whole or not at all.

use serde::{Deserialize, Serialize};
use tpm2_protocol::TpmUnmarshal as _;
use tpm2_protocol::data::{TpmAlgId, TpmsAttest, TpmuAttest};

use crate::bank::PcrBank;

/// TPM_GENERATED_VALUE.
const GENERATED: &[u8; 4] = b"\xffTCG";
/// TPM_ST_ATTEST_QUOTE.
const ATTEST_QUOTE: [u8; 2] = 0x8018_u16.to_be_bytes();

/// Why bytes are no quote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum QuoteError {
    /// It does not begin with TPM_GENERATED_VALUE: a restricted key does not sign such bytes for outsiders.
    #[error("the structure was not made by a TPM: its magic is wrong")]
    Magic,
    /// A structure of the TPM's own, of another type.
    #[error("the structure is no quote but another attestation")]
    Type,
    /// Cut short or broken.
    #[error("the structure does not read as TPMS_ATTEST")]
    Malformed,
    /// Bytes follow it.
    #[error("{count} bytes follow the quote")]
    TrailingBytes {
        /// How many.
        count: usize,
    },
}

/// What a quote says. Reading it establishes nothing: see [`crate::appraise`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quote {
    /// `extraData`: the caller's qualifying data.
    pub qualifying_data: Vec<u8>,
    /// Banks and bitmaps, in the quote's order.
    pub selections: Vec<(TpmAlgId, Vec<u8>)>,
    /// Hash over the selected PCRs' values.
    pub composite: Vec<u8>,
    /// Milliseconds that the TPM was powered, not ahead of it.
    pub clock_ms: u64,
    /// Resets of the TPM, true only of a key in the endorsement hierarchy; else moved by a constant.
    pub reset_count: u32,
    /// Resumes since the last reset.
    pub restart_count: u32,
    /// Whether the clock surely never stood higher, by the TPM's own word. Cleared by a reset that the TPM was not told of, until it
    /// has written the clock once more: not, then, until it has caught up. So nothing here hangs on it.
    pub safe: bool,
    /// The TPM's firmware.
    pub firmware_version: u64,
}

/// The bytes begin as all that a TPM makes itself: a restricted key signs no bytes from outside that begin so.
///
/// Does not establish that a TPM made them: that takes a restricted key ([`crate::AkPublic`]) and its [`crate::signature`].
///
/// # Errors
/// [`QuoteError::Magic`].
pub fn magic(attest_data: &[u8]) -> Result<(), QuoteError> {
    if attest_data.starts_with(GENERATED) { Ok(()) } else { Err(QuoteError::Magic) }
}

/// The bytes say that they are a quote, and not a certification, a time or whatever else a TPM signs.
///
/// Does not establish that they read as one, nor what of: see [`Quote::read`].
///
/// # Errors
/// [`QuoteError::Type`].
pub fn kind(attest_data: &[u8]) -> Result<(), QuoteError> {
    let kind = attest_data.get(GENERATED.len()..).unwrap_or_default();
    if kind.starts_with(&ATTEST_QUOTE) { Ok(()) } else { Err(QuoteError::Type) }
}

/// Which life of the TPM a quote is of: both counts together, since a resume raises the second alone. Ordered in time, as long as the
/// TPM is not cleared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Boot {
    /// Resets of the TPM.
    pub resets: u32,
    /// Resumes since.
    pub restarts: u32,
}

impl Quote {
    /// The bank that it is over, where it is over one alone that is appraised.
    #[must_use]
    pub fn bank(&self) -> Option<PcrBank> {
        match self.selections.as_slice() {
            [(algorithm, _)] => PcrBank::of(*algorithm),
            _ => None,
        }
    }

    /// The TPM's boot that it was made in.
    #[must_use]
    pub fn boot(&self) -> Boot {
        Boot { resets: self.reset_count, restarts: self.restart_count }
    }

    /// Reads a TPMS_ATTEST (TPM 2.0 Library, Part 2, 10.12.12), without size prefix, of the right [`magic`] and [`kind`].
    ///
    /// # Errors
    /// [`QuoteError`].
    pub fn read(bytes: &[u8]) -> Result<Self, QuoteError> {
        magic(bytes)?;
        kind(bytes)?;
        let (attest, rest) = TpmsAttest::unmarshal(bytes).map_err(|_| QuoteError::Malformed)?;
        let TpmuAttest::Quote(info) = &attest.attested else { return Err(QuoteError::Type) };
        if !rest.is_empty() {
            return Err(QuoteError::TrailingBytes { count: rest.len() });
        }
        Ok(Self {
            qualifying_data: attest.extra_data.to_vec(),
            selections: info.pcr_select.iter().map(|one| (one.hash, one.pcr_select.to_vec())).collect(),
            composite: info.pcr_digest.to_vec(),
            clock_ms: attest.clock_info.clock.value(),
            reset_count: attest.clock_info.reset_count.value(),
            restart_count: attest.clock_info.restart_count.value(),
            safe: attest.clock_info.safe.into(),
            firmware_version: attest.firmware_version.value(),
        })
    }
}
