//! What this machine is, and what a process has had of it.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::time::ClockId;
use nix::unistd::Pid;

/// Processor, cores, kernel: in one line.
pub(crate) fn words() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpus = read("/proc/cpuinfo");
    let model =
        cpus.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1)).unwrap_or("?");
    let cores = cpus.lines().filter(|line| line.starts_with("processor")).count();
    format!("{model}, {cores} cores, Linux {}", read("/proc/sys/kernel/osrelease").trim())
}

/// Processor time of a process: all its threads, those too that have ended.
pub(crate) fn cpu_time(pid: u32) -> Result<Duration> {
    let clock =
        ClockId::pid_cpu_clock_id(Pid::from_raw(i32::try_from(pid)?)).context("the process has ended")?;
    Ok(clock.now()?.into())
}

/// Resident memory of a process, bytes.
pub(crate) fn resident(pid: u32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).context("the process has ended")?;
    let kib =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse().ok());
    kib.map(|kib: f64| kib * 1024.0).context("no VmRSS")
}
