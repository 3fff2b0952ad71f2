//! What a node's word changes: that a vault was made, the epoch it is wrapped under, that a removed one is gone; and what an operator may
//! order only because of that word.

use super::{Gone, Listed, ReportedState};
use crate::condition::State;
use crate::ids::{Incarnation, SectionVersion};
use crate::report::VaultReport;

/// Why a vault is not made anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotRecreated {
    /// Its node does not say that it lost a part.
    #[error("it is not reported missing")]
    NotMissing,
    /// Its node never said that it finished it: there is nothing to make anew.
    #[error("it was never made")]
    NeverMade,
    /// Its node misses all that it ever had: it is the disk that is not there.
    #[error("the disk is not there")]
    NoDisk,
    /// Its node says that the disk is not mounted.
    #[error("the disk is not mounted")]
    NotMounted,
    /// It may come back by itself.
    #[error("a bundle in escrow may bring it back")]
    InEscrow,
}

/// What is known of bundles in escrow that a vault may come back from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bundles {
    /// None is held of its device.
    None,
    /// One is.
    Held,
    /// An operator says that what it may bring back is given up.
    GivenUp,
}

/// What is known of the disk that a vault lies on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disk {
    /// Another vault is there, or was never made.
    There,
    /// Every vault that its node ever had is missing.
    NotThere,
    /// Its node says that it is not mounted: nothing is known of what is on it, and nobody's word makes it a new one.
    NotMounted,
    /// An operator says that it is a new one, and the old one's vaults are lost.
    New,
}

impl Disk {
    /// By what the node says of all the vaults that it ever had.
    #[must_use]
    pub fn by(states: impl IntoIterator<Item = Option<State>>) -> Self {
        let mut states = states.into_iter().peekable();
        let some = states.peek().is_some();
        if some && states.all(|state| state == Some(State::Missing)) { Self::NotThere } else { Self::There }
    }
}

/// Whose list a node accepted last: its epochs are numbers of the keys that came with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListOf {
    /// One that this database made, in its present life or in one before it.
    Ours,
    /// Another controller's, or none that is known.
    Others,
}

impl Listed {
    /// Orders it anew, empty.
    ///
    /// # Errors
    /// [`NotRecreated`]: what is in it may be there yet.
    pub fn order_anew(self, disk: Disk, bundles: Bundles) -> Result<Self, NotRecreated> {
        match (self.said.map(|said| said.state), disk) {
            (_, Disk::NotMounted) => Err(NotRecreated::NotMounted),
            (Some(State::Missing), Disk::NotThere) => Err(NotRecreated::NoDisk),
            (Some(State::Missing), _) if bundles == Bundles::Held => Err(NotRecreated::InEscrow),
            (Some(State::Missing), Disk::There | Disk::New) => Ok(Self { recreate: true, ..self }),
            _ if !self.made => Err(NotRecreated::NeverMade),
            _ => Err(NotRecreated::NotMissing),
        }
    }

    /// Takes in what its node says of it. An epoch that was never made here is remembered, and no decision is built on it: one above ours,
    /// and any while the list that the node accepted last is not of this database, for default vaults have the same ids everywhere.
    #[must_use]
    pub fn hear(self, report: &VaultReport, of: ListOf) -> Self {
        let made_anew = report.created && matches!(report.state, State::Unlocked | State::Locked);
        let ours = |epoch| {
            of == ListOf::Ours
                && epoch <= self.epochs.current()
                && self.others.is_none_or(|others| epoch > others)
        };
        let known = report.epoch.is_none_or(ours);
        Self {
            made: self.made || report.created,
            recreate: self.recreate && !made_anew,
            taken: if known { report.epoch } else { self.taken },
            said: Some(ReportedState::from(report)),
            ..self
        }
    }
}

/// Why a vault that is gone is not forgotten yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotForgotten {
    /// Its node has not accepted a list without it.
    #[error("its node may not know yet")]
    NotTold,
    /// Its node has it.
    #[error("its node still has it")]
    Held,
}

/// What a node says at one time, of the list and of one vault.
#[derive(Debug, Clone, Copy)]
pub struct Contact {
    /// The list that it accepted last.
    pub accepted: Option<SectionVersion>,
    /// The vault's state there, when it speaks of it.
    pub state: Option<State>,
}

impl Gone {
    /// Whether it may be forgotten. `here` is the present life of the controller's database: versions of another one say nothing.
    ///
    /// # Errors
    /// [`NotForgotten`]: the node has to be told to erase it.
    pub fn forget(self, here: Incarnation, said: Contact) -> Result<(), NotForgotten> {
        match said.state {
            _ if !self.is_told(here, said.accepted) => Err(NotForgotten::NotTold),
            None | Some(State::Removed) => Ok(()),
            Some(_) => Err(NotForgotten::Held),
        }
    }

    /// Whether the node accepted a list without it.
    #[must_use]
    pub fn is_told(self, here: Incarnation, accepted: Option<SectionVersion>) -> bool {
        accepted.is_some_and(|at| at.incarnation == here && at.version >= self.left)
    }
}
