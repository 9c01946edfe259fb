//! System calls that a decoder process may make, enforced by seccomp.

use std::{collections::BTreeMap, error::Error};

use libc as c;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};

use super::needs::Needs;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Allows what decoders, their threads and allocators need, on files that are open already. All
/// other calls fail with EPERM.
pub(super) fn filter(needs: Needs) -> Result<(), Box<dyn Error>> {
    // The flags of clone3 are behind a pointer, which seccomp does not follow. After ENOSYS glibc
    // falls back to clone, whose flags are checked below.
    let newer: Rules = [(c::SYS_clone3, Vec::new())].into();
    let without_clone3 = program(newer, SeccompAction::Allow, SeccompAction::Errno(c::ENOSYS as u32))?;
    let allowed = program(allowed(needs)?, SeccompAction::Errno(c::EPERM as u32), SeccompAction::Allow)?;
    seccompiler::apply_filter_all_threads(&without_clone3)?;
    seccompiler::apply_filter_all_threads(&allowed)?;
    Ok(())
}

/// Refuses sockets and connections from now on.
pub(super) fn refuse_connecting() -> Result<(), Box<dyn Error>> {
    let refused: Rules = [c::SYS_socket, c::SYS_connect, c::SYS_bind].map(|call| (call, Vec::new())).into();
    let refuse = program(refused, SeccompAction::Allow, SeccompAction::Errno(c::EPERM as u32))?;
    Ok(seccompiler::apply_filter_all_threads(&refuse)?)
}

fn program(rules: Rules, otherwise: SeccompAction, matching: SeccompAction) -> Result<BpfProgram, BackendError> {
    SeccompFilter::new(rules, otherwise, matching, std::env::consts::ARCH.try_into()?)?.try_into()
}

/// The bits of `mask` in an argument are those of `value`.
fn has(argument: u8, mask: u64, value: u64) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(mask), value)
}

fn is(argument: u8, value: u64) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)
}

fn allowed(needs: Needs) -> Result<Rules, BackendError> {
    let own = u64::from(std::process::id());
    let rule = |condition| SeccompRule::new(vec![condition]);
    let thread = SeccompRule::new(vec![SeccompCondition::new(
        0,
        SeccompCmpArgLen::Qword,
        SeccompCmpOp::MaskedEq(c::CLONE_THREAD as u64),
        c::CLONE_THREAD as u64,
    )?])?;
    let mut rules: Rules = ANY.iter().map(|call| (*call, Vec::new())).collect();
    // Threads, and no processes.
    rules.insert(c::SYS_clone, vec![thread]);
    // Signals to itself, when it aborts.
    rules.insert(c::SYS_tgkill, vec![rule(is(0, own)?)?]);
    // Its own limits.
    rules.insert(c::SYS_prlimit64, vec![rule(is(0, 0)?)?]);
    // The names of threads, and of memory.
    let mut names = vec![c::PR_SET_NAME as u64, c::PR_SET_VMA as u64];
    if needs.relay.is_some() {
        // Needed before a further filter, `refuse_connecting`.
        names.push(c::PR_SET_NO_NEW_PRIVS as u64);
        rules.extend(CONNECTING.iter().map(|call| (*call, Vec::new())));
        // TCP alone: Landlock does not see protocols built upon it, such as MPTCP.
        let tcp = |protocol: c::c_int| {
            SeccompRule::new(vec![
                is(0, c::AF_INET as u64)?,
                has(1, SOCKET_KIND, c::SOCK_STREAM as u64)?,
                is(2, protocol as u64)?,
            ])
        };
        rules.insert(c::SYS_socket, vec![tcp(0)?, tcp(c::IPPROTO_TCP)?]);
        // TCP Fast Open connects without `connect`, so that Landlock does not see it.
        let fast_open = c::MSG_FASTOPEN as u64;
        rules.insert(c::SYS_sendto, vec![rule(has(3, fast_open, 0)?)?]);
        rules.insert(c::SYS_sendmsg, vec![rule(has(2, fast_open, 0)?)?]);
    }
    if needs.devices {
        rules.extend(WITH_DEVICES.iter().map(|call| (*call, Vec::new())));
    }
    rules.insert(c::SYS_prctl, names.into_iter().map(|name| rule(is(0, name)?)).collect::<Result<_, _>>()?);
    Ok(rules)
}

