//! The command line of a node, as root types it beside a node that runs, and as somebody types it who may not.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;
use testkit::node::{Parts, Power};
use testkit::{Evc, Node, program, wait};

/// A node without a TPM, for speed, and its controller, in a folder that goes with them.
struct Scene {
    node: Node,
    evc: Evc,
    dir: TempDir,
}

impl Scene {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        // Agents run as users of their own and must get through.
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        let evc = Evc::new(&dir.path().join("evc")).unwrap();
        let parts = Parts { tpm: false, ..Parts::default() };
        let mut node = Node::new(&dir.path().join("node"), "edge-1", &evc, parts).unwrap();
        node.until_vault("image", "unlocked").unwrap();
        Self { node, evc, dir }
    }

    /// With a vault that was made, and whose directory was lost then.
    fn with_a_missing_vault() -> Self {
        let mut scene = Self::new();
        scene
            .evc
            .apply("kind: VaultPolicy\nname: p\ncustody: controller\nattest: { every: 15m, require: [], on_failure: withhold }\n---\nkind: Vault\nname: till\ndevice: edge-1\npolicy: p\n")
            .unwrap();
        scene.node.until_vault("till", "unlocked").unwrap();
        let dir = scene.node.vault_dir("till").unwrap();
        // Without a TPM its controller alone remembers that it was made.
        testkit::wait::until("the controller to hear of it", || {
            (scene.evc.vault("edge-1", "till").ok()?["created"] == true).then_some(())
        })
        .unwrap();
        scene.node.stop(Power::Clean).unwrap();
        fs::remove_dir_all(dir).unwrap();
        scene.node.start().unwrap();
        scene.node.until_vault("till", "missing").unwrap();
        scene
    }

    /// `eve ARGS --root ROOT` with these lines at its standard input. What should be refused and is not must end, too.
    fn typed(&self, args: &[&str], lines: &str) -> Output {
        let mut command = Command::new("timeout");
        command.arg("60").arg(program("eve").unwrap()).args(args).arg("--root").arg(self.node.root());
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // It may refuse before it reads.
        let _ = child.stdin.take().unwrap().write_all(lines.as_bytes());
        child.wait_with_output().unwrap()
    }
}

fn words(output: &Output) -> String {
    [&*output.stdout, &*output.stderr].map(String::from_utf8_lossy).concat()
}

/// Whether one line has all the words.
fn has(text: &str, words: &[&str]) -> bool {
    text.lines().any(|line| words.iter().all(|word| line.contains(word)))
}

/// Issue 8 B: what a node counted of a failure that repeats, and that no line has told, is told when it is stopped.
#[test]
fn how_often_a_failure_repeated_is_told_at_the_stop() {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
    let mut evc = Evc::new(&dir.path().join("evc")).unwrap();
    let parts = Parts { tpm: false, ..Parts::default() };
    let mut node = Node::made(&dir.path().join("node"), "edge-1", &evc, parts).unwrap();
    evc.stop().unwrap();
    node.start().unwrap();
    // The fifth try, and the sixth and seventh, stand in no line of their own; the eighth comes two minutes later.
    let fifth = || node.status().ok()?.to_string().contains("tried again in 16s").then_some(());
    wait::until("the fifth try to be told", fifth).unwrap();
    node.stop(Power::Clean).unwrap();
    let log = fs::read_to_string(node.log()).unwrap();
    assert!(log.contains("as often in all it was"), "{log}");
}

#[test]
fn the_tables_show_each_vault_and_each_agent() {
    let scene = Scene::new();
    let list = scene.node.run(&["vault", "list"]).unwrap();
    assert!(list.starts_with("VAULT ") && has(&list, &["VAULT", "STATE", "EPOCH", "DETAIL"]), "{list}");
    assert!(has(&list, &["config", "unlocked", "1"]) && has(&list, &["image", "unlocked", "1"]), "{list}");
    wait::until("all agents up", || {
        let status = scene.node.run(&["status"]).ok()?;
        let agents = ["nim", "client", "zedagent", "tpmmgr", "vaultmgr"];
        let up = agents.iter().all(|agent| has(&status, &["agent", agent, "pid", "seccomp filter"]));
        (up && has(&status, &["tpm", "none: the device key is in a file"])
            && has(&status, &["controller", &scene.evc.server(), "answers"])
            && has(&status, &["config", "unlocked"]))
        .then_some(())
    })
    .unwrap();
}

