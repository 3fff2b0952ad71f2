//! `eve walls`: what each agent's process is and may do, as the code has it.

use cli::Forms;
use serde_json::{Value, json};

use crate::bus::Agent;
use crate::bus::table::Network;
use crate::sandbox::calls_page;

/// The page; for programs what of it is no prose.
pub(super) fn forms() -> serde_json::Result<Forms> {
    let agents: Vec<_> = Agent::STARTED.iter().map(|agent| value(*agent)).collect();
    let names = Agent::STARTED.iter().map(|agent| format!("agent/{agent}")).collect();
    Forms::of(&agents, text(), names)
}

/// Without its files where no landlock bounds them.
fn value(agent: Agent) -> Value {
    let row = agent.row();
    let caps: Vec<_> = row.caps.iter().map(ToString::to_string).collect();
    let files = (!row.privileged).then(|| json!({ "reads": row.reads, "writes": row.writes }));
    json!({ "agent": agent, "user": row.uid, "group": row.gid, "capabilities": caps, "memory_locked": row.lock_memory,
        "network": network(row.network), "files": files })
}

fn text() -> String {
    let agents: String = Agent::STARTED.iter().map(|agent| of(*agent)).collect();
    format!("{agents}\nSYSTEM CALLS (what no line of an agent's names is refused)\n\n{}", calls_page())
}

fn of(agent: Agent) -> String {
    let row = agent.row();
    let caps: Vec<_> = row.caps.iter().map(ToString::to_string).collect();
    let files = if row.privileged {
        "all that its capabilities let it reach (no landlock)".to_owned()
    } else {
        format!("reads {}; writes {}", row.reads.join(" "), row.writes.join(" "))
    };
    let memory = if row.lock_memory { "locked" } else { "not locked" };
    format!(
        "{agent}\n    user {} group {}, capabilities {}, memory {memory}\n    network {}\n    files {files}\n",
        row.uid,
        row.gid,
        if caps.is_empty() { "none".to_owned() } else { caps.join(" ") },
        network(row.network),
    )
}

fn network(of: Network) -> &'static str {
    match of {
        Network::None => "none",
        Network::Interfaces => "the list of interfaces",
        Network::TpmPort => "TCP to the two ports of a software TPM, where one is configured",
        Network::All => "all",
    }
}
