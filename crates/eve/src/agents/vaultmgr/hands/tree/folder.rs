//! An open directory. What is in it is reached by one name at a time: no path leads out of it.

use std::collections::BTreeSet;
use std::ffi::{CStr, CString, OsStr};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags, ResolveFlags, Statx};
use rustix::io::Errno;

use super::entry::stat_of;
use super::{DEEPEST, Entry, Kind, Trouble};

const UNREADABLE: &str = "can't be read";

/// A directory, by its descriptor.
#[derive(Debug)]
pub(crate) struct Folder {
    fd: OwnedFd,
    /// For words only.
    pub(crate) path: PathBuf,
    depth: usize,
}

impl Folder {
    /// Opens the top of a tree, which is a directory and no link. The way to it is not ours to prove.
    pub(crate) fn top(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(CWD, path, flags, Mode::empty())?;
        Ok(Self { fd, path: path.to_owned(), depth: 0 })
    }

    /// The same by its name in its folder, so that nothing is opened that is mounted on it: that may answer never.
    pub(super) fn unless_covered(path: &Path) -> Result<Self, Trouble> {
        let (folder, name) = super::remove::split(path)?;
        Self::top(folder).map_err(Trouble::of(folder, UNREADABLE))?.folder(&name)
    }

    /// The names in it now.
    pub(crate) fn names(&self) -> Result<BTreeSet<CString>, Trouble> {
        let list = || -> io::Result<BTreeSet<CString>> {
            let entries = Dir::read_from(&self.fd)?;
            let names = entries.map(|entry| Ok(entry?.file_name().to_owned()));
            names.filter(|name: &io::Result<CString>| !name.as_deref().is_ok_and(is_dots)).collect()
        };
        list().map_err(Trouble::of(&self.path, UNREADABLE))
    }

