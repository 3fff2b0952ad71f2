//! The bus table holds: every forbidden call and topic, as every agent, is refused by the real answerer, told by the kernel's word.
//! Needs root: each agent speaks as a process of its own user and group.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use eve::bus::messages::{DefineRoots, Health, ReadRoots};
use eve::bus::{Agent, Bus, BusError, BusRoot, CallError, CallId, TopicId, socket_path};
use serde::Serialize;
use serde::de::DeserializeOwned;
use vault::ids::Generation;
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

fn start_as(agent: Agent, ids: (u32, u32), role: &str, root: &Path) -> Child {
    start_named(agent.name(), ids, role, root)
}

fn start_named(name: &str, ids: (u32, u32), role: &str, root: &Path) -> Child {
    command(name, ids, role, root).spawn().unwrap()
}

fn command(name: &str, (uid, gid): (u32, u32), role: &str, root: &Path) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command
        .args(["--exact", "helper", "--ignored", "--nocapture"])
        .env("EVE_ROLE", role)
        .env("EVE_AGENT", name);
    command.env("EVE_ROOT", root).gid(gid).uid(uid);
    command
}

/// Not a test of its own: the life of one agent's process.
#[test]
#[ignore = "a part of the tests below"]
fn helper() {
    let root = std::env::var("EVE_ROOT").expect("a part of other tests, which say in EVE_ROOT where");
    let who: Option<Agent> = std::env::var("EVE_AGENT").unwrap().parse().ok();
    let root = Path::new(&root);
    match (std::env::var("EVE_ROLE").unwrap().as_str(), who) {
        ("answer", Some(agent)) => {
            if let Some(log) = std::env::var_os("EVE_LOG_INTO") {
                let log = std::fs::File::options().append(true).open(log).unwrap();
                tracing_subscriber::fmt().with_ansi(false).with_writer(log).init();
            }
            let _bus = Bus::join(root, agent).unwrap();
            std::thread::sleep(Duration::from_secs(600));
        }
        ("ask once", Some(agent)) => {
            let refused = Bus::visit(root, agent).call(&ReadRoots, Duration::from_secs(60));
            assert!(matches!(refused, Err(CallError::Bus(BusError::Refused))), "{:?}", refused.err());
        }
        ("crowd", Some(agent)) => crowd(&socket_path(root, agent), root),
        (_, who) => SOCKETS.into_iter().for_each(|agent| try_everything(root, agent, who)),
    }
}

/// Connects as often as it can, and is silent.
fn crowd(socket: &Path, root: &Path) {
    let _silent: Vec<UnixStream> = (0..200).filter_map(|_| UnixStream::connect(socket).ok()).collect();
    std::fs::write(root.join("crowded"), "").unwrap();
    std::thread::sleep(Duration::from_secs(600));
}

/// Threats, bus: a stranger can't fill root's log; an agent that asks what it must not is told there.
#[test]
fn a_strangers_refusal_is_not_logged_and_an_agents_is() {
    let (dir, log) = (node(), tempfile::NamedTempFile::new().unwrap());
    std::fs::set_permissions(log.path(), std::fs::Permissions::from_mode(0o666)).unwrap();
    let ids = (Agent::Tpmmgr.row().uid, Agent::Tpmmgr.row().gid);
    let mut answerer = command(Agent::Tpmmgr.name(), ids, "answer", dir.path());
    let _answerer = Helper(answerer.env("EVE_LOG_INTO", log.path()).spawn().unwrap());
    let connect = || UnixStream::connect(socket_path(dir.path(), Agent::Tpmmgr)).ok();
    testkit::wait::until("tpmmgr", connect).unwrap();
    let logged = || std::fs::read_to_string(log.path()).unwrap();
    let asks =
        |ids| assert!(start_as(Agent::Operator, ids, "ask once", dir.path()).wait().unwrap().success());
    asks((65534, 65534));
    assert_eq!(logged(), "");
    asks((Agent::Nim.row().uid, Agent::Nim.row().gid));
    assert!(logged().contains("refused on the bus") && logged().contains("nim"), "{}", logged());
}

fn root() -> BusRoot {
    BusRoot(RootSecret::copied_from(&[7; 32]))
}

/// Who listens on the bus.
const SOCKETS: [Agent; 6] =
    [Agent::Supervisor, Agent::Nim, Agent::Client, Agent::Zedagent, Agent::Tpmmgr, Agent::Vaultmgr];

/// Every topic and call there is, at one socket, in the bus's own bytes: a new one is tried as soon as it is in `ALL`.
fn try_everything(root: &Path, at: Agent, who: Option<Agent>) {
    for topic in TopicId::ALL {
        let said = verdict(&socket_path(root, at), HEAR, &topic);
        let may = topic.publisher() == at && who.is_some_and(|who| topic.may_hear(who));
        assert_eq!(said, if may { GRANTED } else { REFUSED }, "{who:?} hears {topic:?} at {at}");
    }
    for call in CallId::ALL {
        let said = verdict(&socket_path(root, at), ASK, &call);
        let may = call.answerer() == at && who.is_some_and(|who| call.may_ask(who));
        // Nobody answers behind these sockets.
        assert_eq!(said, if may { NOT_READY } else { REFUSED }, "{who:?} asks {call:?} at {at}");
    }
}

