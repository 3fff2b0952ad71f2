//! What is told in the log once for each content: whoever meets it meets it again with every poll. The process has one log, so this is of the
//! process.

use std::collections::HashSet;
use std::sync::{LazyLock, Mutex, PoisonError};

use aws_lc_rs::digest::{Context, SHA256};

/// Most that are remembered; then it begins anew.
const MOST: usize = 4096;

/// Digests of what was told.
pub(crate) struct Once(LazyLock<Mutex<HashSet<[u8; 32]>>>);

impl Once {
    pub(crate) const fn new() -> Self {
        Self(LazyLock::new(Mutex::default))
    }

    /// Whether this was not told before. It is from now on.
    pub(crate) fn is_new(&self, parts: &[&[u8]]) -> bool {
        let mut context = Context::new(&SHA256);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let digest = context.finish();
        let digest: [u8; 32] = digest.as_ref().try_into().expect("SHA-256 has 32 bytes");
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() >= MOST {
            told.clear();
        }
        told.insert(digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_content_is_told_once_and_they_are_bounded() {
        let once = Once::new();
        let one = |parts: &[&[u8]]| once.is_new(parts);
        assert_eq!([one(&[b"a", b"b"]), one(&[b"a", b"b"]), one(&[b"a", b"c"])], [true, false, true]);
        assert!(one(&[b"ab", b""]), "parts are told apart");
        assert!((0..2 * MOST as u64).all(|n| once.is_new(&[&n.to_be_bytes()])));
        assert!(once.0.lock().expect("whole").len() <= MOST);
    }
}
