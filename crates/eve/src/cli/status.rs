//! `eve status`: the node at a glance.

use std::path::Path;
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use anyhow::bail;
use serde::{Serialize, Serializer};
use vault::report::VaultReport;
use vault::text::{plain, plain_lines};

use super::args::Output;
use super::wait::{Readiness, under_way};
use super::{out, table};
use crate::agents::vaultmgr::hands::swaps;
use crate::bus::messages::{
    AgentLine, Agents, ControllerStatus, Health, NetworkStatus, Onboarded, Onboarding, Session, TpmHealth,
    TpmStatus, VaultStatus,
};
use crate::bus::{Agent, Bus, Silence, Topic};
use crate::sandbox;

/// How long a topic is waited for: one that nobody has published yet stays silent.
const GLANCE: Duration = Duration::from_millis(700);
const NOT_ROOT: &str = "a node's status is for root alone: are you root?";
const NOT_RUNNING: &str = "no answer; is `eve run` running with this --root?";
/// How long the TPM may take to say how it is.
const HEALTH: Duration = Duration::from_secs(5);

/// All of it; `--output json` prints it as it is.
#[derive(Debug, Serialize)]
struct Status {
    device: Option<String>,
    /// Why it is not onboarded; empty when it is.
    onboarding: String,
    tpm: String,
    /// What the TPM says of itself; none while there is none that answers.
    tpm_health: Option<TpmHealth>,
    /// There is one, and it does not answer or can't be used: nothing is signed.
    tpm_fails: bool,
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
    notes: Vec<String>,
}

#[derive(Debug, Serialize)]
struct AgentStatus {
    agent: Agent,
    pid: Option<u32>,
    restarts: u32,
    walls: Option<Walls>,
    #[serde(skip)]
    note: Option<String>,
}

/// What the kernel says of a process's walls; none: it does not read.
#[derive(Debug, Serialize)]
struct Walls {
    uid: Option<u32>,
    /// Names of capabilities(7) in effect.
    capabilities: Option<Vec<&'static str>>,
    no_new_privs: Option<bool>,
    seccomp: Option<Seccomp>,
    memory_locked: bool,
}

/// seccomp(2), as /proc numbers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Seccomp {
    Off,
    Strict,
    Filter,
}

/// As on the bus, but for the time, which is text as everywhere: RFC 3339.
fn with_time<S: Serializer>(controller: &Option<ControllerStatus>, out: S) -> Result<S::Ok, S::Error> {
    let mut said = serde_json::to_value(controller).map_err(serde::ser::Error::custom)?;
    if let (Some(fields), Some(controller)) = (said.as_object_mut(), controller) {
        fields.remove("last_answer_unix_s");
        let at = controller.last_answer_unix_s.map(|s| SystemTime::UNIX_EPOCH + Duration::from_secs(s));
        let at = at.map(|at| humantime::format_rfc3339_seconds(at).to_string());
        fields.insert("last_answer".to_owned(), at.into());
    }
    said.serialize(out)
}

pub(super) fn show(root: &Path, bus: &Bus, output: Output) -> anyhow::Result<()> {
    let mut status = look(bus)?;
    status.notes.extend(swaps::notes(&root.join("persist")));
    match output {
        Output::Json => out::say(&(plain_lines(&serde_json::to_string_pretty(&status)?) + "\n"))?,
        Output::Table => out::say(&text(&status))?,
    }
    match silent(&status).as_slice() {
        [] => Ok(()),
        who => bail!("{} does not answer; see its lines in the log of `eve run`", who.join(", ")),
    }
}

