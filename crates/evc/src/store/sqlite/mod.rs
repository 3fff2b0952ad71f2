//! The embedded back-end: one SQLite file, write-ahead log, synchronous FULL, 0600.
//! One connection writes, several read; a writer that waits longer than `PATIENCE` is told that the store is busy.

mod around;
mod device_rows;
mod devices;
mod evidence;
mod keys;
mod read;
mod vaults;

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use sqlx::migrate::Migrator;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteQueryResult,
    SqliteSynchronous,
};
use sqlx::{Connection as _, Sqlite, Transaction, query_scalar};
use vault::ids::DeviceId;

use super::{Around, Engine, Open, Scope, StoreError, Stored, Tx};

/// Names in the folder.
const DATABASE: &str = "evc.db";
const LOCK: &str = "lock";
/// The tables of this version.
static TABLES: Migrator = sqlx::migrate!("migrations/sqlite");
/// How long a transaction waits for its turn.
const PATIENCE: Duration = Duration::from_secs(5);
/// Connections that read at the same time.
const READERS: u32 = 4;

/// The store in one file.
pub struct SqliteStore {
    reading: SqlitePool,
    writing: SqlitePool,
    writer: Arc<Health>,
    /// None where others may write.
    lock: Option<Lock>,
}

/// A folder that no other controller works on. Held for its store's life; the kernel lets go of it however that ends.
pub struct Lock {
    folder: PathBuf,
    _file: File,
}

impl Lock {
    /// # Errors
    /// [`StoreError::InUse`]; [`StoreError::Failed`]: the folder can't be written.
    pub fn of(folder: &Path) -> Stored<Self> {
        let made = private().open(folder.join(LOCK));
        let file = made.map_err(|e| StoreError::Failed(e.into()))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { folder: folder.to_owned(), _file: file }),
            Err(TryLockError::WouldBlock) => Err(StoreError::InUse),
            Err(TryLockError::Error(e)) => Err(StoreError::Failed(e.into())),
        }
    }
}

impl SqliteStore {
    /// Opens the folder's file, making it 0600 when it is not there, and brings its tables up to date.
    ///
    /// # Errors
    /// [`StoreError::Failed`]: the file can't be made, read or migrated; the cause says why.
    pub async fn open(lock: Lock) -> Stored<Self> {
        make_private(&lock.folder.join(DATABASE)).map_err(|e| StoreError::Failed(e.into()))?;
        let (options, writer) = (options(&lock.folder), Arc::default());
        let writing = writing(&options, &writer).await?;
        TABLES.run(&writing).await.map_err(|e| failed(e.into()))?;
        // Not before: a connection that knew the tables of before answers its first question by them, and may find nothing.
        let reading = reading(options).await?;
        Ok(Self { reading, writing, writer, lock: Some(lock) })
    }

    /// Opens a folder's file that is there as it is, also one that a running controller has open: that one is not disturbed, its tables
    /// stay.
    ///
    /// # Errors
    /// [`StoreError::OtherVersion`]: it was made by another version, and not opened by this one yet. [`StoreError::Failed`]: it is not
    /// there, or can't be read.
    pub async fn join(folder: &Path) -> Stored<Self> {
        let (options, writer) = (options(folder), Arc::default());
        let writing = writing(&options, &writer).await?;
        let there = query_scalar("SELECT max(version) FROM _sqlx_migrations").fetch_one(&writing).await;
        let there: Option<i64> = there.map_err(failed)?;
        if there != TABLES.iter().map(|migration| migration.version).max() {
            return Err(StoreError::OtherVersion);
        }
        Ok(Self { reading: reading(options).await?, writing, writer, lock: None })
    }
}

fn options(folder: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(folder.join(DATABASE))
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        // Sealed rows that are deleted are overwritten. (Epochs that are over are not deleted; their releases are.)
        .pragma("secure_delete", "ON")
        .busy_timeout(PATIENCE)
}

async fn writing(options: &SqliteConnectOptions, health: &Arc<Health>) -> Stored<SqlitePool> {
    pool(1, health).connect_with(options.clone()).await.map_err(failed)
}

async fn reading(options: SqliteConnectOptions) -> Stored<SqlitePool> {
    pool(READERS, &Arc::default()).connect_with(options.read_only(true)).await.map_err(failed)
}

/// When a disk is full SQLite itself ends the transaction, and the connection counts it as open for ever: such a one is closed,
/// not handed out again. One that looks so may also wait for the rollback of whoever had it before: the question waits for that.
/// The same for one that answered that it can only read.
fn pool(connections: u32, health: &Arc<Health>) -> SqlitePoolOptions {
    let pool = SqlitePoolOptions::new().max_connections(connections).acquire_timeout(PATIENCE);
    let health = health.clone();
    pool.test_before_acquire(false).before_acquire(move |connection, _| {
        let can_write = health.can_write();
        Box::pin(async move {
            if connection.is_in_transaction() {
                connection.ping().await?;
            }
            Ok(can_write && !connection.is_in_transaction())
        })
    })
}

