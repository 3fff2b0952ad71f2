//! The bus table holds: every forbidden call and topic, as every agent, is refused by the real answerer, told by the kernel's word.
//! Needs root: each agent speaks as a process of its own user and group.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use eve::bus::messages::*;
use eve::bus::{Agent, Bus, BusRoot, Call, CallError, CallId, Topic, TopicId, socket_path};
use vault::ids::{CONFIG_VAULT, Generation};
use vault::secret::RootSecret;

struct Helper(Child);

impl Drop for Helper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(agent: Agent, role: &str, root: &Path) -> Child {
    start_as(agent, (agent.row().uid, agent.row().gid), role, root)
}

fn start_as(agent: Agent, (uid, gid): (u32, u32), role: &str, root: &Path) -> Child {
    let mut command = Command::new("/proc/self/exe");
    command
        .args(["--exact", "helper", "--ignored", "--nocapture"])
        .env("EVE_ROLE", role)
        .env("EVE_AGENT", agent.name());
    command.env("EVE_ROOT", root).gid(gid).uid(uid).spawn().unwrap()
}

/// Not a test of its own: the life of one agent's process.
#[test]
#[ignore = "a part of the test below"]
fn helper() {
    let Ok(root) = std::env::var("EVE_ROOT") else { return };
    let agent: Agent = std::env::var("EVE_AGENT").unwrap().parse().unwrap();
    let root = Path::new(&root);
    match std::env::var("EVE_ROLE").unwrap().as_str() {
        "answer" => {
            let _bus = Bus::join(root, agent).unwrap();
            std::thread::sleep(Duration::from_secs(60));
        }
        "crowd" => crowd(&socket_path(root, agent), root),
        _ => ask_everything(&Bus::visit(root, agent), agent),
    }
}

/// Connects as often as it can, and is silent.
fn crowd(socket: &Path, root: &Path) {
    let _silent: Vec<UnixStream> = (0..200).filter_map(|_| UnixStream::connect(socket).ok()).collect();
    std::fs::write(root.join("crowded"), "").unwrap();
    std::thread::sleep(Duration::from_secs(60));
}

fn root() -> BusRoot {
    BusRoot(RootSecret::copied_from(&[7; 32]))
}

fn ask_everything(bus: &Bus, who: Agent) {
    ask(bus, who, &Sign { payload: Bytes(vec![1]) });
    ask(bus, who, &ReadRoots);
    ask(bus, who, &DefineRoots { generation: Generation(1), tpm: root(), pcrs: root(), selection: None });
    ask(bus, who, &UndefineRoots { generation: Generation(1) });
    ask(bus, who, &Health);
    ask(bus, who, &UnlockVault { id: CONFIG_VAULT });
    ask(bus, who, &LockVault { id: CONFIG_VAULT });
    ask(bus, who, &Recreate { id: CONFIG_VAULT, name: "config".parse().unwrap() });
    ask(bus, who, &Vaults);
    hear::<NetworkStatus>(bus, who);
    hear::<TpmStatus>(bus, who);
    hear::<Onboarding>(bus, who);
    hear::<Onboarded>(bus, who);
    hear::<SignedConfig>(bus, who);
    hear::<Challenge>(bus, who);
    hear::<ControllerStatus>(bus, who);
    hear::<Session>(bus, who);
    hear::<Evidence>(bus, who);
    hear::<VaultStatus>(bus, who);
}

fn ask<C: Call>(bus: &Bus, who: Agent, call: &C) {
    match bus.call(call, Duration::from_secs(5)) {
        Err(CallError::Refused) => assert!(!C::ID.may_ask(who), "{who} was refused {:?}", C::ID),
        Err(CallError::NotReady) => assert!(C::ID.may_ask(who), "{who} was let {:?}", C::ID),
        other => panic!("{who} asked {:?}: {:?}", C::ID, other.err()),
    }
}

fn hear<T: Topic>(bus: &Bus, who: Agent) {
    let heard = bus.subscribe::<T>().into_receiver().recv_timeout(Duration::from_millis(500)).err();
    let refused = heard == Some(RecvTimeoutError::Disconnected);
    assert_eq!(refused, !T::ID.may_hear(who), "{who} and {:?}", T::ID);
}

/// A root of a node with the places that sockets are made in, open to every user as far as folders go.
fn node() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run/eve");
    std::fs::create_dir_all(&run).unwrap();
    for path in [dir.path(), run.as_path()] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777)).unwrap();
    }
    dir
}

/// Threats, bus: neither a stranger's process nor an agent that was taken over keeps others off by connecting.
#[test]
fn a_crowd_of_silent_connections_keeps_nobody_off() {
    const NOBODY: (u32, u32) = (65534, 65534);
    for (who, ids) in [("a stranger", NOBODY), ("nim", (Agent::Nim.row().uid, Agent::Nim.row().gid))] {
        let dir = node();
        let _answerer = Helper(start(Agent::Tpmmgr, "answer", dir.path()));
        let connect = || UnixStream::connect(socket_path(dir.path(), Agent::Tpmmgr)).ok();
        testkit::wait::until("tpmmgr", connect).unwrap();
        let _crowd = Helper(start_as(Agent::Tpmmgr, ids, "crowd", dir.path()));
        let crowded = || dir.path().join("crowded").exists().then_some(());
        testkit::wait::until("the crowd", crowded).unwrap();
        let answer = Bus::visit(dir.path(), Agent::Operator).call(&Health, Duration::from_secs(5));
        assert!(matches!(answer, Err(CallError::NotReady)), "{who}: {:?}", answer.err());
    }
}

#[test]
fn every_forbidden_call_and_topic_is_refused_to_every_agent() {
    let dir = node();
    let _answerers: Vec<_> = Agent::STARTED.map(|agent| Helper(start(agent, "answer", dir.path()))).into();
    for agent in Agent::STARTED {
        let connect = || UnixStream::connect(socket_path(dir.path(), agent)).ok();
        testkit::wait::until(agent.name(), connect).unwrap();
    }
    let asking = Agent::STARTED.into_iter().chain([Agent::Operator]);
    let asked: Vec<_> = asking.map(|agent| (agent, start(agent, "ask", dir.path()))).collect();
    for (agent, mut child) in asked {
        assert!(child.wait().unwrap().success(), "{agent}");
    }
}

/// KO-1: the roots of the TPM are vaultmgr's alone; nobody but an operator orders vaults.
#[test]
fn the_rows_that_matter_most() {
    for who in Agent::ALL {
        assert_eq!(CallId::ReadRoots.may_ask(who), who == Agent::Vaultmgr);
        assert_eq!(CallId::LockVault.may_ask(who), who == Agent::Operator);
        assert_eq!(TopicId::SignedConfig.may_hear(who), matches!(who, Agent::Vaultmgr | Agent::Operator));
    }
    assert_eq!(Agent::of_ids(7399, 7399), None, "a stranger");
    assert_eq!(Agent::of_ids(7304, 7305), None, "a mixture");
}

/// A message that carries a secret prints without it: what `eve bus tail` and logs show.
#[test]
fn a_secret_in_a_message_is_never_printed() {
    let ask = DefineRoots { generation: Generation(1), tpm: root(), pcrs: root(), selection: None };
    let text = format!("{ask:?}");
    assert!(text.contains("redacted") && !text.contains('7'), "{text}");
}
