//! What may have changed, counted: whoever keeps something of a device in memory learns by this whether it is still so.
//! A count says that a transaction may have been kept, never what it wrote. It is raised when a commit has ended, well or not, and before
//! whoever waits for it hears of it. So what was read under a count that is still good is what a view of now would read, but for commits
//! that nobody was told of yet.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use tokio::runtime::Handle;
use vault::ids::DeviceId;

use super::{Open, Scope, Stored};

/// Devices share so many counts: two of one count forget together, and nothing else comes of it.
const SLOTS: usize = 1 << 14;
/// More than any commit is numbered: nothing that was ever read is good.
const NEVER_AGAIN: u64 = u64::MAX;

/// A moment between commits. What is read after it was taken is at least as new.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct AsOf(u64);

#[cfg(test)]
impl AsOf {
    /// Before any.
    pub(crate) const FIRST: Self = Self(0);
}

/// Numbers commits, and knows the last one that may have changed a device.
pub(super) struct Changes {
    last: AtomicU64,
    /// Commits that began and are not counted yet.
    under_way: AtomicU64,
    of_all: AtomicU64,
    of_devices: Box<[AtomicU64]>,
}

impl Changes {
    pub(super) fn none_yet() -> Arc<Self> {
        let of_devices = (0..SLOTS).map(|_| AtomicU64::new(0)).collect();
        Arc::new(Self {
            last: AtomicU64::new(0),
            under_way: AtomicU64::new(0),
            of_all: AtomicU64::new(0),
            of_devices,
        })
    }

    pub(super) fn now(&self) -> AsOf {
        AsOf(self.last.load(SeqCst))
    }

    pub(super) fn none_since(&self, AsOf(then): AsOf, device: DeviceId) -> bool {
        self.of_all.load(SeqCst) <= then && self.of_device(device).load(SeqCst) <= then
    }

    /// For who has a device to itself: none that it does not know of either.
    pub(super) fn none_at_all_since(&self, then: AsOf, device: DeviceId) -> bool {
        // In this order: one that ended between the two was counted before.
        self.under_way.load(SeqCst) == 0 && self.none_since(then, device)
    }

    fn of_device(&self, DeviceId(id): DeviceId) -> &AtomicU64 {
        let slot = id.as_u128() % SLOTS as u128;
        &self.of_devices[usize::try_from(slot).expect("less than SLOTS")]
    }

    fn of_scope(&self, scope: Scope) -> &AtomicU64 {
        match scope {
            Scope::Device(device) => self.of_device(device),
            // Whatever is not of one device may be of any.
            Scope::Onboarding | Scope::Operators | Scope::Clock | Scope::Heard | Scope::Fleet => &self.of_all,
        }
    }

    /// Counts what another process wrote. Meanwhile it is under way: see [`Self::count_upon`].
    pub(super) fn count_others(&self) {
        self.under_way.fetch_add(1, SeqCst);
        self.count_upon(self.now(), Scope::Fleet);
        self.under_way.fetch_sub(1, SeqCst);
    }

    /// Counts a commit that is still among those under way. Of a device's own: the moment after it, where since `then` nothing but it may
    /// have changed the device. What was read after `then`, with what it wrote, is as of that moment.
    fn count_upon(&self, then: AsOf, scope: Scope) -> Option<AsOf> {
        let number = self.last.fetch_add(1, SeqCst) + 1;
        let is_alone = match scope {
            // In this order: who has a lower number, and has not raised the count by it yet, is under way until it has.
            Scope::Device(device) => self.under_way.load(SeqCst) == 1 && self.none_since(then, device),
            _ => false,
        };
        self.of_scope(scope).fetch_max(number, SeqCst);
        is_alone.then_some(AsOf(number))
    }
}

/// Counts a commit when it has ended. One whose end nobody saw may still come: then nothing is good any more, for this process's life.
struct Counted {
    changes: Arc<Changes>,
    scope: Scope,
    /// What it builds on was read after this.
    then: AsOf,
    ended: bool,
}

impl Counted {
    /// The moment after it, where it alone changed its device since it built on it.
    fn ended(mut self) -> Option<AsOf> {
        self.ended = true;
        self.changes.count_upon(self.then, self.scope)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if !self.ended {
            self.changes.of_all.store(NEVER_AGAIN, SeqCst);
        }
        self.changes.under_way.fetch_sub(1, SeqCst);
    }
}

/// A commit under way. Whoever waits for it may go: it runs to its end all the same, and is counted then.
pub(super) struct Commit {
    running: Option<Pin<Box<dyn Future<Output = Stored<()>> + Send>>>,
    counted: Option<Counted>,
    /// Whoever waited for it went.
    handed_on: bool,
}

impl Commit {
    /// Of what builds on what was read after a moment.
    pub(super) fn of(open: Box<dyn Open>, then: AsOf, scope: Scope, changes: &Arc<Changes>) -> Self {
        changes.under_way.fetch_add(1, SeqCst);
        let counted = Counted { changes: changes.clone(), scope, then, ended: false };
        Self { running: Some(open.commit()), counted: Some(counted), handed_on: false }
    }

    /// The moment after it, where it alone changed its device since what it builds on was read.
    pub(super) async fn ended(mut self) -> Stored<Option<AsOf>> {
        let Some(running) = self.running.as_mut() else { return Ok(None) };
        let done = poll_fn(|cx| running.as_mut().poll(cx)).await;
        self.running = None;
        let after = self.counted.take().and_then(Counted::ended);
        done.map(|()| after)
    }
}

impl Drop for Commit {
    fn drop(&mut self) {
        let (Some(running), Some(counted)) = (self.running.take(), self.counted.take()) else { return };
        // A runtime that ends drops what is given to it at once.
        if self.handed_on || std::thread::panicking() {
            return;
        }
        if let Ok(runtime) = Handle::try_current() {
            let rest = Self { running: Some(running), counted: Some(counted), handed_on: true };
            runtime.spawn(rest.ended());
        }
    }
}
