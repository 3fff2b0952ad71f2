//! Policies on directories and keys in the kernel. Words are those of Documentation/filesystems/fscrypt.rst.
//! `fs` is any open file or directory of the filesystem, as a rule its root. Live facts are read back from the kernel;
//! nothing is remembered here.

mod error;

use std::os::fd::AsFd;

use nix::errno::Errno;

pub use error::{AddKeyError, GetPolicyError, KeyStatusError, RemoveKeyError, SetPolicyError};

use crate::{ContentKey, KeyIdentifier, Modes, Policy, sys};

/// `FSCRYPT_KEY_REMOVAL_STATUS_FLAG_FILES_BUSY`.
const FILES_BUSY: u32 = 1;
/// `FSCRYPT_KEY_REMOVAL_STATUS_FLAG_OTHER_USERS`.
const OTHER_USERS: u32 = 2;

/// Numbers of the ioctls that set policies, add keys and remove them: for whoever forbids them to a process.
pub const CHANGING_IOCTLS: [u32; 4] = sys::CHANGING;

/// Numbers of the ioctls that ask for a policy and for a key's status.
pub const READING_IOCTLS: [u32; 2] = sys::READING;

/// Numbers of the ioctls that wipe what ext4's journal keeps of replaced key files.
pub const SCRUBBING_IOCTLS: [u32; 2] = sys::SCRUBBING;

/// Whose claims to a key are taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claims {
    /// The calling user's only.
    Own,
    /// Everyone's; needs root (`CAP_SYS_ADMIN`).
    All,
}

/// What came of removing a key. Only [`Removal::Removed`] and [`Removal::WasAbsent`] mean that the key is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// The key is gone and so are the decrypted files.
    Removed,
    /// There was no such key (or no claim of ours to it, with [`Claims::Own`]).
    WasAbsent,
    /// The key is gone, but files still in use stay readable: try again when they are closed.
    FilesBusy,
    /// Only our claim is gone: other users added the key too.
    OtherUsers,
}

/// What the kernel holds of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyStatus {
    /// Nothing.
    Absent,
    /// The key: the files are readable.
    Present {
        /// How many users have added it.
        users: u32,
    },
    /// The key is removed, but files that were in use stay readable.
    IncompletelyRemoved,
}

/// Sets `policy` on the empty directory `dir`; setting the policy that it has already is no error.
///
/// # Errors
/// [`SetPolicyError`], a variant for each thing to do about it.
///
/// Source: `FS_IOC_SET_ENCRYPTION_POLICY`.
pub fn set_policy(dir: impl AsFd, policy: &Policy) -> Result<(), SetPolicyError> {
    sys::set_policy(dir.as_fd(), &policy.into()).map_err(SetPolicyError::from)
}

/// Reads the policy of a directory; `None` when it is not encrypted.
///
/// # Errors
/// [`GetPolicyError::Version`]: encrypted, with a policy other than version 2. [`GetPolicyError::Kernel`]: not known.
///
/// Source: `FS_IOC_GET_ENCRYPTION_POLICY_EX`.
pub fn get_policy(dir: impl AsFd) -> Result<Option<Policy>, GetPolicyError> {
    let raw = match sys::get_policy(dir.as_fd()) {
        Ok(raw) => raw,
        // Without the filesystem's `encrypt` feature nothing on it is encrypted.
        Err(Errno::ENODATA | Errno::EOPNOTSUPP | Errno::ENOTTY) => return Ok(None),
        Err(Errno::EINVAL | Errno::EOVERFLOW) => return Err(GetPolicyError::Version { version: None }),
        Err(errno) => return Err(GetPolicyError::Kernel { source: errno.into() }),
    };
    if raw.version != sys::POLICY_V2 {
        return Err(GetPolicyError::Version { version: Some(raw.version) });
    }
    let modes = Modes {
        contents: raw.contents,
        filenames: raw.filenames,
        flags: raw.flags,
        log2_data_unit_size: raw.log2_data_unit_size,
    };
    Ok(Some(Policy { identifier: KeyIdentifier(raw.identifier), modes }))
}

/// Gives `key` to the filesystem; adding a key that is there already is no error.
///
/// The kernel's name of it is compared with the one computed here; on a difference the key is taken back.
///
/// # Errors
/// [`AddKeyError`], a variant for each thing to do about it.
///
/// Source: `FS_IOC_ADD_ENCRYPTION_KEY`.
pub fn add_key(fs: impl AsFd, key: &ContentKey) -> Result<KeyIdentifier, AddKeyError> {
    let (expected, given) = (KeyIdentifier::of(key), sys::add_key(fs.as_fd(), key)?);
    if given != expected {
        // Best effort: the error below is the one that matters.
        let _ = sys::remove_key(fs.as_fd(), given, false);
        return Err(AddKeyError::OtherIdentifier { expected, given });
    }
    Ok(given)
}

/// Takes a key back from the kernel.
///
/// # Errors
/// [`RemoveKeyError`]: the key is as it was.
///
/// Source: `FS_IOC_REMOVE_ENCRYPTION_KEY`, `FS_IOC_REMOVE_ENCRYPTION_KEY_ALL_USERS`.
pub fn remove_key(fs: impl AsFd, id: KeyIdentifier, claims: Claims) -> Result<Removal, RemoveKeyError> {
    match sys::remove_key(fs.as_fd(), id, claims == Claims::All) {
        Ok(flags) if flags & OTHER_USERS != 0 => Ok(Removal::OtherUsers),
        Ok(flags) if flags & FILES_BUSY != 0 => Ok(Removal::FilesBusy),
        Ok(_) => Ok(Removal::Removed),
        Err(Errno::ENOKEY) => Ok(Removal::WasAbsent),
        Err(errno) => Err(RemoveKeyError { id, source: errno.into() }),
    }
}

/// Asks what the kernel holds of a key.
///
/// # Errors
/// [`KeyStatusError`]: not known; never to be read as absent.
///
/// Source: `FS_IOC_GET_ENCRYPTION_KEY_STATUS`.
pub fn key_status(fs: impl AsFd, id: KeyIdentifier) -> Result<KeyStatus, KeyStatusError> {
    let raw = sys::key_status(fs.as_fd(), id)
        .map_err(|errno| KeyStatusError::Kernel { id, source: errno.into() })?;
    match raw.status {
        1 => Ok(KeyStatus::Absent),
        2 => Ok(KeyStatus::Present { users: raw.users }),
        3 => Ok(KeyStatus::IncompletelyRemoved),
        status => Err(KeyStatusError::Unknown { id, status }),
    }
}
