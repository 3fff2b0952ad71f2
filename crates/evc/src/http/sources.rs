//! Who may have how many connections. One on which a device signed, or an operator's token was good, is *proved*: it keeps its place. All
//! others are *guests*. Of guests there are three crowds, with room of their own: those of this machine (its operator's, and whatever a
//! proxy here brings), those of sources that proved something before, and strangers. Nobody takes the room of another crowd.
//!
//! Where a guest comes whose crowd has no more room, or whose network holds what it may, the oldest guest (of all, or of that network) is
//! pushed out for it. Who means well proves it with its first request, a moment after it came, so it is among the youngest. For that
//! [`MOMENT`] it has its place whatever comes; whoever finds nobody older is closed at once. Guests of this machine need no moment.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::listen::CONNECTIONS;
use super::shares::{Allotment, Allotments, Source};
use crate::fleet::bounded::Bounded;

/// Guests from loopback.
const HERE: usize = 512;
/// Guests from sources on whose connections something was proved before.
const KNOWN: usize = 768;
/// All other guests.
const STRANGERS: usize = 768;
/// Connections that operators proved. One token may have half.
const OPERATORS: usize = 64;
/// Connections that devices proved.
const DEVICES: usize = CONNECTIONS - HERE - KNOWN - STRANGERS - OPERATORS;
/// Of these one device may have as many as it may have requests at work.
const OF_DEVICE: usize = super::OF_SENDER;
/// Sources that are remembered.
const REMEMBERED: usize = 1 << 14;
/// Networks of IPv6, by bits: what one host, one customer and one site commonly have. Each is counted; an IPv4 address is all of them.
const NETWORKS: [u8; 3] = [64, 56, 48];
/// So many guests a network may have, whatever others hold.
const FEW: usize = 16;

/// What a guest needs for a handshake and its first request.
const MOMENT: Duration = Duration::from_millis(500);

/// Connections, counted by who holds them.
#[derive(Clone)]
pub(super) struct Sources(Arc<Rooms>);

struct Rooms {
    here: Mutex<Crowd>,
    known: Mutex<Crowd>,
    strangers: Mutex<Crowd>,
    devices: Arc<Allotments<[u8; 32]>>,
    operators: Arc<Allotments<[u8; 32]>>,
    remembered: Mutex<Bounded<Source, ()>>,
}

/// Whose guest somebody is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rank {
    Here,
    Known,
    Stranger,
}

/// Who proved that a connection is its own.
#[derive(Debug, Clone, Copy)]
pub(super) enum Prover {
    /// By the SHA-256 of its certificate.
    Device([u8; 32]),
    /// By the hash of the token.
    Operator([u8; 32]),
}

/// One connection's; given back when dropped.
pub(super) struct Seat {
    rooms: Arc<Rooms>,
    source: Source,
    rank: Rank,
    number: u64,
    held: usize,
    out: Arc<Notify>,
    proved: OnceLock<Allotment<[u8; 32]>>,
}

/// Guests by their age: a lower number came first.
struct Crowd {
    room: usize,
    /// How long nobody is pushed out.
    moment: Duration,
    next: u64,
    guests: BTreeMap<u64, Guest>,
}

struct Guest {
    came: Instant,
    networks: [Source; NETWORKS.len()],
    out: Arc<Notify>,
}

impl Sources {
    pub(super) fn new() -> Self {
        Self(Arc::new(Rooms {
            here: Crowd::of(HERE, Duration::ZERO),
            known: Crowd::of(KNOWN, MOMENT),
            strangers: Crowd::of(STRANGERS, MOMENT),
            devices: Allotments::new(DEVICES, OF_DEVICE),
            operators: Allotments::of(OPERATORS),
            remembered: Mutex::new(Bounded::of(REMEMBERED)),
        }))
    }

    /// A place for this peer, if there is one. Whose it was is told so.
    pub(super) fn take(&self, peer: IpAddr) -> Option<Seat> {
        let (rooms, source) = (self.0.clone(), Source::of(peer));
        let rank = rooms.rank(peer);
        let out = Arc::new(Notify::new());
        let networks = NETWORKS.map(|bits| Source::within(peer, bits));
        let guest = Guest { came: Instant::now(), networks, out: out.clone() };
        let (number, held) = rooms.crowd(rank).let_in(guest)?;
        Some(Seat { rooms, source, rank, number, held, out, proved: OnceLock::new() })
    }
}

