//! A recovery key as an age file (<https://age-encryption.org/v1>, C2SP): 32 bytes encrypted to X25519 recipients, in one chunk. The `age` tool opens
//! what this seals, and this opens what it sealed. No other kind of recipient, and no longer payload: docs/decisions/0074 says why it
//! stands here and not in a crate.
//!
//! ```text
//! age-encryption.org/v1
//! -> X25519 BASE64(ephemeral public key)
//! BASE64(file key, 16 bytes, under HKDF-SHA-256(X25519(ephemeral, recipient)), ChaCha20-Poly1305)
//! --- BASE64(HMAC-SHA-256 of the above under HKDF-SHA-256(file key))
//! nonce, 16 bytes; the payload under HKDF-SHA-256(file key, nonce), ChaCha20-Poly1305
//! ```

use std::fmt;

use aws_lc_rs::{aead, agreement, hkdf, hmac, rand};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use vault::recovery::{Recipient, Recipients};
use vault::secret::RecoveryKey;
use zeroize::{Zeroize as _, Zeroizing};

/// Longest age file that is read, bytes: with eight recipients ours have less than a kibibyte, and other stanzas may stand beside them.
pub const MAX_AGE_FILE: usize = 16 << 10;
const VERSION: &str = "age-encryption.org/v1";
const STANZA: &str = "-> X25519 ";
const MAC: &str = "---";
const FILE_KEY: usize = 16;
const NONCE: usize = 16;
/// The first chunk, and the last.
const ONLY_CHUNK: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];

/// Nothing was sealed: no randomness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("encrypting a recovery key with age failed: there is no randomness, try again")]
pub struct SealError;

/// Why an age file did not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Not what age writes for X25519 recipients.
    #[error("it is no age file, or it is damaged: take its other copy")]
    Damaged,
    /// No identity that was given is one of its recipients'.
    #[error("it is encrypted to other recipients: give the identity file of one of them")]
    NoMatch,
    /// What is in it is no recovery key.
    #[error("what is in it is no recovery key, which has 32 bytes")]
    Other,
}

/// The private half of a recipient: `AGE-SECRET-KEY-1...`. Wiped on drop.
pub struct Identity(Box<Zeroizing<[u8; 32]>>);

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity(redacted)")
    }
}

/// A line of an identity file is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "line {line} is no X25519 identity of age: it begins with AGE-SECRET-KEY-1, as `age-keygen` writes it"
)]
pub struct BadIdentity {
    /// From 1.
    pub line: usize,
}

impl Identity {
    /// Reads an identity file: one on each line, beside empty lines and comments.
    ///
    /// # Errors
    /// [`BadIdentity`].
    pub fn read_all(text: &str) -> Result<Vec<Self>, BadIdentity> {
        let said = |(_, line): &(usize, &str)| !line.is_empty() && !line.starts_with('#');
        let lines = text.lines().map(str::trim).enumerate().filter(said);
        lines.map(|(at, line)| Self::read(line).ok_or(BadIdentity { line: at + 1 })).collect()
    }

    fn read(text: &str) -> Option<Self> {
        let checked = bech32::primitives::decode::CheckedHrpstring::new::<bech32::Bech32>(text).ok()?;
        let hrp = checked.hrp();
        let mut secret = Box::new(Zeroizing::new([0; 32]));
        let mut bytes = checked.byte_iter();
        secret.iter_mut().try_for_each(|byte| bytes.next().map(|next| *byte = next))?;
        let whole = bytes.next().is_none() && text.starts_with("AGE-SECRET-KEY-1");
        (whole && hrp.to_lowercase() == "age-secret-key-").then_some(Self(secret))
    }

    fn private(&self) -> Option<agreement::PrivateKey> {
        agreement::PrivateKey::from_private_key(&agreement::X25519, &self.0[..]).ok()
    }
}

/// Encrypts a recovery key to each of the recipients.
///
/// # Errors
/// [`SealError`].
pub fn seal(recipients: &Recipients, key: &RecoveryKey) -> Result<Vec<u8>, SealError> {
    let mut file_key = Zeroizing::new([0; FILE_KEY]);
    rand::fill(&mut *file_key).map_err(|_| SealError)?;
    let mut header = format!("{VERSION}\n");
    for recipient in recipients.all() {
        header += &stanza(recipient, &file_key).ok_or(SealError)?;
    }
    header += MAC;
    let mac = hmac::sign(&mac_key(&file_key), header.as_bytes());
    let mut nonce = [0; NONCE];
    rand::fill(&mut nonce).map_err(|_| SealError)?;
    let payload = encrypted(&payload_key(&file_key, &nonce), ONLY_CHUNK, key.expose_recovery_key());
    let head = format!("{header} {}\n", STANDARD_NO_PAD.encode(mac.as_ref()));
    Ok([head.as_bytes(), &nonce, &payload.ok_or(SealError)?].concat())
}