/// How far the node is, for who waits for it.
pub(super) fn readiness(bus: &Bus) -> Readiness {
    let (agents, onboarding) = (glance::<Agents>(bus), glance::<Onboarding>(bus));
    let (controller, vaults) = (glance::<ControllerStatus>(bus), glance::<VaultStatus>(bus));
    match heard(agents) {
        Ok(_) => {}
        Err(Silence::Refused) => return Readiness::Never(NOT_ROOT),
        Err(Silence::Yet) => return Readiness::NotYet(NOT_RUNNING.to_owned()),
    }
    let (onboarding, controller, vaults) = (seen(onboarding), seen(controller), seen(vaults));
    let not_yet = match (onboarding, controller, vaults) {
        (Some(Onboarding { words, .. }), _, _) if !words.is_empty() => format!("not onboarded yet: {words}"),
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
    let zedagent = status.controller.is_none().then_some(Agent::Zedagent);
    let vaultmgr = status.vaults.is_none().then_some(Agent::Vaultmgr);
    let agents = zedagent.into_iter().chain(vaultmgr).map(Agent::name);
    agents.chain(status.tpm_fails.then_some("this node's TPM")).collect()
}

fn look(bus: &Bus) -> anyhow::Result<Status> {
    let (agents, network, onboarded) =
        (glance::<Agents>(bus), glance::<NetworkStatus>(bus), glance::<Onboarded>(bus));
    let (tpm, session, onboarding) =
        (glance::<TpmStatus>(bus), glance::<Session>(bus), glance::<Onboarding>(bus));
    let (controller, vaults) = (glance::<ControllerStatus>(bus), glance::<VaultStatus>(bus));
    let agents = match heard(agents) {
        Ok(agents) => agents,
        Err(Silence::Refused) => bail!(NOT_ROOT),
        Err(Silence::Yet) => bail!(NOT_RUNNING),
    };
    let (controller, vaults) = (seen(controller), seen(vaults));
    let tpm = seen(tpm);
    let tpm_health = tpm.as_ref().and_then(|tpm| health(bus, tpm));
    let agents: Vec<AgentStatus> = agents.0.iter().map(agent_status).collect();
    let generation = vaults.as_ref().and_then(|vaults| vaults.generation).map(|generation| generation.0);
    let (vaults, told) = vaults.map(|vaults| (table::present(vaults.vaults), vaults.notes)).unzip();
    let told = told.into_iter().flatten();
    let walls = agents.iter().filter_map(|agent| agent.note.clone()).chain(landlock_note());
    Ok(Status {
        device: seen(onboarded).map(|onboarded| onboarded.device.to_string()),
        onboarding: seen(onboarding).map_or("starting".to_owned(), |onboarding| onboarding.words),
        tpm_fails: tpm.as_ref().is_some_and(|tpm| fails(tpm, tpm_health.as_ref())),
        tpm_health,
        tpm: tpm.map_or("starting".to_owned(), |tpm| tpm.words()),
        session: seen(session).map(|session| hex::encode(session.key.0)),
        notes: told.chain(controller.as_ref().and_then(ControllerStatus::note)).chain(walls).collect(),
        agents,
        controller,
        addresses: addresses(&seen(network).unwrap_or_default()),
        generation,
        vaults,
    })
}

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

fn health_words(health: &TpmHealth) -> String {
    let figure = |figure: Option<u32>| figure.map_or("?".to_owned(), |figure| figure.to_string());
    format!(
        "{}, {} failed authorisations counted; room for {} sessions",
        if health.in_lockout { "in LOCKOUT (our keys work in it)" } else { "no lockout" },
        figure(health.lockout_counter),
        figure(health.sessions_free),
    )
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
        walls: told.as_deref().map(walls),
        note: told.as_deref().and_then(|told| memory_note(line.agent, told)),
    }
}

/// An agent that could not lock its memory though secrets pass through it.
fn memory_note(agent: Agent, told: &str) -> Option<String> {
    let unlocked = told.lines().any(|line| {
        line.strip_prefix("VmLck:").is_some_and(|locked| locked.split_whitespace().next() == Some("0"))
    });
    (agent.row().lock_memory && unlocked).then(|| {
        format!(
            "the memory of {agent} is not locked, and its secrets may reach swap: start `eve run` with CAP_IPC_LOCK, or turn swap off"
        )
    })
}

/// The agents' process and this one have one kernel.
fn landlock_note() -> Option<String> {
    let lacks = sandbox::landlock_lacks()?;
    Some(format!(
        "{lacks}: what an agent may reach of files and ports is held by its user and seccomp alone there"
    ))
}

/// From a process's status in /proc.
fn walls(text: &str) -> Walls {
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map_or("", str::trim);
    // VmLck is address space: a figure of gigabytes, of which little is in memory.
    let locked = field("VmLck:").split_whitespace().next().is_some_and(|kib| kib != "0");
    Walls {
        uid: field("Uid:").split_whitespace().next().and_then(|uid| uid.parse().ok()),
        capabilities: capabilities(field("CapEff:")),
        no_new_privs: match field("NoNewPrivs:") {
            "0" => Some(false),
            "1" => Some(true),
            _ => None,
        },
        seccomp: match field("Seccomp:") {
            "0" => Some(Seccomp::Off),
            "1" => Some(Seccomp::Strict),
            "2" => Some(Seccomp::Filter),
            _ => None,
        },
        memory_locked: locked,
    }
}

