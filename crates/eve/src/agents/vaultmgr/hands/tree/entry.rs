//! One thing in a folder, taken hold of without opening it: no pipe is waited for, no device is started.

use std::ffi::CString;
use std::fs::{File, Permissions, set_permissions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Gid, OFlags, Statx, StatxAttributes, StatxFlags, Uid};

/// What kind of thing it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Folder,
    File,
    Link,
    Socket,
    /// A device or a pipe.
    Special,
}

/// Owner, group and mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rights {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mode: u32,
}

impl Rights {
    /// Of a folder that is taken apart from others: root's alone, and as nobody else makes one.
    pub(super) const APART: Self = Self { uid: 0, gid: 0, mode: 0o1700 };

    pub(crate) fn of(stat: &Statx) -> Self {
        Self { uid: stat.stx_uid, gid: stat.stx_gid, mode: u32::from(stat.stx_mode) & 0o7777 }
    }
}

/// A descriptor that stays this thing, whatever becomes of its name (`O_PATH`).
#[derive(Debug)]
pub(crate) struct Entry {
    fd: OwnedFd,
    /// What it was when it was taken hold of.
    pub(crate) stat: Statx,
    /// For words only.
    pub(crate) path: PathBuf,
}

impl Entry {
    pub(super) fn new(fd: OwnedFd, path: PathBuf) -> io::Result<Self> {
        let stat = stat_of(fd.as_fd())?;
        Ok(Self { fd, stat, path })
    }

    pub(crate) fn kind(&self) -> Kind {
        match FileType::from_raw_mode(self.stat.stx_mode.into()) {
            FileType::Directory => Kind::Folder,
            FileType::RegularFile => Kind::File,
            FileType::Symlink => Kind::Link,
            FileType::Socket => Kind::Socket,
            _ => Kind::Special,
        }
    }

    /// Opens the regular file that this is, and nothing else.
    pub(crate) fn open(&self, flags: OFlags) -> io::Result<File> {
        if self.kind() != Kind::File {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let opened = rustix::fs::open(self.itself(), flags | OFlags::CLOEXEC, rustix::fs::Mode::empty())?;
        Ok(opened.into())
    }

    /// Marked immutable or append-only: it can be read, and not be taken away.
    pub(crate) fn is_fixed(&self) -> bool {
        self.stat.stx_attributes.intersects(StatxAttributes::IMMUTABLE | StatxAttributes::APPEND)
    }

    /// Under an encryption policy, its own or its folder's. Without that key its name, what is in it, and where it leads are not what they look like.
    pub(crate) fn is_encrypted(&self) -> bool {
        self.stat.stx_attributes.contains(StatxAttributes::ENCRYPTED)
    }

    /// Whether anybody could write to this regular file by what he holds, shown in /proc or not.
    pub(crate) fn has_writers(&self) -> io::Result<bool> {
        fscrypt::sharing::has_writers(&self.open(OFlags::RDONLY | OFlags::NONBLOCK)?)
    }

    /// Makes this regular file root's alone: who has it open for reading could open it anew by that descriptor (`/proc/self/fd`), and for
    /// writing too where its owner and mode let him. What is open for writing stays so.
    pub(crate) fn take(&self) -> io::Result<()> {
        self.own(Uid::ROOT, Gid::ROOT)?;
        set_permissions(self.itself(), Permissions::from_mode(0o600))
    }

    /// Undoes [`Self::take`].
    pub(crate) fn give_back(&self) -> io::Result<()> {
        self.give(Rights::of(&self.stat))
    }

    /// A folder gets its mode while it is ours: a change by who is not in its group takes the set-group-id bit away.
    pub(crate) fn give(&self, to: Rights) -> io::Result<()> {
        if self.kind() == Kind::Folder {
            self.own(Uid::ROOT, Gid::from_raw(nix::unistd::getegid().as_raw()))?;
        }
        set_permissions(self.itself(), Permissions::from_mode(to.mode))?;
        self.own(Uid::from_raw(to.uid), Gid::from_raw(to.gid))
    }

    fn own(&self, owner: Uid, group: Gid) -> io::Result<()> {
        Ok(rustix::fs::chownat(self, c"", Some(owner), Some(group), AtFlags::EMPTY_PATH)?)
    }

    /// Whether [`super::Folder::take_apart`] was the last to change its rights.
    pub(crate) fn is_taken_apart(&self) -> bool {
        Rights::of(&self.stat) == Rights::APART
    }

    /// What it is now.
    pub(crate) fn now(&self) -> io::Result<Statx> {
        stat_of(self.fd.as_fd())
    }

    /// Where a link leads to, as it is written in it.
    pub(crate) fn target(&self) -> io::Result<CString> {
        Ok(rustix::fs::readlinkat(&self.fd, c"", Vec::new())?)
    }

    /// A path that is this thing and no name: for calls that take no such descriptor. A link is not followed by it.
    pub(crate) fn itself(&self) -> PathBuf {
        Path::new("/proc/self/fd").join(self.fd.as_raw_fd().to_string())
    }
}

/// Of the thing itself, with fields of one size on every machine.
pub(super) fn stat_of(fd: BorrowedFd<'_>) -> io::Result<Statx> {
    Ok(rustix::fs::statx(fd, c"", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS | StatxFlags::MNT_ID)?)
}

impl AsFd for Entry {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
