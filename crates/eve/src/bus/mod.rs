//! The agents' bus: topics (the newest value of each, and every change after it) and calls, over one Unix socket per agent,
//! `run/eve/<agent>.sock`. `eve bus table` prints who may publish, hear and ask what; `eve bus tail` follows it.
//!
//! A frame is a length (`u32`, little-endian, at most 4 MiB) and a postcard message. Who speaks is told by the kernel
//! (`SO_PEERCRED`), on both sides, and what he may say or hear by `contract`. Processes of root are told apart by their group:
//! vaultmgr is `0:7305`, and any other process of root is the operator ([`table`]).
//!
//! A topic is a state, not a queue. At both ends one value is kept, no longer than its row says. A slow subscriber may miss a value
//! that was replaced, and never the newest. Of a long one a change of a part is told alone, to those who have heard all before it;
//! whoever comes later, or was too slow, is told the whole. A call is one question with one answer; one deadline bounds connecting and talking.
//! Each peer has so many connections to a socket for hearing, and as many for asking, and no more; all strangers together have four.
//!
//! Frames are wiped after use. What is logged of a message is what its `Debug` shows, and that redacts secrets; no type of a secret has a form
//! that can be read (`secret.rs`).
//! `tests/bus_table.rs` makes every call and every subscription as every agent, and expects each refusal.

mod agent;
mod client;
#[macro_use]
mod contract_rows;
mod contract;
mod frame;
mod hear;
pub mod messages;
mod peer;
mod places;
mod secret;
mod server;
pub mod table;
mod timed;
mod traffic;

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;
use vault::ids::VaultId;

pub use agent::Agent;
pub use client::{BusError, CallError};
pub(crate) use contract::EachTopic;
pub use contract::{CallId, TopicId};
pub use frame::{FrameError, MAX_FRAME};
pub use hear::{Silence, Subscription};
pub use secret::{BusRecoveryKey, BusRoot};
pub use server::Bound;
pub use traffic::{End, Exchange};

/// A state that one agent publishes.
pub trait Topic: Serialize + DeserializeOwned + Clone + std::fmt::Debug + Send + 'static {
    /// Its row in the table.
    const ID: TopicId;
    /// What tells a change of a part of it.
    type Change: Change<Self>;
}

/// A change of a part of a topic's value. Made twice, or on a value that has it already, it is as if made once.
pub trait Change<T>: Serialize + DeserializeOwned {
    /// Whether there are any: then whoever hears keeps the value that they change.
    const ANY: bool = true;

    /// Makes it.
    fn change(self, value: &mut T);
}

/// Of a topic that is told whole each time, there are no changes.
#[derive(Debug, Clone, Copy, Serialize, serde::Deserialize)]
pub enum Whole {}

impl<T> Change<T> for Whole {
    const ANY: bool = false;

    fn change(self, _: &mut T) {
        match self {}
    }
}

/// What is said of a topic: `T` is its value, `C` a change.
#[derive(Serialize, serde::Deserialize)]
enum Published<T, C> {
    /// The whole value.
    Whole(T),
    /// What changed since what was said last on this connection.
    Part(C),
}

/// A question that one agent answers.
pub trait Call: Serialize + DeserializeOwned + std::fmt::Debug + Send + 'static {
    /// Its row in the table.
    const ID: CallId;
    /// What is answered.
    type Answer: Serialize + DeserializeOwned + std::fmt::Debug + Send + 'static;
    /// Why it is not answered: the answerer's reasons, each to be told apart.
    type Error: std::error::Error + Serialize + DeserializeOwned + Send + Sync + 'static;
    /// The vault that it is about, for whoever watches.
    fn about(&self) -> Option<VaultId> {
        None
    }
}

/// One agent's end of the bus. Cheap to clone.
#[derive(Clone)]
pub struct Bus {
    root: PathBuf,
    agent: Agent,
    server: Option<Arc<server::Server>>,
}

impl Bus {
    /// Joins as `agent`, with a socket of its own, which others reach from now on.
    ///
    /// # Errors
    /// The socket can't be made: the folder is missing or not ours.
    pub fn join(root: &Path, agent: Agent) -> std::io::Result<Self> {
        Bound::bind(root, agent)?.join()
    }

