//! The two key files of the `fscrypt` tool, as checked types: a protector (a key that wraps) and a policy (the content
//! key, wrapped by protectors). Bytes in, bytes out; no file is touched, no randomness drawn.
//!
//! Source: `metadata/metadata.proto` and `crypto/crypto.go` of the `fscrypt` tool, version 0.3.

mod messages;
mod policy_file;
mod protector_file;
mod wrap;

use prost::Message;

pub use policy_file::PolicyFile;
pub use protector_file::{ProtectorFile, Source};
pub(crate) use wrap::{NotAuthentic, WrappedKey};

/// The longest key file that the `fscrypt` tool reads, in bytes.
pub const MAX_FILE_LEN: usize = 16384;

/// An initialisation vector: 16 random bytes, never used twice with one key.
#[derive(Clone, Copy, Debug)]
pub struct Iv(pub [u8; 16]);

/// Why bytes are not a key file.
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    /// Longer than [`MAX_FILE_LEN`].
    #[error("a key file of {len} bytes is too long")]
    TooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// Not a protocol buffer.
    #[error("not a protocol buffer")]
    Encoding(#[from] prost::DecodeError),
    /// A field is absent or has no sense.
    #[error("the field {field} is absent or wrong")]
    Field {
        /// The field's name in `metadata.proto`.
        field: &'static str,
    },
}

fn wrong(field: &'static str) -> ParseError {
    ParseError::Field { field }
}

fn decode<M: Message + Default>(bytes: &[u8]) -> Result<M, ParseError> {
    if bytes.len() > MAX_FILE_LEN {
        return Err(ParseError::TooLong { len: bytes.len() });
    }
    Ok(M::decode(bytes)?)
}
