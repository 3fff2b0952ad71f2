//! Start of the controller: folder, store, key-encryption key, CA, token, incarnation. Safe to repeat; the first time makes all.

use std::fs::{self, File, TryLockError};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use disk::Disk;
use nix::unistd::geteuid;
use vault::ids::Incarnation;
use zeroize::Zeroizing;

use super::{Controller, new_token, steady};
use crate::clock;
use crate::custody::{CustodyError, Kek, authority, random};
use crate::store::sqlite::SqliteStore;
use crate::store::{Store as _, StoreError, Tx, UnixSeconds};

/// Names in the data folder.
const DATABASE: &str = "evc.db";
const KEK: &str = "kek";
const ROOT: &str = "root-certificate.pem";
const TOKEN: &str = "operator.token";
const LOCK: &str = "lock";
/// 2026-01-01: a clock before it was never set.
const EARLIEST: UnixSeconds = 1_767_225_600;

/// What `evc serve` is told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The data folder.
    pub data: PathBuf,
    /// Hosts and addresses that devices reach the controller by.
    pub names: Vec<String>,
    /// `timer.config.interval` for devices, in seconds.
    pub poll_every_s: Option<u32>,
    /// The operator says that the clock is right, though it is behind what it was.
    pub clock_is_right: bool,
}

/// Why the controller did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data folder or a file in it.
    #[error("{path} can't be made or written")]
    File {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// Another controller works on the folder.
    #[error("another evc works on {path}: stop it, or give this one another --data")]
    Taken {
        /// The folder.
        path: String,
    },
    /// Others may write into the folder.
    #[error(
        "{path} belongs to another user, or others may write into it: run `chmod go-w` on it, or give another --data"
    )]
    Shared {
        /// The folder.
        path: String,
    },
    /// The store.
    #[error("the database {path} can't be opened")]
    Store {
        /// Which.
        path: String,
        /// Why.
        source: StoreError,
    },
    /// The clock, at the first start: the root certificate would not be good at the right time.
    #[error(
        "this machine's clock is years behind: set it right before the controller's certificates are made"
    )]
    Clock,
    /// The clock, later: what is signed by it would be out of its own time, and what was to end would not.
    #[error(
        "this machine's clock is at {now}, behind {seen} that it showed before: set it right; if it is right now and was ahead then, start once with --clock-is-right"
    )]
    Behind {
        /// By the clock.
        now: String,
        /// What it showed while it ran steadily.
        seen: String,
    },
    /// The keys.
    #[error("the controller's keys can't be loaded")]
    Custody(#[from] CustodyError),
    /// The store, later.
    #[error("the database")]
    Database(#[from] StoreError),
}

/// Brings the controller up, making what a first start has to make.
///
/// # Errors
/// [`StartError`]: nothing serves.
pub async fn start(settings: &Settings, now: UnixSeconds) -> Result<Controller, StartError> {
    start_on(&Disk::linux(), settings, now).await
}

/// The same on another disk than the machine's own.
///
/// # Errors
/// As [`start`].
pub async fn start_on(disk: &Disk, settings: &Settings, now: UnixSeconds) -> Result<Controller, StartError> {
    make_folder(disk, &settings.data)?;
    let lock = lock(&settings.data)?;
    let path = settings.data.join(DATABASE);
    let store = SqliteStore::open(&path)
        .await
        .map_err(|source| StartError::Store { path: path.display().to_string(), source })?;
    let mut tx = store.write().await?;
    let known = tx.meta("incarnation").await?;
    if known.is_none() && now < EARLIEST {
        return Err(StartError::Clock);
    }
    believe(&mut *tx, settings, now).await?;
    let kek = Kek::from_file_on(disk, &settings.data.join(KEK), known.is_none())?;
    let incarnation = incarnation(&mut *tx, known).await?;
    let authority = authority::load(&mut *tx, &kek, &settings.names, now).await?;
    let token = first_token(&mut *tx, now).await?;
    publish_root(disk, &settings.data, &authority.root_pem)?;
    if let Some(token) = token {
        // Before the commit: a token in the store that nobody has would lock the operator out.
        let file = settings.data.join(TOKEN);
        disk.write(&file, token.as_bytes(), 0o600).map_err(|error| at(&file, error.into()))?;
    }
    tx.commit().await?;
    Ok(Controller {
        _lock: lock,
        store: Arc::new(store),
        kek,
        authority,
        incarnation,
        poll_every_s: settings.poll_every_s,
    })
}

/// Refuses a clock that is well behind what it showed before, unless the operator says that it was ahead then.
async fn believe(tx: &mut dyn Tx, settings: &Settings, now: UnixSeconds) -> Result<(), StartError> {
    match steady::far_behind(tx, now).await? {
        None => Ok(()),
        Some(seen) if settings.clock_is_right => {
            tracing::warn!(seen = clock::text(seen), "the clock is believed by the operator's word");
            Ok(steady::remember(tx, now).await?)
        }
        Some(seen) => Err(StartError::Behind { now: clock::text(now), seen: clock::text(seen) }),
    }
}

fn at(path: &Path, source: std::io::Error) -> StartError {
    StartError::File { path: path.display().to_string(), source }
}

/// What lies in the folder is private file by file; a folder that is there already keeps its mode. One that others may write into
/// is no place for keys: they could put files of their own in the place of ours.
fn make_folder(disk: &Disk, path: &Path) -> Result<(), StartError> {
    if !path.is_dir() {
        return make_folders(disk, path).map_err(|error| at(path, error.into()));
    }
    let meta = fs::metadata(path).map_err(|source| at(path, source))?;
    let safe = meta.mode() & 0o022 == 0 && [0, geteuid().as_raw()].contains(&meta.uid());
    if safe { Ok(()) } else { Err(StartError::Shared { path: path.display().to_string() }) }
}

fn make_folders(disk: &Disk, path: &Path) -> Result<(), disk::Error> {
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty() && !parent.is_dir()) {
        make_folders(disk, parent)?;
    }
    disk.make_folder(path, 0o700).map(drop)
}

