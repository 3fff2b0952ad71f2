//! What is asked for, session and evidence.

use attest::{PcrBank, SessionKey};
use serde::{Deserialize, Serialize};
use vault::lease::LeaseNonce;
use wire::control::Challenge;

use super::Bytes;

/// The controller's question (zedagent).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidenceWanted {
    /// The session that it is for.
    pub session: SessionKey,
    /// The question.
    pub question: Challenge,
}

/// One life of vaultmgr (vaultmgr).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Its public key.
    pub key: SessionKey,
    /// What it asks with that leases be renewed.
    pub lease: Option<LeaseNonce>,
}

/// The answer to a challenge (tpmmgr).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The session that it speaks for.
    pub session: SessionKey,
    /// The challenge that it answers.
    pub nonce: [u8; 32],
    /// What the node claims: JSON, bytes as hashed.
    pub claims: Bytes,
    /// By a TPM, or by a device key in a file.
    pub proof: Proof,
}

/// What proves it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Proof {
    /// A TPM's quote.
    Quote {
        /// TPMS_ATTEST.
        attest: Bytes,
        /// DER.
        signature: Bytes,
        /// The bank that it is over.
        bank: PcrBank,
        /// Index and value.
        pcrs: Vec<(u8, Bytes)>,
    },
    /// `r || s` of the device key.
    DeviceKey(Bytes),
}
