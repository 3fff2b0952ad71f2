//! A secret on its way between two processes: bytes in a frame that is wiped, printed redacted, and in no form that a person reads.

use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use vault::secret::{RecoveryKey, RootSecret};

macro_rules! on_the_bus {
    ($(#[$doc:meta])* $name:ident of $secret:ident, $expose:ident) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name(pub $secret);

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                // The bus is postcard. What is readable is for an operator's eyes, or a log.
                if serializer.is_human_readable() {
                    return serializer.serialize_str("redacted");
                }
                serializer.serialize_bytes(self.0.$expose())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Bytes;

                impl Visitor<'_> for Bytes {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("32 bytes")
                    }

                    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<$name, E> {
                        let bytes = bytes.try_into().map_err(|_| E::invalid_length(bytes.len(), &self))?;
                        Ok($name($secret::copied_from(bytes)))
                    }
                }

                deserializer.deserialize_bytes(Bytes)
            }
        }
    };
}

on_the_bus! {
    /// A root of the TPM's, between tpmmgr and vaultmgr.
    BusRoot of RootSecret, expose_root_secret
}
on_the_bus! {
    /// A vault's recovery key, from root to vaultmgr.
    BusRecoveryKey of RecoveryKey, expose_recovery_key
}
