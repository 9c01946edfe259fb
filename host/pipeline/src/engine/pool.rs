//! Bounded pool of threads for requests whose work blocks.
//!
//! Guarantees: a bounded number of threads, and none of the runtime's own pool, which every other
//! request needs. A request that finds all threads busy waits as a task; one that finds too many
//! waiting is refused. Once the pool's token is cancelled, no work begins. A panic fails its own
//! request only.

use std::{sync::Arc, thread};

use ocellus_core::{Error, Result};
use tokio::sync::{Semaphore, oneshot};
use tokio_util::sync::CancellationToken;

use super::{
    contained::contained,
    refusal::{busy, stopping},
};

pub(super) struct Pool {
    /// Name of the threads; logged where one panics.
    name: &'static str,
    count: u32,
    threads: Arc<Semaphore>,
    /// One for each request that runs or waits.
    admissions: Arc<Semaphore>,
    closing: CancellationToken,
}

impl Pool {
    /// `waiting`: how many requests may wait for one of the `threads`.
    pub(super) fn new(name: &'static str, threads: u32, waiting: usize, closing: CancellationToken) -> Self {
        let admissions = waiting.saturating_add(threads as usize).min(Semaphore::MAX_PERMITS);
        Self {
            name,
            count: threads,
            threads: Arc::new(Semaphore::new(threads as usize)),
            admissions: Arc::new(Semaphore::new(admissions)),
            closing,
        }
    }

    /// Runs `work` once there is a thread for it. If the future is dropped before that, it never
    /// runs; afterwards, it runs to its end.
    ///
    /// # Errors
    /// `Unavailable` where too many wait, or the server stops; `Internal` where it panics; the
    /// errors of `work`.
    pub(super) async fn run<R: Send + 'static>(&self, work: impl FnOnce() -> Result<R> + Send + 'static) -> Result<R> {
        let admission = Arc::clone(&self.admissions).try_acquire_owned().map_err(|_| busy(self.name))?;
        let thread = tokio::select! {
            biased;
            () = self.closing.cancelled() => return Err(stopping()),
            thread = Arc::clone(&self.threads).acquire_owned() => thread.map_err(Error::internal)?,
        };
        let (sender, receiver) = oneshot::channel();
        let name = self.name;
        let work = move || {
            let outcome = contained(name, work);
            // The permits are released first: a client that has its result finds capacity again.
            drop((thread, admission));
            // Fails where the client has disconnected.
            let _ = sender.send(outcome);
        };
        thread::Builder::new().name(name.into()).spawn(work).map_err(|e| busy(name).because(e))?;
        receiver.await.map_err(Error::internal)?
    }

    /// Waits until no work is in progress. No work begins once the pool's token is cancelled.
    pub(super) async fn drained(&self) {
        let _ = self.threads.acquire_many(self.count).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use ocellus_core::ErrorKind;

    use super::*;

    /// Work that blocks until it is released.
    fn blocked() -> (mpsc::Sender<()>, impl FnOnce() -> Result<()> + Send + 'static) {
        let (release, released) = mpsc::channel();
        (release, move || released.recv().map_err(Error::internal))
    }

    fn kind<R>(result: Result<R>) -> Option<ErrorKind> {
        result.err().map(|e| e.kind())
    }

    #[tokio::test]
    async fn requests_beyond_the_limit_are_refused_until_one_ends() {
        let pool = Arc::new(Pool::new("test", 2, 1, CancellationToken::new()));
        let mut releases = Vec::new();
        let mut requests = Vec::new();
        for _ in 0..3 {
            let (release, work) = blocked();
            releases.push(release);
            let pool = Arc::clone(&pool);
            requests.push(tokio::spawn(async move { pool.run(work).await }));
        }
        while pool.admissions.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(kind(pool.run(|| Ok(())).await), Some(ErrorKind::Unavailable));
        // A waiting request that is dropped frees its admission.
        let waiting = requests.pop().unwrap();
        waiting.abort();
        assert!(waiting.await.unwrap_err().is_cancelled());
        let next = tokio::spawn({
            let pool = Arc::clone(&pool);
            async move { pool.run(|| Ok(5)).await }
        });
        releases.iter().for_each(|release| release.send(()).unwrap_or_default());
        assert_eq!(next.await.unwrap().unwrap(), 5);
        for request in requests {
            request.await.unwrap().unwrap();
        }
        pool.drained().await;
        assert_eq!(pool.admissions.available_permits(), 3);
    }

    #[tokio::test]
    async fn a_panic_ends_its_own_request() {
        let pool = Pool::new("test", 1, 0, CancellationToken::new());
        assert_eq!(kind(pool.run(|| -> Result<()> { panic!("on purpose") }).await), Some(ErrorKind::Internal));
        assert_eq!(pool.run(|| Ok(1)).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn no_work_begins_once_the_server_stops() {
        let closing = CancellationToken::new();
        let pool = Arc::new(Pool::new("test", 1, 9, closing.clone()));
        let (release, work) = blocked();
        let running = tokio::spawn({
            let pool = Arc::clone(&pool);
            async move { pool.run(work).await }
        });
        while pool.threads.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let waiting = tokio::spawn({
            let pool = Arc::clone(&pool);
            async move { kind(pool.run(|| Ok(())).await) }
        });
        closing.cancel();
        assert_eq!(waiting.await.unwrap(), Some(ErrorKind::Unavailable));
        release.send(()).unwrap();
        running.await.unwrap().unwrap();
        pool.drained().await;
    }
}
