//! RFC 9180 (HPKE), base mode, of two suites: DHKEM(X25519 or P-256, HKDF-SHA256), HKDF-SHA256, AES-256-GCM. X25519 is a session's,
//! P-256 the controller's ECDH certificate's. Its words are the RFC's, and so are the sections that are named. All arithmetic is
//! aws-lc's; here is only what is hashed in which order. Every secret on the way is wiped, and a key is opened in the place where it
//! stays. Only a [`Sender`] seals, and it numbers its messages itself, so no nonce is used twice.
//!
//! Held in tests against the RFC's own vector, another implementation, and what earlier builds sealed.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{self, ECDH_P256, PrivateKey, UnparsedPublicKey, X25519};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hmac::{self, HMAC_SHA256};
use zeroize::Zeroizing;

/// Length of an X25519 key, private or public, in bytes.
pub(crate) const KEY_LEN: usize = 32;
/// Length of a point of P-256, uncompressed, in bytes.
pub(crate) const POINT_LEN: usize = 65;
/// Length of the tag in bytes.
pub(crate) const TAG_LEN: usize = 16;

const NONCE_LEN: usize = 12;
const VERSION: &[u8] = b"HPKE-v1";

/// A KEM of section 7.1, and the suite that it makes with HKDF-SHA256 (0x0001) and AES-256-GCM (0x0002).
pub(crate) struct Kem {
    algorithm: &'static agreement::Algorithm,
    /// Section 4.1.
    label: &'static [u8],
    /// Section 5.1.
    suite: &'static [u8],
    /// Of a public key, and of what is encapsulated, in bytes.
    public_len: usize,
}

/// DHKEM(X25519, HKDF-SHA256), 0x0020.
const OF_X25519: Kem = Kem {
    algorithm: &X25519,
    label: b"KEM\x00\x20",
    suite: b"HPKE\x00\x20\x00\x01\x00\x02",
    public_len: KEY_LEN,
};
/// DHKEM(P-256, HKDF-SHA256), 0x0010; points are uncompressed.
const OF_P256: Kem = Kem {
    algorithm: &ECDH_P256,
    label: b"KEM\x00\x10",
    suite: b"HPKE\x00\x10\x00\x01\x00\x02",
    public_len: POINT_LEN,
};
/// Section 5.1: neither a shared key nor a sender's.
const MODE_BASE: u8 = 0;

/// 32 bytes that are wiped on drop.
type Secret = Zeroizing<[u8; KEY_LEN]>;

/// The number of a message of one context, from 0 (section 5.2: the sequence number).
pub(crate) type Number = u32;

/// Who can open nothing: a key of low order, or what is not sealed for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HpkeError;

impl From<Unspecified> for HpkeError {
    fn from(_: Unspecified) -> Self {
        Self
    }
}

/// The public half of an X25519 key.
pub(crate) fn public_of(secret: &[u8; KEY_LEN]) -> [u8; KEY_LEN] {
    public(&private(secret)).try_into().expect("of 32 bytes")
}

/// A sender's context (sections 5.1.1 and 5.2): one encapsulation, for messages that are numbered in turn.
pub(crate) struct Sender {
    enc: Vec<u8>,
    context: Context,
    next: Number,
}

impl Sender {
    /// `SetupBaseS` to an X25519 key.
    ///
    /// # Panics
    /// When the operating system gives no randomness.
    pub(crate) fn to(recipient: &[u8; KEY_LEN], info: &[u8]) -> Result<Self, HpkeError> {
        Self::of(&OF_X25519, recipient, info)
    }

    fn of(kem: &Kem, recipient: &[u8], info: &[u8]) -> Result<Self, HpkeError> {
        let ephemeral = PrivateKey::generate(kem.algorithm).expect("the operating system gives randomness");
        let enc = public(&ephemeral);
        let shared = shared_secret(kem, &ephemeral, recipient, &[&enc, recipient].concat())?;
        Ok(Self { enc, context: key_schedule(kem, &shared, info)?, next: 0 })
    }

