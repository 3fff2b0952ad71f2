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

/// A poll that was answered that nothing is new.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unchanged {
    /// SHA-256 of all that the device said: its session, what it has, what it accepted.
    pub(crate) said: [u8; 32],
    /// From the time of the answer until the first at which it may be another.
    pub(crate) from: UnixSeconds,
    pub(crate) until: UnixSeconds,
}

impl Unchanged {
    pub(crate) fn of(payload: &[u8], Range { start: from, end: until }: Range<UnixSeconds>) -> Self {
        Self { said: digest(payload), from, until }
    }

    /// Whether this is the same poll, at a time for which the same was decided.
    pub(crate) fn is_said_again(&self, payload: &[u8], now: UnixSeconds) -> bool {
        (self.from..self.until).contains(&now) && digest(payload) == self.said
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
