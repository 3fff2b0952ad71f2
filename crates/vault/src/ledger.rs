//! The controller's side of the chain of sections: what it remembers of those that it sent to one device, and how it notices that
//! its database is an older copy, or one of two that live from the same copy. The node's side is [`crate::wanted::Chain`].
//! Digests and versions come from outside; nothing is hashed or stored here.

use serde::{Deserialize, Serialize};

use crate::ids::{Incarnation, SectionDigest, SectionVersion};

mod again;
mod mark;
mod orders;
mod poll;

pub use again::{Again, Number, Word};
pub use mark::{Asker, Mark, held_back};
pub use orders::place_of_order;
pub use poll::Poll;

/// Most sections that are remembered here as sent. Each is made in answer to a request that tells which one was accepted last, so more
/// than a few are never under way.
const MAX_SENT: usize = 32;
/// So many stay when there are more: those before them go to where all are kept, many at once, so that few answers write there.
const STAY: usize = MAX_SENT / 2;

/// A section that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// Its digest.
    pub digest: SectionDigest,
    /// The one that it says it follows.
    pub follows: Option<SectionDigest>,
    /// How many were sent before it when it first was: of those that are remembered, none but the first ones have the same.
    #[serde(default)]
    pub number: u64,
}

/// What is remembered of one device, in this incarnation.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Ledger {
    /// The section that the device told last as accepted.
    pub head: Option<SectionDigest>,
    /// Those sent, the latest last: also some before the head, for a node whose disk went back has one of these.
    pub sent: Vec<Sent>,
    /// Of a database of before there was a chain, until the device told what it had: the newest version that this may be. It may tell
    /// it after others were sent, for it looks into its own record later than it first asks, and its disk may go back.
    #[serde(default)]
    pub before_chain: Option<u64>,
    /// The newest section that the device ever told as accepted. Never forgotten: polls of before that are sent again, however many, have others
    /// sent in answer, and push all else out of what is remembered, but not this, which the device truly has.
    #[serde(default)]
    pub furthest: Option<Told>,
    /// The last place of this incarnation at which the device is, or may be, ordered to lock, though nothing was numbered so far: the next number
    /// is after it.
    #[serde(default)]
    pub ordered: Option<u64>,
}

/// A section that a device told as accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Its number.
    pub version: u64,
    /// Its digest.
    pub digest: SectionDigest,
}

/// How a controller knows that its database is older than what this device has accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
pub enum Older {
    /// The device is further on than this database ever was.
    #[error(
        "the device accepted version {reported} of its list of vaults, and this database has sent none after {own}"
    )]
    Behind {
        /// The device's.
        reported: u64,
        /// The database's.
        own: u64,
    },
    /// The device holds orders to lock at a place that this database never gave out.
    #[error(
        "the device was ordered to lock at place {place} of its lists of vaults, by another copy of this database, and this one got no further than {own}"
    )]
    Ordered {
        /// That of the orders.
        place: u64,
        /// The database's.
        own: u64,
    },
    /// The device accepted a section that this database never sent.
    #[error(
        "the device accepted a list of vaults that this database never sent: another copy of it is, or was, at work"
    )]
    Forked,
    /// The device accepted a section of an incarnation that this database knows nothing of: a new life of it takes it for one that was.
    #[error(
        "the device accepted a list of vaults of the database after it was begun anew, and this copy is from before that"
    )]
    #[serde(rename = "LaterLifeOf")]
    LaterLife(Incarnation),
    /// The same, as it was kept before it was kept of which one. Told again, it is.
    #[error(
        "the device accepted a list of vaults of the database after it was begun anew, and this copy is from before that"
    )]
    #[serde(rename = "LaterLife")]
    SomeLaterLife,
    /// No device showed it: the file of the database is another one than its controller left.
    #[error("the database was put back from a copy, and nobody said yet that it was gone through")]
    PutBack,
}

