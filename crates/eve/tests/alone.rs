//! Invariant 4: two nodes on one persist filesystem would write their share tables over each other's, so a second one does not touch it. The
//! real `eve run`, on roots that are not its lock's.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;
use testkit::loopfs::LoopFs;
use testkit::{program, wait};

const TAKEN: &str = "another `eve run` works on the vaults in";

/// A process that ends with its test.
struct Run(Child);

impl Run {
    fn start(root: &Path) -> Self {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(program("eve").unwrap()).arg("run");
        command.args(["--unlisted-calls", "ends", "--root"]).arg(root);
        Self(command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A folder that is mounted in a second place.
struct Bound(PathBuf);

impl Drop for Bound {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["-l".as_ref(), self.0.as_os_str()]).status();
    }
}

/// Two roots without a TPM, and one filesystem at the persist of both.
struct Roots {
    // In the order of their end.
    _bound: Bound,
    _disk: LoopFs,
    dir: TempDir,
}

impl Roots {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        let roots = ["one", "two"].map(|name| dir.path().join(name));
        for root in &roots {
            fs::create_dir_all(root.join("config")).unwrap();
            fs::create_dir_all(root.join("persist")).unwrap();
            fs::write(root.join("config/tcti"), "none").unwrap();
        }
        let [first, second] = roots.map(|root| root.join("persist"));
        let disk = LoopFs::create(&dir.path().join("disk.img"), &first, 96 << 20).unwrap();
        let status = Command::new("mount").arg("--bind").args([&first, &second]).status().unwrap();
        assert!(status.success());
        Self { _bound: Bound(second), _disk: disk, dir }
    }

    fn root(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

fn eve(root: &Path, args: &[&str]) -> Output {
    let mut command = Command::new("timeout");
    command.args(["-s", "KILL", "60"]).arg(program("eve").unwrap()).args(args).arg("--root").arg(root);
    command.output().unwrap()
}

fn words(output: &Output) -> String {
    [&*output.stdout, &*output.stderr].map(String::from_utf8_lossy).concat()
}

/// Whether vaultmgr has taken the vaults of this root.
fn works(root: &Path) -> Option<()> {
    let list = words(&eve(root, &["vault", "list"]));
    (list.contains("image") && !list.contains(TAKEN)).then_some(())
}

fn vaultmgr(root: &Path) -> Option<i32> {
    let status: Value = serde_json::from_slice(&eve(root, &["status", "-o", "json"]).stdout).ok()?;
    let agent = status["agents"].as_array()?.iter().find(|agent| agent["agent"] == "vaultmgr")?;
    agent["pid"].as_i64()?.try_into().ok()
}

#[test]
fn a_second_node_on_the_same_disk_does_not_start() {
    let roots = Roots::new();
    let [one, two] = ["one", "two"].map(|name| roots.root(name));
    let mut first = Run::start(&one);
    wait::until("the first node's vaultmgr", || works(&one)).unwrap();
    let pid = vaultmgr(&one).unwrap();
    let refused = eve(&two, &["run"]);
    let told = words(&refused);
    assert_eq!(refused.status.code(), Some(1), "{told}");
    assert!(told.contains(TAKEN) && told.contains(&format!("`ps -fp {pid}`")), "{told}");
    works(&one).unwrap();
    // The lock of its root goes with this folder, and its sockets do.
    fs::remove_dir_all(one.join("run/eve")).unwrap();
    let refused = eve(&one, &["run"]);
    assert!(words(&refused).contains(TAKEN), "{}", words(&refused));
    assert!(first.0.try_wait().unwrap().is_none(), "the first one goes on");
    assert_eq!(kill(Pid::from_raw(pid), None), Ok(()), "and so does its vaultmgr");
    // By whatever end: the lock goes with it.
    drop(first);
    let _second = Run::start(&two);
    wait::until("the second node's vaultmgr", || works(&two)).unwrap();
}

/// Where the other one came between two lives of vaultmgr: it is told, orders are refused, and it goes on by itself.
#[test]
fn a_vaultmgr_waits_for_the_one_that_has_its_disk() {
    let roots = Roots::new();
    let one = roots.root("one");
    let _node = Run::start(&one);
    wait::until("vaultmgr", || works(&one)).unwrap();
    kill(Pid::from_raw(vaultmgr(&one).unwrap()), Signal::SIGKILL).unwrap();
    let folder = File::open(one.join("persist/vaults")).unwrap();
    let other = Flock::lock(folder, FlockArg::LockExclusive).map_err(|(_, errno)| errno).unwrap();
    wait::until("its next life to tell", || {
        let told = words(&eve(&one, &["status"]));
        (told.contains(TAKEN) && told.contains(&format!("`ps -fp {}`", std::process::id()))).then_some(())
    })
    .unwrap();
    let order = eve(&one, &["vault", "unlock", "image"]);
    assert!(!order.status.success() && words(&order).contains(TAKEN), "{}", words(&order));
    let pid = vaultmgr(&one).unwrap();
    drop(other);
    wait::until("it to go on", || works(&one)).unwrap();
    assert_eq!(vaultmgr(&one), Some(pid), "by itself");
}
