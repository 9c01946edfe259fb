//! Turns of ONNX Runtime's networks, and the memory that their runs take.
//!
//! A network that was run with a shape before asks for one piece of memory, in which all arrays of
//! the run have their place. As many runs go on at the same time as there are scratch, whichever
//! networks they are of, and a scratch keeps the piece of the run before: it grows to what the
//! largest network takes. So networks that take turns share memory. ONNX Runtime's own arena
//! instead cuts the piece of one up for another, and grows by one more when the first comes back.
//!
//! Pieces are let go with [`ScratchPool::clear`]; what a run took and still holds at its end is
//! then an allocation like any other.
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

use super::pool::Pool;

/// A run's piece is at least as large; whatever is smaller is an allocation of its own. What is
/// large is of the system's heap: the server has that give memory of this size back at once, where
/// Rust's keeps it for a while. Bytes.
const LARGE: usize = 256 << 10;

pub(super) struct ScratchPool(Pool<Option<Piece>>);

impl ScratchPool {
    pub(super) fn new(count: usize) -> Self {
        Self(Pool::new((0..count.max(1)).map(|_| None).collect()))
    }

    /// Calls `run` when a scratch is free; what ONNX Runtime allocates first on this thread
    /// meanwhile is the scratch's.
    pub(super) fn take<R>(&self, run: impl FnOnce() -> R) -> R {
        self.0.with(|piece| {
            let before = SITTING.replace(Sitting::Came(piece.take()));
            let result = run();
            *piece = SITTING.replace(before).left();
            result
        })
    }

    /// Lets go of the memory of scratch that nobody sits on.
    pub(super) fn clear(&self) {
        self.0.each_idle(|piece| *piece = None);
    }
}

/// A thread and its scratch.
#[derive(Default)]
enum Sitting {
    #[default]
    No,
    /// With the piece of the run before.
    Came(Option<Piece>),
    /// It has been given its piece.
    Served(Piece),
}

thread_local! {
    static SITTING: Cell<Sitting> = const { Cell::new(Sitting::No) };
}

impl Sitting {
    /// The piece for the next.
    fn left(self) -> Option<Piece> {
        match self {
            Self::No => None,
            Self::Came(piece) => piece,
            Self::Served(piece) => piece.taken_back(),
        }
    }
}

/// Lies before each allocation, which it keeps aligned.
#[repr(C, align(64))]
struct Header {
    /// Of what follows, bytes.
    size: usize,
    state: AtomicU8,
}

/// Nobody's but its user's, and gone when that is done with it.
const OWN: u8 = 0;
/// A scratch's, and in use.
const LENT: u8 = 1;
/// A scratch's.
const KEPT: u8 = 2;

fn layout(size: usize) -> Option<Layout> {
    Layout::from_size_align(size.checked_add(mem::size_of::<Header>())?, mem::align_of::<Header>()).ok()
}

fn allocate(size: usize, state: u8) -> Option<NonNull<Header>> {
    let layout = layout(size)?;
    // SAFETY: the layout is at least as large as a header.
    let memory = unsafe { if size < LARGE { alloc(layout) } else { System.alloc(layout) } };
    let header = NonNull::new(memory.cast::<Header>())?;
    // SAFETY: it is large enough for a header, aligned for one, and nobody else's.
    unsafe { header.write(Header { size, state: AtomicU8::new(state) }) };
    Some(header)
}

/// # Safety
/// Made by [`allocate`], and not used any more.
unsafe fn free(header: NonNull<Header>) {
    // SAFETY: as the caller promises.
    let size = unsafe { header.as_ref() }.size;
    if let Some(layout) = layout(size) {
        let memory = header.as_ptr().cast();
        // SAFETY: it was made with this layout, by the same heap.
        unsafe { if size < LARGE { dealloc(memory, layout) } else { System.dealloc(memory, layout) } };
    }
}

fn contents(header: NonNull<Header>) -> *mut c_void {
    // SAFETY: what was allocated goes on behind the header.
    unsafe { header.add(1) }.as_ptr().cast()
}

/// Memory that a scratch keeps. Not [`OWN`] until it is dropped.
struct Piece(NonNull<Header>);

// SAFETY: it is memory, with no ties to a thread.
unsafe impl Send for Piece {}

impl Piece {
    fn header(&self) -> &Header {
        // SAFETY: it is there for as long as the piece is: while it is not `OWN`, only the piece
        // frees it.
        unsafe { self.0.as_ref() }
    }

    /// `None`: it is in use still, and from now on its user's.
    fn taken_back(self) -> Option<Self> {
        if self.header().state.compare_exchange(LENT, OWN, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            mem::forget(self);
            return None;
        }
        Some(self)
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        if self.header().state.compare_exchange(LENT, OWN, Ordering::AcqRel, Ordering::Acquire).is_err() {
            // SAFETY: allocated, and lent to nobody.
            unsafe { free(self.0) };
        }
    }
}