/// Whether the one writing connection can write. SQLite opens a file that can't be written just then for reading alone, and that
/// connection stays so when the file can be written again.
#[derive(Default)]
struct Health {
    reads_only: AtomicBool,
}

impl Health {
    /// Whether the connection at hand can; the next one is asked anew.
    fn can_write(&self) -> bool {
        !self.reads_only.swap(false, Ordering::Relaxed)
    }

    /// Sorts an error, and takes note of what it says of the connection.
    fn failed(&self, error: sqlx::Error) -> StoreError {
        if primary(&error) == Some(READ_ONLY) {
            self.reads_only.store(true, Ordering::Relaxed);
        }
        failed(error)
    }
}

/// SQLite gives its log and index the mode of the main file.
fn make_private(file: &Path) -> std::io::Result<()> {
    private().open(file).map(drop)
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600);
    options
}

#[async_trait]
impl Engine for SqliteStore {
    async fn read(&self) -> Stored<Box<dyn Open>> {
        let tx = self.reading.begin().await.map_err(failed)?;
        Ok(Box::new(SqliteTx { tx, health: Arc::default() }))
    }

    /// The file has one writer, whatever it is for.
    async fn write(&self, _: Scope) -> Stored<Box<dyn Open>> {
        // Takes the write lock at once: what is read next can't change before the commit.
        let begun = self.writing.begin_with("BEGIN IMMEDIATE").await;
        let tx = begun.map_err(|e| self.writer.failed(e))?;
        Ok(Box::new(SqliteTx { tx, health: self.writer.clone() }))
    }

    /// Folds the log into the file.
    async fn close(&self) {
        self.reading.close().await;
        self.writing.close().await;
    }

    /// Who has the lock has no other controller beside it.
    fn is_alone(&self) -> bool {
        self.lock.is_some()
    }
}

/// One transaction on one connection; rolled back when dropped.
pub(super) struct SqliteTx {
    tx: Transaction<'static, Sqlite>,
    health: Arc<Health>,
}

#[async_trait]
impl Open for SqliteTx {
    async fn commit(self: Box<Self>) -> Stored<()> {
        let Self { tx, health } = *self;
        tx.commit().await.map_err(|e| health.failed(e))
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
        let done: SqliteQueryResult =
            query.execute(&mut *self.tx).await.map_err(|e| self.health.failed(e))?;
        Ok(done.rows_affected())
    }

    /// Changes a row that was read in this transaction.
    async fn change(&mut self, query: Query) -> Stored<()> {
        match self.run(query).await? {
            1 => Ok(()),
            _ => Err(StoreError::Damaged("a row that was read is not there".into())),
        }
    }

    async fn one<T: read::FromRow>(&mut self, query: Query) -> Stored<Option<T>> {
        let row = query.fetch_optional(&mut *self.tx).await.map_err(|e| self.health.failed(e))?;
        row.map(|row| T::from_row(&row)).transpose()
    }

    /// Of a question whose one column is `count`.
    async fn count(&mut self, query: Query) -> Stored<u64> {
        let count = self.one::<read::Count>(query).await?;
        count.map(|count| count.0).ok_or_else(|| StoreError::Damaged("a count has no row".into()))
    }

    async fn all<T: read::FromRow>(&mut self, query: Query) -> Stored<Vec<T>> {
        let rows = query.fetch_all(&mut *self.tx).await.map_err(|e| self.health.failed(e))?;
        rows.iter().map(T::from_row).collect()
    }
}

/// SQLite's primary result codes.
const BUSY: i32 = 5;
const READ_ONLY: i32 = 8;
const IO_ERROR: i32 = 10;
const FULL: i32 = 13;

/// Sorts the library's errors by who must act.
fn failed(error: sqlx::Error) -> StoreError {
    if error.as_database_error().is_some_and(|e| e.is_unique_violation()) {
        return StoreError::Taken;
    }
    match (&error, primary(&error)) {
        (sqlx::Error::PoolTimedOut, _) | (_, Some(BUSY)) => StoreError::Busy(error.into()),
        (_, Some(READ_ONLY | FULL | IO_ERROR)) => StoreError::Disk(error.into()),
        _ => StoreError::Failed(error.into()),
    }
}

fn primary(error: &sqlx::Error) -> Option<i32> {
    let extended: i32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(extended & 0xff)
}