/// A line of `eve bus tail`, after its time.
fn of(line: &str, topic: &str) -> bool {
    line.split_once(' ').is_some_and(|(at, said)| at.ends_with('Z') && said.starts_with(topic))
}

/// What an operator reads of the bus; what is signed or sealed is shown by its length alone.
#[test]
fn bus_tail_shows_the_topics_and_no_sealed_byte() {
    let scene = Scene::new();
    let file = scene.dir.path().join("bus.txt");
    let _tail = scene.node.bus_tail(&file).unwrap();
    let topics = [
        "NetworkStatus",
        "Onboarded",
        "SignedConfig",
        "ControllerStatus",
        "Session",
        "VaultStatus",
        "Agents",
    ];
    let heard = wait::until("every topic", || {
        let heard = fs::read_to_string(&file).ok()?;
        topics.iter().all(|topic| heard.lines().any(|line| of(line, topic))).then_some(heard)
    })
    .unwrap();
    let config = heard.lines().find(|line| of(line, "SignedConfig")).unwrap();
    assert!(
        has(config, &["source Live", "envelope ", " bytes"])
            && !config.contains('[')
            && !config.contains(" { "),
        "{config}"
    );
}

/// DF-1 and design 2: what can't come back is made anew, empty, only by one who typed its name.
#[test]
fn recreate_wants_the_name_and_does_nothing_without() {
    let mut scene = Scene::with_a_missing_vault();
    for (args, typed) in
        [(&["--confirm", "tell"][..], ""), (&["--confirm", ""], ""), (&[], "tell\n"), (&[], "")]
    {
        let output = scene.typed(&[&["vault", "recreate", "till"], args].concat(), typed);
        assert!(!output.status.success(), "{args:?} {typed:?}");
        assert!(words(&output).contains("nothing was done"), "{args:?} {typed:?}: {}", words(&output));
        assert_eq!(scene.node.vault("till").unwrap()["state"], "missing", "{args:?} {typed:?}");
    }
    // Once it has the controller's key: an order before that is refused, and not kept.
    testkit::wait::until("the vault to be made anew", || {
        let output = scene.typed(&["vault", "recreate", "till", "--confirm", "till"], "");
        let made = output.status.success();
        assert!(made || words(&output).contains("waits for the controller's key"), "{}", words(&output));
        made.then_some(())
    })
    .unwrap();
    scene.node.until_vault("till", "unlocked").unwrap();
    let dir = scene.node.vault_dir("till").unwrap();
    assert_eq!(fs::read_dir(dir).unwrap().count(), 0, "made anew, empty");
}

#[test]
fn a_vault_that_nobody_knows_is_named_in_the_refusal() {
    let scene = Scene::new();
    for command in
        [&["vault", "lock", "tool"][..], &["vault", "unlock", "tool"], &["vault", "recreate", "tool"]]
    {
        let output = scene.typed(command, "");
        assert!(!output.status.success() && words(&output).contains("no vault `tool`"), "{}", words(&output));
    }
}

/// Two that work on one disk would undo each other: the second is refused, and the first goes on.
#[test]
fn a_second_eve_run_on_one_root_is_refused() {
    let mut scene = Scene::new();
    let second = scene.typed(&["run"], "");
    assert!(!second.status.success());
    assert!(words(&second).contains("another `eve run` works on"), "{}", words(&second));
    scene.node.until_vault("config", "unlocked").unwrap();
}