/// Held for the controller's life; the kernel lets go of it however that ends.
fn lock(data: &Path) -> Result<File, StartError> {
    let path = data.join(LOCK);
    let made = File::options().write(true).create(true).truncate(false).mode(0o600).open(&path);
    let file = made.map_err(|source| at(&path, source))?;
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => StartError::Taken { path: data.display().to_string() },
        TryLockError::Error(source) => at(&path, source),
    })?;
    Ok(file)
}

async fn incarnation(tx: &mut dyn Tx, known: Option<Vec<u8>>) -> Result<Incarnation, StartError> {
    if let Some(known) = known {
        let bytes =
            known.try_into().map_err(|_| StoreError::Damaged("the incarnation has not 16 bytes".into()))?;
        return Ok(Incarnation(bytes));
    }
    let mut bytes = [0; 16];
    random(&mut bytes)?;
    tx.put_meta("incarnation", &bytes).await?;
    Ok(Incarnation(bytes))
}

/// The first operator's token, made once.
async fn first_token(tx: &mut dyn Tx, now: UnixSeconds) -> Result<Option<Zeroizing<String>>, StartError> {
    if tx.meta("first token").await?.is_some() {
        return Ok(None);
    }
    let token = new_token()?;
    tx.add_token(&token_hash(&token), "first operator", now).await?;
    tx.put_meta("first token", b"made").await?;
    Ok(Some(token))
}

/// How a token is stored: SHA-256 of its text. It has 256 random bits, so no slower hash is called for.
#[must_use]
pub fn token_hash(token: &str) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, token.as_bytes()).as_ref());
    hash
}

fn publish_root(disk: &Disk, data: &Path, pem: &str) -> Result<(), StartError> {
    let file = data.join(ROOT);
    disk.write(&file, pem.as_bytes(), 0o644).map_err(|error| at(&file, error.into()))
}
