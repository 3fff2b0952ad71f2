//! The swtpm process: started by a thread that lives as long as the test process, so that the kernel kills it when
//! that process dies (`setpriv --pdeathsig`; the signal comes when the *thread* that started it ends).

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Sender};
use std::sync::{Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::ports;

/// How often another pair of ports is tried.
const ATTEMPTS: u32 = 20;
/// swtpm listens after some 15 ms; a loaded machine takes longer.
const START_PATIENCE: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(2);

/// A running swtpm; killed on drop.
pub(super) struct Server {
    child: Child,
    port: u16,
}

impl Server {
    /// Starts on ports of its own choice.
    pub(super) fn start_anywhere(state: &Path) -> Result<Self> {
        for _ in 0..ATTEMPTS {
            if let Some(server) = Self::try_start(state, ports::free_pair())? {
                return Ok(server);
            }
        }
        bail!("swtpm found no ports in {ATTEMPTS} attempts; see {}", log(state).display())
    }

    /// Starts on given ports, which may take a moment to become free.
    pub(super) fn start_at(state: &Path, port: u16) -> Result<Self> {
        for _ in 0..ATTEMPTS {
            if let Some(server) = Self::try_start(state, port)? {
                return Ok(server);
            }
            thread::sleep(Duration::from_millis(100));
        }
        bail!("swtpm does not start on port {port}; see {}", log(state).display())
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// None if it ended before it listened: most likely somebody has the ports.
    fn try_start(state: &Path, port: u16) -> Result<Option<Self>> {
        let mut server = Self { child: spawn(command(state, port))?, port };
        let deadline = Instant::now() + START_PATIENCE;
        while Instant::now() < deadline {
            if ports::listens(server.pid(), port) {
                return Ok(Some(server));
            }
            if server.child.try_wait()?.is_some() {
                return Ok(None);
            }
            thread::sleep(POLL);
        }
        bail!("swtpm runs but does not listen on port {port}")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Our own child, not waited for yet, so the pid is still its own.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn log(state: &Path) -> PathBuf {
    state.join("swtpm.log")
}

fn command(state: &Path, port: u16) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "swtpm", "socket", "--tpm2"]);
    command.arg("--tpmstate").arg(format!("dir={}", state.display()));
    command.arg("--server").arg(format!("type=tcp,port={port},bindaddr=127.0.0.1"));
    command.arg("--ctrl").arg(format!("type=tcp,port={},bindaddr=127.0.0.1", port + 1));
    command.args(["--flags", "not-need-init,startup-clear"]);
    command.arg("--log").arg(format!("file={}", log(state).display()));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

type Order = (Command, Sender<std::io::Result<Child>>);

/// Starts a process from the thread that never ends.
fn spawn(command: Command) -> Result<Child> {
    static STARTER: OnceLock<Mutex<Sender<Order>>> = OnceLock::new();
    let starter = STARTER.get_or_init(|| {
        let (orders, queue) = mpsc::channel::<Order>();
        thread::spawn(move || {
            queue.into_iter().for_each(|(mut command, answer)| drop(answer.send(command.spawn())))
        });
        Mutex::new(orders)
    });
    let (answer, child) = mpsc::channel();
    starter
        .lock()
        .expect("nobody panics while sending")
        .send((command, answer))
        .context("the starting thread")?;
    child.recv().context("the starting thread")?.context("setpriv (util-linux) could not be run")
}
