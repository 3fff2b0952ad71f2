//! What this machine is, and how much processor time a process has had.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

/// Processor, cores, kernel: in one line.
pub(crate) fn words() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpus = read("/proc/cpuinfo");
    let model =
        cpus.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1)).unwrap_or("?");
    let cores = cpus.lines().filter(|line| line.starts_with("processor")).count();
    format!("{model}, {cores} cores, Linux {}", read("/proc/sys/kernel/osrelease").trim())
}

/// Processor time of all threads of a process that live, by /proc/PID/task/TID/schedstat (nanoseconds).
pub(crate) fn cpu_time(pid: u32) -> Result<Duration> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).context("the process has ended")?;
    let of = |path: std::path::PathBuf| -> Option<u64> {
        fs::read_to_string(path.join("schedstat")).ok()?.split(' ').next()?.parse().ok()
    };
    Ok(Duration::from_nanos(threads.flatten().filter_map(|thread| of(thread.path())).sum()))
}
