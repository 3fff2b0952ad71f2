//! Files whose old bytes are not left behind: what replaces or removes one overwrites it.
//!
//! A replaced file changes names with the new one, `.tmp-eve-new-NAME`, at once, and a removed one gets the name
//! `.tmp-eve-old-NAME`; both until their bytes are overwritten. So after a power cut at any instant the old bytes are still under a
//! name, and [`Folder::sweep`] finds and overwrites them. (Unlinked, they would lie in freed blocks, out of reach.) A file is given blocks of its own before its first byte, since one that lies in its
//! inode (ext4's `inline_data`) is copied into the journal with every touch. What lies in a journal all the same is not reached
//! here: [`Replaced::files`] are for whoever can look and wipe it.
//!
//! In a folder where others may add names (the `fscrypt` tool's setup for all users) anybody may use such a name too. Only a regular file of
//! root's counts as left by us; all else is left alone, is nothing to wait for, and is in nobody's way: then a number is put to our name.

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag};
use nix::sys::stat::{FileStat, SFlag, fstatat};

use crate::folder::{io, is_own};
use crate::{Error, Folder, Op};

/// Names of files being written, and of those that they have replaced; the `fscrypt` tool leaves names in `.tmp` alone.
const NEW: &str = ".tmp-eve-new-";
/// Names of files being overwritten that nothing replaced, or where a filesystem can't exchange names.
const OLD: &str = ".tmp-eve-old-";
/// Behind such a name and before a number, where somebody else's stands under the name alone.
const NUMBERED: char = '~';
/// Only its owner reads such a file.
const MODE: u32 = 0o600;
/// A block.
const BLOCK: u16 = 4096;

/// A file that is not in force any more, if there was one: still to be overwritten.
#[derive(Debug)]
#[must_use = "its old bytes are on the disk"]
pub struct Replaced<'a> {
    folder: &'a Folder,
    /// What is not in force any more, and its name.
    old: Option<(File, String)>,
    /// Left by a cut, and overwritten on the way.
    swept: Vec<File>,
}