    /// Takes hold of what has this name; nothing when nothing has.
    pub(crate) fn entry(&self, name: &CStr) -> Result<Option<Entry>, Trouble> {
        let path = self.path_of(name);
        match self.open(name, OFlags::PATH) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            opened => opened
                .and_then(|fd| Entry::new(fd, path.clone()))
                .map(Some)
                .map_err(|error| beyond(&path, error)),
        }
    }

    /// Goes into the directory of this name.
    pub(crate) fn folder(&self, name: &CStr) -> Result<Self, Trouble> {
        let path = self.path_of(name);
        if self.depth >= DEEPEST {
            return Err(Trouble::new(&path, "its folders nest too deep; move the inner ones elsewhere"));
        }
        self.below(name)
    }

    /// The same however deep it is; then its path, which is for words, ends where it got too deep.
    pub(super) fn below(&self, name: &CStr) -> Result<Self, Trouble> {
        let path = if self.depth < DEEPEST { self.path_of(name) } else { self.path.clone() };
        let opened = self.open(name, OFlags::RDONLY | OFlags::DIRECTORY);
        let fd = opened.map_err(|error| beyond(&path, error))?;
        Ok(Self { fd, path, depth: self.depth + 1 })
    }

    /// Back to the directory that it was reached from, by its inode: whatever else is above it now is not entered.
    pub(super) fn up(self, ino: u64) -> Result<Self, Trouble> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let failed = Trouble::of(&self.path, UNREADABLE);
        let fd = rustix::fs::openat(&self.fd, c"..", flags, Mode::empty()).map_err(failed)?;
        let (here, depth) = (mount_of(self.fd.as_fd()), self.depth - 1);
        let same =
            mount_of(fd.as_fd()).ok() == here.ok() && stat_of(fd.as_fd()).is_ok_and(|s| s.stx_ino == ino);
        if !same {
            return Err(Trouble::new(&self.path, "was moved while it was removed; stop what writes there"));
        }
        let mut path = self.path;
        if depth < DEEPEST {
            path.pop();
        }
        Ok(Self { fd, path, depth })
    }

    /// Goes into the directory that was taken hold of, if that is still what its name says. It is let go: inside, one descriptor is enough.
    pub(crate) fn into(&self, name: &CStr, entry: Entry) -> Result<Self, Trouble> {
        let (folder, was) = (self.folder(name)?, entry.stat.stx_ino);
        drop(entry);
        let now = folder.stat()?;
        if now.stx_ino == was {
            Ok(folder)
        } else {
            Err(Trouble::new(&folder.path, "was exchanged while it was looked at; stop what writes there"))
        }
    }

    /// The directory of this name, made if nothing has it.
    pub(crate) fn make(&self, name: &CStr) -> Result<Self, Trouble> {
        match rustix::fs::mkdirat(&self.fd, name, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => self.folder(name),
            Err(errno) => Err(Trouble::of(&self.path_of(name), "can't be made")(errno)),
        }
    }

    pub(crate) fn stat(&self) -> Result<Statx, Trouble> {
        stat_of(self.fd.as_fd()).map_err(Trouble::of(&self.path, UNREADABLE))
    }

    /// Itself, as a thing of which rights and attributes are read and set.
    pub(crate) fn as_entry(&self) -> Result<Entry, Trouble> {
        let fd = self.open(c".", OFlags::PATH).map_err(Trouble::of(&self.path, UNREADABLE))?;
        Entry::new(fd, self.path.clone()).map_err(Trouble::of(&self.path, UNREADABLE))
    }

    pub(crate) fn path_of(&self, name: &CStr) -> PathBuf {
        self.path.join(OsStr::from_bytes(name.to_bytes()))
    }

    /// Removes a name: of anything, or of an empty directory.
    pub(crate) fn unlink(&self, name: &CStr, kind: Kind) -> rustix::io::Result<()> {
        let flags = if kind == Kind::Folder { AtFlags::REMOVEDIR } else { AtFlags::empty() };
        rustix::fs::unlinkat(&self.fd, name, flags)
    }

    /// By one name, no link, on the same mount: `openat2`, and where the kernel has none the same by looking at what was opened.
    pub(super) fn open(&self, name: &CStr, flags: OFlags) -> io::Result<OwnedFd> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH
            | ResolveFlags::NO_SYMLINKS
            | ResolveFlags::NO_XDEV
            | ResolveFlags::NO_MAGICLINKS;
        match rustix::fs::openat2(&self.fd, name, flags, Mode::empty(), resolve) {
            Err(Errno::NOSYS | Errno::PERM) => self.open_by_steps(name, flags),
            opened => Ok(opened?),
        }
    }

    fn open_by_steps(&self, name: &CStr, flags: OFlags) -> io::Result<OwnedFd> {
        let fd = rustix::fs::openat(&self.fd, name, flags, Mode::empty())?;
        if mount_of(fd.as_fd())? == mount_of(self.fd.as_fd())? { Ok(fd) } else { Err(Errno::XDEV.into()) }
    }
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Which filesystem, and where the kernel says it, which mount.
fn mount_of(fd: BorrowedFd<'_>) -> io::Result<(u32, u32, u64)> {
    let found = stat_of(fd)?;
    Ok((found.stx_dev_major, found.stx_dev_minor, found.stx_mnt_id))
}

fn is_dots(name: &CStr) -> bool {
    matches!(name.to_bytes(), b"." | b"..")
}

/// What the kernel says when the way would lead out of the tree.
fn beyond(path: &Path, error: io::Error) -> Trouble {
    let what = match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::XDEV) => "something is mounted there; unmount it first",
        Some(Errno::LOOP | Errno::NOTDIR) => "was exchanged while it was looked at; stop what writes there",
        _ => UNREADABLE,
    };
    Trouble { path: path.to_owned(), what, source: Some(error) }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    /// Where the kernel has no `openat2` the same holds: no link, no way up, no other filesystem.
    #[test]
    fn without_openat2_the_same_is_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        fs::create_dir(dir.path().join("folder")).expect("makes");
        symlink("folder", dir.path().join("link")).expect("links");
        let folder = Folder::top(dir.path()).expect("opens");
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
        for open in [Folder::open, Folder::open_by_steps] {
            assert!(open(&folder, c"folder", flags).is_ok());
            assert!(open(&folder, c"link", flags).is_err());
        }
        let root = Folder::top(Path::new("/")).expect("opens");
        for open in [Folder::open, Folder::open_by_steps] {
            let proc = open(&root, c"proc", flags).expect_err("another filesystem");
            assert_eq!(proc.raw_os_error(), Some(libc::EXDEV));
        }
        assert!(folder.open(c"..", flags).is_err(), "beyond the top");
    }
}
