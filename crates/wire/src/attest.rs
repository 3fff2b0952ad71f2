//! Attestation on the wire: certificates of the device, nonces, quotes, escrow, and the answers.
//! Only shapes and bounds are checked here; what a quote is worth is said by the `attest` crate.

mod answer;
mod quote;
mod request;

pub use answer::{AttestResponse, EvidenceAnswer, QuoteAnswer, QuoteCode, StoreKeysCode};
pub use quote::{EvidenceBinding, PcrAlgorithm, PcrValue, Quote, Version, VersionKind};
pub use request::{AttestRequest, DeviceCert, DeviceCertKind, EscrowKey, PcrPolicy, StoreKeys};
