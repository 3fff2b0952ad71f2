//! The epochs of one vault at the controller (VC-3, VC-4, VC-6): which is current, which was published before it, which are over.
//! Pure: the keys themselves lie in the controller's store, and no epoch here carries any.
//! Invariant: at most two epochs may be released, and one that is over never may be again.

use crate::ids::Epoch;

/// What became of an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fate {
    /// The newest: what a node is to take.
    Current,
    /// The one published before: a node that missed the newest opens with it (VC-6).
    Last,
    /// Over: released only by an approved recovery, which is not built yet.
    Archived,
}

/// The epochs of one vault. The first is made with the vault; without rotation it is both current and last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Epochs {
    current: Epoch,
    last: Epoch,
}

/// Why stored numbers are no [`Epochs`]: the store is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "epochs current {current}, last {last} can't be: the last is the current one or the one before it, from 1 up"
)]
pub struct BadEpochs {
    current: Epoch,
    last: Epoch,
}

impl Epochs {
    /// Those of a new vault.
    #[must_use]
    pub fn first() -> Self {
        Self { current: Epoch::FIRST, last: Epoch::FIRST }
    }

    /// Reads back what was stored.
    ///
    /// # Errors
    /// When no sequence of rotations leads there.
    pub fn stored(current: Epoch, last: Epoch) -> Result<Self, BadEpochs> {
        let unrotated = current == Epoch::FIRST && last == current;
        let rotated = last >= Epoch::FIRST && last.0.checked_add(1) == Some(current.0);
        if unrotated || rotated { Ok(Self { current, last }) } else { Err(BadEpochs { current, last }) }
    }

    /// The newest epoch.
    #[must_use]
    pub fn current(&self) -> Epoch {
        self.current
    }

    /// The one published before it, or the same.
    #[must_use]
    pub fn last(&self) -> Epoch {
        self.last
    }

    /// One rotation: a new epoch is current, the present one is last, and the last is over.
    #[must_use]
    pub fn rotate(self) -> Self {
        Self { current: self.current.next(), last: self.current }
    }

    /// Whether a key of this epoch may leave the controller.
    #[must_use]
    pub fn may_release(&self, epoch: Epoch) -> bool {
        epoch == self.current || epoch == self.last
    }

    /// What became of an epoch; nothing for one that never was.
    #[must_use]
    pub fn fate(&self, epoch: Epoch) -> Option<Fate> {
        match epoch {
            e if e == self.current => Some(Fate::Current),
            e if e == self.last => Some(Fate::Last),
            e if e < self.last && e >= Epoch::FIRST => Some(Fate::Archived),
            _ => None,
        }
    }

    /// Whether the node has yet to take the current epoch: then the operation is Change Key (VC-2).
    #[must_use]
    pub fn is_behind(&self, reported: Option<Epoch>) -> bool {
        reported.is_some_and(|epoch| epoch != self.current)
    }

    /// Whether a node whose protector is at `reported` can open with what may be released (VC-6).
    #[must_use]
    pub fn can_open(&self, reported: Option<Epoch>) -> bool {
        reported.is_none_or(|epoch| self.may_release(epoch))
    }

    /// Whether a node whose protector is at `reported` can open after one more rotation too, whenever it comes back. One that has
    /// reported nothing may be at any epoch that went out.
    #[must_use]
    pub fn may_rotate(&self, reported: Option<Epoch>) -> bool {
        match reported {
            Some(_) => self.rotate().can_open(reported),
            None => self.current == self.last,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rotated(times: u64) -> Epochs {
        (0..times).fold(Epochs::first(), |epochs, _| epochs.rotate())
    }

    proptest! {
        /// VC-3: two at most, ever, and the same one twice exactly when there was no rotation.
        #[test]
        fn at_most_two_epochs_are_released(times in 0..200_u64) {
            let epochs = rotated(times);
            let out = (0..times + 5).filter(|&e| epochs.may_release(Epoch(e))).count();
            prop_assert_eq!(out, if times == 0 { 1 } else { 2 });
            prop_assert_eq!(epochs.current() == epochs.last(), times == 0);
        }

        /// VC-6: a node opens after missing one rotation, and after missing two it does not.
        #[test]
        fn a_node_may_miss_one_rotation_and_no_more(start in 0..100_u64, missed in 0..6_u64) {
            let held = Some(rotated(start).current());
            let epochs = rotated(start + missed);
            prop_assert_eq!(epochs.can_open(held), missed <= 1);
            prop_assert_eq!(epochs.is_behind(held), missed > 0);
            prop_assert_eq!(epochs.may_rotate(held), missed == 0);
            prop_assert_eq!(epochs.may_rotate(None), start + missed == 0);
        }

        /// What is over stays over, and stored numbers come back as they were.
        #[test]
        fn an_archived_epoch_never_returns(times in 2..100_u64, more in 0..20_u64) {
            let over = Epoch(rotated(times).last().0 - 1);
            let epochs = rotated(times + more);
            prop_assert_eq!(epochs.fate(over), Some(Fate::Archived));
            prop_assert!(!epochs.may_release(over));
            prop_assert_eq!(Epochs::stored(epochs.current(), epochs.last()), Ok(epochs));
        }
    }

    #[test]
    fn numbers_that_no_rotation_leads_to_are_refused() {
        for (current, last) in [(0, 0), (1, 0), (2, 2), (3, 1), (2, 3), (u64::MAX, 1)] {
            assert!(Epochs::stored(Epoch(current), Epoch(last)).is_err(), "{current} {last}");
        }
    }

    #[test]
    fn an_epoch_that_never_was_has_no_fate() {
        assert_eq!(Epochs::first().fate(Epoch(0)), None);
        assert_eq!(Epochs::first().fate(Epoch(2)), None);
    }
}
