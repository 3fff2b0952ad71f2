//! The way to a directory, gone without entering what is mounted on it: who mounts there answers as he likes, with any error, or never. What is
//! taken hold of on the way is no open file (`O_PATH`): no filesystem but the directory's own is asked for anything.

use std::fs::{self, File};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat, openat2};
use nix::sys::stat::Mode;

const FOLDER: OFlag = OFlag::O_DIRECTORY.union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);
const HELD: OFlag = OFlag::O_PATH.union(FOLDER);

/// Opens the directory that is `inside` of the folder `top`, and is no link; nothing, where something is mounted there, or on the way. What is mounted
/// over `top` itself since it was opened is not on the way.
pub(crate) fn open(top: BorrowedFd<'_>, inside: &Path) -> nix::Result<Option<File>> {
    match by_one_call(top, inside) {
        Err(Errno::ENOSYS | Errno::EPERM) => by_steps(top, inside),
        opened => opened,
    }
}

fn by_one_call(top: BorrowedFd<'_>, inside: &Path) -> nix::Result<Option<File>> {
    let resolve = ResolveFlag::RESOLVE_NO_XDEV | ResolveFlag::RESOLVE_NO_MAGICLINKS;
    match openat2(top, inside, OpenHow::new().flags(FOLDER).resolve(resolve)) {
        Err(Errno::EXDEV) => Ok(None),
        opened => opened.map(|directory| Some(directory.into())),
    }
}

/// The same where the kernel has no `openat2`.
fn by_steps(top: BorrowedFd<'_>, inside: &Path) -> nix::Result<Option<File>> {
    let mount = mount_id(top)?;
    let mut here = openat(top, ".", HELD, Mode::empty())?;
    for name in inside.components() {
        here = openat(&here, name.as_os_str(), HELD, Mode::empty())?;
        if mount_id(here.as_fd())? != mount {
            return Ok(None);
        }
    }
    opened(&here).map(Some)
}

/// By its own dot: of what is mounted over it since it was taken hold of nothing is opened either.
fn opened(held: &OwnedFd) -> nix::Result<File> {
    Ok(openat(held, ".", OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?.into())
}

/// As proc_pid_fdinfo(5) shows it: the kernel's own knowledge, for which no filesystem is asked.
fn mount_id(of: BorrowedFd<'_>) -> nix::Result<String> {
    let shown = fs::read_to_string(format!("/proc/self/fdinfo/{}", of.as_raw_fd()));
    let shown = shown.map_err(|error| error.raw_os_error().map_or(Errno::EIO, Errno::from_raw))?;
    let id = shown.lines().find_map(|line| line.strip_prefix("mnt_id:"));
    id.map(|id| id.trim().to_owned()).ok_or(Errno::EIO)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the kernel has no `openat2` the same is told apart: a directory, a mount there or on the way, and what is none.
    #[test]
    fn a_mount_on_the_way_is_told_by_one_call_and_by_steps() {
        let root =
            || nix::fcntl::open("/", OFlag::O_PATH | OFlag::O_DIRECTORY, Mode::empty()).expect("opens");
        let one_call = |inside: &str| by_one_call(root().as_fd(), Path::new(inside));
        let steps = |inside: &str| by_steps(root().as_fd(), Path::new(inside));
        for open in [&one_call as &dyn Fn(&str) -> nix::Result<Option<File>>, &steps] {
            assert!(open("usr").expect("opens").is_some());
            assert!(open("proc").expect("looks").is_none(), "mounted there");
            assert!(open("proc/self").expect("looks").is_none(), "mounted on the way");
            assert_eq!(open("absent").expect_err("nothing"), Errno::ENOENT);
            assert_eq!(open("usr/absent").expect_err("nothing"), Errno::ENOENT);
            assert_eq!(open("etc/passwd").expect_err("a file"), Errno::ENOTDIR);
        }
    }
}
