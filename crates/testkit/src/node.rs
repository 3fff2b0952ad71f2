//! An edge node on this machine: a disk (loop-mounted ext4 with encryption), a software TPM, a root folder, and the
//! real `eve run` on it. Words: to *reboot* is to end every process, unmount, reset the TPM, measure the boot state
//! into it, mount and start; *cleanly*, or by power cut (kill -9, and the TPM without its shutdown).

mod disk_copy;
mod onboarding;
mod status;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

pub use onboarding::Onboarding;

use crate::evc::Evc;
use crate::loopfs::LoopFs;
use crate::process::{Programs, Running, mortal, output};
use crate::swtpm::{BootState, Swtpm};
use crate::wait;

/// Size of a node's disk unless told.
pub const DISK: u64 = 256 << 20;

/// How the power goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Power {
    /// By SIGTERM, unmount and TPM2_Shutdown.
    Clean,
    /// By kill -9, and the TPM with no shutdown.
    Cut,
}

/// What a node is made of.
#[derive(Debug, Clone)]
pub struct Parts {
    /// With a TPM.
    pub tpm: bool,
    /// The banks of PCRs that its TPM is made with, as swtpm_setup names them.
    pub banks: &'static str,
    /// Size of its disk in bytes.
    pub disk: u64,
    /// The disk is mounted on the node's whole root, and `persist` is a folder of it.
    pub disk_around: bool,
    /// Between two polls, as `eve run --poll-interval` takes it.
    pub poll: String,
    /// What its firmware measures.
    pub boot: BootState,
    /// What it logs, as RUST_LOG says it.
    pub log: &'static str,
    /// By which programs it runs.
    pub programs: Programs,
}

/// Ours at debug; libraries tell each record.
const LOG: &str = "debug,tss_esapi=off,ureq=info,ureq_proto=info,rustls=info";

impl Default for Parts {
    fn default() -> Self {
        let (poll, boot) = ("200ms".to_owned(), BootState::named("good"));
        let banks = crate::swtpm::SHA256;
        let programs = Programs::default();
        Self { tpm: true, banks, disk: DISK, disk_around: false, poll, boot, log: LOG, programs }
    }
}

/// A node.
pub struct Node {
    // In the order of their end: processes, the TPM, the mount.
    eve: Option<Running>,
    tpm: Option<Swtpm>,
    disk: LoopFs,
    parts: Parts,
    dir: PathBuf,
    name: String,
}

impl Node {
    /// Makes a node in `dir`, lets it register at `evc` under `name`, and starts it.
    ///
    /// # Errors
    /// A part that can't be made or started.
    pub fn new(dir: &Path, name: &str, evc: &Evc, parts: Parts) -> Result<Self> {
        let mut node = Self::made(dir, name, evc, parts)?;
        node.start()?;
        Ok(node)
    }

    /// The same, not started.
    ///
    /// # Errors
    /// As [`Node::new`].
    pub fn made(dir: &Path, name: &str, evc: &Evc, parts: Parts) -> Result<Self> {
        fs::create_dir_all(dir)?;
        let dir = dir.canonicalize()?;
        let tpm = parts.tpm.then(|| Swtpm::with_banks(&dir.join("tpm"), name, parts.banks)).transpose()?;
        let at = if parts.disk_around { "node" } else { "node/persist" };
        let disk = LoopFs::create(&dir.join("disk.img"), &dir.join(at), parts.disk)?;
        fs::create_dir_all(dir.join("node/config"))?;
        let node = Self { eve: None, tpm, disk, parts, dir, name: name.to_owned() };
        evc.allow(&Onboarding::write(&node.root().join("config"), name)?, name)?;
        node.point_at(evc)?;
        node.measure()?;
        Ok(node)
    }

    /// The node whose disk, TPM and /config lie in `dir` already and which this controller knows. Not started.
    ///
    /// # Errors
    /// As [`Node::new`].
    pub fn kept(dir: &Path, name: &str, evc: &Evc, parts: Parts) -> Result<Self> {
        let dir = dir.canonicalize()?;
        let tpm = parts.tpm.then(|| Swtpm::kept(&dir.join("tpm"))).transpose()?;
        let disk = LoopFs::open(&dir.join("disk.img"), &dir.join("node/persist"))?;
        let node = Self { eve: None, tpm, disk, parts, dir, name: name.to_owned() };
        node.point_at(evc)?;
        node.measure()?;
        Ok(node)
    }

