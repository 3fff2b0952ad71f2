//! Which key of a device's is pinned: of each kind the first that it shows. It stays until an operator takes it off, and what he took off does not come back
//! by its own word. What parses a certificate is beside this.

use crate::AkPublic;

/// A key, as it is shown, or as it was.
#[derive(Debug, Clone, Copy)]
pub struct DeviceKey<'a> {
    /// Its certificate, as it came.
    pub cert: &'a [u8],
    /// The SubjectPublicKeyInfo of that, DER; none: it does not read.
    pub spki: Option<&'a [u8]>,
    /// The TPM's public area that came beside it, TPM2B.
    pub public: Option<&'a [u8]>,
}

/// What becomes of a key that is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pinning {
    /// It is pinned as it is.
    AsItIs,
    /// It is pinned from now on; or what came beside it is.
    Now,
}

/// Why a key is not pinned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotPinned {
    /// Another one is.
    Other,
    /// An operator took it off.
    TakenOff,
}

/// What becomes of a key. What is pinned stays; a public area that did not come with its certificate at first may come later.
///
/// # Errors
/// [`NotPinned`].
pub fn pin(
    shown: &DeviceKey<'_>,
    pinned: Option<&DeviceKey<'_>>,
    taken_off: Option<&DeviceKey<'_>>,
) -> Result<Pinning, NotPinned> {
    if taken_off.is_some_and(|was| was.is_again(shown)) {
        return Err(NotPinned::TakenOff);
    }
    match pinned {
        None => Ok(Pinning::Now),
        Some(pinned) if !pinned.has_key_of(shown) => Err(NotPinned::Other),
        Some(pinned) if pinned.public == shown.public => Ok(Pinning::AsItIs),
        Some(pinned) if pinned.public.is_some() => Err(NotPinned::Other),
        Some(_) => Ok(Pinning::Now),
    }
}

impl DeviceKey<'_> {
    /// By its certificate: the key is what counts, and a device signs its certificates anew after each boot.
    fn has_key_of(&self, other: &Self) -> bool {
        self.cert == other.cert || self.spki.is_some_and(|spki| other.spki == Some(spki))
    }

    /// By its public area, where both have one: whoever makes another certificate of it shows the same key.
    fn is_again(&self, other: &Self) -> bool {
        match (self.public, other.public) {
            (Some(one), Some(other)) => one == other || is_one_key(one, other),
            _ => self.has_key_of(other),
        }
    }
}

/// Whether two public areas are of one key: what stands beside it in them says nothing of which one signs.
fn is_one_key(one: &[u8], other: &[u8]) -> bool {
    match (AkPublic::from_tpm2b(one), AkPublic::from_tpm2b(other)) {
        (Ok(one), Ok(other)) => one.point() == other.point(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: DeviceKey<'static> = DeviceKey { cert: b"one", spki: Some(b"key"), public: Some(b"area") };
    const AGAIN: DeviceKey<'static> = DeviceKey { cert: b"another", ..KEY };
    const OTHER: DeviceKey<'static> =
        DeviceKey { cert: b"other", spki: Some(b"other"), public: Some(b"other area") };

    /// AC-4: of each kind the first key stays, whatever certificate is made of it; what does not read is like itself alone.
    #[test]
    fn the_first_key_stays() {
        let (bare, unread) = (DeviceKey { public: None, ..KEY }, DeviceKey { spki: None, ..KEY });
        for (what, shown, pinned, expected) in [
            ("the first", KEY, None, Ok(Pinning::Now)),
            ("the same", KEY, Some(KEY), Ok(Pinning::AsItIs)),
            ("certified anew", AGAIN, Some(KEY), Ok(Pinning::AsItIs)),
            ("another", OTHER, Some(KEY), Err(NotPinned::Other)),
            ("its area comes later", KEY, Some(bare), Ok(Pinning::Now)),
            ("its area is left out", bare, Some(KEY), Err(NotPinned::Other)),
            (
                "with another's area",
                DeviceKey { public: OTHER.public, ..KEY },
                Some(KEY),
                Err(NotPinned::Other),
            ),
            ("what does not read, again", unread, Some(unread), Ok(Pinning::AsItIs)),
            (
                "what does not read, otherwise",
                DeviceKey { spki: None, ..AGAIN },
                Some(unread),
                Err(NotPinned::Other),
            ),
        ] {
            assert_eq!(pin(&shown, pinned.as_ref(), None), expected, "{what}");
        }
    }

    /// What an operator took off comes back by no certificate of it, and keeps no other from being pinned.
    #[test]
    fn what_was_taken_off_is_not_pinned_again() {
        let under_anothers_cert = DeviceKey { public: KEY.public, ..OTHER };
        let without_area = DeviceKey { public: None, ..AGAIN };
        for (what, shown, expected) in [
            ("itself", KEY, Err(NotPinned::TakenOff)),
            ("certified anew", AGAIN, Err(NotPinned::TakenOff)),
            ("under another certificate", under_anothers_cert, Err(NotPinned::TakenOff)),
            ("without its area", without_area, Err(NotPinned::TakenOff)),
            ("another", OTHER, Ok(Pinning::Now)),
        ] {
            assert_eq!(pin(&shown, None, Some(&KEY)), expected, "{what}");
        }
    }
}
