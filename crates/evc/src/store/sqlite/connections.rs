//! Connections to one file. Each is lent to one transaction at a time, and comes back at rest or not at all.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, Params, ffi};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::moorings::Moorings;
use super::{PATIENCE, apart};
use crate::store::{StoreError, Stored};

/// More than there are kinds of statements here: each is parsed once for a connection.
const STATEMENTS: usize = 160;

/// What a connection is for.
#[derive(Clone, Copy)]
pub(super) enum Access {
    Reading,
    Writing,
}

impl Access {
    /// Opens a file that is there.
    pub(super) fn open(self, file: &Path) -> Stored<Connection> {
        self.opened(file).map_err(failed)
    }

    fn opened(self, file: &Path) -> rusqlite::Result<Connection> {
        let how = match self {
            Self::Reading => OpenFlags::SQLITE_OPEN_READ_ONLY,
            Self::Writing => OpenFlags::SQLITE_OPEN_READ_WRITE,
        };
        // A connection is one thread's at a time; SQLite need not see to that.
        let connection = Connection::open_with_flags(file, how | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        // What is damaged keeps its log.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        // Another process that opens or closes it now is waited for.
        connection.busy_timeout(PATIENCE)?;
        // A plan never depends on the values that are asked for. Else SQLite, where an index is of some rows alone, reads a statement anew
        // each time that it is given other values.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        // Sealed rows that are deleted are overwritten. (Epochs that are over are not deleted; their releases are.)
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA secure_delete = ON;",
        )?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        Ok(connection)
    }
}

/// When a commit is on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Durable {
    /// Before it returns.
    AtOnce,
    /// With the next one that is, at the latest: they lie in one log.
    WithTheNext,
}

/// Those of one kind, opened as they are needed.
pub(super) struct Connections {
    file: PathBuf,
    moorings: Arc<Moorings>,
    access: Access,
    /// At rest; and when their commits are durable, as they were told last.
    idle: Mutex<Vec<(Connection, Durable)>>,
    most: u32,
    places: Arc<Semaphore>,
    /// The disk failed the last that was to be written.
    fails: AtomicBool,
}

impl Connections {
    /// At most so many at the same time.
    pub(super) fn to(file: &Path, moorings: &Arc<Moorings>, access: Access, most: u32) -> Self {
        let (moorings, places) = (Arc::clone(moorings), Arc::new(Semaphore::new(most as usize)));
        let (idle, fails) = (Mutex::default(), AtomicBool::new(false));
        Self { file: file.to_owned(), moorings, access, idle, most, places, fails }
    }

    /// Lends one, in the order in which they were asked for.
    ///
    /// # Errors
    /// [`StoreError::Busy`]: none came back in time.
    pub(super) async fn lend(self: &Arc<Self>) -> Stored<Lent> {
        let place = timeout(PATIENCE, self.places.clone().acquire_owned());
        let place = place.await.map_err(|e| StoreError::Busy(e.into()))?;
        let place = place.map_err(|_| StoreError::Failed("it was closed".into()))?;
        let idle = self.idle().pop();
        let idle = match idle {
            Some(idle) => idle,
            None => (self.one_more()?, Durable::AtOnce),
        };
        Ok(self.lent(idle, place))
    }

    /// Whether the files are those that were opened, as SQLite alone left them.
    pub(super) fn hold(&self) -> Stored<()> {
        self.moorings.hold()
    }

    /// Sees that what is written next has room that SQLite does not ask for.
    pub(super) fn keep_room(&self) -> Stored<()> {
        self.moorings.keep_room().inspect_err(|_| self.fails.store(true, SeqCst))
    }

    /// Whether the disk failed what was to be written last.
    pub(super) fn fail(&self) -> bool {
        self.fails.load(SeqCst)
    }

    /// Lends one that is open, if one is at rest and nobody waits for it.
    pub(super) fn lend_idle(self: &Arc<Self>) -> Option<Lent> {
        let place = self.places.clone().try_acquire_owned().ok()?;
        let idle = self.idle().pop()?;
        Some(self.lent(idle, place))
    }

    fn lent(
        self: &Arc<Self>,
        (connection, durable): (Connection, Durable),
        place: OwnedSemaphorePermit,
    ) -> Lent {
        let changed = connection.total_changes();
        Lent { connection: Some(connection), sound: true, durable, changed, of: self.clone(), _place: place }
    }

    fn one_more(&self) -> Stored<Connection> {
        // It would be to another file than the others, or make the log anew that they have.
        self.moorings.hold()?;
        apart(|| {
            let connection = self.access.open(&self.file)?;
            // From now on nobody's thread waits: who is busy is asked again.
            connection.busy_timeout(Duration::ZERO).map_err(failed)?;
            Ok(connection)
        })
    }

