//! Buffer pool: memory that one step gives back and a later step takes, in the same run or the
//! next.
//!
//! A run allocates and frees its large tensors again and again. Fresh memory from the system is
//! zeroed page by page on first access, which takes as long as a cheap operator. Buffers that a run
//! did not use are freed at its end, so that a network holds what its last run needed.

use parking_lot::Mutex;

/// The idle buffers of one worker.
#[derive(Default)]
pub(crate) struct Buffers(Mutex<Vec<Free>>);

struct Free {
    memory: Vec<f32>,
    /// Given back in this run.
    used: bool,
}

impl Buffers {
    /// A buffer of `length` values, which are unspecified.
    pub(super) fn take(&self, length: usize) -> Vec<f32> {
        let mut free = self.0.lock();
        // Best fit.
        let fitting = free.iter().enumerate().filter(|(_, free)| free.memory.capacity() >= length);
        let smallest = fitting.min_by_key(|(_, free)| free.memory.capacity()).map(|(index, _)| index);
        let mut memory = smallest.map(|index| free.swap_remove(index).memory).unwrap_or_default();
        drop(free);
        memory.resize(length, 0.0);
        memory
    }

    /// Takes memory back.
    pub(super) fn give(&self, memory: Vec<f32>) {
        if memory.capacity() > 0 {
            self.0.lock().push(Free { memory, used: true });
        }
    }

    /// Ends a run: frees the buffers that it did not use.
    pub(super) fn end_run(&self) {
        let mut free = self.0.lock();
        free.retain(|free| free.used);
        free.iter_mut().for_each(|free| free.used = false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_reused_and_freed_after_a_run_without_them() {
        let buffers = Buffers::default();
        buffers.give(vec![1.0; 100]);
        buffers.give(vec![2.0; 50]);
        // The smaller one fits.
        let taken = buffers.take(40);
        assert_eq!((taken.len(), taken[0]), (40, 2.0));
        buffers.give(taken);
        buffers.end_run();
        let taken = buffers.take(60);
        assert_eq!(taken[0], 1.0);
        buffers.give(taken);
        // That of 50 values was not used in this run.
        buffers.end_run();
        assert_eq!(buffers.0.lock().iter().map(|free| free.memory.capacity()).collect::<Vec<_>>(), [100]);
    }
}
