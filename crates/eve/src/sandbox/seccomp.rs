//! The seccomp filters of an agent: what it may ask of the kernel at all. Two programs stand one behind the other: of two answers
//! the kernel takes the stricter. Forked children, threads and whatever they become are held by them too.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, Error, SeccompAction, SeccompCmpArgLen as Length, SeccompCmpOp as Op, SeccompCondition,
    SeccompFilter, SeccompRule, sock_filter,
};

use crate::bus::Agent;
use crate::bus::table::Row;

/// What no agent ever does, with whatever arguments. An agent has no need of mounts or namespaces: vaultmgr looks at its own only.
const NEVER: [i64; 42] = [
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
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_sethostname,
    libc::SYS_chroot,
    libc::SYS_pivot_root,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_fsopen,
    libc::SYS_fsmount,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_mount_setattr,
    libc::SYS_setns,
    libc::SYS_unshare,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
];
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

/// The filters of an agent, in the order to install them.
pub(super) fn programs(agent: Agent, row: &Row) -> anyhow::Result<[BpfProgram; 2]> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = NEVER.iter().map(|call| (*call, vec![])).collect();
    rules.insert(libc::SYS_socket, vec![other_family(&families(agent, row))?]);
    rules.insert(libc::SYS_clone, rules_of(&NAMESPACES, one_flag)?);
    rules.insert(libc::SYS_ioctl, rules_of(&ioctls(agent), one_ioctl)?);
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
    rule: fn(T) -> Result<SeccompRule, Error>,
) -> Result<Vec<SeccompRule>, Error> {
    list.iter().map(|each| rule(*each)).collect()
}

/// One flag among those that the first argument of `clone` is made of.
fn one_flag(flag: i32) -> Result<SeccompRule, Error> {
    let flag = u64::from(flag.unsigned_abs());
    Ok(SeccompRule::new(vec![SeccompCondition::new(0, Length::Dword, Op::MaskedEq(flag), flag)?])?)
}

fn one_ioctl(number: u64) -> Result<SeccompRule, Error> {
    Ok(SeccompRule::new(vec![SeccompCondition::new(1, Length::Dword, Op::Eq, number)?])?)
}

/// A socket of any family that is not among these: there are families that reach the network by other names.
fn other_family(allowed: &[i32]) -> Result<SeccompRule, Error> {
    let differs =
        |family: &i32| SeccompCondition::new(0, Length::Dword, Op::Ne, u64::from(family.unsigned_abs()));
    Ok(SeccompRule::new(allowed.iter().map(differs).collect::<Result<_, _>>()?)?)
}

fn families(agent: Agent, row: &Row) -> Vec<i32> {
    let mut allowed = vec![libc::AF_UNIX];
    if row.network {
        allowed.extend([libc::AF_INET, libc::AF_INET6]);
    }
    // Interfaces and their addresses: nim's work, and the resolver's.
    if row.network || agent == Agent::Nim {
        allowed.push(libc::AF_NETLINK);
    }
    allowed
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
