//! Software TPMs (swtpm) with EK certificates of a test CA, one process each, on loopback ports.
//! Words: *reset* is a TPM reset (power cycle), *clean* with TPM2_Shutdown before it.
//! A `Swtpm` ends with its value, and with the test process however that dies.

mod boot;
mod ca;
mod process;
mod recorder;

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

pub use boot::{BootState, extend_command};
pub use ca::TestTpmCa;
pub use recorder::{Recorder, Way};

use crate::ports::Pair;
use crate::process::output;
use process::{Server, Startup};

/// Longest that a tool or an answer of the TPM may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// TPM2_Shutdown, but for its one parameter: 0 for TPM_SU_CLEAR, 1 for TPM_SU_STATE.
const SHUTDOWN: [u8; 11] = [0x80, 0x01, 0, 0, 0, 12, 0, 0, 0x01, 0x45, 0];

/// The bank of PCRs that a TPM has where nothing else is said.
pub const SHA256: &str = "sha256";

/// Makes the state of a TPM in `dir`, with its CA beside it, for a machine that starts it itself.
pub(crate) fn manufacture(dir: &Path, vmid: &str) -> Result<()> {
    fs::create_dir_all(dir)?;
    let parent = dir.parent().context("the TPM's folder has no parent")?;
    TestTpmCa::in_dir(&parent.join("tpm-ca"))?.manufacture(dir, vmid, SHA256)
}

/// One software TPM. It serves one client at a time: drop a `Tpm` before tools are run against it.
pub struct Swtpm {
    state: PathBuf,
    server: Option<Server>,
    ports: Pair,
}

impl Swtpm {
    /// Makes a TPM whose state lies in `dir` and whose EK certificates name `vmid`, and starts it. The CA is in
    /// `tpm-ca` beside `dir`, made with the first TPM there and shared by the others.
    ///
    /// # Errors
    /// swtpm_setup or swtpm is missing or failed; its words are in the error.
    pub fn new(dir: &Path, vmid: &str) -> Result<Self> {
        Self::with_banks(dir, vmid, SHA256)
    }

    /// The same with these banks of PCRs, as swtpm_setup names them: `sha384`, or `sha256,sha384`.
    ///
    /// # Errors
    /// As [`Swtpm::new`].
    pub fn with_banks(dir: &Path, vmid: &str, banks: &str) -> Result<Self> {
        let parent = dir.parent().context("the TPM's folder has no parent")?;
        Self::manufactured(&TestTpmCa::in_dir(&parent.join("tpm-ca"))?, dir, vmid, banks)
    }

    /// The same with a given CA.
    ///
    /// # Errors
    /// As [`Swtpm::new`].
    pub fn with_ca(ca: &TestTpmCa, dir: &Path, vmid: &str) -> Result<Self> {
        Self::manufactured(ca, dir, vmid, SHA256)
    }

    fn manufactured(ca: &TestTpmCa, dir: &Path, vmid: &str, banks: &str) -> Result<Self> {
        fs::create_dir_all(dir)?;
        let state = dir.canonicalize()?;
        ca.manufacture(&state, vmid, banks)?;
        Self::start_new(state)
    }

    /// The TPM whose state lies in `dir` already, started.
    ///
    /// # Errors
    /// swtpm is missing, or failed.
    pub fn kept(dir: &Path) -> Result<Self> {
        Self::start_new(dir.canonicalize()?)
    }

    fn start_new(state: PathBuf) -> Result<Self> {
        let (server, ports) = Server::start_anywhere(&state)?;
        Ok(Self { state, server: Some(server), ports })
    }

