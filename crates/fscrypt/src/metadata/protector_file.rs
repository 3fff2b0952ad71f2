//! A protector's file: its key, wrapped. Ours are of the source `raw_key`; those of other sources are read, and opened
//! by whoever derives their wrapping key.

use prost::Message;

use super::{Iv, NotAuthentic, ParseError, WrappedKey, decode, messages::ProtectorData, wrong};
use crate::{ProtectorDescriptor, ProtectorKey, WrappingKey};

/// `SourceType_raw_key`.
const SOURCE_RAW_KEY: i32 = 3;

/// What opens a protector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A user's login passphrase (`SourceType_pam_passphrase`).
    Login,
    /// A passphrase of its own (`SourceType_custom_passphrase`).
    Passphrase,
    /// A key file (`SourceType_raw_key`).
    RawKey,
}

/// A protector's file, checked: every field that its source needs is there and has its length. Its bytes stay as they were read.
#[derive(Clone, Debug, PartialEq)]
pub struct ProtectorFile {
    descriptor: ProtectorDescriptor,
    source: Source,
    wrapped: WrappedKey<32>,
    name: String,
    bytes: Vec<u8>,
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
        let bytes = message.encode_to_vec();
        Self { descriptor, source: Source::RawKey, wrapped, name: message.name, bytes }
    }

    /// Reads a file's bytes. That the wrap is authentic shows only when it is opened.
    ///
    /// # Errors
    /// [`ParseError`]: damaged, or not a protector's file.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        let message: ProtectorData = decode(bytes)?;
        let descriptor = message.protector_descriptor.parse().map_err(|_| wrong("protector_descriptor"))?;
        let source = source_of(message.source)?;
        if source == Source::RawKey && message.name.is_empty() {
            return Err(wrong("name"));
        }
        let wrapped = WrappedKey::parse(message.wrapped_key.as_ref())?;
        Ok(Self { descriptor, source, wrapped, name: message.name, bytes: bytes.into() })
    }

    /// The file's bytes: those that were read, whatever else is in them.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.bytes.clone()
    }

    /// The protector's descriptor, which is the file's name.
    pub fn descriptor(&self) -> ProtectorDescriptor {
        self.descriptor
    }

    /// The name given to it: a hint for people, authenticated by nothing.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What opens it.
    pub fn source(&self) -> Source {
        self.source
    }

    /// The wrapped key: ciphertext, by which a test finds this wrap on a disk.
    pub fn ciphertext(&self) -> &[u8; 32] {
        self.wrapped.ciphertext()
    }

    pub(crate) fn unwrap_key(&self, wrapping: &WrappingKey) -> Result<ProtectorKey, NotAuthentic> {
        ProtectorKey::init(|key| self.wrapped.open(wrapping.expose_wrapping_key(), key))
    }
}

fn source_of(number: i32) -> Result<Source, ParseError> {
    match number {
        1 => Ok(Source::Login),
        2 => Ok(Source::Passphrase),
        SOURCE_RAW_KEY => Ok(Source::RawKey),
        _ => Err(wrong("source")),
    }
}
