//! Nonces for challenges. None is kept: a nonce says when it was given, and a MAC under a key of the controller's says that it was, to whom,
//! for which answer of its, and by this process: each time of giving has random bytes that never leave its memory. So a challenge writes
//! nothing; and a controller that is put back together with its clock, and counts as it did, makes other nonces and knows none of before.
//!
//! nonce (32 bytes) = when, seconds since 1970, big-endian (8) || the first 24 bytes of HMAC-SHA-256(key, text)
//! text = "EVE Vault nonce v2" || incarnation (16) || device (16) || its certificate's digest (32) || answers that it gave before (8) || when (8) ||
//!        what was drawn for that time (32)
//! key = HKDF-SHA-256(key-encryption key, info "EVE Vault nonces")
//!
//! One use is for who counts the answers to keep: each that is taken makes every nonce of before void, whatever it was worth.
//! Nobody without the key tells a nonce before it is given, so no quote can be made for it ahead of time.
//!
//! A courier's is on its way for days, over ends of this process. So nothing of it is drawn: its label is "EVE Vault courier nonce v1", and its
//! first 8 bytes are when it was given (5) and for how many seconds it is good (3). It is of the same device, life and count of answers.

use std::sync::{Mutex, MutexGuard, PoisonError};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use aws_lc_rs::hmac;
use vault::ids::{DeviceId, Incarnation};

use super::{CustodyError, Kek, random};

const LABEL: &[u8] = b"EVE Vault nonce v2";
const COURIER: &[u8] = b"EVE Vault courier nonce v1";
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

/// The span of a courier's nonce.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Carried {
    /// When it was given, seconds since 1970.
    pub given: u64,
    /// For how many seconds it is good: fewer than 2^24.
    pub life_s: u32,
}

/// Bits of a courier's nonce that say for how long it is good.
const LIFE_BITS: u32 = 24;

/// What was drawn for a time of giving.
type Drawn = (u64, [u8; 32]);

/// Of as many times of giving a nonce may be good: the one that runs, and the one before.
const TIMES: usize = 2;

/// Makes nonces and knows them again.
pub struct Nonces {
    key: hmac::Key,
    /// The last one first.
    drawn: Mutex<[Option<Drawn>; TIMES]>,
}

impl Nonces {
    /// Those of whoever has this key-encryption key.
    #[must_use]
    pub fn of(kek: &Kek) -> Self {
        let drawn = Salt::new(HKDF_SHA256, &[]).extract(kek.expose_kek());
        let key = drawn.expand(&[INFO], hmac::HMAC_SHA256).expect("32 bytes are not too many for HKDF");
        Self { key: hmac::Key::from(key), drawn: Mutex::default() }
    }

    /// The one that is given at a time, a second since 1970 for as many as share it.
    ///
    /// # Errors
    /// [`CustodyError::Making`]: there is no randomness.
    pub fn given(&self, whom: For<'_>, when: u64) -> Result<[u8; 32], CustodyError> {
        Ok(self.of_drawn(whom, (when, self.draw(when)?)))
    }

    /// When it was given to this one, for its next answer; none: never, or too long ago, or before this process.
    #[must_use]
    pub fn when(&self, nonce: &[u8; 32], whom: For<'_>) -> Option<u64> {
        let (time, _) = nonce.split_first_chunk::<WHEN>()?;
        let when = u64::from_be_bytes(*time);
        let drawn = self.drawn().iter().flatten().copied().find(|(of, _)| *of == when)?;
        verify_slices_are_equal(nonce, &self.of_drawn(whom, drawn)).is_ok().then_some(when)
    }

    /// One for a courier, given now and good for so many seconds.
    #[must_use]
    pub fn carried(&self, whom: For<'_>, span: Carried) -> [u8; 32] {
        self.of_text(COURIER, whom, (span.given << LIFE_BITS) | u64::from(span.life_s), &[])
    }

    /// When a courier's was given to this one, for its next answer, and for how long; none: never.
    #[must_use]
    pub fn of_courier(&self, nonce: &[u8; 32], whom: For<'_>) -> Option<Carried> {
        let (span, _) = nonce.split_first_chunk::<WHEN>()?;
        let span = u64::from_be_bytes(*span);
        let (given, life_s) = (span >> LIFE_BITS, u32::try_from(span & ((1 << LIFE_BITS) - 1)).ok()?);
        let carried = Carried { given, life_s };
        verify_slices_are_equal(nonce, &self.carried(whom, carried)).is_ok().then_some(carried)
    }

    /// What was drawn for a time, or is now.
    fn draw(&self, when: u64) -> Result<[u8; 32], CustodyError> {
        let mut all = self.drawn();
        if let Some((_, drawn)) = all.iter().flatten().find(|(of, _)| *of == when) {
            return Ok(*drawn);
        }
        let mut drawn = [0; 32];
        random(&mut drawn)?;
        all.rotate_right(1);
        all[0] = Some((when, drawn));
        Ok(drawn)
    }

    fn drawn(&self) -> MutexGuard<'_, [Option<Drawn>; TIMES]> {
        // Whoever panicked had put a whole one in, or none.
        self.drawn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn of_drawn(&self, whom: For<'_>, (when, drawn): Drawn) -> [u8; 32] {
        self.of_text(LABEL, whom, when, &drawn)
    }

    fn of_text(&self, label: &[u8], whom: For<'_>, when: u64, drawn: &[u8]) -> [u8; 32] {
        let mut nonce = [0; 32];
        let (time, mac) = nonce.split_at_mut(WHEN);
        time.copy_from_slice(&when.to_be_bytes());
        mac.copy_from_slice(&self.mac(label, whom, when, drawn)[..32 - WHEN]);
        nonce
    }

