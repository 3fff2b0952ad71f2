//! Vaults that come from elsewhere: an orphan that a node has and no section listed, and a vault whose device became another one.

use super::{Closes, GoesBy, Kept, Life, Listed, MOST_BESIDE_DEFAULTS, Phase, is_last_time, is_unlisted};
use crate::condition::State;
use crate::ids::{DeviceId, Epoch, Name, VaultId};
use crate::ledger::Older;
use crate::report::{By, VaultReport};
use crate::rotation::Epochs;
use crate::section::Custody;

/// A vault that a node has, and that this database has no row of: its node says that no list named it, or holds to a list that this database does
/// not have. Such a list is of a newer copy of it, or of another controller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orphan {
    /// Its identity.
    pub id: VaultId,
    /// Its name there.
    pub name: Name,
    /// The epoch of the controller's key that it is under, which is not here; none: it opens without, by its recovery key perhaps, or is open.
    pub key: Option<Epoch>,
    /// It is open, under a controller's key of this epoch that is not here: its node wraps it anew under a key above that.
    pub above: Option<Epoch>,
    /// It is on a list that its node holds to.
    pub listed: bool,
    /// It is open.
    pub open: bool,
    /// It is open for the [last time](is_last_time), whatever key it is given.
    pub last_time: bool,
}

/// Above it no node's word on an epoch is believed.
const HIGHEST: Epoch = Epoch(0xffff_ffff);

/// Why an orphan is not taken in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAdopted {
    /// The node speaks of none of this name.
    #[error("no such orphan")]
    Unknown,
    /// The node has several of this name.
    #[error("several of the name")]
    Several,
    /// A key of another controller's, or of another device here, does not come with the name.
    #[error("its key, of epoch {epoch}, is not here")]
    ForeignKey {
        /// The orphan.
        name: Name,
        /// The key's.
        epoch: Epoch,
    },
    /// It is listed here already.
    #[error("it is listed already")]
    Listed {
        /// The vault.
        name: Name,
    },
    /// It left the list, and its node is told to erase it.
    #[error("it is being erased")]
    Gone {
        /// The vault.
        name: Name,
    },
    /// Its node takes no list of this device, and so learns of no key that it gets here.
    #[error("its node holds to the lists of {other}")]
    Elsewhere {
        /// The vault.
        name: Name,
        /// The device whose lists it holds to.
        other: DeviceId,
    },
    /// It is open under a key that is not here, and the first list that takes it in would lock it: nothing here opens it again.
    #[error("its first list closes it")]
    Closes {
        /// The vault.
        name: Name,
        /// By what.
        by: Closes,
    },
    /// The device has [`MOST_BESIDE_DEFAULTS`].
    #[error("no room")]
    Full,
    /// Another vault of the device has its name.
    #[error("the name is taken")]
    NameTaken {
        /// The name.
        name: Name,
    },
}

/// The orphan of this name or identity, among what its node reports of vaults without a row.
///
/// # Errors
/// [`NotAdopted`].
pub fn orphan(reports: impl IntoIterator<Item = VaultReport>, which: &Name) -> Result<Orphan, NotAdopted> {
    let id = which.as_str().parse::<VaultId>().ok();
    let is_it = |told: &VaultReport| Some(told.id) == id || told.name == *which;
    let mut named =
        reports.into_iter().filter(|told| (told.state == State::Orphan || is_unlisted(told)) && is_it(told));
    match (named.next(), named.next()) {
        (None, _) => Err(NotAdopted::Unknown),
        (Some(_), Some(_)) => Err(NotAdopted::Several),
        (Some(told), None) => Ok(Orphan::of(told)),
    }
}

impl Orphan {
    fn of(told: VaultReport) -> Self {
        let last_time = told.state != State::Orphan && is_last_time(&told);
        let VaultReport { id, name, state, epoch, opened, .. } = told;
        // Listed, it gets another protector, under a key of this controller's.
        let recovered = opened.is_some_and(|opened| opened.by == By::RecoveryKey);
        let above = epoch.filter(|epoch| state == State::Unlocked && *epoch < HIGHEST);
        let key = epoch.filter(|_| !recovered && above.is_none());
        let (listed, open) = (state != State::Orphan, state == State::Unlocked);
        Self { id, name, key, above, listed, open, last_time }
    }

    /// Of an open one the newest is above its node's: what is wrapped under another key of the same number is never taken for it.
    fn epochs(&self) -> Epochs {
        let above = self.above.and_then(|node| Epochs::stored(node.next(), node).ok());
        above.unwrap_or_else(Epochs::first)
    }

    /// One that is to stay open until its node has wrapped it anew, as its policy and its device are kept.
    ///
    /// # Errors
    /// [`NotAdopted::Closes`].
    pub fn to_stay_open(self, kept: Kept) -> Result<Self, NotAdopted> {
        match kept.closes(Phase::Wanted) {
            by if self.above.is_some() && by.is_by_list() => Err(NotAdopted::Closes { name: self.name, by }),
            _ => Ok(self),
        }
    }

    /// One that is to be opened.
    ///
    /// # Errors
    /// [`NotAdopted::ForeignKey`].
    pub fn to_open(self) -> Result<Self, NotAdopted> {
        match self.key {
            None => Ok(self),
            Some(epoch) => Err(NotAdopted::ForeignKey { name: self.name, epoch }),
        }
    }
}

