//! Each agent's process is what the table says, to the kernel (invariants 3 and 7).

use std::fs;

use eve::bus::Agent;
use eve_vault_tests::Scene;
use testkit::node::Power;
use testkit::wait;

/// Fields of /proc/PID/status, by name.
fn field(pid: i32, name: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).expect(name);
    value.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Names in its environment that are not ours: what the shell of who started the node had.
fn foreign_environment(pid: i32) -> Vec<String> {
    let environment = String::from_utf8(fs::read(format!("/proc/{pid}/environ")).unwrap()).unwrap();
    let names = environment.split('\0').filter_map(|entry| entry.split_once('=')).map(|(name, _)| name);
    names.filter(|name| !["RUST_LOG", "RUST_BACKTRACE", "TSS2_LOG"].contains(name)).map(Into::into).collect()
}

fn bits(agent: Agent) -> String {
    let bits = agent.row().caps.iter().fold(0_u64, |bits, cap| bits | 1 << cap.index());
    format!("{bits:016x}")
}

#[test]
fn every_agent_has_its_own_user_its_capabilities_and_nothing_more() {
    let scene = Scene::attested().unwrap();
    scene.settled().unwrap();
    for agent in Agent::STARTED {
        let (pid, row) = (scene.node.agent_pid(agent.name()).unwrap(), agent.row());
        let four = |id: u32| [id; 4].map(|id| id.to_string()).join(" ");
        assert_eq!(field(pid, "Uid"), four(row.uid), "{agent}");
        assert_eq!(field(pid, "Gid"), four(row.gid), "{agent}");
        assert_eq!(field(pid, "Groups"), "", "{agent}");
        for set in ["CapEff", "CapPrm", "CapBnd"] {
            assert_eq!(field(pid, set), bits(agent), "{agent} {set}");
        }
        for set in ["CapInh", "CapAmb"] {
            assert_eq!(field(pid, set), format!("{:016x}", 0), "{agent} {set}");
        }
        assert_eq!((field(pid, "NoNewPrivs"), field(pid, "Seccomp")), ("1".into(), "2".into()), "{agent}");
        assert_eq!(field(pid, "Seccomp_filters"), "2", "{agent}");
        assert_eq!(foreign_environment(pid), [""; 0], "{agent}");
    }
    let users: std::collections::BTreeSet<_> =
        Agent::STARTED.map(|agent| (agent.row().uid, agent.row().gid)).into();
    assert_eq!(users.len(), Agent::STARTED.len(), "no two are the same to the kernel");
}

#[test]
fn no_agent_can_dump_core_and_those_with_secrets_lock_their_memory() {
    use std::os::unix::fs::MetadataExt as _;
    let scene = Scene::attested().unwrap();
    scene.settled().unwrap();
    for agent in Agent::STARTED {
        let pid = scene.node.agent_pid(agent.name()).unwrap();
        let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        assert_eq!(core.split_whitespace().collect::<Vec<_>>()[4..6], ["0", "0"], "{agent}");
        // The kernel gives these files of a process that may not be dumped to root.
        assert_eq!(fs::metadata(format!("/proc/{pid}/environ")).unwrap().uid(), 0, "{agent}");
        let locked = field(pid, "VmLck") != "0 kB";
        let secret = matches!(agent, Agent::Client | Agent::Tpmmgr | Agent::Vaultmgr);
        assert_eq!(locked, secret, "{agent}");
    }
}

/// AC-6: nim, client, zedagent, tpmmgr, vaultmgr. At a boot that finds the Config Vault made, none has to start anew.
#[test]
fn the_agents_start_in_their_order() {
    let mut scene = Scene::attested().unwrap();
    scene.node.reboot(Power::Clean).unwrap();
    scene.node.until_vault("config", "unlocked").unwrap();
    let all = ["nim", "client", "zedagent", "tpmmgr", "vaultmgr"];
    let pids = all.map(|name| wait::until(name, || scene.node.agent_pid(name)).unwrap());
    let started = |pid: i32| -> u64 {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        stat.rsplit(") ").next().unwrap().split(' ').nth(19).unwrap().parse().unwrap()
    };
    assert!(pids.map(started).is_sorted());
    let status = scene.node.status().unwrap();
    let agents = status["agents"].as_array().unwrap();
    assert!(agents.iter().all(|agent| agent["restarts"] == 0), "{agents:?}");
}
