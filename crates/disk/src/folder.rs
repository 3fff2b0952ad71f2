//! An open folder: reads that trust nothing, and files that a power cut leaves as they were or as they are to be.

use std::fs::File;
use std::io::{self as stdio, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat, openat2};
use nix::sys::stat::{Mode, fstat};
use nix::unistd::geteuid;

use crate::{At, Disk, Op};

const FOLDER: OFlag = OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_CLOEXEC);

/// Why the disk did not do as asked. What was there is there, or what was to be; call again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing is there.
    #[error("{name} is absent")]
    Absent {
        /// The file or folder.
        name: String,
    },
    /// A link, not a regular file or folder, or writable by others: not followed, not read. Or a file that has another name too, and
    /// so is not overwritten: whoever made that name has to take it away.
    #[error("{name} is not a file or folder of ours alone")]
    Unsafe {
        /// The file or folder.
        name: String,
    },
    /// A mount hides it: what was there is there, beneath, and what is mounted is not entered.
    #[error("something is mounted over {name}: unmount it")]
    Covered {
        /// The folder.
        name: String,
    },
    /// The disk or the kernel.
    #[error("{doing} failed")]
    Io {
        /// What was done.
        doing: &'static str,
        /// The kernel's answer.
        source: stdio::Error,
    },
}

/// As the standard library tells it; what was done and to what is in its words.
impl From<Error> for stdio::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Absent { .. } => Self::new(stdio::ErrorKind::NotFound, error.to_string()),
            Error::Unsafe { .. } => Self::new(stdio::ErrorKind::InvalidData, error.to_string()),
            Error::Covered { .. } => Self::new(stdio::ErrorKind::ResourceBusy, error.to_string()),
            Error::Io { source, .. } => source,
        }
    }
}

impl Error {
    /// What is covered has a name in this folder: by that it is told where.
    #[must_use]
    pub fn beneath(self, folder: &Path) -> Self {
        match self {
            Self::Covered { name } => Self::Covered { name: folder.join(name).display().to_string() },
            other => other,
        }
    }
}

/// Names what was done when the kernel refused.
pub(crate) fn io<E: Into<stdio::Error>>(doing: &'static str) -> impl FnOnce(E) -> Error {
    move |source| Error::Io { doing, source: source.into() }
}

pub(crate) fn not_ours(path: &Path) -> Error {
    Error::Unsafe { name: path.display().to_string() }
}

/// What an errno means when a file or folder is opened with `O_NOFOLLOW`.
fn of_open(name: &str) -> impl FnOnce(Errno) -> Error {
    move |errno| match errno {
        Errno::ENOENT => Error::Absent { name: name.into() },
        Errno::ELOOP | Errno::ENOTDIR | Errno::EISDIR | Errno::ENXIO => Error::Unsafe { name: name.into() },
        Errno::EXDEV => Error::Covered { name: name.into() },
        errno => Error::Io { doing: "opening a file", source: errno.into() },
    }
}

