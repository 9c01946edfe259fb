//! Scratch pool: the memory of ONNX Runtime's runs, shared by all sessions.
//!
//! A session that has run with a shape before requests one block of memory, which holds all
//! intermediate arrays of the run. The pool has one scratch for each concurrent run of all networks
//! together, and a scratch keeps the block of its last run: it grows to the size of the largest
//! network. So networks that run in turn share memory, whereas ONNX Runtime's own arena splits the
//! block of one network for another and grows by a further block when the first network runs again.
//!
//! Blocks are freed by [`ScratchPool::free_idle`]. A block that a run still holds when it ends
//! leaves the pool and becomes an ordinary allocation.
#![allow(unsafe_code, reason = "an allocator behind a C interface")]

use std::{
    alloc::{GlobalAlloc, Layout, System, alloc, dealloc},
    cell::Cell,
    ffi::c_void,
    mem,
    ptr::{self, NonNull},
    sync::atomic::{AtomicU8, Ordering},
};

use ort::{
    AsPointer,
    environment::Environment,
    memory::{AllocationDevice, AllocatorType, MemoryInfo, MemoryType},
    sys::{OrtAllocator, OrtMemoryInfo},
};

use crate::pool::Pool;

/// Least size in bytes of a block that a scratch keeps; anything smaller is an ordinary allocation.
/// Blocks come from the system's heap, which the server configures to return memory of this size at
/// once, where the global allocator keeps it for a while.
const LARGE: usize = 256 << 10;

/// The scratches, one for each concurrent run.
pub(super) struct ScratchPool(Pool<Option<Block>>);

impl ScratchPool {
    pub(super) fn new(count: usize) -> Self {
        Self(Pool::new((0..count.max(1)).map(|_| None).collect()))
    }

    /// Calls `run` as soon as a scratch is free. The first large allocation of ONNX Runtime on this
    /// thread meanwhile is the scratch's block.
    pub(super) fn with_scratch<R>(&self, run: impl FnOnce() -> R) -> R {
        self.0.with(|block| {
            let outer = CURRENT.replace(Current::Unused(block.take()));
            let result = run();
            *block = CURRENT.replace(outer).into_block();
            result
        })
    }

    /// Frees the blocks of scratches that no run uses.
    pub(super) fn free_idle(&self) {
        self.0.each_idle(|block| *block = None);
    }
}

/// The scratch of the run on this thread.
#[derive(Default)]
enum Current {
    /// There is no run.
    #[default]
    None,
    /// The run has not allocated its block yet; this is the block of the scratch's last run.
    Unused(Option<Block>),
    /// The run has been given this block.
    Allocated(Block),
}

thread_local! {
    static CURRENT: Cell<Current> = const { Cell::new(Current::None) };
}

impl Current {
    /// At the end of a run: the block that the scratch keeps for the next.
    fn into_block(self) -> Option<Block> {
        match self {
            Self::None => None,
            Self::Unused(block) => block,
            Self::Allocated(block) => block.reclaim(),
        }
    }
}

/// Precedes each allocation; its alignment is that of the allocation.
#[repr(C, align(64))]
struct Header {
    /// Bytes that follow the header.
    size: usize,
    state: AtomicU8,
}

/// State of an ordinary allocation: its user frees it.
const UNPOOLED: u8 = 0;
/// State of a scratch's block that a run uses.
const IN_USE: u8 = 1;
/// State of a scratch's block that no run uses.
const IDLE: u8 = 2;

fn layout(size: usize) -> Option<Layout> {
    Layout::from_size_align(size.checked_add(mem::size_of::<Header>())?, mem::align_of::<Header>()).ok()
}

fn allocate(size: usize, state: u8) -> Option<NonNull<Header>> {
    let layout = layout(size)?;
    // SAFETY: the layout is at least as large as a header.
    let memory = unsafe { if size < LARGE { alloc(layout) } else { System.alloc(layout) } };
    let header = NonNull::new(memory.cast::<Header>())?;
    // SAFETY: the memory is large enough and aligned for a header, and just allocated.
    unsafe { header.write(Header { size, state: AtomicU8::new(state) }) };
    Some(header)
}

/// # Safety
/// `header` comes from [`allocate`], and nothing uses the allocation any more.
unsafe fn free(header: NonNull<Header>) {
    // SAFETY: as the caller promises.
    let size = unsafe { header.as_ref() }.size;
    if let Some(layout) = layout(size) {
        let memory = header.as_ptr().cast();
        // SAFETY: it was allocated with this layout, from the same heap.
        unsafe { if size < LARGE { dealloc(memory, layout) } else { System.dealloc(memory, layout) } };
    }
}

fn contents(header: NonNull<Header>) -> *mut c_void {
    // SAFETY: the allocation extends beyond its header.
    unsafe { header.add(1) }.as_ptr().cast()
}

/// Memory that a scratch keeps; its state is not [`UNPOOLED`] while this exists.
struct Block(NonNull<Header>);

// SAFETY: plain memory, not tied to a thread.
unsafe impl Send for Block {}

impl Block {
    fn header(&self) -> &Header {
        // SAFETY: only the block frees memory that is not `UNPOOLED`.
        unsafe { self.0.as_ref() }
    }

