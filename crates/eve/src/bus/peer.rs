//! Who is at the other end, as the kernel says.

use std::os::unix::net::UnixStream;

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};

use super::Agent;

/// The agent at the other end; none for a stranger. Of a listener the kernel tells who made it listen.
pub(super) fn peer(stream: &UnixStream) -> std::io::Result<Option<Agent>> {
    let who = getsockopt(stream, PeerCredentials)?;
    Ok(Agent::of_ids(who.uid(), who.gid()))
}
