//! Whether the database's file and its log are written by SQLite alone. A copy that is written over the one that is open (`cp`, `rsync --inplace`) keeps
//! its name and inode; pages that are in memory or in the log and pages of the copy then become a mixture.
//! With a write-ahead log nothing but a checkpoint writes the file, and whoever makes one, in whichever process, says so in the index of the log
//! before he writes and after. So a file that changed while no checkpoint did was written by others; and so was a log that has not the salts
//! that the index has, or is shorter. By times and sizes: one that is written over within the clock's tick is not seen. A time alone says nothing of a
//! file: what is in it is held against what was ([`digest`]).
//! Source: <https://www.sqlite.org/walformat.html>, 1.3 and 2.1.

use std::ffi::OsString;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::digest::{Context, SHA256};

use super::apart;

/// The index of a log as far as it is read: two copies of its header, and how far checkpoints came.
const INDEX: usize = 132;
/// The header of a log, and what stands before each page in it, in bytes.
const LOG_HEADER: u64 = 32;
const FRAME_HEADER: u64 = 24;
/// So much of a file is read after each checkpoint: all of a file that is not longer.
const MOST_READ: u64 = 8 * 1024 * 1024;
/// Of a longer one its beginning, with what each copy has of its own: in the header the number that each act of an operator changes
/// ([`super::paired`]), and the table of the time seen, which was the first to be made.
const BEGINNING: u64 = 1024 * 1024;
/// Read at once, bytes.
const PIECE: usize = 64 * 1024;

/// Watches a file and its log. It holds them open, for as long as SQLite may: a process that closes a file loses its locks on it.
pub(super) struct Content {
    database: File,
    log: File,
    index: File,
    kept: Mutex<Kept>,
    /// Who reads the file for that: one at a time, and off the runtime.
    reads: Mutex<()>,
    /// Once it was, it is: nobody knows what of it is whose.
    overwritten: AtomicBool,
}

/// What the file was, and how far checkpoints were before that was looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Kept {
    written: Written,
    checkpoints: Checkpoints,
    /// No checkpoint wrote it meanwhile.
    rests: bool,
    /// Of what is in it, where it rests.
    digest: Option<[u8; 32]>,
}

/// When a file was written last, and how long it is.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Written {
    at: (i64, i64),
    bytes: u64,
}

/// Of which log, how much is in the file, and how much is about to be.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Checkpoints {
    salts: [u8; 8],
    done: u32,
    begun: u32,
}

impl Checkpoints {
    fn are_under_way(&self) -> bool {
        self.done != self.begun
    }
}

impl Content {
    /// Of a database that is open, and has its log.
    pub(super) fn of(database: &Path) -> io::Result<Self> {
        let open = |suffix: &str| {
            File::open([database.as_os_str(), suffix.as_ref()].into_iter().collect::<OsString>())
        };
        let (database, log, index) = (open("")?, open("-wal")?, open("-shm")?);
        let kept = Mutex::new(Kept::of(&database, &index)?);
        Ok(Self { database, log, index, kept, reads: Mutex::default(), overwritten: AtomicBool::new(false) })
    }

    /// Whether others wrote to one of the two, at any time.
    pub(super) fn is_overwritten(&self) -> bool {
        let before = self.index_now();
        let [database, log] = [&self.database, &self.log].map(File::metadata);
        match (before, database, log) {
            (Some(before), Ok(database), Ok(log)) => self.is_overwritten_since(&before, &database, &log),
            // What can't be looked at, SQLite will tell.
            _ => self.overwritten.load(SeqCst),
        }
    }

    /// The index, before the two files are looked at.
    pub(super) fn index_now(&self) -> Option<Index> {
        Index::read(&self.index).ok()
    }

