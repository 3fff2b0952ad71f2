//! The machine of a node in a VM: QEMU and its TPM, from power on to power off. Both die with the value, and with the test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::shell::{Answer, Shell};
use super::{Boot, qmp};
use crate::process::{Running, mortal};
use crate::wait;

/// The firmware that measures what it boots. Not the 4M build, which takes half as long again.
const FIRMWARE: &str = "/usr/share/OVMF/OVMF_CODE.fd";
const VARIABLES: &str = "/usr/share/OVMF/OVMF_VARS.fd";
/// Emulated processor: with it the kernel has random numbers at once, and `max` would be slower.
const MACHINE: &str = "-machine q35,accel=tcg,hpet=off -cpu Westmere,+rdrand -smp 1 -nodefaults -display none -no-reboot \
    -boot menu=off,splash-time=0 -tpmdev emulator,id=tpm,chardev=tpm -device tpm-crb,tpmdev=tpm \
    -netdev user,id=net -device virtio-net-pci,netdev=net,romfile= -serial chardev:console -serial chardev:shell";

/// A machine that is on.
pub(super) struct Machine {
    // In the order of their end.
    shell: Shell,
    qemu: Running,
    _tpm: Running,
    dir: PathBuf,
}

impl Machine {
    /// Turns it on, and waits until it has booted.
    pub(super) fn started(dir: &Path, boot: &Boot, kernel: &Path, initrd: &Path) -> Result<Self> {
        ["tpm.sock", "shell.sock", "qmp.sock"].iter().for_each(|name| drop(fs::remove_file(dir.join(name))));
        if !dir.join("variables.fd").exists() {
            fs::copy(VARIABLES, dir.join("variables.fd")).context("the package ovmf")?;
        }
        let tpm = tpm(dir)?;
        let mut qemu = Running::start(command(dir, boot, kernel, initrd), &dir.join("qemu.log"))?;
        let shell = Shell::connected(&dir.join("shell.sock"), || qemu.alive().context("QEMU"))?;
        let mut machine = Self { shell, qemu, _tpm: tpm, dir: dir.to_owned() };
        machine.explained(|machine| machine.shell.until_ready())?;
        Ok(machine)
    }

    /// Its disk takes a write, and its TPM is there.
    pub(super) fn is_whole(&mut self) -> Result<()> {
        let whole = self.ask("grep -q ' /persist ' /proc/mounts && sync && test -c /dev/tpmrm0")?;
        self.explained(|_| {
            ensure!(whole.code == 0, "its disk or its TPM did not come up: exit status {}", whole.code);
            Ok(())
        })
    }

    /// Runs a command on it.
    pub(super) fn ask(&mut self, command: &str) -> Result<Answer> {
        self.explained(|machine| machine.shell.ask(command))
    }

    /// Writes its memory into a file.
    pub(super) fn dump_memory(&mut self, file: &Path, bytes: u64) -> Result<()> {
        qmp::dump_memory(&self.dir.join("qmp.sock"), file, bytes)
    }

    /// An error with the end of what it wrote to its console.
    fn explained<T>(&mut self, act: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        act(self).with_context(|| {
            let console = fs::read(self.dir.join("console.log")).unwrap_or_default();
            let end = &console[console.len().saturating_sub(2000)..];
            format!("{:?}; its console ends with:\n{}", self.qemu.alive(), String::from_utf8_lossy(end))
        })
    }
}

/// Its TPM, which the firmware starts up. It ends when QEMU does.
fn tpm(dir: &Path) -> Result<Running> {
    let (state, socket) = (dir.join("tpm"), dir.join("tpm.sock"));
    let mut command = mortal("swtpm");
    command.args(["socket", "--tpm2", "-t", "--tpmstate"]).arg(format!("dir={}", state.display()));
    command.arg("--ctrl").arg(format!("type=unixio,path={}", socket.display()));
    let mut tpm = Running::start(command, &dir.join("swtpm.log"))?;
    wait::until("swtpm to listen", || {
        tpm.alive().err().map(Err).or_else(|| socket.exists().then_some(Ok(())))
    })??;
    Ok(tpm)
}

fn command(dir: &Path, boot: &Boot, kernel: &Path, initrd: &Path) -> Command {
    let at = |name: &str| dir.join(name).display().to_string();
    let mut qemu = mortal("qemu-system-x86_64");
    qemu.args(["-m", &boot.memory.to_string()]);
    for (kind, rest) in [
        ("-chardev", format!("socket,id=tpm,path={}", at("tpm.sock"))),
        ("-chardev", format!("socket,id=shell,path={},server=on,wait=on", at("shell.sock"))),
        ("-chardev", format!("file,id=console,path={},append=on", at("console.log"))),
        ("-qmp", format!("unix:{},server=on,wait=off", at("qmp.sock"))),
        ("-drive", format!("if=pflash,format=raw,unit=0,readonly=on,file={FIRMWARE}")),
        ("-drive", format!("if=pflash,format=raw,unit=1,file={}", at("variables.fd"))),
        ("-drive", format!("if=virtio,format=raw,file={}", at("disk.img"))),
        ("-drive", format!("if=virtio,format=raw,file={}", at("config.img"))),
        ("-append", format!("console=ttyS0 {}", boot.cmdline)),
        ("-rtc", format!("base={}", boot.clock.unwrap_or("utc"))),
    ] {
        qemu.args([kind, &rest]);
    }
    qemu.args(MACHINE.split_whitespace());
    qemu.arg("-kernel").arg(kernel).arg("-initrd").arg(initrd);
    qemu
}
