//! Nonces for challenges. Kept nowhere: a nonce says when it was given, and a MAC under a key of the controller's says that it was, to whom,
//! and for which answer of its. So a challenge writes nothing, and is good over a restart and at every replica.
//!
//! nonce (32 bytes) = when, seconds since 1970, big-endian (8) || the first 24 bytes of HMAC-SHA-256(key, text)
//! text = "EVE Vault nonce v1" || incarnation (16) || device (16) || its certificate's digest (32) || answers that it gave before (8) || when (8)
//! key = HKDF-SHA-256(key-encryption key, info "EVE Vault nonces")
//!
//! One use is for who counts the answers to keep: each that is taken makes every nonce of before void, whatever it was worth.
//! Nobody without the key tells a nonce before it is given, so no quote can be made for it ahead of time.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use aws_lc_rs::hmac;
use vault::ids::{DeviceId, Incarnation};

use super::Kek;

const LABEL: &[u8] = b"EVE Vault nonce v1";
const INFO: &[u8] = b"EVE Vault nonces";
/// Of the nonce, when it was given.
const WHEN: usize = 8;

/// Whom a nonce is for.
#[derive(Debug, Clone, Copy)]
pub struct For<'a> {
    /// In this life of the database.
    pub incarnation: Incarnation,
    /// The device.
    pub device: DeviceId,
    /// SHA-256 of its certificate.
    pub cert_digest: &'a [u8; 32],
    /// How many challenges it has answered.
    pub answered: u64,
}

/// Makes nonces and knows them again.
pub struct Nonces(hmac::Key);

impl Nonces {
    /// Those of whoever has this key-encryption key.
    #[must_use]
    pub fn of(kek: &Kek) -> Self {
        let drawn = Salt::new(HKDF_SHA256, &[]).extract(kek.expose_kek());
        let key = drawn.expand(&[INFO], hmac::HMAC_SHA256).expect("32 bytes are not too many for HKDF");
        Self(hmac::Key::from(key))
    }

    /// The one that is given at a time.
    #[must_use]
    pub fn given(&self, whom: For<'_>, when: u64) -> [u8; 32] {
        let mut nonce = [0; 32];
        let (time, mac) = nonce.split_at_mut(WHEN);
        time.copy_from_slice(&when.to_be_bytes());
        mac.copy_from_slice(&self.mac(whom, when)[..32 - WHEN]);
        nonce
    }

    /// When it was given to this one, for its next answer; none: never.
    #[must_use]
    pub fn when(&self, nonce: &[u8; 32], whom: For<'_>) -> Option<u64> {
        let (time, _) = nonce.split_first_chunk::<WHEN>()?;
        let when = u64::from_be_bytes(*time);
        verify_slices_are_equal(nonce, &self.given(whom, when)).is_ok().then_some(when)
    }

    fn mac(&self, whom: For<'_>, when: u64) -> [u8; 32] {
        let Incarnation(incarnation) = whom.incarnation;
        let mut text = hmac::Context::with_key(&self.0);
        for part in [LABEL, &incarnation, whom.device.0.as_bytes(), whom.cert_digest] {
            text.update(part);
        }
        text.update(&whom.answered.to_be_bytes());
        text.update(&when.to_be_bytes());
        let mut mac = [0; 32];
        mac.copy_from_slice(text.sign().as_ref());
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// AC-3: a nonce is of one controller, life, device, certificate, answer and time; and no bit of it can be another.
    #[test]
    fn a_nonce_is_known_by_whom_it_was_given_to_alone() {
        let nonces = Nonces::of(&Kek::generate().expect("randomness"));
        let (cert_digest, other_cert) = ([3; 32], [4; 32]);
        let device = DeviceId(uuid::Uuid::from_u128(1));
        let whom = For { incarnation: Incarnation([2; 16]), device, cert_digest: &cert_digest, answered: 5 };
        let nonce = nonces.given(whom, 1_800_000_000);
        assert_eq!(nonces.when(&nonce, whom), Some(1_800_000_000));
        for (what, other) in [
            ("life", For { incarnation: Incarnation([9; 16]), ..whom }),
            ("device", For { device: DeviceId(uuid::Uuid::from_u128(2)), ..whom }),
            ("certificate", For { cert_digest: &other_cert, ..whom }),
            ("answer before", For { answered: 4, ..whom }),
            ("answer after", For { answered: 6, ..whom }),
        ] {
            assert_eq!(nonces.when(&nonce, other), None, "of another {what}");
        }
        for bit in 0..256 {
            let mut changed = nonce;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(nonces.when(&changed, whom), None, "bit {bit}");
        }
        let others = Nonces::of(&Kek::generate().expect("randomness"));
        assert_eq!(others.when(&nonce, whom), None, "of another controller");
    }

    /// A known answer, computed by an independent implementation (Python's `hmac`, RFC 5869 written out).
    #[test]
    fn a_nonce_is_what_the_formula_says() {
        let kek = Kek::from_bytes(&[7; 32]).expect("32 bytes");
        let device = DeviceId(uuid::Uuid::from_u128(1));
        let whom = For { incarnation: Incarnation([2; 16]), device, cert_digest: &[3; 32], answered: 5 };
        let nonce = hex::encode(Nonces::of(&kek).given(whom, 1_800_000_000));
        assert_eq!(nonce, "000000006b49d20099ca5a643e6ce223a32a83a274c2b9c0a87cb9a89e4c9cf2");
    }
}
