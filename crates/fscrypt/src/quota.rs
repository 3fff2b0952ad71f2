//! Project quotas: which project a file belongs to, what a project takes, and how much it may. Words are those of quotactl(2) and of
//! Documentation/admin-guide/xfs.rst, from which ext4 has its projects. `fs` is any open file or directory of the filesystem.
//!
//! The kernel bounds nobody who has CAP_SYS_RESOURCE. What a limit leaves of the disk belongs to all others.

use std::io;
use std::os::fd::AsFd;

use crate::sys;

/// Numbers of the ioctls that tell and change to which project a file belongs: for whoever forbids them to a process.
pub const PROJECT_IOCTLS: [u32; 2] = sys::PROJECTS;
/// The commands of quotactl_fd(2) that are used here, all of project quotas.
pub const QUOTA_COMMANDS: [u32; 3] = sys::QUOTAS;

/// `FS_XFLAG_PROJINHERIT` of <linux/fs.h>: what is made in this directory belongs to its project, too.
const INHERIT: u32 = 0x200;
/// `FS_QUOTA_PDQ_ACCT` and `FS_QUOTA_PDQ_ENFD` of <linux/dqblk_xfs.h>.
const COUNTED: u16 = 1 << 4;
const ENFORCED: u16 = 1 << 5;
/// In which the kernel has limits: `QIF_DQBLKSIZE`.
const BLOCK: u64 = 1024;

/// What a filesystem does about projects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeps {
    /// Nothing.
    Nothing,
    /// It counts what each takes.
    Counts,
    /// It bounds it, too.
    Bounds,
}

/// A file's or directory's project.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Belongs {
    /// Its number; 0 is none.
    pub project: u32,
    /// Of a directory: what is made in it belongs to the same.
    pub inherits: bool,
}

/// What a project takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// On the disk, in bytes.
    pub bytes: u64,
    /// Files, directories and all else that has an inode.
    pub inodes: u64,
    /// The most that it may take, in bytes.
    pub limit: Option<u64>,
}

/// What the filesystem does; nothing, where the kernel has no quotas or is older than Linux 5.14.
pub fn keeps(fs: impl AsFd) -> Keeps {
    match sys::quota_flags(fs.as_fd()).unwrap_or_default() {
        flags if flags & ENFORCED != 0 => Keeps::Bounds,
        flags if flags & COUNTED != 0 => Keeps::Counts,
        _ => Keeps::Nothing,
    }
}

/// To which project this belongs.
///
/// # Errors
/// The filesystem has no such thing.
pub fn belongs(file: impl AsFd) -> io::Result<Belongs> {
    let attributes = sys::attributes(file.as_fd())?;
    Ok(Belongs { project: attributes.project, inherits: attributes.flags & INHERIT != 0 })
}

/// Puts an open file or directory into a project, and of a directory all that is made in it from now on. What is in it already stays where it
/// is.
///
/// # Errors
/// The filesystem has no projects (EOPNOTSUPP), it is another user's file (EPERM), or this is a container with users of its own (EINVAL).
pub fn join(file: impl AsFd, project: u32, directory: bool) -> io::Result<()> {
    let before = sys::attributes(file.as_fd())?;
    let flags = if directory { before.flags | INHERIT } else { before.flags };
    if (before.project, before.flags) == (project, flags) {
        return Ok(());
    }
    Ok(sys::set_attributes(file.as_fd(), &sys::Attributes { flags, project, ..before })?)
}

/// What a project takes.
///
/// # Errors
/// The filesystem does not count.
pub fn usage(fs: impl AsFd, project: u32) -> io::Result<Usage> {
    let told = sys::quota(fs.as_fd(), project)?;
    let limit = (told.hard_limit != 0).then(|| told.hard_limit.saturating_mul(BLOCK));
    Ok(Usage { bytes: told.space, inodes: told.inodes, limit })
}

/// Bounds what a project may take to so many bytes, rounded up to whole KiB; or to none.
///
/// # Errors
/// The filesystem does not count, or this is not root (CAP_SYS_ADMIN).
pub fn set_limit(fs: impl AsFd, project: u32, bytes: Option<u64>) -> io::Result<()> {
    Ok(sys::set_quota(fs.as_fd(), project, bytes.map_or(0, |bytes| bytes.div_ceil(BLOCK)))?)
}