impl Walls {
    fn words(&self) -> String {
        let or_unknown = |said: Option<String>| said.unwrap_or_else(|| "?".to_owned());
        let seccomp = self.seccomp.map(|seccomp| format!("{seccomp:?}").to_lowercase());
        let capabilities = match self.capabilities.as_deref() {
            None => "capabilities ?".to_owned(),
            Some([]) => "no capabilities".to_owned(),
            Some(names) if names.len() == CAPABILITIES.len() => "all capabilities".to_owned(),
            Some(names) => format!("capabilities {}", names.join(" ")),
        };
        format!(
            "uid {}, {capabilities}, no-new-privs {}, seccomp {}, memory {}",
            or_unknown(self.uid.map(|uid| uid.to_string())),
            or_unknown(self.no_new_privs.map(|on| if on { "on" } else { "off" }.to_owned())),
            or_unknown(seccomp),
            if self.memory_locked { "locked" } else { "not locked" }
        )
    }
}

/// Their names in the order of the kernel's numbers: capabilities(7).
const CAPABILITIES: [&str; 41] = [
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
];

/// By their names; none where the kernel's digits do not read.
fn capabilities(digits: &str) -> Option<Vec<&'static str>> {
    let bits = u64::from_str_radix(digits, 16).ok()?;
    let held = |at: usize| bits >> at & 1 == 1;
    Some(CAPABILITIES.iter().enumerate().filter(|(at, _)| held(*at)).map(|(_, name)| *name).collect())
}

fn text(status: &Status) -> String {
    let controller = status.controller.as_ref();
    let line = |name: &str, words: &str| format!("{name:<12} {}\n", plain(words));
    let mut text = line("device", &device_words(status)) + &line("tpm", &status.tpm);
    match &status.tpm_health {
        Some(health) => text += &line("tpm health", &health_words(health)),
        None if status.tpm_fails => text += &line("tpm health", "does not answer"),
        None => {}
    }
    text.extend(status.generation.map(|generation| line("generation", &generation.to_string())));
    text += &line("controller", &controller_words(controller, status.tpm_fails));
    text += &line("attestation", attestation_words(controller));
    text += &line("addresses", &status.addresses.join(", "));
    text.extend(status.agents.iter().map(|agent| line("agent", &agent_words(agent))));
    text.extend(status.notes.iter().map(|note| line("note", note)));
    text.push('\n');
    match &status.vaults {
        Some(vaults) => text + &table::vaults(vaults, None),
        None => text + "vaults unknown: vaultmgr does not answer\n",
    }
}

fn device_words(status: &Status) -> String {
    match (&status.device, status.onboarding.as_str()) {
        (Some(device), "") => device.clone(),
        (Some(device), words) => format!("{device}, to be registered anew: {words}"),
        (None, words) => format!("not onboarded yet: {words}"),
    }
}

fn controller_words(controller: Option<&ControllerStatus>, tpm_fails: bool) -> String {
    let Some(ControllerStatus { server, proxy, reachable, not_asked, words, .. }) = controller else {
        return "unknown: zedagent does not answer".to_owned();
    };
    let way = proxy.as_ref().map(|proxy| format!(" by the proxy {proxy}")).unwrap_or_default();
    match words.as_str() {
        _ if !*reachable && tpm_fails => format!("{server} is not asked: this node's TPM does not sign"),
        _ if *reachable => format!("{server} answers{way}"),
        "" => format!("{server} not contacted yet"),
        words if *not_asked => format!("{server} not asked: {words}"),
        words => format!("{server} does not answer{way}: {words}"),
    }
}

fn attestation_words(controller: Option<&ControllerStatus>) -> &str {
    let Some(controller) = controller else { return "unknown: zedagent does not answer" };
    controller.attestation.as_deref().unwrap_or("none in this session")
}

