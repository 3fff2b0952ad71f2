//! The messages of the `fscrypt` tool's `metadata.proto`, field for field. Nothing here is checked.

use prost::Message;

/// A key, encrypted and authenticated.
#[derive(Clone, PartialEq, Message)]
pub(super) struct WrappedKeyData {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) iv: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) encrypted_key: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    pub(super) hmac: Vec<u8>,
}

/// Argon2id's costs, for passphrases.
#[derive(Clone, PartialEq, Message)]
pub(super) struct HashingCosts {
    #[prost(int64, tag = "2")]
    pub(super) time: i64,
    #[prost(int64, tag = "3")]
    pub(super) memory: i64,
    #[prost(int64, tag = "4")]
    pub(super) parallelism: i64,
    #[prost(bool, tag = "5")]
    pub(super) truncation_fixed: bool,
}

/// A protector's file.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ProtectorData {
    #[prost(string, tag = "1")]
    pub(super) protector_descriptor: String,
    #[prost(int32, tag = "2")]
    pub(super) source: i32,
    #[prost(string, tag = "3")]
    pub(super) name: String,
    #[prost(message, optional, tag = "4")]
    pub(super) costs: Option<HashingCosts>,
    #[prost(bytes = "vec", tag = "5")]
    pub(super) salt: Vec<u8>,
    #[prost(int64, tag = "6")]
    pub(super) uid: i64,
    #[prost(message, optional, tag = "7")]
    pub(super) wrapped_key: Option<WrappedKeyData>,
}

/// How a directory is encrypted.
#[derive(Clone, PartialEq, Message)]
pub(super) struct EncryptionOptions {
    #[prost(int64, tag = "1")]
    pub(super) padding: i64,
    #[prost(int32, tag = "2")]
    pub(super) contents: i32,
    #[prost(int32, tag = "3")]
    pub(super) filenames: i32,
    #[prost(int64, tag = "4")]
    pub(super) policy_version: i64,
}

/// The content key under one protector.
#[derive(Clone, PartialEq, Message)]
pub(super) struct WrappedPolicyKey {
    #[prost(string, tag = "1")]
    pub(super) protector_descriptor: String,
    #[prost(message, optional, tag = "2")]
    pub(super) wrapped_key: Option<WrappedKeyData>,
}

/// A policy's file.
#[derive(Clone, PartialEq, Message)]
pub(super) struct PolicyData {
    #[prost(string, tag = "1")]
    pub(super) key_descriptor: String,
    #[prost(message, optional, tag = "2")]
    pub(super) options: Option<EncryptionOptions>,
    /// Each a [`WrappedPolicyKey`], as its bytes: what others wrote is kept as they wrote it.
    #[prost(bytes = "vec", repeated, tag = "3")]
    pub(super) wrapped_policy_keys: Vec<Vec<u8>>,
}
