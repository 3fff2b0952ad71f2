//! What there is for all, shared out so that no peer can take it from the others: connections, places at work, memory.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Where a connection comes from: an address, or of IPv6 its /64, for within it whoever has one address has all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Source(IpAddr);

impl Source {
    pub(super) fn of(peer: IpAddr) -> Self {
        Self::within(peer, 64)
    }

    /// Its IPv6 network of so many bits (1 to 128) instead.
    pub(super) fn within(peer: IpAddr, bits: u8) -> Self {
        Self(match peer.to_canonical() {
            IpAddr::V4(v4) => IpAddr::V4(v4),
            IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << (128 - bits)))),
        })
    }

    /// For who asks where something came from.
    pub(super) fn address(self) -> IpAddr {
        self.0
    }
}

/// Units of one thing, counted by who holds them. What somebody takes must leave as much to others as it then holds: alone it gets
/// half, and however many take all they can, whoever comes next finds as much left as each of them had left. So a whole site
/// behind one address has room, and no number of sources has to be guessed.
pub(super) struct Allotments<K> {
    /// Besides, at most so many for each.
    each: usize,
    counts: Mutex<Counts<K>>,
}

struct Counts<K> {
    left: usize,
    held: HashMap<K, usize>,
}

/// What one holder has of it; given back when dropped.
pub(super) struct Allotment<K: Eq + Hash> {
    shares: Arc<Allotments<K>>,
    holder: K,
    count: usize,
}

impl<K: Eq + Hash + Copy> Allotments<K> {
    /// Of `all`, for everybody.
    pub(super) fn of(all: usize) -> Arc<Self> {
        Self::new(all, usize::MAX)
    }

    /// At most `each` for each, however many there are.
    pub(super) fn for_each(each: usize) -> Arc<Self> {
        Self::new(usize::MAX, each)
    }

    /// Of `all`, at most `each` for each.
    pub(super) fn new(all: usize, each: usize) -> Arc<Self> {
        Arc::new(Self { each, counts: Mutex::new(Counts { left: all, held: HashMap::new() }) })
    }

    /// A share with nothing in it yet.
    pub(super) fn share(self: &Arc<Self>, holder: K) -> Allotment<K> {
        Allotment { shares: Arc::clone(self), holder, count: 0 }
    }

    /// One unit, if the holder may have it.
    pub(super) fn take(self: &Arc<Self>, holder: K) -> Option<Allotment<K>> {
        let mut share = self.share(holder);
        share.more(1).then_some(share)
    }
}

impl<K: Eq + Hash> Counts<K> {
    fn held_by(&self, holder: &K) -> usize {
        self.held.get(holder).copied().unwrap_or(0)
    }
}

impl<K> Allotments<K> {
    fn counts(&self) -> MutexGuard<'_, Counts<K>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash + Copy> Allotment<K> {
    /// Takes `more` units, or none.
    pub(super) fn more(&mut self, more: usize) -> bool {
        let mut counts = self.shares.counts();
        let Some(left) = counts.left.checked_sub(more) else { return false };
        let held = counts.held_by(&self.holder) + more;
        if held > left.min(self.shares.each) {
            return false;
        }
        counts.left = left;
        counts.held.insert(self.holder, held);
        self.count += more;
        true
    }
}

impl<K: Eq + Hash> Drop for Allotment<K> {
    fn drop(&mut self) {
        let mut counts = self.shares.counts();
        counts.left += self.count;
        let Some(held) = counts.held.get_mut(&self.holder) else { return };
        *held -= self.count;
        if *held == 0 {
            counts.held.remove(&self.holder);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source::of(text.parse().expect("an address"))
    }

    fn all_of(shares: &Arc<Allotments<Source>>, from: &str) -> Vec<Allotment<Source>> {
        std::iter::from_fn(|| shares.take(source(from))).collect()
    }

    #[test]
    fn whoever_takes_all_leaves_as_much_to_the_next_and_nothing_stays_behind() {
        let shares = Allotments::of(64);
        let one = all_of(&shares, "2001:db8::1");
        assert_eq!(one.len(), 32);
        let two = all_of(&shares, "192.0.2.1");
        assert_eq!(two.len(), 16, "half of what the first one left");
        assert!(shares.take(source("2001:db8::2")).is_none(), "the first one's network");
        assert!(shares.take(source("::ffff:192.0.2.1")).is_none(), "the second one in another spelling");
        assert!(shares.take(source("2001:db8:0:1::1")).is_some(), "a third one");
        drop((one, two));
        assert!(shares.counts().held.is_empty() && shares.counts().left == 64);
    }

    #[test]
    fn where_each_has_a_bound_others_take_nothing_of_it() {
        let shares = Allotments::for_each(4);
        let one = all_of(&shares, "192.0.2.1");
        assert_eq!(one.len(), 4);
        assert!(shares.take(source("192.0.2.2")).is_some());
    }

    #[test]
    fn a_share_grows_whole_or_not_at_all() {
        let shares = Allotments::of(100);
        let mut share = shares.share(source("192.0.2.1"));
        assert!(share.more(30) && !share.more(30) && share.more(20));
        assert!(!share.more(1), "half");
    }
}
