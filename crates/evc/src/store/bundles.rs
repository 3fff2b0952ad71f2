//! Escrow bundles of devices: ciphertext of theirs, sealed once more. A device's newest one stands in its own row too.

use async_trait::async_trait;
use vault::escrow::BundleId;
use vault::escrow::drill::{Drills, Held};
use vault::ids::{DeviceId, Generation, Project};

use super::{Stored, UnixSeconds};

/// A bundle that is kept, without its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldBundle {
    /// Which.
    pub id: BundleId,
    /// When it came.
    pub received_at: UnixSeconds,
}

impl From<HeldBundle> for Held {
    fn from(HeldBundle { id: bundle, received_at: at }: HeldBundle) -> Self {
        Self { bundle, at }
    }
}

/// One with its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleRow {
    /// Its device's project.
    pub project: Project,
    /// Its device.
    pub device: DeviceId,
    /// Which, and when it came.
    pub held: HeldBundle,
    /// The bundle, sealed.
    pub sealed: Vec<u8>,
}

/// Which of a device's bundles stay beside a new one. Always stay the newest of its generation, and the newest of all others: the one that is in
/// force while the next is made, of which any number may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// So many of the newest, however old.
    pub newest: u32,
    /// Of the others those that came since then.
    pub since: UnixSeconds,
    /// Of all of them, so many of the newest.
    pub most: u32,
}

/// Bundles.
#[async_trait]
pub trait Bundles {
    /// Adds one as its device's newest. One that was there already becomes the newest again.
    async fn put_bundle(&mut self, row: &BundleRow, keep: Keep) -> Stored<()>;
    /// Those of a device, the newest first.
    async fn bundles(&mut self, device: DeviceId) -> Stored<Vec<HeldBundle>>;
    /// Forgets those of one generation, never the device's newest; how many those were.
    async fn drop_bundles(&mut self, device: DeviceId, generation: Generation) -> Stored<u64>;
    /// Notes how a device's drills stand.
    async fn put_drills(&mut self, device: DeviceId, drills: &Drills) -> Stored<()>;
    /// The newest of one generation.
    async fn bundle_of(&mut self, device: DeviceId, generation: Generation) -> Stored<Option<BundleRow>>;
}
