//! What is said to a poll: what may be said of what was read, and what is written down before. Nothing that takes a number or a key goes out
//! without having been written.

use crate::decide::ChallengeWay;

/// A poll, held against what was drafted for it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HeldAgainst {
    /// Something of it takes a number: [`Draft::says_more`](super::Draft::says_more).
    pub is_new: bool,
    /// The device tells that it has what would be said.
    pub has_it: bool,
    /// It tells that it accepted what was not known of as accepted.
    pub accepts: bool,
    /// It is to be asked to try its bundle in escrow, which is noted before.
    pub drills: bool,
    /// There is something else to be said of that bundle.
    pub of_bundle: bool,
}

/// What is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Saying {
    /// Nothing.
    Nothing,
    /// Nothing, once it is kept what the device accepted.
    Accepted,
    /// That it has its section, with what stands beside it. Nothing is written.
    Beside,
    /// What stands in the section's place. Nothing is written: what the device accepted it tells again with its next poll.
    InPlace,
    /// All of it, once it is written down.
    Written,
}

impl Saying {
    /// What is said where the challenge goes out so.
    #[must_use]
    pub fn of(challenge: ChallengeWay, poll: HeldAgainst) -> Self {
        let HeldAgainst { is_new, has_it, accepts, drills, of_bundle } = poll;
        if is_new || drills {
            return Self::Written;
        }
        match challenge {
            ChallengeWay::InPlace => Self::InPlace,
            ChallengeWay::None if has_it && !of_bundle && accepts => Self::Accepted,
            ChallengeWay::None if has_it && !of_bundle => Self::Nothing,
            ChallengeWay::None | ChallengeWay::Beside if has_it && !accepts => Self::Beside,
            ChallengeWay::None | ChallengeWay::Beside => Self::Written,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// AC-1, AC-2: which poll is answered without a write, by each way that a challenge goes.
    #[test]
    fn what_is_said_to_a_poll() {
        use ChallengeWay::{Beside, InPlace, None};
        let poll = HeldAgainst::default();
        let has = HeldAgainst { has_it: true, ..poll };
        for (what, poll, none, beside, in_place) in [
            ("what it has not", poll, Saying::Written, Saying::Written, Saying::InPlace),
            ("what it has", has, Saying::Nothing, Saying::Beside, Saying::InPlace),
            (
                "what it has, and accepted now",
                HeldAgainst { accepts: true, ..has },
                Saying::Accepted,
                Saying::Written,
                Saying::InPlace,
            ),
            (
                "a word on its bundle",
                HeldAgainst { of_bundle: true, ..has },
                Saying::Beside,
                Saying::Beside,
                Saying::InPlace,
            ),
            (
                "the same, and accepted now",
                HeldAgainst { of_bundle: true, accepts: true, ..has },
                Saying::Written,
                Saying::Written,
                Saying::InPlace,
            ),
            (
                "accepted, and what it has not",
                HeldAgainst { accepts: true, ..poll },
                Saying::Written,
                Saying::Written,
                Saying::InPlace,
            ),
            (
                "what is new",
                HeldAgainst { is_new: true, ..has },
                Saying::Written,
                Saying::Written,
                Saying::Written,
            ),
            (
                "a drill",
                HeldAgainst { drills: true, ..has },
                Saying::Written,
                Saying::Written,
                Saying::Written,
            ),
        ] {
            let said = [None, Beside, InPlace].map(|way| Saying::of(way, poll));
            assert_eq!(said, [none, beside, in_place], "{what}");
        }
    }
}
