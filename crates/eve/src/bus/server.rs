//! The answering end: one thread per connection, of which each peer has so many at most ([`Places`]).

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, Backlog, MsgFlags, SockFlag, SockType, UnixAddr, bind, listen, recv, socket,
};
use serde::{Deserialize, Serialize};
use vault::ids::VaultId;
use vault::text::quoted;

use super::contract::MOST_REFUSAL;
use super::frame::{self, Frame, FrameError};
use super::places::{BusSeat, Places};
use super::timed::Timed;
use super::traffic::{End, Exchange, Watchers};
use super::{Agent, Bus, Call, CallId, TopicId, peer, socket_path};

/// Longest first frame, in bytes: nobody is given more room before he is known and allowed.
const REQUEST: usize = 16;
/// How long a peer may take to say all that he wants, or to take all that we say.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often a watcher of calls is looked after.
const LOOK: Duration = Duration::from_secs(2);
/// The same of a subscriber to whom nothing is told. One that is gone is found out sooner: when something is published, when another
/// one comes, or when there is no place left.
const IDLE: Duration = Duration::from_secs(600);
/// How long a subscriber waits for the place of one that is gone.
const A_PLACE: Duration = Duration::from_millis(300);

/// The first frame of a connection.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) enum Request {
    /// Hear a topic from now on.
    Hear(TopicId),
    /// Ask once; the question is the next frame.
    Ask(CallId),
    /// Watch the calls that this agent is asked from now on.
    Watch,
}

/// What comes before an answer.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Preamble {
    /// The answer, or the values of the topic, follow.
    Granted,
    /// The table does not allow it.
    Refused,
    /// Allowed, and nobody answers yet.
    NotReady,
    /// Asked, and it failed: the answerer's reason follows.
    Failed,
    /// The question is not understood, or its answer too long.
    NotInContract,
    /// The peer has as many connections as he may have.
    Full,
}

/// What the question is about, and what is answered: an answer, or why there is none.
type Answered = (Option<VaultId>, Result<Result<Frame, Frame>, FrameError>);
type Answerer = Arc<dyn Fn(Agent, &[u8]) -> Answered + Send + Sync>;

/// A topic's value, as it is told.
#[derive(Clone)]
pub(super) enum Value {
    /// It is encoded.
    Known(Arc<Frame>),
    /// It is encoded once somebody is to be told the whole.
    Later(Arc<dyn Fn() -> Result<Frame, FrameError> + Send + Sync>),
}

struct Published {
    version: u64,
    value: Value,
    /// What made it of the version before, where that was a part.
    change: Option<Arc<Frame>>,
}

#[derive(Default)]
struct Offered {
    topics: BTreeMap<TopicId, Published>,
    answerers: BTreeMap<CallId, Answerer>,
}

/// The topics and calls of one agent.
pub(super) struct Server {
    agent: Agent,
    state: Mutex<Offered>,
    /// One for each topic: nobody wakes for what he does not hear.
    changed: [Condvar; TopicId::ALL.len()],
    places: Arc<Places>,
    watchers: Watchers,
}

/// The system's name of a socket has no room for its path.
#[derive(Debug, thiserror::Error)]
#[error("{path} is longer than a socket's name may be ({LONGEST_NAME} bytes): give a shorter --root")]
struct TooLong {
    path: String,
}

/// Of a path as a socket's name, in bytes: `sun_path` has 108, and the kernel ends it with a zero (unix(7)).
const LONGEST_NAME: usize = 107;

fn name(path: &Path) -> std::io::Result<UnixAddr> {
    UnixAddr::new(path).map_err(|error| match error {
        Errno::ENAMETOOLONG => std::io::Error::other(TooLong { path: quoted(&path.to_string_lossy()) }),
        other => other.into(),
    })
}

/// A socket that has its name, and does not listen yet: what an agent takes along when it gives up its rights.
pub struct Bound {
    socket: OwnedFd,
    root: PathBuf,
    agent: Agent,
}

impl Bound {
    /// Makes the socket of `agent`, replacing one that an earlier life left.
    ///
    /// # Errors
    /// The folder is missing, or not ours; its path is too long for a socket's name, of which the error says what to do.
    pub fn bind(root: &Path, agent: Agent) -> std::io::Result<Self> {
        let path = socket_path(root, agent);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let socket = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
        bind(socket.as_raw_fd(), &name(&path)?)?;
        // Whoever connects is judged by the table.
        fs::set_permissions(&path, Permissions::from_mode(0o666))?;
        Ok(Self { socket, root: root.to_owned(), agent })
    }

