//! How many connections each source may have at once, so that one peer can't take the room of all.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Connections of one source. Behind one address there may be a whole site, whose nodes poll each minute and stay for some seconds.
const OF_SOURCE: usize = 1024;

/// Connections there are, by source.
#[derive(Default)]
pub(super) struct Sources(Mutex<HashMap<IpAddr, usize>>);

/// One connection, counted until it is dropped.
pub(super) struct Counted {
    sources: Arc<Sources>,
    source: IpAddr,
}

impl Sources {
    fn counts(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts one more, unless its source has all that it may have.
    pub(super) fn take(self: &Arc<Self>, peer: IpAddr) -> Option<Counted> {
        let source = source(peer);
        let mut counts = self.counts();
        let count = counts.entry(source).or_default();
        if *count >= OF_SOURCE {
            return None;
        }
        *count += 1;
        Some(Counted { sources: Arc::clone(self), source })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut counts = self.sources.counts();
        if let Some(count) = counts.get_mut(&self.source) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.source);
            }
        }
    }
}

/// Of IPv6 the /64: within it whoever has one address has all.
fn source(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_source_takes_no_more_than_its_part_and_leaves_nothing_behind() {
        let sources = Arc::new(Sources::default());
        let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
        let many: Vec<Counted> = std::iter::from_fn(|| sources.take(ip("2001:db8::1"))).collect();
        assert_eq!(many.len(), OF_SOURCE);
        assert!(sources.take(ip("2001:db8::2")).is_none(), "the same network");
        assert!(sources.take(ip("2001:db8:0:1::1")).is_some(), "another one");
        let four = sources.take(ip("192.0.2.1"));
        assert!(
            four.is_some() && sources.take(ip("::ffff:192.0.2.1")).is_some(),
            "the same in two spellings"
        );
        drop((many, four));
        assert!(sources.counts().is_empty());
    }
}
