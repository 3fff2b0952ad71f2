//! Bounds on all that comes from outside, and the small checks that every decoder uses.

use prost::{Message, Name};
use uuid::Uuid;

use crate::error::DecodeError;
use crate::scan;

/// Longest message, envelope included: 4 MiB.
pub const MAX_MESSAGE: usize = 4 << 20;
/// Longest signed answer of a controller that a node reads: with the certificates beside it, it must fit into a frame of the node's bus. A full
/// section and one bundle fit into it, and two bundles do not.
pub const MAX_ANSWER: usize = 3 << 20;
/// Longest opaque text of a peer: configuration hash, version, name.
pub(crate) const MAX_TEXT: usize = 256;
/// Longest human words: reasons, errors, notes.
pub(crate) const MAX_WORDS: usize = 1024;
/// Most lines of human words.
pub(crate) const MAX_LINES: usize = 64;
/// Longest integrity token.
pub(crate) const MAX_TOKEN: usize = 1024;
/// Longest certificate file.
pub(crate) const MAX_PEM: usize = 64 << 10;
/// Most certificates of one list.
pub(crate) const MAX_CERTS: usize = 32;

/// Decodes `bytes`, refusing what is too long, malformed, has a singular field twice, or too many items: nothing of it is made then.
pub(crate) fn decode<M: Message + Name + Default>(bytes: &[u8]) -> Result<M, DecodeError> {
    at_most(M::NAME, bytes.len(), MAX_MESSAGE)?;
    scan::check(M::NAME, &M::full_name(), bytes)?;
    M::decode(bytes).map_err(|source| DecodeError::Malformed { message: M::NAME, source })
}

/// Refuses a length over `limit`.
pub(crate) fn at_most(what: &'static str, bytes: usize, limit: usize) -> Result<(), DecodeError> {
    if bytes > limit { Err(DecodeError::TooLarge { what, bytes, limit }) } else { Ok(()) }
}

/// Passes a text of at most `limit` bytes without control characters.
pub(crate) fn text(field: &'static str, text: String, limit: usize) -> Result<String, DecodeError> {
    at_most(field, text.len(), limit)?;
    if text.chars().any(char::is_control) {
        return Err(DecodeError::Invalid { field, why: "has control characters" });
    }
    Ok(text)
}

/// Passes at most [`MAX_LINES`] lines of human words.
pub(crate) fn lines(field: &'static str, lines: Vec<String>) -> Result<Vec<String>, DecodeError> {
    at_most(field, lines.len(), MAX_LINES)?;
    lines.into_iter().map(|line| text(field, line, MAX_WORDS)).collect()
}

/// Cuts human words to what a reader accepts: no control characters, at most `limit` bytes. What to do stands at their end, so a long
/// text loses its middle.
pub(crate) fn cut(text: &str, limit: usize) -> String {
    let spaced: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    vault::text::without_middle(&spaced, limit).into_owned()
}

/// Cuts lines as [`cut`] does; of too many the first ones stay, and the last says how many went.
pub(crate) fn cut_lines(lines: &[String]) -> Vec<String> {
    let kept = if lines.len() > MAX_LINES { MAX_LINES - 1 } else { lines.len() };
    let more = lines.len() - kept;
    let more = (more > 0).then(|| format!("and {more} lines more: see `eve status` on the node"));
    lines[..kept].iter().map(|line| cut(line, MAX_WORDS)).chain(more).collect()
}

/// Passes bytes of at most `limit`.
pub(crate) fn blob(field: &'static str, bytes: Vec<u8>, limit: usize) -> Result<Vec<u8>, DecodeError> {
    at_most(field, bytes.len(), limit)?;
    Ok(bytes)
}

/// Passes exactly `N` bytes.
pub(crate) fn exactly<const N: usize>(field: &'static str, bytes: &[u8]) -> Result<[u8; N], DecodeError> {
    bytes.try_into().map_err(|_| DecodeError::Invalid { field, why: "has the wrong length" })
}

/// Passes 16 bytes as a UUID; the nil one names nothing.
pub(crate) fn uuid(field: &'static str, bytes: &[u8]) -> Result<Uuid, DecodeError> {
    let uuid = Uuid::from_bytes(exactly(field, bytes)?);
    if uuid.is_nil() { Err(DecodeError::Invalid { field, why: "is the nil UUID" }) } else { Ok(uuid) }
}

/// Passes a part that must be there.
pub(crate) fn present<T>(field: &'static str, part: Option<T>) -> Result<T, DecodeError> {
    part.ok_or(DecodeError::Missing { field })
}

/// Reads a value of a closed list. Zero, "unspecified", is no value: the caller's match refuses it.
pub(crate) fn known<E: TryFrom<i32>>(field: &'static str, value: i32) -> Result<E, DecodeError> {
    E::try_from(value).map_err(|_| DecodeError::NotUnderstood { field, value })
}
