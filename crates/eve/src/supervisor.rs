//! `eve run`: starts the agents in order (AC-6), starts anew what dies, with a back-off, and stops all on SIGTERM, who asks before who answers.
//! It never touches a vault: an open vault stays open whatever dies. Killed, it takes its agents along (their parent-death signal).
//!
//! An agent that dies is started again after a pause: 0.2 s at first, doubled each time up to 10 s, and back to 0.2 s after it
//! lived for 30 s. One that is stopped, or hangs, is told of, then ended by force ([`pulse`]). Of the environment an agent gets `EVE_LOG`, `RUST_LOG` and `RUST_BACKTRACE`, and nothing else of root's shell.

mod pulse;

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, bail, ensure};
use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::SigmaskHow;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::{Pid, geteuid};

use crate::agents::vaultmgr::hands::{alone, away};
use crate::agents::{Options, STARTS_ANEW};
use crate::bus::messages::{AgentLine, Agents};
use crate::bus::{Agent, Bus};
use crate::sandbox::Unlisted;
use crate::{folders, paths};
use pulse::{Pulse, Seen, Verdict};

/// Pauses before an agent is started anew; back to the first after it lived for [`STABLE`].
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
const STABLE: Duration = Duration::from_secs(30);
/// How long an agent may take to end before it is killed.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often, and after what pause, a lock is tried that a look by a command may hold.
const LOOKS: usize = 10;
const A_LOOK: Duration = Duration::from_millis(20);

/// What agents inherit of the environment: how much they log.
const KEPT: [&str; 3] = ["EVE_LOG", "RUST_LOG", "RUST_BACKTRACE"];

struct Charge {
    agent: Agent,
    child: Option<Child>,
    since: Instant,
    pause: Duration,
    restarts: u32,
    pulse: Pulse,
}

/// Runs the node until SIGTERM or SIGINT.
///
/// # Errors
/// Not root, another `eve run` on this root or on its persist filesystem, or folders that can't be made.
pub fn run(root: &Path, options: Options, pass_on: &[String]) -> anyhow::Result<()> {
    ensure!(geteuid().is_root(), "eve run needs root: it gives each agent its own user");
    let root = root.canonicalize().with_context(|| {
        format!("the node's root {} can't be used: make it, or name another with --root", root.display())
    })?;
    let _lock = prepare(&root)?;
    let signals = signals()?;
    let bus = Bus::join(&root, Agent::Supervisor).context("the supervisor's socket")?;
    let mut charges: Vec<Charge> = Vec::new();
    for agent in Agent::STARTED {
        let child = Some(start(agent, &root, options, pass_on)?);
        charges.push(Charge {
            agent,
            child,
            since: Instant::now(),
            pause: FIRST_PAUSE,
            restarts: 0,
            pulse: Pulse::default(),
        });
    }
    publish(&bus, &charges);
    let heard = hear_signals(signals)?;
    while goes_on(&heard, next_look(&charges, Instant::now())) {
        let mut changed = false;
        for charge in &mut charges {
            changed |= look(charge, &root, options, pass_on);
            changed |= feel(charge);
        }
        if changed {
            publish(&bus, &charges);
        }
    }
    tracing::info!("stopping");
    for agent in Agent::STOPPED {
        charges.iter_mut().filter(|charge| charge.agent == agent).for_each(end);
    }
    Ok(())
}

/// Folders with their modes, and the lock of this root.
fn prepare(root: &Path) -> anyhow::Result<Flock<File>> {
    // On a disk that may not be there nothing is made.
    let persist: &[&str] = if away::is_suspected(root) { &[] } else { &["persist", "persist/status"] };
    for folder in [&["run", "run/eve"], persist].concat() {
        let path = root.join(folder);
        folders::make_if_writable(&path, (0, 0), 0o755)
            .with_context(|| format!("making {}", path.display()))?;
    }
    let path = paths::run(root).join("lock");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600).custom_flags(libc::O_NOFOLLOW);
    let file = options.open(&path).with_context(|| format!("opening {}", path.display()))?;
    let lock = locked(file).map_err(|(file, errno)| taken(root, &file, errno))?;
    alone_on_persist(root).map(|()| lock)
}

/// Commands that look whether a node runs hold it for a moment.
fn locked(mut file: File) -> Result<Flock<File>, (File, nix::errno::Errno)> {
    for _ in 0..LOOKS {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Err((same, nix::errno::Errno::EAGAIN)) => file = same,
            done => return done,
        }
        std::thread::sleep(A_LOOK);
    }
    Flock::lock(file, FlockArg::LockExclusiveNonblock)
}

/// That file is of this root alone, and may be deleted under a node that runs. The vaults themselves are held by each node's vaultmgr.
fn alone_on_persist(root: &Path) -> anyhow::Result<()> {
    match alone::taken(root) {
        Some(taken) => bail!("{}", taken.refuses()),
        None => Ok(()),
    }
}

/// Why the root can't be had for itself.
fn taken(root: &Path, lock: &File, errno: nix::errno::Errno) -> anyhow::Error {
    match errno {
        nix::errno::Errno::EAGAIN => {
            let by = alone::holder(lock).map(|pid| format!(" (process {pid})")).unwrap_or_default();
            anyhow::anyhow!(
                "another `eve run` works on {}{by}: end that one first, or give another --root",
                root.display()
            )
        }
        errno => {
            anyhow::Error::new(errno).context(format!("locking {}", paths::run(root).join("lock").display()))
        }
    }
}

