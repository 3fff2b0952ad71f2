//! Calls as an operator may watch them: who asked whom what, about which vault, and how it ended. What was said in them is never
//! here. While nobody watches nothing is made; whoever watches too slowly misses some.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use vault::ids::VaultId;

use super::{Agent, CallId};

/// How many calls a watcher may be behind.
pub(super) const BEHIND: usize = 256;
/// Longest of them, in bytes.
pub(super) const LONGEST: usize = 64;

/// One call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchange {
    /// Who asked; none: a stranger.
    pub by: Option<Agent>,
    /// Whom.
    pub of: Agent,
    /// What.
    pub call: CallId,
    /// About which vault, where it is about one.
    pub vault: Option<VaultId>,
    /// How it ended.
    pub end: End,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// Answered.
    Answered,
    /// The table forbids it.
    Refused,
    /// Nobody answers it yet.
    NotReady,
    /// It was tried, and failed.
    Failed,
}

/// Who watches.
#[derive(Default)]
pub(super) struct Watchers(Mutex<Vec<SyncSender<Exchange>>>);

impl Watchers {
    pub(super) fn add(&self) -> Receiver<Exchange> {
        let (sender, receiver) = sync_channel(BEHIND);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(sender);
        receiver
    }

    /// Never waits for a watcher.
    pub(super) fn tell(&self, exchange: impl FnOnce() -> Exchange) {
        let mut watchers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if watchers.is_empty() {
            return;
        }
        let exchange = exchange();
        let gone = |sent| matches!(sent, Err(TrySendError::Disconnected(_)));
        watchers.retain(|watcher| !gone(watcher.try_send(exchange.clone())));
    }
}
