//! A database as its engine gives it: views of one moment, and transactions that write. [`super::Store`] alone asks it.

use async_trait::async_trait;
use disk::Disk;
use vault::ids::DeviceId;

use super::{Stored, Tx};

/// What a writing body has to itself: what it read of that stays true until it commits. Two bodies of one scope run one after the
/// other. Of two devices none waits for the other, where the engine has more than one writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// One device: its row, certificates (also the one that it signs with), evidence, reference values, sections, vaults, epochs and releases.
    Device(DeviceId),
    /// Which certificates and serials may register, and the names and first certificates of devices.
    Onboarding,
    /// Operators' tokens.
    Operators,
    /// The time that the controller has seen.
    Clock,
    /// When devices were heard.
    Heard,
    /// All of it: policies, that many devices' vaults name, and the controller's own keys.
    Fleet,
}

/// A database. Nothing is seen of a writing transaction until it is committed; dropped, it never was.
#[async_trait]
pub trait Engine: Send + Sync {
    /// A view of one moment.
    async fn read(&self) -> Stored<Box<dyn Open>>;
    /// The same, for a look at what there is of one device. Whoever writes may have to wait until it ends.
    async fn glance(&self) -> Stored<Box<dyn Open>> {
        self.read().await
    }
    /// A transaction that has `scope` to itself, or learns by its commit, or before, that it had not: [`super::StoreError::Again`].
    async fn write(&self, scope: Scope) -> Stored<Box<dyn Open>>;
    /// The same, but that its commit may return before it is durable. It is durable no later than whatever is written after it: of a power
    /// cut, what came last is lost, and nothing before that. A process that ends loses nothing.
    async fn write_ahead(&self, scope: Scope) -> Stored<Box<dyn Open>> {
        self.write(scope).await
    }
    /// Lets what runs end, and leaves the database at rest.
    async fn close(&self);
    /// A controller lives from it now: from here on another life's log is told from its own, where the engine would not see that itself.
    async fn count_opening(&self, _: &Disk) -> Stored<()> {
        Ok(())
    }
    /// An operator changed something: from here on a copy that was made before is told from what is there now.
    async fn count_act(&self) -> Stored<()> {
        Ok(())
    }
    /// Whether what was opened is another database than its last controller left: a copy that was put in its place.
    fn was_put_back(&self) -> bool {
        false
    }
    /// Whether nobody else writes, but notes ([`super::Notes`]), while this is open: then what was read is still so until this process writes.
    fn is_alone(&self) -> bool {
        false
    }
    /// Whether the database still lies where it was opened: what is open may go on being read though nobody will find it again. An engine
    /// commits nothing while it does not.
    ///
    /// # Errors
    /// [`super::StoreError::Exchanged`], [`super::StoreError::LogRemoved`].
    fn is_there(&self) -> Stored<()> {
        Ok(())
    }
    /// Whether the disk failed what was to be written last.
    fn fails_to_write(&self) -> bool {
        false
    }
    /// What was deleted of keys and lies beside the database still, in a log of what was written, goes from there too, where the engine can say so.
    async fn fold(&self) -> Stored<()> {
        Ok(())
    }
    /// How often others wrote all the same, as a view of now would show it; none: that can't be told just now.
    fn written_by_others(&self) -> Option<u64> {
        Some(0)
    }
}

/// A transaction as its engine holds it. After an error it is good for nothing but to be dropped; but after [`super::StoreError::Damaged`] of a row that was
/// read: its engine gave that row, and all is as it was before. A body that knows what to do without the row goes on.
#[async_trait]
pub trait Open: Tx {
    /// Makes what was written last. Durable when this returns. An error may come of one that was done all the same.
    async fn commit(self: Box<Self>) -> Stored<()>;
}
