//! One vaultmgr works on a persist filesystem at a time. Two would each write the share table that it has in memory over the other's, and what the
//! other's table alone had would be lost. A root of a node does not tell: the filesystem may be mounted under two, and `run/eve`, with the lock of
//! the root, may be deleted under a node that runs. So the filesystem's own folder of vaults is locked (`flock(2)`), which is one however it is
//! reached, and which the kernel frees when the process that holds it is gone, by whatever end.

mod ending;

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::stat::{major, minor};

use crate::agents::vaultmgr::hands::tree;
use crate::agents::vaultmgr::paths::Paths;

/// So often, and with such pauses, one that seems to be held is tried again: by an `eve run` that was killed, whose vaultmgr is about to end.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(100);
/// The same of one that was ended and is not gone: two minutes. A call to a slow disk keeps it as long, and no end by force is before that.
const TRIES_WHILE_ENDING: u32 = 1200;

/// Nobody else works on the vaults of this filesystem, as long as this is kept.
#[derive(Debug)]
pub(crate) struct Alone {
    _folder: Flock<File>,
}

/// Somebody else does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Taken {
    /// The folder, as it is reached here.
    pub(crate) vaults: PathBuf,
    /// By which process, where the kernel says it.
    pub(crate) pid: Option<u32>,
    /// That one was ended already, and is not gone yet.
    pub(crate) ending: bool,
}

impl Taken {
    fn by(vaults: PathBuf, pid: Option<u32>) -> Self {
        Self { vaults, pid, ending: pid.is_some_and(ending::is_ending) }
    }

    /// What a vaultmgr says that waits for it.
    pub(crate) fn waits(&self) -> String {
        if self.ending {
            return format!("{self}; this one goes on by itself once it is gone: {NEVER_GONE}");
        }
        format!("{self}; end that `eve run`, and this one goes on by itself")
    }

    /// What an `eve run` says that does not start because of it.
    pub(crate) fn refuses(&self) -> String {
        if self.ending {
            return format!("{self}: wait until it is gone, and start eve again; {NEVER_GONE}");
        }
        format!("{self}: end that `eve run` first, or give each its own persist filesystem")
    }

    fn tries(&self) -> u32 {
        if self.ending { TRIES_WHILE_ENDING } else { TRIES }
    }
}

/// No signal ends a process that the kernel does not let go.
const NEVER_GONE: &str =
    "if it stays, see what the kernel's log (`dmesg`) says of the disk, thaw or mend that, or boot the node";

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let vaults = tree::shown(&self.vaults);
        match (self.pid, self.ending) {
            (Some(pid), true) => write!(
                f,
                "process {pid}, the vaultmgr of an `eve run` that ended, is not gone from the vaults in {vaults}: a call to the kernel or the disk has not returned"
            ),
            (Some(pid), false) => write!(
                f,
                "another `eve run` works on the vaults in {vaults}: process {pid} is its vaultmgr, and `ps -fp {pid}` shows its --root"
            ),
            (None, _) => write!(
                f,
                "another `eve run` works on the vaults in {vaults}: `fuser -v {vaults}` shows its vaultmgr, where that runs on this system"
            ),
        }
    }
}

/// Takes the vaults of this filesystem for this process.
///
/// # Errors
/// The folder of vaults can't be opened: it is not there, or is none.
pub(crate) fn take(paths: &Paths) -> io::Result<Result<Alone, Taken>> {
    let vaults = paths.vaults();
    let flags = libc::O_NOFOLLOW | libc::O_DIRECTORY;
    let folder = OpenOptions::new().read(true).custom_flags(flags).open(&vaults)?;
    match Flock::lock(folder, FlockArg::LockExclusiveNonblock) {
        Ok(folder) => Ok(Ok(Alone { _folder: folder })),
        Err((folder, Errno::EAGAIN)) => Ok(Err(Taken::by(vaults, holder(&folder)))),
        Err((_, errno)) => Err(errno.into()),
    }
}

/// Who has them, if somebody has, for a while: for longer where that one is about to be gone. Whether they are to be had for long, vaultmgr finds
/// out by taking them.
pub(crate) fn taken(root: &Path) -> Option<Taken> {
    let paths = Paths::new(root);
    let mut told = false;
    let pause = |taken: &Taken| {
        if taken.ending && !std::mem::replace(&mut told, true) {
            tracing::warn!("waits until it is gone: {taken}");
        }
        thread::sleep(PAUSE);
    };
    still_taken(|| take(&paths).ok().and_then(Result::err), pause)
}

