//! What zedagent does for the escrow: it posts the bundle that vaultmgr sealed, and asks with what vaultmgr knows to be held. It reads none of it.
//! What fails is tried again after a pause: nothing else waits for it.

use std::time::{Duration, Instant};

use anyhow::anyhow;
use vault::cause::Cause;
use vault::escrow::BundleId;
use vault::ids::Generation;
use wire::attest::{AttestRequest, AttestResponse, StoreKeys, StoreKeysCode};
use wire::control::Control;
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
/// As late as that at most, where what the controller holds did not help: each time twice as late, for up to 2.25 MiB come each time. An operator who
/// brought TPM and disk of one node together waits no longer.
const ASKED_AT_MOST: Duration = Duration::from_secs(320);

/// What is to be done.
#[derive(Debug, Default)]
pub(super) struct Errand {
    wish: EscrowWish,
    posted: Option<Posted>,
    asked: Option<Instant>,
    /// How often it was asked back and did not help, as far as the controller holds the same since.
    in_vain: u32,
    /// What the controller named last as what it holds.
    named: Option<BundleId>,
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
            self.begin_anew();
        }
        self.wish = wish;
        asks
    }

    /// The evidence was accepted: what was refused for want of it is asked again.
    pub(super) fn attested(&mut self) {
        self.begin_anew();
    }

    fn begin_anew(&mut self) {
        (self.asked, self.in_vain) = (None, 0);
    }

    /// What an answer says of the bundle: asked back again and again it is another's, or does not open. Says whether the controller is to be asked at
    /// once: it holds another one.
    pub(super) fn heard(&mut self, said: &Control) -> bool {
        let is_another = said.held_bundle.is_some_and(|id| self.named.replace(id) != Some(id));
        let answers = said.rescue.is_some() || said.no_rescue.is_some();
        let asks = is_another && !answers && self.wish.rescue.is_some();
        if is_another {
            self.in_vain = 0;
        }
        if asks {
            self.begin_anew();
        }
        let of_none = matches!(said.no_rescue, Some(Cause::NoBundle | Cause::BundleUnopened));
        self.in_vain += u32::from(said.rescue.is_some() || of_none);
        asks
    }

    /// How soon the bundle is asked back again.
    fn asked_again(&self) -> Duration {
        let twice = 1_u32.checked_shl(self.in_vain.saturating_sub(1)).unwrap_or(u32::MAX);
        ASKED_AGAIN.saturating_mul(twice).min(ASKED_AT_MOST)
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
        let due = self.asked.is_none_or(|at| now.saturating_duration_since(at) >= self.asked_again());
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

    fn says(held: Option<u8>, no_rescue: Option<Cause>) -> Control {
        Control {
            device: vault::ids::DeviceId(uuid::Uuid::from_u128(1)),
            session: attest::SessionKey([1; 32]),
            challenge: None,
            device_key: None,
            orders: vec![],
            as_of: None,
            lacks: String::new(),
            held_bundle: held.map(|digest| BundleId { generation: Generation(1), digest: [digest; 32] }),
            rescue: None,
            no_rescue,
            keeps_bundles: true,
            drill: None,
            send_again: false,
        }
    }

    /// One that is another disk's, or does not open.
    fn gives(held: Option<u8>) -> Control {
        let id = BundleId { generation: Generation(1), digest: [1; 32] };
        let rescue = SealedBundle { id, place: None, enc: vec![], ciphertext: vec![] };
        Control { rescue: Some(rescue), ..says(held, None) }
    }

    /// How long it is until the bundle is asked back again, three times, where each time so much is said.
    fn pauses(errand: &mut Errand, mut at: Instant, said: &Control) -> [u64; 6] {
        [(); 6].map(|()| {
            assert!(errand.ask(at).1.is_some());
            assert!(!errand.heard(said));
            let from = at;
            while errand.ask(at).1.is_none() {
                at += Duration::from_secs(1);
            }
            errand.asked = Some(from);
            (at - from).as_secs()
        })
    }

    /// UC-D: a bundle that does not help is asked back more and more seldom, up to a bound; where the controller decides on the evidence, or on this boot, it
    /// is asked as before, for an operator approves.
    #[test]
    fn a_bundle_that_does_not_help_is_asked_back_more_and_more_seldom() {
        let now = Instant::now();
        let rising = [20, 40, 80, 160, 320, 320];
        for (said, expected) in [
            (gives(None), rising),
            (says(None, Some(Cause::NoBundle)), rising),
            (says(None, Some(Cause::BundleUnopened)), rising),
            (says(None, Some(Cause::EvidenceWanted)), [20; 6]),
            (says(None, Some(Cause::DeviceLost)), [20; 6]),
        ] {
            let mut errand = Errand::default();
            errand.take(wish(1, Some(1)));
            assert_eq!(pauses(&mut errand, now, &said), expected, "{said:?}");
            errand.attested();
            assert_eq!(errand.ask(now).1, Some(Generation(1)), "at once, once evidence was accepted");
        }
    }

    /// Another bundle that the controller holds is asked for at once, and the same not, however often it is named.
    #[test]
    fn another_bundle_is_asked_back_at_once() {
        let now = Instant::now();
        let mut errand = Errand::default();
        errand.take(wish(1, Some(1)));
        pauses(&mut errand, now, &gives(Some(1)));
        assert!(!errand.heard(&says(Some(1), None)) && errand.ask(now).1.is_none(), "the same");
        assert!(errand.heard(&says(Some(2), None)));
        assert_eq!(errand.ask(now).1, Some(Generation(1)), "another one");
        assert!(!errand.heard(&gives(Some(2))));
        assert_eq!(errand.asked_again(), ASKED_AGAIN);
        errand.take(wish(1, None));
        assert!(!errand.heard(&says(Some(3), None)), "none is wanted");
    }
}