    /// What is encapsulated: beside every message of this context.
    pub(crate) fn enc(&self) -> &[u8] {
        &self.enc
    }

    /// The next message, in place; returns its number and its tag.
    pub(crate) fn seal_in_place(
        &mut self,
        aad: &[u8],
        buffer: &mut [u8],
    ) -> Result<(Number, [u8; TAG_LEN]), HpkeError> {
        let number = self.next;
        // Taken before it is used: whatever fails, no other message gets this number.
        self.next = number.checked_add(1).ok_or(HpkeError)?;
        let Context { key, base_nonce } = &self.context;
        let tag = key.seal_in_place_separate_tag(nonce(base_nonce, number), Aad::from(aad), buffer)?;
        Ok((number, tag.as_ref().try_into().map_err(|_| HpkeError)?))
    }
}

/// `SealBase` (section 6.1) to an X25519 key, in place; returns what is encapsulated and the tag.
///
/// # Panics
/// When the operating system gives no randomness.
pub(crate) fn seal_in_place(
    recipient: &[u8; KEY_LEN],
    info: &[u8],
    aad: &[u8],
    buffer: &mut [u8],
) -> Result<(Vec<u8>, [u8; TAG_LEN]), HpkeError> {
    seal(&OF_X25519, recipient, info, aad, buffer)
}

/// The same to a point of P-256.
pub(crate) fn seal_to_point(
    recipient: &[u8; POINT_LEN],
    info: &[u8],
    aad: &[u8],
    buffer: &mut [u8],
) -> Result<(Vec<u8>, [u8; TAG_LEN]), HpkeError> {
    seal(&OF_P256, recipient, info, aad, buffer)
}

/// A receiver's context (sections 5.1.1 and 5.2). Messages open in any order: each has its number beside it.
pub(crate) struct Receiver(Context);

impl Receiver {
    /// `SetupBaseR` by an X25519 key.
    pub(crate) fn of(secret: &[u8; KEY_LEN], enc: &[u8], info: &[u8]) -> Result<Self, HpkeError> {
        Self::by(&OF_X25519, &private(secret), enc, info)
    }

    fn by(kem: &Kem, secret: &PrivateKey, enc: &[u8], info: &[u8]) -> Result<Self, HpkeError> {
        if enc.len() != kem.public_len {
            return Err(HpkeError);
        }
        let shared = shared_secret(kem, secret, enc, &[enc, &public(secret)].concat())?;
        key_schedule(kem, &shared, info).map(Self)
    }

    /// The message of that number, straight into `clear`.
    pub(crate) fn open_into(
        &self,
        number: Number,
        aad: &[u8],
        (ciphertext, tag): (&[u8], &[u8]),
        clear: &mut [u8],
    ) -> Result<(), HpkeError> {
        let Context { key, base_nonce } = &self.0;
        Ok(key.open_separate_gather(nonce(base_nonce, number), Aad::from(aad), ciphertext, tag, clear)?)
    }
}

/// `OpenBase` (section 6.1) by an X25519 key, straight into `clear`.
pub(crate) fn open_into(
    secret: &[u8; KEY_LEN],
    enc: &[u8],
    info: &[u8],
    aad: &[u8],
    sealed: (&[u8], &[u8]),
    clear: &mut [u8],
) -> Result<(), HpkeError> {
    Receiver::of(secret, enc, info)?.open_into(0, aad, sealed, clear)
}

/// The same by a key of P-256, PKCS #8.
pub(crate) fn open_by_pkcs8(
    pkcs8: &[u8],
    enc: &[u8],
    info: &[u8],
    aad: &[u8],
    sealed: (&[u8], &[u8]),
    clear: &mut [u8],
) -> Result<(), HpkeError> {
    let secret = PrivateKey::from_private_key_der(&ECDH_P256, pkcs8).map_err(|_| HpkeError)?;
    Receiver::by(&OF_P256, &secret, enc, info)?.open_into(0, aad, sealed, clear)
}

