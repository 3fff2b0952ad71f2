//! How many connections each peer may have at once, so that none takes the place of another: not a stranger's process that
//! connects and is silent, nor an agent that was taken over.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Agent;

/// Most connections of one agent: what it hears of another, and a few calls at once.
const OF_AGENT: usize = 16;
/// Most of the operator: some terminals, with every topic.
const OF_OPERATOR: usize = 32;
/// Most of all strangers together: enough to tell them that they are refused.
const OF_STRANGERS: usize = 4;

/// A peer, or none: a stranger.
type Who = Option<Agent>;

/// Places taken, by peer.
#[derive(Default)]
pub(super) struct Places(Mutex<BTreeMap<Who, usize>>);

/// One connection's place, free again when dropped.
pub(super) struct Place {
    places: Arc<Places>,
    who: Who,
}

impl Places {
    fn taken(&self) -> MutexGuard<'_, BTreeMap<Who, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for one more connection of this peer, if he may have one.
    pub(super) fn take(self: &Arc<Self>, who: Who) -> Option<Place> {
        let mut taken = self.taken();
        let count = taken.entry(who).or_default();
        if *count >= most(who) {
            return None;
        }
        *count += 1;
        Some(Place { places: Arc::clone(self), who })
    }
}

fn most(who: Who) -> usize {
    match who {
        None => OF_STRANGERS,
        Some(Agent::Operator) => OF_OPERATOR,
        Some(_) => OF_AGENT,
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(count) = self.places.taken().get_mut(&self.who) {
            *count -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_takes_the_place_of_another() {
        let places = Arc::new(Places::default());
        let strangers: Vec<Place> = std::iter::from_fn(|| places.take(None)).collect();
        let nim: Vec<Place> = std::iter::from_fn(|| places.take(Some(Agent::Nim))).collect();
        assert_eq!((strangers.len(), nim.len()), (OF_STRANGERS, OF_AGENT));
        assert!(places.take(Some(Agent::Zedagent)).is_some());
        drop(nim);
        assert!(places.take(Some(Agent::Nim)).is_some(), "a place is free again");
        assert!(places.take(None).is_none());
    }
}
