//! The asking end. A call ends by its deadline, whatever the answerer does: who is busy does not accept, who was taken over may
//! answer a byte at a time.

use std::path::Path;
use std::time::Duration;

use super::frame::{self, FrameError};
use super::server::{Verdict, Wish};
use super::timed::{Timed, is_late};
use super::{Agent, Call, peer, socket_path};

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Nobody listens there: the agent is starting or down. Try again.
    #[error("{agent} can't be reached on the bus; is `eve run` running with this --root?")]
    Unreachable {
        /// Whom.
        agent: Agent,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is there and did not answer in time: it is busy, or hangs. Try again.
    #[error("{0} does not answer on the bus; see its lines in the log of `eve run`")]
    Late(Agent),
    /// Somebody else listens there.
    #[error("the socket of {0} is not held by {0}")]
    Impostor(Agent),
    /// The table forbids it.
    #[error("not allowed on the bus")]
    Refused,
    /// The agent is not ready to answer this yet. Try again.
    #[error("the agent is not ready yet")]
    NotReady,
    /// It was asked and it failed; the words are the answerer's.
    #[error("{0}")]
    Failed(String),
    /// The exchange broke off.
    #[error("the exchange on the bus broke off")]
    Frame(#[from] FrameError),
}

/// Connects, and may go on talking until `patience` is over.
pub(super) fn connect(root: &Path, agent: Agent, patience: Duration) -> Result<Timed, CallError> {
    let stream = Timed::connect(&socket_path(root, agent), patience).map_err(|source| match source {
        late if is_late(&late) => CallError::Late(agent),
        source => CallError::Unreachable { agent, source },
    })?;
    // The supervisor has an operator's ids: it is root, without a group of its own.
    let expected = if agent == Agent::Supervisor { Agent::Operator } else { agent };
    match peer::peer(stream.stream()).map_err(FrameError::from)? {
        Some(who) if who == expected => Ok(stream),
        _ => Err(CallError::Impostor(agent)),
    }
}

pub(super) fn call<C: Call>(root: &Path, call: &C, patience: Duration) -> Result<C::Answer, CallError> {
    let agent = C::ID.answerer();
    exchange(connect(root, agent, patience)?, call).map_err(|error| match error {
        CallError::Frame(FrameError::Io(error)) if is_late(&error) => CallError::Late(agent),
        other => other,
    })
}

fn exchange<C: Call>(mut stream: Timed, call: &C) -> Result<C::Answer, CallError> {
    let question = frame::encode(call)?;
    frame::write(&mut stream, &frame::encode(&Wish::Ask(C::ID))?)?;
    // Refused already, the answerer hangs up: what he said is still to be read.
    let sent = frame::write(&mut stream, &question);
    let verdict: Verdict = match frame::read(&mut stream) {
        Ok(frame) => frame::decode(&frame)?,
        Err(error) => return Err(sent.err().unwrap_or(error).into()),
    };
    granted(verdict)?;
    Ok(frame::decode(&frame::read(&mut stream)?)?)
}

pub(super) fn granted(verdict: Verdict) -> Result<(), CallError> {
    match verdict {
        Verdict::Granted => Ok(()),
        Verdict::Refused => Err(CallError::Refused),
        Verdict::NotReady => Err(CallError::NotReady),
        Verdict::Failed(words) => Err(CallError::Failed(words)),
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;
    use std::sync::mpsc::channel;
    use std::thread;

    use nix::errno::Errno;
    use nix::sys::socket::{
        AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, connect, listen, socket,
    };

    use super::*;
    use crate::bus::Bus;
    use crate::bus::messages::Vaults;

    /// Threats, bus: an agent that takes no connections, and whose queue strangers filled, holds up nobody.
    #[test]
    fn a_full_queue_of_connections_ends_a_call_in_its_time() {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::create_dir_all(dir.path().join("run/eve")).expect("makes");
        let place = UnixAddr::new(&socket_path(dir.path(), Agent::Vaultmgr)).expect("a short path");
        let unix = |flags| socket(AddressFamily::Unix, SockType::Stream, flags, None).expect("a socket");
        let listener = unix(SockFlag::empty());
        bind(listener.as_raw_fd(), &place).expect("binds");
        listen(&listener, Backlog::new(1).expect("small")).expect("listens");
        let mut strangers = Vec::new();
        let full = loop {
            strangers.push(unix(SockFlag::SOCK_NONBLOCK));
            if let Err(errno) = connect(strangers[strangers.len() - 1].as_raw_fd(), &place) {
                break errno;
            }
        };
        assert_eq!(full, Errno::EAGAIN);
        let (sender, ended) = channel();
        let bus = Bus::visit(dir.path(), Agent::Operator);
        thread::spawn(move || sender.send(bus.call_patiently(&Vaults, Duration::from_millis(200))));
        let answer = ended.recv_timeout(Duration::from_secs(60)).expect("it ends");
        assert!(matches!(answer, Err(CallError::Late(Agent::Vaultmgr))), "{:?}", answer.err());
    }
}
