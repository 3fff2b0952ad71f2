//! The embedded back-end: one SQLite file, write-ahead log, synchronous FULL, 0600.
//! One connection writes, several read; a writer that waits longer than [`PATIENCE`] is told that the store is busy.

mod devices;
mod evidence;
mod keys;
mod read;
mod vaults;

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteQueryResult,
    SqliteSynchronous,
};
use sqlx::{Sqlite, Transaction};

use super::{Store, StoreError, Stored, Tx};

/// How long a transaction waits for its turn.
const PATIENCE: Duration = Duration::from_secs(5);
/// Connections that read at the same time.
const READERS: u32 = 4;

/// The store in one file.
pub struct SqliteStore {
    reading: SqlitePool,
    writing: SqlitePool,
}

impl SqliteStore {
    /// Opens the file, making it 0600 when it is not there, and brings its tables up to date.
    ///
    /// # Errors
    /// [`StoreError::Failed`]: the file can't be made, read or migrated; the cause says why.
    pub async fn open(file: &Path) -> Stored<Self> {
        make_private(file).map_err(|e| StoreError::Failed(sqlx::Error::Io(e)))?;
        let options = SqliteConnectOptions::new()
            .filename(file)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            // Sealed rows that are deleted are overwritten, so that the file holds no epoch that is over.
            .pragma("secure_delete", "ON")
            .busy_timeout(PATIENCE);
        let writing = pool(1).connect_with(options.clone()).await.map_err(failed)?;
        sqlx::migrate!("migrations/sqlite").run(&writing).await.map_err(|e| failed(e.into()))?;
        let reading = pool(READERS).connect_with(options.read_only(true)).await.map_err(failed)?;
        Ok(Self { reading, writing })
    }
}

fn pool(connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new().max_connections(connections).acquire_timeout(PATIENCE)
}

/// SQLite gives its log and index the mode of the main file.
fn make_private(file: &Path) -> std::io::Result<()> {
    OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(file).map(drop)
}

#[async_trait]
impl Store for SqliteStore {
    async fn read(&self) -> Stored<Box<dyn Tx>> {
        Ok(Box::new(SqliteTx(self.reading.begin().await.map_err(failed)?)))
    }

    async fn write(&self) -> Stored<Box<dyn Tx>> {
        // Takes the write lock at once: what is read next can't change before the commit.
        Ok(Box::new(SqliteTx(self.writing.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?)))
    }

    /// Folds the log into the file.
    async fn close(&self) {
        self.reading.close().await;
        self.writing.close().await;
    }
}

/// One transaction on one connection; rolled back when dropped.
pub(super) struct SqliteTx(Transaction<'static, Sqlite>);

#[async_trait]
impl Tx for SqliteTx {
    async fn commit(self: Box<Self>) -> Stored<()> {
        self.0.commit().await.map_err(failed)
    }
}

type Query = sqlx::query::Query<'static, Sqlite, sqlx::sqlite::SqliteArguments>;

impl SqliteTx {
    async fn run(&mut self, query: Query) -> Stored<u64> {
        let done: SqliteQueryResult = query.execute(&mut *self.0).await.map_err(failed)?;
        Ok(done.rows_affected())
    }

    async fn one<T: read::FromRow>(&mut self, query: Query) -> Stored<Option<T>> {
        query.fetch_optional(&mut *self.0).await.map_err(failed)?.map(|row| T::from_row(&row)).transpose()
    }

    async fn all<T: read::FromRow>(&mut self, query: Query) -> Stored<Vec<T>> {
        query.fetch_all(&mut *self.0).await.map_err(failed)?.iter().map(T::from_row).collect()
    }
}

/// Sorts the library's errors by who must act.
fn failed(error: sqlx::Error) -> StoreError {
    match &error {
        sqlx::Error::PoolTimedOut => StoreError::Busy(error),
        sqlx::Error::Database(e) if e.is_unique_violation() => StoreError::Taken,
        // SQLITE_BUSY and its extended codes.
        sqlx::Error::Database(e)
            if e.code().and_then(|c| c.parse::<i32>().ok()).is_some_and(|c| c & 0xff == 5) =>
        {
            StoreError::Busy(error)
        }
        _ => StoreError::Failed(error),
    }
}