/// Looks as often as whoever has them may take to be gone.
fn still_taken(mut look: impl FnMut() -> Option<Taken>, mut pause: impl FnMut(&Taken)) -> Option<Taken> {
    for looked in 1.. {
        let taken = look()?;
        if looked >= taken.tries() {
            return Some(taken);
        }
        pause(&taken);
    }
    None
}

/// The process that holds this lock, as `/proc/locks` numbers it: by the device and the inode.
pub(crate) fn holder(locked: &File) -> Option<u32> {
    let found = locked.metadata().ok()?;
    let place = format!("{:02x}:{:02x}:{}", major(found.dev()), minor(found.dev()), found.ino());
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    locks.lines().find_map(|line| pid_of(line, &place))
}

/// From `1: FLOCK  ADVISORY  WRITE 4711 fd:01:131 0 EOF`; who only waits for one has an arrow before the kind. Without a number the holder is of
/// another namespace.
fn pid_of(line: &str, place: &str) -> Option<u32> {
    match line.split_whitespace().collect::<Vec<_>>().as_slice() {
        [_, "FLOCK", _, _, pid, at, ..] if *at == place => pid.parse().ok().filter(|pid| *pid != 0),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Invariant 4: one at a time, whatever path leads there, until it ends. The words name who it is.
    #[test]
    fn a_filesystem_is_one_vaultmgrs_at_a_time() {
        let dir = tempfile::tempdir().expect("a directory");
        let (root, other) = (dir.path().join("root"), dir.path().join("other"));
        let paths = Paths::new(&root);
        assert_eq!(taken(&root), None, "not even a folder");
        take(&paths).expect_err("no folder");
        std::fs::create_dir_all(paths.vaults()).expect("makes");
        std::os::unix::fs::symlink(&root, &other).expect("links");
        let alone = take(&paths).expect("opens").expect("is free");
        let words = take(&Paths::new(&other)).expect("opens").expect_err("is held").to_string();
        assert!(words.contains(&format!("`ps -fp {}`", std::process::id())), "{words}");
        assert!(words.contains("other/persist/vaults"), "{words}");
        assert!(taken(&other).is_some());
        drop(alone);
        assert_eq!(taken(&other), None);
        take(&Paths::new(&other)).expect("opens").expect("is free");
    }

    fn of(pid: u32, ending: bool) -> Taken {
        Taken { vaults: "/persist/vaults".into(), pid: Some(pid), ending }
    }

    /// Invariant 4: who was ended and is not gone is waited for, as long as a call to a slow disk may take and no longer, and is not called another
    /// `eve run`; who works on is told soon. Both by their process.
    #[test]
    fn who_is_about_to_be_gone_is_waited_for_and_named() {
        let looks = |ending: fn(u32) -> Option<bool>| {
            let mut looks = 0;
            let look = || {
                looks += 1;
                ending(looks).map(|ending| of(4711, ending))
            };
            let left = still_taken(look, |_| ());
            (left, looks)
        };
        assert_eq!(looks(|_| Some(false)), (Some(of(4711, false)), TRIES));
        assert_eq!(looks(|_| Some(true)), (Some(of(4711, true)), TRIES_WHILE_ENDING));
        assert_eq!(
            looks(|look| (look < 900).then_some(look > 10)),
            (None, 900),
            "ended while it was looked at"
        );
        for (ending, words) in [(true, "`eve run` that ended"), (false, "another `eve run`")] {
            for told in [of(4711, ending).refuses(), of(4711, ending).waits()] {
                assert!(told.contains("process 4711") && told.contains(words), "{told}");
                assert_eq!(told.contains("boot the node"), ending, "{told}");
            }
        }
    }

    #[test]
    fn a_line_of_the_kernels_locks_tells_the_process() {
        let held = "1: FLOCK  ADVISORY  WRITE 4711 fd:01:131 0 EOF";
        assert_eq!(pid_of(held, "fd:01:131"), Some(4711));
        for line in [
            "1: FLOCK  ADVISORY  WRITE 4711 fd:01:132 0 EOF",
            "1: POSIX  ADVISORY  WRITE 4711 fd:01:131 0 EOF",
            "1: -> FLOCK  ADVISORY  WRITE 4711 fd:01:131 0 EOF",
            "1: FLOCK  ADVISORY  WRITE 0 fd:01:131 0 EOF",
            "1: FLOCK",
        ] {
            assert_eq!(pid_of(line, "fd:01:131"), None, "{line}");
        }
    }
}
