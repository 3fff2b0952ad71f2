//! Transactions as callers have them: a body that is given one, and is run again where the engine asks for that.
//! Nobody here opens one, commits one or keeps one: [`Store`] has its engine to itself, and a [`Tx`] can't commit.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use disk::Disk;
use vault::ids::DeviceId;

use super::changes::{Changes, Commit};
use super::engine::{Engine, Open, Scope};
use super::notes::{Noted, Notes};
use super::reruns::Reruns;
use super::{AsOf, StoreError, Stored, Tx};

/// An error that a body may end with.
pub trait Failure: From<StoreError> {
    /// Whether the same body may succeed when it is run again.
    fn may_pass(&self) -> bool;
}

impl Failure for StoreError {
    fn may_pass(&self) -> bool {
        matches!(self, Self::Again | Self::Busy(_))
    }
}

/// A body as it runs: it borrows its transaction, and what its caller has.
pub type Running<'t, T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send + 't>>;

/// What the controller keeps, over one engine.
///
/// A body may be run several times, and what it did before the last of them never was. So it has no effect but on its transaction:
/// it writes no file, and says nothing of what it did before that is committed. What it draws at random it draws anew each time.
///
/// It is written `|tx| Box::pin(async move { .. })`, over references to what its caller has. (Not `async |tx| ..`: by the compilers of
/// 2026 a future that waits for such a closure is not `Send` when the closure borrows anything.)
pub struct Store {
    engine: Box<dyn Engine>,
    changes: Arc<Changes>,
    /// How often others wrote, as far as it is counted among the changes.
    others: AtomicU64,
}

impl Store {
    /// Over an engine.
    pub fn over(engine: impl Engine + 'static) -> Self {
        Self { engine: Box::new(engine), changes: Changes::none_yet(), others: AtomicU64::new(0) }
    }

    /// Now, between commits: to be taken before a view, of whatever of it is kept in memory.
    #[must_use]
    pub fn as_of(&self) -> AsOf {
        self.changes.now()
    }

    /// A controller lives from it now.
    ///
    /// # Errors
    /// The engine's: nothing was changed.
    pub async fn count_opening(&self, disk: &Disk) -> Stored<()> {
        self.engine.count_opening(disk).await
    }

    /// An operator changed something: a copy that was made before is known as one from here on, if it is put back.
    ///
    /// # Errors
    /// The engine's: such a copy may not be known as one.
    pub async fn count_act(&self) -> Stored<()> {
        self.engine.count_act().await
    }

    /// Whether it is another one than its last controller left.
    #[must_use]
    pub fn was_put_back(&self) -> bool {
        self.engine.was_put_back()
    }

    /// Whether the database still lies where it was opened, and took what was written last.
    ///
    /// # Errors
    /// [`StoreError::Exchanged`], [`StoreError::LogRemoved`]: until it does again nothing is written. [`StoreError::Disk`]: the disk failed it.
    pub fn is_there(&self) -> Stored<()> {
        self.engine.is_there()?;
        if self.engine.fails_to_write() {
            return Err(StoreError::Disk("what was to be written last was not".into()));
        }
        Ok(())
    }

    /// Lets go of what was deleted of keys and lies beside the database still.
    ///
    /// # Errors
    /// The engine's: it is done the next time.
    pub async fn fold(&self) -> Stored<()> {
        self.engine.fold().await
    }

    /// Whether what a view of then, or of later, said of a device and all that an answer to it depends on is what a view of now says.
    /// Of two answers the careful one: no commit that was told to anybody is missed, and some are feared in vain. Where others write too it
    /// is always no.
    #[must_use]
    pub fn unchanged_since(&self, then: AsOf, device: DeviceId) -> bool {
        self.heeds_others() && self.changes.none_since(then, device)
    }

    /// The same for a body that has the device to itself, and builds on what it writes: no commit at all is missed, told to anybody or not.
    #[must_use]
    pub(crate) fn untouched_since(&self, then: AsOf, device: DeviceId) -> bool {
        self.heeds_others() && self.changes.none_at_all_since(then, device)
    }

    /// Counts what others wrote until now. No: it can't be told.
    fn heeds_others(&self) -> bool {
        let Some(wrote) = self.engine.written_by_others() else { return false };
        // Counted before it is said to be: of two who see it at once both count it.
        if self.others.load(SeqCst) != wrote {
            self.changes.count_others();
            self.others.store(wrote, SeqCst);
        }
        self.engine.is_alone()
    }

    /// Runs a body over a view of one moment.
    ///
    /// # Errors
    /// The body's, and the engine's.
    pub async fn read<'e, T, E: Failure>(
        &self,
        body: impl for<'t> Fn(&'t mut (dyn Tx + 'e)) -> Running<'t, T, E>,
    ) -> Result<T, E> {
        self.view(|| self.engine.read(), body).await
    }

