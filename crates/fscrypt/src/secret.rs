//! The three keys of a vault, each its own type, boxed so that moves leave no copies, wiped when dropped.
//! There is no `Clone`, no `==`, and `Debug` shows nothing.

use std::fmt;

use zeroize::Zeroizing;

macro_rules! secret {
    ($(#[$doc:meta])* $name:ident, $len:literal, $expose:ident) => {
        $(#[$doc])*
        pub struct $name(Box<Zeroizing<[u8; $len]>>);

        impl $name {
            /// Fills a key in place, leaving no copy on the stack.
            ///
            /// # Errors
            /// What `fill` returns; the key is then dropped.
            pub fn init<E>(fill: impl FnOnce(&mut [u8; $len]) -> Result<(), E>) -> Result<Self, E> {
                let mut key = Box::new(Zeroizing::new([0; $len]));
                fill(&mut key)?;
                Ok(Self(key))
            }

            /// Returns the bytes; `grep` for the name lists every reader.
            pub fn $expose(&self) -> &[u8; $len] {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(redacted)"))
            }
        }
    };
}

secret!(
    /// The key of a vault's contents: 64 bytes, `FSCRYPT_MAX_KEY_SIZE` of <linux/fscrypt.h>; the "policy key" of the `fscrypt` tool.
    ContentKey,
    64,
    expose_content_key
);
secret!(
    /// A protector's own key, 32 bytes: it wraps the content key, and stays the same when what wraps it changes.
    ProtectorKey,
    32,
    expose_protector_key
);
secret!(
    /// The key that wraps a protector's key, 32 bytes: the content of a `raw_key` file for the `fscrypt` tool.
    WrappingKey,
    32,
    expose_wrapping_key
);