/// Blocked in every thread, so that one thread can wait for them: an end that comes before it waits is not lost. Agents get an empty
/// mask again.
fn signals() -> nix::Result<SigSet> {
    let mut set = SigSet::empty();
    [Signal::SIGTERM, Signal::SIGINT, Signal::SIGCHLD].into_iter().for_each(|signal| set.add(signal));
    set.thread_block()?;
    Ok(set)
}

fn hear_signals(set: SigSet) -> std::io::Result<Receiver<Signal>> {
    let (sender, receiver) = channel();
    let hear = move || while set.wait().is_ok_and(|signal| sender.send(signal).is_ok()) {};
    thread::Builder::new().name("signals".to_owned()).spawn(hear)?;
    Ok(receiver)
}

/// Waits until an agent has ended or was stopped, or so long. Says no when the node is to stop.
fn goes_on(heard: &Receiver<Signal>, patience: Duration) -> bool {
    matches!(heard.recv_timeout(patience), Ok(Signal::SIGCHLD) | Err(RecvTimeoutError::Timeout))
}

/// How long until an agent that died is to be started anew, or one that runs is to be looked at.
fn next_look(charges: &[Charge], now: Instant) -> Duration {
    let due = |charge: &Charge| match charge.child {
        None => (charge.since + charge.pause).saturating_duration_since(now),
        Some(_) => charge.pulse.again(),
    };
    charges.iter().map(due).fold(pulse::EVERY, Duration::min)
}

/// The agent's first act: the signals that the supervisor blocked work again.
///
/// # Errors
/// The system's.
pub fn unblock_signals() -> nix::Result<()> {
    nix::sys::signal::sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)
}

fn start(agent: Agent, root: &Path, options: Options, pass_on: &[String]) -> anyhow::Result<Child> {
    let mut command = Command::new(PathBuf::from("/proc/self/exe"));
    command.args(pass_on).args(["agent", agent.name(), "--root"]).arg(root);
    command.args(["--supervisor", &std::process::id().to_string()]);
    command.args(["--poll-interval", &format!("{}ms", options.poll.as_millis())]);
    if options.unlisted == Unlisted::Ends {
        command.args(["--unlisted-calls", "ends"]);
    }
    // What root's shell had in its environment is no agent's business. libtss2 speaks to stderr by itself.
    command.env_clear().envs(std::env::vars_os().filter(|(name, _)| KEPT.iter().any(|kept| name == kept)));
    command.env("TSS2_LOG", "all+none").stdin(Stdio::null()).current_dir("/");
    let child = command.spawn().with_context(|| format!("starting {agent}"))?;
    tracing::info!(%agent, pid = child.id(), "started");
    Ok(child)
}

/// Starts anew what died, when its pause is over. Says whether something changed.
fn look(charge: &mut Charge, root: &Path, options: Options, pass_on: &[String]) -> bool {
    if let Some(child) = &mut charge.child {
        let Ok(Some(status)) = child.try_wait() else { return false };
        match status.code() {
            // Why, it has said itself.
            Some(code) if code == i32::from(STARTS_ANEW) => tracing::info!(agent = %charge.agent, "restarts"),
            None if status.signal() == Some(libc::SIGSYS) => tracing::error!(
                agent = %charge.agent,
                "ended by a system call that is not on its list: the kernel's log names it (type=1326)"
            ),
            _ => tracing::warn!(agent = %charge.agent, how = %status, "died"),
        }
        if charge.since.elapsed() >= STABLE {
            charge.pause = FIRST_PAUSE;
        }
        (charge.child, charge.pulse) = (None, Pulse::default());
        charge.since = Instant::now();
        return true;
    }
    if charge.since.elapsed() < charge.pause {
        return false;
    }
    charge.pause = (charge.pause * 2).min(LONGEST_PAUSE);
    charge.since = Instant::now();
    charge.restarts += 1;
    match start(charge.agent, root, options, pass_on) {
        Ok(child) => charge.child = Some(child),
        Err(error) => tracing::error!(error = %format!("{error:#}"), "not started"),
    }
    true
}

/// Looks whether an agent that runs still turns, and ends one that does not. Says whether something is to be told.
fn feel(charge: &mut Charge) -> bool {
    let Some(child) = &mut charge.child else { return false };
    let Some(seen) = Seen::of(child.id()) else { return false };
    // vaultmgr alone has work that nobody asks it for: leases end. The others may wait as long as a poll does.
    let by_itself = charge.agent == Agent::Vaultmgr;
    let verdict = charge.pulse.look(seen, by_itself, Instant::now(), SystemTime::now());
    match (verdict, charge.pulse.silent_since()) {
        (Verdict::Same, _) => return false,
        (Verdict::Tell, Some(_)) => tracing::warn!(agent = %charge.agent, %seen, "does not answer"),
        (Verdict::Tell, None) => tracing::info!(agent = %charge.agent, "answers again"),
        (Verdict::End, _) => {
            tracing::error!(agent = %charge.agent, %seen, "does not answer: ended by force, to be started again");
            let _ = child.kill();
        }
    }
    true
}

fn publish(bus: &Bus, charges: &[Charge]) {
    let line = |charge: &Charge| AgentLine {
        agent: charge.agent,
        pid: charge.child.as_ref().map(Child::id),
        restarts: charge.restarts,
        silent_since_unix_s: charge.pulse.silent_since().map(unix_s),
    };
    bus.publish(&Agents(charges.iter().map(line).collect()));
}

fn unix_s(at: SystemTime) -> u64 {
    at.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn end(charge: &mut Charge) {
    let Some(child) = &mut charge.child else { return };
    if let Ok(pid) = i32::try_from(child.id()) {
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
    }
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if !matches!(child.try_wait(), Ok(None)) {
            return;
        }
        thread::sleep(Duration::from_millis(20));
    }
    let _ = child.kill();
    let _ = child.wait();
}
