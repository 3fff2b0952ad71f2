//! What was found of a device's evidence, and why it may be two, as columns keep it: causes, of which sentences are made where they are shown.

use ::attest::{BadDeviceSignature, Finding, NotAppraised, Verdict};
use serde::{Deserialize, Serialize};

use super::UnixSeconds;

/// What was found of evidence. Sentences are made of it where it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OfEvidence {
    /// A quote is good: what its checks said.
    Checked {
        /// Of reference values.
        references: Verdict,
        /// Of the TPM's firmware.
        firmware: Verdict,
        /// Of the TPM's clock.
        clock: Verdict,
    },
    /// There is no TPM: nothing is measured.
    NoTpm,
    /// It is worth nothing.
    Bad(BadEvidence),
}

/// Why a device may be two: nothing is released to it until an operator settles that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Alarm {
    /// It gave a sign.
    Gave {
        /// When.
        at: UnixSeconds,
        /// Which.
        cause: AlarmCause,
    },
    /// In words, of a build of before. Whatever stands in its column is an alarm.
    Told(String),
}

/// A sign that there are two of a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AlarmCause {
    /// A session gave evidence again after another one had. Of each the first bytes.
    Turns {
        /// The one that came again.
        again: [u8; 4],
        /// The one that stood meanwhile.
        other: [u8; 4],
    },
    /// So many sessions gave way to new ones within an hour.
    Flood(u64),
    /// The TPM is behind what it was.
    WentBack(Finding),
}

/// Why evidence is worth nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BadEvidence {
    /// It is bound to no session.
    Unbound,
    /// Its nonce is not one of this device's, was used, or is out of date.
    Nonce,
    /// The node has a TPM, and sent no quote of it.
    Unquoted,
    /// No attestation key is pinned that could have made the quote.
    NoAttestationKey,
    /// The device's signature is not good.
    Signature(BadSignature),
    /// The quote is not good.
    Quote(BadQuote),
    /// The TPM's counters or clock are behind what they were: this is a copy of it, or it was put back.
    WentBack(Finding),
}

/// How a device's signature is not good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BadSignature {
    /// It has not 64 bytes.
    Length,
    /// The device's certificate, as stored, does not read.
    Certificate,
    /// It does not verify.
    Unverified(BadDeviceSignature),
}

/// How a quote is not good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BadQuote {
    /// A PCR's value is not as long as its bank's hash.
    PcrValue,
    /// It is not the one that was asked for.
    Appraised(NotAppraised),
}
