//! Start of the controller: folder, store, key-encryption key, CA, token, incarnation. Safe to repeat; the first time makes all.

use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::unistd::geteuid;
use vault::ids::Incarnation;
use zeroize::Zeroizing;

use super::{Controller, first, new_token, steady};
use crate::clock;
use crate::custody::{CustodyError, Kek, authority, random, write_private};
use crate::store::sqlite::SqliteStore;
use crate::store::{Store as _, StoreError, Tx, UnixSeconds};

/// Names in the data folder.
pub(super) const DATABASE: &str = "evc.db";
pub(super) const KEK: &str = "kek";
pub(super) const ROOT: &str = "root-certificate.pem";
pub(super) const TOKEN: &str = "operator.token";
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
    /// The folder was a controller's, and its database is gone.
    #[error(
        "{folder} is a controller's ({left} is there), but its database evc.db is absent, empty or knows of no controller; nothing was \
         changed\n  what to do: put evc.db back from your backup, with evc.db-wal if there is one; for a new controller, which no \
         node of this one knows, give another --data"
    )]
    DatabaseLost {
        /// The folder.
        folder: String,
        /// What lies there.
        left: String,
    },
    /// The root's file is another controller's.
    #[error(
        "{path} is not the root certificate of the database beside it; nothing was changed\n  what to do: put back the database that it \
         belongs to; or, if this database is the right one, move the file away, and it is written anew"
    )]
    OtherRoot {
        /// The file.
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
    make_folder(&settings.data)?;
    let lock = lock(&settings.data)?;
    first::refuse_without_database(&settings.data)?;
    let path = settings.data.join(DATABASE);
    let store = SqliteStore::open(&path)
        .await
        .map_err(|source| StartError::Store { path: path.display().to_string(), source })?;
    let mut tx = store.write().await?;
    let known = tx.meta("incarnation").await?;
    if known.is_none() {
        if now < EARLIEST {
            return Err(StartError::Clock);
        }
        first::begin(&settings.data)?;
    }
    believe(&mut *tx, settings, now).await?;
    let kek = Kek::from_file(&settings.data.join(KEK), known.is_none())?;
    let incarnation = incarnation(&mut *tx, known).await?;
    let authority = authority::load(&mut *tx, &kek, &settings.names, now).await?;
    let token = first_token(&mut *tx, now).await?;
    publish_root(&settings.data, &authority.root_pem)?;
    if let Some(token) = token {
        // Before the commit: a token in the store that nobody has would lock the operator out.
        let file = settings.data.join(TOKEN);
        write_private(&file, token.as_bytes()).map_err(|source| at(&file, source))?;
    }
    tx.commit().await?;
    first::ended(&settings.data)?;
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

pub(super) fn at(path: &Path, source: std::io::Error) -> StartError {
    StartError::File { path: path.display().to_string(), source }
}

/// What lies in the folder is private file by file; a folder that is there already keeps its mode. One that others may write into
/// is no place for keys: they could put files of their own in the place of ours.
fn make_folder(path: &Path) -> Result<(), StartError> {
    if !path.is_dir() {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
        return made.map_err(|source| at(path, source));
    }
    let meta = fs::metadata(path).map_err(|source| at(path, source))?;
    let safe = meta.mode() & 0o022 == 0 && [0, geteuid().as_raw()].contains(&meta.uid());
    if safe { Ok(()) } else { Err(StartError::Shared { path: path.display().to_string() }) }
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

/// For the nodes' installer. What is there already is this root, or somebody must look.
fn publish_root(data: &Path, pem: &str) -> Result<(), StartError> {
    let (file, new) = (data.join(ROOT), data.join(ROOT).with_added_extension("new"));
    match fs::read(&file) {
        Ok(there) if there == pem.as_bytes() => Ok(()),
        Ok(_) => Err(StartError::OtherRoot { path: file.display().to_string() }),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            fs::write(&new, pem).and_then(|()| fs::rename(&new, &file)).map_err(|source| at(&file, source))
        }
        Err(source) => Err(at(&file, source)),
    }
}
