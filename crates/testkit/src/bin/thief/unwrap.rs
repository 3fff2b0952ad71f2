//! Wrapped keys in the fscrypt tool's form, wherever on a disk they lie: in files, in freed blocks, in a journal. Written from the format's
//! description alone.

use std::io::Write;

use anyhow::Result;
use aws_lc_rs::cipher::{AES_256, DecryptingKey, DecryptionContext, UnboundCipherKey};
use aws_lc_rs::{hkdf, hmac};

/// 32 or 64 bytes.
pub(crate) type Key = Vec<u8>;

/// A key, AES-256-CTR and HMAC-SHA-256 under another.
#[derive(PartialEq, Eq)]
pub(crate) struct Wrapped {
    iv: [u8; 16],
    text: Vec<u8>,
    tag: Vec<u8>,
}

/// `WrappedKeyData`: field 1 of 16 bytes, field 2 of 32 or 64, field 3 of 32.
pub(crate) fn found_in(raw: &[u8]) -> Vec<Wrapped> {
    let starts = raw.windows(2).enumerate().filter(|(_, bytes)| *bytes == [0x0a, 16]);
    starts.filter_map(|(at, _)| wrapped(raw.get(at..)?)).collect()
}

fn wrapped(bytes: &[u8]) -> Option<Wrapped> {
    let (iv, rest) = field(bytes, 0x0a)?;
    let (text, rest) = field(rest, 0x12)?;
    let (tag, _) = field(rest, 0x1a)?;
    let whole = matches!(text.len(), 32 | 64) && tag.len() == 32;
    whole.then(|| Some(Wrapped { iv: iv.try_into().ok()?, text: text.to_vec(), tag: tag.to_vec() }))?
}

fn field(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let [is, length, rest @ ..] = bytes else { return None };
    (*is == tag).then(|| rest.split_at_checked(usize::from(*length)))?
}

impl Wrapped {
    /// What is inside, if this key is of it.
    pub(crate) fn open(&self, key: &Key) -> Option<Key> {
        let (cipher, mac) = split(key)?;
        let sealed = [&self.iv[..], &self.text].concat();
        hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, &mac), &sealed, &self.tag).ok()?;
        let cipher = DecryptingKey::ctr(UnboundCipherKey::new(&AES_256, &cipher).ok()?).ok()?;
        let mut text = self.text.clone();
        cipher.decrypt(&mut text, DecryptionContext::Iv128(self.iv.into())).ok()?;
        Some(text)
    }
}

struct Sixty4;

impl hkdf::KeyType for Sixty4 {
    fn len(&self) -> usize {
        64
    }
}

/// HKDF-SHA-256 without salt and info: the cipher's key, and the MAC's. Only keys of 32 bytes wrap.
fn split(key: &Key) -> Option<(Key, Key)> {
    let mut both = vec![0; 64];
    (key.len() == 32).then_some(())?;
    hkdf::Salt::new(hkdf::HKDF_SHA256, &[]).extract(key).expand(&[], Sixty4).ok()?.fill(&mut both).ok()?;
    let mac = both.split_off(32);
    Some((both, mac))
}

/// Each run of at least eight letters, as the tool `strings` prints them.
pub(crate) fn print_texts(raw: &[u8], out: &mut impl Write) -> Result<()> {
    for run in raw.split(|byte| !(b' '..=b'~').contains(byte)).filter(|run| run.len() >= 8) {
        out.write_all(run)?;
        out.write_all(b"\n")?;
    }
    Ok(())
}
