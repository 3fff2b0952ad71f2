//! Orders of root on the node: which of them is taken, and when; what one to make a vault anew gives up; and what has become of each. They only take
//! away from what the controller wants, or mend what is missing. The shell looks, asks here, and does.

mod became;
mod turn;

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use became::{Awaited, Became, Now};
pub use turn::{Heard, OrderQueue, Pause, Turn, turn};

use crate::condition::State;
use crate::ids::{CONFIG_VAULT, VaultId};

/// The longest that an order may have waited: then whoever gave it has given up, or is about to (after 120 s).
pub const GIVEN_UP: Duration = Duration::from_secs(110);

/// What an order is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderKind {
    /// Open it, if the controller does not want it locked.
    Unlock,
    /// Lock it until it is ordered open again, or the node boots anew.
    Lock,
    /// Open it by its recovery key.
    Recover,
    /// Make it anew, empty: it is missing.
    Recreate,
}

/// Why an order is not carried out at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Untaken {
    /// The disk went.
    DiskAway,
    /// Nobody waits for it any more.
    OutOfDate,
    /// The node's own agents live in the Config Vault.
    ConfigInUse,
}

/// Whether an order that was given so long ago is carried out. What is held of a disk that went locks, and nothing else is done by its paths.
///
/// # Errors
/// Why not: nothing was done.
pub fn taken(kind: OrderKind, id: VaultId, ago: Duration, disk_went: bool) -> Result<(), Untaken> {
    match kind {
        OrderKind::Unlock | OrderKind::Recover | OrderKind::Recreate if disk_went => Err(Untaken::DiskAway),
        _ if ago >= GIVEN_UP => Err(Untaken::OutOfDate),
        OrderKind::Lock if id == CONFIG_VAULT => Err(Untaken::ConfigInUse),
        _ => Ok(()),
    }
}

/// What a vault was to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ordered {
    /// Its files can be used.
    Open,
    /// They can't.
    Locked,
    /// It stands there, empty.
    MadeAnew,
}

impl fmt::Display for Ordered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "open",
            Self::Locked => "locked",
            Self::MadeAnew => "made anew",
        })
    }
}

/// Whether what a bundle in escrow may bring back is waited for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Hope {
    /// It is: a vault that may come back is not made anew.
    #[default]
    Kept,
    /// Root gives it up.
    GivenUp,
    /// It is, but what stands there under a key that nobody has here is given up.
    ShutGivenUp,
    /// Root gives up both.
    AllGivenUp,
}

impl Hope {
    /// Whether what stands there under a key that nobody has here is given up.
    #[must_use]
    pub fn gives_up_what_is_shut(self) -> bool {
        matches!(self, Self::ShutGivenUp | Self::AllGivenUp)
    }
}

/// What a vault is that root wants made anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ToMakeAnew {
    /// Where it stands.
    pub state: State,
    /// It stands, under a key that is not here.
    pub under_another: bool,
    /// The disk, or the bundle, may belong to another TPM than this one.
    pub of_another_tpm: bool,
    /// A bundle may bring it back.
    pub in_escrow: bool,
    /// The share table is lost.
    pub table_lost: bool,
}

/// What goes with an order to make a vault anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GivesUp {
    /// Nothing that could come back.
    Nothing,
    /// What stands there shut, and nothing else: neither a lost table nor what a bundle may bring back.
    WhatStandsShut,
    /// What a bundle may bring back of it.
    WhatMayComeBack {
        /// And the lost share table.
        table: bool,
    },
}

/// Why a vault is not made anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotMadeAnew {
    /// It opens, or would by a key that is here.
    NotMissing,
    /// What stands there would open by a key that is not here, and is not given up.
    UnderAnotherKey,
    /// What is on the disk may be of another TPM.
    OtherTpm,
    /// It may come back by itself.
    InEscrow,
    /// What stands there is given up, but not that key files which open it may come back.
    ShutInEscrow,
}

impl ToMakeAnew {
    /// What goes with the order, if it is carried out.
    ///
    /// # Errors
    /// Why it is not: nothing is discarded.
    pub fn gives_up(&self, hope: Hope) -> Result<GivesUp, NotMadeAnew> {
        match hope {
            _ if is_there(self.state) && !self.under_another => Err(NotMadeAnew::NotMissing),
            Hope::ShutGivenUp if self.under_another && self.in_escrow => Err(NotMadeAnew::ShutInEscrow),
            Hope::ShutGivenUp | Hope::AllGivenUp if self.under_another => Ok(GivesUp::WhatStandsShut),
            _ if is_there(self.state) => Err(NotMadeAnew::UnderAnotherKey),
            Hope::GivenUp | Hope::AllGivenUp => Ok(GivesUp::WhatMayComeBack { table: self.table_lost }),
            Hope::Kept | Hope::ShutGivenUp if self.of_another_tpm => Err(NotMadeAnew::OtherTpm),
            Hope::Kept | Hope::ShutGivenUp if self.in_escrow => Err(NotMadeAnew::InEscrow),
            Hope::Kept | Hope::ShutGivenUp => Ok(GivesUp::Nothing),
        }
    }
}

