//! Nodes of each build, each with its own controller of that build: unlock and lock, boot, change key. The bus of another build may speak
//! otherwise, so all goes by the command line, and vaultmgr's processor time is read beside.

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use testkit::node::{Parts, Power};
use testkit::{Evc, Node, wait};

use super::builds::{Build, Builds, in_turn};
use super::contest::{Contest, Unit};
use super::machine::cpu_time;
use super::report::{Aims, Report};

const MANY: usize = 32;
const POLICY: &str = "kind: VaultPolicy\nname: p\ncustody: tpm\nseal: pcrs\n---\nkind: VaultPolicy\nname: q\n\
                      custody: tpm+controller\n---\nkind: Vault\nname: rotated\ndevice: edge-1\npolicy: q\n";

/// How often the nodes of the tests poll.
const POLL: Duration = Duration::from_millis(200);

/// Some time between two polls, each round another, spread evenly: else rounds keep step with the polls, and of that each build has its own.
fn between_polls(round: usize) -> Duration {
    POLL.mul_f64((round as f64 * 0.618).fract())
}

/// A node and its controller.
struct Side {
    evc: Evc,
    node: Node,
    vaults: usize,
}

/// Processor time of vaultmgr, and the time that it took for whoever waits.
struct Act {
    cpu: Contest,
    wall: Contest,
}

pub(crate) fn measure(folder: &Path, builds: &Builds, quick: bool, report: &mut Report) -> Result<()> {
    let (orders, boots) = if quick { (3, 1) } else { (40, 9) };
    let mut one = builds.each(|build| Side::new(build, &folder.join("one"), 1))?;
    let mut many = builds.each(|build| Side::new(build, &folder.join("many"), MANY))?;
    let [mut lock, mut unlock, mut rotation, mut boot_one, mut boot_many] =
        std::array::from_fn(|_| Act::new(builds));
    for round in 0..orders {
        in_turn(round, &mut one, |side, it| {
            lock.push(side, it.ordered("lock")?);
            unlock.push(side, it.ordered("unlock")?);
            sleep(between_polls(round));
            rotation.push(side, it.rotated()?);
            Ok(())
        })?;
    }
    for round in 0..boots {
        in_turn(round, &mut one, |side, it| boot_one.boot(side, it))?;
        in_turn(round, &mut many, |side, it| boot_many.boot(side, it))?;
    }
    report.contest_section(
        "Nodes",
        "By `eve vault lock` and `unlock`, and `evc rotate`; boot from `eve run` to all vaults open, the controller out of reach. A \
         rotation ends when the controller has heard of it: how often the node polls is in its time.",
    );
    lock.tell(report, "lock");
    unlock.tell(report, "unlock");
    rotation.tell(report, "change key");
    report.contest("boot, 1 vault", &boot_one.wall, None, Aims::default());
    report.contest(&format!("boot, {MANY} vaults"), &boot_many.wall, None, Aims::default());
    Ok(())
}

impl Act {
    fn new(builds: &Builds) -> Self {
        let time = Contest::new(Unit::Time, builds.count());
        Self { cpu: time.clone(), wall: time }
    }

    fn push(&mut self, side: usize, (cpu, wall): (Duration, Duration)) {
        self.cpu.took(side, cpu);
        self.wall.took(side, wall);
    }

    fn boot(&mut self, side: usize, it: &mut Side) -> Result<()> {
        self.wall.took(side, it.booted()?);
        Ok(())
    }

    fn tell(&self, report: &mut Report, what: &str) {
        report.contest(&format!("{what}: vaultmgr's processor time"), &self.cpu, None, Aims::default());
        report.contest(&format!("{what}: time"), &self.wall, None, Aims::default());
    }
}

impl Side {
    fn new(build: &Build, folder: &Path, vaults: usize) -> Result<Self> {
        let folder = folder.join(&build.name);
        std::fs::create_dir_all(&folder)?;
        let evc = Evc::quiet(&folder.join("evc"), &build.programs)?;
        let parts = Parts { programs: build.programs.clone(), log: "info", ..Parts::default() };
        let mut node = Node::new(&folder.join("node"), "edge-1", &evc, parts)?;
        evc.approve_references("edge-1")?;
        node.until_vault("config", "unlocked")?;
        let vault = |n: usize| format!("---\nkind: Vault\nname: till-{n}\ndevice: edge-1\npolicy: p\n");
        let listed: String = (0..vaults).map(vault).collect();
        evc.apply(&format!("{POLICY}{listed}"))?;
        // The default ones, and the one that is rotated.
        let side = Self { evc, node, vaults: vaults + 3 };
        side.all_open(side.vaults)?;
        Ok(side)
    }

    fn ordered(&self, what: &str) -> Result<(Duration, Duration)> {
        self.spent(|| self.node.run(&["vault", what, "till-0"]).map(drop))
    }

    fn rotated(&mut self) -> Result<(Duration, Duration)> {
        self.evc.until_taken("edge-1", "rotated")?;
        self.spent(|| {
            self.evc.run(&["rotate", "vault", "rotated", "--device", "edge-1"])?;
            self.evc.until_taken("edge-1", "rotated")
        })
    }

    /// Vaultmgr's processor time, and the time.
    fn spent(&self, act: impl FnOnce() -> Result<()>) -> Result<(Duration, Duration)> {
        let vaultmgr = u32::try_from(self.node.agent_pid("vaultmgr")?)?;
        let (before, began) = (cpu_time(vaultmgr)?, Instant::now());
        act()?;
        let wall = began.elapsed();
        Ok((cpu_time(vaultmgr)? - before, wall))
    }

    fn booted(&mut self) -> Result<Duration> {
        self.node.off(Power::Clean)?;
        self.evc.stop()?;
        let began = Instant::now();
        self.node.on(Power::Clean)?;
        // All but the one that needs the controller.
        self.all_open(self.vaults - 1)?;
        let took = began.elapsed();
        self.evc.start()?;
        self.all_open(self.vaults)?;
        Ok(took)
    }

    fn all_open(&self, vaults: usize) -> Result<()> {
        wait::until("all vaults open", || {
            let listed = self.node.run(&["vault", "list", "--output", "json"]).ok()?;
            let listed: serde_json::Value = serde_json::from_str(&listed).ok()?;
            let open =
                listed["vaults"].as_array()?.iter().filter(|vault| vault["state"] == "unlocked").count();
            (open == vaults).then_some(())
        })
        .with_context(|| format!("{vaults} vaults"))?;
        ensure!(!self.node.processes().is_empty(), "the node ended");
        Ok(())
    }
}
