//! Start of the controller: folder, store, key-encryption key, CA, token, incarnation. Safe to repeat; the first time makes all.
//!
//! The data folder, `--data DIR`, is 0700; a folder that others may write into is refused. In it lie `kek` and `operator.token` (0600
//! each, made at the first start), `evc.db` (SQLite, 0600, with `-wal`, `-shm` and `-opened`), `root-certificate.pem` (written anew where
//! it is absent), `url` (written at each start), `lock`, and `first-start` until the first start is committed (`first`).

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use disk::Disk;
use vault::ids::{Incarnation, Project};
use zeroize::Zeroizing;

use super::folder::{at, make_folder, publish_root};
use super::{
    Again, Certified, Controller, Glances, Heard, Knocks, LostHere, Names, Recall, Settled, Unkept, Verdicts,
    first, new_token, put_back,
};
use crate::clock;
use crate::custody::authority::Authority;
use crate::custody::{CarriedOver, CustodyError, Kek, Nonces, authority, carry_over, random, write_private};
use crate::device::chain;
use crate::fleet::keys::{self, Keyless, keep_keys};
use crate::fleet::times;
use crate::repeats::{Once, Repeats};
use crate::store::{Failure, Scope, Store, StoreError, StorePlace, Stored, TokenRow, Tx, UnixSeconds};
use crate::words::of_put_back;

/// Names in the data folder.
pub(crate) const DATABASE: &str = "evc.db";
pub(crate) const KEK: &str = "kek";
pub(crate) const ROOT: &str = "root-certificate.pem";
pub(crate) const TOKEN: &str = "operator.token";
/// Names in the store.
pub(crate) const INCARNATION: &str = "incarnation";
const FIRST_TOKEN: &str = "first token";
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
    /// How often a device's escrow drill is made, in seconds; 0: by order alone.
    pub drill_every_s: u64,
    /// For so long what was kept of a device stays after its deletion, in seconds; 0: it goes with the device.
    pub deleted_grace_s: u64,
    /// The operator says that the clock is right, though it is behind what it was.
    pub clock_is_right: bool,
}

