//! Transactions as callers have them: a body that is given one, and is run again where the engine asks for that.
//! Nobody here opens one, commits one or keeps one: [`Store`] has its engine to itself, and a [`Tx`] can't commit.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep};
use vault::ids::DeviceId;

use super::changes::{Changes, Commit};
use super::notes::{Noted, Notes};
use super::{AsOf, StoreError, Stored, Tx};

/// Before each time that a body is run again. Short: who was in the way has committed.
const PAUSES: [Duration; 4] = [
    Duration::from_millis(5),
    Duration::from_millis(20),
    Duration::from_millis(80),
    Duration::from_millis(320),
];
/// A body that has taken so long is not run again: who waits for it is told to come back.
const PATIENCE: Duration = Duration::from_secs(5);

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
    /// A transaction that has `scope` to itself, or learns by its commit, or before, that it had not: [`StoreError::Again`].
    async fn write(&self, scope: Scope) -> Stored<Box<dyn Open>>;
    /// The same, but that its commit may return before it is durable. It is durable no later than whatever is written after it: of a power
    /// cut, what came last is lost, and nothing before that. A process that ends loses nothing.
    async fn write_ahead(&self, scope: Scope) -> Stored<Box<dyn Open>> {
        self.write(scope).await
    }
    /// Lets what runs end, and leaves the database at rest.
    async fn close(&self);
    /// Whether nobody else writes, but notes ([`Notes`]), while this is open: then what was read is still so until this process writes.
    fn is_alone(&self) -> bool {
        false
    }
}

/// A transaction as its engine holds it. After an error it is good for nothing but to be dropped.
#[async_trait]
pub trait Open: Tx {
    /// Makes what was written last. Durable when this returns. An error may come of one that was done all the same.
    async fn commit(self: Box<Self>) -> Stored<()>;
}

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
}

impl Store {
    /// Over an engine.
    pub fn over(engine: impl Engine + 'static) -> Self {
        Self { engine: Box::new(engine), changes: Changes::none_yet() }
    }

    /// Now, between commits: to be taken before a view, of whatever of it is kept in memory.
    #[must_use]
    pub fn as_of(&self) -> AsOf {
        self.changes.now()
    }

    /// Whether what a view of then, or of later, said of a device and all that an answer to it depends on is what a view of now says.
    /// Of two answers the careful one: no commit that was told to anybody is missed, and some are feared in vain. Where others write too it
    /// is always no.
    #[must_use]
    pub fn unchanged_since(&self, then: AsOf, device: DeviceId) -> bool {
        self.engine.is_alone() && self.changes.none_since(then, device)
    }

    /// The same for a body that has the device to itself, and builds on what it writes: no commit at all is missed, told to anybody or not.
    #[must_use]
    pub(crate) fn untouched_since(&self, then: AsOf, device: DeviceId) -> bool {
        self.engine.is_alone() && self.changes.none_at_all_since(then, device)
    }

    /// Runs a body over a view of one moment.
    ///
    /// # Errors
    /// The body's, and the engine's.
    pub async fn read<'e, T, E: Failure>(
        &self,
        body: impl for<'t> Fn(&'t mut (dyn Tx + 'e)) -> Running<'t, T, E>,
    ) -> Result<T, E> {
        let mut reruns = Reruns::new();
        loop {
            let tried = match self.engine.read().await {
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
        let mut reruns = Reruns::new();
        loop {
            match self.attempt(scope, end, &body).await {
                Err(error) if error.may_pass() && reruns.one_more().await => {}
                ended => return ended,
            }
        }
    }

    async fn attempt<'e, T, E: Failure>(
        &self,
        scope: Scope,
        end: End,
        body: &impl for<'t> Fn(&'t mut (dyn Tx + 'e)) -> Running<'t, T, E>,
    ) -> Result<T, E> {
        let mut open = match end {
            End::CommitAhead => self.engine.write_ahead(scope).await?,
            End::Commit | End::Note | End::Drop => self.engine.write(scope).await?,
        };
        let done = body(&mut *open).await?;
        match end {
            End::Commit | End::CommitAhead => Commit::of(open, scope, &self.changes).ended().await?,
            End::Note => open.commit().await?,
            End::Drop => drop(open),
        }
        Ok(done)
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

/// How often a body is run again.
struct Reruns {
    begun: Instant,
    pauses: std::slice::Iter<'static, Duration>,
}

impl Reruns {
    fn new() -> Self {
        Self { begun: Instant::now(), pauses: PAUSES.iter() }
    }

    /// Whether it is to be run once more; if so, after a pause.
    async fn one_more(&mut self) -> bool {
        let Some(pause) = self.pauses.next().filter(|_| self.begun.elapsed() < PATIENCE) else {
            return false;
        };
        sleep(*pause).await;
        true
    }
}
