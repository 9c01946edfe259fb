//! What a child may do, from before it reads anything.
//!
//! Limits of its memory, files and cores everywhere; on Linux it also gains no rights any more, the
//! system refuses what decoding does not need, and no file can be opened. The last two as far as
//! the kernel has them: [`Isolation`] says what is in force.
#![warn(clippy::undocumented_unsafe_blocks)]

use std::io;

use rustix::process::{Resource, Rlimit, Signal, setrlimit};

use super::program::Isolation;

/// Descriptors that a child may have open.
const FILES: u64 = 64;

/// Closes what was left open by whoever started the server. To be called before anything is opened.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "Rust has no call that closes what it did not open")]
fn close_inherited() {
    // SAFETY: nothing in this process has opened a descriptor yet, so that none above the three
    // standard ones has an owner here.
    unsafe { libc::close_range(3, libc::c_uint::MAX, 0) };
}

/// Binds the process to its parent, and limits it. To be called on the first thread, before there
/// are others.
pub(super) fn limit(parent: u32, memory_bytes: u64) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    close_inherited();
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    #[cfg(not(target_os = "linux"))]
    let _ = Signal::KILL;
    // It may have ended before that.
    if rustix::process::getppid().is_none_or(|now| now.as_raw_nonzero().get().cast_unsigned() != parent) {
        return Err(io::Error::other("the server has ended"));
    }
    let limit = |resource, value| setrlimit(resource, Rlimit { current: Some(value), maximum: Some(value) });
    limit(Resource::Data, memory_bytes)?;
    limit(Resource::Core, 0)?;
    limit(Resource::Nofile, FILES)?;
    // Lifted for a recording, which is the only file that a child can write.
    let files = rustix::process::getrlimit(Resource::Fsize);
    setrlimit(Resource::Fsize, Rlimit { current: Some(0), maximum: files.maximum })?;
    Ok(())
}

/// A file may be written from now on.
pub(super) fn allow_writing() -> io::Result<()> {
    let files = rustix::process::getrlimit(Resource::Fsize);
    Ok(setrlimit(Resource::Fsize, Rlimit { current: files.maximum, maximum: files.maximum })?)
}

/// Takes away what decoding does not need. Holds for this thread and those that it starts.
#[cfg(target_os = "linux")]
pub(super) fn enter() -> Isolation {
    // Both of the others need it, and take it by themselves where this fails.
    let _ = rustix::thread::set_no_new_privs(true);
    // What is said to be in force was tried.
    let landlock = linux::close_files().unwrap_or(false) && std::fs::File::open("/").is_err();
    let seccomp = linux::filter_calls().is_ok() && std::net::UdpSocket::bind("127.0.0.1:0").is_err();
    Isolation { process: true, seccomp, landlock }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn enter() -> Isolation {
    Isolation { process: true, seccomp: false, landlock: false }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::collections::BTreeMap;

    use landlock::{ABI, Access, AccessFs, AccessNet, Ruleset, RulesetAttr, RulesetError, RulesetStatus, Scope};
    use libc as c;
    use seccompiler::{
        BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
        SeccompRule,
    };

    /// Denies all files, and TCP where the kernel can; `false` where it has no Landlock.
    pub(super) fn close_files() -> Result<bool, RulesetError> {
        let version = ABI::V6;
        let status = Ruleset::default()
            .handle_access(AccessFs::from_all(version))?
            .handle_access(AccessNet::from_all(version))?
            .scope(Scope::from_all(version))?
            .create()?
            .restrict_self()?;
        Ok(status.ruleset != RulesetStatus::NotEnforced)
    }

    /// Lets through what decoders, their threads and allocators do with what is open already, and
    /// answers everything else with EPERM.
    pub(super) fn filter_calls() -> Result<(), Box<dyn std::error::Error>> {
        let arch = std::env::consts::ARCH.try_into()?;
        let program = |rules, otherwise, matching| -> Result<BpfProgram, BackendError> {
            SeccompFilter::new(rules, otherwise, matching, arch)?.try_into()
        };
        // Its flags lie where a filter cannot look; glibc takes the older call then.
        let newer: BTreeMap<i64, Vec<SeccompRule>> = [(c::SYS_clone3, Vec::new())].into();
        let without_clone3 = program(newer, SeccompAction::Allow, SeccompAction::Errno(c::ENOSYS as u32))?;
        let allowed = program(allowed()?, SeccompAction::Errno(c::EPERM as u32), SeccompAction::Allow)?;
        seccompiler::apply_filter_all_threads(&without_clone3)?;
        seccompiler::apply_filter_all_threads(&allowed)?;
        Ok(())
    }

    fn allowed() -> Result<BTreeMap<i64, Vec<SeccompRule>>, BackendError> {
        let own = u64::from(std::process::id());
        let argument = |number, value| {
            let condition = SeccompCondition::new(number, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)?;
            SeccompRule::new(vec![condition])
        };
        let thread = SeccompRule::new(vec![SeccompCondition::new(
            0,
            SeccompCmpArgLen::Qword,
            SeccompCmpOp::MaskedEq(c::CLONE_THREAD as u64),
            c::CLONE_THREAD as u64,
        )?])?;
        let mut rules: BTreeMap<i64, Vec<SeccompRule>> = ANY.iter().map(|call| (*call, Vec::new())).collect();
        // Threads, and no processes.
        rules.insert(c::SYS_clone, vec![thread]);
        // Itself, when it aborts.
        rules.insert(c::SYS_tgkill, vec![argument(0, own)?]);
        // Its own limits.
        rules.insert(c::SYS_prlimit64, vec![argument(0, 0)?]);
        // The names of threads, and of memory.
        let names = [c::PR_SET_NAME as u64, c::PR_SET_VMA as u64];
        rules.insert(c::SYS_prctl, names.into_iter().map(|name| argument(0, name)).collect::<Result<_, _>>()?);
        Ok(rules)
    }

    /// Whatever their arguments.
    const ANY: &[i64] = &[
        // What is open.
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
        // Time, chance, and what the machine is.
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
}
