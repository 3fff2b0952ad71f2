//! The walls around an agent's process. The process builds them itself, as its first act, from its row of the table of agents
//! ([`crate::bus::table`]). What this kernel can't do is told in [`Applied`], in the log and by `eve status`, never skipped
//! silently. Nothing here is undone later. The supervisor has no walls: it must start those who have.
//!
//! Every agent:
//! * leaves no core dump: the limit is 0, and the process is not dumpable;
//! * dies with the supervisor, and gains no privileges by an exec;
//! * has the capabilities of its row, and its bounding set is cut to them;
//! * makes the system calls of its rows in `calls`, and no others;
//! * has at most 1024 threads, counted for its user on the whole machine. vaultmgr is exempt, since it is root.
//!
//! client, tpmmgr and vaultmgr lock all their memory. All but vaultmgr are held by landlock too: an agent reads the system's
//! libraries and what its row names, and writes its own folder (zedagent: the Config Vault, as far as file modes let it). An agent
//! whose row does not say `Network::All` connects by TCP to no port; tpmmgr connects to the two ports of its software TPM. That
//! the host there is a loopback address, the `tpm` crate checks when it reads the configuration. Signals stay within.
//!
//! What the walls do not do: landlock does not limit to which hosts client and zedagent connect. And landlock knows only the files
//! that are there when it is built. So zedagent restarts once at the boot that makes the Config Vault, and is let in by its next
//! process; zedagent and client do the same where a file of `config/` that they may read was replaced (`agents/ended.rs`).

mod calls;
mod device;
mod seccomp;

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, ensure};
use caps::{CapSet, Capability};
use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, NetPort, PathBeneath, PathFd, Ruleset,
    RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};
use nix::sys::mman::{MlockAllFlags, mlockall};
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;
use nix::unistd::{Gid, Uid, getppid, setgroups, setresgid, setresuid};
use seccompiler::apply_filter;

use crate::agents::vaultmgr::hands::away;
use crate::bus::Agent;
use crate::bus::table::{Network, Row};
use crate::folders;

pub use calls::{Unlisted, page as calls_page};

/// Read by the system's own libraries: names, time zones, certificates of none.
const SYSTEM_READS: [&str; 6] = ["/usr", "/lib", "/lib64", "/etc", "/dev/urandom", "/proc/self"];
/// Files, ports, signals: what is asked of the kernel.
const LANDLOCK: ABI = ABI::V6;
/// Most threads of an agent's user on this machine, for all nodes on it: one has about twenty.
const MOST_THREADS: u64 = 1024;

/// What was done, for the log and for people.
#[derive(Debug, Clone)]
pub struct Applied {
    /// `enforced`, or what this kernel lacks of it.
    pub landlock: String,
    /// Whether all memory is locked.
    pub memory_locked: bool,
}

/// Builds the walls of `agent`. `supervisor` is who must be the parent still; `device` a TPM device that it may use, `port` a
/// software TPM's. `unlisted`: what becomes of a system call that is not on the agent's list.
///
/// # Errors
/// Anything but the absence of landlock, or of the right to lock memory: the process must end then.
pub fn enter(
    agent: Agent,
    root: &Path,
    supervisor: i32,
    device: Option<&Path>,
    port: Option<u16>,
    unlisted: Unlisted,
) -> anyhow::Result<Applied> {
    let row = agent.row();
    setrlimit(Resource::RLIMIT_CORE, 0, 0).context("turning core dumps off")?;
    setrlimit(Resource::RLIMIT_NPROC, MOST_THREADS, MOST_THREADS)
        .context("bounding how many threads the agent has")?;
    device.into_iter().for_each(|device| give(device, row));
    give_up_rights(row, device).context("giving up rights")?;
    prctl::set_dumpable(false).context("shutting the agent's memory to other processes")?;
    prctl::set_pdeathsig(Signal::SIGKILL).context("dying with the supervisor")?;
    ensure!(getppid().as_raw() == supervisor, "the supervisor is gone");
    prctl::set_no_new_privs().context("giving up new rights by programs that are started")?;
    let may_lock = row.lock_memory && caps::has_cap(None, CapSet::Effective, Capability::CAP_IPC_LOCK)?;
    if may_lock {
        lock_memory().context("locking memory; does the node have enough of it?")?;
    } else if row.lock_memory {
        tracing::error!(
            "memory is NOT locked: CAP_IPC_LOCK is not to be had here; secrets may reach swap if there is any"
        );
    }
    let landlock = if row.privileged {
        "not used: it works on every vault's directory".to_owned()
    } else {
        landlock(row, root, device, port).context("bounding the agent's files by landlock")?
    };
    filter(agent, port.is_some(), unlisted).context("bounding the agent's calls by seccomp")?;
    Ok(Applied { landlock, memory_locked: may_lock })
}

/// Where it can't be, the TPM can't be opened, and the status tells that by its error; what to do is told here.
fn give(device: &Path, row: &Row) {
    if let Err(error) = device::give(device, row.gid) {
        let (shown, gid) = (device.display(), row.gid);
        tracing::error!(%error, "the TPM's device can't be given to its agent: run `chgrp {gid} {shown}; chmod g+rw {shown}`, and start eve again");
    }
}

