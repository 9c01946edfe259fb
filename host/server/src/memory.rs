//! What the two heaps of the process hold that nobody uses: Rust's (mimalloc) and that of the C libraries (glibc).
#![allow(unsafe_code, reason = "allocators have no other interface")]

/// Gives pages that nothing lies in back to the system.
///
/// Preparing a network takes ONNX Runtime several times the memory that the network then has, in pieces between others that stay,
/// which glibc keeps for ever; mimalloc keeps what threads had that have ended.
pub(crate) fn give_back() {
    // SAFETY: may be called at any time, from any thread.
    unsafe { libmimalloc_sys::mi_collect(true) };
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: may be called at any time, from any thread; moves nothing that is in use.
    unsafe {
        libc::malloc_trim(0);
    }
}
