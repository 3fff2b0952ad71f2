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
    path::{Path, PathBuf},
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
        && (journals_data(folder) || replaced.iter().flat_map(Replaced::files).any(is_journaled));
    replaced.into_iter().try_for_each(Replaced::scrub)?;
    if copied { wipe_journal(folder.as_fd()) } else { Ok(elsewhere(folder.as_fd())) }
}

/// Overwrites what a replacement that was cut short has left in a folder, as [`scrub`] does.
///
/// # Errors
/// [`Error`]: the disk.
pub fn sweep(folder: &Folder) -> Result<Option<Residue>, Error> {
    let (swept, failed) = folder.sweep_what_can_be()?;
    let copied = !swept.is_empty() && (journals_data(folder) || swept.iter().any(is_journaled));
    let residue = if copied { wipe_journal(folder.as_fd())? } else { None };
    failed.map_or(Ok(residue), Err)
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

/// Whether all data of its filesystem goes through the journal: by an option of mount, or by a default in the superblock, of which the table of
/// mounts says nothing (Linux 6.18). None where that can't be found out.
pub fn known_to_journal_data(of: impl AsFd) -> Option<bool> {
    let of = of.as_fd();
    if elsewhere(of).is_some() {
        return Some(false);
    }
    let device = File::from(of.try_clone_to_owned().ok()?).metadata().ok()?.dev();
    Some(are_journaled(&fs::read_to_string(options_of(device)?).ok()?))
}

/// The same for who wipes: where it can't be found out it counts as that, for to wipe a journal in vain costs little.
fn journals_data(of: impl AsFd) -> bool {
    known_to_journal_data(of).unwrap_or(true)
}

/// Where ext4 says by which options, defaults too, the filesystem on this device is mounted.
fn options_of(device: u64) -> Option<PathBuf> {
    let name = fs::read_link(format!("/sys/dev/block/{}:{}", major(device), minor(device))).ok()?;
    Some(Path::new("/proc/fs/ext4").join(name.file_name()?).join("options"))
}

/// A line each.
fn are_journaled(options: &str) -> bool {
    options.lines().any(|option| option == "data=journal")
}

#[cfg(test)]
mod tests {
    use nix::sys::stat::makedev;

    use super::*;

    /// Invariant 3: what is not known counts as in the journal, and what is shown as what it is.
    #[test]
    fn options_that_are_in_force_say_whether_data_is_journaled() {
        for (options, journaled) in [
            ("rw\nbsddf\nnodelalloc\ndata=journal\ncommit=5\n", true),
            ("rw\ndelalloc\ndata=ordered\n", false),
            ("rw\njournal_ioprio=3\ndata=writeback\n", false),
            ("rw\n", false),
        ] {
            assert_eq!(are_journaled(options), journaled, "{options}");
        }
        assert_eq!(options_of(makedev(0, 1)), None, "no such device");
    }
}
