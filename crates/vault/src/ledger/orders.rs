//! Orders to lock in the chain of a device. They take places among its sections, and are no links: no section that the device tells as accepted
//! shows how far a controller's database was that gave them. So the device tells the place of those that it holds. The words are those of [`super`].

use super::{Ledger, Older};
use crate::draft::DraftDigest;
use crate::ids::{Incarnation, SectionVersion};

/// No place is believed to be further on: a device that tells one can't use up the numbers of its sections.
const FURTHEST: u64 = 1 << 62;

/// The place of an order to lock from a database that is, or may be, older than its device: after all that the device accepted, as far as it
/// told, so that the node does not take it for one that is over. It numbers nothing: a section of the newest database, further on, lifts it.
#[must_use]
pub fn place_of_order(
    own: SectionVersion,
    past: &[Incarnation],
    told: Option<SectionVersion>,
    shown: Option<Older>,
) -> SectionVersion {
    let shown = if let Some(Older::Behind { reported, .. }) = shown { reported } else { 0 };
    let here = own.version.max(shown);
    let (incarnation, newest) = match told {
        Some(at) if at.incarnation == own.incarnation => (own.incarnation, here.max(at.version)),
        Some(at) if !past.contains(&at.incarnation) => (at.incarnation, at.version),
        _ => (own.incarnation, here),
    };
    SectionVersion { incarnation, version: newest.saturating_add(1) }
}

impl Ledger {
    /// Holds the place of the orders that a device tells against what was numbered and given here.
    ///
    /// # Errors
    /// [`Older`]: another copy of this database gave them, and what its operator said of the device may not be here.
    pub(super) fn hear_ordered(
        &self,
        own: SectionVersion,
        past: &[Incarnation],
        at: SectionVersion,
    ) -> Result<(), Older> {
        if at.incarnation != own.incarnation {
            return past.contains(&at.incarnation).then_some(()).ok_or(Older::LaterLife(at.incarnation));
        }
        let given = self.ordered.map_or(own.version, |ordered| ordered.max(own.version));
        let shown = Older::Ordered { place: at.version, own: own.version };
        (at.version <= given).then_some(()).ok_or(shown)
    }

    /// Orders of this place are given, and nothing is numbered for them. Of another life no number here comes after them.
    pub fn give_order(&mut self, own: SectionVersion, at: SectionVersion) {
        if at.incarnation == own.incarnation && at.version > own.version {
            self.ordered = self.ordered.max(Some(at.version));
        }
    }

    /// An operator says that this database is the newest: what it did not give counts as given. Says whether that is anything new.
    pub fn settle(&mut self, shown: Older) -> bool {
        let Older::Ordered { place, .. } = shown else { return false };
        let before = self.ordered;
        self.ordered = before.max(Some(place.min(FURTHEST)));
        self.ordered != before
    }

    /// What was numbered last, for what is to be numbered: nothing, while the device is or may be ordered to lock at a later place. No section of
    /// an earlier number takes that back.
    #[must_use]
    pub fn said_last(&self, (version, last): (u64, Option<DraftDigest>)) -> Option<DraftDigest> {
        last.filter(|_| self.ordered.is_none_or(|ordered| ordered < version))
    }

    /// The number after this one, and after every order.
    #[must_use]
    pub fn next_number(&self, version: u64) -> u64 {
        self.ordered.map_or(version, |ordered| ordered.max(version)).saturating_add(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(incarnation: u8, version: u64) -> SectionVersion {
        SectionVersion { incarnation: Incarnation([incarnation; 16]), version }
    }

    /// A lost device is to lock: an order's place is after all that the device may have accepted, also of a later life.
    #[test]
    fn an_order_stands_after_all_that_the_device_accepted() {
        let own = at(1, 7);
        let behind = Older::Behind { reported: 12, own: 7 };
        for (told, mark, expected) in [
            (None, None, at(1, 8)),
            (Some(at(1, 5)), None, at(1, 8)),
            (Some(at(1, 9)), None, at(1, 10)),
            (None, Some(behind), at(1, 13)),
            (Some(at(2, 3)), None, at(2, 4)),
            (Some(at(0, 30)), None, at(1, 8)),
        ] {
            let past = [Incarnation([0; 16])];
            assert_eq!(place_of_order(own, &past, told, mark), expected, "{told:?} {mark:?}");
        }
    }

    /// An older copy gave orders while the newest database was away, or a newer one while this was: whichever it was, this did not give them.
    #[test]
    fn orders_that_this_database_did_not_give_are_noticed() {
        let past = [Incarnation([0; 16])];
        let mut gave = Ledger::default();
        gave.give_order(at(1, 7), at(1, 8));
        let none = Ledger::default();
        for (what, ledger, told, expected) in [
            ("its own, numbered", &none, at(1, 7), Ok(())),
            ("its own, of before", &none, at(1, 3), Ok(())),
            ("of no number, given here", &gave, at(1, 8), Ok(())),
            ("of another copy", &none, at(1, 8), Err(Older::Ordered { place: 8, own: 7 })),
            ("after those given here", &gave, at(1, 9), Err(Older::Ordered { place: 9, own: 7 })),
            ("of a life that is over", &none, at(0, 30), Ok(())),
            ("of a later life", &none, at(2, 1), Err(Older::LaterLife(at(2, 1).incarnation))),
        ] {
            assert_eq!(ledger.hear_ordered(at(1, 7), &past, told), expected, "{what}");
        }
    }

    /// What is numbered next is after every order, also where it says the same as what was numbered last; then the same is not new any more.
    #[test]
    fn the_next_number_is_after_every_order() {
        let (said, mut ledger) = (Some([7; 32]), Ledger::default());
        assert_eq!((ledger.said_last((7, said)), ledger.next_number(7)), (said, 8));
        assert!(ledger.settle(Older::Ordered { place: 12, own: 7 }));
        assert!(!ledger.settle(Older::Ordered { place: 12, own: 7 }), "once");
        for version in [7, 12] {
            assert_eq!((ledger.said_last((version, said)), ledger.next_number(version)), (None, 13));
        }
        assert_eq!((ledger.said_last((13, said)), ledger.next_number(13)), (said, 14));
        ledger.give_order(at(1, 13), at(1, 10));
        assert_eq!(ledger.ordered, Some(12), "it never goes back");
        ledger.give_order(at(1, 13), at(2, 40));
        assert_eq!(ledger.ordered, Some(12), "of another life");
        assert!(ledger.settle(Older::Ordered { place: u64::MAX, own: 13 }));
        assert_eq!(ledger.next_number(13), FURTHEST + 1, "and numbers are left");
    }
}
