//! The steps of a plan and the words around them. Each step is atomic on disk, or safe to repeat from any point of it.
//!
//! To add a step: its variant, kind and words here; the place in the plan that asks for it; a function that does it in vaultmgr's
//! `vault/execute.rs`, or `vault/long.rs` if it works on whole trees. Then the world of `tests/plan/world/steps.rs` must know what
//! it does, and the fault tests of vaultmgr find out whether it can be cut short.

use std::fmt;

use crate::cause::Cause;
use crate::condition::{MetaPlace, RecoveryHint};
use crate::custody::Wrapping;
use crate::ids::Epoch;
use crate::section::{Encryption, Seal};
use crate::shares::Mark;
use crate::space::StorageLimit;

/// One step for one vault. What it needs beyond its fields (keys, paths) the shell has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Seal a fresh share into the table, durably.
    MakeShare {
        /// Under which TPM policy.
        seal: Seal,
        /// `Made` when the vault is there already and only its custody or seal changes.
        mark: Mark,
    },
    /// Make content key and protector, and write both copies of the metadata, durably.
    MakeMetadata {
        /// What the protector is wrapped under.
        wrapping: Wrapping,
        /// What the content key is for; fixed from here on.
        encryption: Encryption,
    },
    /// Write one copy anew from its twin.
    RepairCopy {
        /// The twin.
        from: MetaPlace,
    },
    /// Write both copies of the metadata, which are gone, as the key at hand opened them.
    WriteByHeart,
    /// Try the candidates on the metadata and keep the protector's own key in locked memory. Changes nothing outside.
    Unwrap,
    /// Wrap the protector's own key anew in both copies, scrub the old wraps.
    Rewrap(Wrapping),
    /// Give the key to the kernel, and prove that the directory, if it has a policy, has this one.
    AddKey,
    /// Make the empty directory.
    MakeDir,
    /// Set the policy on the empty directory.
    SetPolicy(Encryption),
    /// Give the directory a project of its own where it has none, and bound what that takes.
    Bound(Option<StorageLimit>),
    /// Put what is in the directory into its project.
    Count,
    /// Copy plain files into a new directory under the policy, compare, and exchange the two at once.
    MoveIn(Encryption),
    /// Remove a copy of plain files that was cut short: they stand where they stood.
    DropCopy,
    /// Look at the plain files that the exchange left once more, then wipe and remove them.
    DropStaged {
        /// The vault can be read, to hold them against.
        open: bool,
    },
    /// Mark the share as made.
    MarkMade,
    /// Remove the key from the kernel, for all users.
    Lock,
    /// Overwrite and unlink both copies of the metadata.
    ForgetMetadata,
    /// Delete the directory tree and what is staged.
    DeleteDir,
    /// Drop the share under this TPM policy from the table, and scrub the table of before.
    DropShare(Seal),
    /// Write into the record that the vault is deleted.
    RecordRemoved,
    /// Make a recovery key that is named so, in both places, and scrub what was there of another.
    MakeRecovery(RecoveryHint),
    /// Take the recovery key away, and scrub it.
    DropRecovery,
    /// With the content key that the recovery key gave: another protector of our own in both copies; scrub the one before.
    NewProtector(Wrapping),
}

macro_rules! kinds {
    ($($name:ident $pattern:pat => $words:literal),+ $(,)?) => {
        /// A step without its fields.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[expect(missing_docs, reason = "each is named after its step")]
        pub enum StepKind { $($name),+ }

        impl Step {
            /// Which step it is.
            #[must_use]
            pub fn kind(self) -> StepKind {
                match self { $($pattern => StepKind::$name),+ }
            }
        }

        impl fmt::Display for StepKind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$name => $words),+ })
            }
        }
    };
}

kinds! {
    MakeShare Step::MakeShare { .. } => "making its TPM share",
    MakeMetadata Step::MakeMetadata { .. } => "making its metadata",
    RepairCopy Step::RepairCopy { .. } => "repairing a copy of its metadata",
    WriteByHeart Step::WriteByHeart => "writing its key files anew",
    Unwrap Step::Unwrap => "unwrapping its protector",
    Rewrap Step::Rewrap(_) => "changing its key",
    AddKey Step::AddKey => "giving its key to the kernel",
    MakeDir Step::MakeDir => "making its directory",
    SetPolicy Step::SetPolicy(_) => "encrypting its directory",
    Bound Step::Bound(_) => "setting its storage limit",
    Count Step::Count => "counting its files to its storage limit",
    MoveIn Step::MoveIn(_) => "moving plain files in",
    DropCopy Step::DropCopy => "removing a copy of plain files that was cut short",
    DropStaged Step::DropStaged { .. } => "removing the plain files that were moved in",
    MarkMade Step::MarkMade => "marking it as made",
    Lock Step::Lock => "locking it",
    ForgetMetadata Step::ForgetMetadata => "wiping its metadata",
    DeleteDir Step::DeleteDir => "deleting its directory",
    DropShare Step::DropShare(_) => "dropping its share",
    RecordRemoved Step::RecordRemoved => "recording its removal",
    MakeRecovery Step::MakeRecovery(_) => "making its recovery key",
    DropRecovery Step::DropRecovery => "taking its recovery key away",
    NewProtector Step::NewProtector(_) => "giving it another protector",
}

