//! A broker between the agents of one node, which cuts. Each agent has a root of its own, and what it finds there in place of the
//! others' sockets are ours: each says to the kernel that it is the agent that is meant, and reaches that one as the agent that came.
//! So both ends hold each other for what the contract says, and every frame between them passes here.

use std::fs::{self, Permissions};
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use eve::bus::{Agent, CallId, MAX_FRAME, TopicId, socket_path};
use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket};
use rustix::process::{Gid, Uid};
use rustix::thread::{set_thread_res_gid, set_thread_res_uid};

/// What happens to the n-th frame of each link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The connection ends before it.
    Close,
    /// And in the middle of it.
    Tear,
    /// Nothing passes on this connection any more, and after a while it ends.
    Silence,
    /// It comes late.
    Delay,
    /// For a while every connection of the link ends at its first frame.
    Down,
}

impl Fault {
    pub(super) const ALL: [Self; 5] = [Self::Close, Self::Tear, Self::Silence, Self::Delay, Self::Down];
}

/// How long an agent is silent, late or down.
const WHILE: Duration = Duration::from_secs(1);

/// Who reaches whom: frames both ways are counted together.
pub(super) struct Link {
    asker: Agent,
    of: Agent,
    armed: Mutex<Armed>,
    frames: AtomicUsize,
}

/// What is to happen on a link, and when it did.
struct Armed {
    plan: Option<(Fault, usize)>,
    met: Option<Instant>,
}

impl Link {
    /// What happens to one more frame.
    fn meet(&self) -> Option<Fault> {
        let mut armed = self.armed.lock().expect("whole");
        let frame = self.frames.fetch_add(1, Ordering::SeqCst);
        let (fault, nth) = armed.plan?;
        if frame == nth {
            armed.met = Some(Instant::now());
            return Some(fault);
        }
        let down = fault == Fault::Down && armed.met.is_some_and(|at| at.elapsed() < WHILE);
        down.then_some(fault)
    }

    fn arm(&self, plan: Option<(Fault, usize)>) {
        let mut armed = self.armed.lock().expect("whole");
        *armed = Armed { plan, met: None };
        self.frames.store(0, Ordering::SeqCst);
    }
}

impl std::fmt::Display for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} to {}: {}", self.asker, self.of, self.frames.load(Ordering::SeqCst))
    }
}

/// Who has anything to hear or to ask of whom, by the contract.
fn links() -> Vec<(Agent, Agent)> {
    let heard = TopicId::ALL.iter().flat_map(|id| id.hearers().iter().map(|who| (*who, id.publisher())));
    let asked = CallId::ALL.iter().flat_map(|id| id.askers().iter().map(|who| (*who, id.answerer())));
    let mut links: Vec<_> = heard.chain(asked).collect();
    links.sort();
    links.dedup();
    links
}

/// The broker; it ends with its value.
pub(super) struct Broker {
    links: Vec<Arc<Link>>,
    over: Arc<AtomicBool>,
    listening: Vec<(PathBuf, JoinHandle<()>)>,
}

impl Broker {
    /// Stands between agents whose roots are these, and does this to the n-th frame of each link.
    pub(super) fn between(
        root: fn(&Path, Agent) -> PathBuf,
        dir: &Path,
        plan: Option<(Fault, usize)>,
    ) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let (mut all, mut listening) = (Vec::new(), Vec::new());
        for (asker, of) in links() {
            let (frames, armed) = (AtomicUsize::new(0), Mutex::new(Armed { plan, met: None }));
            let link = Arc::new(Link { asker, of, armed, frames });
            let (place, real) = (socket_path(&root(dir, asker), of), socket_path(&root(dir, of), of));
            let listener = listener_of(of, &place);
            let (passing, over) = (Arc::clone(&link), Arc::clone(&over));
            listening.push((place, thread::spawn(move || accept(&listener, &passing, &real, &over))));
            all.push(link);
        }
        Self { links: all, over, listening }
    }

    /// From now on this happens to the n-th frame of each link.
    pub(super) fn arm(&self, plan: Option<(Fault, usize)>) {
        self.links.iter().for_each(|link| link.arm(plan));
    }

    /// The most frames of any link since.
    pub(super) fn frames(&self) -> usize {
        self.links.iter().map(|link| link.frames.load(Ordering::SeqCst)).max().unwrap_or_default()
    }

    /// On how many links it came to the fault.
    pub(super) fn met(&self) -> usize {
        self.links.iter().filter(|link| link.armed.lock().expect("whole").met.is_some()).count()
    }

    /// What passed on each, in words.
    pub(super) fn told(&self) -> String {
        self.links.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        for (place, listening) in self.listening.drain(..) {
            // It waits for somebody.
            drop(UnixStream::connect(place));
            let _ = listening.join();
        }
    }
}

/// The kernel tells who listens: that is the thread that made it do so. Without the rights of a root that it was.
fn listener_of(agent: Agent, place: &Path) -> UnixListener {
    let place = place.to_owned();
    let made = move || {
        let socket = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
        bind(socket.as_raw_fd(), &UnixAddr::new(&place)?)?;
        fs::set_permissions(&place, Permissions::from_mode(0o666))?;
        become_agent(agent)?;
        listen(&socket, Backlog::new(64)?)?;
        io::Result::Ok(UnixListener::from(socket))
    };
    thread::spawn(made).join().expect("it can't panic").expect("a socket")
}

/// This thread alone.
fn become_agent(agent: Agent) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(agent.row().uid), Gid::from_raw(agent.row().gid));
    set_thread_res_gid(gid, gid, gid)?;
    Ok(set_thread_res_uid(uid, uid, uid)?)
}

fn accept(listener: &UnixListener, link: &Arc<Link>, real: &Path, over: &AtomicBool) {
    for taken in listener.incoming() {
        if over.load(Ordering::SeqCst) {
            return;
        }
        let (link, real) = (Arc::clone(link), real.to_owned());
        // Whoever finds nobody there hangs up, as an agent does that dies.
        thread::spawn(move || taken.and_then(|taken| pass(&link, &taken, &real)));
    }
}

/// Both ways, until one end or the fault ends it.
fn pass(link: &Arc<Link>, asker: &UnixStream, real: &Path) -> io::Result<()> {
    become_agent(link.asker)?;
    let of = UnixStream::connect(real)?;
    thread::scope(|scope| {
        scope.spawn(|| pump(link, asker, &of));
        pump(link, &of, asker);
    });
    Ok(())
}

fn pump(link: &Link, from: &UnixStream, to: &UnixStream) {
    while let Ok(frame) = frame(from) {
        if !handed_on(link.meet(), &frame, to) {
            break;
        }
    }
    for end in [from, to] {
        // It may be gone.
        let _ = end.shutdown(Shutdown::Both);
    }
}

fn handed_on(fault: Option<Fault>, frame: &[u8], mut to: &UnixStream) -> bool {
    match fault {
        None => to.write_all(frame).is_ok(),
        Some(Fault::Close | Fault::Down) => false,
        Some(Fault::Tear) => to.write_all(&frame[..4 + (frame.len() - 4) / 2]).is_err(),
        Some(Fault::Silence) => {
            thread::sleep(WHILE);
            false
        }
        Some(Fault::Delay) => {
            thread::sleep(WHILE);
            to.write_all(frame).is_ok()
        }
    }
}

fn frame(mut from: &UnixStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let body = (u32::from_le_bytes(length) as usize).min(MAX_FRAME);
    let mut frame = [&length[..], &vec![0; body]].concat();
    from.read_exact(&mut frame[4..])?;
    Ok(frame)
}
