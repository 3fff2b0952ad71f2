//! The walls hold: each agent's process, inside them, tries what it must not do and what it must be able to do.
//! Needs root: each builds its walls as the real agent does.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

use eve::bus::Agent;
use eve::sandbox::{self, Unlisted};
use fscrypt::ContentKey;
use fscrypt::kernel::AddKeyError;
use landlock::{ABI, AccessFs, LandlockStatus, Ruleset, RulesetAttr};
use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::kill;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use nix::unistd::{chroot, execv, getppid};

/// Not a test of its own: the life of one agent's process.
#[test]
#[ignore = "a part of the test below"]
fn helper() {
    let root = std::env::var("EVE_ROOT").expect("a part of another test, which says in EVE_ROOT where");
    let agent: Agent = std::env::var("EVE_AGENT").unwrap().parse().unwrap();
    let root = Path::new(&root);
    let parent = getppid().as_raw();
    // Asked first: inside the walls nothing is asked.
    let kernel = kernel_abi();
    let port = std::env::var("EVE_TPM_PORT").ok().map(|port| port.parse().unwrap());
    let unlisted = match std::env::var_os("EVE_UNLISTED") {
        Some(_) => Unlisted::Ends,
        None => Unlisted::Refused,
    };
    let applied = sandbox::enter(agent, root, parent, None, port, unlisted).unwrap();
    if unlisted == Unlisted::Ends {
        // On nobody's list, and harmless.
        let _ = nix::unistd::getpgrp();
        panic!("{agent} goes on");
    }
    let wanted = if agent == Agent::Vaultmgr { "not used" } else { landlock_words(kernel) };
    assert!(applied.landlock.starts_with(wanted), "{agent}: {}, not {wanted}", applied.landlock);
    calls(agent);
    sockets(agent, port.is_some());
    let limits = fs::read_to_string("/proc/self/limits").unwrap();
    let threads = limits.lines().find_map(|line| line.strip_prefix("Max processes")).unwrap();
    let most: Vec<_> = threads.split_whitespace().take(2).map(str::parse::<u32>).collect();
    assert!(most.iter().all(|most| most.as_ref().is_ok_and(|most| *most <= 1024)), "{agent}: {threads}");
    files(agent, root);
    // Threads are made without clone3, too.
    assert_eq!(std::thread::spawn(|| 7).join().unwrap(), 7);
}

/// How far landlock can be built on a kernel that knows it up to here: the walls ask for its sixth edition (Linux 6.12), and
/// older kernels build what they know. A kernel without it does not keep these walls, and the test says so.
fn landlock_words(kernel: ABI) -> &'static str {
    if kernel >= ABI::V6 { "enforced" } else { "partly" }
}

/// What the running kernel knows of landlock. It tells who builds a wall: here one that ends with its thread, and forbids it
/// nothing that it does.
fn kernel_abi() -> ABI {
    let built = std::thread::spawn(|| {
        let rules = Ruleset::default().handle_access(AccessFs::MakeBlock).unwrap().create().unwrap();
        rules.restrict_self().unwrap().landlock
    });
    match built.join().unwrap() {
        LandlockStatus::Available { effective_abi, .. } => effective_abi,
        none => panic!("this kernel has no landlock ({none:?}): boot it with lsm=...,landlock"),
    }
}

#[test]
fn an_older_kernel_is_asked_for_what_it_knows_and_a_newer_one_for_all() {
    let words = [ABI::V1, ABI::V2, ABI::V5, ABI::V6, ABI::V7].map(landlock_words);
    assert_eq!(words, ["partly", "partly", "partly", "enforced", "enforced"]);
}

fn calls(agent: Agent) {
    let run = Command::new("/bin/true").spawn().err().map(|error| error.kind());
    assert_eq!(run, Some(ErrorKind::PermissionDenied), "{agent} runs programs");
    // Of a program that is not there: whoever may run any is told so.
    assert_eq!(execv(c"/no/such", &[c"no"]), Err(Errno::EPERM), "{agent} runs programs");
    assert_eq!(chroot("/"), Err(Errno::EPERM), "{agent} changes its root");
    assert_eq!(kill(getppid(), None), Err(Errno::EPERM), "{agent} sends signals");
    let pipe = nix::unistd::pipe().err();
    assert_eq!(pipe, Some(Errno::EPERM), "{agent} does what is on no list");
    assert_eq!(unshare(CloneFlags::CLONE_NEWUSER), Err(Errno::EPERM), "{agent} makes namespaces");
    let key = ContentKey::init(|_| Ok::<(), ()>(())).unwrap();
    // Of a filesystem that has no encryption: whoever may ask is told so.
    let told = fscrypt::add_key(File::open("/proc/self/status").unwrap(), &key).unwrap_err();
    let let_through = matches!(told, AddKeyError::Unsupported);
    assert_eq!(let_through, agent == Agent::Vaultmgr, "{agent} adds keys: {told:?}");
}

