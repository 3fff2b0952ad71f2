//! P-256 signatures as EVE API v2 carries them: ECDSA over SHA-256 of the payload, r || s, 64 bytes.
//! Who holds the private key is behind [`Signer`]: a file here, a TPM elsewhere.

use std::fmt;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use vault::ids::DeviceKey;
use zeroize::Zeroizing;

use crate::cert::sha256;

/// An ECDSA P-256 signature: r || s, each 32 bytes, big endian.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<u8>", into = "Vec<u8>")]
pub struct Signature(pub [u8; 64]);

/// A signature that is not 64 bytes of r || s; DER is refused too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a signature is 64 bytes, r and s")]
pub struct NotRAndS;

impl TryFrom<&[u8]> for Signature {
    type Error = NotRAndS;
    fn try_from(bytes: &[u8]) -> Result<Self, NotRAndS> {
        bytes.try_into().map(Self).map_err(|_| NotRAndS)
    }
}

impl TryFrom<Vec<u8>> for Signature {
    type Error = NotRAndS;
    fn try_from(bytes: Vec<u8>) -> Result<Self, NotRAndS> {
        Self::try_from(bytes.as_slice())
    }
}

impl From<Signature> for Vec<u8> {
    fn from(signature: Signature) -> Self {
        signature.0.to_vec()
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({:02x}{:02x}..)", self.0[0], self.0[1])
    }
}

/// Whoever holds a P-256 private key and signs with it.
pub trait Signer {
    /// Signs SHA-256(`payload`).
    ///
    /// # Errors
    /// [`SignError`]: the key's holder did not sign; ask again later.
    fn sign(&self, payload: &[u8]) -> Result<Signature, SignError>;
}

/// The key's holder did not sign.
#[derive(Debug, thiserror::Error)]
#[error("the private key could not be used to sign")]
pub struct SignError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// A P-256 public key: an uncompressed point, 65 bytes beginning with 4.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct P256PublicKey([u8; 65]);

/// `SubjectPublicKeyInfo` of a P-256 key up to its point: RFC 5480, id-ecPublicKey on secp256r1, a bit string of 65 bytes.
const SPKI_HEAD: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// Bytes that are no uncompressed P-256 point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an uncompressed P-256 public key")]
pub struct NotP256;

/// The signature is not of this key over this payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not verify")]
pub struct BadSignature;

impl P256PublicKey {
    /// Takes an uncompressed point. Whether it lies on the curve is checked at each use.
    ///
    /// # Errors
    /// [`NotP256`].
    pub fn from_point(point: &[u8]) -> Result<Self, NotP256> {
        let point: [u8; 65] = point.try_into().map_err(|_| NotP256)?;
        if point[0] == 4 { Ok(Self(point)) } else { Err(NotP256) }
    }

    /// The uncompressed point.
    #[must_use]
    pub fn point(&self) -> &[u8; 65] {
        &self.0
    }

    /// Its name in sections: SHA-256 of its `SubjectPublicKeyInfo`.
    #[must_use]
    pub fn name(&self) -> DeviceKey {
        DeviceKey(sha256(&[&SPKI_HEAD[..], &self.0].concat()))
    }

    /// Verifies a signature over SHA-256(`payload`). Says nothing of when or for whom it was made.
    ///
    /// # Errors
    /// [`BadSignature`].
    pub fn verify(&self, payload: &[u8], signature: &Signature) -> Result<(), BadSignature> {
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &self.0)
            .verify(payload, &signature.0)
            .map_err(|_| BadSignature)
    }
}

impl fmt::Debug for P256PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "P256PublicKey({:02x}{:02x}..)", self.0[1], self.0[2])
    }
}

/// A P-256 private key from a file: the onboarding key, the device key of a node without TPM, a controller's signing key.
pub struct FileSigner(EcdsaKeyPair);

/// A file that is no P-256 private key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyFileError {
    /// No PEM block of a private key.
    #[error("no private key in PEM")]
    NoKey,
    /// A block that is neither PKCS#8 nor SEC1, or another kind of key.
    #[error("not a P-256 private key in PKCS#8 or SEC1")]
    NotP256,
}

impl FileSigner {
    /// Reads a key file. EVE writes SEC1 bytes under the label `PRIVATE KEY`, so the label is not believed.
    ///
    /// # Errors
    /// [`KeyFileError`]: the file must be replaced.
    pub fn from_pem(pem: &[u8]) -> Result<Self, KeyFileError> {
        Self::from_der(&key_block(pem).ok_or(KeyFileError::NoKey)?)
    }

    /// Reads a key as PKCS#8 or SEC1.
    ///
    /// # Errors
    /// [`KeyFileError::NotP256`].
    pub fn from_der(der: &[u8]) -> Result<Self, KeyFileError> {
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        EcdsaKeyPair::from_pkcs8(algorithm, der)
            .or_else(|_| EcdsaKeyPair::from_private_key_der(algorithm, der))
            .map(Self)
            .map_err(|_| KeyFileError::NotP256)
    }

    /// Its public key.
    #[must_use]
    pub fn public_key(&self) -> P256PublicKey {
        P256PublicKey::from_point(self.0.public_key().as_ref())
            .expect("aws-lc gives uncompressed P-256 points")
    }
}

/// The first block of a private key, decoded. Ours, for no reader of PEM that we know wipes what it has read.
fn key_block(pem: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (_, block) = std::str::from_utf8(pem).ok()?.split_once("PRIVATE KEY-----")?;
    let (text, _) = block.split_once("-----END ")?;
    let mut packed = Zeroizing::new(Vec::with_capacity(text.len()));
    packed.extend(text.bytes().filter(|byte| !byte.is_ascii_whitespace()));
    let mut der = Zeroizing::new(vec![0; packed.len()]);
    let length = STANDARD.decode_slice(&*packed, &mut der).ok()?;
    der.truncate(length);
    Some(der)
}

impl Signer for FileSigner {
    fn sign(&self, payload: &[u8]) -> Result<Signature, SignError> {
        let signature =
            self.0.sign(&SystemRandom::new(), payload).map_err(|cause| SignError(Box::new(cause)))?;
        Signature::try_from(signature.as_ref()).map_err(|cause| SignError(Box::new(cause)))
    }
}

impl fmt::Debug for FileSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FileSigner(redacted)")
    }
}