/// Bits of the kind in the second argument of `socket`; the others are flags.
const SOCKET_KIND: u64 = 0xf;

/// Calls with which FFmpeg connects by TCP, and `seccomp`, which forbids connecting afterwards.
const CONNECTING: &[i64] =
    &[c::SYS_connect, c::SYS_getsockopt, c::SYS_setsockopt, c::SYS_getpeername, c::SYS_getsockname, c::SYS_seccomp];

/// Calls of drivers of decoding devices. Landlock limits the files that they can open.
const WITH_DEVICES: &[i64] = &[
    c::SYS_ioctl,
    c::SYS_openat,
    c::SYS_faccessat,
    c::SYS_faccessat2,
    c::SYS_readlinkat,
    c::SYS_getdents64,
    c::SYS_getcwd,
    c::SYS_statfs,
    c::SYS_fstatfs,
    c::SYS_ftruncate,
    c::SYS_fallocate,
    c::SYS_memfd_create,
    c::SYS_eventfd2,
    c::SYS_pipe2,
    c::SYS_dup3,
    c::SYS_epoll_create1,
    c::SYS_epoll_ctl,
    c::SYS_epoll_pwait,
    c::SYS_pselect6,
    c::SYS_mlock,
    c::SYS_munlock,
    c::SYS_mincore,
    c::SYS_msync,
    c::SYS_get_mempolicy,
    c::SYS_set_mempolicy,
    c::SYS_mbind,
    c::SYS_sched_setaffinity,
    c::SYS_getuid,
    c::SYS_geteuid,
    c::SYS_getgid,
    c::SYS_getegid,
    c::SYS_getppid,
    c::SYS_getrusage,
    #[cfg(target_arch = "x86_64")]
    c::SYS_open,
    #[cfg(target_arch = "x86_64")]
    c::SYS_stat,
    #[cfg(target_arch = "x86_64")]
    c::SYS_lstat,
    #[cfg(target_arch = "x86_64")]
    c::SYS_access,
    #[cfg(target_arch = "x86_64")]
    c::SYS_readlink,
    #[cfg(target_arch = "x86_64")]
    c::SYS_epoll_wait,
    #[cfg(target_arch = "x86_64")]
    c::SYS_select,
];

/// Allowed with any arguments.
const ANY: &[i64] = &[
    // Open files and sockets.
    c::SYS_read,
    c::SYS_readv,
    c::SYS_pread64,
    c::SYS_preadv,
    c::SYS_write,
    c::SYS_writev,
    c::SYS_pwrite64,
    c::SYS_lseek,
    c::SYS_close,
    c::SYS_dup,
    c::SYS_fcntl,
    c::SYS_fstat,
    c::SYS_newfstatat,
    c::SYS_statx,
    c::SYS_recvmsg,
    c::SYS_recvfrom,
    c::SYS_sendmsg,
    c::SYS_sendto,
    c::SYS_ppoll,
    #[cfg(target_arch = "x86_64")]
    c::SYS_poll,
    // Memory.
    c::SYS_brk,
    c::SYS_mmap,
    c::SYS_munmap,
    c::SYS_mremap,
    c::SYS_mprotect,
    c::SYS_madvise,
    // Threads.
    c::SYS_clone3,
    c::SYS_futex,
    c::SYS_set_robust_list,
    c::SYS_rseq,
    c::SYS_set_tid_address,
    c::SYS_sched_yield,
    c::SYS_sched_getaffinity,
    c::SYS_sched_getparam,
    c::SYS_sched_getscheduler,
    c::SYS_membarrier,
    c::SYS_getcpu,
    c::SYS_gettid,
    c::SYS_getpid,
    c::SYS_exit,
    c::SYS_exit_group,
    // Signals to itself.
    c::SYS_rt_sigaction,
    c::SYS_rt_sigprocmask,
    c::SYS_rt_sigreturn,
    c::SYS_sigaltstack,
    // Clocks, random numbers, facts about the machine.
    c::SYS_clock_gettime,
    c::SYS_clock_getres,
    c::SYS_clock_nanosleep,
    c::SYS_nanosleep,
    c::SYS_gettimeofday,
    #[cfg(target_arch = "x86_64")]
    c::SYS_time,
    c::SYS_getrandom,
    c::SYS_getrlimit,
    c::SYS_uname,
    c::SYS_sysinfo,
    c::SYS_restart_syscall,
];
