//! A folder of key files, laid out as the `fscrypt` tool's `.fscrypt`: `protectors/` and `policies/`, a file per key named
//! by its descriptor. Everything is reached through descriptors kept open, no link is followed, and what comes from the
//! disk is checked before it is a key file. A write is durable when it returns, and what it replaced is overwritten.

mod error;
mod folder;
mod rewrap;

use std::{
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::{OFlag, open},
    sys::stat::{Mode, mkdirat},
    unistd::fsync,
};

pub use error::MetaError;
pub use folder::{Folder, Hook, Replaced, Step};
pub use rewrap::{rewrap_both, rewrap_both_with};

use crate::{KeyFiles, KeyIdentifier, PolicyFile, ProtectorDescriptor, ProtectorFile};
use error::io;

const PROTECTORS: &str = "protectors";
const POLICIES: &str = "policies";

/// A folder of key files, open.
#[derive(Debug)]
pub struct MetaDir {
    path: PathBuf,
    protectors: Folder,
    policies: Folder,
}

impl MetaDir {
    /// Makes the folder at `path` and the two within, as `fscrypt setup` does (0755), durably; what is there already
    /// stays. The parent must exist.
    ///
    /// # Errors
    /// [`MetaError::Unsafe`]: something else is there, or others may write to it. [`MetaError::Io`]: the disk.
    pub fn create(path: &Path) -> Result<Self, MetaError> {
        let parent = open_folder(path.parent().unwrap_or(Path::new("/")))?;
        let name = path.file_name().ok_or(MetaError::Unsafe { name: path.display().to_string() })?;
        make_folder(&parent, Path::new(name))?;
        let root = open_folder(path)?;
        make_folder(&root, Path::new(PROTECTORS))?;
        make_folder(&root, Path::new(POLICIES))?;
        Self::open(path)
    }

    /// Opens the folder at `path`. It changes nothing; call [`MetaDir::sweep`] before the first write.
    ///
    /// # Errors
    /// [`MetaError::Absent`]: it, or a folder within, is not there. [`MetaError::Unsafe`]: a link, or others may write to it.
    pub fn open(path: &Path) -> Result<Self, MetaError> {
        let root = open_folder(path)?;
        Folder::check(&root)?;
        let protectors = Folder::open_at(&root, PROTECTORS)?;
        let policies = Folder::open_at(&root, POLICIES)?;
        Ok(Self { path: path.into(), protectors, policies })
    }

    /// Where the folder was when it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The protectors here, in order of their names. Links to other filesystems' protectors are left out.
    ///
    /// # Errors
    /// [`MetaError::Io`]: the disk.
    pub fn protectors(&self) -> Result<Vec<ProtectorDescriptor>, MetaError> {
        Ok(self.protectors.names()?.iter().filter_map(|name| name.parse().ok()).collect())
    }

    /// The policies here, in order of their names.
    ///
    /// # Errors
    /// [`MetaError::Io`]: the disk.
    pub fn policies(&self) -> Result<Vec<KeyIdentifier>, MetaError> {
        Ok(self.policies.names()?.iter().filter_map(|name| name.parse().ok()).collect())
    }

    /// Reads a protector's file.
    ///
    /// # Errors
    /// [`MetaError::Absent`], [`MetaError::Damaged`]: take the other copy. [`MetaError::Unsafe`]: a link or no file.
    pub fn read_protector(&self, of: ProtectorDescriptor) -> Result<ProtectorFile, MetaError> {
        let name = of.to_string();
        let file = ProtectorFile::parse(&self.protectors.read(&name)?).map_err(error::damaged(&name))?;
        if file.descriptor() == of { Ok(file) } else { Err(MetaError::Misnamed { name }) }
    }

    /// Reads a policy's file.
    ///
    /// # Errors
    /// As [`MetaDir::read_protector`].
    pub fn read_policy(&self, of: KeyIdentifier) -> Result<PolicyFile, MetaError> {
        let name = of.to_string();
        let file = PolicyFile::parse(&self.policies.read(&name)?).map_err(error::damaged(&name))?;
        if file.policy().identifier == of { Ok(file) } else { Err(MetaError::Misnamed { name }) }
    }

    /// Writes a protector's file durably. A file it replaces is overwritten in place.
    ///
    /// # Errors
    /// [`MetaError::Io`]: the old file or the new is in force, whole; call again.
    pub fn write_protector(&self, file: &ProtectorFile) -> Result<(), MetaError> {
        self.protectors.write(&file.descriptor().to_string(), &file.to_bytes())
    }

    /// Writes a policy's file durably. A file it replaces is overwritten in place.
    ///
    /// # Errors
    /// As [`MetaDir::write_protector`].
    pub fn write_policy(&self, file: &PolicyFile) -> Result<(), MetaError> {
        self.policies.write(&file.policy().identifier.to_string(), &file.to_bytes())
    }

    /// Writes both files of a vault: the protector first, since a policy without its protector opens for nobody.
    ///
    /// # Errors
    /// As [`MetaDir::write_protector`].
    pub fn write(&self, files: &KeyFiles) -> Result<(), MetaError> {
        self.write_protector(&files.protector)?;
        self.write_policy(&files.policy)
    }

    /// Overwrites and unlinks a protector's file, durably; one that is absent is no error.
    ///
    /// # Errors
    /// [`MetaError::Io`]: call again, and [`MetaDir::sweep`] after a restart.
    pub fn remove_protector(&self, of: ProtectorDescriptor) -> Result<(), MetaError> {
        self.protectors.remove(&of.to_string())
    }

    /// Overwrites and unlinks a policy's file, durably; one that is absent is no error.
    ///
    /// # Errors
    /// As [`MetaDir::remove_protector`].
    pub fn remove_policy(&self, of: KeyIdentifier) -> Result<(), MetaError> {
        self.policies.remove(&of.to_string())
    }

    /// Overwrites and unlinks what a write of ours that was cut short has left. Other programs' files stay. The caller is
    /// the only writer of our files here.
    ///
    /// # Errors
    /// [`MetaError::Io`]: the disk.
    pub fn sweep(&self) -> Result<(), MetaError> {
        self.protectors.sweep()?;
        self.policies.sweep()
    }
}

fn open_folder(path: &Path) -> Result<OwnedFd, MetaError> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    open(path, flags, Mode::empty()).map_err(error::of_open(&path.display().to_string()))
}

fn make_folder(parent: impl AsFd, name: &Path) -> Result<(), MetaError> {
    match mkdirat(&parent, name, Mode::from_bits_truncate(0o755)) {
        Ok(()) | Err(Errno::EEXIST) => fsync(&parent).map_err(io("syncing a folder")),
        Err(errno) => Err(io("making a folder")(errno)),
    }
}
