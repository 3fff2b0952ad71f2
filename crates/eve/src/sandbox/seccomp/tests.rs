//! The filters are run here as the kernel would: a call's number and arguments in, a verdict out.

use super::*;

/// What no agent may ever do, with whatever arguments, whatever its list comes to say.
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
/// Where there are calls of their own for it.
#[cfg(target_arch = "x86_64")]
const FORKS: &[i64] = &[libc::SYS_fork, libc::SYS_vfork];
#[cfg(not(target_arch = "x86_64"))]
const FORKS: &[i64] = &[];

/// What the kernel does with a call.
#[derive(Debug, PartialEq, Eq)]
enum Action {
    Allowed,
    Errno(i32),
}
use Action::{Allowed, Errno};
const REFUSED: Action = Errno(libc::EPERM);

/// `struct seccomp_data` as words: number, architecture, instruction pointer, six arguments.
fn data(call: i64, arguments: &[u64]) -> Vec<u32> {
    let arch = if cfg!(target_arch = "x86_64") { 0xc000_003e } else { 0xc000_00b7 };
    let mut words = vec![u32::try_from(call).unwrap(), arch, 0, 0];
    let arguments = arguments.iter().copied().chain(std::iter::repeat(0)).take(6);
    words.extend(arguments.flat_map(|value| [value as u32, (value >> 32) as u32]));
    words
}

/// Classic BPF, as far as these programs use it; anything else is a failure.
fn run(program: &[sock_filter], data: &[u32]) -> Action {
    let (mut at, mut a) = (0, 0);
    loop {
        let op = &program[at];
        at += 1;
        let mut jump = |taken: bool| at += usize::from(if taken { op.jt } else { op.jf });
        match op.code {
            0x20 => a = data[op.k as usize / 4],
            0x54 => a &= op.k,
            0x05 => at += op.k as usize,
            0x15 => jump(a == op.k),
            0x25 => jump(a > op.k),
            0x35 => jump(a >= op.k),
            0x06 if op.k == libc::SECCOMP_RET_ALLOW => return Allowed,
            0x06 => {
                assert_eq!(op.k & 0xffff_0000, libc::SECCOMP_RET_ERRNO);
                return Errno((op.k & 0xffff) as i32);
            }
            other => panic!("operation {other:#x}"),
        }
    }
}

fn verdict(agent: Agent, call: i64, arguments: &[u64]) -> Action {
    verdict_of(&programs(agent, true, Unlisted::Refused).unwrap(), call, arguments)
}

fn verdict_of(programs: &[BpfProgram; 2], call: i64, arguments: &[u64]) -> Action {
    let data = data(call, arguments);
    programs.iter().map(|program| run(program, &data)).find(|one| *one != Allowed).unwrap_or(Allowed)
}

/// Invariant 7, for every agent and every family and type that there is, with a software TPM and without.
#[test]
fn sockets_are_of_the_families_of_the_row_and_of_no_other() {
    const TYPES: [i32; 7] = [1, 2, 3, 4, 5, 6, 10];
    let inet = |family| [libc::AF_INET, libc::AF_INET6].contains(&family);
    for (agent, tpm_port) in Agent::STARTED.into_iter().flat_map(|agent| [(agent, true), (agent, false)]) {
        let programs = programs(agent, tpm_port, Unlisted::Refused).unwrap();
        for (family, kind) in (0..64).flat_map(|family| TYPES.map(|kind| (family, kind))) {
            let may = match agent {
                _ if family == libc::AF_UNIX => true,
                Agent::Nim => family == libc::AF_NETLINK,
                Agent::Vaultmgr => false,
                Agent::Tpmmgr => tpm_port && inet(family) && kind == libc::SOCK_STREAM,
                _ => inet(family) || family == libc::AF_NETLINK,
            };
            let expected = if may { Allowed } else { REFUSED };
            for flags in [0, libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK] {
                let arguments = [family, kind | flags].map(|value| value.unsigned_abs().into());
                let got = verdict_of(&programs, libc::SYS_socket, &arguments);
                assert_eq!(got, expected, "{agent}: family {family}, type {kind}, TPM's port {tpm_port}");
            }
        }
    }
}

/// Invariant 7: what landlock does not hold to the TPM's port is refused altogether.
#[test]
fn tpmmgr_speaks_tcp_and_connects_where_landlock_looks() {
    const FAST_OPEN: i32 = libc::MSG_FASTOPEN;
    let tpmmgr = |call, arguments: &[i32]| {
        let arguments: Vec<u64> = arguments.iter().map(|value| value.unsigned_abs().into()).collect();
        verdict(Agent::Tpmmgr, call, &arguments)
    };
    for family in [libc::AF_INET, libc::AF_INET6] {
        let stream = |protocol| tpmmgr(libc::SYS_socket, &[family, libc::SOCK_STREAM, protocol]);
        assert_eq!((stream(0), stream(libc::IPPROTO_TCP)), (Allowed, Allowed));
        for other in [libc::IPPROTO_MPTCP, libc::IPPROTO_SCTP] {
            assert_eq!(stream(other), REFUSED, "protocol {other}");
        }
    }
    assert_eq!(tpmmgr(libc::SYS_sendmmsg, &[]), REFUSED);
    for (call, before) in [(libc::SYS_sendto, 3), (libc::SYS_sendmsg, 2)] {
        let send = |flags| tpmmgr(call, &[vec![4; before], vec![flags]].concat());
        assert_eq!(send(libc::MSG_NOSIGNAL), Allowed, "{call}");
        assert_eq!(send(libc::MSG_NOSIGNAL | FAST_OPEN), REFUSED, "{call}");
    }
}

