//! Response codes into meaning. Source: TPM 2.0 Library Part 2, section 6.6 (TPM_RC) and tss2_common.h (layers).

use std::fmt;

/// What a response code means for the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// Ask again: the TPM is busy, testing itself, or rate-limits NV.
    Busy,
    /// Dictionary-attack lockout.
    Lockout,
    /// Failure mode: nothing but a reset (or a repair) helps.
    FailureMode,
    /// TPM2_Startup was not sent: firmware (or whoever runs the software TPM) must.
    NotStarted,
    /// No NV space.
    NvFull,
    /// The NV index exists already.
    NvDefined,
    /// The NV index was never written.
    NvUnwritten,
    /// NV is locked or this access is not among its attributes.
    NvRefused,
    /// No such handle.
    NoSuchHandle,
    /// A policy is not satisfied: the session's digest is not the object's.
    PolicyNotMet,
    /// A check within a policy failed.
    PolicyFailed,
    /// Some PCR was extended, any of them, between the policy's look at PCRs and its use. Says nothing about those that were looked at:
    /// the TPM counts the changes of all its PCRs together. Begin a new policy session.
    PcrsChanged,
    /// A parameter has a value that does not fit.
    BadValue,
    /// The TPM does not know this curve, key size, hash or scheme.
    Unsupported,
    /// No PCR of this bank is allocated.
    NoBank,
    /// The authorisation was refused.
    AuthRefused,
    /// An object or its wrapping was made by another TPM, or changed.
    Integrity,
    /// No room for another object or session.
    NoRoom,
    /// The answer was not authentic: somebody is on the bus, or the EK is another one.
    NotAuthentic,
    /// The connection broke.
    Disconnected,
    /// The answer was not shaped as the standard says.
    Malformed,
    /// Any other code.
    Other,
}

impl Meaning {
    /// The meaning of a raw code from any layer of the stack.
    #[must_use]
    pub fn of(rc: u32) -> Self {
        match rc >> 16 {
            0 | RESMGR | RESMGR_TPM => of_tpm(rc & 0xffff),
            TCTI => Self::Disconnected,
            ESYS if rc & 0xffff == RSP_AUTH_FAILED => Self::NotAuthentic,
            ESYS | SYS if rc & 0xffff == BAD_SEQUENCE => Self::Disconnected,
            ESYS | SYS | MU => Self::Malformed,
            _ => Self::Other,
        }
    }
}

impl Meaning {
    /// The TPM, or the way to it, is at fault, not what was asked for.
    pub(crate) fn is_of_the_tpm(self) -> bool {
        matches!(
            self,
            Self::Busy
                | Self::FailureMode
                | Self::NotStarted
                | Self::NotAuthentic
                | Self::Disconnected
                | Self::Malformed
                | Self::NoRoom
        )
    }
}

const ESYS: u32 = 7;
const SYS: u32 = 8;
const MU: u32 = 9;
const TCTI: u32 = 10;
const RESMGR: u32 = 11;
const RESMGR_TPM: u32 = 12;
/// TSS2_BASE_RC_RSP_AUTH_FAILED.
const RSP_AUTH_FAILED: u32 = 24;
/// TSS2_BASE_RC_BAD_SEQUENCE: the answer to the command before this one never came, and the stack waits for it still.
const BAD_SEQUENCE: u32 = 7;
/// Bit 7: the code names a parameter, handle or session in bits 6 and 8 to 11.
const FORMAT_ONE: u32 = 0x80;

fn of_tpm(rc: u32) -> Meaning {
    if rc & FORMAT_ONE == 0 { of_format_zero(rc) } else { of_format_one(rc & 0x3f) }
}

fn of_format_zero(rc: u32) -> Meaning {
    match rc {
        0x100 => Meaning::NotStarted,
        0x101 => Meaning::FailureMode,
        0x124 | 0x125 | 0x12f => Meaning::AuthRefused,
        0x126 => Meaning::PolicyFailed,
        0x128 => Meaning::PcrsChanged,
        0x148 | 0x149 => Meaning::NvRefused,
        0x14a => Meaning::NvUnwritten,
        0x14b => Meaning::NvFull,
        0x14c => Meaning::NvDefined,
        0x902..=0x906 => Meaning::NoRoom,
        0x908..=0x90a | 0x920 | 0x922 | 0x923 => Meaning::Busy,
        0x910..=0x91e => Meaning::NoSuchHandle,
        0x921 => Meaning::Lockout,
        _ => Meaning::Other,
    }
}

