//! What an agent may ask of the kernel: a row for each purpose, with the calls that it takes and why. What no row of an agent's
//! names is refused. Some calls are let through with some arguments only: what follows `only`.
//!
//! How rows are found: the agents run under `strace -f` through the whole-system tests; these run with [`Unlisted::Ends`], so that a
//! call which is missing here ends its agent there, and the test fails. On a node it is refused with EPERM and the agent goes on:
//! libraries ask for calls that other versions of them did not, and a vault that can't be opened for that would be worse than a
//! step that fails with "operation not permitted" in the log.

use crate::bus::Agent;
use Agent::{Client, Nim, Tpmmgr, Vaultmgr, Zedagent};

/// What becomes of a call that no row lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Unlisted {
    /// EPERM.
    Refused,
    /// The agent is killed (SIGSYS), and the kernel's log names the call: for tests.
    Ends,
}

/// Some calls for one purpose.
pub(super) struct Row {
    pub(super) who: &'static [Agent],
    /// Name and number.
    pub(super) calls: &'static [(&'static str, i64)],
    pub(super) only: Only,
    pub(super) why: &'static str,
}

/// With which arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Only {
    /// With any.
    Any,
    /// A thread is made and nothing else, and it stays in its process's namespaces: a child would have no parent-death signal, and
    /// outlive the node under its agent's user.
    Thread,
    /// The families of sockets of the agent's row in the table of agents.
    Families,
    /// Whatever is sent by it, no connection is made: landlock is not asked where to (TCP fast open).
    NoFastOpen,
    /// Memory that is not executable.
    Data,
    /// The thread's own name.
    ThreadName,
    /// Whether a socket waits, and how much has come.
    Waiting,
    /// A directory's policy and a key's status are read.
    ReadEncryption,
    /// Keys are added and removed, policies set.
    ChangeEncryption,
    /// Whether two threads have one table of descriptors, and nothing else of them.
    Descriptors,
    /// A file's project is told and set.
    Projects,
    /// Quotas of projects are told and set, and no others.
    ProjectQuota,
    /// A file's flags are read, and ext4's journal is taken to its end.
    Scrub,
    /// Which file a loop device is made of.
    Loops,
}

macro_rules! rows {
    ($($who:ident [$($call:ident)+] $(only $only:ident)? $why:literal;)*) => {
        &[$(Row {
            who: $who,
            calls: &[$((stringify!($call), libc::$call)),+],
            only: rows!(@ $($only)?),
            why: $why,
        }),*]
    };
    (@) => { Only::Any };
    (@ $only:ident) => { Only::$only };
}

const ALL: &[Agent] = &Agent::STARTED;
/// Those that speak to the controller.
const HTTPS: &[Agent] = &[Client, Zedagent];
/// Those that ask the kernel for interfaces and addresses; a resolver does, too.
const ADDRESSES: &[Agent] = &[Nim, Client, Zedagent];
/// Those that speak with a TPM or a controller.
const OUTSIDE: &[Agent] = &[Client, Zedagent, Tpmmgr];
/// Those that keep files by a temporary one in their place.
const KEEPERS: &[Agent] = &[Nim, Tpmmgr, Zedagent, Vaultmgr];
/// Those that write into a file that was opened before their walls stood.
const OPENED_BEFORE: &[Agent] = &[Client, Tpmmgr];
const VAULTS: &[Agent] = &[Vaultmgr];

