//! Pairs of adjacent loopback ports. They lie below the range that the kernel hands out by itself, so that nobody
//! gets one by chance while its server is down; and a pair that somebody here has is nobody else's until its value goes.

use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::{BuildHasher, Hasher};
use std::net::{Ipv4Addr, TcpListener};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

/// Even ports from here on.
const FIRST: u16 = 12_000;
/// How many pairs there are: up to 31998.
const PAIRS: u16 = 10_000;

/// A pair of ports, kept from every other process of tests while it lives, whoever listens on them just now.
#[derive(Debug)]
pub struct Pair {
    first: u16,
    // A name of the kernel's, and no file: it ends with this process, however that dies.
    _kept: UnixListener,
}

impl Pair {
    /// One on which nobody listens.
    #[must_use]
    pub fn free() -> Self {
        loop {
            let pair = Self::kept(FIRST + 2 * random_below(PAIRS));
            if let Some(pair) = pair.filter(|pair| pair.bind().is_ok()) {
                return pair;
            }
        }
    }

    /// This one; none where somebody has it.
    fn kept(first: u16) -> Option<Self> {
        let name = SocketAddr::from_abstract_name(format!("eve-vault-test-ports-{first}")).ok()?;
        UnixListener::bind_addr(&name).ok().map(|kept| Self { first, _kept: kept })
    }

    /// The first of both; the second is the next one.
    #[must_use]
    pub fn first(&self) -> u16 {
        self.first
    }

    /// Listens on both.
    pub(crate) fn bind(&self) -> std::io::Result<[TcpListener; 2]> {
        let bind = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
        Ok([bind(self.first)?, bind(self.first + 1)?])
    }
}

/// The standard library's seed is random, which is all that is needed here.
fn random_below(bound: u16) -> u16 {
    (RandomState::new().build_hasher().finish() % u64::from(bound)) as u16
}

/// Whether `pid` itself listens on both ports of a pair; asks the kernel, connects to nobody.
pub(crate) fn listens(pid: u32, first: u16) -> bool {
    let sockets = sockets_of(pid);
    let table = fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    [first, first + 1]
        .iter()
        .all(|port| listener(&table, *port).is_some_and(|inode| sockets.contains(&inode)))
}

/// `socket:[INODE]` of each open socket.
fn sockets_of(pid: u32) -> Vec<String> {
    let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    files.filter_map(|file| fs::read_link(file.path()).ok()).map(|link| link.display().to_string()).collect()
}

/// The socket that listens on 127.0.0.1:`port`, from a line of /proc/net/tcp: number, local address, remote, state
/// (0A is LISTEN), queues, timers, retransmits, uid, timeout, inode.
fn listener(table: &str, port: u16) -> Option<String> {
    let local = format!("0100007F:{port:04X}");
    table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .find(|columns| columns.get(1) == Some(&local.as_str()) && columns.get(3) == Some(&"0A"))
        .and_then(|columns| columns.get(9).map(|inode| format!("socket:[{inode}]")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that is down for a while finds its port again: nobody else was given it meanwhile.
    #[test]
    fn a_pair_is_nobody_elses_until_its_value_goes_whoever_listens() {
        let pair = Pair::free();
        let first = pair.first();
        drop(pair.bind().expect("free"));
        assert!(Pair::kept(first).is_none(), "nobody listens, and it is taken");
        drop(pair);
        // A child of another test may hold what it inherits until it is another program.
        crate::wait::until("the pair to be free", || Pair::kept(first)).expect("nobody has it");
    }
}