    fn mac(&self, label: &[u8], whom: For<'_>, when: u64, drawn: &[u8]) -> [u8; 32] {
        let Incarnation(incarnation) = whom.incarnation;
        let mut text = hmac::Context::with_key(&self.key);
        for part in [label, &incarnation, whom.device.0.as_bytes(), whom.cert_digest] {
            text.update(part);
        }
        text.update(&whom.answered.to_be_bytes());
        text.update(&when.to_be_bytes());
        text.update(drawn);
        let mut mac = [0; 32];
        mac.copy_from_slice(text.sign().as_ref());
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same one each time.
    fn kek() -> Kek {
        let file = tempfile::NamedTempFile::new().expect("a file of its owner's alone");
        std::fs::write(file.path(), [7; 32]).expect("written");
        Kek::from_file(file.path(), false).expect("32 bytes")
    }

    /// AC-3: a nonce is of one controller, life, device, certificate, answer and time; and no bit of it can be another.
    #[test]
    fn a_nonce_is_known_by_whom_it_was_given_to_alone() {
        let nonces = Nonces::of(&Kek::generate().expect("randomness"));
        let (cert_digest, other_cert) = ([3; 32], [4; 32]);
        let device = DeviceId(uuid::Uuid::from_u128(1));
        let whom = For { incarnation: Incarnation([2; 16]), device, cert_digest: &cert_digest, answered: 5 };
        let nonce = nonces.given(whom, 1_800_000_000).expect("randomness");
        assert_eq!(nonces.given(whom, 1_800_000_000).expect("randomness"), nonce, "asked for again");
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

    /// Seen-by-users S1: a controller that is put back together with its clock, and counts as it did then, gives other nonces, and takes
    /// none that was answered before.
    #[test]
    fn a_controller_that_is_put_back_with_its_clock_makes_other_nonces() {
        let device = DeviceId(uuid::Uuid::from_u128(1));
        let whom = For { incarnation: Incarnation([2; 16]), device, cert_digest: &[3; 32], answered: 5 };
        let life = || Nonces::of(&kek());
        let (before, after) = (life(), life());
        let recorded = before.given(whom, 1_800_000_000).expect("randomness");
        assert_eq!(after.when(&recorded, whom), None, "before it gave one for this time");
        assert_ne!(after.given(whom, 1_800_000_000).expect("randomness"), recorded);
        assert_eq!(after.when(&recorded, whom), None, "and after it");
    }

    /// CO-2: a courier's nonce is of one controller, life, device, certificate and answer, says its span, and is none of the line's; and it is known
    /// after an end of the process.
    #[test]
    fn co2_a_couriers_nonce_is_known_for_days_by_whom_it_was_given_to_alone() {
        let nonces = || Nonces::of(&kek());
        let (cert_digest, other_cert) = ([3; 32], [4; 32]);
        let device = DeviceId(uuid::Uuid::from_u128(1));
        let whom = For { incarnation: Incarnation([2; 16]), device, cert_digest: &cert_digest, answered: 5 };
        let span = Carried { given: 1_800_000_000, life_s: 604_800 };
        let nonce = nonces().carried(whom, span);
        assert_eq!(nonces().of_courier(&nonce, whom), Some(span), "by another process");
        assert_eq!(nonces().when(&nonce, whom), None, "none of the line's");
        for (what, other) in [
            ("life", For { incarnation: Incarnation([9; 16]), ..whom }),
            ("device", For { device: DeviceId(uuid::Uuid::from_u128(2)), ..whom }),
            ("certificate", For { cert_digest: &other_cert, ..whom }),
            ("answer", For { answered: 6, ..whom }),
        ] {
            assert_eq!(nonces().of_courier(&nonce, other), None, "of another {what}");
        }
        for bit in 0..256 {
            let mut changed = nonce;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(nonces().of_courier(&changed, whom), None, "bit {bit}");
        }
        let of_line = nonces();
        let given = of_line.given(whom, 1_800_000_000).expect("randomness");
        assert_eq!(of_line.of_courier(&given, whom), None);
    }

    /// What was drawn is kept for the time that runs and for the one before, whatever the clock does.
    #[test]
    fn nonces_of_two_times_are_known_and_no_older_ones() {
        let nonces = Nonces::of(&kek());
        let device = DeviceId(uuid::Uuid::from_u128(1));
        let whom = For { incarnation: Incarnation([2; 16]), device, cert_digest: &[3; 32], answered: 5 };
        let given = [30, 60, 90].map(|when| nonces.given(whom, when).expect("randomness"));
        assert_eq!(given.map(|nonce| nonces.when(&nonce, whom)), [None, Some(60), Some(90)]);
        assert_ne!(nonces.given(whom, 30).expect("randomness"), given[0], "a clock that was set back");
    }

    /// A known answer, computed by an independent implementation (Python's `hmac`, RFC 5869 written out).
    #[test]
    fn a_nonce_is_what_the_formula_says() {
        let kek = kek();
        let device = DeviceId(uuid::Uuid::from_u128(1));
        let whom = For { incarnation: Incarnation([2; 16]), device, cert_digest: &[3; 32], answered: 5 };
        let nonce = hex::encode(Nonces::of(&kek).of_drawn(whom, (1_800_000_000, [9; 32])));
        assert_eq!(nonce, "000000006b49d20083f45dd6977fddd96a7528e9b428f60e043276161c36f7f9");
    }
}
