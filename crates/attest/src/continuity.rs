//! What a quote says beside the one before it: whether it can come after it, by the TPM's counters and clock, and whether the
//! TPM's firmware is still the same.

use crate::quote::Quote;

/// How far the clock may fall at a reset that the TPM was not told of: it is written to NV at least every 2^22 ms (TPM 2.0 Library, Part 1, "Clock").
pub const CLOCK_STEP_MS: u64 = 1 << 22;

/// How a quote cannot come after the one before it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Discontinuity {
    /// The TPM was reset less often than before: another TPM's state, or an old quote.
    #[error("the TPM's reset count fell from {was} to {is}")]
    Resets {
        /// Before.
        was: u32,
        /// Now.
        is: u32,
    },
    /// Within one reset, resumed less often than before.
    #[error("the TPM's restart count fell from {was} to {is} without a reset")]
    Restarts {
        /// Before.
        was: u32,
        /// Now.
        is: u32,
    },
    /// The clock stepped back further than it can.
    #[error("the TPM's clock fell from {was} ms to {is} ms")]
    Clock {
        /// Before, in milliseconds.
        was: u64,
        /// Now, in milliseconds.
        is: u64,
    },
}

/// The TPM runs other firmware than before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the TPM's firmware was {was:#x} and is {is:#x}")]
pub struct OtherFirmware {
    /// Before.
    pub was: u64,
    /// Now.
    pub is: u64,
}

/// The quote can come after `before`: resets never fall; within one reset and restart the clock never steps back; after a reset
/// it may, by up to [`CLOCK_STEP_MS`], unless the TPM says that it is safe.
///
/// Does not establish that nothing happened in between.
///
/// # Errors
/// [`Discontinuity`].
pub fn continuity(before: &Quote, quote: &Quote) -> Result<(), Discontinuity> {
    if quote.reset_count < before.reset_count {
        return Err(Discontinuity::Resets { was: before.reset_count, is: quote.reset_count });
    }
    let reset = quote.reset_count > before.reset_count;
    if !reset && quote.restart_count < before.restart_count {
        return Err(Discontinuity::Restarts { was: before.restart_count, is: quote.restart_count });
    }
    let allowance_ms = if reset && !quote.safe { CLOCK_STEP_MS } else { 0 };
    if quote.clock_ms.saturating_add(allowance_ms) < before.clock_ms {
        return Err(Discontinuity::Clock { was: before.clock_ms, is: quote.clock_ms });
    }
    Ok(())
}

/// The TPM runs the firmware that it ran at `before`, by its own word.
///
/// Does not establish that this firmware is good, nor, when it differs, that somebody did wrong: updates change it too.
///
/// # Errors
/// [`OtherFirmware`].
pub fn firmware(before: &Quote, quote: &Quote) -> Result<(), OtherFirmware> {
    match (before.firmware_version, quote.firmware_version) {
        (was, is) if was == is => Ok(()),
        (was, is) => Err(OtherFirmware { was, is }),
    }
}
