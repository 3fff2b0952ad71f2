//! EVE API v2 and the vault extension on the wire: protobuf, signed envelopes, sealed keys, into checked types and back.
//! Message words are those of LF Edge eve-api; sealing's are RFC 9180's; ours (vault, epoch, session) are the `vault` crate's.
//! Never hands raw protobuf to a caller, never trusts a byte whose signature it did not check, does no IO and reads no clock.
//! Where EVE's code and its text differ we write what the code expects and read the stricter of the two.

#![warn(missing_docs)]

pub mod age;
pub mod attest;
mod cause;
pub mod cert;
pub mod certs;
pub mod config;
pub mod control;
pub mod courier;
pub mod envelope;
mod error;
pub mod escrow;
mod hpke;
pub mod info;
mod limits;
mod pb;
pub mod register;
pub mod release;
mod report;
mod scan;
mod section;
pub mod sign;
mod suite;

pub use cert::{CertDigest, Certificate};
pub use certs::{ControllerCerts, TrustedCerts, Validity};
pub use error::DecodeError;
pub use limits::{MAX_ANSWER, MAX_MESSAGE};
pub use sign::{FileSigner, P256PublicKey, SignError, Signature, Signer};
