//! A node at rest: what its processes cost while nothing happens but the poll of each minute.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::time::ClockId;
use nix::unistd::Pid;
use testkit::Node;
use testkit::node::Parts;

use super::report::Report;

const VAULTS: &str = "kind: VaultPolicy\nname: p\ncustody: tpm+controller\n---\nkind: Vault\nname: till\ndevice: edge-1\npolicy: p\n";
/// Of all processes, a minute.
const WAKE_UPS: u64 = 120;
const CPU_MS: f64 = 15.0;
/// What follows from the start has passed.
const SETTLED: Duration = Duration::from_secs(10);

pub(crate) fn measure(folder: &Path, quick: bool, report: &mut Report) -> Result<()> {
    let (evc, mut node) =
        super::attested(folder, Parts { poll: "60s".to_owned(), log: "info", ..Parts::default() })?;
    evc.apply(VAULTS)?;
    // The next poll may be far away; the first one of a life is at once.
    node.stop(testkit::node::Power::Clean)?;
    node.start()?;
    node.until_vault("till", "unlocked")?;
    thread::sleep(SETTLED);
    let seconds = if quick { 10 } else { 120 };
    let before = Counted::of(&node)?;
    thread::sleep(Duration::from_secs(seconds));
    let spent = Counted::of(&node)?.since(&before, seconds);
    report.section(
        "A node at rest",
        "Three vaults open, attested, a poll a minute. Supervisor and agents together, by /proc: voluntary switches of all threads, and \
         processor time. Of a minute.",
    );
    report.speed_goal(
        &format!("wake-ups a minute: at most {WAKE_UPS}"),
        &spent.switches.to_string(),
        spent.switches <= WAKE_UPS,
    );
    let ms = spent.cpu.as_secs_f64() * 1e3;
    report.speed_goal(
        &format!("processor time a minute: at most {CPU_MS} ms"),
        &format!("{ms:.1} ms"),
        ms <= CPU_MS,
    );
    Ok(())
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
