//! Banks of PCRs that are appraised, and the values in them. A value knows its bank: one of SHA-256 never equals one of SHA-384.

use std::fmt;

use serde::{Deserialize, Serialize};
use tpm2_protocol::data::TpmAlgId;

/// A bank of PCRs. Every other counts as none: SHA-1 is broken, and no firmware is known that measures into another one alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum PcrBank {
    /// Values of 32 bytes.
    Sha256,
    /// Values of 48 bytes.
    Sha384,
}

impl PcrBank {
    /// The bank of a TPM_ALG_ID.
    pub(crate) fn of(algorithm: TpmAlgId) -> Option<Self> {
        match algorithm {
            TpmAlgId::Sha256 => Some(Self::Sha256),
            TpmAlgId::Sha384 => Some(Self::Sha384),
            _ => None,
        }
    }
}

impl fmt::Display for PcrBank {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sha256 => "SHA-256",
            Self::Sha384 => "SHA-384",
        })
    }
}

/// What a PCR holds. Kept as text: its digits in hexadecimal, of which there are as many as its bank's hash has.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum PcrDigest {
    /// In the SHA-256 bank.
    Sha256([u8; 32]),
    /// In the SHA-384 bank.
    Sha384([u8; 48]),
}

impl PcrDigest {
    /// The bank that it is of.
    #[must_use]
    pub fn bank(&self) -> PcrBank {
        match self {
            Self::Sha256(_) => PcrBank::Sha256,
            Self::Sha384(_) => PcrBank::Sha384,
        }
    }

    /// Its bytes, as a quote's composite is made of them.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Sha256(bytes) => bytes,
            Self::Sha384(bytes) => bytes,
        }
    }

    /// The value of these bytes in `bank`; none where they are not as many as its hash has.
    #[must_use]
    pub fn in_bank(bank: PcrBank, bytes: &[u8]) -> Option<Self> {
        match bank {
            PcrBank::Sha256 => bytes.try_into().ok().map(Self::Sha256),
            PcrBank::Sha384 => bytes.try_into().ok().map(Self::Sha384),
        }
    }
}

impl From<[u8; 32]> for PcrDigest {
    fn from(bytes: [u8; 32]) -> Self {
        Self::Sha256(bytes)
    }
}

impl From<[u8; 48]> for PcrDigest {
    fn from(bytes: [u8; 48]) -> Self {
        Self::Sha384(bytes)
    }
}

impl From<PcrDigest> for String {
    fn from(digest: PcrDigest) -> Self {
        digest.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl TryFrom<String> for PcrDigest {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        let is_hex = text.bytes().all(|digit| digit.is_ascii_hexdigit());
        let byte = |at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
        let bytes: Option<Vec<u8>> = (0..text.len()).step_by(2).map(byte).collect();
        let bank = if text.len() == 96 { PcrBank::Sha384 } else { PcrBank::Sha256 };
        let digest = bytes.filter(|_| is_hex).and_then(|bytes| Self::in_bank(bank, &bytes));
        digest.ok_or("no PCR value of 64 or 96 hexadecimal digits")
    }
}

impl fmt::Debug for PcrDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.bank(), String::from(*self))
    }
}