impl Folder {
    /// Puts `bytes` in force under `name`, durably; where nothing was there, if need be with what is made
    /// [together](crate::Disk::together) with it. What was there is still to be overwritten.
    ///
    /// # Errors
    /// [`Error::Io`]: the old file or the new is in force, whole; call again.
    pub fn replace(&self, name: &str, bytes: &[u8]) -> Result<Replaced<'_>, Error> {
        let swept = self.sweep_name(name)?;
        let new = self.free_name(NEW, name)?;
        self.write_new(&new, bytes)?;
        let old = match self.open_file(name, OFlag::O_WRONLY) {
            Err(Error::Absent { .. }) => {
                self.renamed(&new, name)?;
                self.sync_together()?;
                None
            }
            old => Some((old?, self.change_places(new, name)?)),
        };
        Ok(Replaced { folder: self, old, swept })
    }

    /// Takes a file out of force, durably; nothing there is success. It first loses its name, so that a power cut leaves no zeros
    /// under it, and is still to be overwritten.
    ///
    /// # Errors
    /// [`Error::Io`]: call again, and [`Folder::sweep`] after a restart.
    pub fn retire(&self, name: &str) -> Result<Replaced<'_>, Error> {
        let swept = self.sweep_name(name)?;
        let aside = self.free_name(OLD, name)?;
        let old = match self.renamed(name, &aside) {
            Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => None,
            renamed => renamed.and_then(|()| self.sync()).and_then(|()| self.open_old(&aside))?,
        };
        Ok(Replaced { folder: self, old: old.map(|old| (old, aside)), swept })
    }

    /// Whether [`Folder::sweep`] has something to do.
    ///
    /// # Errors
    /// [`Error::Io`]: the disk.
    pub fn has_leftovers(&self) -> Result<bool, Error> {
        Ok(!self.leftovers()?.is_empty())
    }

    /// What [`Folder::sweep`] has to do: names of what is left, each with the name that it had. What is not ours is nothing of that.
    ///
    /// # Errors
    /// [`Error::Io`]: the disk.
    pub fn leftovers(&self) -> Result<Vec<(String, String)>, Error> {
        let mut left = Vec::new();
        for name in self.names()? {
            if let Some(live) = live_name(&name)
                && self.found(&name)?.is_some_and(|found| is_our_file(&found))
            {
                let live = live.to_owned();
                left.push((name, live));
            }
        }
        Ok(left)
    }

    /// Overwrites and unlinks what a replacement or removal that was cut short has left, and says what that was. Other programs'
    /// files stay. The caller is the only writer of our files here. One that can't be keeps no other from it.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Unsafe`]: the first thing that could not be; all else was.
    pub fn sweep(&self) -> Result<Vec<File>, Error> {
        let (swept, failed) = self.sweep_what_can_be()?;
        failed.map_or(Ok(swept), Err)
    }

    /// The same, with what was swept though something could not be, and why not.
    ///
    /// # Errors
    /// [`Error::Io`]: nothing can be listed.
    pub fn sweep_what_can_be(&self) -> Result<(Vec<File>, Option<Error>), Error> {
        let (mut swept, mut failed) = (Vec::new(), None);
        for (leftover, live) in self.leftovers()? {
            match self.sweep_leftover(&leftover, &live) {
                Ok(file) => swept.extend(file),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        Ok((swept, failed))
    }

    fn sweep_name(&self, name: &str) -> Result<Vec<File>, Error> {
        let its = self.leftovers()?.into_iter().filter(|(_, live)| live == name);
        let swept = its.map(|(leftover, live)| self.sweep_leftover(&leftover, &live));
        Ok(swept.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
    }

    fn sweep_leftover(&self, leftover: &str, live: &str) -> Result<Option<File>, Error> {
        let swept = match self.open_file(leftover, OFlag::O_WRONLY) {
            // It was ours when it was listed, and is not any more.
            Err(Error::Absent { .. } | Error::Unsafe { .. }) => return Ok(None),
            // Stopped before the rename: this is a second name of the file in force.
            Ok(file) if self.is_live(&file, live)? => None,
            file => Some(file?),
        };
        swept.iter().try_for_each(|file| self.overwrite_own(file, leftover))?;
        self.unlink(leftover).map(|()| swept)
    }

    fn is_live(&self, file: &File, live: &str) -> Result<bool, Error> {
        let file = file.metadata().map_err(io("looking at a file"))?;
        let same = |live: FileStat| (live.st_dev, live.st_ino) == (file.dev(), file.ino());
        Ok(self.found(live)?.is_some_and(same))
    }

    /// What stands under a name; no link is followed, and nothing is opened. Nothing where nothing does.
    fn found(&self, name: &str) -> Result<Option<FileStat>, Error> {
        match fstatat(self.as_fd(), name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Err(Errno::ENOENT) => Ok(None),
            found => found.map(Some).map_err(io("looking at a file")),
        }
    }

    /// A name under which a file is put aside. What stands under one is somebody else's, for ours was swept.
    fn free_name(&self, prefix: &str, name: &str) -> Result<String, Error> {
        let mut free = format!("{prefix}{name}");
        let mut nth = 0_u32;
        while self.found(&free)?.is_some() {
            nth += 1;
            free = format!("{prefix}{name}{NUMBERED}{nth}");
        }
        Ok(free)
    }

    fn write_new(&self, new: &str, bytes: &[u8]) -> Result<(), Error> {
        let file = self.make_file(new, MODE)?;
        match self.disk.run(Op::Reserve { file: &file, bytes: BLOCK }) {
            // Such a filesystem has no journal of inodes to keep it out of.
            Err(error) if error.raw_os_error() == Some(Errno::EOPNOTSUPP as i32) => {}
            reserved => reserved.map_err(io("making room for a file"))?,
        }
        self.fill(&file, bytes)
    }

    /// Puts the new file in force, durably, and says under which name the old one is kept.
    fn change_places(&self, new: String, name: &str) -> Result<String, Error> {
        match self.disk.run(Op::Exchange { one: self.at(&new), other: self.at(name) }) {
            Ok(()) => self.sync().map(|()| new),
            // A filesystem that can't: a second name for the old one, and then the new one over the first.
            Err(error) if error.raw_os_error() == Some(Errno::EINVAL as i32) => {
                let old = self.free_name(OLD, name)?;
                let linked = self.disk.run(Op::Link { from: self.at(name), to: self.at(&old) });
                linked.map_err(io("linking a file"))?;
                self.sync()?;
                self.renamed(&new, name)?;
                self.sync().map(|()| old)
            }
            Err(error) => Err(io("exchanging a file")(error)),
        }
    }

    /// A link or the like in a file's place is no file of ours, and only loses its name.
    fn open_old(&self, old: &str) -> Result<Option<File>, Error> {
        match self.open_file(old, OFlag::O_WRONLY) {
            Err(Error::Unsafe { .. }) => self.unlink(old).map(|()| None),
            file => file.map(Some),
        }
    }

    fn renamed(&self, from: &str, to: &str) -> Result<(), Error> {
        self.disk.run(Op::Rename { from: self.at(from), to: self.at(to) }).map_err(io("renaming a file"))
    }

    /// Overwrites a file of ours that has this name only. In a folder where others may add names (the `fscrypt` tool's setup for all
    /// users) it could be a second name of any file: what belongs to another user has no bytes of ours and stays as it is, and what
    /// has a name elsewhere too is refused.
    fn overwrite_own(&self, file: &File, name: &str) -> Result<(), Error> {
        let data = file.metadata().map_err(io("looking at a file"))?;
        match (is_own(data.uid()), data.nlink()) {
            (false, _) => Ok(()),
            (true, 1) => self.overwrite(file, data.len()).map_err(io("overwriting a file")),
            (true, _) => Err(Error::Unsafe { name: name.into() }),
        }
    }

    fn overwrite(&self, file: &File, length: u64) -> std::io::Result<()> {
        for offset in (0..length).step_by(BLOCK.into()) {
            let bytes = u16::try_from(length - offset).unwrap_or(BLOCK).min(BLOCK);
            self.disk.run(Op::Overwrite { file, offset, bytes })?;
        }
        self.disk.run(Op::SyncFile { file })
    }
}

impl<'a> Replaced<'a> {
    /// All files whose bytes are, or were on the way here, to be overwritten.
    pub fn files(&self) -> impl Iterator<Item = &File> {
        self.old.iter().map(|(old, _)| old).chain(&self.swept)
    }

    /// The folder that they are, or were, in.
    #[must_use]
    pub fn folder(&self) -> &'a Folder {
        self.folder
    }

    /// Overwrites the old file in place through the descriptor kept open, then unlinks its name; that it is gone need not be durable,
    /// for what would be swept holds zeros.
    ///
    /// # Errors
    /// [`Error::Io`]: the new file is in force; its next replacement, or [`Folder::sweep`], overwrites what is left.
    pub fn scrub(self) -> Result<(), Error> {
        let Some((old, name)) = &self.old else { return Ok(()) };
        self.folder.overwrite_own(old, name)?;
        self.folder.unlink_unsynced(name)
    }
}

/// Whose leftover it is by its name.
#[must_use]
pub fn live_name(name: &str) -> Option<&str> {
    let rest = name.strip_prefix(NEW).or(name.strip_prefix(OLD))?;
    let numbered = rest.rsplit_once(NUMBERED);
    Some(numbered.filter(|(_, nth)| nth.parse::<u32>().is_ok()).map_or(rest, |(live, _)| live))
}

fn is_our_file(found: &FileStat) -> bool {
    SFlag::from_bits_truncate(found.st_mode) & SFlag::S_IFMT == SFlag::S_IFREG && is_own(found.st_uid)
}
