//! Who shares a file with us, where no folder of /proc can show it: descriptors in flight between processes, files registered with
//! io_uring, mappings whose descriptor is closed. The kernel counts them all, and a lease asks for its count. And which file a loop device
//! is made of, whatever that is called meanwhile.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;

use nix::errno::Errno;

use crate::sys;

/// `KCMP_FILES` of <linux/kcmp.h>: the one question of kcmp(2) that is asked here.
pub const KCMP_FILES: u64 = 2;

/// Whether anybody has this file, which we have open for reading alone, open for writing, by whatever: a read lease is given on a
/// file without writers only. It is given back at once: whoever opens the file meanwhile waits for that, and we are sent a signal
/// that nobody heeds.
///
/// # Errors
/// It is not known: the file is another user's and we may take no lease on it (`CAP_LEASE`), or its filesystem has none.
///
/// Source: fcntl(2), `F_SETLEASE`.
pub fn has_writers(file: &File) -> io::Result<bool> {
    sys::signal_of_leases(file.as_fd(), libc::SIGURG)?;
    match sys::lease(file.as_fd(), libc::F_RDLCK) {
        Err(Errno::EAGAIN) => Ok(true),
        leased => {
            leased?;
            sys::lease(file.as_fd(), libc::F_UNLCK)?;
            Ok(false)
        }
    }
}

/// The number of the ioctl that [`behind_loop`] asks by.
pub const LOOP_IOCTLS: [u32; 1] = sys::LOOPS;

/// What a file is to the kernel, by whatever name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileId {
    /// Of its filesystem, as stat(2) tells it.
    pub device: u64,
    /// Its number there.
    pub inode: u64,
}

/// The file that this loop device is made of. The kernel asks that file's filesystem, so one over a network answers when it likes.
///
/// # Errors
/// It is no loop device, or has no file.
///
/// Source: loop(4), `LOOP_GET_STATUS64`.
pub fn behind_loop(device: &File) -> io::Result<FileId> {
    let (device, inode) = sys::loop_file(device.as_fd())?;
    Ok(FileId { device, inode })
}

/// Whether two threads have one table of descriptors; not, where the kernel does not say (kcmp(2)).
#[must_use]
pub fn same_descriptors(one: u32, other: u32) -> bool {
    let ids = (libc::pid_t::try_from(one), libc::pid_t::try_from(other));
    matches!(ids, (Ok(one), Ok(other)) if sys::same_descriptors(one, other).unwrap_or(false))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What /proc shows nowhere, in the queue of a socket, counts; a reader does not.
    #[test]
    fn a_descriptor_in_flight_is_a_writer() {
        use nix::sys::socket::{
            AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, sendmsg, socketpair,
        };
        use std::os::fd::AsRawFd;

        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("file");
        let writer = File::create(&path).expect("creates");
        let file = File::open(&path).expect("opens");
        let (one, other) =
            socketpair(AddressFamily::Unix, SockType::Stream, None, SockFlag::SOCK_CLOEXEC).expect("a pair");
        let (bytes, rights) = ([io::IoSlice::new(b"x")], [writer.as_raw_fd()]);
        sendmsg::<()>(
            one.as_raw_fd(),
            &bytes,
            &[ControlMessage::ScmRights(&rights)],
            MsgFlags::empty(),
            None,
        )
        .expect("sends");
        drop(writer);
        assert!(has_writers(&file).expect("is told"));
        drop((one, other));
        // The kernel gives up what was in flight in its own time.
        let late = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while has_writers(&file).expect("is told") {
            assert!(std::time::Instant::now() < late, "nobody any more");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        let _reader = File::open(&path).expect("opens");
        assert!(!has_writers(&file).expect("is told"), "who reads changes nothing");
    }

    /// A writer that comes while we have the lease ends nothing of ours.
    #[test]
    fn whoever_opens_it_meanwhile_waits_and_we_go_on() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("file");
        File::create(&path).expect("creates");
        let file = File::open(&path).expect("opens");
        let over = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(std::sync::atomic::Ordering::Relaxed) {
                    drop(File::options().append(true).open(&path).expect("opens"));
                }
            });
            for _ in 0..2000 {
                has_writers(&file).expect("is told");
            }
            over.store(true, std::sync::atomic::Ordering::Relaxed);
        });
    }

    #[test]
    fn threads_share_their_descriptors_until_they_do_not() {
        let own = std::process::id();
        let thread = || u32::try_from(nix::unistd::gettid().as_raw()).expect("positive");
        std::thread::spawn(move || {
            assert!(same_descriptors(own, thread()));
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_FILES).expect("a table of its own");
            assert!(!same_descriptors(own, thread()));
        })
        .join()
        .expect("holds");
    }
}
