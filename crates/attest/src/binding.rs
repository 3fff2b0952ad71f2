//! What ties evidence to one question and one session: the bytes that a quote qualifies, or that a device without a TPM signs.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use serde::{Deserialize, Serialize};

/// First bytes of [`evidence_message`]. Nothing else that a device key signs may begin with it.
pub const EVIDENCE_LABEL: &[u8] = b"eve-vault evidence v1";

/// The public X25519 key of one life of vaultmgr: keys are sealed to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionKey(pub [u8; 32]);

/// What evidence says: label || nonce (32) || session key (32) || SHA-256 of the claims (32). Each length is fixed, so no two
/// inputs give the same bytes.
#[must_use]
pub fn evidence_message(nonce: &[u8; 32], session: &SessionKey, claims: &[u8]) -> Vec<u8> {
    let claims = digest(&SHA256, claims);
    [EVIDENCE_LABEL, nonce, &session.0, claims.as_ref()].concat()
}

/// SHA-256 of [`evidence_message`]: the `qualifyingData` of TPM2_Quote, and the digest that a device key signs where there is no TPM.
#[must_use]
pub fn qualifying_data(nonce: &[u8; 32], session: &SessionKey, claims: &[u8]) -> [u8; 32] {
    sha256(&evidence_message(nonce, session, claims))
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    digest(&SHA256, bytes).as_ref().try_into().expect("SHA-256 has 32 bytes")
}

/// The device's signature does not cover this nonce, session and claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("the device key did not sign this nonce, session and claims")]
pub struct BadDeviceSignature;

/// Witness that a device key signed for a session, on a node without a TPM.
///
/// It does not establish which software runs there, nor that the key has not been copied.
///
/// Who has one may ask it:
/// ```
/// fn ask(signed: &attest::DeviceSession) -> attest::SessionKey {
///     signed.session()
/// }
/// ```
/// Nobody but [`DeviceSession::verify`] can make one:
/// ```compile_fail
/// fn forge(session: attest::SessionKey) -> attest::DeviceSession {
///     attest::DeviceSession(session)
/// }
/// ```
#[derive(Debug)]
pub struct DeviceSession(SessionKey);

impl DeviceSession {
    /// Verifies the signature `r || s` of the key at `point` (SEC1, uncompressed P-256) over [`evidence_message`].
    ///
    /// # Errors
    /// [`BadDeviceSignature`].
    pub fn verify(
        point: &[u8; 65],
        nonce: &[u8; 32],
        session: &SessionKey,
        claims: &[u8],
        signature: &[u8; 64],
    ) -> Result<Self, BadDeviceSignature> {
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
            .verify(&evidence_message(nonce, session, claims), signature)
            .map_err(|_| BadDeviceSignature)?;
        Ok(Self(*session))
    }

    /// The session that the device signed for.
    #[must_use]
    pub fn session(&self) -> SessionKey {
        self.0
    }
}
