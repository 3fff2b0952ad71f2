//! What a poll shows of the database that answers it. It is the one rule against an old database that would delete, or give out, what its device
//! is past: nothing is numbered on a ledger that this does not hand out. The words are those of [`super`].

use attest::SessionKey;

use super::{Ledger, Mark, Older, Told};
use crate::decide::TpmPin;
use crate::ids::{DeviceId, Incarnation, SectionVersion};
use crate::wanted::{Head, OrderedAt};

/// A poll, and what is kept of its device beside the ledger.
#[derive(Debug, Clone, Copy)]
pub struct Poll {
    /// The device, as it is registered here.
    pub device: DeviceId,
    /// Whether it has a TPM.
    pub tpm: TpmPin,
    /// The session that asks.
    pub session: SessionKey,
    /// The section that it tells as accepted last.
    pub head: Option<Head>,
    /// Where the orders to lock that it holds stand.
    pub ordered: Option<OrderedAt>,
    /// That section is one of those that went out of the ledger by [`Ledger::take_old`]. It is asked only where the answer is
    /// [`Older::Forked`] without it.
    pub sent_before: bool,
    /// What the device showed before.
    pub mark: Option<Mark>,
    /// The database was put back from a copy, and nobody went through it yet.
    pub put_back: bool,
}

impl Poll {
    /// What another device accepted (this one, before it was registered anew) is for the node to judge.
    fn own_head(&self) -> Option<Head> {
        self.head.filter(|head| head.device == self.device)
    }

    fn own_ordered(&self) -> Option<SectionVersion> {
        self.ordered.filter(|at| at.device == self.device).map(|at| at.version)
    }

    /// A node with a TPM has its record open before it asks: it tells nothing where the record is gone.
    fn is_shut_by(&self, mark: Mark) -> bool {
        self.tpm != TpmPin::Absent || !mark.lets_ask(self.session)
    }
}

impl Ledger {
    /// The ledger once it took in a poll. `own` and `past` are those of [`Self::hear`]. A node that tells nothing, since it can't read its record
    /// yet, sees for itself whether a section follows what it accepted.
    ///
    /// # Errors
    /// [`Older`]: how the device shows, or showed before, that this database is older; else that it was put back, and so that its operators'
    /// words on the device may not all be here. Nothing may be numbered on, or released, to the device.
    pub fn after(&self, own: SectionVersion, past: &[Incarnation], poll: &Poll) -> Result<Self, Older> {
        let shown = match (poll.own_head(), poll.mark) {
            (Some(head), _) => self.told(own, past, (head, poll.sent_before)),
            (None, Some(mark)) if poll.is_shut_by(mark) => Err(mark.older()),
            (None, _) => Ok(self.clone()),
        };
        let after = shown?;
        poll.own_ordered().map_or(Ok(()), |at| self.hear_ordered(own, past, at))?;
        if poll.put_back { Err(Older::PutBack) } else { Ok(after) }
    }