    /// `None` where the run still uses the memory, which becomes an ordinary allocation.
    fn reclaim(self) -> Option<Self> {
        if self.header().state.compare_exchange(IN_USE, UNPOOLED, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            mem::forget(self);
            return None;
        }
        Some(self)
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        if self.header().state.compare_exchange(IN_USE, UNPOOLED, Ordering::AcqRel, Ordering::Acquire).is_err() {
            // SAFETY: it was allocated, and no run uses it.
            unsafe { free(self.0) };
        }
    }
}

/// Allocator interface that ONNX Runtime calls.
#[repr(C)]
struct Allocator {
    interface: OrtAllocator,
    info: MemoryInfo<'static>,
}

/// Registers this allocator for all sessions that use the environment's.
pub(super) fn register(environment: &Environment) -> ort::Result<()> {
    let info = MemoryInfo::new(AllocationDevice::CPU, 0, AllocatorType::Device, MemoryType::Default)?;
    // SAFETY: a struct of null function pointers, which are set below.
    let mut interface = unsafe { OrtAllocator::default() };
    interface.Alloc = Some(allocate_for_run);
    interface.Free = Some(free_from_run);
    interface.Info = Some(describe);
    // The library uses it until the process ends.
    let allocator = Box::leak(Box::new(Allocator { interface, info }));
    // SAFETY: both live as long as the process; the status is consumed once.
    unsafe {
        ort::Error::result_from_status((ort::api().RegisterAllocator)(
            environment.ptr().cast_mut(),
            &raw mut allocator.interface,
        ))
    }
}

unsafe extern "system" fn describe(this: *const OrtAllocator) -> *const OrtMemoryInfo {
    // SAFETY: `this` is the registered interface, the first field of an `Allocator`.
    unsafe { &*this.cast::<Allocator>() }.info.ptr()
}

unsafe extern "system" fn allocate_for_run(_: *mut OrtAllocator, size: usize) -> *mut c_void {
    let from_scratch = |current: &Cell<Current>| match current.take() {
        Current::Unused(block) if size >= LARGE => {
            let kept = block
                .filter(|block| block.header().size >= size)
                .inspect(|block| block.header().state.store(IN_USE, Ordering::Release));
            // A block that is too small has been freed by now.
            let block = kept.or_else(|| allocate(size, IN_USE).map(Block))?;
            let header = block.0;
            current.set(Current::Allocated(block));
            Some(header)
        }
        other => {
            current.set(other);
            None
        }
    };
    if size == 0 {
        return ptr::null_mut();
    }
    // Fails while the thread ends, where its locals are gone.
    let header = CURRENT.try_with(from_scratch).ok().flatten().or_else(|| allocate(size, UNPOOLED));
    header.map_or(ptr::null_mut(), contents)
}

unsafe extern "system" fn free_from_run(_: *mut OrtAllocator, contents: *mut c_void) {
    let Some(contents) = NonNull::new(contents.cast::<Header>()) else { return };
    // SAFETY: the library frees what it allocated here, which follows its header.
    let header = unsafe { contents.sub(1) };
    // SAFETY: the header exists until the allocation is freed.
    let state = &unsafe { header.as_ref() }.state;
    if state.compare_exchange(IN_USE, IDLE, Ordering::AcqRel, Ordering::Acquire).is_err() {
        // SAFETY: the library does not use it any more, and no scratch has it.
        unsafe { free(header) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allocate(size: usize) -> *mut c_void {
        // SAFETY: the interface is not read.
        unsafe { allocate_for_run(ptr::null_mut(), size) }
    }

    fn free(contents: *mut c_void) {
        // SAFETY: the interface is not read.
        unsafe { free_from_run(ptr::null_mut(), contents) };
    }

    #[test]
    fn a_scratch_keeps_its_block_for_the_next_run() {
        let scratch = ScratchPool::new(1);
        let run = |size: usize| {
            scratch.with_scratch(|| {
                let block = allocate(size);
                assert_eq!(block as usize % 64, 0);
                // SAFETY: as large as requested.
                unsafe { ptr::write_bytes(block.cast::<u8>(), 7, size) };
                free(block);
                block as usize
            })
        };
        let first = run(4 << 20);
        assert_eq!((run(4 << 20), run(1 << 20)), (first, first), "smaller runs use it, too");
        run(8 << 20);
        let large = run(8 << 20);
        assert_eq!(run(1 << 20), large);
        scratch.free_idle();
        assert!(scratch.with_scratch(|| matches!(CURRENT.take(), Current::Unused(None))));
    }

    #[test]
    fn only_the_first_large_allocation_of_a_run_is_the_scratchs() {
        let scratch = ScratchPool::new(1);
        let (small, first, second) = scratch.with_scratch(|| (allocate(100), allocate(1 << 20), allocate(1 << 20)));
        // SAFETY: both are still in use.
        unsafe {
            ptr::write_bytes(first.cast::<u8>(), 1, 1 << 20);
            ptr::write_bytes(second.cast::<u8>(), 2, 1 << 20);
        }
        scratch.with_scratch(|| {
            let other = allocate(1 << 20);
            assert!(other != first && other != second, "what a run still holds is not given to the next");
            free(other);
        });
        // SAFETY: both are still in use.
        assert_eq!(unsafe { (*first.cast::<u8>(), *second.cast::<u8>()) }, (1, 2));
        [small, first, second].into_iter().for_each(free);
    }

    #[test]
    fn allocations_outside_runs_are_ordinary() {
        free(allocate(1 << 20));
        assert!(allocate(0).is_null());
        free(ptr::null_mut());
    }
}