/// Decrypts a recovery key by the first identity that fits.
///
/// # Errors
/// [`OpenError`].
pub fn open(file: &[u8], identities: &[Identity]) -> Result<RecoveryKey, OpenError> {
    let (header, mac, body) = parts(file).ok_or(OpenError::Damaged)?;
    let stanzas = stanzas(header).ok_or(OpenError::Damaged)?;
    let mut keys =
        identities.iter().flat_map(|identity| stanzas.iter().map(move |one| file_key(one, identity)));
    let file_key = keys.find_map(|key| key).ok_or(OpenError::NoMatch)?;
    hmac::verify(&mac_key(&file_key), header.as_bytes(), &mac).map_err(|_| OpenError::Damaged)?;
    let (nonce, payload) = body.split_at_checked(NONCE).ok_or(OpenError::Damaged)?;
    if payload.len() != 32 + aead::CHACHA20_POLY1305.tag_len() {
        return Err(OpenError::Other);
    }
    let plain = decrypted(&payload_key(&file_key, nonce), ONLY_CHUNK, payload).ok_or(OpenError::Damaged)?;
    let bytes: &[u8; 32] = plain.as_slice().try_into().map_err(|_| OpenError::Other)?;
    Ok(RecoveryKey::copied_from(bytes))
}

fn stanza(recipient: &Recipient, file_key: &[u8; FILE_KEY]) -> Option<String> {
    let ephemeral = agreement::PrivateKey::generate(&agreement::X25519).ok()?;
    let public = ephemeral.compute_public_key().ok()?;
    let key = wrap_key(&ephemeral, recipient.bytes(), public.as_ref(), recipient.bytes())?;
    let body = encrypted(&key, [0; 12], file_key)?;
    let encode = |bytes: &[u8]| STANDARD_NO_PAD.encode(bytes);
    Some(format!("{STANZA}{}\n{}\n", encode(public.as_ref()), encode(&body)))
}

/// Ephemeral public key and wrapped file key.
type Wrapped = ([u8; 32], [u8; FILE_KEY + 16]);

fn file_key((ephemeral, body): &Wrapped, identity: &Identity) -> Option<Zeroizing<[u8; FILE_KEY]>> {
    let private = identity.private()?;
    let public = private.compute_public_key().ok()?;
    let key = wrap_key(&private, ephemeral, ephemeral, public.as_ref())?;
    let plain = decrypted(&key, [0; 12], body)?;
    plain.as_slice().try_into().ok().map(Zeroizing::new)
}

fn wrap_key(
    own: &agreement::PrivateKey,
    peer: &[u8],
    ephemeral: &[u8],
    recipient: &[u8],
) -> Option<Zeroizing<[u8; 32]>> {
    let peer = agreement::UnparsedPublicKey::new(&agreement::X25519, peer);
    let salt = [ephemeral, recipient].concat();
    let derive = |shared: &[u8]| Ok(derived(shared, &salt, b"age-encryption.org/v1/X25519"));
    agreement::agree(own, peer, (), derive).ok()
}

fn mac_key(file_key: &[u8; FILE_KEY]) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, &*derived(file_key, &[], b"header"))
}

fn payload_key(file_key: &[u8; FILE_KEY], nonce: &[u8]) -> Zeroizing<[u8; 32]> {
    derived(file_key, nonce, b"payload")
}

fn derived(ikm: &[u8], salt: &[u8], info: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    hkdf::Salt::new(hkdf::HKDF_SHA256, salt)
        .extract(ikm)
        .expand(&[info], hkdf::HKDF_SHA256)
        .and_then(|okm| okm.fill(&mut *key))
        .expect("32 bytes are one block of HKDF-SHA-256, well under its bound of 255");
    key
}

fn cipher(key: &[u8; 32]) -> Option<aead::LessSafeKey> {
    aead::UnboundKey::new(&aead::CHACHA20_POLY1305, key).ok().map(aead::LessSafeKey::new)
}

fn encrypted(key: &[u8; 32], nonce: [u8; 12], plain: &[u8]) -> Option<Vec<u8>> {
    let mut sealed = Vec::with_capacity(plain.len() + aead::CHACHA20_POLY1305.tag_len());
    sealed.extend_from_slice(plain);
    let nonce = aead::Nonce::assume_unique_for_key(nonce);
    match cipher(key)?.seal_in_place_append_tag(nonce, aead::Aad::empty(), &mut sealed) {
        Ok(()) => Some(sealed),
        Err(_) => {
            sealed.zeroize();
            None
        }
    }
}