/// What is asked in a connection's first frame, and what is said to it: places in `bus::server::{Request, Preamble}`.
const HEAR: u8 = 0;
const ASK: u8 = 1;
const GRANTED: u8 = 0;
const REFUSED: u8 = 1;
const NOT_READY: u8 = 2;

/// Says a request, and what is answered to it.
fn verdict(socket: &Path, request: u8, id: &impl Serialize) -> u8 {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(testkit::wait::PATIENCE)).unwrap();
    let id = postcard::to_allocvec(id).unwrap();
    stream.write_all(&frame(&[&[request], &*id].concat())).unwrap();
    if request == ASK {
        // Refused already, the other end may have hung up.
        let _ = stream.write_all(&frame(b"a question"));
    }
    let mut answer = [0; 5];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer[..4], 1_u32.to_le_bytes(), "a verdict without words");
    answer[4]
}

fn frame(message: &[u8]) -> Vec<u8> {
    [&u32::try_from(message.len()).unwrap().to_le_bytes(), message].concat()
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
        assert!(matches!(answer, Err(CallError::Bus(BusError::NotReady))), "{who}: {:?}", answer.err());
    }
}

/// Invariant 7: as every agent, as an operator and as a stranger, at every socket.
#[test]
fn every_forbidden_call_and_topic_is_refused_to_every_agent() {
    const STRANGER: (u32, u32) = (7399, 7399);
    let dir = node();
    let _answerers: Vec<_> = SOCKETS.map(|agent| Helper(start(agent, "answer", dir.path()))).into();
    for agent in SOCKETS {
        let connect = || UnixStream::connect(socket_path(dir.path(), agent)).ok();
        testkit::wait::until(agent.name(), connect).unwrap();
    }
    let asking = Agent::STARTED.into_iter().chain([Agent::Operator]);
    let mut asked: Vec<_> = asking.map(|agent| (agent.name(), start(agent, "ask", dir.path()))).collect();
    asked.push(("stranger", start_named("stranger", STRANGER, "ask", dir.path())));
    for (who, mut child) in asked {
        assert!(child.wait().unwrap().success(), "{who}");
    }
}

/// What the test above goes through is all there is: the next place in each list belongs to nobody.
#[test]
fn the_lists_of_topics_calls_and_agents_are_whole() {
    fn decodes<T: DeserializeOwned>(place: usize) -> bool {
        postcard::from_bytes::<T>(&[u8::try_from(place).unwrap()]).is_ok()
    }
    assert!(decodes::<TopicId>(TopicId::ALL.len() - 1) && !decodes::<TopicId>(TopicId::ALL.len()));
    assert!(decodes::<CallId>(CallId::ALL.len() - 1) && !decodes::<CallId>(CallId::ALL.len()));
    assert!(decodes::<Agent>(Agent::ALL.len() - 1) && !decodes::<Agent>(Agent::ALL.len()));
    let publishers = TopicId::ALL.map(TopicId::publisher);
    assert!(publishers.iter().all(|agent| SOCKETS.contains(agent)), "{publishers:?}");
    assert!(CallId::ALL.iter().all(|call| SOCKETS.contains(&call.answerer())));
}

/// KO-1: the roots of the TPM are vaultmgr's alone; nobody but an operator orders vaults. AC-4: zedagent publishes the challenge,
/// tpmmgr hears it and answers, and nobody else of the agents does either.
#[test]
fn the_rows_that_matter_most() {
    for who in Agent::ALL {
        assert_eq!(CallId::ReadRoots.may_ask(who), who == Agent::Vaultmgr);
        assert_eq!(CallId::LockVault.may_ask(who), who == Agent::Operator);
        assert_eq!(TopicId::SignedConfig.may_hear(who), matches!(who, Agent::Vaultmgr | Agent::Operator));
        assert_eq!(TopicId::EvidenceWanted.may_hear(who), matches!(who, Agent::Tpmmgr | Agent::Operator));
        assert_eq!(TopicId::Evidence.may_hear(who), matches!(who, Agent::Zedagent | Agent::Operator));
    }
    assert_eq!(TopicId::EvidenceWanted.publisher(), Agent::Zedagent);
    assert_eq!(TopicId::Evidence.publisher(), Agent::Tpmmgr);
    assert_eq!(Agent::of_ids(7399, 7399), None, "a stranger");
    assert_eq!(Agent::of_ids(7304, 7305), None, "a mixture");
}

/// A message that carries a secret prints without it: what `eve bus tail` and logs show.
#[test]
fn a_secret_in_a_message_is_never_printed() {
    let ask =
        DefineRoots { generation: Generation(1), tpm: root(), pcrs: root(), selection: None, as_shown: None };
    let text = format!("{ask:?}");
    assert!(text.contains("redacted") && !text.contains('7'), "{text}");
}
