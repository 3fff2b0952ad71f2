//! The chain of each device's sections, and the marks of those that showed this database to be older than they are: what of all devices ends, or does not.

use async_trait::async_trait;
use vault::ids::{DeviceId, SectionDigest};
use vault::ledger::{Ledger, Mark, Older};

use super::{Stored, UnixSeconds};

/// Sections of devices, and lives of the database.
#[async_trait]
pub trait Chains {
    /// The version of its section, and what that says, hashed.
    async fn put_section(&mut self, id: DeviceId, version: u64, digest: &[u8; 32]) -> Stored<()>;
    /// What was sent to it and accepted by it.
    async fn put_ledger(&mut self, id: DeviceId, ledger: &Ledger) -> Stored<()>;
    /// Remembers sections that its ledger no longer does, and forgets the oldest beyond [`SENT_BEFORE`](super::SENT_BEFORE).
    async fn add_sent_before(&mut self, id: DeviceId, digests: &[SectionDigest]) -> Stored<()>;
    /// Whether a section is among those.
    async fn was_sent_before(&mut self, id: DeviceId, digest: &SectionDigest) -> Stored<bool>;
    /// How it showed that this database is older than it; or that it is not.
    async fn set_older(&mut self, id: DeviceId, older: Option<Mark>) -> Stored<()>;
    /// How devices, of all projects, showed that it is: each way once.
    async fn all_older(&mut self) -> Stored<Vec<Older>>;
    /// How one of them, of any project, showed that it is; a mark that does not read counts as one. None: nobody did.
    async fn one_older(&mut self) -> Stored<Option<Older>>;
    /// All devices, also deleted ones, are marked as [`Older::PutBack`], beside what they showed; or none is any more.
    async fn hold_back(&mut self, held: bool) -> Stored<()>;
    /// Begins a new incarnation for all devices: sections are numbered and chained anew, what nodes told of vaults is forgotten, and
    /// graces that ran and orders to make a vault anew are undone.
    async fn number_anew(&mut self) -> Stored<()>;
    /// Nothing ends by what the database says: vaults that are being removed are retained, also those of deleted devices, orders to make one anew,
    /// empty, are taken back, and what is kept of deleted devices has its whole grace before it from `now` on.
    async fn keep_ending(&mut self, now: UnixSeconds) -> Stored<()>;
    /// What is kept of deleted devices has its whole grace before it from `now` on.
    async fn keep_deleted_longer(&mut self, now: UnixSeconds) -> Stored<()>;
    /// Whatever its section says next, it is another version.
    async fn end_section(&mut self, id: DeviceId) -> Stored<()>;
}
