//! Who keeps a lock from being complete is named, whatever way it holds a file (facts, fault 2; seen-by-users 0.13).

use std::any::Any;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use testkit::mapped::Mapped;
use vault::report::State;
use vault::section::Custody;

use super::controller::{BERLIN, Controller, Line};
use super::node::Node;
use super::rights::with_its_rights;

/// What is ended by a command.
struct Ends(Vec<String>);

impl Ends {
    fn of(words: &[&str]) -> Self {
        Self(words.iter().map(|word| (*word).to_owned()).collect())
    }
}

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = Command::new(&self.0[0]).args(&self.0[1..]).status();
    }
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill().and_then(|()| self.0.wait());
    }
}

fn run(words: &[&str]) -> bool {
    Command::new(words[0])
        .args(&words[1..])
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .expect(words[0])
        .success()
}

/// A shell in a mount namespace of its own, once it has done its script.
fn elsewhere(script: &str) -> Running {
    let script = format!("{script} && echo ready && exec sleep 600");
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "--propagation", "private", "sh", "-ec", &script]);
    ready(unshare, &script)
}

/// Once it has said that it is, and become what it runs.
fn ready(command: Command, script: &str) -> Running {
    let running = said_ready(command, script);
    let late = Instant::now() + Duration::from_secs(60);
    let comm = format!("/proc/{}/comm", running.0.id());
    while fs::read_to_string(&comm).is_ok_and(|name| name.trim() != "sleep") {
        assert!(Instant::now() < late, "never became what it runs: {script}");
        std::thread::sleep(Duration::from_millis(5));
    }
    running
}

/// Once it has said that it is.
fn said_ready(mut command: Command, script: &str) -> Running {
    let mut child = command.stdout(Stdio::piped()).spawn().expect("starts");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("reads");
    assert_eq!(line, "ready\n", "{script}");
    Running(child)
}

/// A process whose root is this folder and that stands elsewhere, as chroot(2) leaves it.
fn rooted(folder: &Path) -> Running {
    let script = r#"chroot(shift) or die "chroot: $!"; $| = 1; print "ready\n"; sleep 600"#;
    let mut perl = Command::new("perl");
    perl.args(["-e", script]).arg(folder);
    said_ready(perl, script)
}

/// Runs from a copy in the vault. Nobody has that open for writing: a shell's child wrote it.
fn running_from(vault: &Path) -> Running {
    let script = r#"cp "$(command -v sleep)" "$0" && echo ready && exec "$0" 600"#;
    let mut shell = Command::new("sh");
    shell.args(["-ec", script]).arg(vault.join("sub/sleep"));
    ready(shell, script)
}

/// open_tree, mount_setattr with the ids of a user namespace, move_mount: what `mount -o X-mount.idmap` does, which not every mount has.
/// Their numbers are the same on all machines but alpha.
const MOUNT_FOR_OTHER_IDS: &str = r#"
    my ($from, $to, $namespace, $empty) = (@ARGV, "");
    my $tree = syscall(428, -100, $from, 0x80001);
    open(my $ids, "<", $namespace) or die "namespace: $!";
    my $idmap = pack("QQQQ", 0x100000, 0, 0, fileno($ids));
    syscall(442, $tree, $empty, 0x1000, $idmap, 32) == 0 or die "mount_setattr: $!";
    syscall(429, $tree, $empty, -100, $to, 4) == 0 or die "move_mount: $!";
"#;

/// As a container has its volume whose root is another user here; none where the kernel mounts no ext4 so.
fn mounted_for_other_ids(part: &Path, at: &str) -> Option<Box<dyn Any>> {
    let mut user = Command::new("unshare");
    user.args(["--user", "--map-root-user", "sh", "-c", "echo ready && exec sleep 600"]);
    let user = ready(user, "a user namespace");
    let namespace = format!("/proc/{}/ns/user", user.0.id());
    let mounted = run(&["perl", "-e", MOUNT_FOR_OTHER_IDS, &part.display().to_string(), at, &namespace]);
    let ends = mounted.then(|| Ends::of(&["umount", at]))?;
    assert!(fs::read_to_string("/proc/self/mountinfo").expect("reads").contains("idmapped"));
    boxed(ends)
}