    /// Writes the files by which it reaches this controller and its TPM.
    ///
    /// # Errors
    /// The file system's.
    pub fn point_at(&self, evc: &Evc) -> Result<()> {
        let config = self.root().join("config");
        fs::write(config.join("server"), evc.server())?;
        fs::copy(evc.data().join("root-certificate.pem"), config.join("root-certificate.pem"))?;
        self.write_tcti()
    }

    fn write_tcti(&self) -> Result<()> {
        let tcti = self.tpm.as_ref().map(Swtpm::tcti);
        tcti.map_or(Ok(()), |tcti| Ok(fs::write(self.root().join("config/tcti"), tcti)?))
    }

    fn measure(&self) -> Result<()> {
        self.tpm.as_ref().map_or(Ok(()), |tpm| tpm.extend_boot_state(&self.parts.boot))
    }

    /// Starts `eve run`.
    ///
    /// # Errors
    /// It can't be started.
    pub fn start(&mut self) -> Result<()> {
        let mut command = mortal(self.parts.programs.path("eve")?);
        command.arg("run").arg("--root").arg(self.root()).args(["--poll-interval", &self.parts.poll]);
        // A call that an agent's list lacks is found here. Older builds have no such word.
        if self.parts.programs.are_ours() {
            command.args(["--unlisted-calls", "ends"]);
        }
        command.env("RUST_LOG", self.parts.log);
        self.eve = Some(Running::start(command, &self.log())?);
        Ok(())
    }

    /// Ends `eve run` and its agents.
    ///
    /// # Errors
    /// They do not end.
    pub fn stop(&mut self, power: Power) -> Result<()> {
        self.keeps_to_its_calls()?;
        match (power, self.eve.take()) {
            (_, None) => Ok(()),
            (Power::Clean, Some(eve)) => eve.terminate(),
            (Power::Cut, Some(eve)) => self.kill(eve),
        }
    }

    /// Kills all at once; the kernel needs a moment for the agents.
    fn kill(&self, eve: Running) -> Result<()> {
        let agents = self.processes();
        drop(eve);
        wait::until("the agents to die with eve run", || {
            agents.iter().all(|pid| !Path::new(&format!("/proc/{pid}")).exists()).then_some(())
        })
    }

