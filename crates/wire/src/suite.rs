//! The suite of a session's key: which kind of key it is, and how keys are sealed to it (RFC 9180). One so far. It is told beside each
//! session key, so that another can follow without both sides changing on one day.

use crate::error::DecodeError;

/// X25519; DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM.
pub(crate) const X25519: u32 = 1;

/// A P-256 certificate's key; DHKEM(P-256, HKDF-SHA256), HKDF-SHA256, AES-256-GCM. No session has one.
pub(crate) const P256: u32 = 2;

/// Refuses a suite that we do not speak. None is told by programs of before there were suites: they speak the first.
pub(crate) fn check(suite: u32) -> Result<(), DecodeError> {
    match suite {
        0 | X25519 => Ok(()),
        other => Err(DecodeError::NotUnderstood {
            field: "suite",
            value: i32::try_from(other).unwrap_or(i32::MAX),
        }),
    }
}
