//! One node whose agents are real processes behind their real walls, each with a root of its own, so that what they say to each other
//! passes a broker. It starts them as the supervisor does, and anew when one ends.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use eve::bus::messages::{AgentLine, Agents, VaultStatus};
use eve::bus::{Agent, Bus, Subscription};
use fscrypt::{KeyStatus, PathKind};
use testkit::node::Parts;
use testkit::{Evc, Node};
use vault::ids::{CONFIG_VAULT, IMAGE_VAULT, VaultId};
use vault::report::{State, VaultReport};

use super::broker::{Broker, Fault};

/// How long what was cut may take to mend: the longest that anybody on the bus waits is a minute, of a loaded machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(150);
/// Before an agent is started anew.
const PAUSE: Duration = Duration::from_millis(200);
/// Exit codes of an agent that ended by an error that it told, and by its own wish.
const ENDS: [i32; 2] = [1, 75];

/// What ends with the house: first the processes.
pub(super) struct House {
    charges: Vec<Charge>,
    pub(super) broker: Broker,
    /// The supervisor's end of the bus, and what it told last.
    supervisor: Bus,
    lines: Vec<AgentLine>,
    status: Subscription<VaultStatus>,
    /// Root's end of the bus, which passes the broker.
    pub(super) root: Bus,
    pub(super) node: Node,
    /// A vault whose key files were taken away. It may be told as missing late, too.
    pub(super) lost: Option<VaultId>,
    told: VaultStatus,
    what: String,
}

struct Charge {
    agent: Agent,
    root: PathBuf,
    child: Option<Child>,
    ended: Instant,
    restarts: u32,
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.end();
    }
}

/// vaultmgr has the node's own, with its disk.
pub(super) fn root(dir: &Path, agent: Agent) -> PathBuf {
    dir.join(if agent == Agent::Vaultmgr { "node" } else { agent.name() })
}

impl House {
    /// A new node of this name, in `dir`, with this done to its bus.
    pub(super) fn new(dir: &Path, name: &str, evc: &Evc, tpm: bool, plan: Option<(Fault, usize)>) -> Self {
        let parts = Parts { tpm, disk: 24 << 20, ..Parts::default() };
        let node = Node::made(dir, name, evc, parts).unwrap();
        let all = Agent::STARTED.into_iter().chain([Agent::Operator, Agent::Supervisor]);
        all.for_each(|agent| furnish(dir, agent));
        let charge = |agent| Charge {
            agent,
            root: root(dir, agent),
            child: None,
            ended: Instant::now() - PAUSE,
            restarts: 0,
        };
        let charges: Vec<Charge> = Agent::STARTED.into_iter().map(charge).collect();
        let supervisor = Bus::join(&root(dir, Agent::Supervisor), Agent::Supervisor).unwrap();
        let broker = Broker::between(root, dir, plan);
        let status = Bus::visit(&node.root(), Agent::Operator).subscribe();
        let root = Bus::visit(&root(dir, Agent::Operator), Agent::Operator);
        Self {
            charges,
            broker,
            supervisor,
            lines: Vec::new(),
            status,
            root,
            node,
            lost: None,
            told: VaultStatus::default(),
            what: format!("{name}: {plan:?}"),
        }
    }

    /// Lives until the node and its controller say that the default vaults are open, and no word of vaultmgr's was false. Says how many
    /// frames passed on a link at most, and on how many links the fault was met.
    pub(super) fn live(&mut self, evc: &Evc) -> (usize, usize) {
        self.until("its vaults are open", |house, told| are_open(told) && house.controller_knows(evc));
        let (frames, silent) = (self.broker.frames(), Some(Agent::Nim));
        self.until_as("it is told that one does not answer", silent, |house, _| house.is_told_silent(evc));
        self.until("and that it does again", |house, _| !house.is_told_silent(evc));
        (frames, self.broker.met())
    }

    fn is_told_silent(&self, evc: &Evc) -> bool {
        let told = evc.json(&["describe", "device", self.node.name()]).unwrap();
        told.to_string().contains("does not answer")
    }

    /// Lives until this is so, by what vaultmgr told last. No word of it was false.
    pub(super) fn until(&mut self, what: &str, so: impl Fn(&Self, &VaultStatus) -> bool) {
        self.until_as(what, None, so);
    }

    /// The same, while the supervisor tells of one that does not turn.
    fn until_as(&mut self, what: &str, silent: Option<Agent>, so: impl Fn(&Self, &VaultStatus) -> bool) {
        let late = Instant::now() + PATIENCE;
        while !so(self, &self.told) {
            let broker = self.broker.told();
            assert!(Instant::now() < late, "{}: never: {what}: {broker}: {:?}", self.what, self.told);
            self.charges.iter_mut().for_each(|charge| charge.look(&self.what));
            self.publish(silent);
            if let Ok(status) = self.status.next_within(Duration::from_millis(50)) {
                status.vaults.iter().for_each(|vault| self.is_true(vault));
                self.told = status;
            }
        }
    }

