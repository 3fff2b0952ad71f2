//! The closed list of what happens to a disk, and the kernel that does it. A new operation is a variant of `Op` here; how a cut undoes it is said in
//! `faulty.rs`, and it is cut in `tests/faults.rs`.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::FileExt;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, FallocateFlags, OFlag, RenameFlags, fallocate, openat, renameat, renameat2};
use nix::sys::stat::{Mode, fchmod, mkdirat};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchown, fsync, ftruncate, linkat, unlinkat};

/// A name in an open folder.
#[derive(Debug, Clone, Copy)]
pub struct At<'a> {
    /// The folder.
    pub folder: BorrowedFd<'a>,
    /// One part of a path.
    pub name: &'a str,
}

/// All that is ever done to a disk. What changes a name or a file is there after a power cut once the folder or the file was
/// synced, and not before.
#[derive(Clone, Copy)]
pub enum Op<'a> {
    /// An empty file under a name that is free.
    MakeFile {
        /// Where.
        at: At<'a>,
        /// Its mode, less the umask.
        mode: u32,
    },
    /// An empty folder under a name that is free.
    MakeFolder {
        /// Where.
        at: At<'a>,
        /// Its mode, less the umask.
        mode: u32,
    },
    /// Room for the first bytes of a file, whose length stays. Its bytes then lie in blocks of its own, never in its inode.
    Reserve {
        /// The file.
        file: &'a File,
        /// How many.
        bytes: u16,
    },
    /// Bytes into a file.
    Write {
        /// The file.
        file: &'a File,
        /// From where on.
        offset: u64,
        /// All of them.
        bytes: &'a [u8],
    },
    /// Zeros over bytes that are there, in the same blocks.
    Overwrite {
        /// The file.
        file: &'a File,
        /// From where on.
        offset: u64,
        /// How many.
        bytes: u16,
    },
    /// Another length.
    SetLength {
        /// Of which file.
        file: &'a File,
        /// In bytes.
        length: u64,
    },
    /// Another owner and group.
    SetOwner {
        /// Of which file or folder.
        of: BorrowedFd<'a>,
        /// The user.
        uid: u32,
        /// The group.
        gid: u32,
    },
    /// Another mode.
    SetMode {
        /// Of which file or folder.
        of: BorrowedFd<'a>,
        /// The mode.
        mode: u32,
    },
    /// A second name of a file.
    Link {
        /// The first.
        from: At<'a>,
        /// The second, which is free.
        to: At<'a>,
    },
    /// Another name, in place of what has it.
    Rename {
        /// The name of before.
        from: At<'a>,
        /// The name to be.
        to: At<'a>,
    },
    /// Another name, which is free.
    RenameToFree {
        /// The name of before.
        from: At<'a>,
        /// The name to be.
        to: At<'a>,
    },
    /// Two names change places.
    Exchange {
        /// One.
        one: At<'a>,
        /// The other.
        other: At<'a>,
    },
    /// A name goes.
    Unlink {
        /// Which.
        at: At<'a>,
    },
    /// An empty folder goes.
    RemoveFolder {
        /// Which.
        at: At<'a>,
    },
    /// What a file holds is on the disk when this returns.
    SyncFile {
        /// Which.
        file: &'a File,
    },
    /// So are the names in a folder.
    SyncFolder {
        /// Which.
        folder: BorrowedFd<'a>,
    },
}

