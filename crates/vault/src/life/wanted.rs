//! What an operator wants of a vault: that it is there, or not; and the end of its grace.

use std::time::Duration;

use super::{Gone, Listed, MOST_BESIDE_DEFAULTS, Phase};
use crate::ids::{Name, VaultId};
use crate::policy::Removal;
use crate::section::Encryption;

/// Who asks for a vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writer {
    /// A document of its own.
    Document,
    /// A rule, which gives the same to many devices, and is applied again for others of them.
    Rule,
}

/// What is asked of a vault.
#[derive(Debug, Clone, Copy)]
pub struct AskedVault<'a> {
    /// Who asks.
    pub by: Writer,
    /// The policy that it names.
    pub policy: &'a Name,
    /// The encryption of that.
    pub encryption: Encryption,
    /// The encryption that the vault has already: of the policy that it is under, or the one that its node makes a default vault with.
    pub present: Option<Encryption>,
}

/// What becomes of an applied vault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Applied {
    /// It was not there: it is added, with its first key.
    Created(Listed),
    /// It is as written.
    Unchanged,
    /// It is removed from its device, or being removed, and a rule leaves it so.
    Left,
    /// It is brought to what is written; one that was removed is kept.
    Changed(Listed),
}

/// Why a vault does not become as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotApplied {
    /// The kernel fixes the modes of a vault when it is made.
    #[error("another encryption")]
    OtherEncryption,
    /// The device has [`MOST_BESIDE_DEFAULTS`].
    #[error("no room")]
    Full,
}

/// Applies a document or a rule. `there` is the listed vault of that name; `others` is how many are listed beside the default ones, which counts
/// only where none is there.
///
/// # Errors
/// [`NotApplied`]: nothing changes.
pub fn applied(
    id: VaultId,
    there: Option<Listed>,
    wish: AskedVault<'_>,
    others: usize,
) -> Result<Applied, NotApplied> {
    if wish.by == Writer::Rule && there.as_ref().is_some_and(|listed| listed.phase != Phase::Wanted) {
        return Ok(Applied::Left);
    }
    if wish.present.is_some_and(|present| present != wish.encryption) {
        return Err(NotApplied::OtherEncryption);
    }
    let policy = Some(wish.policy.clone());
    match there {
        None if !id.is_default() && others >= MOST_BESIDE_DEFAULTS => Err(NotApplied::Full),
        None => Ok(Applied::Created(Listed::new(policy))),
        Some(listed) if listed.policy == policy && listed.phase == Phase::Wanted => Ok(Applied::Unchanged),
        Some(listed) => Ok(Applied::Changed(Listed { policy, phase: Phase::Wanted, ..listed })),
    }
}

/// How the removal of a vault is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AskedRemoval {
    /// What its policy says of removal.
    pub policy: Removal,
    /// What its operator says in the place of that.
    pub said: Option<Removal>,
    /// Its operator said its name twice.
    pub confirmed: bool,
}

/// Why a vault is not removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotDeleted {
    /// It would be erased at once, and can't be kept again: that has to be said twice.
    #[error("it has no grace, and its name was said once")]
    NoGrace,
}

impl AskedRemoval {
    fn removal(self) -> Result<Removal, NotDeleted> {
        match self.said.unwrap_or(self.policy) {
            Removal::DeleteAfter(Duration::ZERO) if !self.confirmed => Err(NotDeleted::NoGrace),
            removal => Ok(removal),
        }
    }

    /// A grace that runs goes on by this: its policy would only begin one.
    fn leaves_a_grace(self) -> bool {
        self.said.is_none() && matches!(self.policy, Removal::DeleteAfter(_))
    }
}

/// The circumstances of a deletion.
#[derive(Debug, Clone, Copy)]
pub struct Deletion {
    /// Unix seconds.
    pub now: u64,
    /// How it is asked for.
    pub asked: AskedRemoval,
    /// The version of the device's next section.
    pub next_version: u64,
    /// The device showed that this database is an older copy: in the newer one the vault may be wanted.
    pub older: bool,
}