/// The operation that a step belongs to, as users know it (IF-2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Op {
    /// `create`.
    Create,
    /// `unlock`.
    Unlock,
    /// `lock`.
    Lock,
    /// `change-key`.
    ChangeKey,
    /// `limit`.
    Limit,
    /// `delete`.
    Delete,
    /// `recreate`.
    Recreate,
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Create => "create",
            Self::Unlock => "unlock",
            Self::Lock => "lock",
            Self::ChangeKey => "change-key",
            Self::Limit => "limit",
            Self::Delete => "delete",
            Self::Recreate => "recreate",
        })
    }
}

/// A step and what it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Act {
    /// What it is for.
    pub op: Op,
    /// What to do.
    pub step: Step,
}

/// Steps that failed a short while ago, and one that takes long and is under way: they are waited for, and what does not depend on
/// them goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Setbacks {
    failed: u32,
    under_way: u32,
}

impl Setbacks {
    /// Adds one.
    pub fn insert(&mut self, kind: StepKind) {
        self.failed |= 1 << kind as u32;
    }
    /// The same with those that somebody is at work on, or about to be.
    #[must_use]
    pub fn with_under_way(self, kinds: impl IntoIterator<Item = StepKind>) -> Self {
        let under_way = kinds.into_iter().fold(0, |all, kind| all | 1 << kind as u32);
        Self { under_way, ..self }
    }
    /// Whether this step failed, or is under way.
    #[must_use]
    pub fn contains(self, kind: StepKind) -> bool {
        (self.failed | self.under_way) & (1 << kind as u32) != 0
    }
    /// What is waited for before this step is taken again.
    #[must_use]
    pub fn wait(self, kind: StepKind) -> Wait {
        match self.under_way & (1 << kind as u32) {
            0 => Wait::Retry(kind),
            _ => Wait::UnderWay(kind),
        }
    }
    /// Whether none failed and none is under way.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }
}

/// Why the controller's key does not come.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoKey {
    /// It says so.
    #[error("{0}")]
    Told(Cause),
    /// No section comes to this session: which demand of the policies its evidence does not meet.
    #[error("this node's evidence satisfies no policy ({0})")]
    NoPolicyMet(String),
    /// No list spoke of the vault yet.
    #[error("the controller has released no key for it yet")]
    NotYet,
}

/// What a vault waits for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Wait {
    /// A live section: what is kept from before does not make vaults.
    #[error(
        "waits for contact with the controller: a vault is made only by a list that comes in this session"
    )]
    Contact,
    /// The controller says no, for now.
    #[error("its key is withheld: {0}")]
    Withheld(NoKey),
    /// The controller's key, not released to this session yet.
    #[error("waits for the controller's key")]
    ControllerKey,
    /// The TPM's roots.
    #[error("waits for the TPM")]
    Tpm,
    /// `P_g` can't be read.
    #[error("its share is sealed to a measured boot, and the TPM does not give it in this one")]
    Pcrs,
    /// The same, and nothing of it is sealed there yet.
    #[error(
        "its policy says `seal: pcrs`, and the TPM does not give the secret for that in this boot: approve this boot (`evc reference approve`), and it is bound to this boot by itself; or boot the state that it is bound to, or choose `seal: tpm`"
    )]
    SealShut,
    /// Sealed to this boot it would open under any.
    #[error(
        "boot not measured, and its policy says `seal: pcrs`: see that the firmware measures the boot into the TPM's SHA-256 or SHA-384 bank, or choose `seal: tpm`"
    )]
    NotMeasured,
    /// No table to take a share from or put one into.
    #[error(
        "the node's share table does not open under this TPM (cleared, exchanged, or the disk was wiped): bring back the TPM or disk that belongs here; if `evc escrow list` has a bundle of this node, approve this boot (`evc reference approve`), and it comes back by itself; only if there is none recreate a default vault to begin a new table: what hung on the old one is lost then"
    )]
    Table,
    /// It is wrapped under a key that is newer than all that the controller gives.
    #[error("{}", newer_epoch(*.under, *.newest))]
    NewerEpoch {
        /// That of its key files.
        under: Epoch,
        /// The newest that the controller gives.
        newest: Epoch,
    },
    /// The controller's keys are not those it is wrapped under.
    #[error("{}", other_epoch(*.under, *.finished))]
    OtherEpoch {
        /// As its metadata says.
        under: Option<Epoch>,
        /// Whether there may be data in it.
        finished: Finished,
    },
    /// The controller's key of this number is another.
    #[error(
        "it is wrapped under another key of epoch {under} than the controller gives: that of another controller, or of another copy of its database. What is in it is kept, and opens once that key is back: bring that controller or its database back, or open the vault by its recovery key (`eve vault recover`). No bundle in escrow is written over its key files, for that key may come back. If that is given up: `eve vault recreate` with --despite-other-key makes it anew, empty"
    )]
    OtherKey {
        /// As its metadata says.
        under: Epoch,
    },
    /// The controller's newest key is older than the one it is wrapped under.
    #[error(
        "the controller gives the key of epoch {given}, but the vault is wrapped under epoch {under}: the controller's database is an older copy, and the vault is not taken back to that key"
    )]
    LowerEpoch {
        /// The controller's.
        given: Epoch,
        /// As its metadata says.
        under: Epoch,
    },
    /// Files are held open.
    #[error("locking waits for files that are still open")]
    Busy,
    /// A long step is being done.
    #[error("{0} is under way")]
    UnderWay(StepKind),
    /// A step failed and is tried again.
    #[error("{0} failed and is tried again soon")]
    Retry(StepKind),
    /// Its disk is not at its path.
    #[error("waits for the disk of persist: `eve status` says what became of it")]
    Disk,
    /// Kernel or disk did not let it be looked at.
    #[error("it can't be observed")]
    Unseen,
}

