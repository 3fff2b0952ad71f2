//! `eve run`: starts the agents in order (AC-6), starts anew what dies, with a back-off, and stops all in reverse on SIGTERM.
//! It never touches a vault: an open vault stays open whatever dies. Killed, it takes its agents along (their parent-death signal).
//!
//! An agent that dies is started again after a pause: 0.2 s at first, doubled each time up to 10 s, and back to 0.2 s after it
//! lived for 30 s. Of the environment an agent gets `EVE_LOG`, `RUST_LOG` and `RUST_BACKTRACE`, and nothing else of root's shell.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::SigmaskHow;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::{Pid, geteuid};

use crate::agents::vaultmgr::hands::away;
use crate::agents::{Options, STARTS_ANEW};
use crate::bus::messages::{AgentLine, Agents};
use crate::bus::{Agent, Bus};
use crate::sandbox::Unlisted;
use crate::{folders, paths};

/// Pauses before an agent is started anew; back to the first after it lived for [`STABLE`].
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
const STABLE: Duration = Duration::from_secs(30);
/// How often the agents are looked at though the kernel said nothing of them.
const LOOK: Duration = Duration::from_secs(600);
/// How long an agent may take to end before it is killed.
const PATIENCE: Duration = Duration::from_secs(5);

/// What agents inherit of the environment: how much they log.
const KEPT: [&str; 3] = ["EVE_LOG", "RUST_LOG", "RUST_BACKTRACE"];

struct Charge {
    agent: Agent,
    child: Option<Child>,
    since: Instant,
    pause: Duration,
    restarts: u32,
}

/// Runs the node until SIGTERM or SIGINT.
///
/// # Errors
/// Not root, another `eve run` on this root, or folders that can't be made.
pub fn run(root: &Path, options: Options, pass_on: &[String]) -> anyhow::Result<()> {
    ensure!(geteuid().is_root(), "eve run needs root: it gives each agent its own user");
    let root = root.canonicalize().with_context(|| format!("the node's root {}", root.display()))?;
    let _lock = prepare(&root)?;
    let signals = signals()?;
    let bus = Bus::join(&root, Agent::Supervisor).context("the supervisor's socket")?;
    let mut charges: Vec<Charge> = Vec::new();
    for agent in Agent::STARTED {
        let child = Some(start(agent, &root, options, pass_on)?);
        charges.push(Charge { agent, child, since: Instant::now(), pause: FIRST_PAUSE, restarts: 0 });
    }
    publish(&bus, &charges);
    let heard = hear_signals(signals)?;
    while goes_on(&heard, next_start(&charges, Instant::now())) {
        let mut changed = false;
        for charge in &mut charges {
            changed |= look(charge, &root, options, pass_on);
        }
        if changed {
            publish(&bus, &charges);
        }
    }
    tracing::info!("stopping");
    charges.iter_mut().rev().for_each(end);
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
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| taken(root, errno))
}

/// Why the root can't be had for itself.
fn taken(root: &Path, errno: nix::errno::Errno) -> anyhow::Error {
    match errno {
        nix::errno::Errno::EAGAIN => anyhow::anyhow!(
            "another `eve run` works on {}: end that one first, or give another --root",
            root.display()
        ),
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

/// Waits until an agent has ended, or so long. Says no when the node is to stop.
fn goes_on(heard: &Receiver<Signal>, patience: Duration) -> bool {
    matches!(heard.recv_timeout(patience), Ok(Signal::SIGCHLD) | Err(RecvTimeoutError::Timeout))
}

/// How long until an agent that died is to be started anew.
fn next_start(charges: &[Charge], now: Instant) -> Duration {
    let due = |charge: &Charge| (charge.since + charge.pause).saturating_duration_since(now);
    charges.iter().filter(|charge| charge.child.is_none()).map(due).fold(LOOK, Duration::min)
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
            code => tracing::warn!(agent = %charge.agent, ?code, signal = ?status.signal(), "died"),
        }
        if charge.since.elapsed() >= STABLE {
            charge.pause = FIRST_PAUSE;
        }
        charge.child = None;
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

fn publish(bus: &Bus, charges: &[Charge]) {
    let line = |charge: &Charge| AgentLine {
        agent: charge.agent,
        pid: charge.child.as_ref().map(Child::id),
        restarts: charge.restarts,
    };
    bus.publish(&Agents(charges.iter().map(line).collect()));
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