fn is_there(state: State) -> bool {
    matches!(state, State::Unlocked | State::Locked | State::LockIncomplete)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::IMAGE_VAULT;

    /// TH-3: a lock is obeyed whatever became of the disk; what nobody waits for any more is not done behind his back.
    #[test]
    fn th3_an_order_is_taken_in_time_and_a_lock_without_a_disk_too() {
        use OrderKind::{Lock, Recover, Recreate, Unlock};
        let (soon, late) = (Duration::from_secs(109), GIVEN_UP);
        for (kind, id, ago, disk_went, expected) in [
            (Unlock, IMAGE_VAULT, soon, false, Ok(())),
            (Lock, IMAGE_VAULT, soon, true, Ok(())),
            (Lock, CONFIG_VAULT, soon, true, Err(Untaken::ConfigInUse)),
            (Lock, IMAGE_VAULT, late, false, Err(Untaken::OutOfDate)),
            (Recreate, IMAGE_VAULT, late, false, Err(Untaken::OutOfDate)),
            (Unlock, IMAGE_VAULT, soon, true, Err(Untaken::DiskAway)),
            (Recover, IMAGE_VAULT, soon, true, Err(Untaken::DiskAway)),
            (Recreate, CONFIG_VAULT, late, true, Err(Untaken::DiskAway)),
            (Unlock, CONFIG_VAULT, soon, false, Ok(())),
        ] {
            assert_eq!(taken(kind, id, ago, disk_went), expected, "{kind:?} {id} {ago:?} {disk_went}");
        }
    }

    /// Invariant 4: an order to make a vault anew discards what is missing; what opens it never does, and what may come back, or opens by a key that is
    /// not here, only where root gives up just that.
    #[test]
    fn an_order_to_make_anew_discards_no_more_than_is_given_up() {
        use Hope::{AllGivenUp, GivenUp, Kept, ShutGivenUp};
        let missing = ToMakeAnew {
            state: State::Missing,
            under_another: false,
            of_another_tpm: false,
            in_escrow: false,
            table_lost: false,
        };
        let open = ToMakeAnew { state: State::Unlocked, ..missing };
        let shut = ToMakeAnew { state: State::Locked, under_another: true, ..missing };
        let (waits, escrowed) = (
            ToMakeAnew { state: State::Waiting, under_another: true, ..missing },
            ToMakeAnew { in_escrow: true, ..missing },
        );
        let both = ToMakeAnew { in_escrow: true, ..shut };
        let strange = ToMakeAnew { of_another_tpm: true, in_escrow: true, table_lost: true, ..missing };
        for (what, hope, expected) in [
            (missing, Kept, Ok(GivesUp::Nothing)),
            (missing, ShutGivenUp, Ok(GivesUp::Nothing)),
            (missing, GivenUp, Ok(GivesUp::WhatMayComeBack { table: false })),
            (open, Kept, Err(NotMadeAnew::NotMissing)),
            (open, GivenUp, Err(NotMadeAnew::NotMissing)),
            (open, ShutGivenUp, Err(NotMadeAnew::NotMissing)),
            (shut, Kept, Err(NotMadeAnew::UnderAnotherKey)),
            (shut, GivenUp, Err(NotMadeAnew::UnderAnotherKey)),
            (shut, ShutGivenUp, Ok(GivesUp::WhatStandsShut)),
            (waits, ShutGivenUp, Ok(GivesUp::WhatStandsShut)),
            (both, ShutGivenUp, Err(NotMadeAnew::ShutInEscrow)),
            (both, GivenUp, Err(NotMadeAnew::UnderAnotherKey)),
            (both, AllGivenUp, Ok(GivesUp::WhatStandsShut)),
            (open, AllGivenUp, Err(NotMadeAnew::NotMissing)),
            (strange, AllGivenUp, Ok(GivesUp::WhatMayComeBack { table: true })),
            (escrowed, Kept, Err(NotMadeAnew::InEscrow)),
            (escrowed, ShutGivenUp, Err(NotMadeAnew::InEscrow)),
            (escrowed, GivenUp, Ok(GivesUp::WhatMayComeBack { table: false })),
            (strange, Kept, Err(NotMadeAnew::OtherTpm)),
            (strange, ShutGivenUp, Err(NotMadeAnew::OtherTpm)),
            (strange, GivenUp, Ok(GivesUp::WhatMayComeBack { table: true })),
        ] {
            assert_eq!(what.gives_up(hope), expected, "{hope:?}: {what:?}");
        }
    }
}
