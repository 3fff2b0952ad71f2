//! `eve walls`: what each agent's process is and may do, as the code has it.

use crate::bus::Agent;
use crate::sandbox::calls_page;

/// The page.
pub(super) fn text() -> String {
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
        "{agent}\n    user {} group {}, capabilities {}, memory {memory}\n    network {:?}\n    files {files}\n",
        row.uid,
        row.gid,
        if caps.is_empty() { "none".to_owned() } else { caps.join(" ") },
        row.network,
    )
}
