//! What is remembered of devices from one request to the next, so that one that says what it said before costs a verification and no store.
//! It may hold what a view of the store said, with the moment before that view: it is asked of the store at each use whether anything
//! was written since (`Store::unchanged_since`), and for which times the answer was made. It may hold keys that verify, found under the
//! digest that names them. It never holds a secret, a sealed key or evidence, and nothing is true because it is in here: lost at any
//! time, all is read again.

use std::hash::{BuildHasher as _, RandomState};
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use vault::ids::DeviceId;
use wire::CertDigest;
use wire::envelope::{DeviceEnvelope, Proof, Verified};
use wire::sign::P256PublicKey;

use super::bounded::Bounded;
use crate::store::{AsOf, UnixSeconds};

/// Each part has a lock of its own, and grows by itself. Which one is a sender's, nobody outside of this process can tell.
const PARTS: usize = 64;
/// So many senders are remembered in a part: 262,144 in all. Beyond them it forgets one for each that comes.
const MOST: usize = 4096;

/// Who signs with a certificate, and what was last said to it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KnownSender {
    /// The certificate's: good for ever under its digest.
    pub(crate) key: P256PublicKey,
    /// Whose it was.
    pub(crate) device: DeviceId,
    /// Before that was read.
    pub(crate) as_of: AsOf,
    /// The poll that was answered that nothing is new.
    pub(crate) unchanged: Option<Unchanged>,
}

impl KnownSender {
    /// The poll that was told that nothing is new, byte by byte and signature and all: it was verified then, by this key.
    pub(crate) fn verified_before<'e>(&self, envelope: &'e DeviceEnvelope) -> Option<Verified<'e>> {
        envelope.known_by(&self.key, &self.unchanged?.proof)
    }
}

/// A poll that was answered that nothing is new.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unchanged {
    /// SHA-256 of all that the device said: its session, what it has, what it accepted.
    pub(crate) said: [u8; 32],
    /// By which the same, signed as it was, is known to be verified.
    pub(crate) proof: Proof,
    /// From the time of the answer until the first at which it may be another.
    pub(crate) from: UnixSeconds,
    pub(crate) until: UnixSeconds,
}

impl Unchanged {
    pub(crate) fn of(verified: &Verified<'_>, Range { start: from, end: until }: Range<UnixSeconds>) -> Self {
        Self { said: digest(verified.payload()), proof: verified.proof(), from, until }
    }

    /// Whether this is the same poll, at a time for which the same was decided.
    pub(crate) fn is_said_again(&self, verified: &Verified<'_>, now: UnixSeconds) -> bool {
        (self.from..self.until).contains(&now) && digest(verified.payload()) == self.said
    }
}

fn digest(payload: &[u8]) -> [u8; 32] {
    let mut said = [0; 32];
    said.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, payload).as_ref());
    said
}

/// Known senders, by their certificates.
pub struct Settled {
    parts: [Mutex<Bounded<CertDigest, KnownSender>>; PARTS],
    of: RandomState,
}

impl Default for Settled {
    fn default() -> Self {
        let parts = std::array::from_fn(|_| Mutex::new(Bounded::of(MOST)));
        Self { parts, of: RandomState::new() }
    }
}

impl Settled {
    pub(crate) fn of(&self, sender: &CertDigest) -> Option<KnownSender> {
        self.part(sender).get(sender).copied()
    }

    /// Remembers whose signature was good.
    pub(crate) fn keep(&self, sender: CertDigest, known: KnownSender) {
        self.part(&sender).put(sender, known);
    }

    /// The poll that was told that nothing is new was signed anew: it is known by that from now on. Whatever is remembered of the sender by now,
    /// what was verified stays so.
    pub(crate) fn signed_anew(&self, sender: CertDigest, verified: &Verified<'_>) {
        let proof = verified.proof();
        if let Some(before) = self.part(&sender).get_mut(&sender).and_then(|known| known.unchanged.as_mut()) {
            before.proof = proof;
        }
    }

    /// Forgets all: the next request of each reads again.
    pub fn forget(&self) {
        for part in &self.parts {
            part.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
    }

    fn part(&self, sender: &CertDigest) -> MutexGuard<'_, Bounded<CertDigest, KnownSender>> {
        let part = usize::try_from(self.of.hash_one(sender) % PARTS as u64).expect("less than the parts");
        // Whoever panicked had put a whole entry in, or none.
        self.parts[part].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use wire::envelope::seal_from_device;
    use wire::{Certificate, FileSigner};

    use super::*;

    /// AC-5: the poll that was told that nothing is new is known by its signature too: the one that it came under last.
    #[test]
    fn a_poll_is_known_by_the_signature_that_it_came_under_last() {
        let key = rcgen::KeyPair::generate().expect("a key");
        let cert = rcgen::CertificateParams::new(Vec::new()).and_then(|params| params.self_signed(&key));
        let cert = Certificate::from_der(cert.expect("signed").der()).expect("reads");
        let signer = FileSigner::from_der(&key.serialize_der()).expect("of P-256");
        let signed = || {
            let bytes = seal_from_device(b"as before", &cert, &signer).expect("signed");
            DeviceEnvelope::parse(&bytes).expect("ours")
        };
        let (first, second, sender) = (signed(), signed(), cert.digest());
        let (settled, as_of) = (Settled::default(), AsOf::FIRST);
        let verified = first.verify_by(cert.public_key()).expect("good");
        let (key, device) = (*cert.public_key(), DeviceId(uuid::Uuid::from_u128(1)));
        let known = |unchanged| KnownSender { key, device, as_of, unchanged };
        let knows = || {
            let known = settled.of(&sender).expect("kept");
            [&first, &second].map(|envelope| known.verified_before(envelope).is_some())
        };
        settled.keep(sender, known(None));
        assert_eq!(knows(), [false, false], "nothing was told yet");
        settled.keep(sender, known(Some(Unchanged::of(&verified, 0..9))));
        assert_eq!(knows(), [true, false]);
        settled.signed_anew(sender, &second.verify_by(cert.public_key()).expect("good"));
        assert_eq!(knows(), [false, true]);
    }
}