/// Carries operations out, one by one, in the order in which they come.
pub trait Operations: fmt::Debug + Send + Sync {
    /// Does one.
    ///
    /// # Errors
    /// The kernel's answer: nothing was done, or, of a write, a part.
    fn run(&self, op: Op<'_>) -> io::Result<()>;
}

/// The kernel.
#[derive(Debug, Clone, Copy)]
pub struct Linux;

impl Operations for Linux {
    fn run(&self, op: Op<'_>) -> io::Result<()> {
        match op {
            Op::MakeFile { at, mode } => {
                let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
                openat(at.folder, at.name, flags, bits(mode)).map(drop)?;
            }
            Op::MakeFolder { at, mode } => mkdirat(at.folder, at.name, bits(mode))?,
            Op::Reserve { file, bytes } => {
                fallocate(file, FallocateFlags::FALLOC_FL_KEEP_SIZE, 0, bytes.into())?;
            }
            Op::Write { file, offset, bytes } => file.write_all_at(bytes, offset)?,
            Op::Overwrite { file, offset, bytes } => {
                file.write_all_at(&ZEROS[..usize::from(bytes)], offset)?;
            }
            Op::SetLength { file, length } => ftruncate(file, i64::try_from(length).unwrap_or(i64::MAX))?,
            Op::SetOwner { of, uid, gid } => fchown(of, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?,
            Op::SetMode { of, mode } => fchmod(of, bits(mode))?,
            Op::Link { from, to } => {
                linkat(from.folder, from.name, to.folder, to.name, AtFlags::empty())?;
            }
            Op::Rename { from, to } => renameat(from.folder, from.name, to.folder, to.name)?,
            Op::RenameToFree { from, to } => match renamed(from, to, RenameFlags::RENAME_NOREPLACE) {
                // A filesystem that can't do it at once, such as NFS.
                Err(Errno::EINVAL) => {
                    linkat(from.folder, from.name, to.folder, to.name, AtFlags::empty())?;
                    unlinkat(from.folder, from.name, UnlinkatFlags::NoRemoveDir)?;
                }
                renamed => renamed?,
            },
            Op::Exchange { one, other } => renamed(one, other, RenameFlags::RENAME_EXCHANGE)?,
            Op::Unlink { at } => unlinkat(at.folder, at.name, UnlinkatFlags::NoRemoveDir)?,
            Op::RemoveFolder { at } => unlinkat(at.folder, at.name, UnlinkatFlags::RemoveDir)?,
            Op::SyncFile { file } => file.sync_all()?,
            Op::SyncFolder { folder } => fsync(folder)?,
        }
        Ok(())
    }
}

static ZEROS: [u8; u16::MAX as usize] = [0; u16::MAX as usize];

fn bits(mode: u32) -> Mode {
    Mode::from_bits_truncate(mode)
}

fn renamed(from: At<'_>, to: At<'_>, flags: RenameFlags) -> nix::Result<()> {
    renameat2(from.folder, from.name, to.folder, to.name, flags)
}

impl Op<'_> {
    /// What it is called in an error and in a trace.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::MakeFile { .. } => "make file",
            Self::MakeFolder { .. } => "make folder",
            Self::Reserve { .. } => "reserve",
            Self::Write { .. } => "write",
            Self::Overwrite { .. } => "overwrite",
            Self::SetLength { .. } => "set length",
            Self::SetOwner { .. } => "set owner",
            Self::SetMode { .. } => "set mode",
            Self::Link { .. } => "link",
            Self::Rename { .. } => "rename",
            Self::RenameToFree { .. } => "rename to a free name",
            Self::Exchange { .. } => "exchange",
            Self::Unlink { .. } => "unlink",
            Self::RemoveFolder { .. } => "remove folder",
            Self::SyncFile { .. } => "sync file",
            Self::SyncFolder { .. } => "sync folder",
        }
    }

    /// Whether a full disk may refuse it.
    #[must_use]
    pub fn needs_room(&self) -> bool {
        match self {
            Self::MakeFile { .. }
            | Self::MakeFolder { .. }
            | Self::Reserve { .. }
            | Self::Write { .. }
            | Self::Link { .. }
            | Self::Rename { .. }
            | Self::RenameToFree { .. } => true,
            Self::Overwrite { .. }
            | Self::SetLength { .. }
            | Self::SetOwner { .. }
            | Self::SetMode { .. }
            | Self::Exchange { .. }
            | Self::Unlink { .. }
            | Self::RemoveFolder { .. }
            | Self::SyncFile { .. }
            | Self::SyncFolder { .. } => false,
        }
    }
}

/// The kind alone: what is written may be a key, and names are part of what a vault protects.
impl fmt::Debug for Op<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
