//! Where a test stops vaultmgr after its N-th durable step, by a panic in its own thread, or lets the disk be full before one.
//! Without `cfg(test)` there is nothing here.

/// Passed after every durable step.
#[cfg(not(test))]
pub(crate) fn step() {}

/// Passed before every durable step that needs room on the disk.
#[cfg(not(test))]
#[expect(clippy::unnecessary_wraps, reason = "in tests the disk may be full")]
pub(crate) fn room() -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
pub(crate) use stopped::{after, full_after, room, step};

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
