//! The public names of keys: what a key is called in the kernel and in file names.

use std::{fmt, str::FromStr};

use aws_lc_rs::{digest, hkdf};

use crate::{
    kdf,
    secret::{ContentKey, ProtectorKey},
};

/// The kernel's name of a content key: HKDF-SHA512(key, no salt, "fscrypt\0\x01"), 16 bytes; 32 hex digits in text.
///
/// Source: Documentation/filesystems/fscrypt.rst, "Key identifiers"; `HKDF_CONTEXT_KEY_IDENTIFIER`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyIdentifier(pub [u8; 16]);

impl KeyIdentifier {
    /// Computes the identifier that the kernel will give `key`.
    pub fn of(key: &ContentKey) -> Self {
        let mut id = [0; 16];
        kdf::hkdf(hkdf::HKDF_SHA512, key.expose_content_key(), b"fscrypt\0\x01", &mut id);
        Self(id)
    }
}

/// The name of a protector: the first 8 bytes of SHA-512(SHA-512(protector key)); 16 hex digits in text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProtectorDescriptor(pub [u8; 8]);

impl ProtectorDescriptor {
    /// Computes the descriptor of `key`.
    pub fn of(key: &ProtectorKey) -> Self {
        let once = digest::digest(&digest::SHA512, key.expose_protector_key());
        let twice = digest::digest(&digest::SHA512, once.as_ref());
        Self(*twice.as_ref().first_chunk().expect("a SHA-512 digest has 64 bytes"))
    }
}

/// A text that is not lower-case hexadecimal of the right length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a key descriptor")]
pub struct NotADescriptor;

macro_rules! hex_text {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = NotADescriptor;

            fn from_str(text: &str) -> Result<Self, NotADescriptor> {
                let mut id = Self(Default::default());
                hex::decode_to_slice(text, &mut id.0).map_err(|_| NotADescriptor)?;
                // A file has one name only: upper case would be a second.
                if id.to_string() == text { Ok(id) } else { Err(NotADescriptor) }
            }
        }
    };
}

hex_text!(KeyIdentifier);
hex_text!(ProtectorDescriptor);
