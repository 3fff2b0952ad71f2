//! Who may have how many connections: shared out by network, with some kept for this machine's own.

use std::net::IpAddr;
use std::sync::Arc;

use super::shares::{Allotment, Allotments, Source};

/// Connections that only this machine gets: its operator comes in whatever others take.
const KEPT: usize = 64;
/// Networks of IPv6, by bits: what one host, one customer and one site commonly have. Each is counted; an IPv4 address is all of them.
const NETWORKS: [u8; 3] = [64, 56, 48];

/// Connections, counted by where they come from.
pub(super) struct Sources {
    networks: [Arc<Allotments<Source>>; NETWORKS.len()],
    kept: Arc<Allotments<()>>,
}

/// One connection; given back when dropped.
pub(super) enum Place {
    Shared([Allotment<Source>; NETWORKS.len()]),
    /// Held only to be given back.
    Kept(#[expect(dead_code, reason = "dropped with its place")] Allotment<()>),
}

impl Sources {
    /// Of `all` connections; of a network's share at each level at most as much as is left to others.
    pub(super) fn of(all: usize) -> Self {
        let networks = std::array::from_fn(|_| Allotments::of(all - KEPT));
        Self { networks, kept: Allotments::for_each(KEPT) }
    }

    /// One for this peer, if it may have it.
    pub(super) fn take(&self, peer: IpAddr) -> Option<Place> {
        self.shared(peer).or_else(|| self.kept_for(peer))
    }

    fn shared(&self, peer: IpAddr) -> Option<Place> {
        let level = |n: usize| self.networks[n].take(Source::within(peer, NETWORKS[n]));
        Some(Place::Shared([level(0)?, level(1)?, level(2)?]))
    }

    fn kept_for(&self, peer: IpAddr) -> Option<Place> {
        let here = peer.to_canonical().is_loopback();
        here.then(|| self.kept.take(()).map(Place::Kept)).flatten()
    }
}

impl Place {
    /// Connections of its source, this included.
    pub(super) fn held(&self) -> usize {
        match self {
            Self::Shared([source, ..]) => source.held(),
            // Its source has all else that it may have.
            Self::Kept(_) => usize::MAX,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: usize = 4096;

    fn all_of(sources: &Sources, peer: &str) -> Vec<Place> {
        let peer = peer.parse().expect("an address");
        std::iter::from_fn(|| sources.take(peer)).collect()
    }

    #[test]
    fn many_networks_of_one_site_are_one_site() {
        for site in ["2001:db8:0:{}::1", "2001:db8:0:{}00::1"] {
            let sources = Sources::of(ALL);
            let places: Vec<_> =
                (0..12).flat_map(|n| all_of(&sources, &site.replace("{}", &n.to_string()))).collect();
            assert_eq!(places.len(), (ALL - KEPT) / 2, "{site}");
            assert_eq!(all_of(&sources, "2001:db8:1::1").len(), (ALL - KEPT) / 4, "another site");
        }
    }

    #[test]
    fn whatever_others_take_this_machine_comes_in() {
        let sources = Sources::of(ALL);
        let places: Vec<_> = (0..99).flat_map(|n| all_of(&sources, &format!("2001:db8:{n}::1"))).collect();
        assert!(places.len() > ALL - KEPT - 9 && places.len() <= ALL - KEPT, "{}", places.len());
        assert!(all_of(&sources, "2001:db8:ffff::1").len() <= 1);
        for here in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            assert!(all_of(&sources, here).len() >= KEPT, "{here}");
        }
        drop(places);
        assert_eq!(all_of(&sources, "2001:db8::1").len(), (ALL - KEPT) / 2, "all was given back");
    }
}
