//! What is there: read back from kernel, TPM and disk, never from a state file of ours. Facts only, no judgement and no key.

use super::{Others, Recovery, State};
use crate::custody::{EpochMark, Wrapping};
use crate::ids::Epoch;
use crate::section::{BySeal, Encryption, Seal};
use crate::shares::{Dropped, Mark};
use crate::space::Space;

/// What stands at a vault's path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dir {
    /// Nothing.
    #[default]
    Absent,
    /// A directory without a policy and without entries.
    Empty,
    /// A directory without a policy, with entries in the clear.
    Plain,
    /// A directory under the policy that the metadata names; or, when no metadata can be read, under one that no other vault's names.
    Vault(Encryption),
    /// A directory under another policy than the metadata names, or, when none can be read, under one that another vault's names.
    OtherVault,
    /// A link, a file: nothing that a vault could be.
    Stranger,
    /// Something is mounted there, or on the way there: what stands under it is not seen.
    Covered,
}

/// What stands at a default vault's staging path, where plain files are moved in from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Staged {
    /// Nothing.
    #[default]
    Nothing,
    /// A directory under this vault's own key, or an empty one that gets it next: an unfinished copy.
    Copy,
    /// Plain files: the originals, after the exchange.
    Plain,
    /// A directory under another key: another vault's, moved there by somebody. Nothing of it goes.
    Other,
    /// Nothing any more, and originals that the vault has, put aside, wait to be wiped.
    Going,
}

impl Staged {
    /// Whether it is what the exchange left, to be looked at once more and wiped.
    #[must_use]
    pub fn is_originals(self) -> bool {
        matches!(self, Self::Plain | Self::Going)
    }

    /// Whether nothing is made beside it: it may be all that is left of what it holds.
    pub(super) fn is_in_the_way(self) -> bool {
        matches!(self, Self::Plain | Self::Other)
    }
}

/// The kernel's word on the vault's key (`FS_IOC_GET_ENCRYPTION_KEY_STATUS`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Key {
    /// Not there: contents and names are unreadable.
    #[default]
    Absent,
    /// There.
    Present,
    /// Removed, and files were still open.
    Incomplete,
}

/// What a protector's name says about its wrapping: a hint, believed only once a key opened it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hint {
    /// No controller's key is part of it.
    NoEpoch,
    /// The controller's key of this epoch is part of it, whichever that is: a name of before there were marks.
    Epoch(Epoch),
    /// The controller's key of this epoch that has this mark is part of it.
    Key(Epoch, EpochMark),
    /// The name is not ours.
    Unknown,
}

impl Hint {
    /// The epoch it names.
    #[must_use]
    pub fn epoch(self) -> Option<Epoch> {
        match self {
            Self::Epoch(epoch) | Self::Key(epoch, _) => Some(epoch),
            Self::NoEpoch | Self::Unknown => None,
        }
    }

    /// What a name for `wrapping` says, by the key that has this mark.
    #[must_use]
    pub fn of(wrapping: Wrapping, mark: Option<EpochMark>) -> Self {
        match (wrapping.epoch(), mark) {
            (None, _) => Self::NoEpoch,
            (Some(epoch), None) => Self::Epoch(epoch),
            (Some(epoch), Some(mark)) => Self::Key(epoch, mark),
        }
    }

    /// Whether it may mean the key of this epoch that has this mark.
    pub(super) fn may_mean(self, epoch: Epoch, mark: Option<EpochMark>) -> bool {
        match (self, mark) {
            (Self::Key(of, is), Some(mark)) => (of, is) == (epoch, mark),
            _ => self.epoch() == Some(epoch),
        }
    }
}

/// Where a copy of a vault's metadata lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetaPlace {
    /// Where the fscrypt tool looks.
    First,
    /// Our own second copy.
    Second,
}

impl MetaPlace {
    /// Where its twin lies.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }
}

/// One of the two copies of a vault's metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MetaCopy {
    /// No file of it.
    #[default]
    Absent,
    /// There, and not readable as metadata of this vault.
    Damaged,
    /// Whole, as far as can be told without a key.
    Good(Hint),
}

impl MetaCopy {
    /// Its hint when it is whole.
    #[must_use]
    pub fn hint(self) -> Option<Hint> {
        match self {
            Self::Good(hint) => Some(hint),
            Self::Absent | Self::Damaged => None,
        }
    }
}

