//! A folder of key files, laid out as the `fscrypt` tool's `.fscrypt`: `protectors/` and `policies/`, a file per key named
//! by its descriptor. Everything is reached through descriptors kept open, no link is followed, and what comes from the
//! disk is checked before it is a key file. A write is durable when it returns, and what it replaced is overwritten.

mod error;
mod rewrap;

use std::fs::File;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use disk::{Disk, Folder};

pub use error::MetaError;
pub use rewrap::rewrap_both;

use crate::{
    KeyFiles, KeyIdentifier, PolicyFile, ProtectorDescriptor, ProtectorFile,
    metadata::MAX_FILE_LEN,
    scrub::{scrub, sweep},
};

/// Longer than any filesystem's clock ticks.
const SETTLED: Duration = Duration::from_secs(3);
const PROTECTORS: &str = "protectors";
const POLICIES: &str = "policies";

/// When files were last put into a folder of key files or taken away from it, by the filesystem's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp([SystemTime; 2]);

/// What is mounted over a folder in this one is told by its path.
fn over(folder: Option<&Path>) -> impl FnOnce(disk::Error) -> disk::Error {
    move |error| error.beneath(folder.unwrap_or(Path::new("")))
}

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
    pub fn create(disk: &Disk, path: &Path) -> Result<Self, MetaError> {
        Self::made_within(&disk.make_folder(path, 0o755)?, path)
    }

    /// The same of a name in a folder that is open; `path` is how it is called.
    ///
    /// # Errors
    /// As [`MetaDir::create`].
    pub fn create_in(parent: &Folder, name: &str, path: &Path) -> Result<Self, MetaError> {
        Self::made_within(&parent.make_folder(name, 0o755).map_err(over(path.parent()))?, path)
    }

    fn made_within(root: &Folder, path: &Path) -> Result<Self, MetaError> {
        root.make_folder(PROTECTORS, 0o755).map_err(over(Some(path)))?;
        root.make_folder(POLICIES, 0o755).map_err(over(Some(path)))?;
        Self::within(root, path)
    }

    /// Opens the folder at `path`. It changes nothing; call [`MetaDir::sweep`] before the first write.
    ///
    /// # Errors
    /// [`MetaError::Absent`]: it, or a folder within, is not there. [`MetaError::Unsafe`]: a link, or others may write to it.
    pub fn open(disk: &Disk, path: &Path) -> Result<Self, MetaError> {
        Self::within(&disk.folder(path)?, path)
    }

    /// The same of a folder that is open; `path` is how it is called.
    ///
    /// # Errors
    /// As [`MetaDir::open`].
    pub fn within(root: &Folder, path: &Path) -> Result<Self, MetaError> {
        let folder = |name| root.folder(name).map_err(over(Some(path)));
        let (protectors, policies) = (folder(PROTECTORS)?, folder(POLICIES)?);
        // As the `fscrypt` tool does.
        let all = [root, &protectors, &policies].into_iter();
        all.into_iter().try_for_each(|folder| folder.check_ours("the folder of key files"))?;
        Ok(Self { path: path.into(), protectors, policies })
    }

    /// Where the folder was when it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// When files were put here or taken away last. Nothing while that is so short ago that the next time may bear the same stamp, or
    /// where it can't be told.
    pub fn stamp(&self) -> Option<Stamp> {
        let of =
            |folder: &Folder| changed(folder).ok().filter(|at| at.elapsed().is_ok_and(|ago| ago > SETTLED));
        Some(Stamp([of(&self.protectors)?, of(&self.policies)?]))
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
        let file = ProtectorFile::parse(&read(&self.protectors, &name)?).map_err(error::damaged(&name))?;
        if file.descriptor() == of { Ok(file) } else { Err(MetaError::Misnamed { name }) }
    }

    /// Reads a policy's file.
    ///
    /// # Errors
    /// As [`MetaDir::read_protector`].
    pub fn read_policy(&self, of: KeyIdentifier) -> Result<PolicyFile, MetaError> {
        let name = of.to_string();
        let file = PolicyFile::parse(&read(&self.policies, &name)?).map_err(error::damaged(&name))?;
        if file.policy().identifier == of { Ok(file) } else { Err(MetaError::Misnamed { name }) }
    }

    /// Writes a protector's file durably. A file it replaces is overwritten in place.
    ///
    /// # Errors
    /// [`MetaError::Io`]: the old file or the new is in force, whole; call again.
    pub fn write_protector(&self, file: &ProtectorFile) -> Result<(), MetaError> {
        write(&self.protectors, &file.descriptor().to_string(), &file.to_bytes())
    }

    /// Writes a policy's file durably. A file it replaces is overwritten in place.
    ///
    /// # Errors
    /// As [`MetaDir::write_protector`].
    pub fn write_policy(&self, file: &PolicyFile) -> Result<(), MetaError> {
        write(&self.policies, &file.policy().identifier.to_string(), &file.to_bytes())
    }

    /// Writes both files of a vault: the protector first, since a policy without its protector opens for nobody.
    ///
    /// # Errors
    /// As [`MetaDir::write_protector`].
    pub fn write(&self, files: &KeyFiles) -> Result<(), MetaError> {
        self.write_protector(&files.protector)?;
        self.write_policy(&files.policy)
    }

    /// Overwrites and unlinks a protector's file, or the tool's link to one on another filesystem, durably; one that is absent is no
    /// error. What a link leads to stays.
    ///
    /// # Errors
    /// [`MetaError::Io`]: call again, and [`MetaDir::sweep`] after a restart.
    pub fn remove_protector(&self, of: ProtectorDescriptor) -> Result<(), MetaError> {
        let (name, link) = (of.to_string(), link(&of.to_string()));
        if self.protectors.names()?.contains(&link) {
            remove(&self.protectors, &link)?;
        }
        remove(&self.protectors, &name)
    }

    /// Overwrites and unlinks a policy's file, durably; one that is absent is no error.
    ///
    /// # Errors
    /// As [`MetaDir::remove_protector`].
    pub fn remove_policy(&self, of: KeyIdentifier) -> Result<(), MetaError> {
        remove(&self.policies, &of.to_string())
    }

    /// Whether a write or a removal of ours left something that [`MetaDir::sweep`] overwrites. What can't be listed counts as that.
    pub fn has_leftovers(&self) -> bool {
        [&self.protectors, &self.policies].into_iter().any(|folder| folder.has_leftovers().unwrap_or(true))
    }

    /// Protectors among what [`MetaDir::sweep`] has to overwrite, as far as they read: they are in force no more, and tell whose they were.
    pub fn left_protectors(&self) -> Vec<ProtectorFile> {
        let left = self.protectors.leftovers().unwrap_or_default().into_iter();
        let file = |(name, live): (String, String)| {
            let file = ProtectorFile::parse(&read(&self.protectors, &name).ok()?).ok()?;
            (file.descriptor().to_string() == live).then_some(file)
        };
        left.filter_map(file).collect()
    }

    /// What that is: where each lies, and of which key file it was left.
    ///
    /// # Errors
    /// [`MetaError::Io`]: the disk.
    pub fn leftovers(&self) -> Result<Vec<(PathBuf, String)>, MetaError> {
        let mut all = Vec::new();
        for (folder, name) in [(&self.protectors, PROTECTORS), (&self.policies, POLICIES)] {
            let place = self.path.join(name);
            all.extend(folder.leftovers()?.into_iter().map(|(left, live)| (place.join(left), live)));
        }
        Ok(all)
    }

    /// Overwrites and unlinks what a write of ours that was cut short has left. Other programs' files stay. The caller is
    /// the only writer of our files here.
    ///
    /// # Errors
    /// [`MetaError::Io`]: the disk.
    pub fn sweep(&self) -> Result<(), MetaError> {
        let swept = [sweep(&self.protectors), sweep(&self.policies)];
        Ok(swept.into_iter().try_for_each(|swept| swept.map(drop))?)
    }
}

fn changed(folder: &Folder) -> std::io::Result<SystemTime> {
    File::from(folder.as_fd().try_clone_to_owned()?).metadata()?.modified()
}

fn read(folder: &Folder, name: &str) -> Result<Vec<u8>, MetaError> {
    // One byte more than allowed shows the parser that it is too long.
    match folder.read(name, MAX_FILE_LEN + 1) {
        // The protector lies on another filesystem; the tool would go there, we do not.
        Err(disk::Error::Absent { .. }) if folder.names()?.contains(&link(name)) => {
            Err(MetaError::Unsafe { name: link(name) })
        }
        read => Ok(read?),
    }
}

/// The tool's name for where a protector lies on another filesystem.
fn link(name: &str) -> String {
    format!("{name}.link")
}

fn write(folder: &Folder, name: &str, bytes: &[u8]) -> Result<(), MetaError> {
    Ok(scrub(vec![folder.replace(name, bytes)?]).map(drop)?)
}

fn remove(folder: &Folder, name: &str) -> Result<(), MetaError> {
    Ok(scrub(vec![folder.retire(name)?]).map(drop)?)
}
