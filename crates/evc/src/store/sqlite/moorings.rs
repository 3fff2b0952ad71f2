//! Whether the names in the folder still lead to the files that are open. A file whose name was removed, or given to another one, is written
//! and read as before, and nobody will find what is in it: so nothing is committed to it.
//! The same of a file that others wrote into ([`Content`]).
//! Device and inode of the names now are held against those when they were opened. One connection, which asks nothing, is open for as long as
//! the store is: so SQLite removes neither log nor index by itself, and what is gone was removed by others.
//! No file is opened here by other means than SQLite, but those that stay open for as long as SQLite may have them: when a process closes one, it loses
//! its locks on that file.

use std::ffi::OsString;
use std::fs::Metadata;
use std::mem::{Discriminant, discriminant, replace};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;

use super::connections::keep_log;
use super::content::Content;
use super::room::IndexRoom;
use crate::store::{StoreError, Stored};

/// A file: device and inode.
type Identity = (u64, u64);

/// The files of one database.
pub(super) struct Moorings {
    database: Name,
    /// Its log, and the index of that.
    beside: [Name; 2],
    /// What is not so, as it was told last.
    told: Mutex<Option<Discriminant<StoreError>>>,
    holds: Mutex<Option<Connection>>,
    /// After the connection: they have the files open too.
    content: Content,
    room: IndexRoom,
}

struct Name {
    path: PathBuf,
    /// None: there was none when it was looked at.
    opened: Option<Identity>,
}

impl Moorings {
    /// Of a database file that is there, from now on.
    ///
    /// # Errors
    /// It can't be opened.
    pub(super) fn of(database: &Path) -> Stored<Arc<Self>> {
        let (room, holds) = IndexRoom::open(database)?;
        let name = |suffix: &str| Name::of([database.as_os_str(), suffix.as_ref()].into_iter().collect());
        Ok(Arc::new(Self {
            database: name(""),
            beside: ["-wal", "-shm"].map(name),
            content: Content::of(database).map_err(|error| StoreError::Failed(error.into()))?,
            told: Mutex::default(),
            holds: Mutex::new(Some(holds)),
            room,
        }))
    }

    /// Sees that the log's index has room for what is written next.
    pub(super) fn keep_room(&self) -> Stored<()> {
        self.room.keep_ahead()
    }

    /// Whether each name leads to its file.
    ///
    /// # Errors
    /// [`StoreError::Exchanged`], [`StoreError::LogRemoved`]: until it does again. [`StoreError::Overwritten`]: for as long as this is open.
    pub(super) fn hold(&self) -> Stored<()> {
        let held = self.look();
        let now = held.as_ref().err().map(discriminant);
        let before = replace(&mut *self.told.lock().unwrap_or_else(PoisonError::into_inner), now);
        // Once: who is refused is told each time.
        match &held {
            Err(error) if now != before => {
                tracing::error!(%error, file = %self.database.path.display(), "nothing is written until then");
            }
            Ok(()) if before.is_some() => {
                tracing::info!(file = %self.database.path.display(), "the database's files are back");
            }
            _ => {}
        }
        held
    }

    /// Where the names lead to the files that are open, what is told of the ones is told of the others.
    fn look(&self) -> Stored<()> {
        let (before, [log, index]) = (self.content.index_now(), &self.beside);
        let database = self.database.found().ok_or(StoreError::Exchanged)?;
        let (Some(log), Some(_)) = (log.found(), index.found()) else { return Err(StoreError::LogRemoved) };
        let is_overwritten = match before {
            Some(before) => self.content.is_overwritten_since(&before, &database, &log),
            None => self.content.is_overwritten(),
        };
        if is_overwritten { Err(StoreError::Overwritten) } else { Ok(()) }
    }

    /// Whether others wrote into the file, or its log, wherever the names lead by now: then the log is not folded into it when it is closed.
    pub(super) fn are_overwritten(&self) -> bool {
        self.content.is_overwritten()
    }

    /// From now on the log goes with the last connection; or stays as it is.
    pub(super) fn let_go(&self, keeps_log: bool) {
        let holds = self.holds.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(holds) = holds.filter(|_| keeps_log) {
            let _ = keep_log(&holds, true);
        }
    }
}

impl Name {
    fn of(path: OsString) -> Self {
        let path = PathBuf::from(path);
        Self { opened: std::fs::metadata(&path).ok().as_ref().map(identity), path }
    }

    /// The file that was opened, if the name leads to it.
    fn found(&self) -> Option<Metadata> {
        let opened = self.opened?;
        std::fs::metadata(&self.path).ok().filter(|found| identity(found) == opened)
    }
}

fn identity(found: &Metadata) -> Identity {
    (found.dev(), found.ino())
}