impl Rooms {
    fn rank(&self, peer: IpAddr) -> Rank {
        if peer.to_canonical().is_loopback() {
            Rank::Here
        } else if locked(&self.remembered).get(&Source::of(peer)).is_some() {
            Rank::Known
        } else {
            Rank::Stranger
        }
    }

    fn crowd(&self, rank: Rank) -> MutexGuard<'_, Crowd> {
        locked(match rank {
            Rank::Here => &self.here,
            Rank::Known => &self.known,
            Rank::Stranger => &self.strangers,
        })
    }

    fn share(&self, prover: Prover) -> Option<Allotment<[u8; 32]>> {
        match prover {
            Prover::Device(certificate) => self.devices.take(certificate),
            Prover::Operator(token) => self.operators.take(token),
        }
    }
}

impl Seat {
    pub(super) fn source(&self) -> Source {
        self.source
    }

    /// Guests of its source when it came, this included.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// Waits until the place is another's.
    pub(super) async fn pushed_out(&self) {
        self.out.notified().await;
    }

    /// Somebody proved that the connection is its own: it is no guest any more. Where the prover has as many as it may, or none is
    /// left, the connection stays a guest of a source that is known.
    pub(super) fn proved(&self, prover: Prover) {
        if self.proved.get().is_some() {
            return;
        }
        locked(&self.rooms.remembered).put(self.source, ());
        let Some(share) = self.rooms.share(prover) else { return };
        if self.rooms.crowd(self.rank).guests.remove(&self.number).is_some() {
            let _ = self.proved.set(share);
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.rooms.crowd(self.rank).guests.remove(&self.number);
    }
}

impl Crowd {
    fn of(room: usize, moment: Duration) -> Mutex<Self> {
        Mutex::new(Self { room, moment, next: 0, guests: BTreeMap::new() })
    }

    /// Its number, and how many its source now has.
    fn let_in(&mut self, guest: Guest) -> Option<(u64, usize)> {
        if let Some(oldest) = self.in_the_way(&guest) {
            self.push_out(oldest)?;
        }
        let number = self.next;
        self.next += 1;
        let held = self.of_network(0, &guest).count() + 1;
        self.guests.insert(number, guest);
        Some((number, held))
    }

    /// Nothing where it has its moment.
    fn push_out(&mut self, number: u64) -> Option<()> {
        let is_young = self.guests.get(&number)?.came.elapsed() < self.moment;
        let guest = if is_young { None } else { self.guests.remove(&number) };
        guest.map(|guest| guest.out.notify_one())
    }

    /// Who is to go for this guest. A network may have as many as are left to others: alone half of all.
    fn in_the_way(&self, guest: &Guest) -> Option<u64> {
        let left = self.room.saturating_sub(self.guests.len());
        let has_all = |level: &usize| self.of_network(*level, guest).count() >= left.max(FEW);
        match (0..NETWORKS.len()).find(has_all) {
            Some(level) => self.of_network(level, guest).next(),
            None if left == 0 => self.guests.keys().next().copied(),
            None => None,
        }
    }

