//! One folder of key files: reads that trust nothing, writes that a power cut can't halve, and replacement that leaves no
//! old bytes behind.
//!
//! A replaced or removed file keeps the name `.tmp-eve-old-NAME` until its bytes are overwritten. So after a power cut at
//! any instant the old bytes are still under a name, and [`Folder::sweep`] finds and overwrites them. (Unlinked, they
//! would lie in freed blocks, out of reach.) With ext4's `data=journal` or `inline_data`, neither a default, copies may
//! stay in the journal.

use std::{
    fs::File,
    io::{self as stdio, Read, Write},
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::{FileExt, MetadataExt},
    },
    path::Path,
};

use nix::{
    dir::Dir,
    errno::Errno,
    fcntl::{AtFlags, OFlag, openat, renameat},
    sys::stat::{Mode, fstat},
    unistd::{UnlinkatFlags, fsync, geteuid, linkat, unlinkat},
};

use super::{
    error::{MetaError, io, of_open},
    open_folder,
};
use crate::metadata::MAX_FILE_LEN;

/// Names of files being written; the `fscrypt` tool leaves names in `.tmp` alone.
const NEW: &str = ".tmp-eve-new-";
/// Names of files being overwritten.
const OLD: &str = ".tmp-eve-old-";

/// A point in a replacement at which the power may fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The new file is on the disk, under its temporary name.
    NewWritten,
    /// The old file has its second name.
    OldKept,
    /// The new file is in force, perhaps not yet on the disk.
    Renamed,
    /// The new file is in force on the disk.
    InForce,
    /// The old file's bytes are overwritten on the disk.
    OldOverwritten,
    /// The old file's second name is gone.
    OldUnlinked,
}

/// Called after each step; an error stops there, as a power cut would. For tests; in production it says yes.
pub type Hook<'a> = &'a mut dyn FnMut(Step) -> stdio::Result<()>;

/// A folder whose files are replaced and removed without leaving their old bytes. The caller is the only writer of them.
#[derive(Debug)]
pub struct Folder {
    fd: OwnedFd,
}

/// A file that a new one has replaced: still to be overwritten.
#[derive(Debug)]
pub struct Replaced<'a> {
    folder: &'a Folder,
    name: String,
    old: Option<File>,
}

impl Folder {
    /// Opens the folder at `path`. It changes nothing; call [`Folder::sweep`] before the first write.
    ///
    /// # Errors
    /// [`MetaError::Absent`]: it is not there. [`MetaError::Unsafe`]: a link, or others may write to it.
    pub fn open(path: &Path) -> Result<Self, MetaError> {
        let fd = open_folder(path)?;
        Self::check(&fd)?;
        Ok(Self { fd })
    }