fn give_up_rights(row: &Row, device: Option<&Path>) -> anyhow::Result<()> {
    let groups: Vec<Gid> = device
        .and_then(|path| fs::metadata(path).ok())
        .map(|meta| meta.gid())
        .filter(|gid| *gid != 0)
        .map(Gid::from_raw)
        .into_iter()
        .collect();
    setgroups(&groups)?;
    for cap in caps::all() {
        if !row.caps.contains(&cap) && caps::has_cap(None, CapSet::Bounding, cap)? {
            caps::drop(None, CapSet::Bounding, cap)?;
        }
    }
    let (uid, gid) = (Uid::from_raw(row.uid), Gid::from_raw(row.gid));
    // Cleared by the kernel at the next exec, and no agent ever makes one.
    prctl::set_keepcaps(true)?;
    setresgid(gid, gid, gid)?;
    setresuid(uid, uid, uid)?;
    caps::clear(None, CapSet::Ambient)?;
    caps::clear(None, CapSet::Inheritable)?;
    let had = caps::read(None, CapSet::Permitted)?;
    let kept = row.caps.iter().copied().filter(|cap| had.contains(cap)).collect();
    caps::set(None, CapSet::Effective, &kept)?;
    caps::set(None, CapSet::Permitted, &kept)?;
    Ok(())
}

fn lock_memory() -> nix::Result<()> {
    mlockall(
        MlockAllFlags::MCL_CURRENT
            | MlockAllFlags::MCL_FUTURE
            | MlockAllFlags::from_bits_retain(libc::MCL_ONFAULT),
    )
}

/// What this kernel lacks of landlock; none when all that is asked of it is there. Asked by doing it, in a thread that ends with it: so an agent's
/// walls and whoever tells of them before there are any say the same.
#[must_use]
pub fn landlock_lacks() -> Option<&'static str> {
    let held = || Ok::<_, RulesetError>(rules(Network::None)?.create()?.restrict_self()?.ruleset);
    let tried = std::thread::spawn(held).join();
    let status = tried.ok().and_then(Result::ok).unwrap_or(RulesetStatus::NotEnforced);
    lacks(&status)
}

fn lacks(status: &RulesetStatus) -> Option<&'static str> {
    match status {
        RulesetStatus::FullyEnforced => None,
        RulesetStatus::PartiallyEnforced => Some("this kernel lacks the newer kinds of landlock"),
        RulesetStatus::NotEnforced => Some("this kernel has no landlock"),
    }
}

/// All that is held, before anything is let through.
fn rules(network: Network) -> Result<Ruleset, RulesetError> {
    let rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(LANDLOCK))?
        .scope(Scope::from_all(LANDLOCK))?;
    if network == Network::All { Ok(rules) } else { rules.handle_access(AccessNet::from_all(LANDLOCK)) }
}

fn landlock(row: &Row, root: &Path, device: Option<&Path>, port: Option<u16>) -> anyhow::Result<String> {
    let abi = LANDLOCK;
    let mut rules = rules(row.network)?.create()?;
    let system = SYSTEM_READS.iter().map(Path::new).map(Path::to_path_buf);
    let reads = system.chain(row.reads.iter().map(|path| root.join(path)));
    let writes = row.writes.iter().map(|path| root.join(path)).chain(device.map(Path::to_path_buf));
    let all = reads
        .map(|path| (path, AccessFs::from_read(abi)))
        .chain(writes.map(|path| (path, AccessFs::from_all(abi))));
    for (path, access) in all {
        // What is not there can't be used either.
        let Ok(meta) = fs::metadata(&path) else { continue };
        let access = if meta.is_dir() { access } else { access & AccessFs::from_file(abi) };
        rules = rules.add_rule(PathBeneath::new(PathFd::new(&path)?, access))?;
    }
    for port in port.iter().flat_map(|port| [*port, *port + 1]) {
        rules = rules.add_rule(NetPort::new(port, AccessNet::ConnectTcp))?;
    }
    let status = rules.restrict_self()?.ruleset;
    Ok(lacks(&status).unwrap_or("enforced").to_owned())
}

fn filter(agent: Agent, tpm_port: bool, unlisted: Unlisted) -> anyhow::Result<()> {
    seccomp::programs(agent, tpm_port, unlisted)?.iter().try_for_each(|program| Ok(apply_filter(program)?))
}

/// Makes the folders that an agent writes into, as its own. On a disk that may not be there nothing is made.
///
/// # Errors
/// The system's.
pub fn prepare_folders(agent: Agent, root: &Path) -> io::Result<()> {
    if away::is_suspected(root) {
        return Ok(());
    }
    let row = agent.row();
    let own = row.writes.iter().filter(|path| path.ends_with(agent.name()));
    own.map(|path| root.join(path))
        .try_for_each(|path| folders::make_if_writable(&path, (row.uid, row.gid), 0o755))
}