    /// The same as [`Self::is_overwritten`], for who looked at the two since the index was this.
    pub(super) fn is_overwritten_since(&self, before: &Index, database: &Metadata, log: &Metadata) -> bool {
        if self.overwritten.load(SeqCst) {
            return true;
        }
        let is = self.file_is(before, database).unwrap_or(false) || self.log_is(before, log).unwrap_or(false);
        if is {
            self.overwritten.store(true, SeqCst);
        }
        is
    }

    fn file_is(&self, before: &Index, database: &Metadata) -> io::Result<bool> {
        let kept = self.kept();
        if before.checkpoints() == kept.checkpoints && Written::of(database) == kept.written {
            return Ok(false);
        }
        apart(|| self.file_is_by_others())
    }

    fn kept(&self) -> Kept {
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_as_kept(&self, kept: &Kept) -> io::Result<bool> {
        let checkpoints = Index::read(&self.index)?.checkpoints();
        Ok(checkpoints == kept.checkpoints && Written::of(&self.database.metadata()?) == kept.written)
    }

    fn file_is_by_others(&self) -> io::Result<bool> {
        let _alone = self.reads.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.kept();
        // Whoever read it meanwhile saw the same.
        if self.is_as_kept(&before)? {
            return Ok(false);
        }
        let now = Kept::of(&self.database, &self.index)?;
        if now.is_by_others_since(&before) {
            return Ok(true);
        }
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = now;
        Ok(false)
    }

    /// The frames that the index has are in it, under its salts: they are written before the index says so.
    fn log_is(&self, before: &Index, log: &Metadata) -> io::Result<bool> {
        let mut header = [0; LOG_HEADER as usize];
        let read = self.log.read_exact_at(&mut header, 0);
        let after = Index::read(&self.index)?;
        if before.header() != after.header() || before.frames() == 0 {
            return Ok(false);
        }
        let is_short = log.len() < before.log_bytes();
        Ok(read.is_err() || header[16..24] != before.checkpoints().salts || is_short)
    }
}

impl Kept {
    fn of(database: &File, index: &File) -> io::Result<Self> {
        // Before the file: what is done to it between the two looks is a checkpoint's.
        let checkpoints = Index::read(index)?.checkpoints();
        let written = Written::of(&database.metadata()?);
        let may_read = !checkpoints.are_under_way();
        let digest = if may_read { Some(digest(database, written.bytes)?) } else { None };
        // What others write while it is read is not to pass for what it was.
        let stays = Written::of(&database.metadata()?) == written;
        let rests = !checkpoints.are_under_way() && Index::read(index)?.checkpoints() == checkpoints;
        Ok(Self { written, checkpoints, rests, digest: digest.filter(|_| stays && rests) })
    }

