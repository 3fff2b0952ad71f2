//! An edge node in a virtual machine: its firmware (OVMF) measures kernel, command line and initrd into a software TPM, and the
//! real `eve run` runs on a kernel of its own (Debian's cloud kernel) with a disk that has quota. Disk, TPM and /config outlive the
//! machine, so it can be cut off at any moment, and booted with something changed. Driven over a serial line.
//! Emulated (no KVM is asked for), so slow: a boot takes 7 s of a processor.

mod image;
mod modules;
mod qemu;
mod qmp;
mod shell;
mod status;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

pub use shell::Answer;

use crate::evc::Evc;
use crate::node::Onboarding;
use crate::process::{output, program};
use crate::swtpm;
use image::Image;
use qemu::Machine;

/// The controller on the host, as the machine's network names it. `Evc::for_vms` has a certificate for it.
pub const HOST: &str = "10.0.2.2";

/// What a node in a VM boots with. A field that is changed is in force from the next boot.
#[derive(Debug, Clone)]
pub struct Boot {
    /// The kernel's command line, after the console.
    pub cmdline: String,
    /// Bytes put behind the kernel's: another kernel to whoever measures it, the same to whoever runs it.
    pub kernel_tail: &'static [u8],
    /// Files of the initrd beside ours: path in it, contents.
    pub extra: Vec<(String, String)>,
    /// Memory in MiB, below 2048.
    pub memory: u32,
    /// What its clock says when it is turned on, as `1970-01-02T00:00:00`, UTC; the host's time where there is none.
    pub clock: Option<&'static str>,
}

impl Default for Boot {
    fn default() -> Self {
        // On a loaded machine the kernel's look at its timer can miss every tick, which it takes for a broken machine, and stops.
        let cmdline = "quiet panic=-1 init_on_free=1 no_timer_check".to_owned();
        Self { cmdline, kernel_tail: b"", extra: Vec::new(), memory: 512, clock: None }
    }
}

/// Ends the agents, and waits until they have.
const END: &str = "killall -TERM eve; while pidof eve > /dev/null; do sleep 0.1; done";

/// How much of its console's end an error shows, in bytes.
const SHOWN: usize = 6000;

/// A node in a VM.
pub struct VmNode {
    machine: Option<Machine>,
    /// What the next boot is made of.
    pub boot: Boot,
    dir: PathBuf,
}

impl VmNode {
    /// Makes disk, TPM and /config in `dir`, and lets the node register at `evc` under `name`. Off.
    ///
    /// # Errors
    /// A part that can't be made.
    pub fn made(dir: &Path, name: &str, evc: &Evc) -> Result<Self> {
        fs::create_dir_all(dir.join("config"))?;
        let dir = dir.canonicalize()?;
        swtpm::manufacture(&dir.join("tpm"), name)?;
        let persist = ["-O", "encrypt,quota,project", "-E", "quotatype=prjquota"];
        filesystem(&dir.join("disk.img"), crate::node::DISK, &persist)?;
        // As it is now: one that is built anew meanwhile would be another boot to the TPM.
        fs::copy(program("eve")?, dir.join("eve"))?;
        evc.allow(&Onboarding::write(&dir.join("config"), name)?, name)?;
        let node = Self { machine: None, boot: Boot::default(), dir };
        node.write_config(evc)?;
        Ok(node)
    }

    /// The same program as another node's, whatever was built since that was made: else it would be another boot.
    ///
    /// # Errors
    /// The file system's.
    pub fn runs_as(&self, other: &Self) -> Result<()> {
        Ok(fs::copy(other.dir.join("eve"), self.dir.join("eve")).map(drop)?)
    }

    fn write_config(&self, evc: &Evc) -> Result<()> {
        let config = self.dir.join("config");
        fs::write(config.join("server"), evc.server().replace("127.0.0.1", HOST))?;
        fs::copy(evc.data().join("root-certificate.pem"), config.join("root-certificate.pem"))?;
        let from = config.to_string_lossy();
        filesystem(&self.dir.join("config.img"), 8 << 20, &["-d", &from])
    }

    /// Turns it on: firmware, kernel, `eve run`. Returns once the machine answers; the agents are then on their way.
    ///
    /// # Errors
    /// A part is missing or does not start; the end of its log is in the error.
    pub fn on(&mut self) -> Result<()> {
        self.machine = None;
        let image = Image::of(&self.dir.join("eve"), &self.boot.extra)?;
        let kernel = self.kernel(&image)?;
        self.machine = Some(self.booted(&kernel, &image.initrd)?);
        self.start()
    }

    /// An emulated disk was seen to answer nothing more while its machine booted, on a loaded host; and a TPM whose driver gave up is no node
    /// without one, which would be another test. Then it is turned off and on again, once, as a person would.
    fn booted(&self, kernel: &Path, initrd: &Path) -> Result<Machine> {
        let started = || {
            let mut machine = Machine::started(&self.dir, &self.boot, kernel, initrd)?;
            machine.is_whole()?;
            anyhow::Ok(machine)
        };
        started().or_else(|error| {
            eprintln!("a machine did not boot, and is turned off and on again: {error:#}");
            started()
        })
    }

