//! A controller: the real `evc serve` on a data folder, on one loopback port over all its restarts, and the
//! operator's command line against it.

use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::node::Onboarding;
use crate::ports::Pair;
use crate::process::{Programs, Running, mortal, output};
use crate::wait;

/// Ours at debug; libraries tell each query and record.
const LOG: &str = "debug,hyper=info,hyper_util=info,rustls=info,tower_http=info";

/// A controller.
pub struct Evc {
    dir: PathBuf,
    server: Option<Running>,
    // The first of them is its, over all its restarts.
    ports: Pair,
    log_level: &'static str,
    programs: Programs,
    names: &'static [&'static str],
}

impl Evc {
    /// Starts a new controller whose data lie in `dir`/data and whose log is `dir`/evc.log.
    ///
    /// # Errors
    /// It does not start; the end of its log is in the error.
    pub fn new(dir: &Path) -> Result<Self> {
        Self::logging(dir, LOG)
    }

    /// The same with the log that operators have, for measuring, and by these programs.
    ///
    /// # Errors
    /// As [`Evc::new`].
    pub fn quiet(dir: &Path, programs: &Programs) -> Result<Self> {
        Self::made(dir, "info", programs.clone(), &[])
    }

    /// The same with a log of this level, as EVC_LOG says it.
    ///
    /// # Errors
    /// As [`Evc::new`].
    pub fn logging(dir: &Path, log_level: &'static str) -> Result<Self> {
        Self::made(dir, log_level, Programs::default(), &[])
    }

    /// The same for nodes in VMs, which reach it by another address.
    ///
    /// # Errors
    /// As [`Evc::new`].
    pub fn for_vms(dir: &Path) -> Result<Self> {
        Self::made(dir, LOG, Programs::default(), &["--name", crate::vm::HOST])
    }

    fn made(
        dir: &Path,
        log_level: &'static str,
        programs: Programs,
        names: &'static [&'static str],
    ) -> Result<Self> {
        fs::create_dir_all(dir)?;
        let mut evc =
            Self { dir: dir.canonicalize()?, server: None, ports: Pair::free(), log_level, programs, names };
        evc.start()?;
        Ok(evc)
    }

    /// Starts it (again), on the port it had.
    ///
    /// # Errors
    /// As [`Evc::new`].
    pub fn start(&mut self) -> Result<()> {
        let mut command = mortal(self.programs.path("evc")?);
        command.args(["serve", "--listen", &self.server(), "--poll-seconds", "1"]);
        command.args(self.names).arg("--data").arg(self.data()).env("EVC_LOG", self.log_level);
        let _ = fs::remove_file(self.data().join("url"));
        let mut server = Running::start(command, &self.log())?;
        wait::until("evc to listen, or end", || {
            self.listens().then_some(()).or_else(|| server.alive().err().map(drop))
        })?;
        server.alive().context("evc serve")?;
        self.server = Some(server);
        Ok(())
    }

    /// It says so once it does: what answers on the port without that is not it.
    fn listens(&self) -> bool {
        self.data().join("url").exists()
            && TcpStream::connect((Ipv4Addr::LOCALHOST, self.ports.first())).is_ok()
    }

    /// Ends it by SIGTERM.
    ///
    /// # Errors
    /// It does not end.
    pub fn stop(&mut self) -> Result<()> {
        self.server.take().map_or(Ok(()), Running::terminate)
    }

    /// Kills it.
    pub fn kill9(&mut self) {
        self.server = None;
    }

    /// Its process; none while it is down.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.server.as_ref().map(Running::pid)
    }

    /// Its data folder.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// Its log, at level debug unless told.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.dir.join("evc.log")
    }

    /// `host:port`, as /config/server on a node says it.
    #[must_use]
    pub fn server(&self) -> String {
        format!("127.0.0.1:{}", self.ports.first())
    }

    /// Runs `evc ARGS` as the operator; returns what it printed.
    ///
    /// # Errors
    /// It fails; its words are in the error.
    pub fn run(&self, args: &[&str]) -> Result<String> {
        output(Command::new(self.programs.path("evc")?).args(args).env("EVC_DATA", self.data()))
    }

    /// The same with `--output json`.
    ///
    /// # Errors
    /// As [`Evc::run`], or no JSON.
    pub fn json(&self, args: &[&str]) -> Result<Value> {
        let text = self.run(&[args, &["--output", "json"]].concat())?;
        serde_json::from_str(&text).with_context(|| format!("evc {args:?} printed {text}"))
    }

    /// `evc apply -f` of a file with this YAML. Each call has a file of its own: several threads may apply at once.
    ///
    /// # Errors
    /// As [`Evc::run`].
    pub fn apply(&self, yaml: &str) -> Result<String> {
        static APPLIED: AtomicUsize = AtomicUsize::new(0);
        let file = self.dir.join(format!("apply-{}.yaml", APPLIED.fetch_add(1, Ordering::SeqCst)));
        fs::write(&file, yaml)?;
        self.run(&["apply", "--file", &file.to_string_lossy()])
    }

    /// Allows a node to register.
    ///
    /// # Errors
    /// As [`Evc::run`].
    pub fn allow(&self, who: &Onboarding, name: &str) -> Result<()> {
        let cert = who.certificate.to_string_lossy();
        self.run(&["onboard", "add", "--cert", &cert, "--serial", &who.serial, "--name", name]).map(drop)
    }

    /// A vault as `evc describe vault` shows it.
    ///
    /// # Errors
    /// As [`Evc::json`].
    pub fn vault(&self, device: &str, vault: &str) -> Result<Value> {
        self.json(&["describe", "vault", vault, "--device", device])
    }

    /// Waits until a node has reported that it took the newest key of a vault: then the next one may be made.
    ///
    /// # Errors
    /// It does not.
    pub fn until_taken(&self, device: &str, vault: &str) -> Result<()> {
        let taken = |seen: &Result<Value>| {
            seen.as_ref().is_ok_and(|seen| {
                seen["reported_epoch"].is_u64() && seen["reported_epoch"] == seen["current_epoch"]
            })
        };
        wait::until_is("a report of the newest epoch", || self.vault(device, vault), taken).map(drop)
    }

    /// Approves every reference value that waits; waits for the first.
    ///
    /// # Errors
    /// None comes.
    pub fn approve_references(&self, device: &str) -> Result<()> {
        self.approve_references_within(wait::PATIENCE, device)
    }

    /// The same, of a node that may take longer.
    ///
    /// # Errors
    /// As [`approve_references`](Self::approve_references).
    pub fn approve_references_within(&self, patience: Duration, device: &str) -> Result<()> {
        let waiting = |row: &&Value| row["state"] == "pending";
        let ids = wait::within(patience, "a reference value to approve", || {
            let rows = self.json(&["reference", "list", "--device", device])?;
            let all = rows.as_array().into_iter().flatten();
            let ids: Vec<_> = all.filter(waiting).map(|row| row["id"].to_string()).collect();
            if ids.is_empty() { bail!("{rows}") } else { Ok(ids) }
        })?;
        ids.iter().try_for_each(|id| self.run(&["reference", "approve", id]).map(drop))
    }
}
