//! The asking end. A call ends by its deadline, whatever the answerer does: who is busy does not accept, who was taken over may
//! answer a byte at a time.

use std::path::Path;
use std::time::Duration;

use super::contract::MOST_REFUSAL;
use super::frame::{self, Frame, FrameError};
use super::server::{Preamble, Request};
use super::timed::{Timed, is_late};
use super::{Agent, Call, peer, socket_path};

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError<E: std::error::Error + 'static> {
    /// It did not come to an answer.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// It was asked and it failed: the answerer's own reason.
    #[error(transparent)]
    Failed(E),
}

/// Why nothing came of an exchange on the bus.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// Nobody listens there: the agent is starting or down. Try again.
    #[error("{agent} can't be reached on the bus; is `eve run` running with this --root?")]
    Unreachable { agent: Agent, source: std::io::Error },
    /// It is there and did not answer in time: it is busy, or hangs. Try again.
    #[error("{0} does not answer on the bus; see its lines in the log of `eve run`")]
    Late(Agent),
    /// Somebody else listens there.
    #[error(
        "the socket of {0} under run/eve is held by another program: end that one, then restart `eve run`"
    )]
    Impostor(Agent),
    /// The contract forbids it.
    #[error("the bus does not allow this: are you root, and is `eve` of the version that runs there?")]
    Refused,
    /// The agent is not ready to answer this yet. Try again.
    #[error("the agent is starting and does not answer this yet: try again in a moment, or see `eve status`")]
    NotReady,
    /// The question was not understood, or there is no room for its answer: a fault of ours.
    #[error(
        "the agent does not know this question, or has no room for its answer: use the `eve` that runs there"
    )]
    NotInContract,
    /// There are as many connections to it as one user may have. Try again.
    #[error(
        "the agent takes no more connections of yours: end some `eve bus tail`, `eve wait` or others that still run, then try again"
    )]
    Full,
    /// The exchange broke off.
    #[error("the exchange on the bus broke off: try again; the log of `eve run` says whether the agent died")]
    Frame(#[from] FrameError),
}

/// Connects, and may go on talking until `patience` is over.
pub(super) fn connect(root: &Path, agent: Agent, patience: Duration) -> Result<Timed, BusError> {
    let stream = Timed::connect(&socket_path(root, agent), patience).map_err(|source| match source {
        late if is_late(&late) => BusError::Late(agent),
        source => BusError::Unreachable { agent, source },
    })?;
    // The supervisor has an operator's ids: it is root, without a group of its own.
    let expected = if agent == Agent::Supervisor { Agent::Operator } else { agent };
    match peer::peer(stream.stream()).map_err(FrameError::from)? {
        Some(who) if who == expected => Ok(stream),
        _ => Err(BusError::Impostor(agent)),
    }
}

pub(super) fn call<C: Call>(
    root: &Path,
    call: &C,
    patience: Duration,
) -> Result<C::Answer, CallError<C::Error>> {
    let agent = C::ID.answerer();
    let said = connect(root, agent, patience).and_then(|stream| exchange(stream, call));
    let said = said.map_err(|error| match error {
        BusError::Frame(FrameError::Io(error)) if is_late(&error) => BusError::Late(agent),
        other => other,
    })?;
    said.map_err(CallError::Failed)
}

fn exchange<C: Call>(mut stream: Timed, call: &C) -> Result<Result<C::Answer, C::Error>, BusError> {
    let (most_asked, most_answered) = C::ID.most();
    let question = frame::encode_at_most(call, most_asked)?;
    let preamble = preamble(&mut stream, Request::Ask(C::ID), Some(&question))?;
    if matches!(preamble, Preamble::Failed) {
        return Ok(Err(frame::decode(&frame::read_at_most(&mut stream, MOST_REFUSAL)?)?));
    }
    granted(&preamble)?;
    Ok(Ok(frame::decode(&frame::read_at_most(&mut stream, most_answered)?)?))
}

/// Says what is wanted, and hears whether it is granted.
pub(super) fn preamble(
    stream: &mut Timed,
    request: Request,
    question: Option<&Frame>,
) -> Result<Preamble, BusError> {
    let asked = frame::write(stream, &frame::encode(&request)?);
    let sent = asked.and_then(|()| question.map_or(Ok(()), |question| frame::write(stream, question)));
    // Refused already, the other one hangs up: what he said is still to be read.
    match frame::read(stream) {
        Ok(preamble) => Ok(frame::decode(&preamble)?),
        Err(error) => Err(sent.err().unwrap_or(error).into()),
    }
}

pub(super) fn granted(preamble: &Preamble) -> Result<(), BusError> {
    match preamble {
        Preamble::Granted => Ok(()),
        Preamble::Refused => Err(BusError::Refused),
        Preamble::NotReady => Err(BusError::NotReady),
        Preamble::Full => Err(BusError::Full),
        Preamble::NotInContract | Preamble::Failed => Err(BusError::NotInContract),
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
        let ask = move || drop(sender.send(bus.call_patiently(&Vaults, Duration::from_millis(200))));
        thread::spawn(ask);
        let answer = ended.recv_timeout(Duration::from_secs(60)).expect("it ends");
        assert!(matches!(answer, Err(CallError::Bus(BusError::Late(Agent::Vaultmgr)))), "{:?}", answer.err());
    }
}