/// What ONNX Runtime calls.
#[repr(C)]
struct Allocator {
    interface: OrtAllocator,
    info: MemoryInfo<'static>,
}

/// Gives all sessions that want the environment's allocator this one.
pub(super) fn register(environment: &Environment) -> ort::Result<()> {
    let info = MemoryInfo::new(AllocationDevice::CPU, 0, AllocatorType::Device, MemoryType::Default)?;
    // SAFETY: without functions, which follow.
    let mut interface = unsafe { OrtAllocator::default() };
    interface.Alloc = Some(give);
    interface.Free = Some(take_back);
    interface.Info = Some(describe);
    // The library never lets go of it.
    let allocator = Box::leak(Box::new(Allocator { interface, info }));
    // SAFETY: both live as long as the process; the status is looked at once.
    unsafe {
        ort::Error::result_from_status((ort::api().RegisterAllocator)(
            environment.ptr().cast_mut(),
            &raw mut allocator.interface,
        ))
    }
}

unsafe extern "system" fn describe(this: *const OrtAllocator) -> *const OrtMemoryInfo {
    // SAFETY: called with what was registered, which begins with its interface.
    unsafe { &*this.cast::<Allocator>() }.info.ptr()
}

unsafe extern "system" fn give(_: *mut OrtAllocator, size: usize) -> *mut c_void {
    let scratch = |sitting: &Cell<Sitting>| match sitting.take() {
        Sitting::Came(piece) if size >= LARGE => {
            let kept = piece
                .filter(|piece| piece.header().size >= size)
                .inspect(|p| p.header().state.store(LENT, Ordering::Release));
            // One that is too small is gone by now.
            let piece = kept.or_else(|| allocate(size, LENT).map(Piece))?;
            let given = piece.0;
            sitting.set(Sitting::Served(piece));
            Some(given)
        }
        other => {
            sitting.set(other);
            None
        }
    };
    if size == 0 {
        return ptr::null_mut();
    }
    // A thread that ends has no scratch any more.
    let given = SITTING.try_with(scratch).ok().flatten().or_else(|| allocate(size, OWN));
    given.map_or(ptr::null_mut(), contents)
}

unsafe extern "system" fn take_back(_: *mut OrtAllocator, contents: *mut c_void) {
    let Some(contents) = NonNull::new(contents.cast::<Header>()) else { return };
    // SAFETY: the library gives back what it was given, which lies behind its header.
    let header = unsafe { contents.sub(1) };
    // SAFETY: it is there until it is given back.
    let state = &unsafe { header.as_ref() }.state;
    if state.compare_exchange(LENT, KEPT, Ordering::AcqRel, Ordering::Acquire).is_err() {
        // SAFETY: nobody uses it any more, and it is no scratch's.
        unsafe { free(header) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(size: usize) -> *mut c_void {
        // SAFETY: the interface is not looked at.
        unsafe { give(ptr::null_mut(), size) }
    }

    fn back(contents: *mut c_void) {
        // SAFETY: the interface is not looked at.
        unsafe { take_back(ptr::null_mut(), contents) };
    }

    #[test]
    fn a_seat_keeps_its_memory_for_the_next_run() {
        let scratch = ScratchPool::new(1);
        let run = |size: usize| {
            scratch.take(|| {
                let piece = given(size);
                assert_eq!(piece as usize % 64, 0);
                // SAFETY: as large as asked for.
                unsafe { ptr::write_bytes(piece.cast::<u8>(), 7, size) };
                back(piece);
                piece as usize
            })
        };
        let first = run(4 << 20);
        assert_eq!((run(4 << 20), run(1 << 20)), (first, first), "smaller runs have it, too");
        run(8 << 20);
        let large = run(8 << 20);
        assert_eq!(run(1 << 20), large);
        scratch.clear();
        assert!(scratch.take(|| matches!(SITTING.take(), Sitting::Came(None))));
    }

    #[test]
    fn only_the_first_large_piece_of_a_run_is_the_seats() {
        let scratch = ScratchPool::new(1);
        let (small, first, second) = scratch.take(|| (given(100), given(1 << 20), given(1 << 20)));
        // SAFETY: both are in use still.
        unsafe {
            ptr::write_bytes(first.cast::<u8>(), 1, 1 << 20);
            ptr::write_bytes(second.cast::<u8>(), 2, 1 << 20);
        }
        scratch.take(|| {
            let other = given(1 << 20);
            assert!(other != first && other != second, "what a run still holds is not given to the next");
            back(other);
        });
        // SAFETY: they are in use still.
        assert_eq!(unsafe { (*first.cast::<u8>(), *second.cast::<u8>()) }, (1, 2));
        [small, first, second].into_iter().for_each(back);
    }

    #[test]
    fn what_is_allocated_elsewhere_is_nobodys() {
        let piece = given(1 << 20);
        back(piece);
        assert!(given(0).is_null());
        back(ptr::null_mut());
    }
}
