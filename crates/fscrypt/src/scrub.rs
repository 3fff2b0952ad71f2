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
    let (swept, failed) = folder.sweep_what_can_be()?;
    let copied = !swept.is_empty() && (journals_data(folder.as_fd()) || swept.iter().any(is_journaled));
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

/// Whether its filesystem is mounted with `data=journal`, by an option or by the superblock's default: ext4 shows both. Where that can't
/// be found out it counts as that: to wipe a journal in vain costs little.
fn journals_data(of: BorrowedFd<'_>) -> bool {
    let device = || Some(File::from(of.try_clone_to_owned().ok()?).metadata().ok()?.dev());
    let shown = || is_shown_journaled(&fs::read("/proc/self/mountinfo").ok()?, device()?);
    elsewhere(of).is_none() && shown().unwrap_or(true)
}

/// By the kernel's table of mounts, in which others' paths need not be UTF-8. None where the device is not in it, as after `umount -l`.
fn is_shown_journaled(mounts: &[u8], device: u64) -> Option<bool> {
    let device = format!("{}:{}", major(device), minor(device));
    let fields = mounts.split(|byte| *byte == b'\n').map(|line| line.split(|byte| *byte == b' '));
    let mut of_device = fields.filter(|fields| fields.clone().nth(2) == Some(device.as_bytes())).peekable();
    of_device.peek()?;
    Some(of_device.any(|fields| {
        let options = fields.skip_while(|field| *field != b"-").nth(3);
        options.is_some_and(|options| {
            options.split(|byte| *byte == b',').any(|option| option == b"data=journal")
        })
    }))
}

#[cfg(test)]
mod tests {
    use nix::sys::stat::makedev;

    use super::*;

    /// Invariant 3: others' mounts do not hide that old wraps are in the journal, and what is not known counts as in it.
    #[test]
    fn a_mount_whose_path_is_no_text_hides_no_journal() {
        let table = b"40 1 0:44 / /mnt/\xff\xfe rw - tmpfs tmpfs rw\n\
            41 1 7:3 / /persist rw shared:1 - ext4 /dev/loop3 rw,data=journal\n\
            42 1 7:4 / /mnt rw - ext4 /dev/loop4 rw,data=ordered\n";
        for (minor, journaled) in [(3, Some(true)), (4, Some(false)), (5, None)] {
            assert_eq!(is_shown_journaled(table, makedev(7, minor)), journaled, "7:{minor}");
        }
    }
}
