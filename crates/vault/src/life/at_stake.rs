//! A vault that its node has open under a key that is not here, and what closes it: nothing of this database opens it again then. Asked by each act that
//! may close a vault, and by each place that tells of one.

use super::{Listed, Phase};
use crate::condition::State;
use crate::lease::Lease;
use crate::report::VaultReport;

/// A vault that is open on its node, under a key that is not here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AtStake {
    /// What closes it first.
    pub closes: Closes,
    /// Its node may not have its key at hand, and then wraps it under no other.
    pub last_time: bool,
}

/// What closes a vault. A boot does in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closes {
    /// The next list that its node takes: its device is marked as lost.
    Lost,
    /// That list: it is being removed, or retained.
    Removed,
    /// That list: its policy says `operation: lock`.
    Policy,
    /// The end of its lease: nothing renews that while its database is held back.
    Lease(Lease),
    /// Nothing but a boot: with the next list its node wraps it anew, where it can.
    Boot,
}

impl Closes {
    /// Whether the next list that its node takes does.
    #[must_use]
    pub fn is_by_list(self) -> bool {
        matches!(self, Self::Lost | Self::Removed | Self::Policy)
    }
}

/// What is said here of a vault beside its phase.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Kept {
    /// Its policy says `operation: lock`.
    pub locks: bool,
    /// The lease of its policy.
    pub lease: Option<Lease>,
    /// Its device is marked as lost.
    pub lost: bool,
    /// Its database is older than its device, or was put back: no list goes out.
    pub held_back: bool,
}

impl Kept {
    /// What closes a vault of this phase first. A lock by a list is told before the end of a lease: it is an operator's to take back.
    #[must_use]
    pub fn closes(self, phase: Phase) -> Closes {
        match (phase, self.lease) {
            _ if self.lost => Closes::Lost,
            (Phase::Grace { .. } | Phase::Retained, _) => Closes::Removed,
            (Phase::Wanted, _) if self.locks => Closes::Policy,
            (Phase::Wanted, Some(lease)) if self.held_back => Closes::Lease(lease),
            (Phase::Wanted, _) => Closes::Boot,
        }
    }
}

impl Listed {
    /// Whether its node has it under a key that is not here, by its word: one that was never made here, another one of a number that was, or that from
    /// which it was taken in.
    #[must_use]
    pub fn is_under_anothers(&self, told: &VaultReport) -> bool {
        let is_others =
            |epoch| epoch > self.epochs.current() || self.others.is_some_and(|others| epoch <= others);
        told.under_anothers_key || told.epoch.is_some_and(is_others)
    }

    /// Whether it is open there so, and what closes it.
    #[must_use]
    pub fn at_stake(&self, told: &VaultReport, kept: Kept) -> Option<AtStake> {
        let is = told.state == State::Unlocked && self.is_under_anothers(told);
        is.then(|| AtStake { closes: kept.closes(self.phase), last_time: self.is_last_time(told) })
    }
}
