//! Change Key of a vault full of data, beside one with next to nothing: contents are never re-encrypted (VC-4).

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use eve::bus::messages::{SignedConfig, Source, VaultStatus};
use eve::bus::{Agent, Bus, Topic};
use testkit::node::Parts;
use testkit::{Evc, Node};

use super::report::Report;
use super::stats::{Samples, times};

const PATIENCE: Duration = Duration::from_secs(60);
const GOAL: f64 = 1.2;
const MIB: u64 = 1 << 20;
const VAULTS: &str = "kind: VaultPolicy\nname: p\ncustody: tpm+controller\n---\nkind: Vault\nname: full\ndevice: edge-1\n\
                      policy: p\n---\nkind: Vault\nname: bare\ndevice: edge-1\npolicy: p\n";

pub(crate) fn measure(folder: &Path, quick: bool, report: &mut Report) -> Result<()> {
    let (mib, rounds) = if quick { (32, 3) } else { (1024, 30) };
    let parts = Parts { disk: (mib + 256) * MIB, poll: "100ms".to_owned(), ..Parts::default() };
    let (evc, mut node) = super::attested(folder, parts)?;
    evc.apply(VAULTS)?;
    fill(&mut node, "full", mib * MIB)?;
    fill(&mut node, "bare", 1024)?;
    let events = Events::of(&node);
    let (mut full, mut bare) = (Samples::default(), Samples::default());
    for _ in 0..rounds {
        full.push(events.rekey(&evc, "full")?);
        bare.push(events.rekey(&evc, "bare")?);
    }
    report.section(
        "Change Key",
        "From the moment that the signed configuration with the new key is published on the node's bus to the moment that \
         vaultmgr reports the new epoch: verify, plan, wrap anew in both copies, overwrite the old ones, sync.",
    );
    report.row(&format!("with {mib} MiB in the vault"), &full.words());
    report.row("with 1 KiB in the vault", &bare.words());
    let ratio = times(&full, &bare);
    report.speed_goal(&format!("ratio under {GOAL}"), &format!("{ratio:.2}"), ratio < GOAL);
    Ok(())
}

fn fill(node: &mut Node, vault: &str, bytes: u64) -> Result<()> {
    node.until_vault(vault, "unlocked")?;
    let mut file = File::create(node.vault_dir(vault)?.join("data"))?;
    let block = vec![7; usize::try_from(bytes.min(MIB))?];
    for _ in 0..bytes.div_ceil(MIB) {
        file.write_all(&block)?;
    }
    Ok(file.sync_all()?)
}

enum Event {
    Config(Instant),
    Vaults(Instant, Box<VaultStatus>),
}

/// What goes over the node's bus, with the time at which it was heard.
struct Events(Receiver<Event>);

impl Events {
    fn of(node: &Node) -> Self {
        let (sender, events) = channel();
        let bus = Bus::visit(&node.root(), Agent::Operator);
        let live =
            |config: SignedConfig| (config.source == Source::Live).then(|| Event::Config(Instant::now()));
        hear(&bus, sender.clone(), live);
        hear(&bus, sender, |status: VaultStatus| Some(Event::Vaults(Instant::now(), Box::new(status))));
        Self(events)
    }

    /// Orders a rotation and waits for it; from the configuration that brought it to the report of it.
    fn rekey(&self, evc: &Evc, vault: &str) -> Result<Duration> {
        evc.until_taken("edge-1", vault)?;
        let device = evc.vault("edge-1", vault)?;
        let wanted = device["current_epoch"].as_u64().context("an epoch")? + 1;
        evc.run(&["rotate", "vault", vault, "--device", "edge-1"])?;
        let mut brought = None;
        loop {
            match self
                .0
                .recv_timeout(PATIENCE)
                .with_context(|| format!("{vault} never reached epoch {wanted}"))?
            {
                Event::Config(at) => brought = Some(at),
                Event::Vaults(at, status) if has(&status, vault, wanted) => {
                    return Ok(
                        at.saturating_duration_since(brought.context("a report before its configuration")?)
                    );
                }
                Event::Vaults(..) => {}
            }
        }
    }
}

fn has(status: &VaultStatus, vault: &str, epoch: u64) -> bool {
    let mut of = status.vaults.iter().filter(|report| report.name.as_str() == vault);
    of.any(|report| report.epoch.is_some_and(|at| at.0 == epoch))
}

fn hear<T: Topic>(bus: &Bus, into: std::sync::mpsc::Sender<Event>, event: fn(T) -> Option<Event>) {
    let topic = bus.subscribe::<T>();
    thread::spawn(move || topic.filter_map(event).try_for_each(|event| into.send(event).ok()));
}
