//! The embedded back-end: one SQLite file, write-ahead log, synchronous FULL, 0600.
//! One connection writes, several read; a writer that waits longer than [`PATIENCE`] is told that the store is busy.

mod around;
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
use sqlx::{Connection as _, Sqlite, Transaction};
use vault::ids::DeviceId;

use super::{Around, Engine, Open, Scope, StoreError, Stored, Tx};

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
        make_private(file).map_err(|e| StoreError::Failed(e.into()))?;
        let store = Self::join(file).await?;
        sqlx::migrate!("migrations/sqlite").run(&store.writing).await.map_err(|e| failed(e.into()))?;
        Ok(store)
    }

    /// Opens a file that is there as it is, also one that a running controller has open: that one is not disturbed, its tables stay.
    ///
    /// # Errors
    /// [`StoreError::Failed`]: it is not there, or can't be read.
    pub async fn join(file: &Path) -> Stored<Self> {
        let options = SqliteConnectOptions::new()
            .filename(file)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            // Sealed rows that are deleted are overwritten. (Epochs that are over are not deleted; their releases are.)
            .pragma("secure_delete", "ON")
            .busy_timeout(PATIENCE);
        let writing = pool(1).connect_with(options.clone()).await.map_err(failed)?;
        let reading = pool(READERS).connect_with(options.read_only(true)).await.map_err(failed)?;
        Ok(Self { reading, writing })
    }
}

/// When a disk is full SQLite itself ends the transaction, and the connection counts it as open for ever: such a one is closed,
/// not handed out again. One that looks so may also wait for the rollback of whoever had it before: the question waits for that.
fn pool(connections: u32) -> SqlitePoolOptions {
    let pool = SqlitePoolOptions::new().max_connections(connections).acquire_timeout(PATIENCE);
    pool.test_before_acquire(false).before_acquire(|connection, _| {
        Box::pin(async move {
            if connection.is_in_transaction() {
                connection.ping().await?;
            }
            Ok(!connection.is_in_transaction())
        })
    })
}

/// SQLite gives its log and index the mode of the main file.
fn make_private(file: &Path) -> std::io::Result<()> {
    OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(file).map(drop)
}

#[async_trait]
impl Engine for SqliteStore {
    async fn read(&self) -> Stored<Box<dyn Open>> {
        Ok(Box::new(SqliteTx(self.reading.begin().await.map_err(failed)?)))
    }

    /// The file has one writer, whatever it is for.
    async fn write(&self, _: Scope) -> Stored<Box<dyn Open>> {
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
impl Open for SqliteTx {
    async fn commit(self: Box<Self>) -> Stored<()> {
        self.0.commit().await.map_err(failed)
    }
}

#[async_trait]
impl Tx for SqliteTx {
    async fn around(&mut self, device: DeviceId) -> Stored<Around> {
        self.all_around(device).await
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

/// SQLite's primary result codes.
const BUSY: i32 = 5;
const IO_ERROR: i32 = 10;
const FULL: i32 = 13;

/// Sorts the library's errors by who must act.
fn failed(error: sqlx::Error) -> StoreError {
    let database = error.as_database_error();
    if database.is_some_and(|e| e.is_unique_violation()) {
        return StoreError::Taken;
    }
    let extended = database.and_then(|e| e.code()?.parse::<i32>().ok());
    match (&error, extended.map(|code| code & 0xff)) {
        (sqlx::Error::PoolTimedOut, _) | (_, Some(BUSY)) => StoreError::Busy(error.into()),
        (_, Some(FULL | IO_ERROR)) => StoreError::Disk(error.into()),
        _ => StoreError::Failed(error.into()),
    }
}