/// Invariant 7: only vaultmgr sets keys, even of the kind that the kernel takes from anybody.
#[test]
fn only_vaultmgr_changes_keys_and_nobody_types_into_a_terminal() {
    const ADD_KEY: u64 = 0xc050_6617;
    const GET_POLICY: u64 = 0xc009_6616;
    /// What a loop device is made of: told, and set.
    const LOOP: [u64; 2] = [0x4c05, 0x4c04];
    for agent in Agent::STARTED {
        let ioctl = |number| verdict(agent, libc::SYS_ioctl, &[3, number]);
        assert_eq!(ioctl(ADD_KEY) == Allowed, agent == Agent::Vaultmgr, "{agent}");
        assert_eq!(ioctl(ADD_KEY | 1 << 32) == Allowed, agent == Agent::Vaultmgr, "{agent}: the kernel cuts");
        assert_eq!(ioctl(GET_POLICY) == Allowed, agent == Agent::Vaultmgr, "{agent}");
        assert_eq!(ioctl(LOOP[0]) == Allowed, agent == Agent::Vaultmgr, "{agent}");
        assert_eq!(ioctl(LOOP[1]), REFUSED, "{agent}: it only asks");
        assert_eq!(ioctl(libc::TIOCSTI), REFUSED, "{agent}");
    }
}

#[test]
fn threads_are_made_and_neither_processes_nor_namespaces() {
    let thread = libc::CLONE_VM | libc::CLONE_THREAD | libc::CLONE_SIGHAND | libc::CLONE_FS;
    for agent in Agent::STARTED {
        let clone = |flags: i32| verdict(agent, libc::SYS_clone, &[flags.unsigned_abs().into()]);
        assert_eq!(clone(thread), Allowed, "{agent}");
        for process in [libc::SIGCHLD, libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD] {
            assert_eq!(clone(process), REFUSED, "{agent}: {process:#x}");
        }
        for namespace in (0..31).map(|bit| 1 << bit).filter(|bit| NAMESPACES & bit != 0) {
            assert_eq!(clone(thread | namespace), REFUSED, "{agent}: {namespace:#x}");
        }
        assert_eq!(NAMESPACES.count_ones(), 7);
        assert_eq!(verdict(agent, libc::SYS_clone3, &[]), Errno(libc::ENOSYS), "{agent}");
        assert_eq!(verdict(agent, libc::SYS_unshare, &[0x1000_0000]), REFUSED, "{agent}");
    }
}

#[test]
fn what_is_never_done_is_refused_by_its_other_numbers_too() {
    for agent in Agent::STARTED {
        for call in NEVER.iter().chain(FORKS) {
            assert_eq!(verdict(agent, *call, &[]), REFUSED, "{agent}: {call}");
        }
        // By their numbers: the new calls of mount, which can change a mount that is there, and of quotas.
        for call in [431, 433, 467, 443] {
            assert_eq!(verdict(agent, call, &[]), REFUSED, "{agent}: {call}");
        }
        assert_eq!(verdict(agent, 0x4000_0000 | 521, &[]), REFUSED, "{agent}: ptrace of x32");
        for call in [libc::SYS_read, libc::SYS_write, libc::SYS_openat, libc::SYS_futex] {
            assert_eq!(verdict(agent, call, &[]), Allowed, "{agent}: {call}");
        }
    }
}

/// Issue A4: the lists are lists of what is let through. Of some 360 calls an agent has less than a third, and none by chance: what is
/// in no row of its own is refused, by every number.
#[test]
fn what_no_row_names_is_refused() {
    for agent in Agent::STARTED {
        let listed: Vec<i64> =
            calls::of(agent).flat_map(|row| row.calls.iter().map(|(_, call)| *call)).collect();
        assert!(listed.len() < 120, "{agent}: {}", listed.len());
        let programs = programs(agent, true, Unlisted::Refused).unwrap();
        for call in (0..600).filter(|call| !listed.contains(call)) {
            assert_eq!(verdict_of(&programs, call, &[]), REFUSED, "{agent}: {call}");
        }
    }
}

/// What only vaultmgr does to files, and only who loads libraries does to memory.
#[test]
fn a_list_is_an_agents_own() {
    let executable = [0, 4096, u64::from((libc::PROT_READ | libc::PROT_EXEC).unsigned_abs())];
    for agent in Agent::STARTED {
        let is_vaultmgr = agent == Agent::Vaultmgr;
        for call in [
            libc::SYS_linkat,
            libc::SYS_fchown,
            libc::SYS_getdents64,
            libc::SYS_lsetxattr,
            libc::SYS_removexattr,
        ] {
            assert_eq!(verdict(agent, call, &[]) == Allowed, is_vaultmgr, "{agent}: {call}");
        }
        let loads = !matches!(agent, Agent::Nim | Agent::Vaultmgr);
        assert_eq!(verdict(agent, libc::SYS_mmap, &executable) == Allowed, loads, "{agent}");
        assert_eq!(verdict(agent, libc::SYS_mmap, &[0, 4096, 3]), Allowed, "{agent}");
        assert_eq!(verdict(agent, libc::SYS_prctl, &[libc::PR_SET_NAME as u64]), Allowed, "{agent}");
        assert_eq!(verdict(agent, libc::SYS_prctl, &[libc::PR_SET_DUMPABLE as u64]), REFUSED, "{agent}");
    }
}

/// The page has every call that is let through, and a reason for each.
#[test]
fn the_page_says_every_call_with_its_reason() {
    let page = calls::page();
    for agent in Agent::STARTED {
        for row in calls::of(agent) {
            assert!(row.why.len() > 2, "{agent}");
            for (name, _) in row.calls {
                assert!(page.split_whitespace().any(|word| word == &name[4..]), "{name}");
            }
        }
    }
}
