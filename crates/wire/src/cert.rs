//! One X.509 certificate with a P-256 key, and the two names that EVE API v2 gives to certificates by hashing.
//! Reads fields only; whether a certificate is to be trusted is said elsewhere (`certs`, or the controller's list of devices).

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde::{Deserialize, Serialize};
use x509_parser::oid_registry::{OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::limits::MAX_PEM;
use crate::sign::P256PublicKey;

/// SHA-256 of a certificate's DER: how a device names itself in its envelopes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CertDigest(pub [u8; 32]);

impl fmt::Debug for CertDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for CertDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A certificate with a P-256 key: of a device, for onboarding, or a controller's leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    der: Vec<u8>,
    key: P256PublicKey,
}

/// Why bytes are no such certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// Longer than 64 KiB.
    #[error("the certificate is longer than 64 KiB")]
    TooLarge,
    /// No PEM block `CERTIFICATE`.
    #[error("no certificate in PEM")]
    NoPem,
    /// Not one X.509 certificate in DER.
    #[error("not an X.509 certificate")]
    NotX509,
    /// Another kind of key.
    #[error("the certificate's key is not on P-256")]
    NotP256,
}

impl Certificate {
    /// Reads DER, all of it.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        if der.len() > MAX_PEM {
            return Err(CertificateError::TooLarge);
        }
        let (rest, x509) = X509Certificate::from_der(der).map_err(|_| CertificateError::NotX509)?;
        if !rest.is_empty() {
            return Err(CertificateError::NotX509);
        }
        Ok(Self { der: der.to_vec(), key: p256_key(&x509)? })
    }

    /// Reads the first certificate of a PEM file; later ones are ignored, as EVE does.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn from_pem(pem: &[u8]) -> Result<Self, CertificateError> {
        if pem.len() > MAX_PEM {
            return Err(CertificateError::TooLarge);
        }
        let der = CertificateDer::from_pem_slice(pem).map_err(|_| CertificateError::NoPem)?;
        Self::from_der(&der)
    }

    /// Its DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// SHA-256 of its DER.
    #[must_use]
    pub fn digest(&self) -> CertDigest {
        CertDigest(sha256(&self.der))
    }

    /// Its public key.
    #[must_use]
    pub fn public_key(&self) -> &P256PublicKey {
        &self.key
    }

    /// Whether its own key signed it, as a device's certificate is: so whoever names a key there has it, and nobody changed it since.
    #[must_use]
    pub fn signs_itself(&self) -> bool {
        X509Certificate::from_der(&self.der).is_ok_and(|(_, x509)| {
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, self.key.point())
                .verify(x509.tbs_certificate.as_ref(), &x509.signature_value.data)
                .is_ok()
        })
    }
}

fn p256_key(x509: &X509Certificate<'_>) -> Result<P256PublicKey, CertificateError> {
    let info = x509.public_key();
    let curve = info.algorithm.parameters.as_ref().and_then(|any| any.as_oid().ok());
    if info.algorithm.algorithm != OID_KEY_TYPE_EC_PUBLIC_KEY || curve != Some(OID_EC_P256) {
        return Err(CertificateError::NotP256);
    }
    P256PublicKey::from_point(&info.subject_public_key.data).map_err(|_| CertificateError::NotP256)
}

/// `ZCert.certHash` of a PEM file: SHA-256 of its text, the first 16 bytes. A device hashes the file as it is; a controller hashes the trimmed text.
#[must_use]
pub fn short_hash(pem: &[u8]) -> [u8; 16] {
    let mut hash = [0; 16];
    hash.copy_from_slice(&sha256(pem)[..16]);
    hash
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
    hash
}