    /// Agents that ended are started anew, and it is told who runs.
    pub(super) fn look(&mut self) {
        self.charges.iter_mut().for_each(|charge| charge.look(&self.what));
        self.publish(None);
    }

    /// What is new of who runs, and of one that does not turn.
    fn publish(&mut self, silent: Option<Agent>) {
        let lines: Vec<_> = self.charges.iter().map(|charge| charge.line(silent)).collect();
        if lines != self.lines {
            self.supervisor.publish(&Agents(lines.clone()));
            self.lines = lines;
        }
    }

    /// As a kill ends an agent: it is started anew at the next look.
    pub(super) fn end(&mut self, agent: Agent) {
        let ended = self.charges.iter_mut().filter(|charge| charge.agent == agent);
        ended.for_each(Charge::end);
    }

    fn controller_knows(&self, evc: &Evc) -> bool {
        let state = |vault| evc.vault(self.node.name(), vault).ok().map(|vault| vault["state"].clone());
        ["config", "image"].into_iter().all(|vault| state(vault).is_some_and(|state| state == "unlocked"))
    }

    /// What is told may be older than what is: a vault opens meanwhile. No default vault is closed here, and nothing is lost. What is told of a
    /// user's is held against what is once it came to rest.
    fn is_true(&self, told: &VaultReport) {
        let so = match told.state {
            State::Missing => self.lost == Some(told.id),
            _ if !told.id.is_default() => told.state != State::Orphan,
            State::Unlocked => self.has_key(told.id),
            State::Waiting | State::Creating | State::Failed => true,
            State::Locked | State::LockIncomplete | State::Removed | State::Orphan => false,
        };
        assert!(so, "{}: this is not so: {told:?}", self.what);
    }

    pub(super) fn folder(&self, id: VaultId) -> PathBuf {
        let persist = self.node.root().join("persist");
        match id {
            CONFIG_VAULT => persist.join("config"),
            IMAGE_VAULT => persist.join("img"),
            _ => persist.join("vaults").join(id.to_string()),
        }
    }

    pub(super) fn has_key(&self, id: VaultId) -> bool {
        let top = self.node.root().join("persist");
        let persist = File::open(&top).unwrap();
        let device = std::os::unix::fs::MetadataExt::dev(&persist.metadata().unwrap());
        match fscrypt::look(&persist, self.folder(id).strip_prefix(&top).unwrap(), device).unwrap() {
            PathKind::Encrypted(_, policy) => {
                matches!(fscrypt::key_status(&persist, policy.identifier), Ok(KeyStatus::Present { .. }))
            }
            _ => false,
        }
    }
}

fn are_open(told: &VaultStatus) -> bool {
    let open = |id| told.vaults.iter().any(|vault| vault.id == id && vault.state == State::Unlocked);
    open(CONFIG_VAULT) && open(IMAGE_VAULT)
}

/// The agent's root: the installer's files, its end of the bus, and the disk, of which zedagent needs a part; and root all of it.
fn furnish(dir: &Path, agent: Agent) {
    let (own, node) = (root(dir, agent), root(dir, Agent::Vaultmgr));
    fs::create_dir_all(own.join("run/eve")).unwrap();
    if own != node {
        fs::create_dir_all(own.join("config")).unwrap();
        for file in fs::read_dir(node.join("config")).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), own.join("config").join(file.file_name())).unwrap();
        }
    }
    match agent {
        Agent::Zedagent | Agent::Operator => symlink(node.join("persist"), own.join("persist")).unwrap(),
        _ => fs::create_dir_all(own.join("persist/status")).unwrap(),
    }
}

impl Charge {
    /// Starts it when its pause is over. It ends by no signal, and no panic.
    fn look(&mut self, what: &str) {
        let Some(child) = &mut self.child else {
            if self.ended.elapsed() >= PAUSE {
                self.child = Some(self.start());
            }
            return;
        };
        let Some(status) = child.try_wait().unwrap() else { return };
        let log = || fs::read_to_string(self.root.join("log")).unwrap_or_default();
        assert!(
            status.code().is_some_and(|code| ENDS.contains(&code)),
            "{what}: {}: {status}: {}",
            self.agent,
            log()
        );
        self.child = None;
        self.ended = Instant::now();
        self.restarts += 1;
    }

    fn line(&self, silent: Option<Agent>) -> AgentLine {
        let silent_since_unix_s = (silent == Some(self.agent)).then_some(1_700_000_000);
        AgentLine {
            agent: self.agent,
            pid: self.child.as_ref().map(Child::id),
            restarts: self.restarts,
            silent_since_unix_s,
        }
    }

    fn end(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        self.ended = Instant::now();
    }

    fn start(&self) -> Child {
        let supervisor = std::process::id().to_string();
        let log = File::options().create(true).append(true).open(self.root.join("log")).unwrap();
        let mut command = Command::new(testkit::program("eve").unwrap());
        command.args(["agent", self.agent.name(), "--poll-interval", "200ms", "--unlisted-calls", "ends"]);
        command.args(["--supervisor", &supervisor, "--root"]).arg(&self.root);
        command.env("RUST_LOG", "debug,ureq=info,ureq_proto=info,rustls=info");
        command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
    }
}