    /// It was written since, and by no checkpoint. Another time alone (`touch`) is nothing that was written.
    fn is_by_others_since(&self, before: &Self) -> bool {
        let same = self.digest.is_some() && self.digest == before.digest;
        let no_checkpoint = self.rests && self.checkpoints == before.checkpoints;
        no_checkpoint && self.written != before.written && !same
    }
}

/// Of what is in a file of so many bytes: of all of it, or of [`MOST_READ`] of it, its beginning and pieces of the rest.
fn digest(file: &File, bytes: u64) -> io::Result<[u8; 32]> {
    let (mut context, mut piece) = (Context::new(&SHA256), vec![0; PIECE]);
    for at in pieces(bytes) {
        // Shorter at its end alone: what is cut off while it is read has another length for who looks again.
        let read = file.read_at(&mut piece, at)?;
        context.update(&piece[..read]);
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    Ok(digest)
}

/// Where the pieces begin that are read: one after the other, or from [`BEGINNING`] on as far apart as is needed to reach the end.
fn pieces(bytes: u64) -> impl Iterator<Item = u64> {
    let (piece, rest) = (PIECE as u64, bytes.saturating_sub(BEGINNING));
    let most = (MOST_READ - BEGINNING) / piece;
    let apart = if bytes <= MOST_READ { piece } else { rest / most };
    let begins = (0..bytes.min(BEGINNING)).step_by(PIECE);
    begins.chain((0..rest.div_ceil(apart)).take(most as usize).map(move |n| BEGINNING + n * apart))
}

impl Written {
    fn of(file: &Metadata) -> Self {
        Self { at: (file.mtime(), file.mtime_nsec()), bytes: file.len() }
    }
}

/// In the machine's order of bytes, but for the salts.
pub(super) struct Index([u8; INDEX]);

impl Index {
    fn read(index: &File) -> io::Result<Self> {
        let mut bytes = [0; INDEX];
        index.read_exact_at(&mut bytes, 0)?;
        Ok(Self(bytes))
    }

    fn header(&self) -> &[u8] {
        &self.0[..48]
    }

    fn frames(&self) -> u32 {
        self.number(16)
    }

    /// At least so long is the log.
    fn log_bytes(&self) -> u64 {
        let page = u16::from_ne_bytes([self.0[14], self.0[15]]);
        let page = if page == 1 { 65_536 } else { u64::from(page) };
        LOG_HEADER + u64::from(self.frames()) * (FRAME_HEADER + page)
    }

    fn checkpoints(&self) -> Checkpoints {
        let mut salts = [0; 8];
        salts.copy_from_slice(&self.0[32..40]);
        Checkpoints { salts, done: self.number(96), begun: self.number(128) }
    }

    fn number(&self, at: usize) -> u32 {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(&self.0[at..at + 4]);
        u32::from_ne_bytes(bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use rusqlite::Connection;

    use super::*;

    /// A database with its log, and whoever holds it open.
    fn database(folder: &Path) -> (Connection, Content) {
        let file = folder.join("evc.db");
        let open = Connection::open(&file).expect("opened");
        open.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE one (x)").expect("made");
        let content = Content::of(&file).expect("watched");
        (open, content)
    }

    /// What is read is bounded, reaches from the first byte to the last piece, and is all of what is not large.
    #[test]
    fn the_pieces_of_a_file_are_bounded_and_reach_its_end() {
        for bytes in
            [0, 1, 4096, BEGINNING, BEGINNING + 1, MOST_READ - 1, MOST_READ, MOST_READ + 4096, 1 << 40]
        {
            let begins: Vec<u64> = pieces(bytes).collect();
            let most = MOST_READ / PIECE as u64;
            assert!(begins.len() as u64 <= most && begins.is_sorted(), "{bytes}: {}", begins.len());
            assert!(begins.iter().all(|at| *at < bytes), "{bytes}");
            let whole = begins.iter().copied().eq((0..bytes).step_by(PIECE));
            assert_eq!(whole, bytes <= MOST_READ, "{bytes}");
            let last = begins.last().copied().unwrap_or_default();
            assert!(bytes - last <= (bytes / 64).max(PIECE as u64), "{bytes}: from {last} on");
        }
    }

    /// A file is read off the runtime: while one who looks waits for it, its only thread does what else there is.
    #[test]
    fn who_reads_the_file_keeps_no_thread_of_the_runtime() {
        let dir = tempfile::tempdir().expect("a folder");
        let (_open, content) = database(dir.path());
        let touched = File::options().write(true).open(dir.path().join("evc.db")).expect("opened");
        touched.set_modified(std::time::SystemTime::UNIX_EPOCH).expect("touched");
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().expect("a runtime");
        let (looks, (said, hears)) = (std::sync::Arc::new(content), mpsc::channel());
        let reads = looks.reads.lock().expect("never poisoned");
        let (other, begun) = (looks.clone(), said.clone());
        let looking = runtime.spawn(async move {
            let _ = begun.send("looks");
            other.is_overwritten()
        });
        assert_eq!(hears.recv(), Ok("looks"));
        runtime.spawn(async move { said.send("goes on") });
        assert_eq!(hears.recv_timeout(Duration::from_secs(30)), Ok("goes on"), "while it waits");
        drop(reads);
        assert!(!runtime.block_on(looking).expect("ended"), "touched, and not written");
    }
}