impl Wait {
    /// What to do, or what it comes by, where its own words do not say so.
    #[must_use]
    pub fn advice(&self) -> Option<&'static str> {
        match self {
            Self::Contact => {
                Some("it is made by itself once the controller answers: `eve status` says how that goes")
            }
            Self::ControllerKey => {
                Some("it opens by itself once the controller answers: `eve status` says how that goes")
            }
            Self::Withheld(_) => Some(
                "it opens by itself once its key comes: `evc describe vault` at the controller says what that takes",
            ),
            Self::Tpm => Some("it opens by itself once the TPM answers: `eve status` says how it is"),
            Self::Pcrs => Some(
                "it opens by itself in the boot that it is sealed to, and where a bundle is in escrow in this one once it is approved (`evc reference approve`)",
            ),
            _ => None,
        }
    }

    /// What is known of this boot, and of the one that the TPM's root is bound to, says more.
    #[must_use]
    pub fn is_for_pcrs(&self) -> bool {
        matches!(self, Self::Pcrs | Self::SealShut)
    }

    /// The vault stands, and the key that it is wrapped under is not among the controller's: another controller's, or of an epoch that is over. `tried`: keys are at hand,
    /// and were tried.
    #[must_use]
    pub fn is_under_another(&self, tried: bool) -> bool {
        match self {
            Self::OtherKey { .. } => true,
            Self::NewerEpoch { .. } | Self::OtherEpoch { finished: Finished::Yes, .. } => tried,
            _ => false,
        }
    }
}

/// What tells whether a vault was ever finished: only then is there data in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finished {
    /// It is there, or its share says so.
    Yes,
    /// Its share says that it was only begun.
    Never,
    /// Nothing tells: its directory is not there, and no share of it.
    NotKnown,
}

fn newer_epoch(under: Epoch, newest: Epoch) -> String {
    format!(
        "it is wrapped under epoch {under}, and the controller's newest is {newest}: the controller works on an older copy of its database, or is another one than made that key. What is in the vault is kept. Bring the newest database back, and run `evc begin-anew --confirm` on it if another was begun anew since; or open the vault by its recovery key (`eve vault recover`). No bundle in escrow is written over its key files, for they are the newer ones. If that is given up: `eve vault recreate` with --despite-other-key makes it anew, empty"
    )
}

fn other_epoch(under: Option<Epoch>, finished: Finished) -> String {
    let under = under.map_or_else(|| "unknown".to_owned(), |epoch| epoch.to_string());
    let shut = format!(
        "it is wrapped under epoch {under} and the keys at hand do not open it: the controller keeps two epochs, and this is an older one"
    );
    match finished {
        Finished::Yes => format!(
            "{shut}. What is in it is kept. Where the disk was put back from a copy, newer key files in a bundle of this node in escrow (`evc escrow list`) come back by themselves once this boot is approved; and its recovery key opens it (`eve vault recover`). If that is given up: `eve vault recreate` with --despite-other-key makes it anew, empty"
        ),
        Finished::Never => {
            format!("{shut}. It was never finished and nothing is in it: `eve vault recreate` makes it anew")
        }
        Finished::NotKnown => format!(
            "{shut}. Whether it was ever finished is not known here, for its directory and its share are not there; if it was not, or what was in it may be lost, `eve vault recreate` makes it anew, empty"
        ),
    }
}
