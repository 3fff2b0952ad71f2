//! How far a long work is, and whether it is to stop: shared by the thread that does it and the one that decides.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use std::sync::Arc;

use vault::plan::StepKind;

/// What is done between two pieces of long work that is done apart from the thread that decides.
pub(crate) trait BetweenPieces: std::fmt::Debug + Send + Sync {
    /// A piece of the work of such a step is done, and `work` tells whether another may follow.
    fn pieces(&self, kind: StepKind, work: &Work);
}

/// Others go first: on a node with one processor that is the thread that decides.
#[derive(Debug)]
pub(crate) struct GiveWay;

impl BetweenPieces for GiveWay {
    fn pieces(&self, _: StepKind, _: &Work) {
        std::thread::yield_now();
    }
}

/// One long work.
#[derive(Debug, Default)]
pub(crate) struct Work {
    stop: AtomicBool,
    bytes: AtomicU64,
    files: AtomicU64,
    /// Of how many bytes; nothing while it is not known.
    all: AtomicU64,
    /// Of work that somebody waits for there is none.
    between: Option<(StepKind, Arc<dyn BetweenPieces>)>,
}

impl Work {
    /// Work of such a step, done apart.
    pub(crate) fn apart(kind: StepKind, between: Arc<dyn BetweenPieces>) -> Self {
        Self { between: Some((kind, between)), ..Self::default() }
    }
    /// Whether it was asked to end.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.load(Relaxed)
    }
    /// Asks it to end at the next piece. What it did stays as it is, to be resumed.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Relaxed);
    }
    /// Ends the work if that was asked for.
    pub(crate) fn pace(&self) -> io::Result<()> {
        if let Some((kind, between)) = &self.between {
            between.pieces(*kind, self);
        }
        if self.is_stopped() {
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
