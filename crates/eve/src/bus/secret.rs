//! A root on its way between tpmmgr and vaultmgr: bytes in a frame that is wiped, printed redacted.

use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use vault::secret::RootSecret;

/// A root of the TPM's.
#[derive(Debug)]
pub struct BusRoot(pub RootSecret);

impl Serialize for BusRoot {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0.expose_root_secret())
    }
}

impl<'de> Deserialize<'de> for BusRoot {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(RootVisitor)
    }
}

struct RootVisitor;

impl Visitor<'_> for RootVisitor {
    type Value = BusRoot;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("32 bytes")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<BusRoot, E> {
        let bytes = bytes.try_into().map_err(|_| E::invalid_length(bytes.len(), &self))?;
        Ok(BusRoot(RootSecret::copied_from(bytes)))
    }
}
