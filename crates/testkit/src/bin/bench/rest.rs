//! A node at rest: what its processes cost while nothing happens but the poll of each minute.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::time::ClockId;
use nix::unistd::Pid;
use testkit::node::{Parts, Power};
use testkit::{Evc, Node};

use super::many::all_open;
use super::report::Report;

const MANY: usize = 300;
/// Of all processes, a minute.
const WAKE_UPS: u64 = 120;
const CPU_MS: f64 = 15.0;
/// Proportional set size: of all processes, and of vaultmgr alone.
const PSS: u64 = 40 << 20;
const VAULTMGR_PSS: u64 = 6 << 20;
/// What follows from the start has passed.
const SETTLED: Duration = Duration::from_secs(10);

pub(crate) fn measure(folder: &Path, quick: bool, report: &mut Report) -> Result<()> {
    report.section(
        "A node at rest",
        "All vaults open, of custody `tpm+controller`, attested, a poll a minute. Supervisor and agents together, by /proc: voluntary \
         switches of all threads and processor time, of a minute; memory as proportional set size.",
    );
    for vaults in [1, if quick { 30 } else { MANY }] {
        let node = rested(&folder.join(vaults.to_string()), vaults)?;
        let seconds = if quick { 10 } else { 120 };
        let before = Counted::of(&node.1)?;
        thread::sleep(Duration::from_secs(seconds));
        let spent = Counted::of(&node.1)?.since(&before, seconds);
        tell(report, vaults, &spent);
        tell_memory(report, vaults, &node.1)?;
    }
    Ok(())
}

/// The node after a start of its agents that found all vaults made: the next poll may be far away, and the first one of a life is at once.
fn rested(folder: &Path, vaults: usize) -> Result<(Evc, Node)> {
    let parts = Parts { disk: 512 << 20, poll: "60s".to_owned(), log: "info", ..Parts::default() };
    let (evc, mut node) = super::attested(folder, parts)?;
    let vault = |n: usize| format!("---\nkind: Vault\nname: till-{n}\ndevice: edge-1\npolicy: p\n");
    let yaml: String = (0..vaults).map(vault).collect();
    evc.apply(&format!("kind: VaultPolicy\nname: p\ncustody: tpm+controller\n{yaml}"))?;
    node.stop(Power::Clean)?;
    node.start()?;
    all_open(&node, vaults)?;
    thread::sleep(SETTLED);
    Ok((evc, node))
}

fn tell(report: &mut Report, vaults: usize, spent: &Counted) {
    report.speed_goal(
        &format!("{vaults} vaults: wake-ups a minute, at most {WAKE_UPS}"),
        &spent.switches.to_string(),
        spent.switches <= WAKE_UPS,
    );
    let ms = spent.cpu.as_secs_f64() * 1e3;
    report.speed_goal(
        &format!("{vaults} vaults: processor time a minute, at most {CPU_MS} ms"),
        &format!("{ms:.1} ms"),
        ms <= CPU_MS,
    );
}

fn tell_memory(report: &mut Report, vaults: usize, node: &Node) -> Result<()> {
    let all = node.processes().into_iter().map(pss).sum::<Result<u64>>()?;
    let vaultmgr = pss(node.agent_pid("vaultmgr")?)?;
    for (whose, bytes, most) in [("all processes", all, PSS), ("vaultmgr", vaultmgr, VAULTMGR_PSS)] {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        report.speed_goal(
            &format!("{vaults} vaults: memory of {whose}, at most {} MiB", most >> 20),
            &format!("{:.1} MiB", mib(bytes)),
            bytes <= most,
        );
    }
    Ok(())
}

/// In bytes.
fn pss(pid: i32) -> Result<u64> {
    let told = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).context("the process has ended")?;
    let kib = told.lines().find_map(|line| line.strip_prefix("Pss:")?.trim().strip_suffix("kB"));
    Ok(kib.context("no Pss")?.trim().parse::<u64>()? * 1024)
}

/// What the node's processes have had so far.
#[derive(Debug, Clone, Copy, Default)]
struct Counted {
    switches: u64,
    cpu: Duration,
}

impl Counted {
    fn of(node: &Node) -> Result<Self> {
        let mut sum = Self::default();
        for pid in node.processes() {
            sum.switches += switches(pid)?;
            sum.cpu += processor_time(pid)?;
        }
        Ok(sum)
    }

    /// Scaled to a minute.
    fn since(self, before: &Self, seconds: u64) -> Self {
        let switches = self.switches.saturating_sub(before.switches) * 60 / seconds;
        let cpu = self.cpu.saturating_sub(before.cpu).mul_f64(60.0 / seconds as f64);
        Self { switches, cpu }
    }
}

/// Voluntary switches of all threads of a process that live.
fn switches(pid: i32) -> Result<u64> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).context("the process has ended")?;
    let of = |path: std::path::PathBuf| -> Option<u64> {
        let status = fs::read_to_string(path.join("status")).ok()?;
        status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?.trim().parse().ok()
    };
    Ok(threads.flatten().filter_map(|thread| of(thread.path())).sum())
}

/// Processor time of a process, with that of its threads that ended.
pub(super) fn processor_time(pid: i32) -> Result<Duration> {
    let clock = ClockId::pid_cpu_clock_id(Pid::from_raw(pid)).context("the process has ended")?;
    Ok(clock.now().context("a process's clock")?.into())
}