/// Seen-by-users 0b.14: a root so deep that a socket's name has no room for its path is refused with the path, and what to do.
#[test]
fn a_root_too_long_for_a_socket_is_named_and_advised() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("r".repeat(120));
    fs::create_dir_all(root.join("config")).unwrap();
    let mut run = Command::new("timeout");
    run.arg("60").arg(program("eve").unwrap()).arg("run").arg("--root").arg(&root);
    let output = run.output().unwrap();
    let said = words(&output);
    assert!(!output.status.success(), "{said}");
    let path = root.canonicalize().unwrap().join("run/eve/supervisor.sock");
    assert!(has(&said, &[&path.display().to_string(), "107 bytes", "give a shorter --root"]), "{said}");
}

/// Seen by a new user: without `EVE_ROOT` the folders of a node were made under another root, and its agents looked for files there.
#[test]
fn nothing_is_made_under_a_root_that_is_no_nodes() {
    let root = tempfile::tempdir().unwrap();
    let mut run = Command::new("timeout");
    run.arg("60").arg(program("eve").unwrap()).arg("run").env("EVE_ROOT", root.path());
    let output = run.output().unwrap();
    let said = words(&output);
    assert!(
        output.status.code() == Some(1) && has(&said, &["no node is under", "--root or EVE_ROOT"]),
        "{said}"
    );
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0, "nothing is made");
}

/// Threats, bus: who is not root runs no node, and neither orders nor reads one.
#[test]
fn who_is_not_root_is_refused() {
    const NOBODY: u32 = 65534;
    let scene = Scene::new();
    // The place where it was built may be closed to others.
    let eve = scene.dir.path().join("eve");
    fs::copy(program("eve").unwrap(), &eve).unwrap();
    let as_nobody = |args: &[&str]| {
        let mut command = Command::new("timeout");
        command.arg("60").arg(&eve).args(args).arg("--root").arg(scene.node.root()).current_dir("/");
        command.gid(NOBODY).uid(NOBODY).output().unwrap()
    };
    for (args, why) in [
        (&["run"][..], "needs root"),
        (&["status"], "are you root?"),
        (&["bus", "tail"], "are you root?"),
        (&["vault", "list"], "are you root?"),
        (&["vault", "lock", "image"], "are you root?"),
    ] {
        let output = as_nobody(args);
        assert!(!output.status.success() && words(&output).contains(why), "{args:?}: {}", words(&output));
        // Seen-by-users 0.15: one sentence, and no line of a log.
        assert_eq!(words(&output).lines().count(), 1, "{args:?}: {}", words(&output));
    }
    assert_eq!(scene.node.vault("image").unwrap()["state"], "unlocked");
}

#[test]
fn completions_and_manual_pages_name_every_command() {
    let eve = program("eve").unwrap();
    let bash = Command::new(&eve).args(["completions", "bash"]).output().unwrap();
    let script = words(&bash);
    assert!(bash.status.success() && script.contains("-F _clap_complete_eve"), "{script}");
    let checked = Command::new("bash").args(["-n", "-c", &script]).output().unwrap();
    assert!(checked.status.success(), "bash reads it: {}", words(&checked));
    let dir = tempfile::tempdir().unwrap();
    assert!(
        Command::new(&eve).args(["man", "--dir"]).arg(dir.path().join("new")).status().unwrap().success()
    );
    let page = |name: &str| {
        fs::read_to_string(dir.path().join("new").join(name)).unwrap_or_else(|_| panic!("{name}"))
    };
    let offered = |path: &[&str]| {
        let mut asked = Command::new(&eve);
        asked.env("COMPLETE", "bash").env("_CLAP_COMPLETE_INDEX", (path.len() + 1).to_string());
        words(&asked.args(["--", "eve"]).args(path).arg("").output().unwrap())
    };
    for command in ["run", "status", "vault-recreate", "bus-tail"] {
        assert!(page(&format!("eve-{command}.1")).starts_with(".ie"), "eve-{command}.1 is roff");
        let path: Vec<&str> = command.split('-').collect();
        let (last, group) = path.split_last().unwrap();
        assert!(offered(group).split_whitespace().any(|word| word == *last), "{command}: {}", offered(group));
    }
    assert!(page("eve.1").contains("edge node"), "{}", page("eve.1"));
}

