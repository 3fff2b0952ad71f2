//! The mark of a device that showed its controller's database to be older than it: what it showed, and what was known of it then, so that a
//! mark that is false comes off by itself. A poll is signed and not fresh. One that tells a section which was sent so long ago that it is
//! forgotten looks like a fork, and whoever has it can send it. What only a node that follows this database can do is to accept a section
//! that was sent after the mark. The words are those of [`super`]. Nothing is stored here.

use attest::SessionKey;
use serde::{Deserialize, Serialize};

use super::{Ledger, Older};

/// Why nothing of a device ends by what this database says. Two things, and neither hides the other: each comes off by its own word alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "Kept", into = "Kept")]
pub struct Mark {
    /// What the device showed of this database.
    shown: Option<Shown>,
    /// The database was put back from a copy, and nobody went through it yet.
    put_back: bool,
    /// That the device is lost was said on this database: it is no word of a copy that may have been taken back since.
    lost: bool,
}

/// That a device was further on than this database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Shown {
    older: Older,
    /// What was known then. Only what an old poll can show as well has this.
    then: Option<Then>,
}

/// What was known of the device when it was marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Then {
    /// The session whose evidence stood; or the last one that a courier brought evidence of since, which proves as little.
    stood: Option<SessionKey>,
    /// The number of the newest section that had been sent.
    sent: u64,
}

/// As it is stored. A mark of before it was kept what was known is the bare word.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Kept {
    Word(Older),
    // Before the next, which would read it too, and not hear of its flag.
    Both {
        put_back: bool,
        older: Option<Older>,
        then: Option<Then>,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        lost: bool,
    },
    Known {
        older: Older,
        then: Then,
    },
}

/// Who asks: the session, and the one whose evidence stands.
#[derive(Debug, Clone, Copy)]
pub struct Asker {
    /// As the request names it.
    pub session: SessionKey,
    /// The session of the evidence that is kept.
    pub stands: Option<SessionKey>,
}

impl Mark {
    /// The mark once a device shows it: as it was, where it showed that before. It is made anew when the very session shows it whose evidence
    /// stands, since that one did not follow what it was sent; and where a mark of before knows too little. That the database was put back
    /// is shown by no device, and hides nothing that one showed; nor does what one shows hide that.
    #[must_use]
    pub fn shown(before: Option<Self>, older: Older, asker: Asker, ledger: &Ledger) -> Self {
        if older == Older::PutBack {
            return Self::held(before);
        }
        let (put_back, lost) = before.map_or((false, false), |before| (before.put_back, before.lost));
        let again = asker.stands == Some(asker.session);
        let shown = match before.and_then(|before| before.shown) {
            Some(before) if before.older == older && !before.knows_too_little() && !again => before,
            _ => {
                let then = Then { stood: asker.stands, sent: ledger.newest_sent() };
                Shown { older, then: (older == Older::Forked).then_some(then) }
            }
        };
        Self { shown: Some(shown), put_back, lost }
    }

    /// The mark of a device whose database was put back.
    #[must_use]
    pub fn held(before: Option<Self>) -> Self {
        let lost = before.is_some_and(|before| before.lost);
        Self { shown: before.and_then(|before| before.shown), put_back: true, lost }
    }

    /// What is left of it once the database was gone through.
    #[must_use]
    pub fn checked(self) -> Option<Self> {
        self.shown.map(|shown| Self { shown: Some(shown), put_back: false, lost: self.lost })
    }

    /// What is left of it once what the device showed is settled.
    #[must_use]
    pub fn settled(self) -> Option<Self> {
        self.put_back.then_some(Self { shown: None, ..self })
    }

    /// With whether an operator says on this database that the device is lost.
    #[must_use]
    pub fn with_lost(self, lost: bool) -> Self {
        Self { lost, ..self }
    }

