//! A quote as the TPM signed it: TPMS_ATTEST of type TPM_ST_ATTEST_QUOTE, read whole or not at all.

use tpm2_protocol::data::{TpmAlgId, TpmsAttest, TpmuAttest};
use tpm2_protocol::{TpmError, TpmUnmarshal as _};

/// Why bytes are no quote.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
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
    /// Whether the clock surely never stood higher.
    pub safe: bool,
    /// The TPM's firmware.
    pub firmware_version: u64,
}

impl Quote {
    /// Reads a TPMS_ATTEST (TPM 2.0 Library, Part 2, 10.12.12), without size prefix.
    ///
    /// # Errors
    /// [`QuoteError`].
    pub fn read(bytes: &[u8]) -> Result<Self, QuoteError> {
        let (attest, rest) = TpmsAttest::unmarshal(bytes).map_err(|e| meaning(&e))?;
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

fn meaning(error: &TpmError) -> QuoteError {
    match error {
        TpmError::InvalidMagicNumber { .. } => QuoteError::Magic,
        _ => QuoteError::Malformed,
    }
}
