//! Processes of a test. The kernel kills them when the test process dies (`setpriv --pdeathsig`); the signal comes
//! when the *thread* that started them ends, so they are started by one that never does.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

use crate::wait;

type Order = (Command, Sender<std::io::Result<Child>>);

/// Closes all but the three that everybody has, and becomes the program. libtss2 opens its connections for children to inherit: a TPM whose
/// client had gone was held, and shut to all others, by a process that another test had started meanwhile, for as long as that lived.
const BARE: &str =
    r#"for fd in /proc/$$/fd/*; do fd=${fd##*/}; if ((fd > 2)); then exec {fd}>&-; fi; done; exec "$@""#;

/// A command that dies with this process, and inherits nothing of what it has open.
pub(crate) fn mortal(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--", "bash", "-c", BARE, "bash"]);
    command.arg(program).stdin(Stdio::null());
    command
}

/// Starts a process from the thread that never ends.
pub(crate) fn spawn(command: Command) -> Result<Child> {
    static STARTER: OnceLock<Mutex<Sender<Order>>> = OnceLock::new();
    let starter = STARTER.get_or_init(|| {
        let (orders, queue) = mpsc::channel::<Order>();
        thread::spawn(move || {
            queue.into_iter().for_each(|(mut command, answer)| drop(answer.send(command.spawn())));
        });
        Mutex::new(orders)
    });
    let (answer, child) = mpsc::channel();
    let order = starter.lock().expect("nobody panics while sending").send((command, answer));
    order.context("the starting thread")?;
    child.recv().context("the starting thread")?.context("setpriv (util-linux) could not be run")
}

/// A process with its log; killed on drop.
pub struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    /// Starts `command` (of [`mortal`]) with both its outputs appended to `log`.
    pub(crate) fn start(mut command: Command, log: &Path) -> Result<Self> {
        let out = append(log)?;
        command.stderr(out.try_clone()?).stdout(out);
        Ok(Self { child: spawn(command)?, log: log.to_owned() })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Fails when it has ended, with the end of its log.
    pub(crate) fn alive(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("ended ({status}): {}", tail(&self.log)),
        }
    }

    /// SIGTERM, then waits for its end.
    pub(crate) fn terminate(mut self) -> Result<()> {
        let pid = i32::try_from(self.pid()).context("a pid")?;
        kill(Pid::from_raw(pid), Signal::SIGTERM)?;
        wait::until("a process to end on SIGTERM", || self.child.try_wait().ok().flatten()).map(drop)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Our own child, not waited for yet, so the pid is still its own.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn append(log: &Path) -> Result<File> {
    OpenOptions::new().create(true).append(true).open(log).with_context(|| log.display().to_string())
}

fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().rev().take(8).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}

/// This program's path, asked for once: in a mount namespace entered later the kernel may no longer know it.
pub(crate) fn own_path() -> &'static Path {
    static OWN: OnceLock<PathBuf> = OnceLock::new();
    OWN.get_or_init(|| std::env::current_exe().unwrap_or_default())
}

/// Where `eve` and `evc` are taken from.
#[derive(Debug, Clone, Default)]
pub struct Programs(Option<PathBuf>);

impl Programs {
    /// Those of another build, which lie in this folder.
    ///
    /// # Errors
    /// One is not there.
    pub fn of(folder: &Path) -> Result<Self> {
        let folder = folder.canonicalize().with_context(|| folder.display().to_string())?;
        let missing = ["eve", "evc"].into_iter().find(|name| !folder.join(name).is_file());
        missing.map_or(Ok(Self(Some(folder.clone()))), |name| bail!("no {name} in {}", folder.display()))
    }

    /// Whether they are of the build that runs now, and so take all that it knows.
    #[must_use]
    pub fn are_ours(&self) -> bool {
        self.0.is_none()
    }

    /// One of them.
    ///
    /// # Errors
    /// As [`program`].
    pub fn path(&self, name: &str) -> Result<PathBuf> {
        self.0.as_ref().map_or_else(|| program(name), |folder| Ok(folder.join(name)))
    }
}

/// A program of this workspace, as it was built beside the one that runs now.
///
/// # Errors
/// It was not built; the text says how to.
pub fn program(name: &str) -> Result<PathBuf> {
    let own = own_path();
    let found = own.ancestors().skip(1).take(2).map(|folder| folder.join(name)).find(|path| path.is_file());
    found.with_context(|| {
        format!("{name} is not built beside {}: run `cargo build --workspace`", own.display())
    })
}

/// Waits for the end of a process, and brings it about once `patience` is over.
pub(crate) fn wait_at_most(mut child: Child, patience: Duration) -> Result<ExitStatus> {
    let pid = Pid::from_raw(i32::try_from(child.id()).context("a pid")?);
    let (ended, end) = mpsc::channel::<()>();
    let watch = thread::spawn(move || {
        if end.recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
            let _ = kill(pid, Signal::SIGKILL);
        }
    });
    // Not reaped until nobody kills any more: so long the pid is its own.
    let waited = waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT);
    drop(ended);
    watch.join().expect("it can't panic");
    waited?;
    Ok(child.wait()?)
}

/// Runs a command to its end; returns its standard output.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("{command:?} could not be run"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    if !output.status.success() {
        bail!("{command:?}: {}\n{out}{err}", output.status);
    }
    Ok(out)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]
mod tests {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

    use super::*;

    /// What libtss2 has open is not held by another test's swtpm, controller or node.
    #[test]
    fn a_process_of_a_test_inherits_nothing_that_others_have_open() {
        let dir = tempfile::tempdir().unwrap();
        let _inherited =
            socket(AddressFamily::Inet, SockType::Stream, SockFlag::empty(), None).expect("a socket");
        let mut sleep = mortal("sleep");
        sleep.arg("600");
        let child = Running::start(sleep, &dir.path().join("log")).unwrap();
        let proc = PathBuf::from(format!("/proc/{}", child.pid()));
        let is_it = || std::fs::read_to_string(proc.join("comm")).is_ok_and(|name| name.trim() == "sleep");
        wait::until("the program", || is_it().then_some(())).unwrap();
        let open = std::fs::read_dir(proc.join("fd")).unwrap().map(|entry| entry.unwrap().file_name());
        let mut open: Vec<_> = open.collect();
        open.sort();
        assert_eq!(open, ["0", "1", "2"]);
    }
}
