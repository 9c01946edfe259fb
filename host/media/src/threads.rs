//! Thread budget of decoders.
//!
//! With frame threading each of FFmpeg's threads holds a frame and its decoding state. One thread
//! per core for each of many videos would decode no faster, and multiply the memory. So the cores
//! are shared: the first decoder gets a thread per core, further ones a fraction. All together
//! never have more threads than the cores times 1 + 1/2 + 1/3 + ..., and one each.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use ocellus_core::Size;

/// FFmpeg gains nothing from more, and warns.
const MOST: usize = 16;

/// Approximate limit in bytes of the pictures of all threads of a decoder; one thread is always
/// allowed.
const MEMORY: usize = 512 << 20;
/// Bytes per pixel of all pictures that a thread holds: about two pictures, of 3 bytes each.
const PIXEL: usize = 6;

/// Number of open decoders that share the cores.
static OPEN: AtomicUsize = AtomicUsize::new(0);

/// A decoder's share of the cores, until it is dropped.
pub(crate) struct Share {
    threads: usize,
    /// Counted in [`OPEN`].
    counted: bool,
}

impl Share {
    /// `asked`: a fixed number of threads; 0 for a share of the cores.
    pub(crate) fn take(asked: usize) -> Self {
        if asked > 0 {
            return Self { threads: asked, counted: false };
        }
        let others = OPEN.fetch_add(1, Ordering::Relaxed);
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Self { threads: part(cores, others), counted: true }
    }

    /// Number of threads, without regard to memory.
    pub(crate) fn count(&self) -> usize {
        self.threads
    }

    /// Number of threads for pictures of a size, as their memory allows.
    pub(crate) fn threads(&self, picture: Size) -> usize {
        self.threads.min(affordable(picture))
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if self.counted {
            OPEN.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Number of threads whose pictures fit into [`MEMORY`].
fn affordable(picture: Size) -> usize {
    let pixels = picture.width as usize * picture.height as usize;
    (MEMORY / (pixels.max(1) * PIXEL)).max(1)
}

fn part(cores: usize, others: usize) -> usize {
    cores.div_ceil(others + 1).clamp(1, MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_gets_all_cores_and_many_get_a_part() {
        assert_eq!((0..5).map(|others| part(8, others)).collect::<Vec<_>>(), [8, 4, 3, 2, 2]);
        assert_eq!((0..5).map(|others| part(2, others)).collect::<Vec<_>>(), [2, 1, 1, 1, 1]);
        assert_eq!((part(1, 0), part(128, 0), part(128, 300)), (1, MOST, 1));
    }

    #[test]
    fn large_pictures_are_decoded_by_fewer_threads() {
        let threads = |width, height| affordable(Size { width, height }).min(MOST);
        assert_eq!((threads(1920, 1080), threads(3840, 2160), threads(7680, 4320)), (MOST, 10, 2));
        assert_eq!((threads(8192, 8192), threads(0, 0)), (1, MOST));
    }

    #[test]
    fn a_fixed_number_of_threads_does_not_count_for_others() {
        let asked = Share::take(7);
        assert_eq!(asked.threads(Size { width: 640, height: 480 }), 7);
        assert!(!asked.counted && Share::take(0).counted);
    }
}
