//! The controller's keys: the key-encryption key in a 0600 file, everything else sealed under it in the store.
//! key-encryption key -> period keys (one a month) -> epochs of vaults; and -> CA, signing, ECDH and TLS keys; and, derived, the
//! key of nonces.
//! An epoch's key is opened for release only against a witness of `vault::decide`. No key is printed, logged or written in the clear.

pub mod authority;
mod bundles;
mod carry_over;
mod encapsulation;
mod epochs;
mod identity;
mod kek;
mod kek_file;
mod memory;
mod nonces;
mod period_key;
mod restored;
mod sealing;
mod tls;

pub use bundles::{BundleKept, Sender, give_back, give_to_try, history, keep_bundle, would_give_back};
pub(crate) use bundles::{IN_ALL, forget_vault};
pub(crate) use carry_over::{CarriedOver, carry_over};
pub use encapsulation::Sealing;
pub use epochs::{Releases, add_epoch, period_of, rehome, unopened, went_out_under};
pub use identity::{Identity, SealedRow};
pub(crate) use kek::write_private;
pub use kek::{Kek, random};
pub use memory::{Protection, protect};
pub use nonces::{Carried, For, Nonces};
pub use restored::{GoesOver, goes_over, restored_bundle};
pub use tls::server_config;

use std::io;
use std::path::PathBuf;

use crate::store::StoreError;

/// Why the controller's keys could not be used. On the way to a release every one is a refusal.
#[derive(Debug, thiserror::Error)]
pub enum CustodyError {
    /// The key file.
    #[error("the key-encryption key {} can't be used", .file.display())]
    KekFile {
        /// Its path.
        file: PathBuf,
        /// What is wrong with it.
        source: KekFault,
    },
    /// A sealed row does not open: another key-encryption key, or a damaged or swapped row.
    #[error(
        "the sealed row {0} does not open under this key-encryption key: `kek` is of another database, or one of the two is damaged; put \
         back the two that belong together"
    )]
    Unsealed(SealedRow),
    /// The clock is outside the time of the controller's root.
    #[error(
        "this machine's clock is at {now}, and the controller's root certificate is good from {begins} to {ends}: set the clock right"
    )]
    Clock {
        /// By the clock.
        now: String,
        /// The root's first moment.
        begins: String,
        /// Its last.
        ends: String,
    },
    /// A row that must be there is not.
    #[error(
        "the sealed row {0} is absent: put back the newest good copy of evc.db, with the `kek` that belongs to it"
    )]
    Absent(SealedRow),
    /// A session's key that nothing can be sealed to.
    #[error("the bundle can't be sealed to the session's key: see what the device runs")]
    NotSealed(#[from] wire::escrow::NotSealed),
    /// A key could not be made.
    #[error("a key could not be made: {0}")]
    Making(Unmade),
    /// One of the controller's own certificates does not read.
    #[error("the controller's own certificate in evc.db does not read: put back the newest good copy of it")]
    Unreadable,
    /// The session's key can't be sealed to.
    #[error(
        "nothing can be sealed to the session's key: restart `eve run` on that node, which makes another session"
    )]
    Session(#[from] wire::release::SealError),
    /// A certificate could not be made.
    #[error(
        "the controller's certificate could not be made: see that each --name is the name or address of a host"
    )]
    Certificate(#[from] rcgen::Error),
    /// TLS refused the key or certificate.
    #[error("TLS refused the controller's own certificate in evc.db: put back the newest good copy of it")]
    Tls(#[from] rustls::Error),
    /// The store.
    #[error("evc.db can't be read or written")]
    Store(#[from] StoreError),
}

/// What failed in making a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unmade {
    /// The operating system gave no randomness.
    #[error("the system gives no randomness: allow getrandom(2) where evc runs")]
    Randomness,
    /// It could not be sealed.
    #[error("sealing failed, which is a fault of this evc: start it again, and report it with this line")]
    Sealing,
}

/// What is wrong with the file of the key-encryption key.
#[derive(Debug, thiserror::Error)]
pub enum KekFault {
    /// It is not there, and rows are sealed under it.
    #[error("it is gone, and the database is sealed under it; put it back from your backup")]
    Gone,
    /// Others may read it.
    #[error("others may read it (mode {mode:o}); run `chmod 600` on it")]
    OpenToOthers {
        /// The file's mode.
        mode: u32,
    },
    /// It has not 32 bytes.
    #[error("it has {bytes} bytes instead of 32; put it back from your backup")]
    Length {
        /// How many it has.
        bytes: u64,
    },
    /// While evc runs it came to have another key than the one that evc works with.
    #[error(
        "it was written over with another key; the right one lies beside it as `kek.saved`: put that in its place before you stop evc"
    )]
    Other,
    /// The same, and the right key could not be saved: another one lies where it goes.
    #[error(
        "it was written over with another key, and `kek.saved` beside it is not the right one either: move both away before you stop evc, and it writes the right one anew"
    )]
    Unsaved,
    /// There was no randomness to make it of.
    #[error("it could not be made: {0}")]
    Making(#[from] Unmade),
    /// The system refused.
    #[error("the system does not let it be read or made; run evc as its owner, and see that its disk works")]
    System(#[from] io::Error),
}
