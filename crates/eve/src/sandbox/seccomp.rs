//! The seccomp filters of an agent: what it may ask of the kernel at all. Two programs stand one behind the other: of two answers
//! the kernel takes the stricter. Threads are held by them too.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, Error, SeccompAction, SeccompCmpArgLen as Length, SeccompCmpOp as Op, SeccompCondition,
    SeccompFilter, SeccompRule, sock_filter,
};

use crate::bus::Agent;
use crate::bus::table::Network;

/// What no agent ever does, with whatever arguments. An agent has no need of mounts or namespaces: vaultmgr looks at its own only.
const NEVER: [i64; 46] = [
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_sethostname,
    libc::SYS_chroot,
    libc::SYS_pivot_root,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_fsopen,
    libc::SYS_fspick,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    OPEN_TREE_ATTR,
    libc::SYS_mount_setattr,
    libc::SYS_setns,
    libc::SYS_unshare,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
];
/// Newer than our libc's list; the same number everywhere.
const OPEN_TREE_ATTR: i64 = 467;
/// Where there are calls of their own for it. A child would have no parent-death signal, and outlive the node under its agent's user.
#[cfg(target_arch = "x86_64")]
const FORKS: &[i64] = &[libc::SYS_fork, libc::SYS_vfork];
#[cfg(not(target_arch = "x86_64"))]
const FORKS: &[i64] = &[];
/// A user namespace would give a process every capability within it, and with them much more of the kernel to attack.
const NAMESPACES: [i32; 7] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];
/// Typing into the terminal that `eve run` was started from, as if root did.
const TERMINAL: [u64; 2] = [libc::TIOCSTI, libc::TIOCLINUX];

/// A connection made by sending: landlock is not asked where to.
const FAST_OPEN: u64 = libc::MSG_FASTOPEN as u64;

/// The filters of an agent, in the order to install them. `tpm_port`: this node has a software TPM.
pub(super) fn programs(agent: Agent, tpm_port: bool) -> anyhow::Result<[BpfProgram; 2]> {
    let never = NEVER.iter().chain(FORKS);
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = never.map(|call| (*call, vec![])).collect();
    rules.insert(libc::SYS_socket, sockets(agent.row().network, tpm_port)?);
    rules.insert(libc::SYS_clone, clones()?);
    rules.insert(libc::SYS_ioctl, rules_of(&ioctls(agent), |number| rule(&[(1, Op::Eq, number)]))?);
    for (call, flags) in [(libc::SYS_sendto, 3), (libc::SYS_sendmsg, 2), (libc::SYS_sendmmsg, 3)] {
        rules.insert(call, vec![rule(&[(flags, Op::MaskedEq(FAST_OPEN), FAST_OPEN)])?]);
    }
    let filter = SeccompFilter::new(
        rules,
        SeccompAction::Allow,
        SeccompAction::Errno(libc::EPERM.unsigned_abs()),
        std::env::consts::ARCH.try_into()?,
    )?;
    Ok([filter.try_into()?, beyond_numbers()])
}

fn rules_of<T: Copy>(
    list: &[T],
    rule: impl Fn(T) -> Result<SeccompRule, Error>,
) -> Result<Vec<SeccompRule>, Error> {
    list.iter().map(|each| rule(*each)).collect()
}

/// Refuses a call whose arguments, by place, are all as said.
fn rule(all: &[(u8, Op, u64)]) -> Result<SeccompRule, Error> {
    let condition = |(place, op, value): &(u8, Op, u64)| {
        Ok(SeccompCondition::new(*place, Length::Dword, op.clone(), *value)?)
    };
    Ok(SeccompRule::new(all.iter().map(condition).collect::<Result<_, Error>>()?)?)
}

/// A thread is made and nothing else, and it stays in its process's namespaces.
fn clones() -> Result<Vec<SeccompRule>, Error> {
    let mut rules = rules_of(&NAMESPACES, |flag| {
        let flag = u64::from(flag.unsigned_abs());
        rule(&[(0, Op::MaskedEq(flag), flag)])
    })?;
    rules.push(rule(&[(0, Op::MaskedEq(u64::from(libc::CLONE_THREAD.unsigned_abs())), 0)])?);
    Ok(rules)
}

fn sockets(network: Network, tpm_port: bool) -> Result<Vec<SeccompRule>, Error> {
    let (families, tcp_only): (&[i32], bool) = match network {
        Network::TpmPort if tpm_port => (&[libc::AF_UNIX, libc::AF_INET, libc::AF_INET6], true),
        Network::None | Network::TpmPort => (&[libc::AF_UNIX], false),
        Network::Interfaces => (&[libc::AF_UNIX, libc::AF_NETLINK], false),
        // Interfaces and their addresses are the resolver's work, too.
        Network::All => (&[libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK], false),
    };
    let mut rules = vec![other_family(families)?];
    if tcp_only {
        rules.extend(beside_tcp(libc::AF_INET)?.into_iter().chain(beside_tcp(libc::AF_INET6)?));
    }
    Ok(rules)
}

/// A socket of any family that is not among these: there are families that reach the network by other names.
fn other_family(allowed: &[i32]) -> Result<SeccompRule, Error> {
    let differs = |family: &i32| (0, Op::Ne, u64::from(family.unsigned_abs()));
    rule(&allowed.iter().map(differs).collect::<Vec<_>>())
}

/// What is not TCP, which alone landlock holds to a port: other types of sockets, and streams of other protocols.
fn beside_tcp(family: i32) -> Result<Vec<SeccompRule>, Error> {
    const TYPE: u64 = 0xf;
    let number = |value: i32| u64::from(value.unsigned_abs());
    let family = (0, Op::Eq, number(family));
    let mut rules = (0..=TYPE)
        .filter(|other| *other != number(libc::SOCK_STREAM))
        .map(|other| rule(&[family.clone(), (1, Op::MaskedEq(TYPE), other)]))
        .collect::<Result<Vec<_>, _>>()?;
    rules.push(rule(&[family, (2, Op::Ne, 0), (2, Op::Ne, number(libc::IPPROTO_TCP))])?);
    Ok(rules)
}

fn ioctls(agent: Agent) -> Vec<u64> {
    let keys = fscrypt::kernel::CHANGING_IOCTLS.map(u64::from);
    let keys = keys.into_iter().filter(|_| agent != Agent::Vaultmgr);
    TERMINAL.into_iter().chain(keys).collect()
}

/// What can't be said by number and argument. `clone3` has its flags in memory, where no filter looks: it is as if this kernel had
/// none, and libraries go on with `clone`. On x86-64 the calls of x32 have the same architecture and other numbers, from
/// 0x40000000: all are refused.
fn beyond_numbers() -> BpfProgram {
    const X32: u32 = 0x4000_0000;
    const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    const AT_LEAST: u32 = libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K;
    const EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    const RETURN: u32 = libc::BPF_RET | libc::BPF_K;
    let errno = |errno: i32| libc::SECCOMP_RET_ERRNO | errno.unsigned_abs();
    let clone3 = u32::try_from(libc::SYS_clone3).expect("numbers of calls are small");
    let op = |code: u32, jt, jf, k| sock_filter {
        code: u16::try_from(code).expect("codes have 16 bits"),
        jt,
        jf,
        k,
    };
    vec![
        op(LOAD, 0, 0, 0),
        op(AT_LEAST, 2, 0, X32),
        op(EQUAL, 2, 0, clone3),
        op(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW),
        op(RETURN, 0, 0, errno(libc::EPERM)),
        op(RETURN, 0, 0, errno(libc::ENOSYS)),
    ]
}

#[cfg(test)]
mod tests;