    /// The pids of `eve run` and its agents. Who only looks at the node is none of them.
    #[must_use]
    pub fn processes(&self) -> Vec<i32> {
        let root = self.root();
        let runs_here = |pid: &i32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let args: Vec<_> = line.split(|byte| *byte == 0).collect();
            args.iter().any(|arg| matches!(*arg, b"run" | b"agent"))
                && args.contains(&root.as_os_str().as_encoded_bytes())
                && line.starts_with(b"/")
        };
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(runs_here).collect()
    }

    /// Turns the node off: nothing runs, the disk is not mounted, the kernel has forgotten its keys.
    ///
    /// # Errors
    /// Something holds on.
    pub fn off(&mut self, power: Power) -> Result<()> {
        self.stop(power)?;
        self.disk.unmount()
    }

    /// Turns it on again: a TPM reset, the boot state measured, `eve run`.
    ///
    /// # Errors
    /// A part does not start.
    pub fn on(&mut self, power: Power) -> Result<()> {
        self.boot(power)?;
        self.start()
    }

    /// The same with a disk that can't be written, as the kernel mounts one that has errors.
    ///
    /// # Errors
    /// As [`Node::on`].
    pub fn on_read_only(&mut self, power: Power) -> Result<()> {
        self.boot(power)?;
        self.disk.make_read_only()?;
        self.start()
    }

    /// The same with its disk not mounted: the folder that it is mounted on is a folder of the filesystem around it.
    ///
    /// # Errors
    /// As [`Node::on`].
    pub fn on_without_disk(&mut self, power: Power) -> Result<()> {
        self.boot(power)?;
        self.disk.unmount()?;
        self.start()
    }

    /// Does something to its disk, mounted on this folder, while it is off.
    ///
    /// # Errors
    /// It is on, or the disk can't be mounted.
    pub fn offline<T>(&mut self, act: impl FnOnce(&Path) -> T) -> Result<T> {
        ensure!(self.eve.is_none(), "a disk is changed while the node is off");
        self.disk.mount()?;
        let done = act(self.disk.mount_point());
        self.disk.unmount()?;
        Ok(done)
    }

    fn boot(&mut self, power: Power) -> Result<()> {
        // A boot finds nothing there.
        let _ = fs::remove_dir_all(self.root().join("run"));
        if let Some(tpm) = &mut self.tpm {
            match power {
                Power::Clean => tpm.reset_clean()?,
                Power::Cut => tpm.kill9_restart()?,
            }
        }
        self.measure()?;
        self.disk.mount()
    }

    /// Off and on.
    ///
    /// # Errors
    /// As both.
    pub fn reboot(&mut self, power: Power) -> Result<()> {
        self.off(power)?;
        self.on(power)
    }

    /// What the next boot measures.
    pub fn next_boot(&mut self, boot: BootState) {
        self.parts.boot = boot;
    }

    /// Puts its disk beside another TPM (of another node, made here). Only while it is off.
    ///
    /// # Errors
    /// It is on, or the TPM can't be made.
    pub fn other_tpm(&mut self) -> Result<()> {
        ensure!(self.eve.is_none(), "a TPM is changed while the node is off");
        self.tpm = Some(Swtpm::new(&self.dir.join("other-tpm"), "another")?);
        self.write_tcti()
    }

    /// Its name at the controller.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its root: config/, persist/ and run/ lie there.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        self.dir.join("node")
    }

    /// Its disk.
    #[must_use]
    pub fn disk(&self) -> &LoopFs {
        &self.disk
    }

    /// Gives it another disk, in this file. Only while it is off. Which it had.
    ///
    /// # Errors
    /// It is on, or there is no such file.
    pub fn exchange_disk(&mut self, image: &Path) -> Result<PathBuf> {
        self.disk.exchange(image)
    }

    /// Its TPM.
    #[must_use]
    pub fn tpm(&self) -> Option<&Swtpm> {
        self.tpm.as_ref()
    }

    /// The same, to be stopped and started under the node.
    pub fn tpm_mut(&mut self) -> Option<&mut Swtpm> {
        self.tpm.as_mut()
    }

    /// The log of all its agents, at level debug unless told.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.dir.join("eve.log")
    }

    /// Runs `eve ARGS --root ROOT` as root on the node; returns what it printed.
    ///
    /// # Errors
    /// It fails; its words are in the error.
    pub fn run(&self, args: &[&str]) -> Result<String> {
        output(Command::new(self.parts.programs.path("eve")?).args(args).arg("--root").arg(self.root()))
    }

    /// Writes what `eve bus tail` prints into a file, through every life of the agents, until the value is dropped.
    ///
    /// # Errors
    /// It can't be started.
    pub fn bus_tail(&self, file: &Path) -> Result<Running> {
        let mut command = mortal(self.parts.programs.path("eve")?);
        command.args(["bus", "tail", "--root"]).arg(self.root());
        Running::start(command, file)
    }

    /// No agent was ended for a system call that its list lacks.
    fn keeps_to_its_calls(&self) -> Result<()> {
        let log = fs::read(self.log()).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let ended = log.lines().find(|line| line.contains("ended by a system call that is not on its list"));
        ended.map_or(Ok(()), |line| bail!("{line}"))
    }

    fn alive(&mut self) -> Result<()> {
        self.keeps_to_its_calls()?;
        self.eve.as_mut().context("the node is off")?.alive().context("eve run")
    }
}

/// A call that a list lacks fails the test in which it was made, whatever else that asserts.
impl Drop for Node {
    fn drop(&mut self) {
        match self.keeps_to_its_calls() {
            Err(error) if std::thread::panicking() => eprintln!("{error:#}"),
            kept => kept.expect("agents keep to the system calls on their lists"),
        }
    }
}
