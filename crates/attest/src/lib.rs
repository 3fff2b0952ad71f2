//! Appraisal of a node's evidence: is this a quote of that TPM, for this question and this session, and are its PCRs known to be good?
//! Words are RFC 9334's (evidence, appraisal, reference value) and the TPM 2.0 Library's (quote, qualifying data, PCR).
//! Invariant: no IO, no clock, no randomness. Only this crate can make an [`Appraisal`] or a [`DeviceSession`].

#![warn(missing_docs)]

mod appraisal;
mod bank;
mod binding;
mod checks;
mod continuity;
mod key;
mod measured;
mod pin;
mod quote;
mod references;

pub use appraisal::{Appraisal, Finding, Input, NotAppraised, Unchecked, Verdict, appraise};
pub use bank::{PcrBank, PcrDigest};
pub use binding::{
    BadDeviceSignature, DeviceSession, EVIDENCE_LABEL, SessionKey, evidence_message, qualifying_data,
};
pub use checks::{CheckError, PcrValues, composite, qualifying, selection, signature};
pub use continuity::{ClockFell, Discontinuity, OtherFirmware, clock, continuity, firmware};
pub use key::{AkPublic, KeyError};
pub use measured::{Unmeasured, at_reset, unmeasured};
pub use pin::{DeviceKey, NotPinned, Pinning, pin};
pub use quote::{Boot, Quote, QuoteError, kind, magic};
pub use references::{Difference, called, references};