    /// Another TPM process over a copy of this one's state: same seeds, same keys, same NV.
    ///
    /// # Errors
    /// The state can't be copied or swtpm fails.
    pub fn clone_to(&self, dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir)?;
        fs::copy(self.state.join("tpm2-00.permall"), dir.join("tpm2-00.permall"))?;
        Self::kept(dir)
    }

    /// How to reach it: `swtpm:host=127.0.0.1,port=N`. The same over all resets.
    #[must_use]
    pub fn tcti(&self) -> String {
        format!("swtpm:host=127.0.0.1,port={}", self.port())
    }

    /// Its command port; the control channel is on the next one.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.ports.first()
    }

    /// Its process; none while it is stopped.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.server.as_ref().map(Server::pid)
    }

    /// Where its state lies: `tpm2-00.permall` is all there is of it.
    #[must_use]
    pub fn state_dir(&self) -> &Path {
        &self.state
    }

    /// Powers it off cleanly and on again: resetCount + 1, PCRs zero.
    ///
    /// # Errors
    /// A client still holds it, or it does not start again.
    pub fn reset_clean(&mut self) -> Result<()> {
        self.shut_down(Startup::Clear)?;
        self.stop();
        self.start()
    }

    /// Suspends it with its state and resumes it: restartCount + 1, PCRs as they were.
    ///
    /// # Errors
    /// A client still holds it, or it does not start again.
    pub fn suspend_and_resume(&mut self) -> Result<()> {
        self.shut_down(Startup::State)?;
        self.stop();
        self.start_with(Startup::State)
    }

    /// Kills it and starts it again: an unclean reset.
    ///
    /// # Errors
    /// It does not start again.
    pub fn kill9_restart(&mut self) -> Result<()> {
        self.stop();
        self.start()
    }

    /// Ends it by SIGTERM, with no shutdown told to the TPM, and starts it again: an unclean reset too.
    ///
    /// # Errors
    /// It does not end or does not start again.
    pub fn terminate_restart(&mut self) -> Result<()> {
        self.server.take().map_or(Ok(()), Server::terminate)?;
        self.start()
    }

    /// Cuts its power while it is suspended: the state that it saved is not resumed.
    ///
    /// # Errors
    /// A client still holds it, or it does not start again.
    pub fn cut_while_suspended(&mut self) -> Result<()> {
        self.shut_down(Startup::State)?;
        self.stop();
        self.start()
    }

    /// Kills it.
    pub fn stop(&mut self) {
        self.server = None;
    }

    /// Starts it on the same ports, with TPM2_Startup(CLEAR).
    ///
    /// # Errors
    /// Its ports are taken, or swtpm fails.
    pub fn start(&mut self) -> Result<()> {
        self.start_with(Startup::Clear)
    }

    fn start_with(&mut self, startup: Startup) -> Result<()> {
        self.server = None;
        self.server = Some(Server::start_at(&self.state, self.port(), startup)?);
        Ok(())
    }

    fn shut_down(&self, next: Startup) -> Result<()> {
        let mut answer = [0; 10];
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port()))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(&[&SHUTDOWN[..], &[u8::from(matches!(next, Startup::State))]].concat())?;
        stream
            .read_exact(&mut answer)
            .context("no answer to TPM2_Shutdown: does a client still hold the TPM?")?;
        ensure!(answer[6..] == [0; 4], "TPM2_Shutdown failed: {answer:02x?}");
        Ok(())
    }

    /// Extends PCRs as firmware and loader would at boot. Once after each reset.
    ///
    /// # Errors
    /// tpm2_pcrextend is missing or failed.
    pub fn extend_boot_state(&self, boot: &BootState) -> Result<()> {
        let arguments = boot.pcrextend_arguments();
        self.tool("tpm2_pcrextend", &arguments.iter().map(String::as_str).collect::<Vec<_>>()).map(drop)
    }

    /// Runs one of tpm2-tools against this TPM; returns what it printed.
    ///
    /// # Errors
    /// The tool is missing, fails (its words are in the error) or takes longer than half a minute.
    pub fn tool(&self, tool: &str, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new("timeout");
        command.arg(PATIENCE.as_secs().to_string()).arg(tool).args(arguments);
        command.env("TPM2TOOLS_TCTI", self.tcti()).env("TSS2_LOG", "all+none");
        output(&mut command)
    }
}