/// Locks with vaultmgr's own rights while something holds a part of the vault, which must be told so; released, it locks.
fn told(node: &mut Node, words: &str, hold: impl FnOnce(&Path) -> Option<Box<dyn Any>>) {
    let vault = node.paths.vault(BERLIN);
    fs::create_dir_all(vault.join("sub")).expect("makes");
    fs::write(vault.join("sub/private-name"), "x".repeat(2 << 20)).expect("writes");
    let Some(held) = hold(&vault) else { return };
    let report = with_its_rights(|| node.manager().order_lock(BERLIN)).expect("ordered");
    let detail = report.detail.join("; ");
    drop(held);
    assert_eq!(report.state, State::LockIncomplete, "{words}: {detail}");
    assert!(detail.contains(words), "{words}: {detail}");
    assert!(!detail.contains("private-name"), "{detail}");
    locks_at_last(node);
    assert_eq!(node.manager().order_unlock(BERLIN).expect("ordered").state, State::Unlocked);
}

/// The kernel gives up what was in flight, and a loop device what it lay on, in its own time.
fn locks_at_last(node: &mut Node) {
    let late = Instant::now() + Duration::from_secs(60);
    while node.manager().order_lock(BERLIN).expect("ordered").state != State::Locked {
        assert!(Instant::now() < late, "{:?}", node.status(BERLIN));
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// One after another: whoever starts in a mount namespace of their own takes a copy of the others' mounts with them.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn boxed<T: 'static>(held: T) -> Option<Box<dyn Any>> {
    Some(Box::new(held))
}

#[test]
fn vc2_whoever_holds_a_file_is_named() {
    let _alone = alone();
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    node.hear(&mut controller, &[Line::of(Custody::Tpm)]);
    let outside = node.disk.persist().join("outside");
    let dirs = ["at", "lower", "upper", "work"].map(|name| node.disk.root().join(name));
    dirs.iter().for_each(|dir| fs::create_dir_all(dir).expect("makes"));
    let [at, lower, upper, work] = dirs.map(|dir| dir.display().to_string());
    let own = format!("process {} (", std::process::id());
    let text = |path: PathBuf| path.display().to_string();

    told(&mut node, &own, |vault| boxed(File::open(vault.join("sub/private-name")).expect("opens")));
    told(&mut node, "holds an open file", |vault| {
        let file = File::open(vault.join("sub/private-name")).expect("opens");
        fs::rename(vault.join("sub/private-name"), &outside).expect("renames");
        boxed(file)
    });
    fs::remove_file(&outside).expect("there");
    told(&mut node, "(sleep) holds its working directory", |vault| {
        boxed(Running(
            Command::new("sleep").arg("600").current_dir(vault.join("sub")).spawn().expect("starts"),
        ))
    });
    told(&mut node, "(perl) holds its root folder", |vault| boxed(rooted(&vault.join("sub"))));
    told(&mut node, "(perl) holds a mapped file", |vault| {
        boxed(Mapped::new(&vault.join("sub/private-name")).expect("maps"))
    });
    told(&mut node, "(sleep) holds a mapped file", |vault| boxed(running_from(vault)));
    told(&mut node, "a mount of a part of it", |vault| {
        assert!(run(&["mount", "--bind", &text(vault.join("sub")), &at]));
        boxed(Ends::of(&["umount", &at]))
    });
    told(&mut node, "a mount of a part of it", |vault| mounted_for_other_ids(&vault.join("sub"), &at));
    told(&mut node, "(sleep) holds a mount of a part of it", |vault| {
        boxed(elsewhere(&format!("mount --bind '{}' '{at}'", text(vault.join("sub")))))
    });
    // As a container has it: by a path of its own, and nothing of the vault's is mounted where it was.
    told(&mut node, "(sleep) holds an open file", |vault| {
        let sub = text(vault.join("sub"));
        boxed(elsewhere(&format!(
            "mount --bind '{sub}' '{at}' && exec 3<'{at}/private-name' && umount -l '{at}'"
        )))
    });
    told(&mut node, "a mount inside it", |vault| {
        let sub = text(vault.join("sub"));
        boxed(elsewhere(&format!("mount -t tmpfs inside '{sub}'")))
    });
    told(&mut node, "an overlay with a layer in it", |vault| {
        let layers = format!("lowerdir={},upperdir={upper},workdir={work}", text(vault.join("sub")));
        assert!(run(&["mount", "-t", "overlay", "overlay", "-o", &layers, &at]));
        boxed(Ends::of(&["umount", &at]))
    });
    told(&mut node, "an overlay with a layer in it", |vault| {
        let (up, inner) = (text(vault.join("sub/up")), text(vault.join("sub/work")));
        [&up, &inner].into_iter().for_each(|dir| fs::create_dir_all(dir).expect("makes"));
        let layers = format!("lowerdir={lower},upperdir={up},workdir={inner}");
        assert!(run(&["mount", "-t", "overlay", "overlay", "-o", &layers, &at]));
        boxed(Ends::of(&["umount", &at]))
    });
    told(&mut node, "holds an inotify watch", |vault| {
        use rustix::fs::inotify;
        let watch = inotify::init(inotify::CreateFlags::CLOEXEC).expect("makes");
        inotify::add_watch(&watch, vault.join("sub/private-name"), inotify::WatchFlags::MODIFY)
            .expect("watches");
        boxed(watch)
    });
    told(&mut node, "holds a bound socket", |vault| {
        let socket = UnixListener::bind(vault.join("sub/s")).expect("binds");
        boxed(socket)
    });
    fs::remove_file(node.paths.vault(BERLIN).join("sub/s")).expect("there");
    told(&mut node, "is backed by a file", |vault| looped(&vault.join("sub/private-name")));
    told(&mut node, "is swap (swapoff)", |vault| swapped(&vault.join("sub/private-name")));
}

fn looped(file: &Path) -> Option<Box<dyn Any>> {
    let device = Command::new("losetup").args(["--find", "--show"]).arg(file).output().expect("runs losetup");
    let device = String::from_utf8_lossy(&device.stdout).trim().to_owned();
    assert!(!device.is_empty(), "a loop device");
    boxed(Ends::of(&["losetup", "--detach", &device]))
}

/// Some kernels take no file of a vault as swap: then it holds nothing.
fn swapped(file: &Path) -> Option<Box<dyn Any>> {
    let file = file.display().to_string();
    assert!(run(&["chmod", "600", &file]) && run(&["mkswap", &file]));
    run(&["swapon", &file]).then(|| Box::new(Ends::of(&["swapoff", &file])) as Box<dyn Any>)
}

/// Facts, fault 2: what the kernel holds is told by what it is, and not by the path that it was given by. Names are behind a vault's key.
#[test]
fn vc2_a_file_that_the_kernel_holds_is_named_whatever_it_is_called() {
    let _alone = alone();
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    node.hear(&mut controller, &[Line::of(Custody::Tpm)]);
    let outside = node.disk.persist().join("outside");
    let inside = |vault: &Path| vault.join("sub/private-name");
    let linked = |vault: &Path| fs::hard_link(inside(vault), &outside).expect("links");
    let remove = || fs::remove_file(&outside).expect("there");

    told(&mut node, "is backed by a file (losetup", |vault| {
        linked(vault);
        looped(&outside)
    });
    remove();
    told(&mut node, "is backed by a file (losetup", |vault| {
        linked(vault);
        let held = looped(&outside);
        remove();
        held
    });
    told(&mut node, "is backed by a file (losetup", |vault| {
        let held = looped(&inside(vault));
        fs::rename(inside(vault), &outside).expect("renames");
        held
    });
    remove();
    told(&mut node, "to which no path leads (losetup", |vault| {
        fs::rename(inside(vault), &outside).expect("renames");
        let held = looped(&outside);
        remove();
        held
    });
    told(&mut node, "is swap (swapoff)", |vault| {
        linked(vault);
        swapped(&outside)
    });
    remove();
    // A file beside the vault is nobody's hold on it.
    fs::write(&outside, "x".repeat(1 << 20)).expect("writes");
    let _held = looped(&outside);
    locks_at_last(&mut node);
}

/// A container of runc itself, which has a folder of the vault as its volume; ended and removed on drop.
struct Container {
    state: String,
    name: String,
    run: Child,
}

impl Container {
    /// In `folder`, running a script that ends by `echo ready && exec sleep 600`. Its programs are this machine's.
    fn start(folder: &Path, volume: &Path, script: &str) -> Self {
        let bundle = folder.join("bundle");
        fs::create_dir_all(bundle.join("rootfs")).expect("makes");
        let _ = fs::remove_file(bundle.join("config.json"));
        assert!(run(&["runc", "spec", "--bundle", &bundle.display().to_string()]));
        let text = fs::read(bundle.join("config.json")).expect("reads");
        let mut config: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
        config["process"]["terminal"] = false.into();
        config["process"]["args"] = serde_json::json!(["/bin/sh", "-ec", script]);
        let bound = |at: &str, from: &Path, way: &str| serde_json::json!({ "destination": at, "type": "bind", "source": from, "options": ["rbind", way] });
        let mounts = config["mounts"].as_array_mut().expect("a list");
        let programs = ["/bin", "/lib", "/lib64", "/usr"].into_iter().filter(|dir| Path::new(dir).is_dir());
        mounts.extend(programs.map(|dir| bound(dir, Path::new(dir), "ro")));
        mounts.push(bound("/data", volume, "rw"));
        fs::write(bundle.join("config.json"), config.to_string()).expect("writes");
        let (state, name) =
            (folder.join("state").display().to_string(), format!("eve-vault-{}", std::process::id()));
        let mut runc = Command::new("runc");
        runc.args(["--root", &state, "run", "--bundle"]).arg(&bundle).arg(&name);
        let run = runc.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("starts runc");
        let mut container = Self { state, name, run };
        let mut line = String::new();
        let told = container.run.stdout.take().expect("piped");
        BufReader::new(told).read_line(&mut line).expect("reads");
        assert_eq!(line, "ready\n", "{script}");
        container
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        run(&["runc", "--root", &self.state, "delete", "--force", &self.name]);
        let _ = self.run.kill().and_then(|()| self.run.wait());
    }
}

/// Seen-by-users 0.13: a container that has a subfolder of the vault as its volume is named, by what it has open there and by its mount
/// alone.
#[test]
fn a_container_of_runc_is_named() {
    let _alone = alone();
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    node.hear(&mut controller, &[Line::of(Custody::Tpm)]);
    let folder = node.disk.root().join("container");
    fs::create_dir_all(&folder).expect("makes");
    let container = |script: &'static str| {
        let folder = folder.clone();
        move |vault: &Path| boxed(Container::start(&folder, &vault.join("sub"), script))
    };
    let open = container("exec 3</data/private-name; echo ready; exec sleep 600");
    told(&mut node, ") holds an open file", open);
    told(&mut node, ") holds a mount of a part of it", container("echo ready; exec sleep 600"));
}

/// What nobody can see from outside is said to be so.
#[test]
fn a_descriptor_in_flight_is_told_as_what_it_may_be() {
    use nix::sys::socket::{
        AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, sendmsg, socketpair,
    };
    use std::io::IoSlice;
    use std::os::fd::AsRawFd;
    let (mut node, mut controller) = (Node::new(true), Controller::new());
    node.hear(&mut controller, &[Line::of(Custody::Tpm)]);
    let (one, other) =
        socketpair(AddressFamily::Unix, SockType::Datagram, None, SockFlag::empty()).expect("a pair");
    node.put(BERLIN, "file", "kept");
    let file = File::open(node.paths.vault(BERLIN).join("file")).expect("opens");
    let sent = [ControlMessage::ScmRights(&[file.as_raw_fd()])];
    sendmsg::<()>(one.as_raw_fd(), &[IoSlice::new(b"x")], &sent, MsgFlags::empty(), None).expect("sends");
    drop(file);
    node.manager().order_lock(BERLIN).expect("ordered");
    let error = node.status(BERLIN).last.and_then(|last| last.error).expect("an error");
    assert!(error.contains("in flight between processes"), "{error}");
    drop((one, other));
    locks_at_last(&mut node);
}
