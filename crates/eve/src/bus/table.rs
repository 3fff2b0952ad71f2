//! The one table of the node's agents: who each is to the kernel, and what it may do there. What it may say and hear on the bus
//! stands in `contract`, which system calls it makes in [`crate::sandbox`]. Everything that is not listed is refused.
//!
//! vaultmgr, the supervisor and an operator all have uid 0. They are told apart by the group: the supervisor starts vaultmgr
//! with a group of its own, and the kernel reports both at connection, so neither a reused pid nor a race can change it.

use caps::Capability;

use super::Agent;

/// What an agent's process is and may do.
#[derive(Debug)]
pub struct Row {
    /// User.
    pub uid: u32,
    /// Group, the only one.
    pub gid: u32,
    /// Effective, permitted and bounding set; inheritable and ambient are empty.
    pub caps: &'static [Capability],
    /// What its sockets reach.
    pub network: Network,
    /// All memory is locked: secrets pass through.
    pub lock_memory: bool,
    /// No landlock: it works on every vault's directory.
    pub privileged: bool,
    /// Paths under the node's root that it may read.
    pub reads: &'static [&'static str],
    /// Paths under the node's root that it may write.
    pub writes: &'static [&'static str],
}

/// What of the network an agent's sockets reach; those of the bus all have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// Nothing.
    None,
    /// The kernel's list of interfaces.
    Interfaces,
    /// TCP only, to the two ports of a software TPM, and nothing where none is configured. To which ports, landlock sees.
    TpmPort,
    /// All of it.
    All,
}

/// An agent's row.
pub(super) fn row_of(agent: Agent) -> &'static Row {
    match agent {
        Agent::Supervisor | Agent::Operator => &ROOT,
        Agent::Nim => &NIM,
        Agent::Client => &CLIENT,
        Agent::Zedagent => &ZEDAGENT,
        Agent::Tpmmgr => &TPMMGR,
        Agent::Vaultmgr => &VAULTMGR,
    }
}

/// All memory is beyond the usual limit, and to lift that would take CAP_SYS_RESOURCE, which containers rarely have.
const LOCK_MEMORY: &[Capability] = &[Capability::CAP_IPC_LOCK];

const ROOT: Row = Row {
    uid: 0,
    gid: 0,
    caps: &[],
    network: Network::None,
    lock_memory: false,
    privileged: true,
    reads: &[],
    writes: &[],
};
const NIM: Row = Row {
    uid: 7301,
    gid: 7301,
    caps: &[],
    network: Network::Interfaces,
    lock_memory: false,
    privileged: false,
    reads: &["config/location.json", "run/eve"],
    writes: &["persist/status/nim"],
};
const CLIENT: Row = Row {
    uid: 7302,
    gid: 7302,
    // The onboarding key passes through.
    caps: LOCK_MEMORY,
    lock_memory: true,
    network: Network::All,
    reads: &["config", "run/eve"],
    writes: &["persist/status/client"],
    ..NIM
};
const ZEDAGENT: Row = Row {
    uid: 7303,
    gid: 7303,
    network: Network::All,
    reads: &["config/server", "config/root-certificate.pem", "config/proxy", "run/eve"],
    // The Config Vault. When it is made or exchanged while the agent runs, the agent ends, and its next process is let in.
    writes: &["persist/config"],
    ..NIM
};
const TPMMGR: Row = Row {
    uid: 7304,
    gid: 7304,
    caps: LOCK_MEMORY,
    network: Network::TpmPort,
    lock_memory: true,
    reads: &["config", "run/eve"],
    writes: &["persist/status/tpmmgr"],
    ..NIM
};
pub(super) const VAULTMGR: Row = Row {
    uid: 0,
    gid: 7305,
    caps: &[
        Capability::CAP_IPC_LOCK,
        Capability::CAP_SYS_ADMIN,
        Capability::CAP_SYS_PTRACE,
        Capability::CAP_DAC_READ_SEARCH,
        Capability::CAP_CHOWN,
        Capability::CAP_FOWNER,
        // A set-group-id file or folder of a group that is not its own, moved in with its mode: else the kernel drops the bit, without a word.
        Capability::CAP_FSETID,
        // Whether anybody could still write to another user's plain file, before that is wiped.
        Capability::CAP_LEASE,
    ],
    network: Network::None,
    lock_memory: true,
    privileged: true,
    reads: &["config", "run/eve"],
    writes: &["persist"],
};
