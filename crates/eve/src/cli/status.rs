//! `eve status`: the node at a glance.

use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::Context;
use serde::Serialize;
use vault::report::VaultReport;

use super::args::Output;
use super::table;
use crate::bus::messages::{
    AgentLine, Agents, ControllerStatus, NetworkStatus, Onboarded, Onboarding, Session, TpmStatus,
    VaultStatus,
};
use crate::bus::{Agent, Bus, Topic};

/// How long a topic is waited for: one that nobody has published yet stays silent.
const GLANCE: Duration = Duration::from_millis(700);

/// All of it; `--output json` prints it as it is.
#[derive(Debug, Serialize)]
struct Status {
    device: Option<String>,
    /// Why it is not onboarded; empty when it is.
    onboarding: String,
    tpm: String,
    session: Option<String>,
    controller: ControllerStatus,
    addresses: Vec<String>,
    agents: Vec<AgentStatus>,
    vaults: Vec<VaultReport>,
    notes: Vec<String>,
}

#[derive(Debug, Serialize)]
struct AgentStatus {
    agent: Agent,
    pid: Option<u32>,
    restarts: u32,
    walls: Option<String>,
}

pub(super) fn show(bus: &Bus, output: Output) -> anyhow::Result<()> {
    let status = look(bus)?;
    match output {
        Output::Json => println!("{}", serde_json::to_string_pretty(&status)?),
        Output::Table => print(&status),
    }
    Ok(())
}

fn look(bus: &Bus) -> anyhow::Result<Status> {
    let (agents, network, onboarded) =
        (glance::<Agents>(bus), glance::<NetworkStatus>(bus), glance::<Onboarded>(bus));
    let (tpm, session, onboarding) =
        (glance::<TpmStatus>(bus), glance::<Session>(bus), glance::<Onboarding>(bus));
    let (controller, vaults) = (glance::<ControllerStatus>(bus), glance::<VaultStatus>(bus));
    let agents =
        seen(agents).context("no answer; is `eve run` running with this --root, and are you root?")?;
    let (controller, vaults) = (seen(controller).unwrap_or_default(), seen(vaults).unwrap_or_default());
    Ok(Status {
        device: seen(onboarded).map(|onboarded| onboarded.device.to_string()),
        onboarding: seen(onboarding).map_or("starting".to_owned(), |onboarding| onboarding.words),
        tpm: tpm_words(seen(tpm)),
        session: seen(session).map(|session| hex::encode(session.key.0)),
        notes: vaults.notes.into_iter().chain(controller.note()).collect(),
        controller,
        addresses: addresses(&seen(network).unwrap_or_default()),
        agents: agents.0.iter().map(agent_status).collect(),
        vaults: vaults.vaults,
    })
}

fn glance<T: Topic>(bus: &Bus) -> JoinHandle<Option<T>> {
    let topic = bus.subscribe::<T>();
    thread::spawn(move || topic.next_within(GLANCE))
}

fn seen<T>(glance: JoinHandle<Option<T>>) -> Option<T> {
    glance.join().ok().flatten()
}

fn tpm_words(tpm: Option<TpmStatus>) -> String {
    match tpm {
        None => "starting".to_owned(),
        Some(TpmStatus::Absent { .. }) => "none: the device key is in a file".to_owned(),
        Some(TpmStatus::Failing { why }) => format!("failing: {why}"),
        Some(TpmStatus::Ready { identity, .. }) if identity.other_tpm => {
            "NOT the one this node was installed with: no vault of its custody opens".to_owned()
        }
        Some(TpmStatus::Ready { measured: true, .. }) => "ready".to_owned(),
        Some(TpmStatus::Ready { measured: false, .. }) => "ready, boot not measured".to_owned(),
    }
}

fn addresses(network: &NetworkStatus) -> Vec<String> {
    network
        .ports
        .iter()
        .flat_map(|port| port.addresses.iter().map(|ip| format!("{} {ip}", port.name)))
        .collect()
}

fn agent_status(line: &AgentLine) -> AgentStatus {
    AgentStatus { agent: line.agent, pid: line.pid, restarts: line.restarts, walls: line.pid.map(walls) }
}

/// What the kernel says of a process's walls.
fn walls(pid: u32) -> String {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map_or("?", str::trim);
    let uid = field("Uid:").split_whitespace().next().unwrap_or("?");
    let (caps, locked) = (field("CapEff:"), field("VmLck:"));
    format!(
        "uid {uid} caps {caps} no-new-privs {} seccomp {} locked {locked}",
        field("NoNewPrivs:"),
        field("Seccomp:")
    )
}

fn print(status: &Status) {
    println!("device       {}", device_words(status));
    println!("tpm          {}", status.tpm);
    println!("controller   {}", controller_words(&status.controller));
    println!("attestation  {}", status.controller.attestation.as_deref().unwrap_or("none in this session"));
    println!("addresses    {}", status.addresses.join(", "));
    status.agents.iter().for_each(print_agent);
    status.notes.iter().for_each(|note| println!("note         {note}"));
    println!();
    table::print(&status.vaults);
}

fn device_words(status: &Status) -> String {
    match (&status.device, status.onboarding.as_str()) {
        (Some(device), "") => device.clone(),
        (Some(device), words) => format!("{device}, to be registered anew: {words}"),
        (None, words) => format!("not onboarded yet: {words}"),
    }
}

fn controller_words(controller: &ControllerStatus) -> String {
    match (controller.server.as_str(), controller.reachable) {
        ("", _) => "not contacted yet".to_owned(),
        (server, true) => format!("{server} answers"),
        (server, false) => format!("{server} does not answer: {}", controller.words),
    }
}

fn print_agent(line: &AgentStatus) {
    let pid = line.pid.map_or("down".to_owned(), |pid| format!("pid {pid}"));
    let walls = line.walls.as_deref().unwrap_or_default();
    println!("agent        {:<9} {pid:<11} restarts {:<3} {walls}", line.agent.name(), line.restarts);
}
