//! Sandbox of a decoder process, entered before it reads untrusted bytes.
//!
//! Limits memory, open files and core dumps on all systems. On Linux the process also cannot gain
//! privileges, seccomp denies system calls that decoding does not need, and Landlock denies files,
//! both where the kernel has them: [`Isolation`] reports what is in force.
#![warn(clippy::undocumented_unsafe_blocks)]

use std::io;

use rustix::process::{Resource, Rlimit, Signal, setrlimit};

#[cfg(target_os = "linux")]
mod calls;
#[cfg(target_os = "linux")]
mod files;
mod needs;

pub(super) use self::needs::Needs;
use super::isolation::Isolation;

/// Limit of a child's open descriptors; device drivers need more.
const FILES: u64 = 64;
const FILES_WITH_DEVICES: u64 = 256;

/// Closes inherited descriptors. To be called before anything is opened.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "the standard library cannot close descriptors that it did not open")]
fn close_inherited() {
    // SAFETY: nothing in this process has opened a descriptor yet, so that none above the three
    // standard ones has an owner here.
    unsafe { libc::close_range(3, libc::c_uint::MAX, 0) };
}

/// Binds the life of the process to its parent, and sets its resource limits. To be called on the
/// first thread, before there are others.
pub(super) fn limit(parent: u32, memory_bytes: u64) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    close_inherited();
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    #[cfg(not(target_os = "linux"))]
    let _ = Signal::KILL;
    // The parent may have ended before.
    if rustix::process::getppid().is_none_or(|now| now.as_raw_nonzero().get().cast_unsigned() != parent) {
        return Err(io::Error::other("the server has ended"));
    }
    set_limit(Resource::Data, memory_bytes)?;
    set_limit(Resource::Core, 0)?;
    set_limit(Resource::Nofile, FILES_WITH_DEVICES)?;
    // Lifted for a recording, the only file that a child writes.
    let files = rustix::process::getrlimit(Resource::Fsize);
    setrlimit(Resource::Fsize, Rlimit { current: Some(0), maximum: files.maximum })?;
    Ok(())
}

fn set_limit(resource: Resource, value: u64) -> io::Result<()> {
    Ok(setrlimit(resource, Rlimit { current: Some(value), maximum: Some(value) })?)
}

/// Lifts the limit of file sizes.
pub(super) fn allow_writing() -> io::Result<()> {
    let files = rustix::process::getrlimit(Resource::Fsize);
    Ok(setrlimit(Resource::Fsize, Rlimit { current: files.maximum, maximum: files.maximum })?)
}

/// Enters seccomp and Landlock. Holds for this thread and those that it starts.
pub(super) fn enter(needs: Needs) -> io::Result<Isolation> {
    if needs.devices {
        // Drivers may use unnamed files as shared memory.
        allow_writing()?;
    } else {
        set_limit(Resource::Nofile, FILES)?;
    }
    #[cfg(target_os = "linux")]
    {
        // Seccomp and Landlock need it, and set it themselves where this fails.
        let _ = rustix::thread::set_no_new_privs(true);
        // The report is tested, not assumed.
        let landlock = files::close(needs).unwrap_or(false) && std::fs::File::open("/").is_err();
        let seccomp = calls::filter(needs).is_ok() && std::net::UdpSocket::bind("127.0.0.1:0").is_err();
        Ok(Isolation { process: true, seccomp, landlock, network: false })
    }
    #[cfg(not(target_os = "linux"))]
    Ok(Isolation { process: true, seccomp: false, landlock: false, network: false })
}

/// Denies all threads of the process further connections; `false` where the system cannot.
pub(super) fn close_network() -> bool {
    #[cfg(target_os = "linux")]
    return calls::refuse_connecting().is_ok();
    #[cfg(not(target_os = "linux"))]
    false
}

/// Whether connecting to a local port is denied.
pub(super) fn is_refused(port: u16) -> bool {
    let tried = std::net::TcpStream::connect(("127.0.0.1", port));
    tried.is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
}