/// Takes an orphan in under a policy, as a vault that was made. `others` is how many are listed beside the default ones; `there` is what
/// is kept under its identity: one that is gone may [make way](super::Gone::makes_way).
///
/// # Errors
/// [`NotAdopted`].
pub fn adopted(
    orphan: &Orphan,
    policy: &Name,
    there: Option<&Life>,
    others: usize,
    by: GoesBy,
) -> Result<Listed, NotAdopted> {
    match there {
        _ if others >= MOST_BESIDE_DEFAULTS => Err(NotAdopted::Full),
        Some(Life::Listed(_)) => Err(NotAdopted::Listed { name: orphan.name.clone() }),
        Some(Life::Gone(gone)) if !gone.makes_way(orphan, by) => {
            Err(NotAdopted::Gone { name: orphan.name.clone() })
        }
        Some(Life::Gone(_)) | None => {
            let (epochs, others) = (orphan.epochs(), orphan.above);
            Ok(Listed { made: true, epochs, others, ..Listed::new(Some(policy.clone())) })
        }
    }
}

/// From where a vault goes to where.
#[derive(Debug, Clone, Copy)]
pub struct Move {
    /// Both are one device.
    pub same_device: bool,
    /// An operator marked the old device as lost.
    pub lost: bool,
    /// What its policy asks for: by that the new device is to open it.
    pub custody: Custody,
    /// What the old device's node has it under may be in part in its TPM ([`Listed::is_in_tpm`]), whatever the policy became since.
    pub in_tpm: bool,
    /// One of the two is further on than this database, or all of it was put back: in the newer one it may be elsewhere.
    pub older: Option<Older>,
    /// What the new device has under its identity.
    pub target: Target,
    /// How many vaults the new device has beside its default ones; none for a default vault, which has its room.
    pub others: Option<usize>,
}

/// What a device has under the identity of a vault that comes to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Nothing.
    Free,
    /// What every node without a TPM is given for its default vaults, and no key of it ever went out: it gives way.
    Unused,
    /// A vault of its own.
    Used,
}

impl Target {
    /// By what is kept of it, and by whether a key of it went out: a node may have made a vault with it, and not told yet.
    #[must_use]
    pub fn of(there: Option<&Life>, went_out: bool) -> Self {
        there.map_or(Self::Free, |life| if went_out || life.is_used() { Self::Used } else { Self::Unused })
    }
}

/// A vault that was moved, with all of its keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rehomed {
    /// As it is at the new device, whose node has said nothing of it.
    pub vault: Listed,
    /// What the new device had is dropped.
    pub replaces: bool,
}

/// Why a vault stays where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotRehomed {
    /// In the newer copy of the database it may be elsewhere, or have other keys.
    #[error("the database is older than its device: {0}")]
    Older(Older),
    /// It is there already.
    #[error("one device")]
    SameDevice,
    /// The old device is not marked as lost, and would lose it.
    #[error("the old device may be there")]
    MayBeThere,
    /// Its grace runs.
    #[error("it is being removed")]
    Removing,
    /// A part of its key is in the old device's TPM.
    #[error("the TPM has a part of its key")]
    KeyInTpm,
    /// The new device has made one of its own under its identity.
    #[error("the new device has one of its own")]
    MadeThere,
    /// The new device has another vault of its name.
    #[error("the name is taken")]
    NameTaken,
    /// The new device has [`MOST_BESIDE_DEFAULTS`].
    #[error("no room")]
    Full,
}

impl Listed {
    /// Whether its node has it under a share in its TPM: made, and by the custodies under which keys of ours went out, under nothing else.
    #[must_use]
    pub fn is_in_tpm(&self, went_out: &[Custody]) -> bool {
        let went_out = |custody| went_out.contains(&custody);
        match (went_out(Custody::Controller), went_out(Custody::TpmAndController)) {
            (true, _) => false,
            (false, true) => true,
            (false, false) => self.made && self.taken.is_none(),
        }
    }

    /// Whether its node may have it under a key of ours: it said so; or one went out, and it has not said since that it is under none; or it has
    /// said nothing in this life of the database.
    #[must_use]
    pub fn may_need_keys(&self, went_out: bool) -> bool {
        let said = self.said.map_or(self.is_used(), |said| said.epoch.is_some());
        went_out || said || self.taken.is_some()
    }

    /// Moves it to the device that its own became.
    ///
    /// # Errors
    /// [`NotRehomed`]: it stays where it is.
    pub fn rehome(self, how: Move) -> Result<Rehomed, NotRehomed> {
        if let Some(older) = how.older {
            return Err(NotRehomed::Older(older));
        }
        if how.same_device {
            return Err(NotRehomed::SameDevice);
        }
        if !how.lost {
            return Err(NotRehomed::MayBeThere);
        }
        if self.phase != Phase::Wanted {
            return Err(NotRehomed::Removing);
        }
        if how.custody != Custody::Controller || how.in_tpm {
            return Err(NotRehomed::KeyInTpm);
        }
        if how.target == Target::Used {
            return Err(NotRehomed::MadeThere);
        }
        if how.others.is_some_and(|others| others >= MOST_BESIDE_DEFAULTS) {
            return Err(NotRehomed::Full);
        }
        let vault = Self { recreate: false, said: None, ..self };
        Ok(Rehomed { vault, replaces: how.target == Target::Unused })
    }
}
