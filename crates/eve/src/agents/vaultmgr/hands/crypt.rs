//! What vaultmgr asks of the kernel and of fscrypt's metadata, as a trait: `kernel` is the real one, tests have another.
//! Paths are checked by the implementation: never a link, never another filesystem. Keys pass through, none is kept here.

use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::time::Duration;

pub(crate) use vault::condition::MetaPlace;
use vault::condition::{Hint, Key, Others, Recovery, RecoveryHint};
use vault::escrow::VaultFiles;
use vault::ids::VaultId;
use vault::lease::SinceBoot;
use vault::recovery::Recipients;
use vault::secret::{RecoveryKey, WrappingSecret};
use vault::section::Encryption;
use vault::space::{Space, StorageLimit};

/// An fscrypt v2 key identifier: 16 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct KeyId(pub(crate) [u8; 16]);

/// One copy of a vault's metadata, read without a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CopyRead {
    /// No file of it.
    Absent,
    /// Not readable as metadata.
    Damaged,
    /// Whole, as far as can be told.
    Whole {
        /// What the protector's name says.
        hint: Hint,
        key: KeyId,
        /// How it encrypts, when that is one of ours.
        encryption: Option<Encryption>,
        /// What opens it beside our own protector.
        others: Others,
        /// A recovery protector of ours does too.
        recovery: bool,
    },
}

/// What stands at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// Nothing.
    Nothing,
    /// No directory on the persist filesystem.
    Stranger,
    /// Something is mounted there, or on the way there, and was not entered.
    Covered,
    /// A directory without a policy.
    Plain {
        /// Without entries too.
        empty: bool,
    },
    /// A directory under a v2 policy.
    Policy {
        key: KeyId,
        /// Its modes, when they are ones of ours.
        encryption: Option<Encryption>,
    },
}

impl Found {
    /// Whether it may have a project of its own: an empty directory is about to be the vault.
    pub(crate) fn has_space(self) -> bool {
        matches!(self, Self::Policy { .. } | Self::Plain { empty: true })
    }
}

/// Why the kernel or the metadata did not do as asked; the text says what to do where there is something to do.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub(crate) struct CryptError {
    /// What was tried.
    pub(crate) what: String,
    /// Why not.
    pub(crate) source: Option<Box<dyn std::error::Error + Send + Sync>>,
    /// What a key opened is not what was written: that does not pass.
    pub(crate) is_damage: bool,
}

impl CryptError {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), source: None, is_damage: false }
    }
    pub(crate) fn because(what: &str, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self { what: what.to_owned(), source: Some(Box::new(source)), is_damage: false }
    }
    pub(crate) fn damage(what: &str, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self { is_damage: true, ..Self::because(what, source) }
    }
}

