//! Three vaults and three hundred: made in one go, opened at a boot, and one of them locked and unlocked.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use eve::bus::messages::{LockVault, UnlockVault};
use eve::bus::{Agent, Bus};
use testkit::Node;
use testkit::node::{Parts, Power};
use vault::ids::VaultId;
use vault::report::State;

use super::report::Report;
use super::rest::processor_time;
use super::stats::{Samples, times};

const PATIENCE: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(20);
const FEW: usize = 3;
const MANY: usize = 300;
/// What vaultmgr may cost with many, in that with few.
const MOST: f64 = 1.3;

/// A node with so many vaults.
struct Loaded {
    node: Node,
    vaults: usize,
    id: VaultId,
    made: Duration,
    boot: Samples,
    /// Processor time of vaultmgr for a lock and an unlock together.
    cpu: Samples,
    call: Samples,
}

pub(crate) fn measure(folder: &Path, quick: bool, report: &mut Report) -> Result<()> {
    let (many, rounds) = if quick { (30, 4) } else { (MANY, 25) };
    let mut few = Loaded::with(&folder.join("few"), FEW)?;
    let mut many = Loaded::with(&folder.join("many"), many)?;
    for _ in 0..rounds {
        few.order()?;
        many.order()?;
    }
    for _ in 0..if quick { 1 } else { 5 } {
        few.boot()?;
        many.boot()?;
    }
    report.section(
        "Few vaults and many",
        "Vaults of custody `tpm`, attested. *Made*: from `evc apply` to all open. *An order*: a lock and an unlock of one of them by calls, \
         by turns with few and with many; processor time is vaultmgr's alone.",
    );
    for of in [&few, &many] {
        let vaults = of.vaults;
        report.row(&format!("{vaults} vaults: made"), &format!("{:.2} s", of.made.as_secs_f64()));
        report.row(&format!("{vaults} vaults: `eve run` to all open"), &of.boot.words());
        report.row(&format!("{vaults} vaults: an order, both calls"), &of.call.words());
        report.row(&format!("{vaults} vaults: an order, vaultmgr's processor time"), &of.cpu.words());
    }
    let ratio = times(&many.cpu, &few.cpu);
    report.speed_goal(
        &format!("an order with many costs vaultmgr at most {MOST} times one with few"),
        &format!("{ratio:.2} times"),
        ratio <= MOST,
    );
    Ok(())
}

impl Loaded {
    fn with(folder: &Path, vaults: usize) -> Result<Self> {
        let (evc, node) =
            super::attested(folder, Parts { disk: 512 << 20, log: "info", ..Parts::default() })?;
        let vault = |n: usize| format!("---\nkind: Vault\nname: till-{n}\ndevice: edge-1\npolicy: p\n");
        let yaml: String = (0..vaults).map(vault).collect();
        let began = Instant::now();
        evc.apply(&format!("kind: VaultPolicy\nname: p\ncustody: tpm\n{yaml}"))?;
        all_open(&node, vaults)?;
        let made = began.elapsed();
        let id = node.vault("till-0")?["id"].as_str().context("an id")?.parse()?;
        // Its controller is not asked again: what a poll costs is no part of this.
        drop(evc);
        let (boot, cpu, call) = (Samples::default(), Samples::default(), Samples::default());
        Ok(Self { node, vaults, id, made, boot, cpu, call })
    }

    fn order(&mut self) -> Result<()> {
        let bus = Bus::visit(&self.node.root(), Agent::Operator);
        let pid = self.node.agent_pid("vaultmgr")?;
        let before = processor_time(pid)?;
        let id = self.id;
        let (locked, open) = self.call.time(|| -> Result<_> {
            Ok((bus.call(&LockVault { id }, PATIENCE)?, bus.call(&UnlockVault { id }, PATIENCE)?))
        })?;
        ensure!((locked.state, open.state) == (State::Locked, State::Unlocked), "{locked:?} {open:?}");
        // What it tells after its answer is a part of the cost.
        thread::sleep(LOOK);
        self.cpu.push(processor_time(pid)?.saturating_sub(before));
        Ok(())
    }

    fn boot(&mut self) -> Result<()> {
        self.node.off(Power::Clean)?;
        let began = Instant::now();
        self.node.on(Power::Clean)?;
        all_open(&self.node, self.vaults)?;
        self.boot.push(began.elapsed());
        Ok(())
    }
}

/// Waits until all of them are open, and the two default ones.
pub(crate) fn all_open(node: &Node, vaults: usize) -> Result<()> {
    let open = || {
        let listed: serde_json::Value =
            serde_json::from_str(&node.run(&["vault", "list", "--output", "json"]).ok()?).ok()?;
        let open = listed["vaults"].as_array()?.iter().filter(|vault| vault["state"] == "unlocked").count();
        (open == vaults + 2).then_some(())
    };
    let late = Instant::now() + PATIENCE;
    while open().is_none() {
        ensure!(Instant::now() < late, "not all of {vaults} vaults are open");
        thread::sleep(LOOK);
    }
    Ok(())
}
