//! How many connections each peer may have at once, so that none takes the place of another: not a stranger's process that
//! connects and is silent, nor an agent that was taken over. Who asks has places of his own, which hearing never takes: however much of
//! a node somebody watches, an order gets through.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Agent;

/// Most connections of one agent for each use: what it hears of another, or calls at once.
const OF_AGENT: usize = 16;
/// Most of the operator for each use: some terminals, with every topic.
const OF_OPERATOR: usize = 32;
/// Most of all strangers together: enough to tell them that they are refused.
const OF_STRANGERS: usize = 4;

/// A peer, or none: a stranger.
type Who = Option<Agent>;

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Use {
    /// One question; and until it is known what a connection is for.
    Asking,
    /// A topic, or the calls of others, for as long as the peer likes.
    Hearing,
}

/// Places taken, by peer and use.
#[derive(Default)]
pub(super) struct Places {
    taken: Mutex<BTreeMap<(Who, Use), usize>>,
    given_back: Condvar,
}

/// One connection's place, free again when dropped.
pub(super) struct BusSeat {
    places: Arc<Places>,
    holder: (Who, Use),
}

impl Places {
    fn taken(&self) -> MutexGuard<'_, BTreeMap<(Who, Use), usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for one more connection of this peer, if he may have one.
    pub(super) fn take(self: &Arc<Self>, who: Who) -> Option<BusSeat> {
        self.take_within((who, Use::Asking), Duration::ZERO)
    }

    fn take_within(self: &Arc<Self>, holder: (Who, Use), patience: Duration) -> Option<BusSeat> {
        let full = |taken: &mut BTreeMap<_, usize>| *taken.entry(holder).or_default() >= most(holder.0);
        let waited = self.given_back.wait_timeout_while(self.taken(), patience, full);
        let (mut taken, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() {
            return None;
        }
        *taken.entry(holder).or_default() += 1;
        drop(taken);
        Some(BusSeat { places: Arc::clone(self), holder })
    }
}

impl BusSeat {
    /// One for hearing instead, waited for so long: who is gone is giving his back.
    pub(super) fn for_hearing(self, patience: Duration) -> Option<Self> {
        self.places.take_within((self.holder.0, Use::Hearing), patience)
    }
}

fn most(who: Who) -> usize {
    match who {
        None => OF_STRANGERS,
        Some(Agent::Operator) => OF_OPERATOR,
        Some(_) => OF_AGENT,
    }
}

impl Drop for BusSeat {
    fn drop(&mut self) {
        if let Some(count) = self.places.taken().get_mut(&self.holder) {
            *count -= 1;
        }
        self.places.given_back.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_takes_the_place_of_another() {
        let places = Arc::new(Places::default());
        let strangers: Vec<BusSeat> = std::iter::from_fn(|| places.take(None)).collect();
        let nim: Vec<BusSeat> = std::iter::from_fn(|| places.take(Some(Agent::Nim))).collect();
        assert_eq!((strangers.len(), nim.len()), (OF_STRANGERS, OF_AGENT));
        assert!(places.take(Some(Agent::Zedagent)).is_some());
        drop(nim);
        assert!(places.take(Some(Agent::Nim)).is_some(), "a place is free again");
        assert!(places.take(None).is_none());
    }

    /// Attack A3: whatever root's terminals hear, root's orders have places.
    #[test]
    fn who_hears_takes_no_place_of_who_asks() {
        let places = Arc::new(Places::default());
        let hear = || places.take(Some(Agent::Operator))?.for_hearing(Duration::ZERO);
        let hearing: Vec<BusSeat> = std::iter::from_fn(hear).collect();
        assert_eq!(hearing.len(), OF_OPERATOR);
        let asking: Vec<BusSeat> = std::iter::from_fn(|| places.take(Some(Agent::Operator))).collect();
        assert_eq!(asking.len(), OF_OPERATOR);
        drop((hearing, asking));
        assert!(hear().is_some(), "all was given back");
    }
}
