//! What stays at hand of a vault that came to rest.

use crate::condition::State;

/// What stays; the rest of it is forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AtHand {
    /// Its protector's key, and that of its recovery, by which it is open: what was open, and is not, is opened by its custody again.
    pub keys: bool,
    /// Who holds its files.
    pub holders: bool,
}

impl AtHand {
    /// Of a vault that rests so, as it was seen last.
    #[must_use]
    pub fn of(state: State) -> Self {
        Self { keys: state == State::Unlocked, holders: state == State::LockIncomplete }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Invariant 5: no key is at hand of a vault that is not open, and nobody is named who holds one that is locked.
    #[test]
    fn what_is_not_open_keeps_no_key() {
        for (state, keys, holders) in [
            (State::Unlocked, true, false),
            (State::LockIncomplete, false, true),
            (State::Locked, false, false),
            (State::Missing, false, false),
            (State::Removed, false, false),
        ] {
            assert_eq!(AtHand::of(state), AtHand { keys, holders }, "{state}");
        }
    }
}
