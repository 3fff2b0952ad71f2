//! A period's key: random, sealed under the KEK in the store, and bytes here for as long as epochs are sealed or opened under it, wherever the KEK
//! itself is.

use std::fmt;

use zeroize::Zeroizing;

use super::{CustodyError, Identity, Kek, random, sealing};

/// A key that seals epochs of vaults. Boxed, wiped on drop, never printed.
pub(super) struct PeriodKey(Box<Zeroizing<[u8; 32]>>);

impl fmt::Debug for PeriodKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PeriodKey(redacted)")
    }
}

impl PeriodKey {
    /// A new random one, and as it is kept.
    ///
    /// # Errors
    /// [`CustodyError::Making`].
    pub(super) fn generate(kek: &Kek, period: &str) -> Result<(Self, Vec<u8>), CustodyError> {
        let mut key = Self(Box::new(Zeroizing::new([0; 32])));
        random(key.0.as_mut_slice())?;
        let sealed = kek.seal(Identity::Period(period), key.0.as_slice())?;
        Ok((key, sealed))
    }

    /// As it was kept.
    ///
    /// # Errors
    /// [`CustodyError::Unsealed`].
    pub(super) fn unsealed(kek: &Kek, period: &str, sealed: &[u8]) -> Result<Self, CustodyError> {
        let row = Identity::Period(period);
        let (plain, mut key) = (kek.open(row, sealed)?, Self(Box::new(Zeroizing::new([0; 32]))));
        if plain.len() != key.0.len() {
            return Err(CustodyError::Unsealed(row.into()));
        }
        key.0.copy_from_slice(&plain);
        Ok(key)
    }

    /// Seals an epoch's key for its row.
    ///
    /// # Errors
    /// [`CustodyError::Making`].
    pub(super) fn seal(&self, row: Identity<'_>, plain: &[u8]) -> Result<Vec<u8>, CustodyError> {
        sealing::seal(&self.0, row, plain)
    }

    /// Opens it.
    ///
    /// # Errors
    /// [`CustodyError::Unsealed`].
    pub(super) fn open(&self, row: Identity<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, CustodyError> {
        sealing::open(&self.0, row, sealed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// KO-2: a period's key opens under its KEK and as its own period's alone, and is printed nowhere.
    #[test]
    fn a_periods_key_comes_back_as_itself_alone() {
        let kek = Kek::generate().expect("randomness");
        let (key, kept) = PeriodKey::generate(&kek, "2026-11").expect("randomness");
        let row = Identity::Key("any");
        let sealed = key.seal(row, b"an epoch's").expect("sealed");
        let back = PeriodKey::unsealed(&kek, "2026-11", &kept).expect("its own");
        assert_eq!(**back.open(row, &sealed).expect("opens"), *b"an epoch's");
        assert!(PeriodKey::unsealed(&kek, "2026-12", &kept).is_err(), "another period's");
        let other = Kek::generate().expect("randomness");
        assert!(PeriodKey::unsealed(&other, "2026-11", &kept).is_err(), "another KEK");
        let short = kek.seal(Identity::Period("2026-11"), b"short").expect("sealed");
        assert!(PeriodKey::unsealed(&kek, "2026-11", &short).is_err(), "no key");
        assert_eq!(format!("{key:?}"), "PeriodKey(redacted)");
    }
}
