//! Where a test kills vaultmgr, after its N-th durable step, or lets the disk be full before one. Shipped binaries are built
//! without the `faults` feature, and then there is nothing here. Tests of this crate stop by a panic instead, in their own thread.

/// Passed after every durable step.
#[cfg(not(any(test, feature = "faults")))]
pub(crate) fn step() {}

/// Passed before every durable step that needs room on the disk.
#[cfg(not(test))]
#[expect(clippy::unnecessary_wraps, reason = "in tests the disk may be full")]
pub(crate) fn room() -> std::io::Result<()> {
    Ok(())
}

/// Arms the countdown from the file `run/eve/vaultmgr.fault` under the root: a number. Without it nothing happens.
#[cfg(not(feature = "faults"))]
pub(crate) fn arm(_root: &std::path::Path) {}

#[cfg(feature = "faults")]
pub(crate) use killed::arm;
#[cfg(all(feature = "faults", not(test)))]
pub(crate) use killed::step;
#[cfg(test)]
pub(crate) use stopped::{after, full_after, room, step};

#[cfg(feature = "faults")]
mod killed {
    use std::path::Path;
    use std::sync::atomic::{AtomicI64, Ordering};

    static LEFT: AtomicI64 = AtomicI64::new(i64::MAX);

    /// The last step allowed kills the process as `kill -9` would.
    #[cfg(not(test))]
    pub(crate) fn step() {
        if LEFT.fetch_sub(1, Ordering::SeqCst) == 1 {
            let _ = nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL);
        }
    }

    /// Arms the countdown, once: the file is removed, so that the next start is whole.
    pub(crate) fn arm(root: &Path) {
        let path = root.join("run/eve/vaultmgr.fault");
        let steps = std::fs::read_to_string(&path).ok().and_then(|text| text.trim().parse().ok());
        if let Some(steps) = steps {
            let _ = std::fs::remove_file(&path);
            LEFT.store(steps, Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod stopped {
    use std::cell::Cell;
    use std::io;

    thread_local! {
        static LEFT: Cell<i64> = const { Cell::new(i64::MAX) };
        static ROOM: Cell<i64> = const { Cell::new(i64::MAX) };
    }

    /// The last step allowed panics.
    pub(crate) fn step() {
        let left = LEFT.get();
        LEFT.set(left - 1);
        assert_ne!(left, 1, "stopped by the test");
    }

    /// No space left on the device, once the room is used up.
    pub(crate) fn room() -> io::Result<()> {
        ROOM.set(ROOM.get() - 1);
        if ROOM.get() < 0 { Err(io::Error::from_raw_os_error(libc::ENOSPC)) } else { Ok(()) }
    }

    /// Does `work` on a disk that has room for `steps` durable steps. Says whether it needed more.
    pub(crate) fn full_after(steps: i64, work: impl FnOnce()) -> bool {
        ROOM.set(steps);
        work();
        ROOM.replace(i64::MAX) < 0
    }

    /// Does `work` up to its `steps`-th durable step. Says whether it was stopped there.
    pub(crate) fn after(steps: i64, work: impl FnOnce()) -> bool {
        LEFT.set(steps);
        let stopped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).is_err();
        LEFT.set(i64::MAX);
        stopped
    }
}
