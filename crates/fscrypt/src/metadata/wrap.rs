//! Wrapping one key under another, as the `fscrypt` tool does: HKDF-SHA256 stretches the wrapping key to an encryption
//! and an authentication key; AES-256-CTR, then HMAC-SHA256 over IV and ciphertext.

use aws_lc_rs::{
    cipher::{AES_256, DecryptingKey, DecryptionContext, EncryptingKey, EncryptionContext, UnboundCipherKey},
    hkdf, hmac,
    iv::FixedLength,
};
use zeroize::Zeroizing;

use super::{Iv, ParseError, messages::WrappedKeyData, wrong};
use crate::kdf;

/// A key of `N` bytes, encrypted and authenticated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WrappedKey<const N: usize> {
    iv: [u8; 16],
    encrypted: [u8; N],
    hmac: [u8; 32],
}

/// The wrap was made under another key, or its bytes have changed: one cannot be told from the other here.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotAuthentic;

/// The two keys that a wrapping key is stretched to.
struct Stretched(Zeroizing<[u8; 64]>);

impl Stretched {
    fn from(wrapping: &[u8; 32]) -> Self {
        let mut keys = Zeroizing::new([0; 64]);
        kdf::hkdf(hkdf::HKDF_SHA256, wrapping, b"", &mut *keys);
        Self(keys)
    }

    fn cipher(&self) -> UnboundCipherKey {
        UnboundCipherKey::new(&AES_256, &self.0[..32]).expect("32 bytes are an AES-256 key")
    }

    fn mac(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &self.0[32..])
    }
}

impl<const N: usize> WrappedKey<N> {
    /// Wraps `secret` under `wrapping`.
    pub(crate) fn seal(wrapping: &[u8; 32], secret: &[u8; N], iv: Iv) -> Self {
        let keys = Stretched::from(wrapping);
        // Plaintext for a moment, until it is encrypted in place.
        let mut encrypted = Zeroizing::new(*secret);
        let context = EncryptionContext::Iv128(FixedLength::from(&iv.0));
        EncryptingKey::ctr(keys.cipher())
            .and_then(|key| key.less_safe_encrypt(&mut *encrypted, context))
            .expect("CTR takes any length, and an IV of 16 bytes");
        let hmac = hmac::sign(&keys.mac(), &authenticated(&iv.0, &encrypted[..]));
        let hmac = hmac.as_ref().try_into().expect("an HMAC-SHA256 tag has 32 bytes");
        Self { iv: iv.0, encrypted: *encrypted, hmac }
    }

    /// Unwraps into `secret`, which is written only after the tag (compared in constant time) holds.
    pub(crate) fn open(&self, wrapping: &[u8; 32], secret: &mut [u8; N]) -> Result<(), NotAuthentic> {
        let keys = Stretched::from(wrapping);
        hmac::verify(&keys.mac(), &authenticated(&self.iv, &self.encrypted), &self.hmac)
            .map_err(|_| NotAuthentic)?;
        secret.copy_from_slice(&self.encrypted);
        let context = DecryptionContext::Iv128(FixedLength::from(&self.iv));
        DecryptingKey::ctr(keys.cipher())
            .and_then(|key| key.decrypt(secret, context).map(drop))
            .expect("CTR takes any length, and an IV of 16 bytes");
        Ok(())
    }

    /// Reads a wrap; its lengths are checked, its content is not.
    pub(super) fn parse(data: Option<&WrappedKeyData>) -> Result<Self, ParseError> {
        let data = data.ok_or(wrong("wrapped_key"))?;
        Ok(Self {
            iv: data.iv.as_slice().try_into().map_err(|_| wrong("IV"))?,
            encrypted: data.encrypted_key.as_slice().try_into().map_err(|_| wrong("encrypted_key"))?,
            hmac: data.hmac.as_slice().try_into().map_err(|_| wrong("hmac"))?,
        })
    }

    pub(super) fn message(&self) -> WrappedKeyData {
        WrappedKeyData { iv: self.iv.into(), encrypted_key: self.encrypted.into(), hmac: self.hmac.into() }
    }

    /// The encrypted key: ciphertext, to search a disk for.
    pub(super) fn ciphertext(&self) -> &[u8; N] {
        &self.encrypted
    }
}

fn authenticated(iv: &[u8; 16], encrypted: &[u8]) -> Vec<u8> {
    [iv.as_slice(), encrypted].concat()
}