/// A folder, open: names in it are looked up there, whatever happens to its path.
#[derive(Debug)]
pub struct Folder {
    pub(crate) disk: Disk,
    fd: OwnedFd,
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Folder {
    pub(crate) fn open(disk: Disk, path: &Path) -> Result<Self, Error> {
        Self::open_with(disk, path, OFlag::O_NOFOLLOW)
    }

    pub(crate) fn open_through_links(disk: Disk, path: &Path) -> Result<Self, Error> {
        Self::open_with(disk, path, OFlag::empty())
    }

    pub(crate) fn of(disk: Disk, folder: &File) -> Result<Self, Error> {
        let fd = folder.as_fd().try_clone_to_owned().map_err(io("opening a folder"))?;
        Ok(Self { disk, fd })
    }

    fn open_with(disk: Disk, path: &Path, flags: OFlag) -> Result<Self, Error> {
        let name = path.display().to_string();
        Ok(Self { disk, fd: open(path, FOLDER | flags, Mode::empty()).map_err(of_open(&name))? })
    }

    /// Opens a folder in it. What is mounted there, be it of the same filesystem, is not it.
    ///
    /// # Errors
    /// As [`Disk::folder`]. [`Error::Covered`]: that.
    pub fn folder(&self, name: &str) -> Result<Self, Error> {
        let how = OpenHow::new().flags(FOLDER | OFlag::O_NOFOLLOW).resolve(ResolveFlag::RESOLVE_NO_XDEV);
        let fd = openat2(&self.fd, name, how).map_err(of_open(name))?;
        Ok(Self { disk: self.disk.clone(), fd })
    }

    /// The same, and what is mounted there is it.
    fn folder_or_mount(&self, name: &str) -> Result<Self, Error> {
        let fd = openat(&self.fd, name, FOLDER | OFlag::O_NOFOLLOW, Mode::empty()).map_err(of_open(name))?;
        Ok(Self { disk: self.disk.clone(), fd })
    }

    /// Opens a folder somewhere below it, by the names of a relative path one after the other.
    ///
    /// # Errors
    /// As [`Folder::folder`], of each on the way. [`Error::Unsafe`]: the path leads elsewhere.
    pub fn below(&self, path: &Path) -> Result<Self, Error> {
        // What is in the way is told by the steps.
        self.below_at_once(path).map_or_else(|| self.below_by_steps(path), Ok)
    }

    /// By one call, where the kernel has it and nothing is in the way.
    fn below_at_once(&self, path: &Path) -> Option<Self> {
        let plain = |part: Component<'_>| matches!(part, Component::Normal(name) if name.to_str().is_some());
        if !path.components().all(plain) {
            return None;
        }
        let resolve = ResolveFlag::RESOLVE_NO_XDEV | ResolveFlag::RESOLVE_NO_SYMLINKS;
        let how = OpenHow::new().flags(FOLDER | OFlag::O_NOFOLLOW).resolve(resolve);
        let fd = openat2(&self.fd, path, how).ok()?;
        Some(Self { disk: self.disk.clone(), fd })
    }

    fn below_by_steps(&self, path: &Path) -> Result<Self, Error> {
        let fd = self.fd.try_clone().map_err(io("opening a folder"))?;
        let top = Self { disk: self.disk.clone(), fd };
        let mut way = PathBuf::new();
        path.components().try_fold(top, |folder, part| match part {
            Component::Normal(name) => {
                let inner = folder.folder(name.to_str().ok_or_else(|| not_ours(path))?);
                let inner = inner.map_err(|error| error.beneath(&way));
                way.push(name);
                inner
            }
            _ => Err(not_ours(path)),
        })
    }

    /// Makes a folder in it if there is none, durably, if need be with what is made [together](Disk::together) with it; one that is
    /// there keeps its mode.
    ///
    /// # Errors
    /// As [`Folder::folder`].
    pub fn make_folder(&self, name: &str, mode: u32) -> Result<Self, Error> {
        self.make(name, mode, Self::folder)
    }

    /// The same, and what is mounted there is it.
    pub(crate) fn make_folder_or_mount(&self, name: &str, mode: u32) -> Result<Self, Error> {
        self.make(name, mode, Self::folder_or_mount)
    }

    fn make(
        &self,
        name: &str,
        mode: u32,
        open: impl Fn(&Self, &str) -> Result<Self, Error>,
    ) -> Result<Self, Error> {
        let made = match open(self, name) {
            Err(Error::Absent { .. }) => {
                self.disk.run(Op::MakeFolder { at: self.at(name), mode }).map_err(io("making a folder"))?;
                open(self, name)?
            }
            there => there?,
        };
        // One that is there may have been made by a life that was cut before this.
        self.sync_together()?;
        Ok(made)
    }

    /// Gives the folder an owner and a mode, unless it has them: where nothing changes, nothing is to be written.
    ///
    /// # Errors
    /// [`Error::Io`]: the disk, or no right to.
    pub fn give(&self, uid: u32, gid: u32, mode: u32) -> Result<(), Error> {
        let (of, found) = (self.as_fd(), fstat(&self.fd).map_err(io("looking at a folder"))?);
        let owned = (found.st_uid, found.st_gid) == (uid, gid);
        if owned && found.st_mode & 0o7777 == mode {
            return Ok(());
        }
        let given = self.disk.run(Op::SetOwner { of, uid, gid });
        given.and_then(|()| self.disk.run(Op::SetMode { of, mode })).map_err(io("giving a folder its owner"))
    }

    /// Refuses a folder in which others could put or swap files.
    ///
    /// # Errors
    /// [`Error::Unsafe`]: that. [`Error::Io`]: the disk.
    pub fn check_ours(&self, words: &str) -> Result<(), Error> {
        let stat = fstat(&self.fd).map_err(io("looking at a folder"))?;
        let mode = Mode::from_bits_truncate(stat.st_mode);
        let open_to_all = mode.contains(Mode::S_IWOTH) && !mode.contains(Mode::S_ISVTX);
        if open_to_all || !is_own(stat.st_uid) { Err(Error::Unsafe { name: words.into() }) } else { Ok(()) }
    }

    /// All names in it but `.` and `..`, sorted. A name that is not text is none of ours.
    ///
    /// # Errors
    /// [`Error::Io`]: the disk.
    pub fn names(&self) -> Result<Vec<String>, Error> {
        let mut dir = Dir::openat(&self.fd, ".", FOLDER, Mode::empty()).map_err(io("listing a folder"))?;
        let entries = dir.iter().collect::<Result<Vec<_>, _>>().map_err(io("listing a folder"))?;
        let mut names: Vec<_> =
            entries.iter().filter_map(|e| Some(e.file_name().to_str().ok()?.to_owned())).collect();
        names.retain(|name| name != "." && name != "..");
        names.sort();
        Ok(names)
    }

    /// Reads a regular file, `most` bytes of it.
    ///
    /// # Errors
    /// [`Error::Absent`], [`Error::Unsafe`]: a link or no file. [`Error::Io`]: the disk.
    pub fn read(&self, name: &str, most: usize) -> Result<Vec<u8>, Error> {
        let (file, length) = self.open_measured(name, OFlag::O_RDONLY)?;
        // Room at once, and for the byte that is not there: then two reads tell all of it.
        let mut bytes = Vec::with_capacity(most.min(usize::try_from(length).unwrap_or(most)) + 1);
        file.take(most as u64).read_to_end(&mut bytes).map_err(io("reading a file"))?;
        Ok(bytes)
    }

    /// Writes a file whole, in place of one that is there, durably.
    ///
    /// # Errors
    /// [`Error::Io`]: the old file or the new is in force, whole; call again.
    pub fn write(&self, name: &str, bytes: &[u8], mode: u32) -> Result<(), Error> {
        self.put(name, bytes, mode, |from, to| Op::Rename { from, to })
    }

    /// Writes a file whole where there is none, durably; never over another.
    ///
    /// # Errors
    /// [`Error::Io`]: there is one (`EEXIST`), or the disk.
    pub fn write_first(&self, name: &str, bytes: &[u8], mode: u32) -> Result<(), Error> {
        self.put(name, bytes, mode, |from, to| Op::RenameToFree { from, to })
    }

    /// Writes a file whole, in place of one that is there, for programs of this boot: nothing waits for the disk, and a power cut may
    /// leave anything under the name. So what reads it tells a file of another boot, or a torn one, from its own.
    ///
    /// # Errors
    /// [`Error::Io`]: the old file or the new is in force, whole; call again.
    pub fn write_for_this_boot(&self, name: &str, bytes: &[u8], mode: u32) -> Result<(), Error> {
        let temporary = format!(".{name}.tmp");
        self.unlink_unsynced(&temporary)?;
        self.pour(&self.make_file(&temporary, mode)?, bytes)?;
        self.rename_for_this_boot(&temporary, name).map_err(io("renaming a file"))
    }

    pub(crate) fn unlink_unsynced(&self, name: &str) -> Result<(), Error> {
        match self.disk.run(Op::Unlink { at: self.at(name) }) {
            Err(error) if error.kind() != stdio::ErrorKind::NotFound => {
                Err(error).map_err(io("unlinking a file"))
            }
            _ => Ok(()),
        }
    }

    /// By an exchange where there is something to exchange it with: over a file that a rename replaces ext4 begins to write out the new
    /// one at once.
    fn rename_for_this_boot(&self, temporary: &str, name: &str) -> stdio::Result<()> {
        let exchange = Op::Exchange { one: self.at(temporary), other: self.at(name) };
        // Only with a file: anything else that stands there stays where it is.
        if self.open_file(name, OFlag::O_RDONLY).is_ok() && self.disk.run(exchange).is_ok() {
            // What is left of it goes with the next write at the latest.
            let _ = self.unlink_unsynced(temporary);
            return Ok(());
        }
        self.disk.run(Op::Rename { from: self.at(temporary), to: self.at(name) })
    }

    fn put(
        &self,
        name: &str,
        bytes: &[u8],
        mode: u32,
        rename: impl for<'a> FnOnce(At<'a>, At<'a>) -> Op<'a>,
    ) -> Result<(), Error> {
        // One fixed name, so that what a cut leaves is taken away next time and never piles up.
        let temporary = format!(".{name}.tmp");
        self.unlink(&temporary)?;
        let put = || {
            self.fill(&self.make_file(&temporary, mode)?, bytes)?;
            let renamed = self.disk.run(rename(self.at(&temporary), self.at(name)));
            renamed.map_err(io("renaming a file"))
        };
        put().inspect_err(|_| drop(self.unlink(&temporary)))?;
        self.sync()
    }

    /// Takes a name away, durably. Nothing there is success.
    ///
    /// # Errors
    /// [`Error::Io`]: the disk.
    pub fn unlink(&self, name: &str) -> Result<(), Error> {
        match self.disk.run(Op::Unlink { at: self.at(name) }) {
            Err(error) if error.kind() == stdio::ErrorKind::NotFound => Ok(()),
            gone => gone.map_err(io("unlinking a file")).and_then(|()| self.sync()),
        }
    }

    /// The names in it are on the disk when this returns.
    ///
    /// # Errors
    /// [`Error::Io`]: the disk.
    pub fn sync(&self) -> Result<(), Error> {
        self.disk.run(Op::SyncFolder { folder: self.as_fd() }).map_err(io("syncing a folder"))
    }

    pub(crate) fn at<'a>(&'a self, name: &'a str) -> At<'a> {
        At { folder: self.as_fd(), name }
    }

    pub(crate) fn make_file(&self, name: &str, mode: u32) -> Result<File, Error> {
        self.disk.run(Op::MakeFile { at: self.at(name), mode }).map_err(io("making a file"))?;
        self.open_file(name, OFlag::O_WRONLY)
    }

    pub(crate) fn fill(&self, file: &File, bytes: &[u8]) -> Result<(), Error> {
        self.pour(file, bytes)?;
        self.disk.run(Op::SyncFile { file }).map_err(io("writing a file"))
    }

    fn pour(&self, file: &File, bytes: &[u8]) -> Result<(), Error> {
        self.disk.run(Op::Write { file, offset: 0, bytes }).map_err(io("writing a file"))
    }

    /// A regular file, never through a link, and never waiting for a pipe.
    pub(crate) fn open_file(&self, name: &str, access: OFlag) -> Result<File, Error> {
        self.open_measured(name, access).map(|(file, _)| file)
    }

    /// The same, and how long it is, in bytes.
    fn open_measured(&self, name: &str, access: OFlag) -> Result<(File, u64), Error> {
        let flags = access | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let file = File::from(openat(&self.fd, name, flags, Mode::empty()).map_err(of_open(name))?);
        let found = file.metadata().map_err(io("looking at a file"))?;
        if found.is_file() { Ok((file, found.len())) } else { Err(Error::Unsafe { name: name.into() }) }
    }
}

pub(crate) fn is_own(uid: u32) -> bool {
    uid == 0 || uid == geteuid().as_raw()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    /// One call opens what the steps open, and nothing else: no link, wherever it stands or leads, and nothing outside.
    #[test]
    fn one_call_and_steps_open_the_same() {
        let dir = tempfile::tempdir().expect("a directory");
        fs::create_dir_all(dir.path().join("a/b")).expect("makes");
        fs::write(dir.path().join("a/file"), b"").expect("writes");
        for (link, to) in [("link", "a"), ("a/link", "b"), ("a/outside", "/"), ("a/nothing", "absent")] {
            symlink(to, dir.path().join(link)).expect("links");
        }
        let top = Disk::linux().folder(dir.path()).expect("opens");
        let inode = |folder: &Folder| fstat(folder).expect("looks").st_ino;
        for path in ["a", "a/b", "a//b/", "a/./b"] {
            let [once, steps] = [top.below_at_once(path.as_ref()), top.below_by_steps(path.as_ref()).ok()]
                .map(|folder| inode(&folder.expect("opens")));
            assert_eq!(once, steps, "{path}");
        }
        for path in
            ["absent", "a/absent", "a/file", "a/file/b", "link", "link/b", "a/link", "a/outside", "a/nothing"]
        {
            assert!(top.below_at_once(path.as_ref()).is_none(), "{path}");
            assert!(top.below_by_steps(path.as_ref()).is_err(), "{path}");
        }
        for path in ["/", "..", "a/..", "a/../a", "/usr"] {
            assert!(top.below_at_once(path.as_ref()).is_none(), "{path}");
            assert!(matches!(top.below(path.as_ref()), Err(Error::Unsafe { .. })), "{path}");
        }
        let root = Disk::linux().folder("/".as_ref()).expect("opens");
        assert!(root.below_at_once("proc".as_ref()).is_none(), "it is mounted there");
        assert!(matches!(root.below("proc".as_ref()), Err(Error::Covered { .. })));
    }
}
