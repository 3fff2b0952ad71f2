//! The way to a directory, gone without entering what is mounted on it: who mounts there answers as he likes, with any error, or never. What is
//! taken hold of here is no open file (`O_PATH`): no filesystem is asked for anything.

use std::fs;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat, openat2};
use nix::sys::stat::Mode;

const HELD: OFlag = OFlag::O_PATH.union(OFlag::O_DIRECTORY).union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

/// Takes hold of the directory that is `inside` of the folder `top`, and is no link; nothing, where something is mounted there, or on the way. What is mounted
/// over `top` itself since it was opened is not on the way.
pub(crate) fn reach(top: BorrowedFd<'_>, inside: &Path) -> nix::Result<Option<OwnedFd>> {
    match by_one_call(top, inside) {
        Err(Errno::ENOSYS | Errno::EPERM) => by_steps(top, inside),
        reached => reached,
    }
}

fn by_one_call(top: BorrowedFd<'_>, inside: &Path) -> nix::Result<Option<OwnedFd>> {
    let resolve = ResolveFlag::RESOLVE_NO_XDEV | ResolveFlag::RESOLVE_NO_MAGICLINKS;
    match openat2(top, inside, OpenHow::new().flags(HELD).resolve(resolve)) {
        Err(Errno::EXDEV) => Ok(None),
        reached => reached.map(Some),
    }
}

/// The same where the kernel has no `openat2`.
fn by_steps(top: BorrowedFd<'_>, inside: &Path) -> nix::Result<Option<OwnedFd>> {
    let mount = mount_id(top)?;
    let mut here = openat(top, ".", HELD, Mode::empty())?;
    for name in inside.components() {
        here = openat(&here, name.as_os_str(), HELD, Mode::empty())?;
        if mount_id(here.as_fd())? != mount {
            return Ok(None);
        }
    }
    Ok(Some(here))
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
    use nix::fcntl::open;

    use super::*;

    /// Where the kernel has no `openat2` the same is told apart: a directory, a mount there or on the way, and what is none.
    #[test]
    fn a_mount_on_the_way_is_told_by_one_call_and_by_steps() {
        let root = || open("/", OFlag::O_PATH | OFlag::O_DIRECTORY, Mode::empty()).expect("opens");
        let one_call = |inside: &str| by_one_call(root().as_fd(), Path::new(inside));
        let steps = |inside: &str| by_steps(root().as_fd(), Path::new(inside));
        for reach in [&one_call as &dyn Fn(&str) -> nix::Result<Option<OwnedFd>>, &steps] {
            assert!(reach("usr").expect("reaches").is_some());
            assert!(reach("proc").expect("reaches").is_none(), "mounted there");
            assert!(reach("proc/self").expect("reaches").is_none(), "mounted on the way");
            assert_eq!(reach("absent").expect_err("nothing"), Errno::ENOENT);
            assert_eq!(reach("usr/absent").expect_err("nothing"), Errno::ENOENT);
            assert_eq!(reach("etc/passwd").expect_err("a file"), Errno::ENOTDIR);
        }
    }
}