    /// Whoever has one ends first; nobody is given one any more.
    pub(super) async fn close(&self, keeps_log: bool) {
        let all = self.places.acquire_many(self.most).await;
        self.places.close();
        apart(|| {
            for (connection, _) in self.idle().drain(..) {
                let _ = keep_log(&connection, keeps_log);
            }
        });
        drop(all);
    }

    fn idle(&self) -> MutexGuard<'_, Vec<(Connection, Durable)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection for one transaction. However that ends, what it did not commit never was when the next one has it.
pub(super) struct Lent {
    connection: Option<Connection>,
    /// The disk did not fail it. A connection that the disk failed is closed: SQLite opens a file that can't be written just then for
    /// reading alone, and such a connection stays so when the file can be written again.
    sound: bool,
    durable: Durable,
    /// Rows that it had changed before.
    changed: u64,
    of: Arc<Connections>,
    /// Given back last.
    _place: OwnedSemaphorePermit,
}

impl Lent {
    pub(super) fn connection(&self) -> &Connection {
        self.connection.as_ref().expect("it is taken by `drop` alone")
    }

    /// What others wrote into the file is not read as ours. What has lost its name is what it was.
    pub(super) fn refuse_mixture(&self) -> Stored<()> {
        match self.of.moorings.hold() {
            Err(StoreError::Overwritten) => Err(StoreError::Overwritten),
            _ => Ok(()),
        }
    }

    /// Makes what was written last, where it will be found.
    pub(super) fn commit(&mut self) -> Stored<()> {
        self.of.moorings.hold()?;
        match self.durable {
            Durable::AtOnce => apart(|| self.run("COMMIT", ()))?,
            // It waits for no disk.
            Durable::WithTheNext => self.run("COMMIT", ())?,
        };
        // What does not wait for the disk says nothing of it. Nor is it built upon before the next commit that does, and that one looks again.
        if self.durable == Durable::WithTheNext {
            return Ok(());
        }
        if self.connection().total_changes() > self.changed {
            self.of.fails.store(false, SeqCst);
        }
        // Whoever took the names away meanwhile may have taken what was just written.
        self.of.moorings.hold()
    }

    /// Runs one statement: how many rows it changed.
    pub(super) fn run(&mut self, statement: &str, values: impl Params) -> Stored<usize> {
        let prepared = self.connection().prepare_cached(statement);
        let done = prepared.and_then(|mut statement| statement.execute(values));
        self.note(done.map_err(failed))
    }

    /// Before a transaction that writes begins; it stays so until it is told otherwise. What is not durable at once folds no log into the file either: nothing of it waits for the disk. Not by a statement that is kept: SQLite carries this one out when it reads it.
    pub(super) fn be(&mut self, durable: Durable) -> Stored<()> {
        if durable != self.durable {
            let say = match durable {
                Durable::AtOnce => "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 1000",
                Durable::WithTheNext => "PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 0",
            };
            let said = self.connection().execute_batch(say);
            // Half of it is neither.
            self.sound &= said.is_ok();
            said.map_err(failed)?;
            self.durable = durable;
        }
        Ok(())
    }

    /// Takes note of what an error says of the connection.
    pub(super) fn note<T>(&mut self, done: Stored<T>) -> Stored<T> {
        // What does not read in a mixture is not to be told as damage.
        if matches!(done, Err(StoreError::Failed(_) | StoreError::Damaged(_))) {
            self.refuse_mixture()?;
        }
        if matches!(done, Err(StoreError::Disk(_))) {
            self.sound = false;
            self.of.fails.store(true, SeqCst);
        }
        done
    }

    /// Whether nothing is open on it any more. A disk that is full may have ended the transaction already.
    fn comes_to_rest(&mut self) -> bool {
        let in_transaction = |lent: &Self| !lent.connection().is_autocommit();
        if in_transaction(self) {
            let _ = self.run("ROLLBACK", ());
        }
        self.sound && !in_transaction(self)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let comes_back = self.comes_to_rest();
        if let Some(connection) = self.connection.take().filter(|_| comes_back) {
            self.of.idle().push((connection, self.durable));
        }
    }
}

/// Whether the last connection that closes leaves the log as it is.
pub(super) fn keep_log(connection: &Connection, keep: bool) -> Stored<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, keep).map(drop).map_err(failed)
}