    /// As [`Self::read`], for a body that looks at one device alone ([`Engine::glance`]).
    ///
    /// # Errors
    /// The body's, and the engine's.
    pub async fn glance<'e, T, E: Failure>(
        &self,
        body: impl for<'t> Fn(&'t mut (dyn Tx + 'e)) -> Running<'t, T, E>,
    ) -> Result<T, E> {
        self.view(|| self.engine.glance(), body).await
    }

    async fn view<'s, 'e, T, E: Failure>(
        &'s self,
        open: impl Fn() -> Pin<Box<dyn Future<Output = Stored<Box<dyn Open>>> + Send + 's>>,
        body: impl for<'t> Fn(&'t mut (dyn Tx + 'e)) -> Running<'t, T, E>,
    ) -> Result<T, E> {
        let mut reruns = Reruns::new();
        loop {
            let tried = match open().await {
                Ok(mut open) => body(&mut *open).await,
                Err(error) => Err(error.into()),
            };
            match tried {
                Err(error) if error.may_pass() && reruns.one_more().await => {}
                ended => return ended,
            }
        }
    }

    /// Runs a body, and keeps what it wrote when it ends well: durable when this returns.
    ///
    /// # Errors
    /// The body's, and the engine's: nothing was kept, unless it is the commit itself that failed: then all of it was, or nothing.
    pub async fn write<'e, T, E: Failure>(
        &self,
        scope: Scope,
        body: impl for<'t> Fn(&'t mut (dyn Tx + 'e)) -> Running<'t, T, E>,
    ) -> Result<T, E> {
        self.run(scope, End::Commit, body).await
    }

    /// As [`Self::write`], for what has to be durable when something is built on it and not before ([`Engine::write_ahead`]).
    ///
    /// # Errors
    /// The body's, and the engine's.
    pub async fn write_ahead<'e, T, E: Failure>(
        &self,
        scope: Scope,
        body: impl for<'t> Fn(&'t mut (dyn Tx + 'e)) -> Running<'t, T, E>,
    ) -> Result<T, E> {
        self.run(scope, End::CommitAhead, body).await
    }

    /// As [`Self::write_ahead`], for a body that changes what its caller read of a device after `then`, in a way that its caller knows: with
    /// the moment after it, where nothing else may have changed the device since. What the caller knows then is as of that moment.
    ///
    /// # Errors
    /// The body's, and the engine's.
    pub(crate) async fn write_upon<'e, T, E: Failure>(
        &self,
        then: AsOf,
        device: DeviceId,
        body: impl for<'t> Fn(&'t mut (dyn Tx + 'e)) -> Running<'t, T, E>,
    ) -> Result<(T, Option<AsOf>), E> {
        self.run_upon(then, Scope::Device(device), End::CommitAhead, body).await
    }

    /// As [`Self::write_upon`], durable when this returns.
    ///
    /// # Errors
    /// The body's, and the engine's.
    pub(crate) async fn answer_upon<'e, T, E: Failure>(
        &self,
        then: AsOf,
        device: DeviceId,
        body: impl for<'t> Fn(&'t mut (dyn Tx + 'e)) -> Running<'t, T, E>,
    ) -> Result<(T, Option<AsOf>), E> {
        self.run_upon(then, Scope::Device(device), End::Commit, body).await
    }

    /// As [`Self::write`], of what no answer to a device depends on: what is kept of devices in memory stays good.
    ///
    /// # Errors
    /// The body's, and the engine's.
    pub async fn note<'e, T, E: Failure>(
        &self,
        noted: Noted,
        body: impl for<'t> Fn(Notes<'t, 'e>) -> Running<'t, T, E>,
    ) -> Result<T, E> {
        self.run(noted.into(), End::Note, |tx: &mut (dyn Tx + 'e)| body(Notes::of(tx))).await
    }

    /// As [`Self::write`], and keeps nothing.
    ///
    /// # Errors
    /// The body's, and the engine's.
    pub async fn rehearse<'e, T, E: Failure>(
        &self,
        scope: Scope,
        body: impl for<'t> Fn(&'t mut (dyn Tx + 'e)) -> Running<'t, T, E>,
    ) -> Result<T, E> {
        self.run(scope, End::Drop, body).await
    }

    async fn run<'e, T, E: Failure>(
        &self,
        scope: Scope,
        end: End,
        body: impl for<'t> Fn(&'t mut (dyn Tx + 'e)) -> Running<'t, T, E>,
    ) -> Result<T, E> {
        Ok(self.run_upon(self.as_of(), scope, end, body).await?.0)
    }

    async fn run_upon<'e, T, E: Failure>(
        &self,
        then: AsOf,
        scope: Scope,
        end: End,
        body: impl for<'t> Fn(&'t mut (dyn Tx + 'e)) -> Running<'t, T, E>,
    ) -> Result<(T, Option<AsOf>), E> {
        let mut reruns = Reruns::new();
        loop {
            match self.attempt(then, scope, end, &body).await {
                Err(error) if error.may_pass() && reruns.one_more().await => {}
                ended => return ended,
            }
        }
    }

    async fn attempt<'e, T, E: Failure>(
        &self,
        then: AsOf,
        scope: Scope,
        end: End,
        body: &impl for<'t> Fn(&'t mut (dyn Tx + 'e)) -> Running<'t, T, E>,
    ) -> Result<(T, Option<AsOf>), E> {
        let mut open = match end {
            End::CommitAhead => self.engine.write_ahead(scope).await?,
            End::Commit | End::Note | End::Drop => self.engine.write(scope).await?,
        };
        let done = body(&mut *open).await?;
        let after = match end {
            End::Commit | End::CommitAhead => Commit::of(open, then, scope, &self.changes).ended().await?,
            End::Note => open.commit().await.map(|()| None)?,
            End::Drop => None,
        };
        Ok((done, after))
    }

    /// Lets what runs end, and leaves the database at rest.
    pub async fn close(&self) {
        self.engine.close().await;
    }
}

/// What becomes of what a body wrote.
#[derive(Clone, Copy)]
enum End {
    Commit,
    CommitAhead,
    Note,
    Drop,
}

#[cfg(test)]
mod tests {
    use super::super::sqlite::{Lock, SqliteStore};
    use super::*;
    use crate::store::Stored;

    const COUNTER: &str = "counter";

    async fn counter(tx: &mut dyn Tx) -> Stored<u64> {
        let bytes = tx.meta(COUNTER).await?.unwrap_or_else(|| vec![0; 8]);
        Ok(u64::from_be_bytes(bytes.try_into().expect("eight")))
    }

    async fn raise(tx: &mut dyn Tx) -> Stored<()> {
        let next = counter(tx).await? + 1;
        tx.put_meta(COUNTER, &next.to_be_bytes()).await
    }

    /// As operators and devices do: of one device or of all, durable at once or with what follows, and some whose caller goes meanwhile.
    async fn writes(store: Arc<Store>, device: DeviceId) {
        for n in 0..400 {
            let scope = [Scope::Device(device), Scope::Fleet, Scope::Onboarding][n % 3];
            let (one, ahead) = (store.clone(), n % 2 == 0);
            let write = tokio::spawn(async move {
                if ahead {
                    one.write_ahead(scope, |tx| Box::pin(raise(tx))).await
                } else {
                    one.write(scope, |tx| Box::pin(raise(tx))).await
                }
            });
            if n % 5 == 0 {
                tokio::task::yield_now().await;
                write.abort();
            }
            let _ = write.await;
        }
    }

    /// A look; or a look, and a change of what was seen: what is there by that, and since when.
    async fn known(store: &Store, device: DeviceId, changes: bool) -> (u64, AsOf) {
        loop {
            let as_of = store.as_of();
            let seen = store.read(|tx| Box::pin(counter(tx))).await.expect("read");
            if !changes {
                return (seen, as_of);
            }
            let ((), after) =
                store.write_upon(as_of, device, |tx| Box::pin(raise(tx))).await.expect("written");
            if let Some(after) = after {
                return (seen + 1, after);
            }
        }
    }

    /// What is known, and a body that builds on it where it may: whether it might.
    async fn looks(store: &Store, device: DeviceId, changes: bool) -> bool {
        let (seen, as_of) = known(store, device, changes).await;
        let build = store.write(Scope::Device(device), |tx| {
            Box::pin(async move {
                Ok::<_, StoreError>((store.untouched_since(as_of, device), counter(tx).await?))
            })
        });
        let (untouched, now) = build.await.expect("written");
        assert!(!untouched || now == seen, "it built on {seen} where {now} was");
        untouched
    }

    /// Decision 22: raced against everybody who writes, a body that is told that nothing was touched finds what it had looked at.
    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn what_is_untouched_is_as_it_was_looked_at() {
        let dir = tempfile::tempdir().expect("a folder");
        let engine = SqliteStore::open(Lock::of(dir.path()).expect("free")).await.expect("opened");
        let (store, device) = (Arc::new(Store::over(engine)), DeviceId(uuid::Uuid::from_u128(5)));
        let writers = [0; 3].map(|_| tokio::spawn(writes(store.clone(), device)));
        let (mut all, mut built) = (0, 0);
        while writers.iter().any(|writer| !writer.is_finished()) {
            all += 1;
            built += usize::from(looks(&store, device, all % 2 == 0).await);
        }
        for writer in writers {
            writer.await.expect("wrote");
        }
        assert!(all > built, "{built} of {all}: nobody was in the way");
        for changes in [false, true] {
            while !looks(&store, device, changes).await {
                tokio::task::yield_now().await;
            }
        }
    }
}