    /// Whether a lost device is ordered to lock (decision 112). One that showed a newer list may have been found by the newest database, and a lock
    /// may close for good what is under its keys: that it is lost is to be said on this one.
    #[must_use]
    pub fn lets_lock(self) -> bool {
        self.shown.is_none() || self.lost
    }

    /// What the device showed; where it showed nothing, that the database was put back.
    #[must_use]
    pub fn older(self) -> Older {
        self.shown.map_or(Older::PutBack, |shown| shown.older)
    }

    /// What the device showed.
    #[must_use]
    pub fn was_shown(self) -> Option<Older> {
        self.shown.map(|shown| shown.older)
    }

    /// Whether the database was put back, and nobody went through it yet.
    #[must_use]
    pub fn is_put_back(self) -> bool {
        self.put_back
    }

    /// Whether a request that tells nothing of what its device accepted is answered all the same. A node without a TPM tells it once its
    /// record opens by a key of the controller's, which goes out to fresh evidence alone, in a section that follows what it accepted here: one
    /// that went further does not take that, and shows so.
    #[must_use]
    pub fn lets_ask(self, session: SessionKey) -> bool {
        !self.put_back && self.then().is_some_and(|then| then.stood != Some(session))
    }

    /// Whether what was shown comes off: evidence of a session came that had given none then, and the device accepted a section that was sent
    /// since. Each section names the one before it, so a node that went further elsewhere accepts none of those.
    #[must_use]
    pub fn is_over(self, asker: Asker, ledger: &Ledger) -> bool {
        let follows = |then: Then| ledger.accepted_number().is_some_and(|number| number > then.sent);
        asker.stands == Some(asker.session)
            && self.lets_ask(asker.session)
            && self.then().is_some_and(follows)
    }

    fn then(self) -> Option<Then> {
        self.shown.and_then(|shown| shown.then)
    }

    /// Evidence of a session came by a courier: its challenge may be days old, so it counts as if it had stood then.
    #[must_use]
    pub fn carried(self, session: SessionKey) -> Self {
        let carried = |then| Then { stood: Some(session), ..then };
        let shown = self.shown.map(|shown| Shown { then: shown.then.map(carried), ..shown });
        Self { shown, ..self }
    }
}

impl Shown {
    fn knows_too_little(self) -> bool {
        self.older == Older::Forked && self.then.is_none()
    }
}

/// Why nothing of a device ends by what its database says: by its own mark, or since all of the database was put back, which a device that was
/// registered since has no mark of. What it showed itself says more.
#[must_use]
pub fn held_back(mark: Option<Mark>, put_back: bool) -> Option<Older> {
    mark.map(Mark::older).or(put_back.then_some(Older::PutBack))
}

impl From<Older> for Mark {
    fn from(older: Older) -> Self {
        match older {
            Older::PutBack => Self::held(None),
            older => Self { shown: Some(Shown { older, then: None }), put_back: false, lost: false },
        }
    }
}

impl From<Kept> for Mark {
    fn from(kept: Kept) -> Self {
        match kept {
            Kept::Word(older) => older.into(),
            Kept::Both { put_back, older, then, lost } => {
                Self { shown: older.map(|older| Shown { older, then }), put_back, lost }
            }
            Kept::Known { older, then } => {
                Self { shown: Some(Shown { older, then: Some(then) }), put_back: false, lost: false }
            }
        }
    }
}

