//! What a report of a device's counts for at its controller. It is signed, and not fresh: whoever is on the way can send one again. It names a session and
//! its number in that. Only what the session says whose evidence stands is of the boot that was judged.

use attest::SessionKey;

/// A report's session, and its number in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The session.
    pub session: SessionKey,
    /// Each report of a session has a greater one than the one before.
    pub number: u64,
}

/// A report, and what is kept of its device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Said {
    /// Nothing: of a node that names none.
    pub place: Option<Place>,
    /// Another session followed that one.
    pub is_past: bool,
    /// The place of the newest report that was taken.
    pub newest: Option<Place>,
    /// The session whose evidence stands.
    pub stands: Option<SessionKey>,
}

/// What a report counts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// Its facts count, and its place is the newest from then on.
    Facts(Place),
    /// What it says is kept, and no more follows: the device never gave evidence, and of it no word is better than another.
    Word,
    /// It is shown, and what decides stays as it was: the session gave no evidence, and another one's stands.
    Shown,
}

/// Somebody sends it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stale {
    /// It is of a session that another one followed.
    Session,
    /// It is not newer than one that was taken.
    Report,
}

impl Said {
    /// # Errors
    /// [`Stale`].
    pub fn heard(self) -> Result<Heard, Stale> {
        let unproved = if self.stands.is_none() { Heard::Word } else { Heard::Shown };
        let Some(place) = self.place else { return Ok(unproved) };
        if self.is_past {
            return Err(Stale::Session);
        }
        let is_old = |newest: Place| newest.session == place.session && place.number <= newest.number;
        if self.newest.is_some_and(is_old) {
            return Err(Stale::Report);
        }
        Ok(if self.stands == Some(place.session) { Heard::Facts(place) } else { unproved })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: SessionKey = SessionKey([1; 32]);
    const NOW: SessionKey = SessionKey([2; 32]);

    fn at(session: SessionKey, number: u64) -> Option<Place> {
        Some(Place { session, number })
    }

    /// AC-2: what a report counts for, and which one is sent again.
    #[test]
    fn a_report_counts_by_the_session_whose_evidence_stands() {
        let said = Said { place: at(NOW, 8), is_past: false, newest: at(NOW, 7), stands: Some(NOW) };
        let facts = Ok(Heard::Facts(Place { session: NOW, number: 8 }));
        for (what, said, heard) in [
            ("the next one", said, facts),
            ("the first one", Said { newest: None, ..said }, facts),
            ("the first of its session", Said { newest: at(OLD, 90), ..said }, facts),
            ("the same once more", Said { newest: at(NOW, 8), ..said }, Err(Stale::Report)),
            ("an older one", Said { newest: at(NOW, 9), ..said }, Err(Stale::Report)),
            ("of a session that is over", Said { is_past: true, ..said }, Err(Stale::Session)),
            ("of one that gave none", Said { stands: Some(OLD), ..said }, Ok(Heard::Shown)),
            ("of a device that never gave any", Said { stands: None, ..said }, Ok(Heard::Word)),
            ("of no session", Said { place: None, ..said }, Ok(Heard::Shown)),
            ("of none, and of no session", Said { place: None, stands: None, ..said }, Ok(Heard::Word)),
            (
                "an older one, of a device that never gave any",
                Said { newest: at(NOW, 9), stands: None, ..said },
                Err(Stale::Report),
            ),
        ] {
            assert_eq!(said.heard(), heard, "{what}");
        }
    }
}
