//! The owner hierarchy's password, where somebody set one: needed to make keys persistent and to define NV, not to use them.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use tss_esapi::structures::Auth;
use zeroize::Zeroizing;

/// Longest password, in bytes: what the TPM takes of a SHA-256 hierarchy and more.
const MAX: usize = 64;

/// The owner's password. Wiped on drop, printed as its name only, and never tried again once it was refused.
pub struct OwnerAuth {
    password: Zeroizing<Vec<u8>>,
    refused: AtomicBool,
}

/// The password is longer than any that a TPM takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the password of a TPM's owner has at most {MAX} bytes")]
pub struct TooLong;

impl OwnerAuth {
    /// Takes it.
    ///
    /// # Errors
    /// [`TooLong`].
    pub fn new(password: Zeroizing<Vec<u8>>) -> Result<Self, TooLong> {
        let fits = password.len() <= MAX;
        fits.then_some(Self { password, refused: AtomicBool::new(false) }).ok_or(TooLong)
    }

    pub(crate) fn to_tss(&self) -> tss_esapi::Result<Auth> {
        Auth::try_from(&self.password[..])
    }

    pub(crate) fn was_refused(&self) -> bool {
        self.refused.load(Ordering::Relaxed)
    }

    pub(crate) fn refuse(&self) {
        self.refused.store(true, Ordering::Relaxed);
    }
}

impl fmt::Debug for OwnerAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OwnerAuth(redacted)")
    }
}
