//! Nodes: what is believed of one that is off, and their end with the process that made them.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use testkit::node::{Parts, Power};
use testkit::{Evc, Node, wait};

const ENV: &str = "NODE_TEST_DIR";

/// A folder that agents get through: they run as users of their own.
fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    dir
}

fn node(dir: &Path) -> (Evc, Node) {
    let evc = Evc::new(&dir.join("evc")).unwrap();
    let parts = Parts { tpm: false, ..Parts::default() };
    let node = Node::new(&dir.join("node"), "edge-1", &evc, parts).unwrap();
    (evc, node)
}

#[test]
fn a_vault_is_gone_only_by_the_word_of_a_node_that_runs() {
    let dir = folder();
    let (_evc, mut node) = node(dir.path());
    node.until_vault("config", "unlocked").unwrap();
    assert!(!node.is_gone("config").unwrap());
    assert!(node.is_gone("never-was").unwrap());
    node.until_gone("never-was").unwrap();
    node.stop(Power::Clean).unwrap();
    assert!(node.is_gone("never-was").is_err(), "nobody says so");
    let words = node.until_gone("config").unwrap_err().to_string();
    assert!(words.contains("off"), "{words}");
}

/// In a process and a mount namespace of its own, killed with no chance to clean up.
struct Victim(Child);

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_node_and_its_controller_die_with_the_process_that_made_them() {
    let dir = folder();
    let mut victim = Command::new("unshare");
    victim.args(["--mount", "--propagation", "private"]).arg(std::env::current_exe().unwrap());
    victim.args(["--exact", "process_to_be_killed", "--ignored"]).env(ENV, dir.path()).stdout(Stdio::null());
    let victim = Victim(victim.spawn().unwrap());
    let pids: Vec<i32> = wait::until("a node", || {
        let pids = std::fs::read_to_string(dir.path().join("pids")).ok()?;
        pids.split(' ').map(|pid| pid.parse().ok()).collect::<Option<Vec<i32>>>()
    })
    .unwrap();
    let runs = |pid: &i32| Path::new(&format!("/proc/{pid}")).exists();
    // zedagent starts anew at the boot that makes the Config Vault, and may be away just now.
    assert!(pids.iter().filter(|pid| runs(pid)).count() >= 6, "evc, eve run and its agents: {pids:?}");
    drop(victim);
    wait::until("their end", || (!pids.iter().any(runs)).then_some(())).unwrap();
}

#[test]
#[ignore = "run by a_node_and_its_controller_die_with_the_process_that_made_them, and killed by it"]
fn process_to_be_killed() {
    let dir = std::env::var_os(ENV).expect("a part of another test: that one says where");
    let dir = Path::new(&dir);
    // Made by a thread that ends: that alone must kill nobody.
    let made = std::thread::scope(|scope| scope.spawn(|| node(dir)).join().unwrap());
    let (evc, mut node) = made;
    node.until_vault("config", "unlocked").unwrap();
    let pids: Vec<_> = node.processes().into_iter().chain(evc.pid().map(|pid| pid as i32)).collect();
    let words: Vec<_> = pids.iter().map(ToString::to_string).collect();
    std::fs::write(dir.join("partial"), words.join(" ")).unwrap();
    std::fs::rename(dir.join("partial"), dir.join("pids")).unwrap();
    loop {
        std::thread::park();
    }
}