    fn told(
        &self,
        own: SectionVersion,
        past: &[Incarnation],
        (head, sent_before): (Head, bool),
    ) -> Result<Self, Older> {
        let mut after = self.clone();
        match after.hear(own, past, (head.version, head.digest)) {
            Err(Older::Forked) if sent_before => {
                after.went_back(Told { version: head.version.version, digest: head.digest });
            }
            heard => heard?,
        }
        Ok(after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::SectionDigest;
    use crate::ledger::Asker;

    const DEVICE: DeviceId = DeviceId(uuid::Uuid::from_u128(1));
    const STOOD: SessionKey = SessionKey([1; 32]);
    const NEWER: SessionKey = SessionKey([2; 32]);
    const PAST: [Incarnation; 1] = [Incarnation([7; 16])];

    fn at(version: u64) -> SectionVersion {
        SectionVersion { incarnation: Incarnation([1; 16]), version }
    }
    fn digest(byte: u8) -> SectionDigest {
        SectionDigest([byte; 32])
    }
    fn head(version: u64, byte: u8) -> Option<Head> {
        Some(Head { device: DEVICE, version: at(version), digest: digest(byte) })
    }

    /// Two were sent, and the first was accepted.
    fn ledger() -> Ledger {
        let mut ledger = Ledger::default();
        ledger.send(digest(1));
        ledger.hear(at(1), &PAST, (at(1), digest(1))).expect("it was sent");
        ledger.send(digest(2));
        ledger
    }

    fn marked(older: Older) -> Option<Mark> {
        Some(Mark::shown(None, older, Asker { session: STOOD, stands: Some(STOOD) }, &ledger()))
    }

    const NOTHING_TOLD: Poll = Poll {
        device: DEVICE,
        tpm: TpmPin::Present,
        session: NEWER,
        head: None,
        ordered: None,
        sent_before: false,
        mark: None,
        put_back: false,
    };

    /// Seen-by-users 0.1, 0b.9; decision 86: what is taken in, and what shuts a device out. What a device shows says more than that all was put back.
    #[test]
    fn a_poll_is_taken_in_or_shows_that_the_database_is_older() {
        let (told, behind) = (head(2, 2), Older::Behind { reported: 3, own: 2 });
        let elsewhere = Head { device: DeviceId(uuid::Uuid::from_u128(2)), ..head(9, 9).expect("one") };
        let was = head(1, 1);
        let forked = marked(Older::Forked);
        let poll = NOTHING_TOLD;
        let ordered = |version| Some(OrderedAt { device: DEVICE, version: at(version) });
        let elsewhere_ordered = ordered(9).map(|at| OrderedAt { device: elsewhere.device, ..at });
        let other_copy = Older::Ordered { place: 3, own: 2 };
        let absent = Poll { tpm: TpmPin::Absent, ..poll };
        for (what, poll, expected) in [
            ("nothing", poll, Ok(1)),
            ("what was sent last", Poll { head: told, ..poll }, Ok(2)),
            ("what it had", Poll { head: was, ..poll }, Ok(1)),
            ("what it had as another device", Poll { head: Some(elsewhere), ..poll }, Ok(1)),
            ("further on", Poll { head: head(3, 3), ..poll }, Err(behind)),
            ("never sent", Poll { head: head(2, 9), ..poll }, Err(Older::Forked)),
            ("sent long ago", Poll { head: head(2, 9), sent_before: true, ..poll }, Ok(9)),
            ("sent, and further on", Poll { head: head(3, 3), sent_before: true, ..poll }, Err(behind)),
            ("ordered here", Poll { head: told, ordered: ordered(2), ..poll }, Ok(2)),
            ("ordered by another", Poll { head: told, ordered: ordered(3), ..poll }, Err(other_copy)),
            ("the same, and nothing accepted", Poll { ordered: ordered(3), ..poll }, Err(other_copy)),
            ("ordered as another device", Poll { head: told, ordered: elsewhere_ordered, ..poll }, Ok(2)),
            (
                "ordered by another, and put back",
                Poll { ordered: ordered(3), put_back: true, ..poll },
                Err(other_copy),
            ),
            ("marked, and nothing told", Poll { mark: forked, ..poll }, Err(Older::Forked)),
            ("the same without a TPM", Poll { mark: forked, ..absent }, Ok(1)),
            (
                "not known whether with one",
                Poll { mark: forked, tpm: TpmPin::Unknown, ..poll },
                Err(Older::Forked),
            ),
            (
                "by the session that stood",
                Poll { mark: forked, session: STOOD, ..absent },
                Err(Older::Forked),
            ),
            ("what no old poll shows", Poll { mark: marked(behind), ..absent }, Err(behind)),
            (
                "marked, as another device",
                Poll { mark: forked, head: Some(elsewhere), ..poll },
                Err(Older::Forked),
            ),
            ("marked, and what was sent", Poll { mark: forked, head: told, ..poll }, Ok(2)),
            ("put back", Poll { put_back: true, ..poll }, Err(Older::PutBack)),
            ("put back, and what was sent", Poll { put_back: true, head: told, ..poll }, Err(Older::PutBack)),
            (
                "put back, and sent long ago",
                Poll { put_back: true, head: head(2, 9), sent_before: true, ..poll },
                Err(Older::PutBack),
            ),
            ("put back, and further on", Poll { put_back: true, head: head(3, 3), ..poll }, Err(behind)),
            ("put back, and marked", Poll { put_back: true, mark: forked, ..poll }, Err(Older::Forked)),
        ] {
            let after = ledger().after(at(2), &PAST, &poll).map(|after| after.head);
            assert_eq!(after, expected.map(|head| Some(digest(head))), "{what}");
        }
    }
}
