//! Devices that an operator deleted, and what is kept of them for a grace: their vaults, the keys of those, and their bundles, sealed as they were.

use async_trait::async_trait;
use vault::escrow::drill::Drills;
use vault::ids::{DeviceId, Epoch, Name, Project, VaultId};
use vault::labels::Labels;

use super::{
    BundleRow, DamagedRow, EpochRow, NodeWord, OrDamaged, StoreError, Stored, UnixSeconds, VaultRow,
};

/// For so long what was kept of a device stays after its deletion where nothing else is said, in seconds: a month.
pub const DELETED_GRACE_S: u64 = 30 * 24 * 3600;

/// A device that was deleted, of which something is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeletedRow {
    /// Of the row: a device may be deleted twice.
    pub id: DeviceId,
    /// Its identity then, which it has again if it gets this back.
    pub device: DeviceId,
    /// The device whose lists its node held to, by the node's last word.
    pub node_of: Option<DeviceId>,
    /// What an operator sorted it by.
    pub labels: Labels,
    /// Its project.
    pub project: Project,
    /// SHA-256 of its key's SubjectPublicKeyInfo.
    pub key: [u8; 32],
    /// Its name then.
    pub name: Name,
    /// The serial that it registered with.
    pub serial: String,
    /// When it was deleted.
    pub deleted_at: UnixSeconds,
    /// When its grace is over.
    pub until: UnixSeconds,
}

/// What is kept of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfDeleted {
    /// Vaults that were listed.
    pub vaults: Vec<VaultRow>,
    /// The keys of all of their epochs.
    pub epochs: Vec<EpochRow>,
    /// Under which custodies those went out.
    pub went_out: Vec<WentOut>,
    /// Bundles, the oldest first.
    pub bundles: Vec<KeptBundle>,
    /// How its drills stood.
    pub drills: NodeWord<Drills>,
    /// Rows of it that do not read. Of a key its `id` is the vault's.
    pub damaged: Vec<DamagedRow>,
}

/// A key that went out to a deleted device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WentOut {
    /// Of which vault.
    pub vault: VaultId,
    /// Of which epoch.
    pub epoch: Epoch,
    /// Under which custody, as its name.
    pub custody: String,
}

/// A bundle of a deleted device's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptBundle {
    /// Itself.
    pub row: BundleRow,
    /// An operator chose it to be given back before newer ones.
    pub offered: bool,
}

impl Default for OfDeleted {
    fn default() -> Self {
        let (vaults, epochs, went_out, bundles) = Default::default();
        Self { vaults, epochs, went_out, bundles, drills: NodeWord::nothing(), damaged: Vec::new() }
    }
}

impl OfDeleted {
    /// Itself, for whoever decides by all of it.
    ///
    /// # Errors
    /// [`StoreError::Damaged`]: a row of it does not read.
    pub fn whole(self) -> Stored<Self> {
        match self.damaged.first() {
            None => Ok(self),
            Some(row) => Err(StoreError::from(row.clone())),
        }
    }

    /// Whether nothing of it is left that anybody could get back, damaged or not.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.vaults.is_empty() && self.bundles.is_empty() && self.damaged.is_empty()
    }
}

/// Deleted devices.
#[async_trait]
pub trait Deleted {
    /// Keeps what there is of a device, before it is dropped.
    async fn keep_deleted(&mut self, row: &DeletedRow) -> Stored<()>;
    /// Those of a project, in the order in which they were deleted, whatever the clock said.
    async fn deleted(&mut self, project: &Project) -> Stored<Vec<OrDamaged<DeletedRow>>>;
    /// Those with this key, in whichever project, in the same order. One whose numbers do not read is damaged too: nobody can go on from there.
    async fn deleted_by_key(&mut self, key: &[u8; 32]) -> Stored<Vec<OrDamaged<DeletedRow>>>;
    /// What is kept of one, in whichever project: by its identity, or by the identity of the row.
    async fn deleted_as(&mut self, id: DeviceId) -> Stored<Vec<OrDamaged<DeletedRow>>>;
    /// Those whose grace is over: by which row. What else is wrong in that is its own matter; where its end does not read, it is damaged.
    async fn deleted_over(&mut self, now: UnixSeconds) -> Stored<Vec<OrDamaged<DeviceId>>>;
    /// What is kept of one, as it was that device's. A row that does not read keeps none of the others back.
    async fn of_deleted(&mut self, id: DeviceId) -> Stored<OfDeleted>;
    /// Gives a device that was just added what was numbered of one, and told: sections that were sent, sessions that are over, challenges that were
    /// answered. Its next section is a new one.
    async fn go_on(&mut self, id: DeviceId, device: DeviceId) -> Stored<()>;
    /// Forgets a vault of one and its keys: another device has them.
    async fn forget_deleted_vault(&mut self, id: DeviceId, vault: VaultId) -> Stored<()>;
    /// Forgets a bundle of one: another device has it.
    async fn forget_deleted_bundle(&mut self, id: DeviceId, digest: &[u8; 32]) -> Stored<()>;
    /// Forgets one for good.
    async fn forget_deleted(&mut self, id: DeviceId) -> Stored<()>;
}