impl From<Mark> for Kept {
    fn from(Mark { shown, put_back, lost }: Mark) -> Self {
        let both = || {
            let (older, then) = shown.map_or((None, None), |shown| (Some(shown.older), shown.then));
            Self::Both { put_back, older, then, lost }
        };
        match (shown, put_back) {
            _ if lost => both(),
            (None, _) => Self::Word(Older::PutBack),
            (Some(_), true) => both(),
            (Some(Shown { older, then: Some(then) }), false) => Self::Known { older, then },
            (Some(Shown { older, then: None }), false) => Self::Word(older),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Incarnation, SectionDigest, SectionVersion};

    const STOOD: SessionKey = SessionKey([1; 32]);
    const NEWER: SessionKey = SessionKey([2; 32]);
    const BEFORE: SectionDigest = SectionDigest([7; 32]);
    const SINCE: SectionDigest = SectionDigest([8; 32]);

    fn by(session: SessionKey, stands: SessionKey) -> Asker {
        Asker { session, stands: Some(stands) }
    }

    /// A section was sent before the mark, and one after it.
    fn marked() -> (Mark, Ledger) {
        let mut ledger = Ledger::default();
        ledger.send(BEFORE);
        let mark = Mark::shown(None, Older::Forked, by(STOOD, STOOD), &ledger);
        ledger.send(SINCE);
        (mark, ledger)
    }

    fn accepted(ledger: &Ledger, digest: SectionDigest) -> Ledger {
        Ledger { head: Some(digest), ..ledger.clone() }
    }

    /// Seen-by-users 0b.9: what takes a false mark off, and all that does not.
    #[test]
    fn a_mark_comes_off_by_fresh_evidence_and_the_chain_alone() {
        let (mark, ledger) = marked();
        let fresh = by(NEWER, NEWER);
        for (what, mark, asker, head, over) in [
            ("a newer session, and a section of since", mark, fresh, Some(SINCE), true),
            ("a section of before", mark, fresh, Some(BEFORE), false),
            ("one that is remembered no more", mark, fresh, Some(SectionDigest([9; 32])), false),
            ("nothing accepted", mark, fresh, None, false),
            ("the session that stood", mark, by(STOOD, STOOD), Some(SINCE), false),
            ("a session that showed nothing", mark, by(NEWER, STOOD), Some(SINCE), false),
            ("one that another followed", mark, by(STOOD, NEWER), Some(SINCE), false),
            ("by a courier", mark.carried(NEWER), fresh, Some(SINCE), false),
            ("a mark of before", Older::Forked.into(), fresh, Some(SINCE), false),
        ] {
            assert_eq!(mark.is_over(asker, &Ledger { head, ..ledger.clone() }), over, "{what}");
        }
    }

    /// What no old poll shows comes off by no evidence: that database was put back.
    #[test]
    fn what_only_a_newer_database_shows_stays() {
        let (_, ledger) = marked();
        let life = Incarnation([3; 16]);
        let none = Ledger::default();
        for older in [
            Older::Behind { reported: 9, own: 7 },
            Older::LaterLife(life),
            Older::SomeLaterLife,
            Older::PutBack,
        ] {
            let mark = Mark::shown(None, older, by(STOOD, STOOD), &none);
            assert!(!mark.is_over(by(NEWER, NEWER), &accepted(&ledger, SINCE)), "{older:?}");
            assert!(!mark.lets_ask(NEWER), "{older:?}");
        }
    }

    /// A section of before that is sent once more is one of before.
    #[test]
    fn what_is_sent_again_was_sent_before() {
        let (mark, mut ledger) = marked();
        ledger.send(BEFORE);
        assert!(!mark.is_over(by(NEWER, NEWER), &accepted(&ledger, BEFORE)));
        assert!(mark.is_over(by(NEWER, NEWER), &accepted(&ledger, SINCE)));
    }

    /// An old poll that is sent again and again does not make the mark anew, so no node is kept shut by it; a node that truly is ahead is.
    #[test]
    fn only_the_session_that_stands_marks_anew() {
        let (mark, mut ledger) = marked();
        let again = |asker, ledger: &Ledger| Mark::shown(Some(mark), Older::Forked, asker, ledger);
        let old = SessionKey([0; 32]);
        assert_eq!(again(by(old, NEWER), &ledger), mark, "a replayed one");
        let anew = again(by(NEWER, NEWER), &ledger);
        assert!(mark.lets_ask(NEWER) && !anew.lets_ask(NEWER));
        ledger.hear(at(3), &[], (at(2), SINCE)).expect("it was sent");
        assert!(!anew.is_over(by(old, old), &ledger), "it was sent before that");
    }

    /// Decision 86: what a device shows does not hide that its database was put back, nor the other way; each comes off by its own word.
    #[test]
    fn two_marks_stand_beside_each_other() {
        let (forked, ledger) = marked();
        let (behind, put_back) = (Older::Behind { reported: 9, own: 7 }, Older::PutBack);
        let show = |before, older| Mark::shown(before, older, by(NEWER, NEWER), &ledger);
        let (one, other) = (show(Some(put_back.into()), behind), show(Some(behind.into()), put_back));
        assert_eq!(one, other, "in whichever order");
        assert!(one.is_put_back() && one.was_shown() == Some(behind) && one.older() == behind);
        assert_eq!((one.settled(), one.checked()), (Some(put_back.into()), Some(behind.into())));
        assert_eq!(one.settled().and_then(Mark::checked), None);
        assert_eq!(one.checked().and_then(Mark::settled), None);
        let held = Mark::held(Some(forked));
        assert!(!held.lets_ask(NEWER) && !held.is_over(by(NEWER, NEWER), &accepted(&ledger, SINCE)));
        assert_eq!(held.checked(), Some(forked), "as it was");
        for mark in [one, held] {
            let text = serde_json::to_string(&mark).expect("writes");
            assert_eq!(serde_json::from_str::<Mark>(&text).expect("reads"), mark, "{text}");
        }
    }

    /// A device that was registered since the database was put back has no mark of that, and is held back all the same.
    #[test]
    fn a_database_that_was_put_back_holds_all_back() {
        let behind = Older::Behind { reported: 9, own: 7 };
        for (mark, put_back, expected) in [
            (None, false, None),
            (None, true, Some(Older::PutBack)),
            (Some(behind), true, Some(behind)),
            (Some(behind), false, Some(behind)),
        ] {
            assert_eq!(held_back(mark.map(Mark::from), put_back), expected);
        }
    }

    /// Decision 112: by a copy alone a device that shows a newer list is not locked; said on it, it is, whatever else comes to the mark.
    #[test]
    fn a_lost_device_that_is_ahead_is_locked_where_that_is_said_on_this_database() {
        let (mark, ledger) = marked();
        assert!(!mark.lets_lock() && Mark::held(None).lets_lock(), "a copy that shows no newer list locks");
        let said = Mark::held(None).with_lost(true);
        let shown = Mark::shown(Some(said), Older::Forked, by(NEWER, STOOD), &ledger);
        for mark in [mark.with_lost(true), said, shown, Mark::held(Some(mark.with_lost(true)))] {
            assert!(mark.lets_lock(), "{mark:?}");
            let text = serde_json::to_string(&mark).expect("writes");
            assert_eq!(serde_json::from_str::<Mark>(&text).expect("reads"), mark, "{text}");
        }
        assert!(!shown.with_lost(false).lets_lock(), "found");
    }

    fn at(version: u64) -> SectionVersion {
        SectionVersion { incarnation: Incarnation([1; 16]), version }
    }

    /// A mark of before reads, and becomes one that can come off when it is shown the next time.
    #[test]
    fn marks_of_before_read() {
        let (mark, ledger) = marked();
        let text = serde_json::to_string(&mark).expect("writes");
        assert_eq!(serde_json::from_str::<Mark>(&text).expect("reads"), mark);
        for older in
            [Older::Behind { reported: 9, own: 7 }, Older::Forked, Older::SomeLaterLife, Older::PutBack]
        {
            let text = serde_json::to_string(&older).expect("writes");
            let read: Mark = serde_json::from_str(&text).expect("reads");
            assert_eq!((read, serde_json::to_string(&read).expect("writes")), (older.into(), text));
        }
        let shown = Mark::shown(Some(Older::Forked.into()), Older::Forked, by(NEWER, STOOD), &ledger);
        assert!(shown.lets_ask(NEWER));
    }
}
