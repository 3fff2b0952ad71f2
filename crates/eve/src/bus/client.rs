//! The asking and hearing end.

use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::frame::{self, FrameError};
use super::server::{Verdict, Wish};
use super::{Agent, Call, Exchange, Topic, peer, socket_path};

/// Pauses between attempts to reach a publisher.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

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
    /// The exchange broke off, or took too long.
    #[error("the exchange on the bus broke off")]
    Frame(#[from] FrameError),
}

fn connect(root: &Path, agent: Agent, patience: Option<Duration>) -> Result<UnixStream, CallError> {
    let stream = UnixStream::connect(socket_path(root, agent))
        .map_err(|source| CallError::Unreachable { agent, source })?;
    let io = |error: std::io::Error| CallError::Frame(error.into());
    stream.set_read_timeout(patience).map_err(io)?;
    stream.set_write_timeout(Some(patience.unwrap_or(LONGEST_PAUSE))).map_err(io)?;
    // The supervisor has an operator's ids: it is root, without a group of its own.
    let expected = if agent == Agent::Supervisor { Agent::Operator } else { agent };
    match peer::peer(&stream).map_err(io)? {
        Some(who) if who == expected => Ok(stream),
        _ => Err(CallError::Impostor(agent)),
    }
}

pub(super) fn call<C: Call>(root: &Path, call: &C, patience: Duration) -> Result<C::Answer, CallError> {
    let mut stream = connect(root, C::ID.answerer(), Some(patience))?;
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

fn granted(verdict: Verdict) -> Result<(), CallError> {
    match verdict {
        Verdict::Granted => Ok(()),
        Verdict::Refused => Err(CallError::Refused),
        Verdict::NotReady => Err(CallError::NotReady),
        Verdict::Failed(words) => Err(CallError::Failed(words)),
    }
}

/// Values of a topic as they come.
pub struct Subscription<T>(Receiver<T>);

impl<T> Subscription<T> {
    /// The next value; none if none comes in `patience`.
    pub fn next_within(&self, patience: Duration) -> Option<T> {
        match self.0.recv_timeout(patience) {
            Ok(value) => Some(value),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => {
                thread::sleep(patience);
                None
            }
        }
    }

    /// The newest value that has come, without waiting.
    pub fn newest(&self) -> Option<T> {
        self.0.try_iter().last()
    }

    /// The receiver itself.
    #[must_use]
    pub fn into_receiver(self) -> Receiver<T> {
        self.0
    }
}

pub(super) fn subscribe<T: Topic>(root: &Path) -> Subscription<T> {
    follow(root, T::ID.publisher(), Wish::Hear(T::ID))
}

pub(super) fn watch(root: &Path, agent: Agent) -> Subscription<Exchange> {
    follow(root, agent, Wish::Watch)
}

fn follow<T: DeserializeOwned + Send + 'static>(root: &Path, of: Agent, wish: Wish) -> Subscription<T> {
    let (sender, receiver) = channel();
    let root = root.to_owned();
    let name = format!("{wish:?}");
    let hear = move || hear(&root, of, wish, &sender);
    if let Err(error) = thread::Builder::new().name(name).spawn(hear) {
        tracing::error!(%error, %of, "not subscribed");
    }
    Subscription(receiver)
}

/// Hears until nobody wants to know any more.
fn hear<T: DeserializeOwned>(root: &Path, of: Agent, wish: Wish, sender: &Sender<T>) {
    let mut pause = FIRST_PAUSE;
    loop {
        match hear_once(root, of, wish, sender, &mut pause) {
            Ok(()) => return,
            Err(CallError::Refused) => return tracing::error!(%of, ?wish, "the table forbids hearing it"),
            Err(error) => tracing::trace!(%of, ?wish, %error, "reconnecting"),
        }
        thread::sleep(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn hear_once<T: DeserializeOwned>(
    root: &Path,
    of: Agent,
    wish: Wish,
    sender: &Sender<T>,
    pause: &mut Duration,
) -> Result<(), CallError> {
    let mut stream = connect(root, of, None)?;
    frame::write(&mut stream, &frame::encode(&wish)?)?;
    granted(frame::decode(&frame::read(&mut stream)?)?)?;
    *pause = FIRST_PAUSE;
    loop {
        let value = frame::decode(&frame::read(&mut stream)?)?;
        if sender.send(value).is_err() {
            return Ok(());
        }
    }
}
