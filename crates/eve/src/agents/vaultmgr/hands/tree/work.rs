//! How far a long work is, and whether it is to stop: shared by the thread that does it and the one that decides.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// One long work.
#[derive(Debug, Default)]
pub(crate) struct Work {
    stop: AtomicBool,
    bytes: AtomicU64,
    files: AtomicU64,
    /// Of how many bytes; nothing while it is not known.
    all: AtomicU64,
    #[cfg(test)]
    pub(crate) gate: Gate,
}

/// Where a test holds work of some kinds up, until it lets them go or they are stopped.
#[cfg(test)]
#[derive(Debug, Default, Clone)]
pub(crate) struct Gate {
    pub(crate) shut: std::sync::Arc<std::sync::Mutex<Vec<vault::plan::StepKind>>>,
    pub(crate) kind: Option<vault::plan::StepKind>,
}

#[cfg(test)]
impl Gate {
    fn is_shut(&self) -> bool {
        self.kind.is_some_and(|kind| self.shut.lock().expect("no test panics with it").contains(&kind))
    }
}

impl Work {
    /// Asks it to end at the next piece. What it did stays as it is, to be resumed.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Relaxed);
    }
    /// Ends the work if that was asked for.
    pub(crate) fn pace(&self) -> io::Result<()> {
        #[cfg(test)]
        while self.gate.is_shut() && !self.stop.load(Relaxed) {
            std::thread::yield_now();
        }
        if self.stop.load(Relaxed) {
            return Err(io::Error::other("stopped in the middle; it is resumed"));
        }
        Ok(())
    }
    pub(super) fn moved(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Relaxed);
    }
    /// One more file is done.
    pub(crate) fn file(&self) {
        self.files.fetch_add(1, Relaxed);
    }
    /// A part of the work begins, of so many bytes.
    pub(crate) fn begin(&self, all: u64) {
        self.all.store(all, Relaxed);
        self.bytes.store(0, Relaxed);
        self.files.store(0, Relaxed);
    }
}

impl std::fmt::Display for Work {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (files, bytes, all) =
            (self.files.load(Relaxed), self.bytes.load(Relaxed), self.all.load(Relaxed));
        match all {
            0 => write!(f, "{files} files, {}", size(bytes)),
            _ => write!(f, "{files} files, {} of {}", size(bytes.min(all)), size(all)),
        }
    }
}

/// A size for people, in whole units.
pub(crate) fn size(bytes: u64) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    let unit = units.into_iter().find(|(shift, _)| bytes >> shift >= 1);
    unit.map_or_else(|| format!("{bytes} bytes"), |(shift, unit)| format!("{} {unit}", bytes >> shift))
}
