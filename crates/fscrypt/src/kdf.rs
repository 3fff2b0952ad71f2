//! HKDF (RFC 5869) without salt, the only key derivation of fscrypt's v2 policies and key files.

use aws_lc_rs::hkdf;

struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// Fills `out` (at most 64 bytes here) with HKDF(ikm, no salt, info).
pub(crate) fn hkdf(hash: hkdf::Algorithm, ikm: &[u8], info: &[u8], out: &mut [u8]) {
    let prk = hkdf::Salt::new(hash, &[]).extract(ikm);
    let info = [info];
    prk.expand(&info, Length(out.len()))
        .and_then(|okm| okm.fill(out))
        .expect("the length asked for is the buffer's, and below 255 hashes");
}
