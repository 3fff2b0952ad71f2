//! The stop of an agent: by SIGTERM of the supervisor, or with it by SIGINT at a terminal. What it counted and no line has told is told then. Nothing else
//! waits for that: an agent may be killed at any instant.

use std::thread;

use anyhow::Context;
use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal};

use super::repeats;

/// What a shell makes of a process that ended by SIGTERM.
const STOPPED: i32 = 128 + 15;

/// From now on. Before any other thread is made: each that is has these signals blocked too, so that the one that waits for them has them.
///
/// # Errors
/// The system's.
pub(super) fn tells_at_its_stop() -> anyhow::Result<()> {
    let mut stop = SigSet::empty();
    [Signal::SIGTERM, Signal::SIGINT].into_iter().for_each(|signal| stop.add(signal));
    stop.thread_block().context("blocking the signals of a stop")?;
    let wait = move || match stop.wait() {
        Ok(_) => {
            repeats::all_over();
            std::process::exit(STOPPED);
        }
        Err(error) => ends_untold(stop, error),
    };
    thread::Builder::new().name("stop".to_owned()).spawn(wait).context("waiting for a stop")?;
    Ok(())
}

/// The signals end the process again, as long as one thread takes them.
fn ends_untold(stop: SigSet, error: Errno) -> ! {
    tracing::warn!(%error, "waiting for a stop failed: what was counted is not told then");
    if let Err(error) = stop.thread_unblock() {
        tracing::warn!(%error, "this process ends by SIGKILL alone");
    }
    loop {
        thread::park();
    }
}
