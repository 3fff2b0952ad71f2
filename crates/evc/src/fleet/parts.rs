//! Digests over several parts: each with its length before it, so that no two lists of parts are one text. They are gathered first, and
//! hashed at once: parts are short, and each step of a hash costs as much as the bytes of a dozen of them.

use aws_lc_rs::digest::{SHA256, digest};

/// Parts, in their order.
#[derive(Default)]
pub(crate) struct Parts(Vec<u8>);

impl Parts {
    pub(crate) fn add(&mut self, part: &[u8]) {
        self.0.extend_from_slice(&(part.len() as u64).to_be_bytes());
        self.0.extend_from_slice(part);
    }

    /// One that may not be there, which is not the same as an empty one.
    pub(crate) fn add_if_any(&mut self, part: Option<&[u8]>) {
        self.add(&[u8::from(part.is_some())]);
        self.add(part.unwrap_or_default());
    }

    /// SHA-256 of them.
    pub(crate) fn digest(&self) -> [u8; 32] {
        let mut digested = [0; 32];
        digested.copy_from_slice(digest(&SHA256, &self.0).as_ref());
        digested
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_told_apart() {
        let lists: [&[&[u8]]; 5] = [&[], &[b""], &[b"ab"], &[b"a", b"b"], &[b"ab", b""]];
        let digests = lists.iter().map(|list| {
            let mut all = Parts::default();
            list.iter().for_each(|part| all.add(part));
            all.digest()
        });
        let if_any = [None, Some(&b""[..])].map(|part| {
            let mut all = Parts::default();
            all.add_if_any(part);
            all.digest()
        });
        let all: std::collections::HashSet<_> = digests.chain(if_any).collect();
        assert_eq!(all.len(), lists.len() + if_any.len());
    }
}