    pub(super) fn open_at(parent: &OwnedFd, name: &str) -> Result<Self, MetaError> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let fd = openat(parent, name, flags, Mode::empty()).map_err(of_open(name))?;
        Self::check(&fd)?;
        Ok(Self { fd })
    }

    /// Refuses a folder in which others could put or swap files: as the `fscrypt` tool does.
    pub(super) fn check(fd: &OwnedFd) -> Result<(), MetaError> {
        let stat = fstat(fd).map_err(io("looking at a folder of key files"))?;
        let mode = Mode::from_bits_truncate(stat.st_mode);
        let open_to_all = mode.contains(Mode::S_IWOTH) && !mode.contains(Mode::S_ISVTX);
        if open_to_all || !is_own(stat.st_uid) {
            return Err(MetaError::Unsafe { name: "the folder of key files".into() });
        }
        Ok(())
    }

    /// All names here but `.` and `..`, sorted.
    pub(super) fn names(&self) -> Result<Vec<String>, MetaError> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let mut dir = Dir::openat(&self.fd, ".", flags, Mode::empty()).map_err(io("listing key files"))?;
        let entries = dir.iter().collect::<Result<Vec<_>, _>>().map_err(io("listing key files"))?;
        // A name that is not text is none of ours.
        let mut names: Vec<_> =
            entries.iter().filter_map(|e| Some(e.file_name().to_str().ok()?.to_owned())).collect();
        names.retain(|name| name != "." && name != "..");
        names.sort();
        Ok(names)
    }

    pub(super) fn read(&self, name: &str) -> Result<Vec<u8>, MetaError> {
        let file = match self.open_regular(name, OFlag::O_RDONLY) {
            // The protector lies on another filesystem; the tool would go there, we do not.
            Err(MetaError::Absent { .. }) if self.has(&format!("{name}.link"))? => {
                return Err(MetaError::Unsafe { name: format!("{name}.link") });
            }
            other => other?,
        };
        let mut bytes = Vec::new();
        // One byte more than allowed shows the parser that it is too long.
        file.take(MAX_FILE_LEN as u64 + 1).read_to_end(&mut bytes).map_err(io("reading a key file"))?;
        Ok(bytes)
    }

    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> Result<(), MetaError> {
        self.replace(name, bytes, &mut |_| Ok(()))?.scrub(&mut |_| Ok(()))
    }

    /// Puts `bytes` in force under `name`, durably. What was there is still to be overwritten.
    ///
    /// # Errors
    /// [`MetaError::Io`]: the old file or the new is in force, whole; call again.
    pub fn replace(&self, name: &str, bytes: &[u8], hook: Hook<'_>) -> Result<Replaced<'_>, MetaError> {
        self.sweep_name(name)?;
        self.write_new(name, bytes)?;
        hook(Step::NewWritten).map_err(io("stopped"))?;
        let old = self.keep_old(name)?;
        hook(Step::OldKept).map_err(io("stopped"))?;
        renameat(&self.fd, new_name(name).as_str(), &self.fd, name).map_err(io("renaming a key file"))?;
        hook(Step::Renamed).map_err(io("stopped"))?;
        self.sync()?;
        hook(Step::InForce).map_err(io("stopped"))?;
        Ok(Replaced { folder: self, name: name.into(), old })
    }

    /// Overwrites and unlinks. The file first loses its name, so that a power cut leaves no zeros under it.
    pub(super) fn remove(&self, name: &str) -> Result<(), MetaError> {
        self.sweep_name(name)?;
        match renameat(&self.fd, name, &self.fd, old_name(name).as_str()) {
            Err(Errno::ENOENT) => return Ok(()),
            other => other.map_err(io("renaming a key file"))?,
        }
        self.sync()?;
        self.sweep_name(name)
    }

    /// Overwrites and unlinks what a write of ours that was cut short has left. Other programs' files stay.
    ///
    /// # Errors
    /// [`MetaError::Io`]: the disk.
    pub fn sweep(&self) -> Result<(), MetaError> {
        let names = self.names()?;
        let live = names.iter().filter_map(|name| name.strip_prefix(NEW).or(name.strip_prefix(OLD)));
        live.into_iter().try_for_each(|name| self.sweep_name(name))
    }

    fn sweep_name(&self, name: &str) -> Result<(), MetaError> {
        self.sweep_leftover(&new_name(name), name)?;
        self.sweep_leftover(&old_name(name), name)
    }

    fn sweep_leftover(&self, leftover: &str, live: &str) -> Result<(), MetaError> {
        match self.open_regular(leftover, OFlag::O_WRONLY) {
            Err(MetaError::Absent { .. }) => return Ok(()),
            // A link or the like has no bytes of ours.
            Err(MetaError::Unsafe { .. }) => {}
            // Stopped before the rename: this is a second name of the file in force.
            Ok(file) if self.is_live(&file, live)? => {}
            other => overwrite_own(&other?, leftover)?,
        }
        self.unlink(leftover)
    }

    fn is_live(&self, file: &File, live: &str) -> Result<bool, MetaError> {
        let live = match self.open_regular(live, OFlag::O_RDONLY) {
            Err(MetaError::Absent { .. } | MetaError::Unsafe { .. }) => return Ok(false),
            other => other?,
        };
        let inode = |file: &File| {
            file.metadata().map(|data| (data.dev(), data.ino())).map_err(io("looking at a key file"))
        };
        Ok(inode(file)? == inode(&live)?)
    }

    fn write_new(&self, name: &str, bytes: &[u8]) -> Result<(), MetaError> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let mode = Mode::S_IRUSR | Mode::S_IWUSR;
        let fd = openat(&self.fd, new_name(name).as_str(), flags, mode).map_err(io("making a key file"))?;
        let mut file = File::from(fd);
        file.write_all(bytes).and_then(|()| file.sync_all()).map_err(io("writing a key file"))
    }

    /// Gives the file in force its second name, durably, and opens it.
    fn keep_old(&self, name: &str) -> Result<Option<File>, MetaError> {
        let old = match self.open_regular(name, OFlag::O_WRONLY) {
            Err(MetaError::Absent { .. }) => return Ok(None),
            other => other?,
        };
        linkat(&self.fd, name, &self.fd, old_name(name).as_str(), AtFlags::empty())
            .map_err(io("linking a key file"))?;
        self.sync()?;
        Ok(Some(old))
    }

    fn open_regular(&self, name: &str, access: OFlag) -> Result<File, MetaError> {
        // Non-blocking: a pipe put here must not hold us up.
        let flags = access | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let file = File::from(openat(&self.fd, name, flags, Mode::empty()).map_err(of_open(name))?);
        let regular = file.metadata().map_err(io("looking at a key file"))?.is_file();
        if regular { Ok(file) } else { Err(MetaError::Unsafe { name: name.into() }) }
    }

    fn has(&self, name: &str) -> Result<bool, MetaError> {
        Ok(self.names()?.iter().any(|there| there == name))
    }

    fn unlink(&self, name: &str) -> Result<(), MetaError> {
        unlinkat(&self.fd, name, UnlinkatFlags::NoRemoveDir).map_err(io("unlinking a key file"))?;
        self.sync()
    }

    fn sync(&self) -> Result<(), MetaError> {
        fsync(self.fd.as_fd()).map_err(io("syncing a folder of key files"))
    }
}