    /// Joins to ask and hear only: the operator's way.
    #[must_use]
    pub fn visit(root: &Path, agent: Agent) -> Self {
        Self { root: root.to_owned(), agent, server: None }
    }

    /// Who speaks.
    #[must_use]
    pub fn agent(&self) -> Agent {
        self.agent
    }

    /// Publishes a new value of a topic of this agent's.
    ///
    /// # Panics
    /// The topic is another agent's: a fault of ours.
    pub fn publish<T: Topic>(&self, value: &T) {
        assert_eq!(T::ID.publisher(), self.agent, "topics have one publisher");
        let server = self.server.as_ref().expect("whoever publishes has joined");
        match frame::encode_at_most(&Published::<&T, &T::Change>::Whole(value), T::ID.most()) {
            Ok(frame) => server.publish(T::ID, server::Value::Known(Arc::new(frame)), None),
            Err(error) => tracing::error!(topic = ?T::ID, %error, "not published"),
        }
    }

    /// Publishes that a part of a topic of this agent's changed, to those who have heard all before. For others `whole` has the new value;
    /// it is encoded when one of them comes.
    ///
    /// # Panics
    /// The topic is another agent's: a fault of ours.
    pub fn publish_change<T: Topic + Sync>(&self, change: &T::Change, whole: &Arc<RwLock<T>>) {
        assert_eq!(T::ID.publisher(), self.agent, "topics have one publisher");
        let server = self.server.as_ref().expect("whoever publishes has joined");
        let whole = Arc::clone(whole);
        let encode = move || {
            let whole = whole.read().unwrap_or_else(PoisonError::into_inner);
            frame::encode_at_most(&Published::<&T, &T::Change>::Whole(&whole), T::ID.most())
        };
        match frame::encode_at_most(&Published::<&T, &T::Change>::Part(change), T::ID.most()) {
            Ok(frame) => server.publish(T::ID, server::Value::Later(Arc::new(encode)), Some(Arc::new(frame))),
            Err(error) => tracing::error!(topic = ?T::ID, %error, "not published"),
        }
    }

    /// Hears a topic: its newest value first, then each change. Reconnects by itself.
    #[must_use]
    pub fn subscribe<T: Topic>(&self) -> Subscription<T> {
        hear::subscribe(&self.root, self.agent)
    }

    /// Watches the calls that an agent is asked: the operator's alone. Reconnects by itself.
    #[must_use]
    pub fn watch(&self, agent: Agent) -> Subscription<Exchange> {
        hear::watch(&self.root, self.agent, agent)
    }

    /// Asks. `patience` bounds all of it: connecting, asking and waiting.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn call<C: Call>(&self, call: &C, patience: Duration) -> Result<C::Answer, CallError<C::Error>> {
        client::call(&self.root, call, patience)
    }

    /// Asks until the answerer is there, for at most `patience`; an answer of any kind ends it.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn call_patiently<C: Call>(
        &self,
        call: &C,
        patience: Duration,
    ) -> Result<C::Answer, CallError<C::Error>> {
        let until = Instant::now() + patience;
        let mut pause = Duration::from_millis(50);
        loop {
            let answer = self.call(call, until.saturating_duration_since(Instant::now()));
            let in_time = Instant::now() + pause < until;
            if !in_time
                || !matches!(answer, Err(CallError::Bus(BusError::Unreachable { .. } | BusError::NotReady)))
            {
                return answer;
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_secs(2));
        }
    }

    /// Answers a call of this agent's. The caller was checked against the contract; an error is passed on to him as it is.
    ///
    /// # Panics
    /// The call is another agent's: a fault of ours.
    pub fn serve<C: Call>(
        &self,
        answer: impl Fn(Agent, C) -> Result<C::Answer, C::Error> + Send + Sync + 'static,
    ) {
        assert_eq!(C::ID.answerer(), self.agent, "calls have one answerer");
        let server = self.server.as_ref().expect("whoever answers has joined");
        server.serve::<C>(answer);
    }
}

/// Where an agent's socket is.
#[must_use]
pub fn socket_path(root: &Path, agent: Agent) -> PathBuf {
    root.join("run/eve").join(format!("{agent}.sock"))
}
