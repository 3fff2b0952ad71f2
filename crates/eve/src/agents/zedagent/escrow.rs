//! What zedagent does for the escrow: it posts the bundle that vaultmgr sealed, and asks with what vaultmgr knows to be held. It reads none of it.
//! What fails is tried again after a pause: nothing else waits for it.

use std::time::{Duration, Instant};

use anyhow::anyhow;
use vault::escrow::BundleId;
use vault::ids::Generation;
use wire::attest::{AttestRequest, AttestResponse, StoreKeys, StoreKeysCode};
use wire::envelope;
use wire::escrow::SealedBundle;

use super::Zedagent;
use super::post::of_this_alone;
use crate::agents::failed::Failed;
use crate::bus::messages::{EscrowUpload, EscrowWish};

/// How soon the same bundle is posted again, where the controller does not say that it holds it. Each time twice as late: it may have no room, and a
/// bundle is up to 2.25 MiB.
const AGAIN: Duration = Duration::from_secs(30);
/// As late as that at most: an operator who made room waits no longer.
const AGAIN_AT_MOST: Duration = Duration::from_secs(16 * 60);
/// How soon the bundle is asked back again: an answer that gives none costs the controller more than an unchanged one.
const ASKED_AGAIN: Duration = Duration::from_secs(20);

/// What is to be done.
#[derive(Debug, Default)]
pub(super) struct Errand {
    wish: EscrowWish,
    posted: Option<Posted>,
    asked: Option<Instant>,
}

/// What was posted last.
#[derive(Debug, Clone, Copy)]
struct Posted {
    id: BundleId,
    at: Instant,
    /// How late it is posted again.
    pause: Duration,
}

impl Errand {
    /// Takes another wish. Says whether the controller is to be asked at once.
    pub(super) fn take(&mut self, wish: EscrowWish) -> bool {
        let asks = wish.rescue.is_some() && wish.rescue != self.wish.rescue;
        if asks {
            self.asked = None;
        }
        self.wish = wish;
        asks
    }

    /// The evidence was accepted: what was refused for want of it is asked again.
    pub(super) fn attested(&mut self) {
        self.asked = None;
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.wait(now).is_some_and(|wait| wait.is_zero())
    }

    /// How long until a bundle is to be posted; none where none is.
    pub(super) fn wait(&self, now: Instant) -> Option<Duration> {
        let upload = self.wish.upload.as_ref()?;
        let last = self.posted.filter(|posted| posted.id == upload.id).map(|posted| posted.at + posted.pause);
        Some(last.map_or(Duration::ZERO, |due| due.saturating_duration_since(now)))
    }

    /// It is posted now.
    fn post(&mut self, id: BundleId, now: Instant) {
        let before = self.posted.filter(|posted| posted.id == id);
        let pause = before.map_or(AGAIN, |posted| (posted.pause * 2).min(AGAIN_AT_MOST));
        self.posted = Some(Posted { id, at: now, pause });
    }

    /// What the controller is known to hold, and what is asked back now.
    pub(super) fn ask(&mut self, now: Instant) -> (Option<BundleId>, Option<Generation>) {
        let due = self.asked.is_none_or(|at| now.saturating_duration_since(at) >= ASKED_AGAIN);
        let rescue = self.wish.rescue.filter(|_| due);
        self.asked = if rescue.is_some() { Some(now) } else { self.asked };
        (self.wish.held, rescue)
    }
}

impl Zedagent<'_> {
    /// Posts the bundle, and says whether the controller took it.
    pub(super) fn post_bundle(&mut self, now: Instant) -> Result<bool, Failed> {
        let Some(EscrowUpload { id, place, enc, ciphertext }) = self.escrow.wish.upload.clone() else {
            return Ok(false);
        };
        self.escrow.post(id, now);
        let bundle = Some(SealedBundle { id, place: Some(place), enc: enc.0, ciphertext: ciphertext.0 });
        let keys = StoreKeys { integrity_token: Vec::new(), keys: Vec::new(), bundle };
        let answer = match of_this_alone(self.post("attest", &AttestRequest::StoreKeys(keys).encode()))? {
            Ok(answer) => answer,
            Err(refusal) => {
                tracing::warn!(bundle = %id, %refusal, "the controller takes no bundle");
                return Ok(false);
            }
        };
        let payload = envelope::open_from_controller(&answer.body, &self.known()?.certs)
            .map_err(anyhow::Error::from)?;
        match AttestResponse::decode(&payload).map_err(anyhow::Error::from)? {
            AttestResponse::StoreKeys(StoreKeysCode::Success) => Ok(true),
            AttestResponse::StoreKeys(code) => {
                tracing::warn!(bundle = %id, ?code, "the controller does not keep the bundle");
                Ok(false)
            }
            _ => Err(anyhow!("an answer on something else").into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::messages::Bytes;

    fn wish(digest: u8, rescue: Option<u32>) -> EscrowWish {
        let id = BundleId { generation: Generation(1), digest: [digest; 32] };
        let place = wire::escrow::UploadPlace { session: attest::SessionKey([1; 32]), number: 1 };
        let (enc, ciphertext) = (Bytes::default(), Bytes::default());
        let upload = Some(EscrowUpload { id, place, enc, ciphertext });
        EscrowWish { upload, held: Some(id), rescue: rescue.map(Generation) }
    }

    /// Issue 9, 2: a bundle is posted at once, the same again after a pause, another one at once.
    #[test]
    fn a_bundle_is_posted_at_once_and_the_same_not_over_and_over() {
        let now = Instant::now();
        let mut errand = Errand::default();
        assert!(!errand.is_due(now) && errand.wait(now).is_none());
        errand.take(wish(1, None));
        assert!(errand.is_due(now));
        let id = |errand: &Errand| errand.wish.upload.as_ref().expect("one").id;
        errand.post(id(&errand), now);
        assert_eq!((errand.is_due(now), errand.wait(now)), (false, Some(AGAIN)));
        assert!(errand.is_due(now + AGAIN));
        let mut at = now;
        for _ in 0..9 {
            at += errand.wait(at).expect("one is to be posted");
            errand.post(id(&errand), at);
        }
        assert_eq!(
            errand.wait(at),
            Some(AGAIN_AT_MOST),
            "a controller without room is not sent it twice a minute"
        );
        errand.take(wish(2, None));
        assert!(errand.is_due(at), "another one");
        errand.post(id(&errand), at);
        assert_eq!(errand.wait(at), Some(AGAIN));
    }

    /// It is asked back at once, then now and then, and at once when new evidence was accepted.
    #[test]
    fn a_bundle_is_asked_back_now_and_then() {
        let now = Instant::now();
        let mut errand = Errand::default();
        assert!(!errand.take(wish(1, None)) && errand.take(wish(1, Some(1))), "asks at once when it is new");
        assert!(!errand.take(wish(1, Some(1))));
        let asked = |errand: &mut Errand, at| errand.ask(at).1;
        assert_eq!(asked(&mut errand, now), Some(Generation(1)));
        assert_eq!(asked(&mut errand, now), None);
        errand.attested();
        assert_eq!(asked(&mut errand, now), Some(Generation(1)));
        assert_eq!(asked(&mut errand, now + ASKED_AGAIN), Some(Generation(1)));
    }
}
