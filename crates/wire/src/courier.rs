//! A courier's file: what would have gone over the line, as the very same signed bodies, for who carries it on a stick. The file itself proves
//! nothing and is not believed: each body in it is verified where those of the line are, by the same functions.
//!
//! file = "EVE Vault courier v1 answer\n" or "EVE Vault courier v1 evidence\n", then parts: kind (1 byte) || length (4 bytes, big-endian) || bytes.
//! Kinds rise from part to part, so none stands twice. A reader refuses a kind that it does not know, and bytes after the last part.

use crate::limits::MAX_MESSAGE;

/// Longest file with an answer, bytes: what the node's bus carries at once, less what is around it.
pub const MAX_ANSWER_FILE: usize = 3 << 20;
/// Longest file with evidence, bytes: the report of as many vaults as there may be, whatever they have to say, is in it.
pub const MAX_EVIDENCE_FILE: usize = 3 << 20;

const MAGIC: &[u8] = b"EVE Vault courier ";
const ANSWER: &[u8] = b"EVE Vault courier v1 answer\n";
const EVIDENCE: &[u8] = b"EVE Vault courier v1 evidence\n";
const _: () = assert!(MAX_ANSWER_FILE < MAX_MESSAGE && MAX_EVIDENCE_FILE < MAX_MESSAGE);

/// Parts of an answer.
const CERTS: u8 = 1;
const ENVELOPE: u8 = 2;
/// Parts of evidence.
const KEYS: u8 = 16;
const QUOTE: u8 = 17;
const REPORT: u8 = 18;
const POLL: u8 = 19;

/// From controller to node: what a poll is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CourierAnswer {
    /// The controller's certificates, a `ZControllerCert`.
    pub certs: Vec<u8>,
    /// The signed `ConfigResponse`.
    pub envelope: Vec<u8>,
}

/// From node to controller: what the device would post, each in its envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CourierEvidence {
    /// The certificates of its TPM's keys, for `/attest`; empty: it has no TPM.
    pub keys: Vec<u8>,
    /// Evidence over the answer's challenge, for `/attest`.
    pub quote: Vec<u8>,
    /// Its report, for `/info`.
    pub report: Vec<u8>,
    /// What it asks for, for `/config`.
    pub poll: Vec<u8>,
}

/// Why a file is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CourierError {
    /// Too long.
    #[error("the file is longer than a courier's ({most} bytes)")]
    TooLong {
        /// In bytes.
        most: usize,
    },
    /// Something else.
    #[error("this is no courier's file of EVE Vault")]
    NotOne,
    /// A later version, or one of other making.
    #[error("this courier's file is of a version that is not known here")]
    Version,
    /// An answer where evidence belongs.
    #[error("this file goes to the node, and is no evidence of one")]
    ForTheNode,
    /// Evidence where an answer belongs.
    #[error("this file goes to the controller, and is no answer of one")]
    ForTheController,
    /// Cut, or changed.
    #[error("the file is damaged")]
    Damaged,
}

impl CourierAnswer {
    /// The file.
    ///
    /// # Errors
    /// [`CourierError::TooLong`].
    pub fn encode(&self) -> Result<Vec<u8>, CourierError> {
        encode(ANSWER, &[(CERTS, &self.certs), (ENVELOPE, &self.envelope)], MAX_ANSWER_FILE)
    }

    /// Reads one.
    ///
    /// # Errors
    /// [`CourierError`]: nothing of it is used.
    pub fn decode(file: &[u8]) -> Result<Self, CourierError> {
        let [certs, envelope] = decode(file, ANSWER, [CERTS, ENVELOPE], MAX_ANSWER_FILE)?;
        Ok(Self { certs: certs.to_vec(), envelope: envelope.to_vec() })
    }
}

impl CourierEvidence {
    /// The file.
    ///
    /// # Errors
    /// [`CourierError::TooLong`].
    pub fn encode(&self) -> Result<Vec<u8>, CourierError> {
        let Self { keys, quote, report, poll } = self;
        let parts: [(u8, &[u8]); 4] = [(KEYS, keys), (QUOTE, quote), (REPORT, report), (POLL, poll)];
        encode(EVIDENCE, &parts, MAX_EVIDENCE_FILE)
    }

    /// Reads one.
    ///
    /// # Errors
    /// [`CourierError`]: nothing of it is used.
    pub fn decode(file: &[u8]) -> Result<Self, CourierError> {
        let parts = decode(file, EVIDENCE, [KEYS, QUOTE, REPORT, POLL], MAX_EVIDENCE_FILE)?;
        let [keys, quote, report, poll] = parts.map(<[u8]>::to_vec);
        Ok(Self { keys, quote, report, poll })
    }
}