pub(super) const ROWS: &[Row] = rows! {
    // A process of ours, whatever it does.
    ALL [SYS_read SYS_write SYS_readv SYS_writev SYS_close SYS_lseek SYS_fcntl]
        "files, sockets, and the log on standard error";
    ALL [SYS_openat SYS_fstat SYS_newfstatat SYS_statx]
        "files are opened and looked at: which ones is for users, landlock and, with vaultmgr, its capabilities to say";
    ALL [SYS_brk SYS_munmap SYS_mremap SYS_madvise] "memory";
    ALL [SYS_mmap SYS_mprotect] only Data "memory, and the guards of stacks";
    OUTSIDE [SYS_mmap]
        "libraries that are loaded when they are needed: name services, the TPM's transport";
    ALL [SYS_clone] only Thread "threads";
    ALL [SYS_clone3]
        "another filter answers that this kernel has none, for its flags lie where no filter looks; threads are made by clone then";
    ALL [SYS_set_robust_list SYS_rseq SYS_sched_getaffinity SYS_sigaltstack SYS_rt_sigaction SYS_rt_sigprocmask
         SYS_rt_sigreturn SYS_gettid SYS_getpid SYS_exit]
        "the beginning and the end of a thread";
    ALL [SYS_prctl] only ThreadName "threads have names, which logs and debuggers show";
    ALL [SYS_futex SYS_sched_yield SYS_membarrier SYS_restart_syscall] "threads wait for each other";
    ALL [SYS_clock_gettime SYS_gettimeofday SYS_clock_nanosleep SYS_nanosleep]
        "time, where the kernel gives it by a call alone, and pauses";
    ALL [SYS_getrandom] "randomness: keys, sessions, nonces, the order of maps";
    ALL [SYS_exit_group] "the end";
    // The bus.
    ALL [SYS_socket] only Families "the bus; and what the table of agents says of the network";
    ALL [SYS_listen SYS_accept4 SYS_connect SYS_getsockopt SYS_setsockopt SYS_recvfrom SYS_shutdown]
        "the bus: answering and asking, who the other is, deadlines";
    ALL [SYS_sendto SYS_sendmsg] only NoFastOpen "the bus, and what is asked of the kernel and the network";
    // The network.
    ADDRESSES [SYS_bind SYS_getsockname SYS_recvmsg] "interfaces and addresses come by netlink";
    HTTPS [SYS_sendmmsg] only NoFastOpen "a resolver asks for both kinds of addresses at once";
    HTTPS [SYS_uname SYS_getpeername] "a resolver's search list; whether a connection still stands";
    OUTSIDE [SYS_ioctl] only Waiting "a connection that is waited for so long and no longer";
    OUTSIDE [SYS_ppoll] "the same";
    OUTSIDE [SYS_rt_sigtimedwait] "what such an agent counted is told when it is stopped";
    OUTSIDE [SYS_pread64] "libraries are loaded";
    // Files.
    OPENED_BEFORE [SYS_pread64 SYS_pwrite64 SYS_ftruncate SYS_fsync]
        "certificates and pins in config/, which is closed to new files";
    KEEPERS [SYS_fchmod SYS_pwrite64 SYS_fsync SYS_renameat2 SYS_unlinkat]
        "a file is whole and on the disk before it takes another's place";
    VAULTS [SYS_ioctl] only ReadEncryption "which vault is open, and by which key";
    VAULTS [SYS_ioctl] only ChangeEncryption "vaults are made, opened and closed: by this agent alone";
    VAULTS [SYS_ioctl] only Scrub "a replaced wrap is not left in the journal";
    VAULTS [SYS_ioctl] only Projects "a vault's directory has a project of its own, by which its space is counted";
    VAULTS [SYS_quotactl_fd] only ProjectQuota "and bounded, as its policy says";
    VAULTS [SYS_statfs SYS_fstatfs] "where a mount ends, and whether it can be written";
    VAULTS [SYS_getdents64 SYS_readlinkat SYS_openat2 SYS_faccessat]
        "vaults, their files, and who holds one open (/proc) are listed";
    VAULTS [SYS_mkdirat SYS_linkat SYS_symlinkat SYS_mknodat SYS_fchown SYS_fchownat SYS_fchmodat SYS_utimensat]
        "folders and key files; plain files are moved into a new vault as they are, with owners, modes and times";
    VAULTS [SYS_getegid] "a folder keeps its set-group-id bit only while its group is ours";
    VAULTS [SYS_pread64 SYS_pwrite64 SYS_ftruncate SYS_fallocate SYS_fdatasync SYS_syncfs SYS_sendfile SYS_copy_file_range]
        "contents are copied into a vault, and plain ones overwritten";
    VAULTS [SYS_getxattr SYS_lgetxattr SYS_fgetxattr SYS_setxattr SYS_lsetxattr SYS_fsetxattr SYS_listxattr
            SYS_llistxattr SYS_flistxattr SYS_removexattr]
        "the same for extended attributes; one that the original has no more is taken off the copy";
    VAULTS [SYS_kcmp] only Descriptors "which threads share their open files: each table is looked through once, however many threads there are";
    VAULTS [SYS_ioctl] only Loops "which file a loop device is made of: one of a vault's keeps it from being locked, whatever its name is now";
    VAULTS [SYS_flock] "one vaultmgr at a time works on a persist filesystem; and fscrypt's own tool writes there, too";
};

