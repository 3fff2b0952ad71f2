//! What each ioctl's errno means at that ioctl.

use std::io;

use nix::errno::Errno;

use crate::KeyIdentifier;

/// Why a directory got no policy.
#[derive(Debug, thiserror::Error)]
pub enum SetPolicyError {
    /// It has another policy already.
    #[error("the directory is encrypted under another policy")]
    OtherPolicy,
    /// Only an empty directory can get a policy.
    #[error("the directory is not empty")]
    NotEmpty,
    /// The thing is not a directory.
    #[error("not a directory")]
    NotADirectory,
    /// The filesystem was made without encryption, or the kernel was.
    #[error("the filesystem does not support encryption")]
    Unsupported,
    /// The kernel knows no such modes or flags.
    #[error("the kernel refuses these modes")]
    Modes,
    /// The key must be added first.
    #[error("the key of the policy is not in the kernel")]
    NoKey,
    /// The caller does not own the directory, or the filesystem is read-only.
    #[error("setting an encryption policy failed")]
    Kernel {
        /// The kernel's answer.
        source: io::Error,
    },
}

impl From<Errno> for SetPolicyError {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::EEXIST => Self::OtherPolicy,
            Errno::ENOTEMPTY => Self::NotEmpty,
            Errno::ENOTDIR => Self::NotADirectory,
            Errno::ENOTTY | Errno::EOPNOTSUPP => Self::Unsupported,
            Errno::EINVAL => Self::Modes,
            Errno::ENOKEY => Self::NoKey,
            errno => Self::Kernel { source: errno.into() },
        }
    }
}

/// Why a directory's policy is not known.
#[derive(Debug, thiserror::Error)]
pub enum GetPolicyError {
    /// Encrypted, but not under a version 2 policy.
    #[error("the directory has an encryption policy of another version")]
    Version {
        /// The version, where the kernel tells it.
        version: Option<u8>,
    },
    /// The kernel's answer.
    #[error("reading the encryption policy failed")]
    Kernel {
        /// The kernel's answer.
        source: io::Error,
    },
}

/// Why a key is not in the kernel.
#[derive(Debug, thiserror::Error)]
pub enum AddKeyError {
    /// The kernel calls the key by another name than we compute: not to be trusted; it was taken back.
    #[error("the kernel calls the key {given}, not {expected}")]
    OtherIdentifier {
        /// Computed here.
        expected: KeyIdentifier,
        /// Said by the kernel.
        given: KeyIdentifier,
    },
    /// The filesystem was made without encryption, or the kernel was.
    #[error("the filesystem does not support encryption")]
    Unsupported,
    /// The user's quota of kernel keys is used up.
    #[error("the quota of kernel keys is used up")]
    Quota,
    /// Anything else.
    #[error("adding an encryption key failed")]
    Kernel {
        /// The kernel's answer.
        source: io::Error,
    },
}

impl From<Errno> for AddKeyError {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::ENOTTY | Errno::EOPNOTSUPP => Self::Unsupported,
            Errno::EDQUOT => Self::Quota,
            errno => Self::Kernel { source: errno.into() },
        }
    }
}

/// Why a key could not be removed.
#[derive(Debug, thiserror::Error)]
#[error("removing the encryption key {id} failed")]
pub struct RemoveKeyError {
    /// The key.
    pub id: KeyIdentifier,
    /// The kernel's answer.
    pub source: io::Error,
}

/// Why a key's status is not known.
#[derive(Debug, thiserror::Error)]
pub enum KeyStatusError {
    /// The kernel gave an error.
    #[error("reading the status of the encryption key {id} failed")]
    Kernel {
        /// The key.
        id: KeyIdentifier,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The kernel gave a status that this version does not know.
    #[error("the encryption key {id} has the unknown status {status}")]
    Unknown {
        /// The key.
        id: KeyIdentifier,
        /// The kernel's number.
        status: u32,
    },
}
