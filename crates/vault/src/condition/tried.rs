//! Keys tried on the copies of a vault's key files: which of them opened which copy, what was damaged, and when it is tried again. `P` is the protector's own
//! key, `E` why a copy did not open for another cause than its key: both are the shell's.

use super::{MetaPlace, OpenedBy, Seen};
use crate::custody::Wrapping;

const PLACES: [MetaPlace; 2] = [MetaPlace::First, MetaPlace::Second];

/// What came of the keys so far.
#[derive(Debug)]
pub struct Tried<P, E> {
    /// Whether each copy looks whole: no other is tried.
    whole: [bool; 2],
    opened: [Option<Wrapping>; 2],
    /// A key opened its protector, and the rest is damaged.
    damaged: [bool; 2],
    protector: Option<P>,
    /// What was wrong with the last that did not open for another cause than its key.
    error: Option<E>,
    /// All such causes were damage: none that passes.
    only_damage: bool,
}

/// What came of all of them.
#[derive(Debug, PartialEq, Eq)]
pub enum Ended<P, E> {
    /// A key opened a copy, and which opened each.
    Opened(P, OpenedBy),
    /// None fits: they are not tried again before others are at hand.
    NoneFits,
    /// None opened, and for one copy that is not its key's fault.
    Failed {
        /// The last such cause.
        error: E,
        /// That is so until others are at hand: no such cause passes. Else the same are tried again.
        none_fits: bool,
    },
}

impl<P, E> Tried<P, E> {
    /// None yet, on what was seen.
    #[must_use]
    pub fn of(seen: &Seen) -> Self {
        let whole = [seen.first, seen.second].map(|copy| copy.hint().is_some());
        let (opened, damaged) = ([None; 2], [false; 2]);
        Self { whole, opened, damaged, protector: None, error: None, only_damage: true }
    }

    /// Tries one key on each copy that none has opened yet.
    pub fn with(
        &mut self,
        wrapping: Wrapping,
        is_damage: impl Fn(&E) -> bool,
        mut unwrap: impl FnMut(MetaPlace) -> Result<Option<P>, E>,
    ) {
        for (at, place) in PLACES.into_iter().enumerate() {
            if !self.whole[at] || self.opened[at].is_some() {
                continue;
            }
            match unwrap(place) {
                Ok(None) => {}
                Ok(Some(protector)) => {
                    self.opened[at] = Some(wrapping);
                    self.protector.get_or_insert(protector);
                }
                Err(error) => {
                    self.damaged[at] |= is_damage(&error);
                    self.only_damage &= is_damage(&error);
                    self.error = Some(error);
                }
            }
        }
    }

    /// Whether the right key is proved to be at hand, and no copy is left that it opens.
    #[must_use]
    pub fn leads_to_damage(&self) -> bool {
        self.protector.is_none() && self.whole.contains(&true) && self.damaged == self.whole
    }

    /// All that are at hand were tried. One copy that opens is enough, whatever is wrong with the other.
    #[must_use]
    pub fn ended(self) -> Ended<P, E> {
        let held = OpenedBy { first: self.opened[0], second: self.opened[1] };
        match (self.protector, self.error) {
            (Some(protector), _) => Ended::Opened(protector, held),
            (None, Some(error)) => Ended::Failed { error, none_fits: self.only_damage },
            (None, None) => Ended::NoneFits,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::condition::{Hint, MetaCopy};
    use crate::ids::Epoch;

    const LAST: Wrapping = Wrapping::Controller(Epoch(1));
    const CURRENT: Wrapping = Wrapping::Controller(Epoch(2));

    /// What a copy does with each of the two keys, the current one first.
    type Copy = [Result<Option<()>, &'static str>; 2];
    const OPENS_BY_LAST: Copy = [Ok(None), Ok(Some(()))];
    const OPENS: Copy = [Ok(Some(())), Err("is not tried")];
    const FITS_NONE: Copy = [Ok(None), Ok(None)];
    const DAMAGED: Copy = [Err("damaged"), Ok(None)];
    const UNREAD: Copy = [Err("unread"), Err("unread")];

    fn tried(copies: [Copy; 2], whole: [bool; 2]) -> Tried<(), &'static str> {
        let seen = whole.map(|whole| if whole { MetaCopy::Good(Hint::Unknown) } else { MetaCopy::Damaged });
        let mut tried = Tried::of(&Seen { first: seen[0], second: seen[1], ..Seen::default() });
        for (at, key) in [CURRENT, LAST].into_iter().enumerate() {
            tried.with(key, |error| *error == "damaged", |place| copies[place as usize][at]);
        }
        tried
    }

    /// Invariant 5: one copy that opens is enough; what failed in passing is tried again, and what no key at hand opens is not; damage under the right key is told
    /// where no copy is left.
    #[test]
    fn keys_are_tried_again_where_what_failed_may_pass() {
        let opened = |first, second| Ended::Opened((), OpenedBy { first, second });
        let failed = |error, none_fits| Ended::Failed { error, none_fits };
        let both = [true; 2];
        for (what, copies, whole, ended, damage) in [
            ("half changed", [OPENS, OPENS_BY_LAST], both, opened(Some(CURRENT), Some(LAST)), false),
            ("one unread", [UNREAD, OPENS], both, opened(None, Some(CURRENT)), false),
            ("one damaged", [OPENS_BY_LAST, DAMAGED], both, opened(Some(LAST), None), false),
            ("one not whole", [OPENS, OPENS], [false, true], opened(None, Some(CURRENT)), false),
            ("others' keys", [FITS_NONE; 2], both, Ended::NoneFits, false),
            ("no copy", [OPENS; 2], [false; 2], Ended::NoneFits, false),
            ("both damaged", [DAMAGED; 2], both, failed("damaged", true), true),
            ("the only one damaged", [DAMAGED, OPENS], [true, false], failed("damaged", true), true),
            ("another's beside", [DAMAGED, FITS_NONE], both, failed("damaged", true), false),
            ("one may read yet", [DAMAGED, UNREAD], both, failed("unread", false), false),
            ("none reads", [UNREAD; 2], both, failed("unread", false), false),
        ] {
            let tried = tried(copies, whole);
            assert_eq!((tried.leads_to_damage(), tried.ended()), (damage, ended), "{what}");
        }
    }
}