/// Calls that newer architectures have in another form only, which stands above.
#[cfg(target_arch = "x86_64")]
pub(super) const OLD_ROWS: &[Row] = rows! {
    OUTSIDE [SYS_poll] "a connection that is waited for so long and no longer";
    KEEPERS [SYS_rename SYS_renameat SYS_unlink] "a file is whole and on the disk before it takes another's place";
    VAULTS [SYS_open SYS_stat SYS_lstat] "folders above a vault are opened and looked at";
    VAULTS [SYS_mkdir SYS_rmdir SYS_link SYS_symlink SYS_readlink SYS_chown SYS_lchown SYS_chmod SYS_access]
        "folders and key files, plain files that are moved into a vault";
};
/// Not in our libc's list for arm64, whose kernels have it and whose C library renames by it.
#[cfg(target_arch = "aarch64")]
pub(super) const OLD_ROWS: &[Row] = &[Row {
    who: KEEPERS,
    calls: &[("SYS_renameat", 38)],
    only: Only::Any,
    why: "a file is whole and on the disk before it takes another's place",
}];

/// The rows of an agent.
pub(super) fn of(agent: Agent) -> impl Iterator<Item = &'static Row> {
    ROWS.iter().chain(OLD_ROWS).filter(move |row| row.who.contains(&agent))
}

/// The rows as a page for people: `eve walls`.
#[must_use]
pub fn page() -> String {
    let rows = ROWS.iter().chain(OLD_ROWS).map(|row| {
        let names: Vec<_> = row.calls.iter().map(|(name, _)| name.trim_start_matches("SYS_")).collect();
        let who: Vec<_> = row.who.iter().map(|agent| agent.name()).collect();
        let who = if row.who == ALL { "every agent".to_owned() } else { who.join(", ") };
        let only = if row.only == Only::Any { String::new() } else { format!(" ({})", row.only.words()) };
        format!("{who}: {}{only}\n    {}\n", names.join(" "), row.why)
    });
    rows.collect()
}

impl Only {
    fn words(self) -> &'static str {
        match self {
            Self::Any => "",
            Self::Thread => "to make threads only, in their own namespaces",
            Self::Families => "of the families in the table of agents only",
            Self::NoFastOpen => "without making a connection",
            Self::Data => "never executable",
            Self::ThreadName => "PR_SET_NAME only",
            Self::Waiting => "FIONBIO, FIONREAD only",
            Self::ReadEncryption => "fscrypt's questions only",
            Self::ChangeEncryption => "fscrypt's changes of keys and policies only",
            Self::Descriptors => "KCMP_FILES only",
            Self::Projects => "a file's project only",
            Self::ProjectQuota => "quotas of projects only: what is kept, taken and allowed",
            Self::Scrub => "a file's flags and ext4's journal only",
            Self::Loops => "which file a loop device is made of only",
        }
    }
}