fn seal(
    kem: &Kem,
    recipient: &[u8],
    info: &[u8],
    aad: &[u8],
    buffer: &mut [u8],
) -> Result<(Vec<u8>, [u8; TAG_LEN]), HpkeError> {
    let mut sender = Sender::of(kem, recipient, info)?;
    let (_, tag) = sender.seal_in_place(aad, buffer)?;
    Ok((sender.enc, tag))
}

fn private(secret: &[u8; KEY_LEN]) -> PrivateKey {
    PrivateKey::from_private_key(&X25519, secret).expect("any 32 bytes are an X25519 key")
}

fn public(secret: &PrivateKey) -> Vec<u8> {
    secret.compute_public_key().expect("a private key has a public half").as_ref().to_vec()
}

/// `ExtractAndExpand` over the Diffie-Hellman secret (section 4.1). A peer's key of low order, or off the curve, is refused (section 7.1.4).
fn shared_secret(kem: &Kem, own: &PrivateKey, peer: &[u8], context: &[u8]) -> Result<Secret, HpkeError> {
    let peer = UnparsedPublicKey::new(kem.algorithm, peer);
    agreement::agree(own, peer, HpkeError, |dh| {
        let prk = labeled_extract(kem.label, &[], b"eae_prk", dh)?;
        labeled_expand(kem.label, &prk, b"shared_secret", context)
    })
}

/// What seals and opens the messages of one encapsulation.
struct Context {
    key: LessSafeKey,
    base_nonce: Zeroizing<[u8; NONCE_LEN]>,
}

/// `KeySchedule` (section 5.1).
fn key_schedule(kem: &Kem, shared: &Secret, info: &[u8]) -> Result<Context, HpkeError> {
    let psk_id_hash = labeled_extract(kem.suite, &[], b"psk_id_hash", &[])?;
    let info_hash = labeled_extract(kem.suite, &[], b"info_hash", info)?;
    let context = [&[MODE_BASE], psk_id_hash.as_slice(), info_hash.as_slice()].concat();
    let secret = labeled_extract(kem.suite, shared.as_slice(), b"secret", &[])?;
    let key: Secret = labeled_expand(kem.suite, &secret, b"key", &context)?;
    let base_nonce = labeled_expand(kem.suite, &secret, b"base_nonce", &context)?;
    Ok(Context { key: LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key.as_slice())?), base_nonce })
}

/// `ComputeNonce` (section 5.2): the number, big endian, over the end of the base nonce.
fn nonce(base: &[u8; NONCE_LEN], number: Number) -> Nonce {
    let mut nonce = Zeroizing::new(*base);
    let end = nonce[NONCE_LEN - size_of::<Number>()..].iter_mut();
    end.zip(number.to_be_bytes()).for_each(|(byte, number)| *byte ^= number);
    Nonce::from(&*nonce)
}

/// `LabeledExtract` (section 4).
fn labeled_extract(suite: &[u8], salt: &[u8], label: &[u8], ikm: &[u8]) -> Result<Secret, HpkeError> {
    hmac(salt, &[VERSION, suite, label, ikm])
}

/// `LabeledExpand` (section 4) of at most 32 bytes: one block.
fn labeled_expand<const L: usize>(
    suite: &[u8],
    prk: &Secret,
    label: &[u8],
    info: &[u8],
) -> Result<Zeroizing<[u8; L]>, HpkeError> {
    const { assert!(L <= KEY_LEN) };
    let length = (L as u16).to_be_bytes();
    let block = hmac(prk.as_slice(), &[&length, VERSION, suite, label, info, &[1]])?;
    let mut out = Zeroizing::new([0; L]);
    out.copy_from_slice(&block[..L]);
    Ok(out)
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> Result<Secret, HpkeError> {
    let (message, mut out) = (Zeroizing::new(parts.concat()), Zeroizing::new([0; KEY_LEN]));
    hmac::sign_to_buffer(&hmac::Key::new(HMAC_SHA256, key), &message, out.as_mut_slice())?;
    Ok(out)
}
