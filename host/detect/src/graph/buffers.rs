//! Memory that one step gives back and a later one takes, in the same run or the next.
//!
//! The large tensors of a network come and go in each run. From the system, their memory comes page
//! by page and full of zeros, which takes as long as a cheap operator. What a run did not take is
//! freed at its end, so that a network holds what its last run needed.

use parking_lot::Mutex;

/// The buffers of one worker.
#[derive(Default)]
pub(crate) struct Buffers(Mutex<Vec<Free>>);

struct Free {
    memory: Vec<f32>,
    /// Taken, or given for the first time, in this run.
    used: bool,
}

impl Buffers {
    /// A buffer of `length` numbers, whatever they are.
    pub(super) fn take(&self, length: usize) -> Vec<f32> {
        let mut free = self.0.lock();
        // The smallest that is large enough.
        let fitting = free.iter().enumerate().filter(|(_, free)| free.memory.capacity() >= length);
        let smallest = fitting.min_by_key(|(_, free)| free.memory.capacity()).map(|(index, _)| index);
        let mut memory = smallest.map(|index| free.swap_remove(index).memory).unwrap_or_default();
        drop(free);
        memory.resize(length, 0.0);
        memory
    }

    pub(super) fn give(&self, memory: Vec<f32>) {
        if memory.capacity() > 0 {
            self.0.lock().push(Free { memory, used: true });
        }
    }

    /// Frees what the run that ends did not use.
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
    fn memory_comes_back_and_leaves_when_it_is_not_used() {
        let buffers = Buffers::default();
        buffers.give(vec![1.0; 100]);
        buffers.give(vec![2.0; 50]);
        // The smaller one that is large enough.
        let taken = buffers.take(40);
        assert_eq!((taken.len(), taken[0]), (40, 2.0));
        buffers.give(taken);
        buffers.end_run();
        let taken = buffers.take(60);
        assert_eq!(taken[0], 1.0);
        buffers.give(taken);
        // The one of fifty was of no use in this run.
        buffers.end_run();
        assert_eq!(buffers.0.lock().iter().map(|free| free.memory.capacity()).collect::<Vec<_>>(), [100]);
    }
}
