//! A controller's answer, as it is judged: its signature was verified outside, against the chain up to a root; everything else about
//! it is decided here.

use crate::ids::SectionDigest;
use crate::section::Section;
use crate::shares::RootPin;

/// The bytes of an answer, as received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The signed envelope.
    pub envelope: Vec<u8>,
    /// The controller's certificates that came with it.
    pub certs: Vec<u8>,
}

/// What an answer says of vaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// It carries no configuration: what was said before stands.
    Unchanged,
    /// It carries no section, as before this node's evidence was accepted.
    NoSection,
    /// It carries one that is not understood: withheld, and why.
    Withheld(String),
    /// A section, and the digest of its bytes.
    Section(Box<Section>, SectionDigest),
}

/// An answer whose chain and signature hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The root that its signer hangs on.
    pub root: RootPin,
    /// What it says.
    pub said: Said,
    /// Its bytes.
    pub signed: Signed,
}