fn decrypted(key: &[u8; 32], nonce: [u8; 12], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut plain = Zeroizing::new(sealed.to_vec());
    let nonce = aead::Nonce::assume_unique_for_key(nonce);
    let length = cipher(key)?.open_in_place(nonce, aead::Aad::empty(), &mut plain).ok()?.len();
    plain.truncate(length);
    Some(plain)
}

/// The header as it is authenticated, its authentication, and what follows.
fn parts(file: &[u8]) -> Option<(&str, Vec<u8>, &[u8])> {
    if file.len() > MAX_AGE_FILE {
        return None;
    }
    let last = file.windows(5).position(|bytes| bytes == b"\n--- ")? + 1;
    let (header, rest) = file.split_at(last + MAC.len());
    let end = rest.iter().position(|byte| *byte == b'\n')?;
    let mac = STANDARD_NO_PAD.decode(&rest[1..end]).ok()?;
    Some((std::str::from_utf8(header).ok()?, mac, &rest[end + 1..]))
}

/// Those for X25519 recipients; of other kinds are passed over.
fn stanzas(header: &str) -> Option<Vec<Wrapped>> {
    let mut lines = header.lines().peekable();
    (lines.next()? == VERSION).then_some(())?;
    let mut all = Vec::new();
    while let Some(line) = lines.next() {
        let Some(ephemeral) = line.strip_prefix(STANZA) else { continue };
        all.push((bytes(ephemeral)?, bytes(lines.next()?)?));
    }
    Some(all)
}

fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    STANDARD_NO_PAD.decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `age-keygen` prints them.
    const PAIRS: [(&str, &str); 2] = [
        (
            "AGE-SECRET-KEY-1VCKSLEG3NJKV59W3WKN5G0E3H7PH0GMNS27Y7VZXRM3YFJ033GGS7XRSGR",
            "age1v32mgker99d39r7f6hm2rz7gkwqs8ujeskr9a4d804vzlmg0t3us6s6s4a",
        ),
        (
            "AGE-SECRET-KEY-1V23R0QF67X72XL099ZDQ6SURCVGVA5SA8292K7L600M5ZRJEXJ2SPR3D9R",
            "age1xukeg2ge92tv9p8ksswc6um63s5c8t5lmwlezce9zrmqsgk2eckskxsrju",
        ),
    ];

    fn recipients(of: &[&str]) -> Recipients {
        let all: Vec<Recipient> = of.iter().map(|text| text.parse().expect("a recipient")).collect();
        all.try_into().expect("recipients")
    }

    fn identity(text: &str) -> Vec<Identity> {
        Identity::read_all(&format!("# created\n\n{text}\n")).expect("an identity")
    }

    /// TH-1: each recipient's identity opens it, and nobody else's does.
    #[test]
    fn th1_each_recipient_and_nobody_else_opens_it() {
        let key = RecoveryKey::copied_from(&[7; 32]);
        let both = seal(&recipients(&[PAIRS[0].1, PAIRS[1].1]), &key).expect("seals");
        for (secret, _) in PAIRS {
            let opened = open(&both, &identity(secret)).expect("a recipient's");
            assert_eq!(opened.expose_recovery_key(), key.expose_recovery_key());
        }
        let one = seal(&recipients(&[PAIRS[0].1]), &key).expect("seals");
        assert_eq!(open(&one, &identity(PAIRS[1].0)).map(drop), Err(OpenError::NoMatch));
        assert_ne!(
            one,
            seal(&recipients(&[PAIRS[0].1]), &key).expect("seals"),
            "keys and nonces are drawn anew"
        );
    }

    /// No byte of it can be changed, and nothing taken away or added.
    #[test]
    fn what_is_not_as_it_was_sealed_does_not_open() {
        let key = RecoveryKey::copied_from(&[7; 32]);
        let file = seal(&recipients(&[PAIRS[0].1]), &key).expect("seals");
        let own = identity(PAIRS[0].0);
        for at in 0..file.len() {
            let mut changed = file.clone();
            changed[at] ^= 1;
            open(&changed, &own).map(drop).expect_err("a changed byte");
            open(&file[..at], &own).map(drop).expect_err("a part of it");
        }
        open(&[file, vec![0]].concat(), &own).map(drop).expect_err("more than it");
        open(&[0; MAX_AGE_FILE + 1], &own).map(drop).expect_err("too long");
    }

    #[test]
    fn what_is_no_identity_is_told_by_its_line() {
        for bad in [PAIRS[0].1, "AGE-SECRET-KEY-1", &PAIRS[0].0.to_lowercase(), &PAIRS[0].0[..70]] {
            let told = Identity::read_all(&format!("# a comment\n{bad}\n")).map(drop);
            assert_eq!(told, Err(BadIdentity { line: 2 }), "{bad}");
        }
    }
}