/// VC-2: a lock that open files keep from being done is a failure to a script, and says what to do; done, it is none.
#[test]
fn vc2_a_lock_that_is_not_done_is_a_failure() {
    let scene = Scene::new();
    let file = scene.node.vault_dir("image").unwrap().join("held");
    fs::write(&file, "x").unwrap();
    let held = fs::File::open(&file).unwrap();
    let busy = scene.typed(&["vault", "lock", "image"], "");
    assert!(!busy.status.success());
    assert!(
        has(&words(&busy), &["image", "lock-incomplete", "then it is locked by itself"]),
        "{}",
        words(&busy)
    );
    assert!(has(&words(&busy), &["image", &format!("process {}", std::process::id())]), "{}", words(&busy));
    drop(held);
    let done = scene.typed(&["vault", "lock", "image"], "");
    assert!(done.status.success() && has(&words(&done), &["image", "locked"]), "{}", words(&done));
}

/// A process that is stopped, as one that hangs, until the value is dropped.
struct Frozen(Pid);

impl Frozen {
    fn new(pid: i32) -> Self {
        kill(Pid::from_raw(pid), Signal::SIGSTOP).unwrap();
        Self(Pid::from_raw(pid))
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        let _ = kill(self.0, Signal::SIGCONT);
    }
}

/// Invariant 8: of an agent that hangs nothing is made up, and a script reads that from the exit status.
#[test]
fn what_an_agent_that_hangs_would_say_is_told_as_unknown() {
    let scene = Scene::new();
    let all_well = || scene.typed(&["status"], "").status.success().then_some(());
    for (agent, unknown) in [("vaultmgr", "vaults unknown"), ("zedagent", "controller   unknown")] {
        wait::until("all to answer", all_well).unwrap();
        let _frozen = Frozen::new(scene.node.agent_pid(agent).unwrap());
        let status = scene.typed(&["status"], "");
        assert!(!status.status.success(), "{agent}");
        assert!(has(&words(&status), &[unknown, agent, "does not answer"]), "{}", words(&status));
        assert!(!has(&words(&status), &["no vaults"]), "{}", words(&status));
    }
}

/// The twin: where nobody was asked yet, all that the node can know is told, and that is no failure.
#[test]
fn before_the_first_contact_the_status_is_whole() {
    let mut scene = Scene::new();
    scene.evc.kill9();
    scene.node.reboot(Power::Clean).unwrap();
    let told = wait::until("a whole status", || {
        let status = scene.typed(&["status"], "");
        status.status.success().then(|| words(&status))
    });
    let told = told.unwrap();
    assert!(has(&told, &["controller", &scene.evc.server(), "not asked for vaults yet"]), "{told}");
    assert!(has(&told, &["config"]) && has(&told, &["image"]), "{told}");
}

/// Seen-by-users 0.15: a reader that goes away is an end like any other.
#[test]
fn a_pipe_that_nobody_reads_ends_every_command_quietly() {
    let scene = Scene::new();
    let eve = program("eve").unwrap();
    let (eve, root) = (eve.display(), scene.node.root());
    let root = root.display();
    for command in [
        format!("status --root {root}"),
        format!("status --output json --root {root}"),
        format!("vault list --root {root}"),
        format!("vault list --output json --root {root}"),
        format!("vault unlock image --root {root}"),
        format!("bus tail --root {root}"),
        "completions bash".to_owned(),
    ] {
        // The reader is gone before a byte is written.
        let script = format!("{{ sleep 1; timeout 60 {eve} {command}; echo ended $? >&2; }} | true");
        let output = Command::new("bash").args(["-c", &script]).output().unwrap();
        assert_eq!(words(&output), "ended 0\n", "{command}");
    }
}
