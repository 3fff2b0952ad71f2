//! `eve status`: the node at a glance.

mod process;
#[cfg(test)]
mod tests;
mod text;

use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::bail;
use cli::{Forms, Output};
use serde::{Serialize, Serializer};
use vault::report::VaultReport;

use self::process::{Walls, landlock_note, memory_note, walls};
use self::text::{attestation_words, controller_words, text};
use super::args::Root;
use super::wait::{Readiness, under_way};
use super::{freed, table};
use crate::agents::nim;
use crate::agents::vaultmgr::hands::crypt::since_boot;
use crate::agents::vaultmgr::hands::swaps;
use crate::agents::zedagent::clock_s;
use crate::bus::messages::{
    AgentLine, Agents, ControllerStatus, Health, NetworkStatus, Onboarded, Onboarding, Session, TpmHealth,
    TpmStatus, VaultStatus,
};
use crate::bus::{Agent, Bus, Silence, Topic};

/// How long a topic is waited for: one that nobody has published yet stays silent.
const GLANCE: Duration = Duration::from_millis(700);
const NOT_ROOT: &str = "a node's status is for root alone: are you root?";
pub(super) const NO_PLACE: &str = "this node's agents take no more connections of yours; end some `eve bus tail`, `eve wait` or others that still run, then try again";
/// How long the TPM may take to say how it is.
const HEALTH: Duration = Duration::from_secs(5);

/// All of it; `--output json` prints it as it is.
#[derive(Debug, Serialize)]
struct Status {
    device: Option<String>,
    /// Why it is not known which device this is; empty when it is.
    #[serde(serialize_with = "words_of")]
    onboarding: Onboarding,
    tpm: String,
    /// What the TPM says of itself; none while there is none that answers.
    tpm_health: Option<TpmHealth>,
    /// There is one, and it does not answer or can't be used: nothing is signed.
    tpm_fails: bool,
    /// There is one, and it is not the one that this node was installed with.
    other_tpm: bool,
    session: Option<String>,
    /// None: zedagent does not answer.
    #[serde(serialize_with = "with_time")]
    controller: Option<ControllerStatus>,
    addresses: Vec<String>,
    agents: Vec<AgentStatus>,
    /// Of the TPM's roots and the share table, while that is open.
    generation: Option<u32>,
    /// None: vaultmgr does not answer.
    vaults: Option<Vec<VaultReport>>,
    disk_away: bool,
    /// zedagent has not asked the controller for longer than it ever waits: what its status says is of before.
    overdue: bool,
    notes: Vec<String>,
}

const OVERDUE: &str = "zedagent has not asked the controller for several poll intervals: what is said of the controller is of then, and no order of it is heard; see zedagent's last lines in the log of `eve run`, and restart that if it stays so";

#[derive(Debug, Serialize)]
struct AgentStatus {
    agent: Agent,
    pid: Option<u32>,
    restarts: u32,
    /// RFC 3339; none: it answers, or does not run.
    silent_since: Option<String>,
    walls: Option<Walls>,
    #[serde(skip)]
    note: Option<String>,
}

/// As on the bus, but for the time, which is text as everywhere: RFC 3339.
fn with_time<S: Serializer>(controller: &Option<ControllerStatus>, out: S) -> Result<S::Ok, S::Error> {
    let mut said = serde_json::to_value(controller).map_err(serde::ser::Error::custom)?;
    if let (Some(fields), Some(controller)) = (said.as_object_mut(), controller) {
        fields.remove("last_answer_unix_s");
        fields.remove("overdue_at_s");
        fields.insert("last_answer".to_owned(), controller.last_answer().into());
    }
    said.serialize(out)
}

fn words_of<S: Serializer>(onboarding: &Onboarding, out: S) -> Result<S::Ok, S::Error> {
    onboarding.words.serialize(out)
}

fn starting() -> Onboarding {
    Onboarding { words: "starting".to_owned(), unknown: false, here: false }
}

pub(super) fn show(root: &Root, output: Output) -> anyhow::Result<()> {
    let mut status = look(root)?;
    let root = &root.root;
    status.notes.extend(swaps::notes(&root.join("persist")));
    status.notes.extend(crate::check::notes(root));
    status.notes.extend(nim::note(root));
    status.notes.extend(freed::note().map(str::to_owned));
    let forms = Forms::of(&status, text(&status, None), names(&status))?;
    forms.with_wide(text(&status, Some(root))).print(output)?;
    sound(&status)
}