fn agent_words(line: &AgentStatus) -> String {
    let pid = line.pid.map_or("down".to_owned(), |pid| format!("pid {pid}"));
    let walls = line.walls.as_ref().map(Walls::words).unwrap_or_default();
    format!("{:<9} {pid:<11} restarts {:<3} {walls}", line.agent.name(), line.restarts)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Invariant 8: memory that could not be locked is shown, where it should be locked.
    #[test]
    fn unlocked_memory_is_told_of_agents_that_hold_secrets() {
        let (locked, not) = ("Name:\teve\nVmLck:\t  1200 kB\n", "Name:\teve\nVmLck:\t       0 kB\n");
        for agent in Agent::STARTED {
            assert_eq!(memory_note(agent, locked), None, "{agent}");
            let told = memory_note(agent, not);
            assert_eq!(told.is_some(), agent.row().lock_memory, "{agent}");
            assert!(told.is_none_or(|words| words.contains(agent.name()) && words.contains("swap")));
        }
    }

    /// Seen-by-users 2: what a program reads are data, and what people read says the same.
    #[test]
    fn walls_are_data_for_programs_and_words_for_people() {
        let of = |capabilities: &str| {
            walls(&format!(
                "Uid:\t7\t7\nCapEff:\t{capabilities}\nNoNewPrivs:\t1\nSeccomp:\t2\nVmLck:\t 4 kB\n"
            ))
        };
        let told = of("0000000000204000");
        assert_eq!(
            serde_json::to_value(&told).expect("JSON"),
            serde_json::json!({
                "uid": 7, "capabilities": ["ipc_lock", "sys_admin"], "no_new_privs": true, "seccomp": "filter",
                "memory_locked": true
            })
        );
        let words = "uid 7, capabilities ipc_lock sys_admin, no-new-privs on, seccomp filter, memory locked";
        assert_eq!(told.words(), words);
        assert!(of("0000000000000000").words().contains("no capabilities"));
        assert!(of("000001ffffffffff").words().contains("all capabilities"));
        assert_eq!(walls("").words(), "uid ?, capabilities ?, no-new-privs ?, seccomp ?, memory not locked");
    }

    #[test]
    fn a_time_is_text_in_json() {
        let answered = ControllerStatus { last_answer_unix_s: Some(86_400), ..Default::default() };
        for (controller, at) in [
            (answered, serde_json::json!("1970-01-02T00:00:00Z")),
            (ControllerStatus::default(), serde_json::Value::Null),
        ] {
            let told = serde_json::to_value(status(Some(controller), None)).expect("JSON");
            assert_eq!(told["controller"]["last_answer"], at);
            assert!(told["controller"].get("last_answer_unix_s").is_none(), "{told}");
        }
        assert!(serde_json::to_value(status(None, None)).expect("JSON")["controller"].is_null());
    }

    fn status(controller: Option<ControllerStatus>, vaults: Option<Vec<VaultReport>>) -> Status {
        Status {
            device: None,
            onboarding: String::new(),
            tpm: String::new(),
            tpm_health: None,
            tpm_fails: false,
            session: None,
            controller,
            addresses: Vec::new(),
            agents: Vec::new(),
            generation: None,
            vaults,
            notes: Vec::new(),
        }
    }

    /// Invariant 8: what nobody answers for is unknown, and neither "no vaults" nor "not contacted".
    #[test]
    fn silence_is_not_told_as_a_state() {
        let answers = ControllerStatus { server: "c:1".to_owned(), reachable: true, ..Default::default() };
        let yet = ControllerStatus { server: "c:1".to_owned(), ..Default::default() };
        assert_eq!(controller_words(Some(&answers), false), "c:1 answers");
        assert_eq!(controller_words(Some(&yet), false), "c:1 not contacted yet");
        let unsigned = ControllerStatus {
            not_asked: true,
            words: "this node's key did not sign".to_owned(),
            ..yet.clone()
        };
        assert_eq!(controller_words(Some(&unsigned), false), "c:1 not asked: this node's key did not sign");
        assert_eq!(controller_words(None, false), "unknown: zedagent does not answer");
        assert!(silent(&status(Some(yet.clone()), Some(Vec::new()))).is_empty(), "no vaults is an answer");
        assert_eq!(silent(&status(Some(yet), None)), ["vaultmgr"]);
        assert_eq!(silent(&status(None, Some(Vec::new()))), ["zedagent"]);
    }

    /// Seen-by-users 1.12, 0.6: a TPM that does not answer is told as that, under its own name, and is a failure to a shell.
    #[test]
    fn a_tpm_that_fails_is_told_and_blamed() {
        let failing = TpmStatus::Failing { why: "gone".to_owned() };
        let none = TpmStatus::Absent { device_key: Vec::new() };
        assert_eq!((fails(&failing, None), fails(&none, None)), (true, false));
        let refused = ControllerStatus {
            server: "c:1".to_owned(),
            words: "not signed".to_owned(),
            ..Default::default()
        };
        let words = controller_words(Some(&refused), true);
        assert_eq!(words, "c:1 is not asked: this node's TPM does not sign");
        let mut told = status(Some(refused), Some(Vec::new()));
        told.tpm_fails = true;
        assert_eq!(silent(&told), ["this node's TPM"]);
    }
}
