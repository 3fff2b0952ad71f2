//! A root: 32 secret bytes of one generation under one TPM policy.

use std::fmt;

use zeroize::Zeroizing;

/// A root, random, 32 bytes. Wiped on drop; printed as its name only.
pub struct Root(Box<Zeroizing<[u8; 32]>>);

impl Root {
    /// Fills a root in place, leaving no copy on the stack.
    ///
    /// # Errors
    /// What `fill` returned.
    pub fn init<E>(fill: impl FnOnce(&mut [u8; 32]) -> Result<(), E>) -> Result<Self, E> {
        let mut root = Box::new(Zeroizing::new([0; 32]));
        fill(&mut root)?;
        Ok(Self(root))
    }

    /// The bytes. `grep expose_root` lists every reader.
    #[must_use]
    pub fn expose_root(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Root(redacted)")
    }
}
