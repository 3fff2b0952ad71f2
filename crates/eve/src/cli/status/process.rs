//! What the kernel says of an agent's process: its walls, as data and in words.

use serde::Serialize;

use crate::bus::Agent;
use crate::sandbox;

/// What the kernel says of a process's walls; none: it does not read.
#[derive(Debug, Serialize)]
pub(super) struct Walls {
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
pub(super) enum Seccomp {
    Off,
    Strict,
    Filter,
}

/// An agent that could not lock its memory though secrets pass through it.
pub(super) fn memory_note(agent: Agent, told: &str) -> Option<String> {
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
pub(super) fn landlock_note() -> Option<String> {
    let lacks = sandbox::landlock_lacks()?;
    Some(format!(
        "{lacks}: what an agent may reach of files and ports is held by its user and seccomp alone there"
    ))
}

/// From a process's status in /proc.
pub(super) fn walls(text: &str) -> Walls {
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
    pub(super) fn words(&self) -> String {
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
}