/// The device, its agents and its vaults, as far as they are known.
fn names(status: &Status) -> Vec<String> {
    let device = status.device.iter().map(|device| format!("device/{device}"));
    let agents = status.agents.iter().map(|line| format!("agent/{}", line.agent));
    device.chain(agents).chain(status.vaults.iter().flatten().map(table::name)).collect()
}

/// For a script: whether all is there, and is this node's.
fn sound(status: &Status) -> anyhow::Result<()> {
    let removed = status.controller.as_ref().is_some_and(|controller| controller.removed);
    match silent(status).as_slice() {
        [] if status.disk_away => {
            bail!("the disk of persist is not there: see the note above for what to do")
        }
        [] if status.other_tpm => bail!("the TPM is another node's: see its line above for what to do"),
        [] if removed => bail!("the controller removed this device: see the note above for what to do"),
        [] => Ok(()),
        who => bail!("{} does not answer; see its lines in the log of `eve run`", who.join(", ")),
    }
}

/// How far the node is, for who waits for it.
pub(super) fn readiness(root: &Root) -> Readiness {
    let bus = &root.bus();
    let (agents, onboarding) = (glance::<Agents>(bus), glance::<Onboarding>(bus));
    let onboarded = glance::<Onboarded>(bus);
    let (controller, vaults) = (glance::<ControllerStatus>(bus), glance::<VaultStatus>(bus));
    let tpm = glance::<TpmStatus>(bus);
    match heard(agents) {
        Ok(_) => {}
        Err(Silence::Refused) => return Readiness::Never(NOT_ROOT),
        Err(Silence::Yet) => return Readiness::NotYet(root.not_running()),
        Err(Silence::Full) => return Readiness::NotYet(NO_PLACE.to_owned()),
    }
    let device = seen(onboarded).map(|onboarded| onboarded.device.to_string());
    let (onboarding, controller, vaults) = (seen(onboarding), seen(controller), seen(vaults));
    // All else waits for it, and says less.
    if let Some(TpmStatus::Failing { why }) = seen(tpm) {
        return Readiness::NotYet(format!("this node's TPM can't be used: {why}"));
    }
    let not_yet = match (onboarding, controller, vaults) {
        (Some(onboarding), _, _) if !onboarding.words.is_empty() => {
            text::device_words(device.as_deref(), &onboarding)
        }
        (_, Some(controller), _) if !controller.attested => {
            let asked = controller_words(Some(&controller), false);
            format!("controller {asked}; attestation {}", attestation_words(Some(&controller)))
        }
        (Some(_), Some(_), Some(vaults)) => match under_way(&vaults.vaults) {
            None => return Readiness::Ready,
            Some(words) => words,
        },
        _ => "the agents are starting".to_owned(),
    };
    Readiness::NotYet(not_yet)
}

/// Who publishes as soon as it lives, and did not; and the TPM.
fn silent(status: &Status) -> Vec<&'static str> {
    let zedagent = (status.controller.is_none() || status.overdue).then_some(Agent::Zedagent);
    let vaultmgr = status.vaults.is_none().then_some(Agent::Vaultmgr);
    let agents = zedagent.into_iter().chain(vaultmgr).map(Agent::name);
    agents.chain(status.tpm_fails.then_some("this node's TPM")).collect()
}

