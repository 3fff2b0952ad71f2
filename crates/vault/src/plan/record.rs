//! What the Config Vault's rest says of the record in it: it can be read while that vault is open, and not otherwise.

use super::{Next, Settled};
use crate::condition::State;

/// How the record stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordDoor {
    /// The Config Vault has opened: the record is to be read.
    Opened,
    /// It is open, and the record was read.
    Open,
    /// There is no Config Vault, and never was one.
    NoVault,
    /// It is closed, or it is not known whether there ever was one.
    Closed,
}

impl RecordDoor {
    /// By how the vault is, and how it came to rest. `was_read`: the record was, when the vault was at rest last. `roots_read`: while the share
    /// table was not read nobody knows whether the vault was ever made.
    #[must_use]
    pub fn of(state: State, next: &Next, was_read: bool, roots_read: bool) -> Self {
        let (told, settled) = match next {
            Next::Settled(Settled { state: told, .. }) => (*told, true),
            Next::Wait(_) | Next::Do(_) => (state, false),
        };
        match told {
            _ if settled && state == State::Unlocked && was_read => Self::Open,
            _ if settled && state == State::Unlocked => Self::Opened,
            State::Waiting | State::Creating if roots_read => Self::NoVault,
            _ => Self::Closed,
        }
    }

    /// Whether the vault is open.
    #[must_use]
    pub fn is_open(self) -> bool {
        matches!(self, Self::Opened | Self::Open)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Wait;

    /// seen-by-users 0.10: nothing is concluded from a Config Vault that may come back, and a record that was not read is read again.
    #[test]
    fn the_record_is_read_where_the_config_vault_opens_and_missed_where_there_never_was_one() {
        use State::{Creating, LockIncomplete, Locked, Missing, Unlocked, Waiting};
        let waits = Next::Wait(Wait::Tpm);
        let [opened, open, none, closed] =
            [RecordDoor::Opened, RecordDoor::Open, RecordDoor::NoVault, RecordDoor::Closed];
        for (state, next, was_read, roots_read, door) in [
            (Unlocked, Next::settled(Unlocked), false, true, opened),
            (Unlocked, Next::settled(Unlocked), true, true, open),
            (Unlocked, Next::settled(Unlocked), true, false, open),
            (Unlocked, waits.clone(), true, true, closed),
            (Waiting, waits.clone(), false, true, none),
            (Creating, waits.clone(), false, true, none),
            (Waiting, waits.clone(), false, false, closed),
            (Waiting, Next::settled(Missing), false, true, closed),
            (Locked, Next::settled(Locked), true, true, closed),
            (LockIncomplete, waits, true, true, closed),
            (Missing, Next::settled(Missing), false, true, closed),
        ] {
            let is = RecordDoor::of(state, &next, was_read, roots_read);
            assert_eq!(is, door, "{state:?} {next:?} {was_read} {roots_read}");
            assert_eq!(is.is_open(), matches!(door, RecordDoor::Opened | RecordDoor::Open));
        }
    }
}
