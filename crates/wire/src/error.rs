//! Why bytes from a peer are not the message they should be.

/// Why a message was refused. Nothing of it is used then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Longer than its limit: the peer's fault, or an attack.
    #[error("{what} has {bytes} bytes or items, more than {limit}")]
    TooLarge {
        /// Message or field.
        what: &'static str,
        /// Its length in bytes, or its number of items.
        bytes: usize,
        /// What is allowed.
        limit: usize,
    },
    /// Not a protocol buffer of this kind: cut short, damaged, or something else.
    #[error("not a well-formed {message}")]
    Malformed {
        /// The message's name.
        message: &'static str,
        /// What the decoder says.
        source: prost::DecodeError,
    },
    /// Bytes that no encoder of protocol buffers writes.
    #[error("not a well-formed {message}: {why}")]
    Broken {
        /// The message's name.
        message: &'static str,
        /// What is wrong.
        why: &'static str,
    },
    /// A field that occurs once at most is there twice, or two members of one choice are.
    #[error("{message} has field {field} twice")]
    Twice {
        /// The message's name.
        message: &'static str,
        /// The field's number.
        field: u32,
    },
    /// A field that we need is absent.
    #[error("{field} is absent")]
    Missing {
        /// The field.
        field: &'static str,
    },
    /// A value out of its bounds.
    #[error("{field} {why}")]
    Invalid {
        /// The field.
        field: &'static str,
        /// What it must be and is not.
        why: &'static str,
    },
    /// A value that this version does not know: the peer may be newer. Treated as withheld, never as a default.
    #[error("{field} has the value {value}, which is not understood here")]
    NotUnderstood {
        /// The field.
        field: &'static str,
        /// The number on the wire.
        value: i32,
    },
}
