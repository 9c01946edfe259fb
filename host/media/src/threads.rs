//! Thread budget of decoders.
//!
//! Each of FFmpeg's threads that works on a frame of its own holds that frame, and the memory that
//! decoding it takes. As many of them as there are cores, for each of many videos at once, would
//! decode no faster, and cost memory by the product. So the cores are shared: the first decoder
//! gets a thread for each, those that open beside others a part. All together never have more
//! threads than the cores times 1 + 1/2 + 1/3 + ..., and one each.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// FFmpeg gains nothing from more, and says so.
const MOST: usize = 16;

/// Decoders that are open and were not told how many threads to have.
static OPEN: AtomicUsize = AtomicUsize::new(0);

/// A decoder's part of the cores, until it is dropped.
pub(crate) struct Share {
    threads: usize,
    /// Counted in [`OPEN`].
    counted: bool,
}

impl Share {
    /// `asked`: as many, whatever others have; 0 is a part of the cores.
    pub(crate) fn take(asked: usize) -> Self {
        if asked > 0 {
            return Self { threads: asked, counted: false };
        }
        let others = OPEN.fetch_add(1, Ordering::Relaxed);
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Self { threads: part(cores, others), counted: true }
    }

    pub(crate) fn threads(&self) -> usize {
        self.threads
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if self.counted {
            OPEN.fetch_sub(1, Ordering::Relaxed);
        }
    }
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
    fn what_was_asked_for_is_given_and_takes_nothing_from_others() {
        let asked = Share::take(7);
        assert_eq!(asked.threads(), 7);
        assert!(!asked.counted && Share::take(0).counted);
    }
}
