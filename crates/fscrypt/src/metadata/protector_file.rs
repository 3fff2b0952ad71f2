//! A protector's file: its key, wrapped. Ours are of the source `raw_key`; those of other sources are read, and opened
//! by whoever derives their wrapping key.

use prost::Message;

use super::{Iv, NotAuthentic, ParseError, WrappedKey, decode, messages::ProtectorData, wrong};
use crate::{ProtectorDescriptor, ProtectorKey, WrappingKey};

/// `SourceType_raw_key`.
const SOURCE_RAW_KEY: i32 = 3;

/// A protector's file, checked: every field that its source needs is there and has its length.
#[derive(Clone, Debug, PartialEq)]
pub struct ProtectorFile {
    descriptor: ProtectorDescriptor,
    wrapped: WrappedKey<32>,
    message: ProtectorData,
}

impl ProtectorFile {
    /// Wraps `key` under `wrapping` as the protector `name`. The `fscrypt` tool wants names unique per filesystem.
    pub fn seal(key: &ProtectorKey, wrapping: &WrappingKey, name: &str, iv: Iv) -> Self {
        let descriptor = ProtectorDescriptor::of(key);
        let wrapped = WrappedKey::seal(wrapping.expose_wrapping_key(), key.expose_protector_key(), iv);
        let message = ProtectorData {
            protector_descriptor: descriptor.to_string(),
            source: SOURCE_RAW_KEY,
            name: name.into(),
            wrapped_key: Some(wrapped.message()),
            ..Default::default()
        };
        Self { descriptor, wrapped, message }
    }

    /// Reads a file's bytes. That the wrap is authentic shows only when it is opened.
    ///
    /// # Errors
    /// [`ParseError`]: damaged, or not a protector's file.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        let message: ProtectorData = decode(bytes)?;
        let descriptor = message.protector_descriptor.parse().map_err(|_| wrong("protector_descriptor"))?;
        if !(1..=SOURCE_RAW_KEY).contains(&message.source) {
            return Err(wrong("source"));
        }
        if message.source == SOURCE_RAW_KEY && message.name.is_empty() {
            return Err(wrong("name"));
        }
        let wrapped = WrappedKey::parse(message.wrapped_key.as_ref())?;
        Ok(Self { descriptor, wrapped, message })
    }

    /// The file's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.message.encode_to_vec()
    }

    /// The protector's descriptor, which is the file's name.
    pub fn descriptor(&self) -> ProtectorDescriptor {
        self.descriptor
    }

    /// The name given to it: a hint for people, authenticated by nothing.
    pub fn name(&self) -> &str {
        &self.message.name
    }

    /// Whether a key file opens it, not a passphrase.
    pub fn is_raw_key(&self) -> bool {
        self.message.source == SOURCE_RAW_KEY
    }

    /// The wrapped key: ciphertext, by which a test finds this wrap on a disk.
    pub fn ciphertext(&self) -> &[u8; 32] {
        self.wrapped.ciphertext()
    }

    pub(crate) fn unwrap_key(&self, wrapping: &WrappingKey) -> Result<ProtectorKey, NotAuthentic> {
        ProtectorKey::init(|key| self.wrapped.open(wrapping.expose_wrapping_key(), key))
    }
}