/// Puts an open file, or a directory, into a project.
pub(crate) type Join = fn(BorrowedFd<'_>, u32, bool) -> io::Result<()>;

/// The kernel and the metadata of one filesystem.
pub(crate) trait Crypt {
    /// A protector's own key, in locked memory, wiped on drop.
    type Protector;

    /// Vaults that have metadata in either place.
    fn vaults(&self) -> Result<Vec<VaultId>, CryptError>;
    /// Reads one copy, without a key.
    fn read(&self, vault: VaultId, place: MetaPlace) -> Result<CopyRead, CryptError>;
    /// Makes a random content key and protector, and writes both copies, durably.
    fn create(
        &mut self,
        vault: VaultId,
        encryption: Encryption,
        name: Hint,
        secret: &WrappingSecret,
    ) -> Result<Self::Protector, CryptError>;
    /// Whether the second copy lacks what others have in the first, or has what they have no more, while both are whole.
    fn lags(&self, vault: VaultId) -> bool;
    /// Whether another filesystem than this one lies at the path of persist now: its disk was unmounted, or something is mounted over it.
    fn is_away(&self) -> bool;
    /// Whether files were put into the first place, or taken away, since this was asked last.
    fn stirred(&mut self) -> bool;
    /// Reads anew which files are which vault's: somebody may have put some back.
    fn look_for_names(&mut self) {}
    /// Writes the copy at the other place anew from the one at `from`. What others have in either stays.
    fn repair(&mut self, vault: VaultId, from: MetaPlace) -> Result<(), CryptError>;
    /// Unwraps a protector's own key from one copy: of all of ours in it, the one that the secret opens, with the policy. Nothing when it
    /// opens none, an error when this copy is damaged.
    fn unwrap(
        &mut self,
        vault: VaultId,
        place: MetaPlace,
        secret: &WrappingSecret,
    ) -> Result<Option<Self::Protector>, CryptError>;
    /// Wraps the protector's own key anew in both copies, durably, and scrubs the old wraps.
    fn rewrap(
        &mut self,
        vault: VaultId,
        protector: &Self::Protector,
        name: Hint,
        secret: &WrappingSecret,
    ) -> Result<(), CryptError>;
    /// Writes key files that came back from escrow into both places, each where none reads there: what reads stays. A vault of which a copy is
    /// whole is left alone.
    fn bring_back(&mut self, vault: VaultId, files: &VaultFiles) -> Result<(), CryptError>;
    /// What there is of its recovery key. `named`: a copy of its metadata names a protector of that kind.
    fn recovery(&self, vault: VaultId, named: bool) -> Recovery;
    /// Makes a recovery key, by a protector that opens the vault, puts it in force in both places, durably, and scrubs the one before.
    fn make_recovery(
        &mut self,
        vault: VaultId,
        by: &Self::Protector,
        recipients: &Recipients,
        hint: RecoveryHint,
    ) -> Result<(), CryptError>;
    /// Takes the recovery key away from both places, durably, and scrubs it.
    fn drop_recovery(&mut self, vault: VaultId) -> Result<(), CryptError>;
    /// The recovery protector's own key, and the content key's identifier, if this is the recovery key; that it was used is on the disk then.
    fn recover(
        &mut self,
        vault: VaultId,
        key: &RecoveryKey,
    ) -> Result<Option<(Self::Protector, KeyId)>, CryptError>;
    /// Puts another protector of our own in force, by one that opens the vault, in both copies, durably, and scrubs the one before.
    fn new_protector(
        &mut self,
        vault: VaultId,
        by: &Self::Protector,
        name: Hint,
        secret: &WrappingSecret,
    ) -> Result<Self::Protector, CryptError>;
    /// Writes key files that came from escrow over copies that read, and that no key opens: where this secret opens them. Whether it does.
    fn put_back(
        &mut self,
        vault: VaultId,
        files: &VaultFiles,
        secret: &WrappingSecret,
    ) -> Result<bool, CryptError>;
    /// Overwrites and unlinks both copies, and with them what others added to this vault alone.
    fn forget(&mut self, vault: VaultId) -> Result<(), CryptError>;

    /// What stands at a path.
    fn find(&self, path: &Path) -> Result<Found, CryptError>;
    /// The same, and what the kernel says of its space: nothing, where it has none or that can't be told, for no vault waits for it. One look does for
    /// both, so they are of the same directory.
    fn find_with_space(&self, path: &Path) -> Result<(Found, Space), CryptError>;
    /// Whether key files of another vault name this key.
    fn is_named_by_another(&self, _vault: VaultId, _key: KeyId) -> bool {
        false
    }
    /// The kernel's word on a key.
    fn key(&self, key: KeyId) -> Result<Key, CryptError>;
    /// Unwraps the content key and gives it to the kernel, which must call it by the identifier in the metadata.
    fn add_key(&self, vault: VaultId, protector: &Self::Protector) -> Result<(), CryptError>;
    /// Removes a key for all users; what the kernel says afterwards.
    fn remove_key(&self, key: KeyId) -> Result<Key, CryptError>;
    /// Sets the policy on an empty directory.
    fn set_policy(&self, path: &Path, key: KeyId, encryption: Encryption) -> Result<(), CryptError>;

    /// The number of the project that the directory of this vault belongs to. One that has none gets one of its own.
    fn enlist(&self, _vault: VaultId, _path: &Path) -> Result<u32, CryptError> {
        Err(CryptError::new("there are no projects here"))
    }
    /// How an open file, or a directory (then `true`), is put into a project.
    fn join(&self) -> Join {
        |file, project, directory| fscrypt::quota::join(file, project, directory)
    }
    /// Bounds what the directory's project may take.
    fn limit(&self, _path: &Path, _limit: Option<StorageLimit>) -> Result<(), CryptError> {
        Err(CryptError::new("there are no projects here"))
    }

    /// Its key files as they lie on the disk, for the escrow; none while no copy is whole, or it is not known which is in force.
    fn key_files(&self, _vault: VaultId) -> Option<VaultFiles> {
        None
    }

    /// Whether key files of a bundle read, belong together, and are those that the vault was opened by, where it was in this life.
    fn reads(&self, _vault: VaultId, _files: &VaultFiles) -> bool {
        true
    }

    /// Whether a key opened the vault's key files in this life. Else what reads on the disk may be damaged in what a key protects.
    fn has_opened(&self, _vault: VaultId) -> bool {
        true
    }

    /// Whether two are the same in what is ours. What others added to a policy's file counts not.
    fn is_alike(&self, one: &VaultFiles, other: &VaultFiles) -> bool {
        one == other
    }

    /// The time since the boot, suspends counted.
    fn since_boot(&self) -> SinceBoot {
        since_boot()
    }

    /// What of the places of key files, and of our other folders, can't be used, in words for people.
    fn unusable(&self) -> Vec<String> {
        Vec::new()
    }

    /// That bytes of a vault's key files which are in force no more could not be wiped, and what to do, in words for people.
    fn unwiped(&self, _vault: VaultId) -> Option<String> {
        None
    }

    /// Where overwritten metadata may have left copies, in words for people.
    fn residue(&self) -> Option<&'static str> {
        None
    }
}

/// CLOCK_BOOTTIME: it counts suspends, and nobody can set it.
pub(crate) fn since_boot() -> SinceBoot {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME);
    // By a clock that can't be read every lease is over.
    SinceBoot(now.map_or(Duration::MAX, Duration::from))
}