impl Replaced<'_> {
    /// Overwrites the old file in place through the descriptor kept open, then unlinks its second name.
    ///
    /// # Errors
    /// [`MetaError::Io`]: the new file is in force; its next replacement, or [`Folder::sweep`], overwrites what is left.
    pub fn scrub(self, hook: Hook<'_>) -> Result<(), MetaError> {
        let Some(old) = &self.old else { return Ok(()) };
        overwrite_own(old, &old_name(&self.name))?;
        hook(Step::OldOverwritten).map_err(io("stopped"))?;
        self.folder.unlink(&old_name(&self.name))?;
        hook(Step::OldUnlinked).map_err(io("stopped"))
    }
}

fn new_name(name: &str) -> String {
    format!("{NEW}{name}")
}

fn old_name(name: &str) -> String {
    format!("{OLD}{name}")
}

fn is_own(uid: u32) -> bool {
    uid == 0 || uid == geteuid().as_raw()
}

/// Overwrites a file of ours that has this name only. In a folder where others may add names (the `fscrypt` tool's setup for all
/// users) it could be a second name of any file: what belongs to another user has no bytes of ours and stays as it is, and what
/// has a name elsewhere too is refused.
fn overwrite_own(file: &File, name: &str) -> Result<(), MetaError> {
    let data = file.metadata().map_err(io("looking at a key file"))?;
    match (is_own(data.uid()), data.nlink()) {
        (false, _) => Ok(()),
        (true, 1) => overwrite(file),
        (true, _) => Err(MetaError::Unsafe { name: name.into() }),
    }
}

/// Writes zeros over all bytes of a file, in place and on the disk.
fn overwrite(file: &File) -> Result<(), MetaError> {
    const ZEROS: [u8; 4096] = [0; 4096];
    let scrub = || -> stdio::Result<()> {
        let len = file.metadata()?.len();
        for offset in (0..len).step_by(ZEROS.len()) {
            let end = usize::try_from(len - offset).unwrap_or(usize::MAX).min(ZEROS.len());
            file.write_all_at(&ZEROS[..end], offset)?;
        }
        file.sync_all()
    };
    scrub().map_err(io("overwriting a key file"))
}
