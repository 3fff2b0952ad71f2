//! The signed envelope of EVE API v2, `AuthContainer`, in both directions.
//! A device names itself by SHA-256 of its certificate's DER, a controller by SHA-256 of its certificate's PEM text.
//! The signature covers SHA-256 of the payload alone: nothing else in the envelope is worth anything by itself.
//! Stricter than EVE and Adam: only algorithm 2 from a device, only r || s of 64 bytes, only P-256 keys.

use aws_lc_rs::digest::{Context, SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost::Message as _;

use crate::cert::{CertDigest, Certificate, CertificateError, sha256};
use crate::certs::TrustedCerts;
use crate::error::DecodeError;
use crate::limits::{MAX_PEM, at_most, decode, exactly};
use crate::pb::auth::{AuthBody, AuthContainer};
use crate::pb::common::HashAlgorithm;
use crate::sign::{P256PublicKey, SignError, Signature, Signer};

/// Why an envelope was not opened. Nothing of its payload is used then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// Not an envelope.
    #[error("not an envelope of EVE API v2")]
    Decode(#[from] DecodeError),
    /// No payload part. An empty payload is one.
    #[error("the envelope has no payload")]
    NoPayload,
    /// A hash algorithm that is not allowed here.
    #[error("hash algorithm {0} is not allowed")]
    Algorithm(i32),
    /// A sender's hash of a length that is never right.
    #[error("a sender's hash of {0} bytes")]
    HashLength(usize),
    /// Another sender than the one at hand. For a device: fetch `/certs` again. For a controller: 401.
    #[error("signed by a sender that is not known")]
    UnknownSender,
    /// Not 64 bytes of r || s.
    #[error("a signature of {0} bytes")]
    SignatureLength(usize),
    /// Not the sender's signature over this payload.
    #[error("the signature does not verify")]
    BadSignature,
    /// The payload is evidence: signed to be evidence, never to be a request.
    #[error("evidence in the place of a request")]
    Evidence,
    /// The certificate in a registration is absent or not readable.
    #[error("the sender's certificate is not readable")]
    SenderCert(#[source] Option<CertificateError>),
}

/// Wraps and signs a device's payload, which may be empty.
///
/// # Errors
/// [`SignError`] of the signer.
pub fn seal_from_device(
    payload: &[u8],
    sender: &Certificate,
    signer: &dyn Signer,
) -> Result<Vec<u8>, SignError> {
    seal(payload, sender.digest().0, Vec::new(), signer)
}

/// Wraps and signs a registration with the onboarding key. `onboard_pem` is the onboarding certificate's file, as read; it goes along.
///
/// # Errors
/// [`SealError`]: the certificate is not readable, or the signer's error.
pub fn seal_registration(
    payload: &[u8],
    onboard_pem: &[u8],
    signer: &dyn Signer,
) -> Result<Vec<u8>, SealError> {
    let sender = Certificate::from_pem(onboard_pem)?;
    let along = STANDARD.encode(onboard_pem).into_bytes();
    Ok(seal(payload, sender.digest().0, along, signer)?)
}

/// Why an envelope was not made.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The sender's own certificate file is not readable.
    #[error("the sender's certificate is not readable")]
    Certificate(#[from] CertificateError),
    /// The signer's error.
    #[error("not signed")]
    Sign(#[from] SignError),
}

/// Wraps and signs a controller's payload. `signing_pem` is the PEM text of its signing certificate, the leaf alone.
///
/// # Errors
/// [`SignError`] of the signer.
pub fn seal_from_controller(
    payload: &[u8],
    signing_pem: &[u8],
    signer: &dyn Signer,
) -> Result<Vec<u8>, SignError> {
    seal(payload, sha256(signing_pem.trim_ascii()), Vec::new(), signer)
}

fn seal(
    payload: &[u8],
    sender_hash: [u8; 32],
    along: Vec<u8>,
    signer: &dyn Signer,
) -> Result<Vec<u8>, SignError> {
    let signature = signer.sign(payload)?;
    let container = AuthContainer {
        protected_payload: Some(AuthBody { payload: payload.to_vec() }),
        algo: HashAlgorithm::Sha25632bytes.into(),
        sender_cert_hash: sender_hash.to_vec(),
        signature_hash: signature.into(),
        sender_cert: along,
    };
    Ok(container.encode_to_vec())
}

/// A request from a device, not verified yet: its payload can't be reached.
#[derive(Debug, Clone)]
pub struct DeviceEnvelope {
    payload: Vec<u8>,
    sender: CertDigest,
    signature: Signature,
    along: Vec<u8>,
}

impl DeviceEnvelope {
    /// Reads an envelope of at most 4 MiB.
    ///
    /// # Errors
    /// [`EnvelopeError`]: the peer's fault.
    pub fn parse(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        let container: AuthContainer = decode(bytes)?;
        if container.algo != HashAlgorithm::Sha25632bytes as i32 {
            return Err(EnvelopeError::Algorithm(container.algo));
        }
        let hash = &container.sender_cert_hash;
        let sender = exactly("senderCertHash", hash).map_err(|_| EnvelopeError::HashLength(hash.len()))?;
        let (payload, signature, along) = parts(container)?;
        if payload.starts_with(attest::EVIDENCE_LABEL) {
            return Err(EnvelopeError::Evidence);
        }
        Ok(Self { payload, sender: CertDigest(sender), signature, along })
    }

    /// Who it says has signed it: SHA-256 of a certificate's DER. Only a key to look up, until [`Self::verify`].
    #[must_use]
    pub fn sender(&self) -> CertDigest {
        self.sender
    }

    /// Verifies that the holder of `sender`'s key signed the payload, and returns it.
    /// Says nothing of when, or whether it was sent before.
    ///
    /// # Errors
    /// [`EnvelopeError::UnknownSender`] or [`EnvelopeError::BadSignature`].
    pub fn verify(self, sender: &Certificate) -> Result<Vec<u8>, EnvelopeError> {
        if sender.digest() != self.sender {
            return Err(EnvelopeError::UnknownSender);
        }
        self.verify_by(sender.public_key()).map(drop)?;
        Ok(self.payload)
    }

    /// As [`Self::verify`], by the key of the certificate that [`Self::sender`] names. A digest names one certificate, so it names one key: who
    /// remembers the one by the other needs no certificate.
    ///
    /// # Errors
    /// [`EnvelopeError::BadSignature`].
    pub fn verify_by(&self, key: &P256PublicKey) -> Result<Verified<'_>, EnvelopeError> {
        key.verify(&self.payload, &self.signature).map_err(|_| EnvelopeError::BadSignature)?;
        Ok(Verified { envelope: self, key: *key })
    }

    /// As [`Self::verify_by`], where these very bytes were found good by that key before; else nothing, which says nothing of them. Whether a
    /// signature is good depends on nothing else, so it is good again.
    #[must_use]
    pub fn known_by(&self, key: &P256PublicKey, proof: &Proof) -> Option<Verified<'_>> {
        (self.proof_by(key) == *proof).then_some(Verified { envelope: self, key: *key })
    }

    fn proof_by(&self, key: &P256PublicKey) -> Proof {
        let mut text = Context::new(&SHA256);
        // Two parts of a fixed length before the only one that is not.
        [&key.point()[..], &self.signature.0, &self.payload].iter().for_each(|part| text.update(part));
        let mut proof = [0; 32];
        proof.copy_from_slice(text.finish().as_ref());
        Proof(proof)
    }

    /// Verifies a registration by the onboarding certificate that came along, and returns both.
    /// Whether that certificate may onboard is the caller's question.
    ///
    /// # Errors
    /// [`EnvelopeError`].
    pub fn verify_registration(self) -> Result<(Certificate, Vec<u8>), EnvelopeError> {
        let sender = certificate_along(&self.along)?;
        let payload = self.verify(&sender)?;
        Ok((sender, payload))
    }
}

/// An envelope whose signature is good. It says nothing of when it was signed, or whether it was sent before.
#[derive(Debug, Clone, Copy)]
pub struct Verified<'e> {
    envelope: &'e DeviceEnvelope,
    key: P256PublicKey,
}

