//! A vault's life at its controller: applied, deleted, its grace over, rotated, ordered anew, reported, adopted, moved to another device,
//! forgotten; and whether a policy can be met where it is to live. Each is a function from one state to a typed outcome, or to a typed refusal.
//! Pure: rows are read before and written after; times, versions and what other rows say are arguments; words are made where people read.
//! Invariant: only [`Gone`] has no keys, it is reached through a grace that is over, and nothing leads back from it.

mod anew;
mod at_stake;
mod back;
mod fit;
mod keys;
mod let_go;
mod let_in;
mod moves;
mod node;
#[cfg(test)]
mod tests;
mod unlisted;
mod wanted;

use crate::condition::State;
use crate::defaults::DEFAULT_VAULTS;
use crate::ids::{Epoch, Name};
use crate::report::VaultReport;
use crate::rotation::Epochs;
use crate::section::{MAX_VAULTS, Presence};

pub use at_stake::{AtStake, Closes, Kept};
pub use back::{NotBack, There, Was, has_room, not_erased, was};
pub use fit::{Fit, Unfit, UnfitDefault, fits, fits_default};
pub use keys::{NodeAt, NotRotated, Rotated, Rotation};
pub use let_go::{InForce, WentOut};
pub use let_in::{Bearer, LetIn, NotLetIn};
pub use moves::{Move, NotAdopted, NotRehomed, Orphan, Rehomed, Target, adopted, orphan};
pub use node::{Bundles, Contact, Disk, ListOf, NotForgotten, NotRecreated};
pub use unlisted::{GoesBy, is_last_time, is_unlisted, lacks_key};
pub use wanted::{
    Applied, AskedRemoval, AskedVault, Deleted, Deletion, GraceEnd, NotApplied, NotDeleted, NotOver, Writer,
    applied,
};

/// Most vaults of a device beside its default ones: a section lists those too.
pub const MOST_BESIDE_DEFAULTS: usize = MAX_VAULTS - DEFAULT_VAULTS.len();

/// A vault at its controller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Life {
    /// In the list that its device gets.
    Listed(Listed),
    /// Out of the list, and its keys are deleted.
    Gone(Gone),
}

/// A vault that is listed: its keys are kept, whether it is wanted, its grace runs, or it is retained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its policy; none for a default vault that no operator changed.
    pub policy: Option<Name>,
    /// Whether it is wanted.
    pub phase: Phase,
    /// Its node made it once. This stays.
    pub made: bool,
    /// An operator ordered it anew, and its node has not done so yet.
    pub recreate: bool,
    /// Its keys.
    pub epochs: Epochs,
    /// The epoch that its node wrapped it under, of those that were made here.
    pub taken: Option<Epoch>,
    /// What its node said last.
    pub said: Option<ReportedState>,
    /// Taken in while it was open: the epoch of the key of another's that its node had it under. None of ours has that number, or one below.
    pub others: Option<Epoch>,
}

/// Whether a listed vault is wanted. Times are Unix seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It is.
    Wanted,
    /// Locked and kept, until the operator wants it again or the time is over.
    Grace {
        /// When it is.
        until: u64,
    },
    /// Locked and kept, until the operator wants it again or says when it is to go.
    Retained,
}

impl Phase {
    /// As a section says it.
    #[must_use]
    pub fn presence(self) -> Presence {
        match self {
            Self::Wanted => Presence::Active,
            Self::Grace { .. } => Presence::Removing,
            Self::Retained => Presence::Retained,
        }
    }
}

/// What of a node's word on a vault decides about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReportedState {
    /// Where it stands there.
    pub state: State,
    /// The epoch that it is wrapped under there, also one that was never made here.
    pub epoch: Option<Epoch>,
}

impl From<&VaultReport> for ReportedState {
    fn from(report: &VaultReport) -> Self {
        Self { state: report.state, epoch: report.epoch }
    }
}

/// A vault that left the list. Remembered, so that its node is told to erase it, until the node says that it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone {
    /// The first version of the section without it.
    pub left: u64,
    /// A node made it, or took a key of it.
    pub used: bool,
}

impl Listed {
    /// A vault that is new, with its first key. Without a policy it is a default vault as its node makes it by itself.
    #[must_use]
    pub fn new(policy: Option<Name>) -> Self {
        Self {
            policy,
            phase: Phase::Wanted,
            made: false,
            recreate: false,
            epochs: Epochs::first(),
            taken: None,
            said: None,
            others: None,
        }
    }

    /// Whether a node made it, or took a key of it; or may have, for what was rotated went out, or was to.
    #[must_use]
    pub fn is_used(&self) -> bool {
        self.made || self.taken.is_some() || self.epochs != Epochs::first()
    }
}

impl Life {
    /// Whether a node made it, or took a key of it.
    #[must_use]
    pub fn is_used(&self) -> bool {
        match self {
            Self::Listed(listed) => listed.is_used(),
            Self::Gone(gone) => gone.used,
        }
    }
}

/// Any refusal of this module, for who puts them into words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotDone {
    /// Of [`applied`].
    #[error("not applied")]
    Applied(#[from] NotApplied),
    /// Of [`Listed::delete`] and [`Listed::to_remove`].
    #[error("not deleted")]
    Deleted(#[from] NotDeleted),
    /// Of [`Listed::rotate`].
    #[error("not rotated")]
    Rotated(#[from] NotRotated),
    /// Of [`Listed::order_anew`].
    #[error("not ordered anew")]
    Recreated(#[from] NotRecreated),
    /// Of [`orphan`] and [`adopted`].
    #[error("not adopted")]
    Adopted(#[from] NotAdopted),
    /// Of [`Listed::rehome`].
    #[error("not moved")]
    Rehomed(#[from] NotRehomed),
}
