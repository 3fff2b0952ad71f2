//! What a quote says beside the one before it: whether it can come after it, by the TPM's counters and clock; whether the clock ran on;
//! and whether the TPM's firmware is still the same. The first is an accusation where it fails, the others are findings.

use crate::quote::Quote;
use serde::{Deserialize, Serialize};

/// How a quote cannot come after the one before it. No power cut does any of these, to no kind of TPM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Discontinuity {
    /// The TPM was reset less often than before: another TPM's state, an old quote, or a cleared TPM.
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
    /// The clock stepped back while the TPM stayed powered.
    #[error("the TPM's clock fell from {was} ms to {is} ms within one boot")]
    Clock {
        /// Before, in milliseconds.
        was: u64,
        /// Now, in milliseconds.
        is: u64,
    },
}

/// The clock stands lower than before, in a later boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error(
    "the TPM was reset or resumed and its clock fell from {was} ms to {is} ms, as after a power cut: how long it ran since then is not established"
)]
pub struct ClockFell {
    /// Before, in milliseconds.
    pub was: u64,
    /// Now, in milliseconds.
    pub is: u64,
}

/// The TPM runs other firmware than before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("the TPM's firmware was {was:#x} and is {is:#x}")]
pub struct OtherFirmware {
    /// Before.
    pub was: u64,
    /// Now.
    pub is: u64,
}

/// The quote can come after `before`: [`crate::Boot`]s never fall, and within one the clock never steps back.
///
/// Does not establish that nothing happened in between, nor, in a later boot, anything of the clock: see [`clock`].
///
/// # Errors
/// [`Discontinuity`].
pub fn continuity(before: &Quote, quote: &Quote) -> Result<(), Discontinuity> {
    let (was, is) = (before.boot(), quote.boot());
    if is.resets < was.resets {
        return Err(Discontinuity::Resets { was: was.resets, is: is.resets });
    }
    if is < was {
        return Err(Discontinuity::Restarts { was: was.restarts, is: is.restarts });
    }
    if is == was && quote.clock_ms < before.clock_ms {
        return Err(Discontinuity::Clock { was: before.clock_ms, is: quote.clock_ms });
    }
    Ok(())
}

/// The clock stands no lower than at `before`.
///
/// A lower one in a later boot is what an honest power cut leaves: hardware writes its clock to NV every 2^22 ms at the latest (TPM 2.0
/// Library, Part 1, "Clock"), libtpms loses all of it, and either soon calls it `safe` again. Within one boot it is a [`Discontinuity`].
///
/// Does not establish how long the TPM was without power.
///
/// # Errors
/// [`ClockFell`].
pub fn clock(before: &Quote, quote: &Quote) -> Result<(), ClockFell> {
    match (before.clock_ms, quote.clock_ms) {
        (was, is) if was <= is => Ok(()),
        (was, is) => Err(ClockFell { was, is }),
    }
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
