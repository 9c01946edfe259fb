//! Parallelism of network runs: how many workers, and how many threads each has.

use std::thread;

use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};

/// Number of concurrent runs of a network, and of the threads of one run.
///
/// On a CPU, one picture on each core takes less time in total than one picture on all cores at a
/// time: no core waits for the slowest part of an operator, and another process on one core delays
/// one picture instead of all. A GPU is saturated by a single run of a batch, so it has no
/// `Parallelism`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parallelism {
    /// Concurrent runs; at least 1.
    pub(crate) workers: usize,
    /// Threads that share the operators of one run; at least 1.
    pub(crate) threads_per_worker: usize,
}

/// Cores that this process may use.
pub(crate) fn available_cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

impl Parallelism {
    /// Each worker has its own intermediate results in memory, and beyond this many the cores'
    /// shared memory bandwidth limits the throughput.
    const MAX_WORKERS: usize = 8;

    /// Uses all cores and no more: one worker for each, up to [`Self::MAX_WORKERS`].
    pub(crate) fn of_cores(cores: usize) -> Self {
        let workers = cores.clamp(1, Self::MAX_WORKERS);
        Self { workers, threads_per_worker: (cores / workers).max(1) }
    }

    /// One run at a time, with the threads of all workers.
    pub(crate) fn single_worker(self) -> Self {
        Self { workers: 1, threads_per_worker: self.workers * self.threads_per_worker }
    }

    /// Size of a thread pool that all workers share, where each also computes on its own thread.
    pub(crate) fn shared_pool_threads(self) -> usize {
        self.workers * (self.threads_per_worker - 1) + 1
    }

    /// A thread pool for each worker.
    pub(crate) fn thread_pools(self) -> Result<Vec<ThreadPool>, ThreadPoolBuildError> {
        (0..self.workers).map(|_| ThreadPoolBuilder::new().num_threads(self.threads_per_worker).build()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_take_all_cores_and_no_more() {
        let of_cores = |cores| {
            let Parallelism { workers, threads_per_worker } = Parallelism::of_cores(cores);
            (workers, threads_per_worker)
        };
        assert_eq!(of_cores(1), (1, 1));
        assert_eq!(of_cores(2), (2, 1));
        assert_eq!(of_cores(16), (8, 2));
        assert_eq!(of_cores(20), (8, 2));
    }

    #[test]
    fn a_single_worker_has_the_threads_of_all() {
        let single = Parallelism::of_cores(20).single_worker();
        assert_eq!(single, Parallelism { workers: 1, threads_per_worker: 16 });
        assert_eq!(single.shared_pool_threads(), 16);
        assert_eq!(Parallelism::of_cores(2).shared_pool_threads(), 1);
    }
}