    /// Listens. From here on the kernel tells others who we are now.
    ///
    /// # Errors
    /// The system's.
    pub fn join(self) -> std::io::Result<Bus> {
        listen(&self.socket, Backlog::new(64)?)?;
        let listener = UnixListener::from(self.socket);
        let server = Arc::new(Server::new(self.agent));
        let accepting = Arc::clone(&server);
        thread::Builder::new().name("bus".to_owned()).spawn(move || accepting.accept(&listener))?;
        Ok(Bus { root: self.root, agent: self.agent, server: Some(server) })
    }
}

impl Server {
    fn new(agent: Agent) -> Self {
        Self {
            agent,
            state: Mutex::default(),
            changed: Default::default(),
            places: Arc::default(),
            watchers: Watchers::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, Offered> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn publish(&self, topic: TopicId, value: Value, change: Option<Arc<Frame>>) {
        let mut state = self.state();
        let version = state.topics.get(&topic).map_or(1, |before| before.version + 1);
        state.topics.insert(topic, Published { version, value, change });
        drop(state);
        self.changed[topic as usize].notify_all();
    }

    /// Threads of subscribers that are gone end.
    fn look_after_all(&self) {
        // Between its look and its wait a thread holds it, and would miss this.
        drop(self.state());
        self.changed.iter().for_each(Condvar::notify_all);
    }

    pub(super) fn serve<C: Call>(
        &self,
        answer: impl Fn(Agent, C) -> Result<C::Answer, C::Error> + Send + Sync + 'static,
    ) {
        let answerer = move |who, question: &[u8]| match frame::decode::<C>(question) {
            Ok(question) => {
                let about = question.about();
                let encoded = match answer(who, question) {
                    Ok(answer) => frame::encode_at_most(&answer, C::ID.most().1).map(Ok),
                    Err(reason) => frame::encode_at_most(&reason, MOST_REFUSAL).map(Err),
                };
                (about, encoded)
            }
            Err(error) => (None, Err(error)),
        };
        self.state().answerers.insert(C::ID, Arc::new(answerer));
    }

    fn accept(self: &Arc<Self>, listener: &UnixListener) {
        loop {
            match listener.accept() {
                Ok((stream, _)) => self.take(stream),
                Err(error) => {
                    tracing::warn!(%error, "accepting on the bus");
                    thread::sleep(Duration::from_millis(100));
                }
            }
        }
    }

    fn take(self: &Arc<Self>, stream: UnixStream) {
        let Ok(who) = peer::peer(&stream) else { return };
        let Some(place) = self.places.take(who) else {
            let _ = full(who, stream);
            return;
        };
        let server = Arc::clone(self);
        let talk = move || {
            if let Err(error) = server.talk(who, place, stream) {
                tracing::trace!(%error, "a connection on the bus ended");
            }
        };
        if let Err(error) = thread::Builder::new().name("bus-peer".to_owned()).spawn(talk) {
            tracing::warn!(%error, "a connection on the bus");
        }
    }

    fn talk(&self, who: Option<Agent>, place: BusSeat, stream: UnixStream) -> Result<(), FrameError> {
        let mut stream = Timed::new(stream, PATIENCE);
        let request: Request = frame::decode(&frame::read_at_most(&mut stream, REQUEST)?)?;
        match (who, request) {
            (Some(who), Request::Hear(topic)) if topic.publisher() == self.agent && topic.may_hear(who) => {
                let Some(_place) = self.to_hear(place) else { return full(Some(who), stream.into()) };
                frame::write(&mut stream, &frame::encode(&Preamble::Granted)?)?;
                self.tell(topic, stream)
            }
            (Some(who), Request::Ask(call)) if call.answerer() == self.agent && call.may_ask(who) => {
                self.answer(who, call, stream)
            }
            (Some(who @ Agent::Operator), Request::Watch) => {
                let Some(_place) = self.to_hear(place) else { return full(Some(who), stream.into()) };
                let exchanges = self.watchers.add();
                frame::write(&mut stream, &frame::encode(&Preamble::Granted)?)?;
                self.show(&exchanges, stream)
            }
            _ => {
                match who {
                    Some(who) => tracing::warn!(%who, "refused on the bus"),
                    // Not louder: any user could fill the log with it.
                    None => tracing::debug!("a stranger was refused on the bus"),
                }
                if let Request::Ask(call) = request {
                    self.watched(who, call, None, End::Refused);
                }
                frame::write(&mut stream, &frame::encode(&Preamble::Refused)?)
            }
        }
    }

    /// A place for hearing; those of peers that are gone come free first.
    fn to_hear(&self, place: BusSeat) -> Option<BusSeat> {
        self.look_after_all();
        place.for_hearing(A_PLACE)
    }

    fn answer(&self, who: Agent, call: CallId, mut stream: Timed) -> Result<(), FrameError> {
        let question = frame::read_at_most(&mut stream, call.most().0)?;
        let answerer = self.state().answerers.get(&call).cloned();
        let result = answerer.map(|answerer| answerer(who, &question));
        let about = result.as_ref().and_then(|(about, _)| *about);
        let (preamble, end, answer) = match result.map(|(_, answer)| answer) {
            None => (Preamble::NotReady, End::NotReady, None),
            Some(Ok(Ok(answer))) => (Preamble::Granted, End::Answered, Some(answer)),
            Some(Ok(Err(reason))) => (Preamble::Failed, End::Failed, Some(reason)),
            Some(Err(error)) => {
                tracing::error!(?call, %error, "not in the contract");
                (Preamble::NotInContract, End::Failed, None)
            }
        };
        self.watched(Some(who), call, about, end);
        stream.renew(PATIENCE);
        frame::write(&mut stream, &frame::encode(&preamble)?)?;
        answer.map_or(Ok(()), |answer| frame::write(&mut stream, &answer))
    }

    fn watched(&self, by: Option<Agent>, call: CallId, vault: Option<VaultId>, end: End) {
        self.watchers.tell(|| Exchange { by, of: self.agent, call, vault, end });
    }

    /// Each call as it ends, until the peer is gone.
    fn show(&self, exchanges: &Receiver<Exchange>, mut stream: Timed) -> Result<(), FrameError> {
        while !gone(stream.stream()) {
            if let Ok(exchange) = exchanges.recv_timeout(LOOK) {
                stream.renew(PATIENCE);
                frame::write(&mut stream, &frame::encode(&exchange)?)?;
            }
        }
        Ok(())
    }

    /// The newest value and every change after it, until the peer is gone.
    fn tell(&self, topic: TopicId, mut stream: Timed) -> Result<(), FrameError> {
        let mut told = 0;
        while !gone(stream.stream()) {
            if let Some((version, value)) = self.newer(topic, told, stream.stream()) {
                let value = value.encoded()?;
                stream.renew(PATIENCE);
                frame::write(&mut stream, &value)?;
                told = version;
            }
        }
        Ok(())
    }

    /// A value that `hearer` was not told, waited for; none when he may be gone.
    fn newer(&self, topic: TopicId, told: u64, hearer: &UnixStream) -> Option<(u64, Value)> {
        let newer = |state: &Offered| state.topics.get(&topic)?.after(told);
        let state = self.state();
        let found = newer(&state);
        if found.is_some() || gone(hearer) {
            return found;
        }
        let (state, _) =
            self.changed[topic as usize].wait_timeout(state, IDLE).unwrap_or_else(PoisonError::into_inner);
        newer(&state)
    }
}

impl Value {
    fn encoded(self) -> Result<Arc<Frame>, FrameError> {
        match self {
            Self::Known(frame) => Ok(frame),
            Self::Later(encode) => encode().map(Arc::new),
        }
    }
}

impl Published {
    /// What is to be said to whoever was told a version, and which one he is told by that; none: he knows it.
    fn after(&self, told: u64) -> Option<(u64, Value)> {
        let change = self.change.clone().filter(|_| told > 0 && told + 1 == self.version).map(Value::Known);
        (self.version > told).then(|| (self.version, change.unwrap_or_else(|| self.value.clone())))
    }
}

/// Tells a peer that he has as many connections as he may have, and waits for nothing.
fn full(who: Option<Agent>, mut stream: UnixStream) -> Result<(), FrameError> {
    // Not louder: a stranger could fill the log with it.
    tracing::debug!(?who, "too many connections on the bus");
    stream.set_nonblocking(true)?;
    frame::write(&mut stream, &frame::encode(&Preamble::Full)?)
}

/// A subscriber says nothing; what can be read is his end.
fn gone(stream: &UnixStream) -> bool {
    let mut byte = [0];
    recv(stream.as_raw_fd(), &mut byte, MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT).is_ok()
}

#[cfg(test)]
mod tests;