/// All of one vault that can be observed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seen {
    /// At its path.
    pub dir: Dir,
    /// At its staging path.
    pub staged: Staged,
    /// In the kernel.
    pub key: Key,
    /// Metadata where fscrypt keeps it.
    pub first: MetaCopy,
    /// Metadata where we keep the second copy.
    pub second: MetaCopy,
    /// Its lines in the share table.
    pub shares: BySeal<Option<Mark>>,
    /// What opens it beside our own protector.
    pub others: Others,
    /// Whether a share of it is out of the table and not dead yet.
    pub dropped: Dropped,
    /// What the kernel says of its space.
    pub space: Space,
    /// Of these the second copy does not have what the first has. There the fscrypt tool writes, so the first is right.
    pub lags: bool,
    /// What is there of its recovery key.
    pub recovery: Recovery,
    /// Bytes of its key files that are in force no more could not be wiped: whoever has the key of before opens it by them. So it counts too while
    /// one of the places can't be read.
    pub unwiped: bool,
}

impl Seen {
    /// Whether no trace of the vault is left but perhaps its key in the kernel.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        let traces = (self.dir, self.staged, self.first, self.second, self.has_share());
        traces == (Dir::Absent, Staged::Nothing, MetaCopy::Absent, MetaCopy::Absent, false)
    }

    /// Whether a directory with a policy of this vault stands at its path.
    #[must_use]
    pub fn is_vault(&self) -> bool {
        matches!(self.dir, Dir::Vault(_))
    }

    /// Whether either copy of the metadata is whole.
    #[must_use]
    pub fn has_metadata(&self) -> bool {
        self.hints().next().is_some()
    }

    /// Whether both copies are.
    #[must_use]
    pub fn has_both_copies(&self) -> bool {
        self.hints().count() == 2
    }

    /// Which copy is whole, the first before the second; and whether both are.
    #[must_use]
    pub fn whole_copies(&self) -> (Option<MetaPlace>, bool) {
        let whole = match (self.first.hint(), self.second.hint()) {
            (Some(_), _) => Some(MetaPlace::First),
            (None, Some(_)) => Some(MetaPlace::Second),
            (None, None) => None,
        };
        (whole, self.has_both_copies())
    }

    /// The hints of the copies that are whole.
    pub fn hints(&self) -> impl Iterator<Item = Hint> {
        [self.first, self.second].into_iter().filter_map(MetaCopy::hint)
    }

    /// The seal of its line in the share table; of two, the looser.
    #[must_use]
    pub fn share(&self) -> Option<Seal> {
        Seal::ALL.into_iter().find(|seal| self.shares.of(*seal).is_some())
    }

    /// Whether it has one.
    #[must_use]
    pub fn has_share(&self) -> bool {
        self.share().is_some()
    }

    /// How far the vault is made, as its shares tell: what one of them says of it is so.
    #[must_use]
    pub fn mark(&self) -> Option<Mark> {
        let says = |mark: &Mark| self.shares.all().contains(&Some(*mark));
        [Mark::Made, Mark::Lost, Mark::Begun].into_iter().find(says)
    }

    /// Its state by what is there alone.
    #[must_use]
    pub fn state(&self) -> State {
        match (self.dir, self.key) {
            (Dir::Vault(_), Key::Present) => State::Unlocked,
            (Dir::Vault(_) | Dir::Covered, Key::Incomplete) => State::LockIncomplete,
            (Dir::Vault(_), Key::Absent) => State::Locked,
            _ if self.is_nothing() => State::Waiting,
            _ if matches!(self.mark(), Some(Mark::Made | Mark::Lost)) => State::Missing,
            _ => State::Creating,
        }
    }
}

/// The node's share table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableSeen {
    /// It authenticates under this TPM's root.
    Open,
    /// NV slots of ours are written and no table opens under them: the disk was wiped, reinstalled or damaged.
    Lost,
}

/// The node's TPM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TpmSeen {
    /// Not known yet, or configured and failing: never taken for absent.
    Unknown,
    /// The node has none.
    Absent,
    /// Its roots were read.
    Present {
        /// The share table.
        table: TableSeen,
        /// Whether `P_g` can be read: the boot is the measured one.
        pcrs: bool,
    },
}
