//! Room on the disk for the index of a log, before SQLite maps it into its memory. SQLite writes one byte of each 4096, and takes the rest for
//! there: on a filesystem of smaller blocks it is not, and a disk that is full then kills the process (SIGBUS) where it should be refused.
//! The first that opens the index makes it empty, which gives its room back. So there is more than it needs before it is opened, and it is taken
//! again at once. What is left is another program that fills the disk between the two, in less than a millisecond.
//! Source: `unixLockSharedMemory` and `unixShmMap` of SQLite; <https://www.sqlite.org/walformat.html>, 2.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};
use rusqlite::Connection;

use super::connections::{Access, failed, keep_log};
use super::private;
use crate::store::{StoreError, Stored};

/// The index grows by so many bytes, for so many pages of the log.
const REGION: u64 = 32 * 1024;
const PAGES: u64 = 4096;
/// Bytes of a page of the file.
const PAGE: u64 = 4096;

/// Room for the index of one database's log. It is held until SQLite has closed the database: who closes a file loses the process's locks on it.
pub(super) struct IndexRoom {
    database: PathBuf,
    /// None: it can't be opened, or will not be needed. SQLite tells the one; the other needs no room.
    index: Option<File>,
    reserved: AtomicU64,
}

impl IndexRoom {
    /// Opens a database that nothing in this process has open, with its log. The room is to be kept for longer than any connection.
    ///
    /// # Errors
    /// [`StoreError::Disk`]: there is no room. SQLite's.
    pub(super) fn open(database: &Path) -> Stored<(Self, Connection)> {
        let room = Self::before(database)?;
        let connection = Access::Writing.open(database)?;
        // What is damaged keeps its log.
        keep_log(&connection, true)?;
        // The log is opened with the first question, and not before.
        connection.pragma_query_value(None, "schema_version", |_| Ok(())).map_err(failed)?;
        keep_log(&connection, false)?;
        room.reserved.store(0, SeqCst);
        room.keep_ahead()?;
        Ok((room, connection))
    }

    fn before(database: &Path) -> Stored<Self> {
        let open = || private().read(true).open(beside(database, "-shm")).ok();
        let index = if has_log(database) { open() } else { None };
        let room = Self { database: database.to_owned(), index, reserved: AtomicU64::new(0) };
        room.keep_ahead()?;
        Ok(room)
    }

    /// Sees that there is room for what a transaction may need that begins now.
    ///
    /// # Errors
    /// [`StoreError::Disk`]: there is none.
    pub(super) fn keep_ahead(&self) -> Stored<()> {
        self.keep(self.wanted(0))
    }

    /// The same for what writes each page of the file anew, twice: a migration.
    ///
    /// # Errors
    /// As there.
    pub(super) fn keep_for_all(&self) -> Stored<()> {
        self.keep(self.wanted(2 * bytes(&self.database)))
    }

    fn keep(&self, wanted: u64) -> Stored<()> {
        let Some(index) = self.index.as_ref().filter(|_| wanted > self.reserved.load(SeqCst)) else {
            return Ok(());
        };
        reserve(index, wanted).map_err(no_room)?;
        self.reserved.store(wanted, SeqCst);
        Ok(())
    }

    /// For the log as it is and so many bytes more: in whole regions, and one more.
    fn wanted(&self, more: u64) -> u64 {
        let pages = (bytes(&beside(&self.database, "-wal")) + more) / PAGE;
        (pages / PAGES + 2) * REGION
    }
}

fn bytes(file: &Path) -> u64 {
    std::fs::metadata(file).map_or(0, |found| found.len())
}

/// Room alone: the length is SQLite's to change. A filesystem that can't do it is used as it is.
fn reserve(index: &File, bytes: u64) -> nix::Result<()> {
    let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
    match fallocate(index, FallocateFlags::FALLOC_FL_KEEP_SIZE, 0, bytes) {
        Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => Ok(()),
        reserved => reserved,
    }
}

fn no_room(error: Errno) -> StoreError {
    StoreError::Disk(std::io::Error::from(error).into())
}

/// Whether SQLite opens it with a log: it has one, or is new. Nothing is laid beside what is no database.
fn has_log(database: &Path) -> bool {
    let versions = File::open(database).and_then(|file| {
        let mut header = [0; 20];
        Ok((file.read_at(&mut header, 0)?, header))
    });
    // 2 in both: written, and read, with a log.
    matches!(versions, Ok((0, _) | (20, [.., 2, 2])))
}

fn beside(database: &Path, suffix: &str) -> PathBuf {
    [database.as_os_str(), suffix.as_ref()].into_iter().collect::<std::ffi::OsString>().into()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    /// Bytes of the index that lie on the disk.
    fn on_disk(room: &IndexRoom) -> u64 {
        room.index.as_ref().expect("open").metadata().expect("seen").blocks() * 512
    }

    /// seen-by-users 0b.10: there is room for more of the index than SQLite has, at each step.
    #[test]
    fn the_index_has_room_before_sqlite_needs_it() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("file");
        File::create(&file).expect("made");
        let (room, connection) = IndexRoom::open(&file).expect("there is room");
        connection.execute_batch("PRAGMA wal_autocheckpoint = 0; CREATE TABLE one (x)").expect("made");
        assert!(on_disk(&room) >= 2 * REGION, "{}", on_disk(&room));
        for part in 1..4 {
            let rows = "INSERT INTO one VALUES (zeroblob(16000000))";
            room.keep_ahead().expect("there is room");
            let before = on_disk(&room);
            connection.execute(rows, ()).expect("written");
            let used = std::fs::metadata(beside(&file, "-shm")).expect("there").len();
            assert!(before >= used && used >= part * REGION, "{part}: {before} {used}");
        }
    }

    #[test]
    fn nothing_is_laid_beside_what_is_no_database_with_a_log() {
        let dir = tempfile::tempdir().expect("a folder");
        for (name, text) in
            [("absent", None), ("short", Some("SQL")), ("other", Some("a file of somebody's"))]
        {
            let file = dir.path().join(name);
            text.into_iter().for_each(|text| std::fs::write(&file, text).expect("written"));
            assert!(IndexRoom::before(&file).expect("nothing is needed").index.is_none(), "{name}");
            assert!(!beside(&file, "-shm").exists(), "{name}");
        }
    }
}
