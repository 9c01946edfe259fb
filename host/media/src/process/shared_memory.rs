//! Memory shared by the server and a decoder process: pixels for the server, and a counter of the
//! decoder's steps.
//!
//! Guarantees: its size is sealed when it is made, so that a decoder cannot truncate what the
//! server reads. Pages take memory only once they are written. The server copies pixels out of it
//! and trusts none of its bytes.
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

/// Bytes before the pixels; the first eight are the counter.
const HEADER: usize = 64;
/// Bytes of a slot for a frame's detector inputs, which are made ahead. There are two slots, used
/// in turns: the decoder fills one while the server reads the other.
pub(super) const SLOT: usize = 16 << 20;
/// Offset of pixels that are made on demand: crops and whole frames.
pub(super) const ON_DEMAND: usize = 2 * SLOT;
/// Bytes behind the header: room on demand for the largest picture that is decoded, at 3 bytes a
/// pixel.
const CAPACITY: usize = ON_DEMAND + 3 * MAX_PIXELS as usize;
/// Bytes of a picture above which its memory is given back to the system once it was read.
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

    /// Maps the memory that the other process made.
    pub(super) fn open(descriptor: OwnedFd) -> io::Result<Self> {
        Self::map(descriptor.into())
    }

    fn map(file: File) -> io::Result<Self> {
        let map = MmapOptions::new().len(HEADER + CAPACITY).map_raw(&file)?;
        Ok(Self { file, map })
    }

    /// Counts a step of the decoder, by which the server knows that it is not stuck.
    pub(super) fn count_step(&self) {
        self.steps().fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn steps(&self) -> &AtomicU64 {
        // SAFETY: the map is of whole pages, at least one, so that its beginning is aligned and
        // within; both processes reach these bytes by atomic operations only.
        unsafe { AtomicU64::from_ptr(self.map.as_mut_ptr().cast()) }
    }

    /// Replaces the content of `to` by bytes that the decoder wrote. `false`, with `to` unchanged,
    /// where they would lie outside.
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

    /// For the decoder: the bytes to write to; `None` where they would lie outside.
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
            // The slots before are in use all the time. A failure only costs memory.
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

/// A file in memory whose size is sealed, and its content, too, if `whole`.
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