/// Sorts the library's errors by who must act.
pub(super) fn failed(error: rusqlite::Error) -> StoreError {
    use ErrorCode::{DatabaseBusy, DiskFull, ReadOnly, SystemIoFailure};
    const TAKEN: [i32; 2] = [ffi::SQLITE_CONSTRAINT_UNIQUE, ffi::SQLITE_CONSTRAINT_PRIMARYKEY];
    match error.sqlite_error_code() {
        _ if error.sqlite_extended_error_code().is_some_and(|code| TAKEN.contains(&code)) => {
            StoreError::Taken
        }
        Some(DatabaseBusy) => StoreError::Busy(error.into()),
        Some(ReadOnly | DiskFull | SystemIoFailure) => StoreError::Disk(error.into()),
        _ => StoreError::Failed(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};
    use std::sync::Arc;

    use super::{Access, Connections, DbConfig, Moorings};
    use crate::store::StoreError;

    const MANY_BYTES: &str = "INSERT INTO one VALUES (zeroblob(1000000))";

    /// The one writing connection of a file with a table, and the file.
    fn one(folder: &Path) -> (Arc<Connections>, PathBuf) {
        let file = folder.join("file");
        std::fs::write(&file, "").expect("made");
        Access::Writing.open(&file).expect("opened").execute_batch("CREATE TABLE one (x)").expect("made");
        let moorings = Moorings::of(&file).expect("open");
        (Arc::new(Connections::to(&file, &moorings, Access::Writing, 1)), file)
    }

    /// seen-by-users 0b.10: a file that had no room, or could not be written, is written as soon as it can be: by another connection.
    #[tokio::test]
    async fn a_connection_that_the_disk_failed_is_lent_to_nobody_else() {
        let dir = tempfile::tempdir().expect("a folder");
        let (connections, _) = one(dir.path());
        for fault in ["PRAGMA max_page_count = 3", "PRAGMA query_only = ON"] {
            let mut lent = connections.lend().await.expect("lent");
            lent.connection().execute_batch(fault).expect("set");
            lent.connection().execute_batch("BEGIN").expect("begun");
            assert!(matches!(lent.run(MANY_BYTES, ()), Err(StoreError::Disk(_))), "{fault}");
            drop(lent);
            let mut next = connections.lend().await.expect("lent");
            assert!(next.connection().is_autocommit(), "{fault}: nothing is open on it");
            next.run(MANY_BYTES, ()).expect("written");
        }
    }

    /// A body's future that is dropped leaves no transaction behind, and its connection goes on with the statements that it knows.
    #[tokio::test]
    async fn what_was_not_committed_never_was_for_the_next_one() {
        let dir = tempfile::tempdir().expect("a folder");
        let (connections, _) = one(dir.path());
        let mut lent = connections.lend().await.expect("lent");
        lent.run("BEGIN IMMEDIATE", ()).expect("begun");
        lent.run(MANY_BYTES, ()).expect("written");
        lent.connection().execute_batch("PRAGMA cache_size = 7").expect("set");
        drop(lent);
        let next = connections.lend().await.expect("lent");
        let ask =
            |question| next.connection().query_row(question, (), |row| row.get::<_, i64>(0)).expect("told");
        assert_eq!(
            (ask("SELECT count(*) FROM one"), ask("PRAGMA cache_size")),
            (0, 7),
            "the same connection"
        );
    }

    /// Invariant 2: what waits for no disk makes nothing that follows it as quick.
    #[tokio::test]
    async fn each_transaction_is_as_durable_as_it_asks_whatever_the_one_before_was() {
        let dir = tempfile::tempdir().expect("a folder");
        let (connections, _) = one(dir.path());
        use super::Durable::{AtOnce, WithTheNext};
        for (durable, set) in
            [(AtOnce, [2, 1000]), (WithTheNext, [1, 0]), (WithTheNext, [1, 0]), (AtOnce, [2, 1000])]
        {
            let mut lent = connections.lend().await.expect("lent");
            lent.be(durable).expect("said");
            let told = ["synchronous", "wal_autocheckpoint"].map(|pragma| {
                let number = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0);
                lent.connection().pragma_query_value(None, pragma, number).expect(pragma)
            });
            assert_eq!(told, set, "{durable:?}");
        }
    }

    /// Sealed rows that are deleted leave nothing in the file, and what was committed is on the disk (threats: a stolen disk, a power cut).
    #[tokio::test]
    async fn every_connection_is_set_up_as_the_file_wants_it() {
        let dir = tempfile::tempdir().expect("a folder");
        let (writing, file) = one(dir.path());
        let reading = Arc::new(Connections::to(&file, &writing.moorings, Access::Reading, 2));
        for connections in [writing, reading] {
            let lent = connections.lend().await.expect("lent");
            let told = |pragma: &str| {
                let number = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0);
                lent.connection().pragma_query_value(None, pragma, number).expect(pragma)
            };
            let kept = ["synchronous", "foreign_keys", "secure_delete", "busy_timeout"].map(told);
            assert_eq!(kept, [2, 1, 1, 0]);
            let steady = lent.connection().db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG);
            assert_eq!(steady, Ok(true), "no statement is read anew for other values");
            let journal: String =
                lent.connection().pragma_query_value(None, "journal_mode", |row| row.get(0)).expect("told");
            assert_eq!(journal, "wal");
        }
    }
}