/// What becomes of a vault that is deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deleted {
    /// A default vault is never deleted: it is under its default policy, with all of its keys, for a key that went out may be in it before
    /// its node says so.
    Default(Listed),
    /// Its grace runs already, and goes on as it was: no other end was said.
    Already {
        /// When it ends.
        until: u64,
    },
    /// Its grace begins, or ends at another time than it was to.
    Grace {
        /// The vault.
        vault: Listed,
        /// When it ends.
        until: u64,
    },
    /// It is kept without an end (KO-7), whether that is new or was so; a grace that ran is over.
    Retained {
        /// The vault.
        vault: Listed,
    },
    /// As a grace, and nothing ends as long as the database is older than the device.
    Held {
        /// The vault.
        vault: Listed,
        /// When it would end.
        until: u64,
    },
    /// Its policy gives it none: its keys go now.
    AtOnce {
        /// The vault.
        vault: Gone,
        /// When its grace ended, which is now.
        until: u64,
    },
}

/// When a grace is to end, and by which database.
#[derive(Debug, Clone, Copy)]
pub struct GraceEnd {
    /// The time.
    pub now: u64,
    /// The version of the next section.
    pub next_version: u64,
    /// The device showed that this database is an older copy.
    pub older: bool,
}

/// Why a grace does not end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotOver {
    /// The vault is wanted, perhaps since a moment ago.
    #[error("the vault is wanted")]
    Wanted,
    /// It is kept without an end.
    #[error("the vault is retained")]
    Retained,
    /// The device showed that this database is an older copy: in the newer one the grace may have been undone.
    #[error("the database is older than its device")]
    Held,
    /// It has time left.
    #[error("the grace runs until {until}")]
    Runs {
        /// When it ends.
        until: u64,
    },
}

impl Listed {
    /// Deletes it.
    ///
    /// # Errors
    /// [`NotDeleted`]: it stays as it is.
    pub fn delete(self, id: VaultId, how: Deletion) -> Result<Deleted, NotDeleted> {
        match self.phase {
            _ if id.is_default() => Ok(Deleted::Default(Self { policy: None, phase: Phase::Wanted, ..self })),
            Phase::Grace { until } if how.asked.leaves_a_grace() => Ok(Deleted::Already { until }),
            _ => Ok(self.remove(how, how.asked.removal()?)),
        }
    }

    fn remove(self, how: Deletion, removal: Removal) -> Deleted {
        let Removal::DeleteAfter(grace) = removal else {
            return Deleted::Retained { vault: Self { phase: Phase::Retained, ..self } };
        };
        let until = how.now.saturating_add(grace.as_secs());
        let vault = Self { phase: Phase::Grace { until }, ..self };
        let Deletion { now, next_version, older, .. } = how;
        match vault.end_grace(GraceEnd { now, next_version, older }) {
            Ok(vault) => Deleted::AtOnce { vault, until },
            Err(NotOver::Held) => Deleted::Held { vault, until },
            Err(_) => Deleted::Grace { vault, until },
        }
    }

    /// One that is taken in only to be removed: its node lists it from now on, locked, and erases it
    /// when its grace is over; under a policy that retains, it is kept.
    ///
    /// # Errors
    /// [`NotDeleted`]: it is not taken in.
    pub fn to_remove(self, now: u64, asked: AskedRemoval) -> Result<Self, NotDeleted> {
        let phase = match asked.removal()? {
            Removal::DeleteAfter(grace) => Phase::Grace { until: now.saturating_add(grace.as_secs()) },
            Removal::Retain => Phase::Retained,
        };
        Ok(Self { phase, ..self })
    }

    /// Ends its grace: from here on it has no keys.
    ///
    /// # Errors
    /// [`NotOver`]: it stays as it is.
    pub fn end_grace(&self, GraceEnd { now, next_version, older }: GraceEnd) -> Result<Gone, NotOver> {
        match self.phase {
            _ if older => Err(NotOver::Held),
            Phase::Wanted => Err(NotOver::Wanted),
            Phase::Retained => Err(NotOver::Retained),
            Phase::Grace { until } if now < until => Err(NotOver::Runs { until }),
            Phase::Grace { .. } => Ok(Gone { left: next_version, used: self.is_used() }),
        }
    }
}