fn of_format_one(error: u32) -> Meaning {
    match error {
        0x01 | 0x03 | 0x07 | 0x09 | 0x0a | 0x0c | 0x12 | 0x16 | 0x26 => Meaning::Unsupported,
        0x04 => Meaning::BadValue,
        0x0b => Meaning::NoSuchHandle,
        0x0e | 0x22 => Meaning::AuthRefused,
        0x1d => Meaning::PolicyNotMet,
        0x1f => Meaning::Integrity,
        _ => Meaning::Other,
    }
}

impl fmt::Display for Meaning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Busy => "the TPM is busy",
            Self::Lockout => "the TPM is in dictionary-attack lockout",
            Self::FailureMode => "the TPM is in failure mode",
            Self::NotStarted => "the TPM was not started",
            Self::NvFull => "no NV space",
            Self::NvDefined => "the NV index exists already",
            Self::NvUnwritten => "the NV index was never written",
            Self::NvRefused => "the NV index refuses this access",
            Self::NoSuchHandle => "no such handle",
            Self::PolicyNotMet => "the policy is not satisfied",
            Self::PolicyFailed => "a check of the policy failed",
            Self::PcrsChanged => "a PCR was extended meanwhile",
            Self::BadValue => "a parameter does not fit",
            Self::Unsupported => "the TPM does not know this kind of key",
            Self::NoBank => "the TPM has no such bank of PCRs",
            Self::AuthRefused => "the authorisation was refused",
            Self::Integrity => "the object was made by another TPM or changed",
            Self::NoRoom => "no room for another object or session",
            Self::NotAuthentic => "the answer was not authentic",
            Self::Disconnected => "the connection broke",
            Self::Malformed => "the answer was malformed",
            Self::Other => "unexpected response",
        })
    }
}

/// The code inside a tss-esapi error, which shows it only in its text; 0 for the wrapper's own errors.
pub(super) fn raw_code(error: tss_esapi::Error) -> u32 {
    use tss_esapi::constants::response_code::Tss2ResponseCode::{FormatOne, FormatZero, Success};
    match error {
        tss_esapi::Error::Tss2Error(FormatZero(code)) => hex_in(&code.to_string()),
        tss_esapi::Error::Tss2Error(FormatOne(code)) => hex_in(&code.to_string()),
        tss_esapi::Error::Tss2Error(Success) | tss_esapi::Error::WrapperError(_) => 0,
    }
}

fn hex_in(text: &str) -> u32 {
    let digits = text.rsplit("0x").next().unwrap_or_default();
    u32::from_str_radix(digits.trim(), 16).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn measured_codes_mean_what_was_measured() {
        for (rc, meaning) in [
            (0x99d, Meaning::PolicyNotMet),
            (0x126, Meaning::PolicyFailed),
            (0x128, Meaning::PcrsChanged),
            (0x1df, Meaning::Integrity),
            (0x902, Meaning::NoRoom),
            (0x922, Meaning::Busy),
            (0x101, Meaning::FailureMode),
            (0x1c4, Meaning::BadValue),
            (0x18b, Meaning::NoSuchHandle),
            (0x14a, Meaning::NvUnwritten),
            (0x0b_0902, Meaning::NoRoom),
            (0x0a_000a, Meaning::Disconnected),
            (0x07_0018, Meaning::NotAuthentic),
            (0x07_0007, Meaning::Disconnected),
            (0x07_0006, Meaning::Malformed),
        ] {
            assert_eq!(Meaning::of(rc), meaning, "{rc:#x}");
        }
    }

    proptest! {
        #[test]
        fn every_code_has_a_meaning_that_the_position_does_not_change(error in 0u32..0x40, position in 0u32..0x20) {
            let at = |p: u32| Meaning::of(FORMAT_ONE | error | (p & 0x10) << 2 | (p & 0xf) << 8);
            prop_assert_eq!(at(position), at(0));
        }

        #[test]
        fn no_code_panics_and_each_prints(rc: u32) {
            prop_assert!(!Meaning::of(rc).to_string().is_empty());
        }

        #[test]
        fn the_code_is_found_in_its_text(rc: u32) {
            prop_assert_eq!(hex_in(&format!("Response code value: {rc:#x}")), rc);
        }
    }
}
