//! The status in words, a line for each thing.

use std::path::Path;

use super::process::Walls;
use super::{AgentStatus, Status};
use crate::bus::messages::{ControllerStatus, Onboarding, TpmHealth};
use crate::cli::table::{self, Columns, fact as line};

/// With the directory of each vault, where a node's root is given.
pub(super) fn text(status: &Status, root: Option<&Path>) -> String {
    let controller = status.controller.as_ref();
    let mut text = line("device", &device_words(status.device.as_deref(), &status.onboarding))
        + &line("tpm", &status.tpm);
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
        Some(vaults) => {
            text + &table::vaults(vaults, root, if root.is_some() { Columns::All } else { Columns::Few })
        }
        None => text + "vaults unknown: vaultmgr does not answer\n",
    }
}

pub(super) fn device_words(device: Option<&str>, onboarding: &Onboarding) -> String {
    match (device, onboarding.words.as_str()) {
        (Some(device), "") => device.to_owned(),
        (Some(device), words) => format!("{device}, to be registered anew: {words}"),
        (None, _) => onboarding.why_not(),
    }
}

pub(super) fn controller_words(controller: Option<&ControllerStatus>, tpm_fails: bool) -> String {
    let Some(status) = controller else {
        return "unknown: zedagent does not answer".to_owned();
    };
    let ControllerStatus { server, proxy, reachable, not_asked, words, refused, .. } = status;
    let way = proxy.as_ref().map(|proxy| format!(" by the proxy {proxy}")).unwrap_or_default();
    match words.as_str() {
        _ if tpm_fails => format!("{server} is not asked: this node's TPM does not sign"),
        _ if *reachable => format!("{server} answers{way}{}", last_answer(status)),
        "" => format!("{server} not asked for vaults yet"),
        words if *not_asked => format!("{server} not asked: {words}"),
        words if *refused => format!("{server} answers{way}, and refuses: {words}"),
        words => format!("{server} does not answer{way}{}: {words}", last_answer(status)),
    }
}

/// When it last did, where it did.
fn last_answer(status: &ControllerStatus) -> String {
    status.last_answer().map(|at| format!(", last at {at}")).unwrap_or_default()
}

pub(super) fn attestation_words(controller: Option<&ControllerStatus>) -> &str {
    let Some(controller) = controller else { return "unknown: zedagent does not answer" };
    if controller.removed {
        return "of no use: the controller removed this device";
    }
    controller.attestation.as_deref().unwrap_or("none in this session")
}

fn agent_words(line: &AgentStatus) -> String {
    let pid = line.pid.map_or("down".to_owned(), |pid| format!("pid {pid}"));
    let walls = line.walls.as_ref().map(Walls::words).unwrap_or_default();
    format!("{:<9} {pid:<11} restarts {:<3} {walls}", line.agent.name(), line.restarts)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Seen-by-users: a device that registered, and whose controller does not answer since its boot, is not called one that never did.
    #[test]
    fn who_was_not_asked_for_is_not_told_as_unknown() {
        let told = |device, words: &str, unknown| {
            device_words(device, &Onboarding { words: words.to_owned(), unknown, here: false })
        };
        let silent = told(None, "c:1 does not answer", false);
        assert!(!silent.contains("not onboarded") && silent.contains("c:1 does not answer"), "{silent}");
        assert_eq!(told(None, "its serial may not", true), "not onboarded yet: its serial may not");
        assert_eq!(
            told(Some("d"), "its serial may not", true),
            "d, to be registered anew: its serial may not"
        );
        assert_eq!(told(Some("d"), "", false), "d");
    }
}
