//! Memory that the server and a child share: pixels on their way to the server, and how far the
//! child got.
//!
//! Guarantees: its size is fixed when it is made, and sealed, so that a child cannot take pages
//! away that the server reads. It takes room only where something was written. The server copies
//! what it wants out of it, and believes no byte of it.
#![allow(unsafe_code, reason = "memory that another process writes is not Rust's")]
#![warn(clippy::undocumented_unsafe_blocks)]

use std::{
    fs::File,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::atomic::{AtomicU64, Ordering},
};

use memmap2::{MmapOptions, MmapRaw};

use crate::presentation::MAX_PIXELS;

/// Bytes before the pixels, of which the first eight count steps.
const HEADER: usize = 64;
/// Room for what is made of a frame before it is asked for. There are two, taken in turns: the
/// child fills one while the server reads the other.
pub(super) const SLOT: usize = 16 << 20;
/// Where that begins which is made on demand.
pub(super) const ON_DEMAND: usize = 2 * SLOT;
/// Bytes behind the header: on demand there is room for any picture that is decoded, at 3 a pixel.
const CAPACITY: usize = ON_DEMAND + 3 * MAX_PIXELS as usize;
/// What a picture of more bytes took is given back when it was read.
const KEPT: usize = 16 << 20;

pub(super) struct SharedMemory {
    file: File,
    map: MmapRaw,
}

impl SharedMemory {
    pub(super) fn new() -> io::Result<Self> {
        let file = sealed("ocellus-pixels", |file| file.set_len((HEADER + CAPACITY) as u64), false)?;
        Self::map(file)
    }

    /// What the other process made.
    pub(super) fn open(descriptor: OwnedFd) -> io::Result<Self> {
        Self::map(descriptor.into())
    }

    fn map(file: File) -> io::Result<Self> {
        let map = MmapOptions::new().len(HEADER + CAPACITY).map_raw(&file)?;
        Ok(Self { file, map })
    }

    /// Counts what the child does, for the server to see whether it does anything.
    pub(super) fn count_step(&self) {
        self.steps().fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn steps(&self) -> &AtomicU64 {
        // SAFETY: the map is of whole pages, at least one, so that its beginning is aligned and
        // within; both processes reach these bytes by atomic operations only.
        unsafe { AtomicU64::from_ptr(self.map.as_mut_ptr().cast()) }
    }

    /// Bytes that the child left, into `to`, which is filled anew. `false`, and nothing, where
    /// there is no such place.
    pub(super) fn copy_to(&self, at: usize, count: usize, to: &mut Vec<u8>) -> bool {
        if at.checked_add(count).is_none_or(|end| end > CAPACITY) {
            return false;
        }
        to.clear();
        to.reserve_exact(count);
        // SAFETY: the bytes are within the map, whose size is sealed; `to` has room for them, and
        // is another allocation. The child may write at the same time: bytes of any value are fine,
        // and no reference to them is made.
        unsafe {
            self.map.as_ptr().add(HEADER + at).copy_to_nonoverlapping(to.as_mut_ptr(), count);
            to.set_len(count);
        }
        if count > KEPT {
            self.give_back();
        }
        true
    }

    /// For the child: a place for bytes; `None` where there is no such.
    pub(super) fn bytes(&mut self, at: usize, count: usize) -> Option<&mut [u8]> {
        // SAFETY: the bytes are within the map; in the child this is the only way to them, and the
        // borrow lasts as long as that of the map. The server does not write them.
        at.checked_add(count)
            .filter(|end| *end <= CAPACITY)
            .map(|_| unsafe { std::slice::from_raw_parts_mut(self.map.as_mut_ptr().add(HEADER + at), count) })
    }

    fn give_back(&self) {
        #[cfg(target_os = "linux")]
        {
            use rustix::fs::{FallocateFlags, fallocate};
            // What lies before is read and written all the time. Only memory is lost where this
            // fails.
            let from = (HEADER + ON_DEMAND).next_multiple_of(1 << 16) as u64;
            let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            let _ = fallocate(&self.file, hole, from, (HEADER + CAPACITY) as u64 - from);
        }
    }
}

impl AsFd for SharedMemory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// A file in memory whose size does not change any more, nor, if `whole`, its content.
#[cfg(target_os = "linux")]
pub(super) fn sealed(name: &str, fill: impl FnOnce(&mut File) -> io::Result<()>, whole: bool) -> io::Result<File> {
    use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
    let mut file = File::from(memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?);
    fill(&mut file)?;
    let content = if whole { SealFlags::WRITE } else { SealFlags::empty() };
    fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL | content)?;
    Ok(file)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn sealed(_: &str, _: impl FnOnce(&mut File) -> io::Result<()>, _: bool) -> io::Result<File> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_end_writes_the_other_copies() {
        let ours = SharedMemory::new().unwrap();
        let mut theirs = SharedMemory::open(ours.as_fd().try_clone_to_owned().unwrap()).unwrap();
        theirs.bytes(7, 5).unwrap().copy_from_slice(b"bytes");
        theirs.count_step();
        let mut copy = vec![1; 100];
        assert!(ours.copy_to(7, 5, &mut copy));
        assert_eq!((&copy[..], ours.steps().load(Ordering::Relaxed)), (&b"bytes"[..], 1));
        for (at, count) in [(0, CAPACITY + 1), (CAPACITY, 1), (1, CAPACITY), (usize::MAX, 1), (1, usize::MAX)] {
            assert!(theirs.bytes(at, count).is_none() && !ours.copy_to(at, count, &mut copy));
        }
        theirs.bytes(ON_DEMAND, KEPT + 1).unwrap().fill(7);
        assert!(ours.copy_to(ON_DEMAND, KEPT + 1, &mut copy) && copy.iter().all(|byte| *byte == 7));
        assert_eq!(ours.steps().load(Ordering::Relaxed), 1, "giving back keeps the header");
    }

    #[test]
    fn its_size_cannot_be_changed() {
        let memory = SharedMemory::new().unwrap();
        let file = File::from(memory.as_fd().try_clone_to_owned().unwrap());
        assert!(file.set_len(0).is_err() && file.set_len(CAPACITY as u64 * 2).is_err());
    }
}
