//! Boot with one vault and with many: the TPM is asked the same (at most two root reads a generation).

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use eve::bus::messages::{Health, TpmCommands};
use eve::bus::{Agent, Bus};
use testkit::node::{Parts, Power};
use testkit::{Evc, Node};

use super::many::all_open;
use super::report::Report;
use super::stats::Samples;

const PATIENCE: Duration = Duration::from_secs(30);
const MANY: usize = 32;

/// A node with so many vaults, its controller, and its boots so far.
struct Booting {
    evc: Evc,
    node: Node,
    vaults: usize,
    took: Samples,
    /// What tpmmgr counted when all vaults were open; the same at each boot.
    commands: Option<TpmCommands>,
}

pub(crate) fn measure(folder: &Path, quick: bool, report: &mut Report) -> Result<()> {
    let rounds = if quick { 2 } else { 15 };
    let mut one = Booting::with(&folder.join("one"), 1)?;
    let mut many = Booting::with(&folder.join("many"), MANY)?;
    // In turn, so that whatever else the machine does meets both alike.
    for _ in 0..rounds {
        one.boot()?;
        many.boot()?;
    }
    report.section(
        "Boot with one vault and with many",
        "Vaults of custody `tpm`, `seal: pcrs`, beside the two default ones, the controller out of reach. What tpmmgr \
         counted from its start until all were open: calls into the TSS, and reads of a root. Time: from `eve run` to all open.",
    );
    let commands = |of: &Booting| {
        let words = |TpmCommands { calls, root_reads }| format!("{calls} calls, {root_reads} reads of roots");
        of.commands.map(words).unwrap_or_default()
    };
    report.row("1 vault: TPM", &commands(&one));
    report.row(&format!("{MANY} vaults: TPM"), &commands(&many));
    report.row("1 vault: time", &one.took.words());
    report.row(&format!("{MANY} vaults: time"), &many.took.words());
    let same = one.commands == many.commands;
    report.goal("the same for any number of vaults", if same { "the same" } else { "different" }, same);
    Ok(())
}

impl Booting {
    fn with(folder: &Path, vaults: usize) -> Result<Self> {
        let (evc, node) = super::attested(folder, Parts::default())?;
        let vault = |n: usize| format!("---\nkind: Vault\nname: till-{n}\ndevice: edge-1\npolicy: p\n");
        let vaults_yaml: String = (0..vaults).map(vault).collect();
        evc.apply(&format!("kind: VaultPolicy\nname: p\ncustody: tpm\nseal: pcrs\n{vaults_yaml}"))?;
        all_open(&node, vaults)?;
        Ok(Self { evc, node, vaults, took: Samples::default(), commands: None })
    }

    /// Boots once more; what the TPM was asked must be the same each time.
    fn boot(&mut self) -> Result<()> {
        self.node.off(Power::Clean)?;
        // What the controller asks the TPM for is no part of this.
        self.evc.stop()?;
        let began = Instant::now();
        self.node.on(Power::Clean)?;
        all_open(&self.node, self.vaults)?;
        self.took.push(began.elapsed());
        let commands = Bus::visit(&self.node.root(), Agent::Operator).call(&Health, PATIENCE)?.commands;
        self.evc.start()?;
        let before = self.commands.replace(commands);
        ensure!(
            before.is_none() || before == self.commands,
            "differs from boot to boot: {before:?} {:?}",
            self.commands
        );
        Ok(())
    }
}