    fn start(&mut self) -> Result<()> {
        self.shell("EVE_LOG=info,tss_esapi=off setsid eve run --poll-interval 1s --unlisted-calls ends > /dev/ttyS0 2>&1 &")
            .map(drop)
    }

    /// The agents end, the disk is mounted with other options, and they start again.
    ///
    /// # Errors
    /// Something holds on to the disk.
    pub fn remounted(&mut self, options: &str) -> Result<()> {
        self.shell(END)?;
        self.shell(&format!("umount /persist && mount -t ext4 -o rw,{options} /dev/vda /persist"))?;
        self.start()
    }

    fn kernel(&self, image: &Image) -> Result<PathBuf> {
        if self.boot.kernel_tail.is_empty() {
            return Ok(image.kernel.clone());
        }
        let other = self.dir.join("vmlinuz");
        fs::write(&other, [&fs::read(&image.kernel)?, self.boot.kernel_tail].concat())?;
        Ok(other)
    }

    /// The power is cut, at this moment: the machine and its TPM are killed.
    pub fn cut(&mut self) {
        self.machine = None;
    }

    /// Off as an operator turns it off: the agents end, the disk is unmounted, the machine goes.
    ///
    /// # Errors
    /// Something holds on to the disk.
    pub fn off(&mut self) -> Result<()> {
        self.shell(END)?;
        self.shell("umount /persist /config && sync")?;
        self.cut();
        Ok(())
    }

    /// Runs a shell command on it, as root and for a minute at most; returns what it printed.
    ///
    /// # Errors
    /// It fails (what it printed is in the error), takes longer, or the machine is off or ended.
    pub fn shell(&mut self, command: &str) -> Result<String> {
        let answer = self.ask(command)?;
        ensure!(
            answer.code == 0,
            "on the node, `{command}`: exit status {}\n{}",
            answer.code,
            answer.printed
        );
        Ok(answer.printed)
    }

    /// The same, for who expects that it may fail.
    ///
    /// # Errors
    /// The machine is off or does not answer.
    pub fn ask(&mut self, command: &str) -> Result<Answer> {
        self.machine()?.ask(command)
    }

    /// Stops its processor, writes all its memory into a file, and lets it go on.
    ///
    /// # Errors
    /// QEMU's.
    pub fn dump_memory(&mut self, file: &Path) -> Result<()> {
        let bytes = u64::from(self.boot.memory) << 20;
        self.machine()?.dump_memory(file, bytes)
    }

    /// Puts another TPM into it. Only while it is off.
    ///
    /// # Errors
    /// It is on, or the TPM can't be made.
    pub fn other_tpm(&mut self) -> Result<()> {
        ensure!(self.machine.is_none(), "a TPM is changed while the node is off");
        fs::rename(self.dir.join("tpm"), self.dir.join("first-tpm"))?;
        swtpm::manufacture(&self.dir.join("tpm"), "another")
    }

    /// Puts back the TPM that it was made with. Only while it is off.
    ///
    /// # Errors
    /// It is on, or has no other.
    pub fn first_tpm(&mut self) -> Result<()> {
        ensure!(self.machine.is_none(), "a TPM is changed while the node is off");
        fs::remove_dir_all(self.dir.join("tpm"))?;
        Ok(fs::rename(self.dir.join("first-tpm"), self.dir.join("tpm"))?)
    }

    /// The image of its disk.
    #[must_use]
    pub fn disk(&self) -> PathBuf {
        self.dir.join("disk.img")
    }

    /// What kernel and agents have said, over all its boots.
    #[must_use]
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.dir.join("console.log")).unwrap_or_default()).into_owned()
    }

    /// What it says of itself, and the end of what kernel and agents have said: for an error that would not tell why.
    pub fn told(&mut self) -> String {
        let status = self.ask("eve status; eve vault list; ps; grep -H . /proc/pressure/*");
        let status = status.map_or_else(|error| format!("{error:#}"), |answer| answer.printed);
        let log = self.log();
        let from = (log.len().saturating_sub(SHOWN)..).find(|at| log.is_char_boundary(*at));
        format!("the node says:\n{status}\nand its console ends with:\n{}", &log[from.unwrap_or_default()..])
    }

    fn machine(&mut self) -> Result<&mut Machine> {
        self.machine.as_mut().context("the node is off")
    }

    /// No agent was ended for a system call that its list lacks.
    fn keeps_to_its_calls(&self) -> Result<()> {
        let log = self.log();
        let ended = log.lines().find(|line| line.contains("ended by a system call that is not on its list"));
        ended.map_or(Ok(()), |line| bail!("{line}"))
    }
}

/// A call that a list lacks fails the test in which it was made, whatever else that asserts.
impl Drop for VmNode {
    fn drop(&mut self) {
        match self.keeps_to_its_calls() {
            Err(error) if std::thread::panicking() => eprintln!("{error:#}"),
            kept => kept.expect("agents keep to the system calls on their lists"),
        }
    }
}

/// An image of so many bytes with an ext4 in it.
fn filesystem(image: &Path, bytes: u64, options: &[&str]) -> Result<()> {
    fs::File::create(image)?.set_len(bytes)?;
    output(Command::new("mkfs.ext4").arg("-q").args(options).arg(image)).map(drop)
}