impl Ledger {
    /// Takes in what the device tells that it accepted last. `own` is the database's incarnation and the device's newest version in
    /// it, `past` those incarnations that it had before.
    ///
    /// # Errors
    /// [`Older`]: nothing may be numbered on, or released, to this device. [`Older::Forked`] is so only if this section is none of those
    /// that went out of here by [`Self::take_old`]: [`Self::after`] takes such a one in.
    pub fn hear(
        &mut self,
        own: SectionVersion,
        past: &[Incarnation],
        told: (SectionVersion, SectionDigest),
    ) -> Result<(), Older> {
        let (at, digest) = told;
        if at.incarnation != own.incarnation {
            return past.contains(&at.incarnation).then_some(()).ok_or(Older::LaterLife(at.incarnation));
        }
        if at.version > own.version {
            return Err(Older::Behind { reported: at.version, own: own.version });
        }
        let is_furthest = self.furthest.is_some_and(|furthest| furthest.digest == digest);
        let sent =
            is_furthest || self.head == Some(digest) || self.sent.iter().any(|sent| sent.digest == digest);
        // A database of before there was a chain: what the device has is where it begins.
        let begins = (self.head.is_none() && self.sent.is_empty())
            || self.before_chain.is_some_and(|newest| at.version <= newest);
        if !sent && !begins {
            return Err(Older::Forked);
        }
        if !sent {
            // Before all that was sent since; and there is one such.
            self.sent.insert(0, Sent { digest, follows: None, number: 0 });
            self.before_chain = None;
        }
        self.accepted(Told { version: at.version, digest });
        Ok(())
    }

    fn accepted(&mut self, told: Told) {
        self.head = Some(told.digest);
        if self.furthest.is_none_or(|furthest| furthest.version <= told.version) {
            self.furthest = Some(told);
        }
    }

    /// The device accepted a section that was sent before those that are remembered here: its disk went back, or its word is an old one
    /// that somebody sends again. Either way the next section follows that.
    fn went_back(&mut self, to: Told) {
        self.accepted(to);
    }

    /// Whether the device has to be told the same anew: it did not take what was sent last for the next one of its history.
    #[must_use]
    pub fn is_astray(&self) -> bool {
        let told = self.head.is_some();
        self.sent
            .last()
            .is_some_and(|last| told && Some(last.digest) != self.head && last.follows != self.head)
    }

    /// Remembers a section that is about to be sent, or sent again: then it is the latest, and takes no room twice.
    pub fn send(&mut self, digest: SectionDigest) {
        let same = |sent: &Sent| (sent.digest, sent.follows) == (digest, self.head);
        let before = self.sent.iter().position(same).map(|at| self.sent.remove(at));
        let anew = || Sent { digest, follows: self.head, number: self.newest_sent() + 1 };
        let sent = before.unwrap_or_else(anew);
        self.sent.push(sent);
    }

    /// The number of the newest section that was sent; 0 where none has one.
    fn newest_sent(&self) -> u64 {
        self.sent.iter().map(|sent| sent.number).max().unwrap_or_default()
    }

    /// The number of the section that the device accepted last, while that is remembered here.
    fn accepted_number(&self) -> Option<u64> {
        let head = self.head?;
        self.sent.iter().find(|sent| sent.digest == head).map(|sent| sent.number)
    }

