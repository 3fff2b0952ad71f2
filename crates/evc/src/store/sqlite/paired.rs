//! That the file and the log beside it belong together. SQLite does not ask: a copy that is put back beside the log of a later life is read
//! through that log, and becomes a mixture of both.
//!
//! Each opening gives the file a number of its own, in the place that its header has for an application's (bytes 68 to 71), and writes the
//! same number beside it. A file whose number is another one was put there since, and a log that is not empty is not its own.
//! The number is read from the file itself only while this process has no connection to it: when a process closes a file it loses its locks on
//! it, SQLite's own with them, and whoever opens it next takes the log for nobody's.
//! Sources: <https://www.sqlite.org/fileformat.html>, 1.3.17; <https://www.sqlite.org/howtocorrupt.html>, 2.2.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use disk::Disk;
use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::connections::failed;
use super::{DATABASE, fold, random};
use crate::store::{StoreError, Stored};

/// The numbers that the file may have, each on a line in hexadecimal.
const OPENED: &str = "evc.db-opened";
/// Longest such file, bytes.
const MOST: usize = 256;
/// Where the header has it.
const NUMBER_AT: u64 = 68;

/// A folder's file, log and number.
pub(super) struct Pair<'a> {
    folder: &'a Path,
}

impl<'a> Pair<'a> {
    pub(super) fn in_folder(folder: &'a Path) -> Self {
        Self { folder }
    }

    /// Refuses a log that is not the file's own; nothing is opened for that. Where no number was written yet nothing is known.
    ///
    /// # Errors
    /// [`StoreError::OtherLog`]; [`StoreError::Failed`]: the folder can't be read.
    pub(super) fn check(&self) -> Stored<()> {
        // A controller that is just starting writes a new number between the two looks, and does so once.
        match self.is_its_own().and_then(|is| if is { Ok(is) } else { self.is_its_own() }) {
            Ok(true) => Ok(()),
            Ok(false) => Err(StoreError::OtherLog),
            Err(error) => Err(StoreError::Failed(error.into())),
        }
    }

    fn is_its_own(&self) -> io::Result<bool> {
        let known = self.known()?;
        Ok(known.is_empty() || !self.has_log() || self.number()?.is_none_or(|is| known.contains(&is)))
    }

    /// Reads all that a log of before goes into, before it does.
    ///
    /// # Errors
    /// [`StoreError::Damaged`]: the log is still as it was.
    pub(super) fn check_sound(&self, had_log: bool, connection: &Connection) -> Stored<()> {
        if !had_log {
            return Ok(());
        }
        keep_log(connection, true)?;
        let word = connection.pragma_query_value(None, "quick_check", |row| row.get::<_, String>(0));
        match word.map_err(failed)? {
            word if word == "ok" => keep_log(connection, false),
            word => Err(StoreError::Damaged(word)),
        }
    }

    /// Folds the log into the file, under a number of this opening. However this is cut, what is there is known. `lay`: the number that the file
    /// had before it was opened.
    pub(super) fn number_anew(&self, disk: &Disk, connection: &Connection, lay: Option<u32>) -> Stored<()> {
        let next = random()?;
        let read = connection.pragma_query_value(None, "application_id", |row| row.get::<_, i32>(0));
        let before = u32::from_ne_bytes(read.map_err(failed)?.to_ne_bytes());
        self.write(disk, lay.into_iter().chain([before, next]))?;
        // As it is stored, a number with a sign.
        let signed = i32::from_ne_bytes(next.to_ne_bytes());
        connection.pragma_update(None, "application_id", signed).map_err(failed)?;
        // A reader beside may keep the log from being folded in whole.
        if fold(connection)? { self.write(disk, [next]) } else { Ok(()) }
    }

    /// Whether there is a log that is not empty.
    pub(super) fn has_log(&self) -> bool {
        std::fs::metadata(self.beside("-wal")).is_ok_and(|log| log.len() > 0)
    }

    /// The file's, while nothing in this process has it open. None: it is not there, or has nothing in it yet.
    pub(super) fn number(&self) -> io::Result<Option<u32>> {
        let mut bytes = [0; 4];
        match File::open(self.folder.join(DATABASE))
            .and_then(|file| file.read_exact_at(&mut bytes, NUMBER_AT))
        {
            Ok(()) => Ok(Some(u32::from_be_bytes(bytes))),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// None where nothing, or nothing of ours, is written.
    fn known(&self) -> io::Result<Vec<u32>> {
        let text = match std::fs::read(self.folder.join(OPENED)) {
            Ok(bytes) => String::from_utf8_lossy(&bytes[..bytes.len().min(MOST)]).into_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        Ok(text.lines().filter_map(|line| u32::from_str_radix(line, 16).ok()).collect())
    }

    fn write(&self, disk: &Disk, numbers: impl IntoIterator<Item = u32>) -> Stored<()> {
        let text: String = numbers.into_iter().map(|number| format!("{number:08x}\n")).collect();
        let written = disk.write(&self.folder.join(OPENED), text.as_bytes(), 0o600);
        written.map_err(|error| StoreError::Disk(error.into()))
    }

    fn beside(&self, end: &str) -> PathBuf {
        self.folder.join(format!("{DATABASE}{end}"))
    }
}

/// Whether the last connection that closes leaves the log as it is.
fn keep_log(connection: &Connection, keep: bool) -> Stored<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, keep).map(drop).map_err(failed)
}
