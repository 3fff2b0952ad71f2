//! Escrow bundles of devices: ciphertext of theirs, sealed once more. A device's newest one stands in its own row too.

use async_trait::async_trait;
use vault::escrow::BundleId;
use vault::escrow::drill::{Drills, Held};
use vault::escrow::history::Contents;
use vault::ids::{DeviceId, Generation, Project};

use super::{OrDamaged, Stored, UnixSeconds};

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

/// One in the list of its device's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedBundle {
    /// Which, and when it came.
    pub held: HeldBundle,
    /// What it has of each vault; none: it was kept before that was noted.
    pub has: Option<Contents>,
    /// An operator chose it to be given back before newer ones.
    pub offered: bool,
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
    /// What it has of each vault; none: it was kept before that was noted.
    pub has: Option<Contents>,
    /// The bundle, sealed.
    pub sealed: Vec<u8>,
}

/// Bundles.
#[async_trait]
pub trait Bundles {
    /// Adds one as its device's newest. One that was there already becomes the newest again.
    async fn put_bundle(&mut self, row: &BundleRow) -> Stored<()>;
    /// Those of a device that read, the newest first.
    async fn bundles(&mut self, device: DeviceId) -> Stored<Vec<ListedBundle>>;
    /// All of them, for a list.
    async fn bundles_listed(&mut self, device: DeviceId) -> Stored<Vec<OrDamaged<ListedBundle>>>;
    /// Notes what one of before has.
    async fn note_contents(&mut self, device: DeviceId, digest: &[u8; 32], has: &Contents) -> Stored<()>;
    /// Has one given back before newer ones, and no other; or none.
    async fn offer_bundle(&mut self, device: DeviceId, digest: Option<&[u8; 32]>) -> Stored<()>;
    /// Forgets one, but never the device's newest.
    async fn drop_bundle(&mut self, device: DeviceId, digest: &[u8; 32]) -> Stored<()>;
    /// Notes how a device's drills stand.
    async fn put_drills(&mut self, device: DeviceId, drills: &Drills) -> Stored<()>;
    /// Notes since when there is no room for a device's next one; none: there is.
    async fn set_no_room(&mut self, device: DeviceId, since: Option<UnixSeconds>) -> Stored<()>;
    /// One with its bytes.
    async fn bundle(&mut self, device: DeviceId, digest: &[u8; 32]) -> Stored<Option<BundleRow>>;
    /// The one of a generation that is given back: which an operator chose, else the newest.
    async fn bundle_of(&mut self, device: DeviceId, generation: Generation) -> Stored<Option<BundleRow>>;
}
