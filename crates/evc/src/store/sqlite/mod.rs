//! The embedded back-end: one SQLite file, write-ahead log, synchronous FULL, 0600.
//! One connection writes, several read; a writer that waits longer than `PATIENCE` is told that the store is busy.
//! SQLite is called on the thread of whoever asks: a look-up takes microseconds, less than the way to another thread and back.
//! Nobody's thread waits for a turn, and what waits for the disk leaves the runtime's other work to other threads.

mod around;
mod bundles;
mod chains;
mod connections;
mod content;
mod deleted;
mod device_rows;
mod devices;
mod evidence;
mod identities;
mod keys;
mod labels;
mod moorings;
mod numbering;
mod others;
mod paired;
mod read;
mod room;
mod tables;
mod transaction;
mod vaults;

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use disk::Disk;
use rusqlite::Connection;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::block_in_place;

use self::connections::{Access, Connections, Durable, keep_log};
use self::moorings::Moorings;
use self::others::Others;
use self::paired::{Lay, Numbers, Pair};
use self::room::IndexRoom;
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
    /// What the file was before it was opened.
    lay: Lay,
    /// Those that it has and may have, and where they are written; once a controller lives from it.
    numbers: OnceLock<(Disk, tokio::sync::Mutex<Numbers>)>,
    /// Keys were deleted, which the log still has.
    erased: Arc<AtomicBool>,
    moorings: Arc<Moorings>,
    others: Arc<Others>,
    /// File and log were written down as no pair.
    parted: AtomicBool,
}

/// A folder that no other controller works on. Held for its store's life; the kernel lets go of it however that ends.
/// Two locks: the file's, which each version of this program takes, and the folder's own, for whoever removes the file makes the next one
/// take another.
pub struct Lock {
    folder: PathBuf,
    _held: [File; 2],
}

impl Lock {
    /// # Errors
    /// [`StoreError::InUse`]; [`StoreError::Failed`]: the folder can't be written.
    pub fn of(folder: &Path) -> Stored<Self> {
        let own = held(File::open(folder))?;
        let file = held(private().open(folder.join(LOCK)))?;
        Ok(Self { folder: folder.to_owned(), _held: [own, file] })
    }
}

/// Locked, until it is closed.
fn held(opened: std::io::Result<File>) -> Stored<File> {
    let file = opened.map_err(|e| StoreError::Failed(e.into()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse),
        Err(TryLockError::Error(e)) => Err(StoreError::Failed(e.into())),
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
        apart(|| {
            let (_room, connection) = IndexRoom::open(&file)?;
            tables::refuse_others(&connection)
        })?;
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
            lay: Lay::default(),
            numbers: OnceLock::new(),
            erased: Arc::default(),
            others: Others::of(file),
            parted: AtomicBool::new(false),
            moorings,
        })
    }

    async fn writes(&self, durable: Durable) -> Stored<Box<dyn Open>> {
        Ok(Box::new(SqliteTx::writing(&self.writing, durable, (&self.others, &self.erased)).await?))
    }
}

/// Makes the file what this version works on. Returns what it was before.
fn prepare(folder: &Path, file: &Path) -> Stored<Lay> {
    let pair = Pair::in_folder(folder);
    pair.check()?;
    make_private(file).map_err(|e| StoreError::Failed(e.into()))?;
    let (had_log, number) = (pair.has_log(), pair.number().map_err(|e| StoreError::Failed(e.into()))?);
    let (room, mut connection) = IndexRoom::open(file)?;
    // Until all that it goes into was read.
    keep_log(&connection, had_log)?;
    let put_back = pair.is_put_back(&connection)?;
    pair.check_sound(had_log || put_back, &connection)?;
    if tables::are_of_before(&connection)? {
        room.keep_for_all()?;
    }
    tables::bring_up_to_date(&mut connection)?;
    Ok(Lay { number, put_back })
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

    /// Folds the log into the file; not into one that others wrote into, nor with a log of theirs: both stay as they are, and are not taken for
    /// a pair again.
    async fn close(&self) {
        let overwritten = self.moorings.are_overwritten();
        self.moorings.let_go(overwritten);
        self.reading.close(overwritten).await;
        self.writing.close(overwritten).await;
        if overwritten && let Err(error) = self.part().await {
            tracing::error!(%error, "move evc.db-wal and evc.db-shm away before evc is started again");
        }
    }

    async fn count_opening(&self, disk: &Disk) -> Stored<()> {
        let Some(lock) = &self.lock else { return Ok(()) };
        let mut lent = self.writing.lend().await?;
        lent.be(Durable::AtOnce)?;
        let opened = || Pair::in_folder(&lock.folder).number_anew(disk, lent.connection(), self.lay.number);
        let numbers = apart(opened)?;
        let _ = self.numbers.set((disk.clone(), numbers.into()));
        Ok(())
    }

    /// What is written beside the file names each number that it may have, before it may. Of an act that fails the number stays there: it may be in
    /// the log all the same.
    async fn count_act(&self) -> Stored<()> {
        let (Some(lock), Some((disk, numbers))) = (&self.lock, self.numbers.get()) else { return Ok(()) };
        let mut numbers = numbers.lock().await;
        // What is written beside a file that others wrote into stays.
        self.moorings.hold()?;
        self.fold_numbers(&mut numbers).await?;
        let (pair, next) = (Pair::in_folder(&lock.folder), random()?);
        numbers.add(next);
        apart(|| pair.write(disk, &numbers, None))?;
        let counted = self.number(next).await;
        let newest = if counted.is_ok() { next } else { self.number_now().await? };
        apart(|| pair.write(disk, &numbers, Some(newest)))?;
        counted
    }

    fn was_put_back(&self) -> bool {
        self.lay.put_back
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
        self.part().await?;
        if !self.erased.swap(false, SeqCst) {
            return Ok(());
        }
        let folded = self.folded().await;
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
