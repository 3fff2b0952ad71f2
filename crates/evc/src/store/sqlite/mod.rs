//! The embedded back-end: one SQLite file, write-ahead log, synchronous FULL, 0600.
//! One connection writes, several read; a writer that waits longer than `PATIENCE` is told that the store is busy.
//! SQLite is called on the thread of whoever asks: a look-up takes microseconds, less than the way to another thread and back.
//! Nobody's thread waits for a turn, and what waits for the disk leaves the runtime's other work to other threads.

mod around;
mod bundles;
mod connections;
mod deleted;
mod device_rows;
mod devices;
mod evidence;
mod keys;
mod labels;
mod moorings;
mod others;
mod paired;
mod read;
mod tables;
mod transaction;
mod vaults;

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use async_trait::async_trait;
use disk::Disk;
use rusqlite::Connection;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::block_in_place;

use self::connections::{Access, Connections, Durable};
use self::moorings::Moorings;
use self::others::Others;
use self::paired::Pair;
use self::transaction::SqliteTx;
use super::{Engine, Open, Scope, StoreError, Stored};

/// Names in the folder.
const DATABASE: &str = "evc.db";
const LOCK: &str = "lock";
/// How long a transaction waits for its turn.
const PATIENCE: Duration = Duration::from_secs(5);
/// Connections that read at the same time.
const READERS: u32 = 4;

/// The store in one file.
pub struct SqliteStore {
    reading: Arc<Connections>,
    /// After the readers: the last connection of a file folds its log into it, and must be able to.
    writing: Arc<Connections>,
    /// None where others may write.
    lock: Option<Lock>,
    /// The number that the file had before it was opened.
    lay: Option<u32>,
    /// Keys were deleted, which the log still has.
    erased: Arc<AtomicBool>,
    moorings: Arc<Moorings>,
    others: Arc<Others>,
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
    /// [`StoreError::OtherLog`]: the log beside it is another's. [`StoreError::Damaged`]: with its log it is. In both cases nothing was
    /// changed. [`StoreError::Newer`]: a newer version made its tables. [`StoreError::Failed`]: the file can't be made, read or migrated; the
    /// cause says why.
    pub async fn open(lock: Lock) -> Stored<Self> {
        let file = lock.folder.join(DATABASE);
        let lay = apart(|| prepare(&lock.folder, &file))?;
        // A life that was killed may have left keys in the log that it deleted.
        let erased = Arc::new(AtomicBool::new(true));
        Ok(Self { lay, erased, ..Self::over(&file, Some(lock))? })
    }

    /// Opens a folder's file that is there as it is, also one that a running controller has open: that one is not disturbed, its tables
    /// stay.
    ///
    /// # Errors
    /// [`StoreError::OtherVersion`]: it was made by an earlier version, and not opened by this one yet. [`StoreError::Newer`].
    /// [`StoreError::OtherLog`]. [`StoreError::Failed`]: it is not there, or can't be read.
    pub async fn join(folder: &Path) -> Stored<Self> {
        let file = folder.join(DATABASE);
        Pair::in_folder(folder).check()?;
        apart(|| tables::refuse_others(&Access::Writing.open(&file)?))?;
        Self::over(&file, None)
    }

    /// Over a file whose tables are of this version. Its connections are opened now and not before: one that knew the tables of before
    /// answers its first question by them, and may find nothing.
    fn over(file: &Path, lock: Option<Lock>) -> Stored<Self> {
        let moorings = apart(|| Moorings::of(file))?;
        let connections = |access, most| Arc::new(Connections::to(file, &moorings, access, most));
        Ok(Self {
            reading: connections(Access::Reading, READERS),
            writing: connections(Access::Writing, 1),
            lock,
            lay: None,
            erased: Arc::default(),
            others: Others::of(file),
            moorings,
        })
    }

    async fn writes(&self, durable: Durable) -> Stored<Box<dyn Open>> {
        Ok(Box::new(SqliteTx::writing(&self.writing, durable, (&self.others, &self.erased)).await?))
    }
}

/// Makes the file what this version works on. Returns its number of before.
fn prepare(folder: &Path, file: &Path) -> Stored<Option<u32>> {
    let pair = Pair::in_folder(folder);
    pair.check()?;
    make_private(file).map_err(|e| StoreError::Failed(e.into()))?;
    let (had_log, lay) = (pair.has_log(), pair.number().map_err(|e| StoreError::Failed(e.into()))?);
    let mut connection = Access::Writing.open(file)?;
    pair.check_sound(had_log, &connection)?;
    tables::bring_up_to_date(&mut connection)?;
    Ok(lay)
}

/// Folds the log into the file, and leaves nothing of it. Whether that was done.
fn fold(connection: &Connection) -> Stored<bool> {
    let is_busy = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |row| row.get::<_, bool>(0));
    Ok(!is_busy.map_err(connections::failed)?)
}

fn random() -> Stored<u32> {
    let mut bytes = [0; 4];
    crate::custody::random(&mut bytes).map_err(|error| StoreError::Failed(error.into()))?;
    Ok(u32::from_ne_bytes(bytes))
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

/// Work that waits for the disk: what else this thread had to do goes on on another one, where the runtime has several.
fn apart<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => block_in_place(work),
        _ => work(),
    }
}

#[async_trait]
impl Engine for SqliteStore {
    async fn read(&self) -> Stored<Box<dyn Open>> {
        Ok(Box::new(SqliteTx::reading(self.reading.lend().await?)?))
    }

    /// After each commit a reading connection reads its pages anew. The one that wrote them knows them: where nobody has it, it is taken.
    async fn glance(&self) -> Stored<Box<dyn Open>> {
        match self.writing.lend_idle() {
            Some(idle) => Ok(Box::new(SqliteTx::reading(idle)?)),
            None => self.read().await,
        }
    }

    /// The file has one writer, whatever it is for.
    async fn write(&self, _: Scope) -> Stored<Box<dyn Open>> {
        self.writes(Durable::AtOnce).await
    }

    async fn write_ahead(&self, _: Scope) -> Stored<Box<dyn Open>> {
        self.writes(Durable::WithTheNext).await
    }

    /// Folds the log into the file.
    async fn close(&self) {
        self.moorings.let_go();
        self.reading.close().await;
        self.writing.close().await;
    }

    async fn count_opening(&self, disk: &Disk) -> Stored<()> {
        let Some(lock) = &self.lock else { return Ok(()) };
        let lent = self.writing.lend().await?;
        apart(|| Pair::in_folder(&lock.folder).number_anew(disk, lent.connection(), self.lay))
    }

    /// Who has the lock has no other controller beside it.
    fn is_alone(&self) -> bool {
        self.lock.is_some()
    }

    fn is_there(&self) -> Stored<()> {
        self.moorings.hold()
    }

    fn fails_to_write(&self) -> bool {
        self.writing.fail()
    }

    async fn fold(&self) -> Stored<()> {
        if !self.erased.swap(false, SeqCst) {
            return Ok(());
        }
        let folded = match self.writing.lend().await {
            Ok(mut lent) => {
                let folded = apart(|| fold(lent.connection()));
                lent.note(folded)
            }
            Err(error) => Err(error),
        };
        // A reader beside may keep it from being folded in whole: the next time, then.
        if !matches!(folded, Ok(true)) {
            self.erased.store(true, SeqCst);
        }
        folded.map(drop)
    }

    /// `evc token new` writes beside it, and so does who edits the file by other tools.
    fn written_by_others(&self) -> Option<u64> {
        self.others.wrote()
    }
}