impl<'e> Verified<'e> {
    /// What was signed.
    #[must_use]
    pub fn payload(&self) -> &'e [u8] {
        &self.envelope.payload
    }

    /// What these bytes are known by from now on, to [`DeviceEnvelope::known_by`].
    #[must_use]
    pub fn proof(&self) -> Proof {
        self.envelope.proof_by(&self.key)
    }
}

/// That a signature was good: SHA-256 of the key, the signature and what it is over. Only what was verified gives one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proof([u8; 32]);

fn certificate_along(along: &[u8]) -> Result<Certificate, EnvelopeError> {
    at_most("senderCert", along.len(), MAX_PEM)?;
    let pem = STANDARD.decode(along).map_err(|_| EnvelopeError::SenderCert(None))?;
    Certificate::from_pem(&pem).map_err(|cause| EnvelopeError::SenderCert(Some(cause)))
}

/// Opens a controller's answer: verifies its sender against `trusted`, then its signature, and returns the payload.
/// Says nothing of when it was made.
///
/// # Errors
/// [`EnvelopeError::UnknownSender`]: the controller's certificates may have changed, fetch them; all others: discard it.
///
/// Source: EVE `VerifyAuthContainer`.
pub fn open_from_controller(bytes: &[u8], trusted: &TrustedCerts) -> Result<Vec<u8>, EnvelopeError> {
    let container: AuthContainer = decode(bytes)?;
    check_controller_hash(&container, trusted)?;
    let (payload, signature, _) = parts(container)?;
    let verified = trusted.signing_key().verify(&payload, &signature);
    verified.map_err(|_| EnvelopeError::BadSignature)?;
    Ok(payload)
}

/// Algorithm 2 compares all 32 bytes of the hash, algorithm 1 the first 16.
fn check_controller_hash(container: &AuthContainer, trusted: &TrustedCerts) -> Result<(), EnvelopeError> {
    let hash = container.sender_cert_hash.as_slice();
    if hash.len() != 16 && hash.len() != 32 {
        return Err(EnvelopeError::HashLength(hash.len()));
    }
    let expected: &[u8] = match HashAlgorithm::try_from(container.algo) {
        Ok(HashAlgorithm::Sha25632bytes) => trusted.signing_hash(),
        Ok(HashAlgorithm::Sha25616bytes) => &trusted.signing_hash()[..16],
        _ => return Err(EnvelopeError::Algorithm(container.algo)),
    };
    if hash == expected { Ok(()) } else { Err(EnvelopeError::UnknownSender) }
}

/// Takes the payload of a `/certs` answer without verifying it: the certificates inside are judged by their chain.
pub(crate) fn unverified_payload(bytes: &[u8]) -> Result<Vec<u8>, EnvelopeError> {
    let container: AuthContainer = decode(bytes)?;
    Ok(parts(container)?.0)
}

fn parts(container: AuthContainer) -> Result<(Vec<u8>, Signature, Vec<u8>), EnvelopeError> {
    let payload = container.protected_payload.ok_or(EnvelopeError::NoPayload)?.payload;
    let signature = Signature::try_from(container.signature_hash.as_slice())
        .map_err(|_| EnvelopeError::SignatureLength(container.signature_hash.len()))?;
    Ok((payload, signature, container.sender_cert))
}