    /// Numbers of its network's guests, the oldest first.
    fn of_network(&self, level: usize, guest: &Guest) -> impl Iterator<Item = u64> {
        let network = guest.networks[level];
        self.guests
            .iter()
            .filter(move |(_, other)| other.networks[level] == network)
            .map(|(number, _)| *number)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn take(sources: &Sources, peer: &str) -> Option<Seat> {
        sources.take(peer.parse().expect("an address"))
    }

    /// So many that come, one after the other, in the time in which a crowd's guests have had their moment twice.
    async fn come(sources: &Sources, many: usize, peer: impl Fn(usize) -> String) -> Vec<Seat> {
        let mut places = Vec::new();
        for n in 0..many {
            advance(2 * MOMENT / u32::try_from(STRANGERS / 2).expect("few")).await;
            places.extend(take(sources, &peer(n)));
        }
        places
    }

    /// Whether its connection is to end.
    fn is_out(place: &Seat) -> bool {
        let mut out = std::pin::pin!(place.out.notified());
        let waker = std::task::Waker::noop();
        out.as_mut().poll(&mut std::task::Context::from_waker(waker)).is_ready()
    }

    fn staying(places: &[Seat]) -> usize {
        places.iter().filter(|place| !is_out(place)).count()
    }

    fn device(n: usize) -> Prover {
        let mut certificate = [0; 32];
        certificate[..8].copy_from_slice(&n.to_be_bytes());
        Prover::Device(certificate)
    }

    /// Threats, Controller: whoever has a network has all addresses of it.
    #[tokio::test(start_paused = true)]
    async fn many_networks_of_one_site_are_one_site() {
        for site in ["2001:db8:0:{}::1", "2001:db8:0:{}00::1"] {
            let sources = Sources::new();
            let of_site = |n: usize| site.replace("{}", &format!("{:x}", n % 200));
            let places = come(&sources, 2 * STRANGERS, of_site).await;
            assert_eq!((places.len(), staying(&places)), (2 * STRANGERS, STRANGERS / 2), "{site}");
        }
    }

    /// Threats, Controller: however many networks somebody has, he keeps out neither who comes nor who is known.
    #[tokio::test(start_paused = true)]
    async fn whoever_has_many_networks_holds_what_strangers_may_and_no_more() {
        let sources = Sources::new();
        let stay = take(&sources, "192.0.2.1").expect("let in");
        stay.proved(device(1));
        let crowd = come(&sources, 4096, |n| format!("2001:db8:{n:x}::1")).await;
        assert!(!is_out(&stay), "what was proved stays");
        let came = ["192.0.2.1", "198.51.100.1", "::1"].map(|peer| take(&sources, peer).expect("let in"));
        assert_eq!(came.each_ref().map(|place| place.rank), [Rank::Known, Rank::Stranger, Rank::Here]);
        let later = come(&sources, STRANGERS - 1, |n| format!("2001:db9:{n:x}::1")).await;
        assert_eq!((staying(&came), staying(&later)), (3, STRANGERS - 1), "the oldest went for them");
        assert_eq!(staying(&crowd), 0);
    }

    /// Threats, Controller: who has just come has the time for a handshake, however many come after it.
    #[tokio::test(start_paused = true)]
    async fn a_guest_has_its_moment() {
        let sources = Sources::new();
        let at_once: Vec<_> =
            (0..4096).filter_map(|n| take(&sources, &format!("2001:db8:{n:x}::1"))).collect();
        assert_eq!((at_once.len(), staying(&at_once)), (STRANGERS, STRANGERS), "the others are not let in");
        advance(MOMENT).await;
        assert!(take(&sources, "198.51.100.1").is_some());
        assert_eq!(staying(&at_once), STRANGERS - 1);
    }

    /// Threats, Controller: a crowd behind a proxy on this machine, or a process of its own, does not keep its operator out.
    #[test]
    fn whatever_comes_from_this_machine_its_operator_comes_in_and_stays() {
        let sources = Sources::new();
        let take = |here: &str| take(&sources, here).expect("let in");
        let crowd: Vec<_> = (0..2 * HERE).map(|_| take("127.0.0.1")).collect();
        let operator = ["127.0.0.1", "::1", "::ffff:127.0.0.1"].map(take);
        assert_eq!((staying(&operator), staying(&crowd) <= HERE), (3, true));
        operator.iter().for_each(|place| place.proved(Prover::Operator([7; 32])));
        let more: Vec<_> = (0..2 * HERE).map(|n| take(&format!("127.0.{}.9", n % 99))).collect();
        assert_eq!(staying(&operator), 3);
        drop((crowd, more, operator));
        assert!(sources.0.crowd(Rank::Here).guests.is_empty(), "all was given back");
    }

    /// Threats, Controller: a device is one device, however many connections it proves.
    #[tokio::test(start_paused = true)]
    async fn one_device_or_token_keeps_only_so_many() {
        let sources = Sources::new();
        let kept = |places: &[Seat]| places.iter().filter(|place| place.proved.get().is_some()).count();
        for (prover, most) in [(device(1), OF_DEVICE), (Prover::Operator([1; 32]), OPERATORS / 2)] {
            let places = come(&sources, 200, |_| "192.0.2.1".into()).await;
            places.iter().for_each(|place| place.proved(prover));
            assert_eq!(kept(&places), most);
        }
        let mut fleet = Vec::new();
        for n in 0..DEVICES {
            let place = take(&sources, "192.0.2.1").expect("let in");
            place.proved(device(n));
            fleet.push(place);
        }
        assert_eq!(kept(&fleet), DEVICES - 1, "a site behind one address has its devices in");
    }
}
