//! The controller's keys: the key-encryption key in a 0600 file, everything else sealed under it in the store.
//! key-encryption key -> period keys (one a month) -> epochs of vaults; and -> CA, signing, ECDH and TLS keys.
//! An epoch's key is opened for release only against a witness of `vault::decide`. No key is printed, logged or written in the clear.

pub mod authority;
mod carry_over;
mod epochs;
mod identity;
mod kek;
mod memory;
mod tls;

pub(crate) use carry_over::{CarriedOver, carry_over};
pub use epochs::{add_epoch, period_of, rehome, release};
pub use identity::Identity;
pub(crate) use kek::write_private;
pub use kek::{Kek, random};
pub use memory::{Protection, protect};
pub use tls::server_config;

use crate::store::StoreError;

/// Why the controller's keys could not be used. On the way to a release every one is a refusal.
#[derive(Debug, thiserror::Error)]
pub enum CustodyError {
    /// The key file.
    #[error("the key-encryption key {file} can't be used: {why}")]
    KekFile {
        /// Its path.
        file: String,
        /// What is wrong with it.
        why: String,
    },
    /// A sealed row does not open: another key-encryption key, or a damaged or swapped row.
    #[error(
        "the sealed row {0} does not open under this key-encryption key: `kek` is of another database, or one of the two is damaged; put \
         back the two that belong together"
    )]
    Unsealed(String),
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
    #[error("the sealed row {0} is absent")]
    Absent(String),
    /// The operating system gave no randomness, or a key could not be made.
    #[error("a key could not be made: {0}")]
    Making(&'static str),
    /// The session's key can't be sealed to.
    #[error("the session's key can't be sealed to")]
    Session(#[from] wire::release::SealError),
    /// A certificate could not be made.
    #[error("a certificate could not be made")]
    Certificate(#[from] rcgen::Error),
    /// TLS refused the key or certificate.
    #[error("TLS refused the controller's own certificate")]
    Tls(#[from] rustls::Error),
    /// The store.
    #[error("the store")]
    Store(#[from] StoreError),
}
