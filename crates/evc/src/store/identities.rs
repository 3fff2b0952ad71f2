//! A device's identity: by an operator's word it has another one from then on, with all that is kept of it.

use async_trait::async_trait;
use vault::ids::DeviceId;

use super::{BundleRow, EpochRow, Stored};

/// What is sealed as one device's, sealed anew as another's: the keys of its vaults, and its bundles.
#[derive(Debug, Default)]
pub struct SealedAnew {
    /// Keys.
    pub epochs: Vec<EpochRow>,
    /// Bundles.
    pub bundles: Vec<BundleRow>,
}

/// Identities of devices.
#[async_trait]
pub trait Identities {
    /// Gives a device another identity; [`StoreError::Taken`](super::StoreError::Taken) when it is another's. What is kept of it goes over, but
    /// what was sent to it: its sections are numbered and chained anew, what went out of its keys went to no session of now, and new evidence is
    /// asked for at the next contact. What was said of its vaults under the other identity ends none of them and makes none anew: those whose
    /// grace ran are retained.
    async fn identify(&mut self, device: DeviceId, anew: DeviceId, sealed: &SealedAnew) -> Stored<()>;
}
