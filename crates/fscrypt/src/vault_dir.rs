//! The proof, before a byte is written, that the thing at a path is the vault that is meant; and the probe of what the
//! kernel can encrypt with. Setting a policy does not tell: only making a file loads the cipher.

use std::{
    fs::{self, DirBuilder, File},
    io::{self, Write},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::fs::{DirBuilderExt, MetadataExt},
    },
    path::Path,
};

use nix::{
    errno::Errno,
    fcntl::{OFlag, open},
    sys::stat::Mode,
};

use crate::{
    Claims, ContentKey, KeyIdentifier, Modes, Policy,
    kernel::{self, AddKeyError, GetPolicyError, SetPolicyError},
};

/// An open directory proved to be one vault: only [`open_vault_dir`] makes it. What is reached through this descriptor
/// stays that vault, whatever happens to the path.
#[derive(Debug)]
pub struct VaultDir {
    fd: OwnedFd,
    policy: Policy,
}

impl VaultDir {
    /// The policy that the kernel reported.
    pub fn policy(&self) -> Policy {
        self.policy
    }
}

impl AsFd for VaultDir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Why the thing at a path is not the vault.
#[derive(Debug, thiserror::Error)]
pub enum NotTheVault {
    /// Nothing is there.
    #[error("the vault's directory is absent")]
    Absent,
    /// A link, a file, or something else is there.
    #[error("not a directory")]
    NotADirectory,
    /// It lies on another filesystem: mounted over.
    #[error("the directory lies on another filesystem")]
    OtherFilesystem,
    /// It is not encrypted.
    #[error("the directory is not encrypted")]
    NotEncrypted,
    /// It has another key or other modes.
    #[error("the directory has another encryption policy, of key {}", found.identifier)]
    OtherPolicy {
        /// What it has.
        found: Policy,
    },
    /// Its policy is not known.
    #[error("the directory's encryption policy is not known")]
    Policy(#[from] GetPolicyError),
    /// It could not be looked at.
    #[error("the vault's directory could not be opened")]
    Io(#[from] io::Error),
}

/// Opens the directory at `path` and proves that it is the vault: a directory, not a link, on the filesystem `device`
/// (`st_dev`), whose policy in the kernel is exactly `identifier` with `modes`. It proves nothing about the parents of
/// `path`, nor that the key is present.
///
/// # Errors
/// [`NotTheVault`]; [`NotTheVault::Absent`] and [`NotTheVault::NotEncrypted`] may be a vault half made.
pub fn open_vault_dir(
    path: &Path,
    device: u64,
    identifier: KeyIdentifier,
    modes: Modes,
) -> Result<VaultDir, NotTheVault> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let fd = open(path, flags, Mode::empty()).map_err(|errno| match errno {
        Errno::ENOENT => NotTheVault::Absent,
        Errno::ENOTDIR | Errno::ELOOP => NotTheVault::NotADirectory,
        errno => NotTheVault::Io(errno.into()),
    })?;
    let file = File::from(fd);
    if file.metadata()?.dev() != device {
        return Err(NotTheVault::OtherFilesystem);
    }
    let found = kernel::get_policy(&file)?.ok_or(NotTheVault::NotEncrypted)?;
    if found != (Policy { identifier, modes }) {
        return Err(NotTheVault::OtherPolicy { found });
    }
    Ok(VaultDir { fd: file.into(), policy: found })
}

/// Why vaults with these modes can't be made on a filesystem.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The kernel lacks the cipher, or the filesystem can't use it.
    #[error("this kernel cannot encrypt with these modes")]
    Modes {
        /// What making a file said.
        source: io::Error,
    },
    /// The probe's key was refused.
    #[error("the kernel refuses keys for this filesystem")]
    Key(#[from] AddKeyError),
    /// The probe's policy was refused.
    #[error("the kernel refuses such a policy on this filesystem")]
    Policy(#[from] SetPolicyError),
    /// The probe's directory could not be made or opened.
    #[error("the probe's directory could not be made")]
    Io(#[from] io::Error),
}

/// Tries whether files encrypted with `modes` can be made under `parent`, a directory that is not encrypted. `key` is a
/// random one, for this only. The directory `.eve-probe` and the key are gone afterwards, whatever came of it.
///
/// # Errors
/// [`ProbeError::Modes`]: not with these modes; the others: not at all.
pub fn probe_modes(parent: &Path, modes: Modes, key: &ContentKey) -> Result<(), ProbeError> {
    let (fs, path) = (File::open(parent)?, parent.join(".eve-probe"));
    // Left by a probe that was cut short; it never holds more than its file.
    clear_probe(&path);
    DirBuilder::new().mode(0o700).create(&path)?;
    let outcome = probe_in(&fs, &path, modes, key);
    clear_probe(&path);
    // After the files: else the kernel would keep the key as incompletely removed.
    let _ = kernel::remove_key(&fs, KeyIdentifier::of(key), Claims::Own);
    outcome
}

fn probe_in(fs: &File, path: &Path, modes: Modes, key: &ContentKey) -> Result<(), ProbeError> {
    let identifier = kernel::add_key(fs, key)?;
    kernel::set_policy(File::open(path)?, &Policy { identifier, modes })?;
    write_probe(path).map_err(|source| ProbeError::Modes { source })
}

fn write_probe(path: &Path) -> io::Result<()> {
    let mut file = File::create_new(path.join("probe"))?;
    file.write_all(b"probe")?;
    file.sync_all()
}

fn clear_probe(path: &Path) {
    // What could not be removed shows when the directory is made anew.
    let _ = fs::remove_file(path.join("probe"));
    let _ = fs::remove_dir(path);
}
