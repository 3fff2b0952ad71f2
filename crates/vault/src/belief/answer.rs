//! A controller's answer, as it is judged: its signature was verified outside, against the chain up to a root; everything else about
//! it is decided here.

use std::collections::BTreeSet;

use attest::SessionKey;

use crate::ids::{DeviceId, DeviceKey, SectionDigest, SectionVersion, VaultId};
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

/// Orders to lock, which come though no section does. For one session of one device, and of one moment of its history: nothing but the
/// place tells an order that holds from one that a later section took back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockOrders {
    /// The device, as the controller knows it.
    pub device: DeviceId,
    /// That device's key.
    pub device_key: DeviceKey,
    /// The session.
    pub session: SessionKey,
    /// Their place among the sections of the device: a section that lifts them comes after it.
    pub at: SectionVersion,
    /// Which vaults.
    pub vaults: BTreeSet<VaultId>,
}

impl LockOrders {
    /// What a section wants locked.
    pub(super) fn of(section: &Section) -> Self {
        let locked = section.vaults.iter().filter(|entry| !entry.is_wanted_open());
        Self {
            device: section.device,
            device_key: section.device_key,
            session: section.session,
            at: section.version,
            vaults: locked.map(|entry| entry.id).collect(),
        }
    }
}

/// What stands beside what an answer says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Beside {
    /// Orders to lock.
    pub orders: Option<LockOrders>,
    /// Which demand of the policies this session's evidence does not meet, coarsely; none while there is no such evidence.
    pub lacks: Option<String>,
}

/// An answer whose chain and signature hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedAnswer {
    /// The root that its signer hangs on.
    pub root: RootPin,
    /// What it says.
    pub said: Said,
    /// What stands beside that.
    pub beside: Beside,
    /// Its bytes.
    pub signed: Signed,
}
