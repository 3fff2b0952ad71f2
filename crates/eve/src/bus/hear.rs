//! The hearing end. A topic is a state: of values that come faster than they are taken, only the newest is kept, and none is
//! longer than its row of the table says. So a publisher that was taken over can't fill its hearers' memory.

use std::collections::VecDeque;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use super::client::{BusError, connect, granted, preamble};
use super::frame::{self, FrameError};
use super::server::Request;
use super::{Agent, Change, Exchange, Published, Topic, traffic};

/// Pauses between attempts to reach a publisher; and how long one may take.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Why there is no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Silence {
    /// None has come yet.
    #[error("nothing was published in time")]
    Yet,
    /// The table forbids hearing this topic: none ever comes.
    #[error("not allowed on the bus")]
    Refused,
    /// There are as many connections as one user may have: it is tried again.
    #[error("no more connections are taken")]
    Full,
}

/// What is heard of an agent, as it comes: of a topic the newest value, in place of one that nobody took. Its connection ends with it.
pub struct Subscription<T>(Arc<Slot<T>>);

struct Slot<T> {
    state: Mutex<Inbox<T>>,
    changed: Condvar,
}

struct Inbox<T> {
    /// Heard, and not taken yet.
    waiting: VecDeque<T>,
    silence: Silence,
    /// Where it is heard.
    line: Option<UnixStream>,
}

impl<T> Inbox<T> {
    fn is_silent(&mut self) -> bool {
        self.waiting.is_empty() && self.silence != Silence::Refused
    }
}

impl<T> Slot<T> {
    fn state(&self) -> MutexGuard<'_, Inbox<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Inbox<T>)) {
        change(&mut self.state());
        self.changed.notify_all();
    }
}

impl<T> Drop for Slot<T> {
    /// Nobody wants to know any more: whoever still waits for what comes next hears the end of it.
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = &state.line {
            let _ = line.shutdown(Shutdown::Both);
        }
    }
}

impl<T> Subscription<T> {
    /// The next value, waited for so long at most.
    ///
    /// # Errors
    /// [`Silence`].
    pub fn next_within(&self, patience: Duration) -> Result<T, Silence> {
        let waited = self.0.changed.wait_timeout_while(self.0.state(), patience, Inbox::is_silent);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let silence = state.silence;
        state.waiting.pop_front().ok_or(silence)
    }
}

/// Waits for each; ends where the table forbids hearing them.
impl<T> Iterator for Subscription<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        let waited = self.0.changed.wait_while(self.0.state(), Inbox::is_silent);
        waited.unwrap_or_else(PoisonError::into_inner).waiting.pop_front()
    }
}

pub(super) fn subscribe<T: Topic>(root: &Path, by: Agent) -> Subscription<T> {
    let (of, request) = (T::ID.publisher(), Request::Hear(T::ID));
    Hearer { root: root.to_owned(), by, of, request, longest: T::ID.most(), most: 1, take: told::<T> }.start()
}

/// A topic's new value by what is said of it. `before`: what was heard on this connection, while there are changes to be made to it.
fn told<T: Topic>(frame: &[u8], before: &mut Option<T>) -> Result<T, FrameError> {
    let value = match frame::decode::<Published<T, T::Change>>(frame)? {
        Published::Whole(value) => value,
        Published::Part(change) => {
            let mut value = before.take().ok_or(FrameError::NothingBefore)?;
            change.change(&mut value);
            value
        }
    };
    if <T::Change as Change<T>>::ANY {
        *before = Some(value.clone());
    }
    Ok(value)
}

/// Calls are no state: whoever is slow may be some behind.
pub(super) fn watch(root: &Path, by: Agent, of: Agent) -> Subscription<Exchange> {
    let (longest, most) = (traffic::LONGEST, traffic::BEHIND);
    let take = |frame: &[u8], _: &mut Option<Exchange>| frame::decode(frame);
    Hearer { root: root.to_owned(), by, of, request: Request::Watch, longest, most, take }.start()
}

/// Who hears what of whom.
struct Hearer<T> {
    root: PathBuf,
    by: Agent,
    of: Agent,
    request: Request,
    /// Longest value, in bytes.
    longest: usize,
    /// Most values that wait to be taken; the oldest goes for one more.
    most: usize,
    /// A value by what is said, and by the one before.
    take: Take<T>,
}

type Take<T> = fn(&[u8], &mut Option<T>) -> Result<T, FrameError>;

