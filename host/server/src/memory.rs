//! Unused memory of the two heaps of the process: Rust's (mimalloc) and that of the C
//! libraries (glibc).
#![allow(unsafe_code, reason = "allocators have no other interface")]

/// Size in bytes from which the C heap maps an allocation on its own (`M_MMAP_THRESHOLD`), so that
/// freeing it returns the pages to the system.
///
/// By default glibc raises the threshold to the largest allocation that was ever freed, up to 32
/// MB. Frames then lie on the heap between allocations that stay, and their memory is never
/// returned.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const OWN_PAGES: i32 = 256 << 10;

/// Configures the heaps; to be called before any large allocation.
pub(crate) fn set_up() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: may be called at any time; unknown parameters are refused.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, OWN_PAGES);
    }
}

/// Returns unused pages of both heaps to the system.
///
/// Loading a network takes ONNX Runtime several times the memory that the network has afterwards,
/// scattered between allocations that stay, which glibc never returns by itself; mimalloc keeps the
/// pages of threads that have ended.
pub(crate) fn trim() {
    // SAFETY: may be called at any time, from any thread.
    unsafe { libmimalloc_sys::mi_collect(true) };
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: may be called at any time, from any thread; moves nothing that is in use.
    unsafe {
        libc::malloc_trim(0);
    }
}
