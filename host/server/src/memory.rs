//! Unused memory of the two heaps of the process: Rust's (mimalloc) and that of the C
//! libraries (glibc).
#![allow(unsafe_code, reason = "allocators have no other interface")]

/// The C heap gives pieces of this size and more pages of their own, which go back to the system
/// with the piece. Bytes.
///
/// Left to itself glibc raises that limit to the largest piece that was ever freed, up to 32 MB.
/// Frames then lie between what stays, and memory that was once taken is never given back.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const OWN_PAGES: i32 = 256 << 10;

/// Sets the heaps up; to be called before anything large is made.
pub(crate) fn set_up() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: may be called at any time; what it does not know it refuses.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, OWN_PAGES);
    }
}

/// Gives pages that nothing lies in back to the system.
///
/// Preparing a network takes ONNX Runtime several times the memory that the network then has, in
/// pieces between others that stay, which glibc keeps for ever; mimalloc keeps what threads had
/// that have ended.
pub(crate) fn give_back() {
    // SAFETY: may be called at any time, from any thread.
    unsafe { libmimalloc_sys::mi_collect(true) };
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: may be called at any time, from any thread; moves nothing that is in use.
    unsafe {
        libc::malloc_trim(0);
    }
}