/// Why the controller did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data folder or a file in it.
    #[error(
        "{path} can't be made or written: see that the folder is there, has room, and belongs to who runs evc"
    )]
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
         changed\n  what to do: move evc.db-wal and evc.db-opened away if they are there, and put evc.db back from your backup, with the evc.db-wal \
         of that backup if there is one; for a new controller, which no node of this one knows, give another --data"
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
    /// A database of no controller.
    #[error("the database evc.db knows of no controller yet: start it with `evc serve`")]
    NotStarted,
    /// The keys.
    #[error("the controller's keys can't be loaded")]
    Custody(#[from] CustodyError),
    /// The store, later.
    #[error("the database evc.db can't be read or written")]
    Database(#[from] StoreError),
}

impl Failure for StartError {
    fn may_pass(&self) -> bool {
        match self {
            Self::Database(error) | Self::Custody(CustodyError::Store(error)) => error.may_pass(),
            _ => false,
        }
    }
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
    let data = settings.data.display().to_string();
    let failed = |source| match source {
        StoreError::InUse => StartError::Taken { path: data.clone() },
        source => StartError::Store { path: settings.data.join(DATABASE).display().to_string(), source },
    };
    let claim = StorePlace::Folder(settings.data.clone()).claim().map_err(failed)?;
    first::refuse_without_database(&settings.data)?;
    start_over(disk, claim.open().await.map_err(failed)?, settings, now).await
}

/// Begins a new incarnation of the database in a data folder on which no controller works.
///
/// # Errors
/// [`StartError`]: nothing was changed.
pub async fn begin_anew(data: &Path) -> Result<(), StartError> {
    let store = claimed(data).await?;
    let done = chain::begin_anew(&store).await;
    store.close().await;
    done
}

/// The database of a data folder on which no controller works.
pub(super) async fn claimed(data: &Path) -> Result<Store, StartError> {
    let folder = data.display().to_string();
    let failed = |source| match source {
        StoreError::InUse => StartError::Taken { path: folder.clone() },
        source => StartError::Store { path: data.join(DATABASE).display().to_string(), source },
    };
    if !data.join(DATABASE).exists() {
        return Err(StartError::NotStarted);
    }
    let claim = StorePlace::Folder(data.to_owned()).claim().map_err(failed)?;
    claim.open().await.map_err(failed)
}

/// As [`start`], over a store that is open.
///
/// # Errors
/// [`StartError`]: nothing serves.
pub async fn start_over(
    disk: &Disk,
    store: Store,
    settings: &Settings,
    now: UnixSeconds,
) -> Result<Controller, StartError> {
    let is_new = store.read(|tx| Box::pin(is_new(tx, settings, now))).await?;
    if is_new {
        first::begin(disk, &settings.data)?;
    }
    // Before what is sealed by the one, or opened by the other, is in the store: who has a row without its file is locked out.
    let kek = Kek::from_file_on(disk, &settings.data.join(KEK), is_new)?;
    let token = first_token(disk, &store, &settings.data).await?;
    let token = token.as_ref().map(|token| token.as_str());
    let noticed = !is_new && store.was_put_back();
    let made = store.write(Scope::Fleet, |tx| Box::pin(make(tx, &kek, token, (settings, noticed), now)));
    let Made { incarnation, past, put_back, authority, carried, keyless } = made.await?;
    if put_back {
        tracing::error!("{}", of_put_back());
    }
    tell(&carried);
    keys::tell(&keyless);
    publish_root(disk, &settings.data.join(ROOT), &authority.root_pem)?;
    first::ended(disk, &settings.data)?;
    store.count_opening(disk).await?;
    let Settings { poll_every_s, drill_every_s, deleted_grace_s, .. } = *settings;
    let (heard, settled, verdicts) = (Heard::default(), Settled::default(), Verdicts::default());
    let nonces = Nonces::of(&kek);
    Ok(Controller {
        store,
        kek,
        nonces,
        authority,
        incarnation,
        past,
        put_back,
        poll_every_s,
        drill_every_s,
        deleted_grace_s,
        heard,
        settled,
        recall: Recall::default(),
        names: Names::default(),
        again: Again::default(),
        verdicts,
        knocks: Knocks::default(),
        glances: Glances::default(),
        unkept: Unkept::default(),
        owes_number: AtomicBool::new(false),
        certified: Certified::default(),
        lost_here: LostHere::default(),
        refused: Repeats::default(),
        unopened: Repeats::default(),
        unopened_bundles: Once::default(),
    })
}

/// Whether this is the first start. Refuses a clock that was never set then; later, one that is well behind what it showed before, unless
/// the operator says that it was ahead then.
async fn is_new(tx: &mut dyn Tx, settings: &Settings, now: UnixSeconds) -> Result<bool, StartError> {
    let is_new = tx.meta(INCARNATION).await?.is_none();
    if is_new && now < EARLIEST {
        return Err(StartError::Clock);
    }
    match times::far_behind(tx, now).await? {
        Some(seen) if settings.clock_is_right => {
            tracing::warn!(
                seen = clock::text(seen),
                "the clock is behind what it showed before, and is believed because of --clock-is-right"
            );
        }
        Some(seen) => {
            return Err(StartError::Behind { now: clock::text(now), seen: clock::text(seen) });
        }
        None => {}
    }
    Ok(is_new)
}

/// What a controller works with.
struct Made {
    incarnation: Incarnation,
    past: Vec<Incarnation>,
    put_back: bool,
    authority: Authority,
    carried: CarriedOver,
    keyless: Vec<Keyless>,
}

/// Loads it, making what is not there, and carrying over what is of a build of before.
async fn make(
    tx: &mut dyn Tx,
    kek: &Kek,
    token: Option<&str>,
    (settings, noticed): (&Settings, bool),
    now: UnixSeconds,
) -> Result<Made, StartError> {
    if times::far_behind(tx, now).await?.is_some() {
        // What it showed last stays: graces are taken back from there.
        times::Times { seen: Some(now), ..times::Times::default() }.remember(tx).await?;
    }
    if let Some(token) = token {
        let (hash, project) = (token_hash(token), Project::default());
        tx.add_token(&TokenRow { hash, project, name: "first operator".into(), added_at: now }).await?;
        tx.put_meta(FIRST_TOKEN, b"made").await?;
    }
    let authority = authority::load(tx, kek, &settings.names, now).await?;
    let carried = carry_over(tx, kek).await?;
    let keyless = keep_keys(tx).await?;
    let (incarnation, past) = (this_life(tx).await?, chain::past(tx).await?);
    let put_back = put_back::held(tx, noticed, now).await?;
    Ok(Made { incarnation, past, put_back, authority, carried, keyless })
}

fn tell(carried: &CarriedOver) {
    if carried.done > 0 {
        tracing::info!(
            epochs = carried.done,
            "keys of before there were projects are sealed for the default one"
        );
    }
    for row in &carried.left {
        tracing::error!(
            %row,
            "this sealed row of before does not open: it is left as it is, and releases nothing; mend it from a backup"
        );
    }
}

/// The database's incarnation, once it has one.
pub(crate) async fn incarnation(tx: &mut dyn Tx) -> Stored<Option<Incarnation>> {
    let Some(known) = tx.meta(INCARNATION).await? else { return Ok(None) };
    let bytes = known.try_into();
    let bytes = bytes.map_err(|_| StoreError::Damaged("the incarnation has not 16 bytes".into()))?;
    Ok(Some(Incarnation(bytes)))
}

async fn this_life(tx: &mut dyn Tx) -> Result<Incarnation, StartError> {
    if let Some(known) = incarnation(tx).await? {
        return Ok(known);
    }
    let mut bytes = [0; 16];
    random(&mut bytes)?;
    tx.put_meta(INCARNATION, &bytes).await?;
    Ok(Incarnation(bytes))
}

/// The first operator's token, made once; it is in its file before it is good.
async fn first_token(
    disk: &Disk,
    store: &Store,
    data: &Path,
) -> Result<Option<Zeroizing<String>>, StartError> {
    if store.read(|tx| tx.meta(FIRST_TOKEN)).await?.is_some() {
        return Ok(None);
    }
    let (token, file) = (new_token()?, data.join(TOKEN));
    write_private(disk, &file, token.as_bytes()).map_err(|source| at(&file, source))?;
    Ok(Some(token))
}

/// How a token is stored: SHA-256 of its text. It has 256 random bits, so no slower hash is called for.
#[must_use]
pub fn token_hash(token: &str) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, token.as_bytes()).as_ref());
    hash
}