fn sockets(agent: Agent, tpm_port: bool) {
    let may = |family, kind| socket(family, kind, SockFlag::empty(), None).err();
    let network = matches!(agent, Agent::Client | Agent::Zedagent);
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let (stream, datagram) = (may(family, SockType::Stream), may(family, SockType::Datagram));
        let to_a_tpm = agent == Agent::Tpmmgr && tpm_port;
        assert_eq!(stream, (!network && !to_a_tpm).then_some(Errno::EPERM), "{agent}: {family:?}");
        assert_eq!(datagram, (!network).then_some(Errno::EPERM), "{agent}: {family:?}");
    }
    assert_eq!(may(AddressFamily::Unix, SockType::Stream), None, "{agent}");
}

fn files(agent: Agent, root: &Path) {
    let read = |path: &str| fs::read(root.join(path)).is_ok();
    assert_eq!(read("persist/vaults/shop/till"), agent == Agent::Vaultmgr, "{agent} reads a user's vault");
    assert_eq!(
        read("persist/config/zedagent/lastconfig"),
        is_one_of(agent, &[Agent::Zedagent, Agent::Vaultmgr])
    );
    let write = |path: &str| fs::write(root.join(path), "x").is_ok();
    assert_eq!(write("persist/vaults/shop/open"), agent == Agent::Vaultmgr, "{agent} writes a user's vault");
    assert_eq!(write("persist/config/zedagent/new"), is_one_of(agent, &[Agent::Zedagent, Agent::Vaultmgr]));
    if agent == Agent::Vaultmgr {
        set_group_id(&root.join("persist/vaults/shop/till"));
    }
    assert!(agent == Agent::Vaultmgr || !write("config/server"), "{agent} changes the configuration");
}

/// What is moved into a vault keeps its mode, whatever group it is of.
fn set_group_id(file: &Path) {
    chown(file, Some(1000), Some(4321)).unwrap();
    fs::set_permissions(file, fs::Permissions::from_mode(0o2755)).unwrap();
    assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o7777, 0o2755);
}

fn is_one_of(agent: Agent, agents: &[Agent]) -> bool {
    agents.contains(&agent)
}

/// A node's root as it is after its first boot; every file is open to everybody, so that walls alone keep agents off.
fn node() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for folder in ["config", "run/eve", "persist/config/zedagent", "persist/vaults/shop", "persist/status"] {
        fs::create_dir_all(dir.path().join(folder)).unwrap();
    }
    for file in ["config/server", "persist/config/zedagent/lastconfig", "persist/vaults/shop/till"] {
        fs::write(dir.path().join(file), "x").unwrap();
    }
    for path in walk(dir.path()) {
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
        chown(&path, Some(0), Some(0)).unwrap();
    }
    dir
}

fn walk(path: &Path) -> Vec<std::path::PathBuf> {
    let inner = fs::read_dir(path).into_iter().flatten().flatten();
    let inner = inner.flat_map(|entry| walk(&entry.path()));
    std::iter::once(path.to_owned()).chain(inner.collect::<Vec<_>>()).collect()
}

/// Invariant 7 and the threats of bus and memory: by the walls alone, where the owner's and the group's rights would allow it.
#[test]
fn inside_its_walls_an_agent_does_its_work_and_nothing_else() {
    let software_tpm = [("EVE_TPM_PORT", "2321")];
    let lives = Agent::STARTED.map(|agent| (agent, &software_tpm[..0]));
    for (agent, more) in lives.into_iter().chain([(Agent::Tpmmgr, &software_tpm[..])]) {
        let dir = node();
        let output = Command::new("/proc/self/exe")
            .args(["--exact", "helper", "--ignored", "--nocapture"])
            .env("EVE_AGENT", agent.name())
            .env("EVE_ROOT", dir.path())
            .envs(more.iter().copied())
            .output()
            .unwrap();
        assert!(output.status.success(), "{agent} {more:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// The whole-system tests find a call that a list lacks: there an agent ends by it, and by nothing else.
#[test]
fn a_call_that_no_list_has_ends_an_agent_of_the_tests() {
    use std::os::unix::process::ExitStatusExt;
    for agent in Agent::STARTED {
        let dir = node();
        let output = Command::new("/proc/self/exe")
            .args(["--exact", "helper", "--ignored", "--nocapture"])
            .envs([("EVE_AGENT", agent.name()), ("EVE_UNLISTED", "ends")])
            .env("EVE_ROOT", dir.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.signal(), Some(nix::libc::SIGSYS), "{agent}: {said}");
    }
}
