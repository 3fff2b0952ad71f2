//! Boot with one vault and with many: the TPM is asked the same (at most two root reads a generation).

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use eve::bus::messages::Health;
use eve::bus::{Agent, Bus};
use testkit::node::{Parts, Power};
use testkit::{Evc, Node, wait};

use super::report::Report;
use super::stats::Samples;

const PATIENCE: Duration = Duration::from_secs(30);
const MANY: usize = 32;

/// One boot.
#[derive(Debug, PartialEq, Eq)]
struct Boot {
    /// What tpmmgr counted when all vaults were open.
    commands: String,
}

pub(crate) fn measure(folder: &Path, quick: bool, report: &mut Report) -> Result<()> {
    let rounds = if quick { 2 } else { 15 };
    let (mut evc, mut node) = super::attested(folder, Parts::default())?;
    let (one, one_took) = boots(&mut evc, &mut node, 1, rounds)?;
    let (many, many_took) = boots(&mut evc, &mut node, MANY, rounds)?;
    report.section(
        "Boot with one vault and with many",
        "Vaults of custody `tpm`, `seal: pcrs`, beside the two default ones, the controller out of reach. What tpmmgr \
         counted from its start until all were open: calls into the TSS, and reads of a root. Time: from `eve run` to all open.",
    );
    report.row("1 vault: TPM", &one.commands);
    report.row(&format!("{MANY} vaults: TPM"), &many.commands);
    report.row("1 vault: time", &one_took.words());
    report.row(&format!("{MANY} vaults: time"), &many_took.words());
    report.goal(
        "the same for any number of vaults",
        if one == many { "the same" } else { "different" },
        one == many,
    );
    Ok(())
}

/// Boots a node with so many vaults, some times; what the TPM was asked must be the same each time.
fn boots(evc: &mut Evc, node: &mut Node, vaults: usize, rounds: usize) -> Result<(Boot, Samples)> {
    let vault = |n: usize| format!("---\nkind: Vault\nname: till-{n}\ndevice: edge-1\npolicy: p\n");
    let vaults_yaml: String = (0..vaults).map(vault).collect();
    evc.apply(&format!("kind: VaultPolicy\nname: p\ncustody: tpm\nseal: pcrs\n{vaults_yaml}"))?;
    all_open(node, vaults)?;
    let mut took = Samples::default();
    let mut seen = None;
    for _ in 0..rounds {
        let boot = reboot(evc, node, vaults, &mut took)?;
        anyhow::ensure!(
            seen.as_ref().is_none_or(|before| *before == boot),
            "differs from boot to boot: {seen:?} {boot:?}"
        );
        seen = Some(boot);
    }
    Ok((seen.context("a boot")?, took))
}

fn reboot(evc: &mut Evc, node: &mut Node, vaults: usize, took: &mut Samples) -> Result<Boot> {
    node.off(Power::Clean)?;
    // What the controller asks the TPM for is no part of this.
    evc.stop()?;
    let began = Instant::now();
    node.on(Power::Clean)?;
    all_open(node, vaults)?;
    took.push(began.elapsed());
    let health = Bus::visit(&node.root(), Agent::Operator).call(&Health, PATIENCE)?;
    evc.start()?;
    Ok(Boot { commands: health.commands })
}

fn all_open(node: &Node, vaults: usize) -> Result<()> {
    let open = || {
        let listed: serde_json::Value =
            serde_json::from_str(&node.run(&["vault", "list", "--output", "json"]).ok()?).ok()?;
        let open = listed["vaults"].as_array()?.iter().filter(|vault| vault["state"] == "unlocked").count();
        (open == vaults + 2).then_some(())
    };
    wait::until("all vaults open", open)
}