fn look(root: &Root) -> anyhow::Result<Status> {
    let bus = &root.bus();
    let (agents, network, onboarded) =
        (glance::<Agents>(bus), glance::<NetworkStatus>(bus), glance::<Onboarded>(bus));
    let (tpm, session, onboarding) =
        (glance::<TpmStatus>(bus), glance::<Session>(bus), glance::<Onboarding>(bus));
    let (controller, vaults) = (glance::<ControllerStatus>(bus), glance::<VaultStatus>(bus));
    let agents = match heard(agents) {
        Ok(agents) => agents,
        Err(Silence::Refused) => bail!(NOT_ROOT),
        Err(Silence::Yet) => bail!(root.not_running()),
        Err(Silence::Full) => bail!(NO_PLACE),
    };
    let (controller, vaults) = (seen(controller), seen(vaults));
    let tpm = seen(tpm);
    let tpm_health = tpm.as_ref().and_then(|tpm| health(bus, tpm));
    let silent = agents.notes();
    let agents: Vec<AgentStatus> = agents.0.iter().map(agent_status).collect();
    let disk_away = vaults.as_ref().is_some_and(|vaults| vaults.disk_away);
    let generation = vaults.as_ref().and_then(|vaults| vaults.generation).map(|generation| generation.0);
    let leased = |vaults: VaultStatus| (table::with_leases(&vaults, since_boot()), vaults.notes);
    let (vaults, told) = vaults.map(leased).map(|(vaults, notes)| (table::present(vaults), notes)).unzip();
    let told = told.into_iter().flatten();
    let overdue = controller.as_ref().is_some_and(|controller| controller.is_overdue(clock_s()));
    let walls = agents.iter().filter_map(|agent| agent.note.clone()).chain(landlock_note());
    Ok(Status {
        device: seen(onboarded).map(|onboarded| onboarded.device.to_string()),
        onboarding: seen(onboarding).unwrap_or_else(starting),
        other_tpm: matches!(&tpm, Some(TpmStatus::Ready { identity, .. }) if identity.other_tpm),
        tpm_fails: tpm.as_ref().is_some_and(|tpm| fails(tpm, tpm_health.as_ref())),
        tpm: tpm.map_or("starting".to_owned(), |tpm| tpm_words(&tpm, tpm_health.as_ref())),
        tpm_health,
        session: seen(session).map(|session| hex::encode(session.key.0)),
        notes: told
            .chain(controller.as_ref().and_then(ControllerStatus::note))
            .chain(overdue.then(|| OVERDUE.to_owned()))
            .chain(silent)
            .chain(walls)
            .collect(),
        agents,
        controller,
        addresses: addresses(&seen(network).unwrap_or_default()),
        generation,
        vaults,
        disk_away,
        overdue,
    })
}

/// Its connection ends with the look.
fn glance<T: Topic>(bus: &Bus) -> JoinHandle<Result<T, Silence>> {
    let topic = bus.subscribe::<T>();
    thread::spawn(move || topic.next_within(GLANCE))
}

fn heard<T>(glance: JoinHandle<Result<T, Silence>>) -> Result<T, Silence> {
    glance.join().unwrap_or(Err(Silence::Yet))
}

fn seen<T>(glance: JoinHandle<Result<T, Silence>>) -> Option<T> {
    heard(glance).ok()
}

/// Only of a TPM that answers: the others are told by their words.
fn health(bus: &Bus, tpm: &TpmStatus) -> Option<TpmHealth> {
    let ready = matches!(tpm, TpmStatus::Ready { .. });
    ready.then(|| bus.call(&Health, HEALTH).ok()).flatten()
}

/// It is told as failing, or as ready and does not say how it is.
fn fails(tpm: &TpmStatus, health: Option<&TpmHealth>) -> bool {
    match tpm {
        TpmStatus::Absent { .. } => false,
        TpmStatus::Ready { .. } => health.is_none(),
        TpmStatus::Failing { .. } => true,
    }
}

/// Whoever is asked now knows better than what was published last.
fn tpm_words(tpm: &TpmStatus, health: Option<&TpmHealth>) -> String {
    if matches!(tpm, TpmStatus::Ready { .. }) && health.is_none() {
        return "failing: it does not answer; see that the TPM is there and config/tcti names it, or reset it by a reboot; it is tried again all the time".to_owned();
    }
    tpm.words()
}

fn addresses(network: &NetworkStatus) -> Vec<String> {
    network
        .ports
        .iter()
        .flat_map(|port| port.addresses.iter().map(|ip| format!("{} {ip}", port.name)))
        .collect()
}

fn agent_status(line: &AgentLine) -> AgentStatus {
    let told = line.pid.and_then(|pid| std::fs::read_to_string(format!("/proc/{pid}/status")).ok());
    AgentStatus {
        agent: line.agent,
        pid: line.pid,
        restarts: line.restarts,
        silent_since: line.silent_since(),
        walls: told.as_deref().map(walls),
        note: told.as_deref().and_then(|told| memory_note(line.agent, told)),
    }
}
