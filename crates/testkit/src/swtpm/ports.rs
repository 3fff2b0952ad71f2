//! Pairs of adjacent loopback ports. They lie below the range that the kernel hands out by itself, so that nobody
//! gets one by chance while a TPM is being reset.

use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::{BuildHasher, Hasher};
use std::net::{Ipv4Addr, TcpListener};

/// Even ports from here on.
const FIRST: u16 = 12_000;
/// How many pairs there are: up to 31998.
const PAIRS: u16 = 10_000;

/// A pair that is free just now, by its first port. Another process may be faster: check who got it.
#[must_use]
pub fn free_pair() -> u16 {
    loop {
        let first = FIRST + 2 * random_below(PAIRS);
        if bind_pair(first).is_ok() {
            return first;
        }
    }
}

/// Listens on both ports of a pair.
pub(super) fn bind_pair(first: u16) -> std::io::Result<[TcpListener; 2]> {
    let bind = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    Ok([bind(first)?, bind(first + 1)?])
}

/// The standard library's seed is random, which is all that is needed here.
fn random_below(bound: u16) -> u16 {
    (RandomState::new().build_hasher().finish() % u64::from(bound)) as u16
}

/// Whether `pid` itself listens on both ports of a pair; asks the kernel, connects to nobody.
pub(super) fn listens(pid: u32, first: u16) -> bool {
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