    /// Takes out the oldest of those sent, once there are too many: to be kept elsewhere, so that they are known when a device tells them.
    pub fn take_old(&mut self) -> Vec<SectionDigest> {
        if self.sent.len() <= MAX_SENT {
            return Vec::new();
        }
        let old: Vec<_> = self.sent.drain(..self.sent.len() - STAY).collect();
        // The device may have the next one by now, and not have told it.
        let furthest = self.furthest.map(|furthest| furthest.digest);
        let next = old.iter().rev().find(|sent| furthest.is_some() && sent.follows == furthest).copied();
        self.sent.splice(..0, next);
        old.iter().filter(|sent| Some(**sent) != next).map(|sent| sent.digest).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(incarnation: u8, version: u64) -> SectionVersion {
        SectionVersion { incarnation: Incarnation([incarnation; 16]), version }
    }
    fn digest(byte: u8) -> SectionDigest {
        SectionDigest([byte; 32])
    }

    /// seen-by-users 0.1: what a device tells, and what it shows of the database.
    #[test]
    fn a_database_that_is_older_than_its_device_is_noticed() {
        let mut ledger = Ledger::default();
        ledger.send(digest(1));
        ledger.hear(at(1, 1), &[], (at(1, 1), digest(1))).expect("it was sent");
        ledger.send(digest(2));
        let copy = ledger.clone();
        ledger.send(digest(3));
        ledger
            .hear(at(1, 3), &[], (at(1, 3), digest(3)))
            .expect("one that was lost on the way is passed over");
        for (what, own, told, expected) in [
            ("further on", at(1, 2), at(1, 3), Older::Behind { reported: 3, own: 2 }),
            ("numbered past it", at(1, 9), at(1, 3), Older::Forked),
            ("a later life", at(1, 9), at(2, 1), Older::LaterLife(at(2, 1).incarnation)),
        ] {
            assert_eq!(copy.clone().hear(own, &[], (told, digest(3))), Err(expected), "{what}");
        }
        let anew = Ledger::default().hear(at(2, 1), &[at(1, 0).incarnation], (at(1, 3), digest(3)));
        assert_eq!(anew, Ok(()), "an operator began a new incarnation");
    }

    /// A node whose disk is an older copy, or that could not keep what it accepted, tells a section of before: it was sent by this database,
    /// so it is no sign that this is the older one, and the next section follows what the node has.
    #[test]
    fn a_node_that_went_back_is_followed() {
        let mut ledger = Ledger::default();
        for (number, version) in [(1, 1), (2, 2), (3, 3)] {
            ledger.send(digest(number));
            ledger.hear(at(1, version), &[], (at(1, version), digest(number))).expect("it was sent");
        }
        ledger.hear(at(1, 3), &[], (at(1, 1), digest(1))).expect("the node went back");
        assert!(ledger.is_astray(), "and has to be told anew");
        ledger.send(digest(4));
        assert_eq!(
            ledger.sent.last(),
            Some(&Sent { digest: digest(4), follows: Some(digest(1)), number: 4 })
        );
    }

    /// Those that it has no room for are given out, none is lost, and a device that has one of them is followed.
    #[test]
    fn what_a_ledger_has_no_room_for_is_given_out_and_taken_in_again() {
        let mut ledger = Ledger::default();
        let mut kept = Vec::new();
        for number in 0..100 {
            ledger.send(digest(number));
            kept.extend(ledger.take_old());
            assert!(ledger.sent.len() <= MAX_SENT, "{number}");
        }
        kept.extend(ledger.sent.iter().map(|sent| sent.digest));
        assert_eq!(kept, (0..100).map(digest).collect::<Vec<_>>(), "in their order");
        assert_eq!(ledger.hear(at(1, 100), &[], (at(1, 4), digest(3))), Err(Older::Forked), "not known here");
        ledger.went_back(Told { version: 4, digest: digest(3) });
        assert!(ledger.is_astray(), "and has to be told anew");
        ledger.send(digest(200));
        assert_eq!(
            ledger.sent.last(),
            Some(&Sent { digest: digest(200), follows: Some(digest(3)), number: 101 })
        );
        assert_eq!(ledger.hear(at(1, 101), &[], (at(1, 4), digest(3))), Ok(()), "it is known now");
    }

    /// Recorded polls, sent again in turn, have section after section sent, each in answer to a head of before. What the device truly has is
    /// known all the same when it tells it, and so is the section that it accepted since and did not tell yet.
    #[test]
    fn old_polls_push_out_nothing_that_a_device_truly_has() {
        let mut ledger = Ledger::default();
        for (number, version) in [(1, 1), (2, 2), (3, 3)] {
            ledger.send(digest(number));
            ledger.hear(at(1, version), &[], (at(1, version), digest(number))).expect("it was sent");
        }
        ledger.send(digest(4));
        for version in 5..5000u64 {
            let old = 1 + (version % 2) as u8;
            ledger.went_back(Told { version: old.into(), digest: digest(old) });
            let mut new = [9; 32];
            new[..8].copy_from_slice(&version.to_be_bytes());
            ledger.send(SectionDigest(new));
            drop(ledger.take_old());
            assert!(ledger.sent.len() <= MAX_SENT);
        }
        for (version, true_one) in [(3, 3), (4, 4)] {
            let told = (at(1, version), digest(true_one));
            assert_eq!(ledger.clone().hear(at(1, 5000), &[], told), Ok(()), "{version}");
        }
        ledger.hear(at(1, 5000), &[], (at(1, 3), digest(3))).expect("it is known");
        assert!(ledger.is_astray(), "and is told anew");
    }

    /// A mark of before, which does not say of which life, reads.
    #[test]
    fn a_mark_is_kept_with_the_life_that_was_told() {
        let marks = [
            (r#"{"Behind":{"reported":9,"own":7}}"#, Older::Behind { reported: 9, own: 7 }),
            (r#""Forked""#, Older::Forked),
            (r#"{"Ordered":{"place":9,"own":7}}"#, Older::Ordered { place: 9, own: 7 }),
            (r#""LaterLife""#, Older::SomeLaterLife),
            (r#""PutBack""#, Older::PutBack),
            (r#"{"LaterLifeOf":[2,2,2,2,2,2,2,2,2,2,2,2,2,2,2,2]}"#, Older::LaterLife(at(2, 1).incarnation)),
        ];
        for (text, mark) in marks {
            assert_eq!(serde_json::from_str::<Older>(text).expect(text), mark);
            assert_eq!(serde_json::to_string(&mark).expect(text), text);
        }
    }

    #[test]
    fn a_database_of_before_the_chain_begins_it_with_what_the_device_has() {
        let mut ledger = Ledger::default();
        ledger.hear(at(1, 7), &[], (at(1, 7), digest(7))).expect("taken over");
        assert_eq!(ledger.head, Some(digest(7)));
        let behind = Ledger::default().hear(at(1, 6), &[], (at(1, 7), digest(7)));
        assert_eq!(behind, Err(Older::Behind { reported: 7, own: 6 }), "and an older copy of it does not");
    }

    /// Invariant 4: its device asks before it has looked into its record, is sent a section, and only then tells what it had.
    #[test]
    fn a_device_of_before_the_chain_may_tell_what_it_had_after_it_was_sent_more() {
        let carried_over = Ledger { before_chain: Some(5), ..Ledger::default() };
        let hear = |ledger: &mut Ledger, told: u8, version| {
            ledger.hear(at(1, 9), &[], (at(1, version), digest(told)))
        };
        let mut ledger = carried_over.clone();
        ledger.send(digest(6));
        assert_eq!(hear(&mut ledger, 5, 5), Ok(()));
        assert!(ledger.is_astray(), "what was sent followed nothing, and is sent anew");
        ledger.send(digest(7));
        assert_eq!(hear(&mut ledger, 7, 6), Ok(()));
        assert_eq!(hear(&mut ledger, 4, 5), Err(Older::Forked), "one head of before, no more");
        let mut back = carried_over.clone();
        back.send(digest(6));
        assert_eq!(hear(&mut back, 6, 6), Ok(()));
        assert_eq!(hear(&mut back, 5, 5), Ok(()), "its disk went back");
        let mut other = carried_over;
        other.send(digest(6));
        assert_eq!(hear(&mut other, 8, 6), Err(Older::Forked), "newer than it was then, and not sent");
        let mut new = Ledger::default();
        new.send(digest(1));
        assert_eq!(hear(&mut new, 5, 1), Err(Older::Forked), "a database that always had a chain");
    }

    /// The same content goes out anew only when the device is elsewhere, and once for each place.
    #[test]
    fn a_section_is_sent_anew_to_a_device_that_is_elsewhere() {
        let mut ledger = Ledger::default();
        ledger.send(digest(1));
        assert!(!ledger.is_astray(), "it has told nothing");
        let mut elsewhere = Ledger { head: Some(digest(9)), ..ledger.clone() };
        assert!(elsewhere.is_astray(), "it did not take the first, which follows nothing");
        elsewhere.send(digest(2));
        assert!(!elsewhere.is_astray(), "this one follows what it has");
        ledger.hear(at(1, 1), &[], (at(1, 1), digest(1))).expect("sent");
        assert!(!ledger.is_astray(), "it has the latest");
    }
}
