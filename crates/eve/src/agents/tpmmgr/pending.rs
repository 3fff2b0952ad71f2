//! The challenge that is not answered yet: it waits for its session, or for a TPM that fails, as long as its nonce is good.
//! Pure: the time is an argument.

use std::time::{Duration, Instant};

use crate::bus::messages::{EvidenceWanted, Session};

/// The newest challenge and session.
#[derive(Default)]
pub(super) struct Pending {
    session: Option<Session>,
    asked: Option<(EvidenceWanted, Instant)>,
}

impl Pending {
    pub(super) fn session(&mut self, session: Session) {
        self.session = Some(session);
    }

    pub(super) fn challenge(&mut self, challenge: EvidenceWanted, now: Instant) {
        let good_for = Duration::from_secs(challenge.question.ttl_s.into());
        self.asked = Some((challenge, now + good_for));
    }

    /// What is to be answered now.
    pub(super) fn due(&mut self, now: Instant) -> Option<EvidenceWanted> {
        self.asked.take_if(|(_, end)| *end <= now);
        let (challenge, _) = self.asked.as_ref()?;
        self.session.filter(|session| session.key == challenge.session).and(Some(challenge.clone()))
    }

    /// Whether a challenge waits.
    pub(super) fn waits(&self) -> bool {
        self.asked.is_some()
    }

    /// It was.
    pub(super) fn answered(&mut self) {
        self.asked = None;
    }
}

#[cfg(test)]
mod tests {
    use attest::SessionKey;
    use wire::control::Challenge;

    use super::*;

    fn challenge(session: u8) -> EvidenceWanted {
        let pcrs = wire::control::PcrMask(1);
        let question =
            Challenge { nonce: [session; 32], ttl_s: 30, pcrs, wants_quote: true, wants_location: false };
        EvidenceWanted { session: SessionKey([session; 32]), question }
    }

    /// AC-4: a quote that failed is tried again while the controller would take it, for the session that asked, and once.
    #[test]
    fn ac4_a_challenge_waits_until_it_is_answered_or_too_old() {
        let (mut pending, start) = (Pending::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        pending.challenge(challenge(1), start);
        assert_eq!(pending.due(at(1)), None, "no session yet");
        pending.session(Session { key: SessionKey([2; 32]), lease: None });
        assert_eq!(pending.due(at(2)), None, "another session");
        pending.session(Session { key: SessionKey([1; 32]), lease: None });
        assert_eq!(pending.due(at(3)), Some(challenge(1)));
        assert_eq!(pending.due(at(29)), Some(challenge(1)), "not answered: again");
        pending.answered();
        assert_eq!(pending.due(at(29)), None, "once");
        pending.challenge(challenge(1), at(40));
        assert_eq!(pending.due(at(70)), None, "too old");
        assert_eq!(pending.due(at(60)), None, "and gone");
    }
}