impl<T: Send + 'static> Hearer<T> {
    fn start(self) -> Subscription<T> {
        let state = Mutex::new(Inbox { waiting: VecDeque::new(), silence: Silence::Yet, line: None });
        let slot = Arc::new(Slot { state, changed: Condvar::new() });
        let (of, hearing) = (self.of, thread::Builder::new().name(format!("{:?}", self.request)));
        let into = Arc::downgrade(&slot);
        if let Err(error) = hearing.spawn(move || self.hear(&into)) {
            tracing::error!(%error, %of, "not subscribed");
        }
        Subscription(slot)
    }

    /// Until nobody wants to know any more.
    fn hear(&self, into: &Weak<Slot<T>>) {
        let (of, request) = (self.of, self.request);
        let mut pause = FIRST_PAUSE;
        while into.strong_count() > 0 {
            let heard = self.hear_once(into, &mut pause);
            into.upgrade().iter().for_each(|slot| slot.state().line = None);
            match heard {
                Ok(()) => {}
                Err(BusError::Refused) => {
                    // On the command line somebody may just not be root: whoever listens is told, and tells it.
                    if self.by != Agent::Operator {
                        tracing::error!(%of, ?request, "the table forbids hearing it");
                    }
                    return into
                        .upgrade()
                        .iter()
                        .for_each(|slot| slot.change(|state| state.silence = Silence::Refused));
                }
                Err(error) => {
                    let silence = if matches!(error, BusError::Full) { Silence::Full } else { Silence::Yet };
                    into.upgrade().iter().for_each(|slot| slot.state().silence = silence);
                    tracing::trace!(%of, ?request, %error, "reconnecting");
                }
            }
            if into.strong_count() == 0 {
                return;
            }
            thread::sleep(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn hear_once(&self, into: &Weak<Slot<T>>, pause: &mut Duration) -> Result<(), BusError> {
        let mut stream = connect(&self.root, self.of, LONGEST_PAUSE)?;
        granted(&preamble(&mut stream, self.request, None)?)?;
        *pause = FIRST_PAUSE;
        // The next change may be far away.
        let mut stream = stream.for_ever().map_err(FrameError::from)?;
        let line = stream.try_clone().map_err(FrameError::from)?;
        let Some(()) = into.upgrade().map(|slot| slot.state().line = Some(line)) else { return Ok(()) };
        let mut before = None;
        loop {
            let value = (self.take)(&frame::read_at_most(&mut stream, self.longest)?, &mut before)?;
            let Some(slot) = into.upgrade() else { return Ok(()) };
            slot.change(|state| {
                if state.waiting.len() >= self.most {
                    state.waiting.pop_front();
                }
                state.waiting.push_back(value);
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::bus::messages::Agents;
    use crate::bus::{Agent, Bus, TopicId, socket_path};

    const PATIENCE: Duration = Duration::from_secs(60);

    /// A publisher that says what it likes, to one hearer.
    fn publisher() -> (tempfile::TempDir, Subscription<Agents>, UnixStream) {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::create_dir_all(dir.path().join("run/eve")).expect("makes");
        // The tests' own user is root, and so is the supervisor.
        let listener = UnixListener::bind(socket_path(dir.path(), Agent::Supervisor)).expect("binds");
        let topic = Bus::visit(dir.path(), Agent::Operator).subscribe::<Agents>();
        let (mut stream, _) = listener.accept().expect("a hearer");
        stream.set_read_timeout(Some(PATIENCE)).expect("sets");
        stream.read_exact(&mut [0; 6]).expect("its request");
        say(&mut stream, &[0]);
        (dir, topic, stream)
    }

    fn say(stream: &mut UnixStream, frame: &[u8]) {
        let length = u32::try_from(frame.len()).expect("short").to_le_bytes();
        stream.write_all(&length).and_then(|()| stream.write_all(frame)).expect("is heard");
    }

    /// One agent, nim, that was started anew so often.
    fn agents(restarts: u8) -> [u8; 6] {
        [0, 1, 1, 0, restarts, 0]
    }

    /// Threats, bus: a publisher fills nobody's memory, and nobody works off what is no longer so.
    #[test]
    fn of_values_that_nobody_took_the_newest_is_kept_and_none_is_longer_than_the_table_says() {
        let (_dir, topic, mut stream) = publisher();
        (1..=100).for_each(|restarts| say(&mut stream, &agents(restarts)));
        let longer = u32::try_from(TopicId::Agents.most() + 1).expect("short");
        stream.write_all(&longer.to_le_bytes()).expect("is heard");
        // He hangs up when he has heard all of it.
        assert_eq!(stream.read(&mut [0]).expect("his end"), 0);
        assert_eq!(topic.next_within(PATIENCE).expect("the newest").0[0].restarts, 100);
        assert_eq!(topic.next_within(Duration::ZERO).err(), Some(Silence::Yet));
    }

    /// Attack A3: who has looked and goes on living keeps no connection, though nothing more is ever published.
    #[test]
    fn the_connection_ends_when_nobody_wants_to_know_any_more() {
        let (_dir, topic, mut stream) = publisher();
        say(&mut stream, &agents(1));
        assert!(topic.next_within(PATIENCE).is_ok());
        drop(topic);
        assert_eq!(stream.read(&mut [0]).expect("his end"), 0);
    }

    /// The twin: whoever takes them in time gets each, as long as it may be.
    #[test]
    fn values_that_are_taken_come_one_after_the_other() {
        let (_dir, topic, mut stream) = publisher();
        for restarts in 1..=3 {
            say(&mut stream, &agents(restarts));
            assert_eq!(topic.next_within(PATIENCE).expect("comes").0[0].restarts, u32::from(restarts));
        }
        let many = TopicId::Agents.most() / 4 - 1;
        let [low, high] = [many & 0x7f | 0x80, many >> 7].map(|byte| u8::try_from(byte).expect("seven bits"));
        say(&mut stream, &[vec![0, low, high], [1, 0, 0, 0].repeat(many)].concat());
        assert_eq!(topic.next_within(PATIENCE).expect("comes").0.len(), many);
    }
}
