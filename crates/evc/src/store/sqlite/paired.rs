//! That the file and the log beside it belong together. SQLite does not ask: a copy that is put back beside the log of a later life is read
//! through that log, and becomes a mixture of both.
//!
//! Each opening gives the file a number of its own, in the place that its header has for an application's (bytes 68 to 71), and writes the
//! same number beside it. A file whose number is another one was put there since, and a log that is not empty is not its own.
//! Each act of an operator gives the database another number too, which lies in its log until that is folded in. So a copy of whatever moment
//! is told from what the last controller left ([`Pair::is_put_back`]): what operators said since is not in it.
//! The number is read from the file itself only while this process has no connection to it: when a process closes a file it loses its locks on
//! it, SQLite's own with them, and whoever opens it next takes the log for nobody's.
//! Sources: <https://www.sqlite.org/fileformat.html>, 1.3.17; <https://www.sqlite.org/howtocorrupt.html>, 2.2.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use disk::Disk;
use rusqlite::Connection;

use super::connections::{failed, keep_log};
use super::{DATABASE, fold, random};
use crate::store::{StoreError, Stored};

/// The numbers that the file may have, each on a line in hexadecimal.
const OPENED: &str = "evc.db-opened";
/// Longest such file, bytes.
const MOST: usize = 64 * 1024;
/// Where the header has it.
const NUMBER_AT: u64 = 68;

/// In the store: it has a number, or lost it.
const NUMBERED: &str = "numbered";
/// Before the number that the database has with its log. A build of before passes over that line.
const NEWEST: &str = "newest ";
/// With so many numbers the log is folded in, if nobody reads just then, and they become one.
const MANY: usize = 16;
/// So many have room in the file.
const FULL: usize = 7_000;

/// What a file was before it was opened.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Lay {
    /// Its own number.
    pub(super) number: Option<u32>,
    /// It is a copy that was put in the place of another.
    pub(super) put_back: bool,
}

/// Those that the file may have, the newest last: which of them depends on what of the log is folded into it.
pub(super) struct Numbers(Vec<u32>);

impl Numbers {
    /// Of no file: a log that is left beside this one is another's.
    pub(super) fn of_none() -> Stored<Self> {
        Ok(Self(vec![random()?]))
    }

    pub(super) fn add(&mut self, next: u32) {
        self.0.push(next);
    }

    pub(super) fn are_many(&self) -> bool {
        self.0.len() >= MANY
    }

    pub(super) fn are_full(&self) -> bool {
        self.0.len() >= FULL
    }

    /// That which the database has, alone: the whole log is in the file. It need not be the newest of them, which may have come to nothing.
    pub(super) fn folded(&mut self, connection: &Connection) -> Stored<()> {
        self.0 = vec![number_in(connection)?];
        Ok(())
    }
}

/// What is written beside the file.
#[derive(Debug, Default)]
struct Known {
    numbers: Vec<u32>,
    newest: Option<u32>,
}

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
        let known = self.known()?.numbers;
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
        let word = connection.pragma_query_value(None, "integrity_check", |row| row.get::<_, String>(0));
        match word.map_err(failed)? {
            word if word == "ok" => keep_log(connection, false),
            word => Err(StoreError::Damaged(word)),
        }
    }

    /// Folds the log into the file, under a number of this opening. However this is cut, what is there is known. `lay`: the number that the file
    /// had before it was opened.
    pub(super) fn number_anew(
        &self,
        disk: &Disk,
        connection: &Connection,
        lay: Option<u32>,
    ) -> Stored<Numbers> {
        let next = random()?;
        let mut numbers = Numbers(lay.into_iter().chain([number_in(connection)?, next]).collect());
        self.write(disk, &numbers, None)?;
        // As it is stored, a number with a sign.
        let signed = i32::from_ne_bytes(next.to_ne_bytes());
        connection.pragma_update(None, "application_id", signed).map_err(failed)?;
        let note = "INSERT OR IGNORE INTO meta (name, value) VALUES (?, x'01')";
        connection.execute(note, (NUMBERED,)).map_err(failed)?;
        // A reader beside may keep the log from being folded in whole.
        if fold(connection)? {
            numbers.folded(connection)?;
        }
        self.write(disk, &numbers, Some(next))?;
        Ok(numbers)
    }

    /// Whether the database, with its log, is another one than the last controller left here: a copy, of this life or of another. One that was
    /// moved here without its number is, also where the database lost it too, as by a dump that is read in anew. One that never had a number is not
    /// known to be.
    pub(super) fn is_put_back(&self, connection: &Connection) -> Stored<bool> {
        let (is, known) =
            (number_in(connection)?, self.known().map_err(|error| StoreError::Failed(error.into()))?);
        Ok(match known {
            Known { newest: Some(newest), .. } => is != newest,
            // A number was being written, or a build of before wrote them.
            Known { numbers, .. } if !numbers.is_empty() => !numbers.contains(&is),
            Known { .. } => is != 0 || was_numbered(connection)?,
        })
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

    /// Nothing where nothing, or nothing of ours, is written.
    fn known(&self) -> io::Result<Known> {
        let text = match std::fs::read(self.folder.join(OPENED)) {
            Ok(bytes) => String::from_utf8_lossy(&bytes[..bytes.len().min(MOST)]).into_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Known::default()),
            Err(error) => return Err(error),
        };
        let number = |text: &str| u32::from_str_radix(text, 16).ok();
        let newest = text.lines().find_map(|line| number(line.strip_prefix(NEWEST)?));
        Ok(Known { numbers: text.lines().filter_map(number).collect(), newest })
    }

    /// `newest`: what the database says of itself, with its log. None: that is one of the numbers.
    pub(super) fn write(&self, disk: &Disk, Numbers(all): &Numbers, newest: Option<u32>) -> Stored<()> {
        let newest = newest.map(|number| format!("{NEWEST}{number:08x}\n"));
        let text: String =
            newest.into_iter().chain(all.iter().map(|number| format!("{number:08x}\n"))).collect();
        let written = disk.write(&self.folder.join(OPENED), text.as_bytes(), 0o600);
        written.map_err(|error| StoreError::Disk(error.into()))
    }

    fn beside(&self, end: &str) -> PathBuf {
        self.folder.join(format!("{DATABASE}{end}"))
    }
}

/// Whether a controller ever gave the database a number.
fn was_numbered(connection: &Connection) -> Stored<bool> {
    let count = |of: &str, which: &str| connection.query_row(of, (which,), |row| row.get::<_, u32>(0));
    let is_table = count("SELECT count(*) FROM sqlite_schema WHERE name = ?", "meta").map_err(failed)?;
    let noted = || count("SELECT count(*) FROM meta WHERE name = ?", NUMBERED).map_err(failed);
    Ok(is_table > 0 && noted()? > 0)
}

/// What the database says of itself, with its log.
pub(super) fn number_in(connection: &Connection) -> Stored<u32> {
    let read = connection.pragma_query_value(None, "application_id", |row| row.get::<_, i32>(0));
    Ok(u32::from_ne_bytes(read.map_err(failed)?.to_ne_bytes()))
}