fn encode(head: &[u8], parts: &[(u8, &[u8])], most: usize) -> Result<Vec<u8>, CourierError> {
    let mut file = head.to_vec();
    for (kind, bytes) in parts {
        let length = u32::try_from(bytes.len()).map_err(|_| CourierError::TooLong { most })?;
        file.push(*kind);
        file.extend(length.to_be_bytes());
        file.extend_from_slice(bytes);
    }
    if file.len() > most { Err(CourierError::TooLong { most }) } else { Ok(file) }
}

/// The parts, all of them, in their order.
fn decode<'f, const N: usize>(
    file: &'f [u8],
    head: &[u8],
    kinds: [u8; N],
    most: usize,
) -> Result<[&'f [u8]; N], CourierError> {
    if file.len() > most {
        return Err(CourierError::TooLong { most });
    }
    let mut rest = file.strip_prefix(head).ok_or_else(|| other(file))?;
    let mut parts = [&[][..]; N];
    for (kind, part) in kinds.into_iter().zip(&mut parts) {
        (*part, rest) = next(rest, kind).ok_or(CourierError::Damaged)?;
    }
    if rest.is_empty() { Ok(parts) } else { Err(CourierError::Damaged) }
}

/// A part of this kind, and what follows.
fn next(rest: &[u8], kind: u8) -> Option<(&[u8], &[u8])> {
    let rest = rest.strip_prefix(&[kind])?;
    let (length, rest) = rest.split_first_chunk()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

/// What the file is instead.
fn other(file: &[u8]) -> CourierError {
    if file.starts_with(ANSWER) {
        CourierError::ForTheNode
    } else if file.starts_with(EVIDENCE) {
        CourierError::ForTheController
    } else if file.starts_with(MAGIC) {
        CourierError::Version
    } else {
        CourierError::NotOne
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer() -> CourierAnswer {
        CourierAnswer { certs: b"certificates".to_vec(), envelope: b"signed".to_vec() }
    }

    fn evidence() -> CourierEvidence {
        let of = |text: &[u8]| text.to_vec();
        CourierEvidence { keys: vec![], quote: of(b"quote"), report: of(b"report"), poll: of(b"poll") }
    }

    /// CO-1: what is read is what was written; a file that is cut anywhere, or longer, is refused whole.
    #[test]
    fn co1_a_file_is_read_whole_or_not_at_all() {
        let (to_node, to_controller) = (answer().encode().expect("fits"), evidence().encode().expect("fits"));
        assert_eq!(CourierAnswer::decode(&to_node), Ok(answer()));
        assert_eq!(CourierEvidence::decode(&to_controller), Ok(evidence()));
        for cut in 0..to_node.len() {
            assert!(CourierAnswer::decode(&to_node[..cut]).is_err(), "cut at {cut}");
        }
        for cut in 0..to_controller.len() {
            assert!(CourierEvidence::decode(&to_controller[..cut]).is_err(), "cut at {cut}");
        }
        let longer = [to_node.as_slice(), b"x"].concat();
        assert_eq!(CourierAnswer::decode(&longer), Err(CourierError::Damaged));
        let twice = [ANSWER, &to_node[ANSWER.len()..], &to_node[ANSWER.len()..]].concat();
        assert_eq!(CourierAnswer::decode(&twice), Err(CourierError::Damaged), "each part twice");
        let huge = [ANSWER, &[CERTS], &u32::MAX.to_be_bytes()[..]].concat();
        assert_eq!(CourierAnswer::decode(&huge), Err(CourierError::Damaged), "a length beyond the end");
    }

    /// CO-1: who takes the wrong file is told which it is.
    #[test]
    fn co1_what_is_not_the_file_is_told_apart() {
        let (to_node, to_controller) = (answer().encode().expect("fits"), evidence().encode().expect("fits"));
        for (file, told) in [
            (to_controller.as_slice(), CourierError::ForTheController),
            (b"EVE Vault courier v2 answer\n", CourierError::Version),
            (b"PK\x03\x04", CourierError::NotOne),
            (b"", CourierError::NotOne),
        ] {
            assert_eq!(CourierAnswer::decode(file), Err(told));
        }
        assert_eq!(CourierEvidence::decode(&to_node), Err(CourierError::ForTheNode));
        let long = vec![0; MAX_EVIDENCE_FILE + 1];
        assert_eq!(CourierEvidence::decode(&long), Err(CourierError::TooLong { most: MAX_EVIDENCE_FILE }));
        let most = CourierAnswer { certs: vec![0; MAX_ANSWER_FILE], envelope: vec![] };
        assert_eq!(most.encode(), Err(CourierError::TooLong { most: MAX_ANSWER_FILE }));
    }
}
