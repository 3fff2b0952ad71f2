//! The swtpm process.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::ports::{self, Pair};
use crate::process::{mortal, spawn};
use crate::wait;

/// How often another pair of ports is tried.
const ATTEMPTS: u32 = 20;
/// swtpm listens after some 15 ms; a loaded machine takes longer.
const START_PATIENCE: Duration = wait::PATIENCE;
const POLL: Duration = Duration::from_millis(2);

/// How it wakes: TPM2_Startup(CLEAR) or, after TPM2_Shutdown(STATE), TPM2_Startup(STATE).
#[derive(Clone, Copy)]
pub(super) enum Startup {
    Clear,
    State,
}

/// A running swtpm; killed on drop.
pub(super) struct Server {
    child: Child,
}

impl Server {
    /// Starts on ports of its own choice, which are its to the end.
    pub(super) fn start_anywhere(state: &Path) -> Result<(Self, Pair)> {
        for _ in 0..ATTEMPTS {
            let pair = Pair::free();
            if let Some(server) = Self::try_start(state, pair.first(), Startup::Clear)? {
                return Ok((server, pair));
            }
        }
        bail!("swtpm found no ports in {ATTEMPTS} attempts; see {}", log(state).display())
    }

    /// Starts on given ports, which may take a moment to become free.
    pub(super) fn start_at(state: &Path, port: u16, startup: Startup) -> Result<Self> {
        for _ in 0..ATTEMPTS {
            if let Some(server) = Self::try_start(state, port, startup)? {
                return Ok(server);
            }
            thread::sleep(Duration::from_millis(100));
        }
        bail!("swtpm does not start on port {port}; see {}", log(state).display())
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it by SIGTERM, as a service manager does, and waits until it has.
    pub(super) fn terminate(mut self) -> Result<()> {
        // Our own child, not waited for yet, so the pid is still its own.
        kill(Pid::from_raw(i32::try_from(self.pid())?), Signal::SIGTERM)?;
        wait::until("swtpm to end by SIGTERM", || self.child.try_wait().ok().flatten()).map(drop)
    }

    /// None if it ended before it listened: most likely somebody has the ports.
    fn try_start(state: &Path, port: u16, startup: Startup) -> Result<Option<Self>> {
        let mut server = Self { child: spawn(command(state, port, startup))? };
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

impl Startup {
    fn flags(self) -> &'static str {
        match self {
            Self::Clear => "not-need-init,startup-clear",
            Self::State => "not-need-init,startup-state",
        }
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

fn command(state: &Path, port: u16, startup: Startup) -> Command {
    let mut command = mortal("swtpm");
    command.args(["socket", "--tpm2"]);
    command.arg("--tpmstate").arg(format!("dir={}", state.display()));
    command.arg("--server").arg(format!("type=tcp,port={port},bindaddr=127.0.0.1"));
    command.arg("--ctrl").arg(format!("type=tcp,port={},bindaddr=127.0.0.1", port + 1));
    command.args(["--flags", startup.flags()]);
    command.arg("--log").arg(format!("file={}", log(state).display()));
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}
