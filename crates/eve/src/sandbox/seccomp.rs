//! The seccomp filters of an agent, made from its rows of [`super::calls`]. Two programs stand one behind the other: of two answers
//! the kernel takes the stricter. Threads are held by them too.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, Error, SeccompAction, SeccompCmpArgLen as Length, SeccompCmpOp as Op, SeccompCondition,
    SeccompFilter, SeccompRule, sock_filter,
};

use super::calls::{self, Only, Unlisted};
use crate::bus::Agent;
use crate::bus::table::Network;

/// A user namespace would give a process every capability within it, and with them much more of the kernel to attack.
const NAMESPACES: i32 = libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET;
/// A connection made by sending.
const FAST_OPEN: u64 = libc::MSG_FASTOPEN as u64;

/// The filters of an agent, in the order to install them. `tpm_port`: this node has a software TPM.
pub(super) fn programs(agent: Agent, tpm_port: bool, unlisted: Unlisted) -> anyhow::Result<[BpfProgram; 2]> {
    let mut allowed: BTreeMap<i64, Allowed> = BTreeMap::new();
    for row in calls::of(agent) {
        for (_, call) in row.calls {
            allowed.entry(*call).or_default().add(allowed_by(row.only, *call, agent, tpm_port)?);
        }
    }
    let filter = SeccompFilter::new(
        allowed.into_iter().map(|(call, allowed)| (call, allowed.rules())).collect(),
        match unlisted {
            Unlisted::Refused => SeccompAction::Errno(libc::EPERM.unsigned_abs()),
            Unlisted::Ends => SeccompAction::KillProcess,
        },
        SeccompAction::Allow,
        std::env::consts::ARCH.try_into()?,
    )?;
    // The list last: behind it no other filter can be installed.
    Ok([beyond_numbers(), filter.try_into()?])
}

/// With which arguments a call is let through.
enum Allowed {
    /// As one of these says.
    By(Vec<SeccompRule>),
    Always,
}

impl Default for Allowed {
    fn default() -> Self {
        Self::By(Vec::new())
    }
}

impl Allowed {
    fn add(&mut self, more: Self) {
        match (&mut *self, more) {
            (Self::By(rules), Self::By(more)) => rules.extend(more),
            _ => *self = Self::Always,
        }
    }

    /// As the library has it: no rule at all lets every call through.
    fn rules(self) -> Vec<SeccompRule> {
        match self {
            Self::By(rules) => rules,
            Self::Always => Vec::new(),
        }
    }
}

fn allowed_by(only: Only, call: i64, agent: Agent, tpm_port: bool) -> Result<Allowed, Error> {
    let thread = u64::from(libc::CLONE_THREAD.unsigned_abs());
    let foreign = u64::from(NAMESPACES.unsigned_abs());
    let executable = u64::from(libc::PROT_EXEC.unsigned_abs());
    Ok(Allowed::By(match only {
        Only::Any => return Ok(Allowed::Always),
        Only::Thread => vec![rule(&[(0, Op::MaskedEq(thread | foreign), thread)])?],
        Only::Families => sockets(agent.row().network, tpm_port)?,
        Only::NoFastOpen => vec![rule(&[(flags_of(call), Op::MaskedEq(FAST_OPEN), 0)])?],
        Only::Data => vec![rule(&[(2, Op::MaskedEq(executable), 0)])?],
        Only::ThreadName => vec![rule(&[(0, Op::Eq, u64::from(libc::PR_SET_NAME.unsigned_abs()))])?],
        Only::Waiting => ioctls(&[libc::FIONBIO, libc::FIONREAD])?,
        Only::ReadEncryption => ioctls(&fscrypt::kernel::READING_IOCTLS.map(u64::from))?,
        Only::ChangeEncryption => ioctls(&fscrypt::kernel::CHANGING_IOCTLS.map(u64::from))?,
        Only::Descriptors => vec![rule(&[(2, Op::Eq, fscrypt::sharing::KCMP_FILES)])?],
        Only::Projects => ioctls(&fscrypt::quota::PROJECT_IOCTLS.map(u64::from))?,
        Only::ProjectQuota => ioctls(&fscrypt::quota::QUOTA_COMMANDS.map(u64::from))?,
        Only::Loops => ioctls(&fscrypt::sharing::LOOP_IOCTLS.map(u64::from))?,
        Only::Scrub => ioctls(&fscrypt::kernel::SCRUBBING_IOCTLS.map(u64::from))?,
    }))
}

/// Where a sending call has its flags.
fn flags_of(call: i64) -> u8 {
    if call == libc::SYS_sendmsg { 2 } else { 3 }
}

fn ioctls(numbers: &[u64]) -> Result<Vec<SeccompRule>, Error> {
    numbers.iter().map(|number| rule(&[(1, Op::Eq, *number)])).collect()
}

/// Lets a call through whose arguments, by place, are all as said.
fn rule(all: &[(u8, Op, u64)]) -> Result<SeccompRule, Error> {
    let condition = |(place, op, value): &(u8, Op, u64)| {
        Ok(SeccompCondition::new(*place, Length::Dword, op.clone(), *value)?)
    };
    Ok(SeccompRule::new(all.iter().map(condition).collect::<Result<_, Error>>()?)?)
}

/// There are families that reach the network by other names: those that have no rule here are refused.
fn sockets(network: Network, tpm_port: bool) -> Result<Vec<SeccompRule>, Error> {
    let number = |value: i32| u64::from(value.unsigned_abs());
    let family = |family| rule(&[(0, Op::Eq, number(family))]);
    let unix = family(libc::AF_UNIX);
    let others = match network {
        Network::TpmPort if tpm_port => [tcp(libc::AF_INET)?, tcp(libc::AF_INET6)?].concat(),
        Network::None | Network::TpmPort => Vec::new(),
        Network::Interfaces => vec![family(libc::AF_NETLINK)?],
        // Interfaces and their addresses are the resolver's work, too.
        Network::All => vec![family(libc::AF_INET)?, family(libc::AF_INET6)?, family(libc::AF_NETLINK)?],
    };
    Ok(std::iter::once(unix?).chain(others).collect())
}

/// TCP alone, which landlock holds to a port: no other type of socket, and no stream of another protocol.
fn tcp(family: i32) -> Result<Vec<SeccompRule>, Error> {
    const TYPE: u64 = 0xf;
    let number = |value: i32| u64::from(value.unsigned_abs());
    let stream = [(0, Op::Eq, number(family)), (1, Op::MaskedEq(TYPE), number(libc::SOCK_STREAM))];
    let by = |protocol| rule(&[&stream[..], &[(2, Op::Eq, number(protocol))]].concat());
    Ok(vec![by(0)?, by(libc::IPPROTO_TCP)?])
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
