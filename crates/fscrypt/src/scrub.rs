//! Old key bytes, overwritten in place and in ext4's journal.
//!
//! ext4 overwrites in place. Its journal holds copies of what lies in an inode (`inline_data`; our own files have blocks of their
//! own, those of the `fscrypt` tool and of older versions of ours need not), and of all data with `data=journal`. There the journal
//! is wiped after a scrub, since Linux 5.14. f2fs writes elsewhere, and nothing reaches what it leaves.

use std::{
    fs::{self, File},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::fs::MetadataExt,
    },
};

use disk::{Error, Folder, Replaced};
use nix::{
    errno::Errno,
    sys::{
        stat::{major, minor},
        statfs::{EXT4_SUPER_MAGIC, fstatfs},
    },
};

use crate::sys;

/// `FS_JOURNAL_DATA_FL` and `FS_INLINE_DATA_FL`: a file of which the journal has copies.
const JOURNALED: u32 = 0x4000 | 0x1000_0000;
/// `EXT4_IOC_CHECKPOINT_FLAG_ZEROOUT`.
const ZERO_OUT: u32 = 2;
/// `EXT4_IOC_CHECKPOINT_FLAG_DRY_RUN`.
const DRY_RUN: u32 = 4;

/// Where copies of what was overwritten may be left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Residue {
    /// In ext4's journal, which this kernel can't wipe.
    Journal,
    /// Anywhere: this filesystem does not overwrite in place.
    Elsewhere,
}

/// Overwrites files that are not in force any more, and the journal where it has copies of them. Says what is left all the same.
///
/// # Errors
/// [`Error`]: what replaced them is in force; the next replacement, or a sweep, overwrites what is left.
pub fn scrub(replaced: Vec<Replaced<'_>>) -> Result<Option<Residue>, Error> {
    let Some(folder) = replaced.first().map(Replaced::folder) else { return Ok(None) };
    let copied = replaced.iter().flat_map(Replaced::files).next().is_some()
        && (journals_data(folder.as_fd()) || replaced.iter().flat_map(Replaced::files).any(is_journaled));
    replaced.into_iter().try_for_each(Replaced::scrub)?;
    if copied { wipe_journal(folder.as_fd()) } else { Ok(elsewhere(folder.as_fd())) }
}

/// Overwrites what a replacement that was cut short has left in a folder, as [`scrub`] does.
///
/// # Errors
/// [`Error`]: the disk.
pub fn sweep(folder: &Folder) -> Result<Option<Residue>, Error> {
    let swept = folder.sweep()?;
    let copied = !swept.is_empty() && (journals_data(folder.as_fd()) || swept.iter().any(is_journaled));
    if copied { wipe_journal(folder.as_fd()) } else { Ok(None) }
}

/// Where this filesystem leaves copies of key files that are replaced from now on, whatever is done.
pub fn residue(fs: impl AsFd) -> Option<Residue> {
    let fs = fs.as_fd();
    let journal = || journals_data(fs) && sys::checkpoint(fs, DRY_RUN).is_err();
    elsewhere(fs).or_else(|| journal().then_some(Residue::Journal))
}

fn elsewhere(fs: BorrowedFd<'_>) -> Option<Residue> {
    let ext4 = fstatfs(fs).is_ok_and(|stat| stat.filesystem_type() == EXT4_SUPER_MAGIC);
    (!ext4).then_some(Residue::Elsewhere)
}

/// Writes all that the journal holds to its place, and zeros over the journal: tens of milliseconds on a small disk. Says what stays.
///
/// # Errors
/// [`Error`]: the disk.
pub fn wipe_journal(fs: impl AsFd) -> Result<Option<Residue>, Error> {
    match sys::checkpoint(fs.as_fd(), ZERO_OUT) {
        // No journal at all.
        Ok(()) | Err(Errno::ENODEV) => Ok(None),
        // No ext4, a kernel before 5.14, or a device that can't.
        Err(Errno::ENOTTY | Errno::EOPNOTSUPP) => Ok(Some(Residue::Journal)),
        Err(errno) => Err(Error::Io { doing: "wiping the journal", source: errno.into() }),
    }
}

/// Whether the journal has copies of what this file holds.
fn is_journaled(file: &File) -> bool {
    sys::flags(file.as_fd()).is_ok_and(|flags| flags & JOURNALED != 0)
}

/// Whether its filesystem is mounted with `data=journal`, by an option or by the superblock's default: ext4 shows both.
fn journals_data(of: BorrowedFd<'_>) -> bool {
    let device = || Some(File::from(of.try_clone_to_owned().ok()?).metadata().ok()?.dev());
    let (Some(device), Ok(mounts)) = (device(), fs::read_to_string("/proc/self/mountinfo")) else {
        return false;
    };
    let device = format!("{}:{}", major(device), minor(device));
    let of_device = |line: &&str| line.split(' ').nth(2) == Some(&device);
    let options = |line: &str| Some(line.split_once(" - ")?.1.split(' ').nth(2)?.to_owned());
    let mut options = mounts.lines().filter(of_device).filter_map(options);
    options.any(|options| options.split(',').any(|option| option == "data=journal"))
}
