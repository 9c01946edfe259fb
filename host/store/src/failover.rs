//! Failover of the index to memory and back.
//!
//! After a failed write, as on a full disk, sled refuses all operations. Then an index in memory,
//! which needs no disk space, takes its place; a thread rebuilds the index on disk once that can be
//! written.
//!
//! Guarantees:
//!
//! * A query or change that fails in one index is repeated in the next: callers notice only the
//!   delay, which is that of rebuilding the index.
//! * No change is lost in between: folders are changed first, and the index is locked while another
//!   one is built from them.
//!
//! Dropping the [`FailoverIndex`] ends the thread, then flushes the index.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex, RwLock};
use tracing::{error, info};

use crate::{
    error::{At, Result, StoreError, unreadable_entry},
    folder::Folder,
    index::Index,
    recovery,
    space::Space,
};

/// Wait between the failover and the first attempt to rebuild the index on disk; doubled after each
/// attempt.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const MAX_WAIT: Duration = Duration::from_secs(30);

pub(crate) struct FailoverIndex {
    inner: Arc<Inner>,
    failback: Option<JoinHandle<()>>,
}

struct Inner {
    folder: Folder,
    /// Path of the index on disk.
    path: PathBuf,
    /// Locked for writing while another index is built.
    index: RwLock<Index>,
    /// The index on disk may differ from the folders.
    dirty: Arc<AtomicBool>,
    closed: Mutex<bool>,
    /// Signals that the index is in memory now, or was closed.
    changed: Condvar,
}

impl FailoverIndex {
    pub(crate) fn new(folder: Folder, path: PathBuf, index: Index) -> Result<Self> {
        let inner = Arc::new(Inner {
            folder,
            path: path.clone(),
            index: RwLock::new(index),
            dirty: Arc::default(),
            closed: Mutex::default(),
            changed: Condvar::new(),
        });
        let of_thread = Arc::clone(&inner);
        let failback = thread::Builder::new().name("index".into()).spawn(move || of_thread.run_failback()).at(path)?;
        Ok(Self { inner, failback: Some(failback) })
    }

    /// Queries the index; if that fails, fails over and queries again. `query` must not block on a
    /// thread that waits for the index.
    pub(crate) fn query<R>(&self, query: impl Fn(&Index) -> Result<R>) -> Result<R> {
        let failure = {
            let index = self.inner.index.read();
            match query(&index) {
                Err(error @ StoreError::Index(_)) if !index.is_in_memory() => error,
                answer => return answer,
            }
        };
        self.inner.fail_over(&failure)?;
        query(&self.inner.index.read())
    }

    /// Applies a change of a folder to the index.
    pub(crate) fn change(&self, change: impl Fn(&Index) -> Result<()>) -> Result<()> {
        self.query(change).inspect_err(|_| self.mark_dirty())
    }

    /// Flag that is set once the index on disk may differ from the folders.
    pub(crate) fn dirty(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.inner.dirty)
    }

    /// For failed changes of a folder, which may or may not have reached the disk.
    pub(crate) fn mark_dirty(&self) {
        self.inner.dirty.store(true, Ordering::Relaxed);
    }
}

impl Drop for FailoverIndex {
    fn drop(&mut self) {
        *self.inner.closed.lock() = true;
        self.inner.changed.notify_all();
        if self.failback.take().is_some_and(|thread| thread.join().is_err()) {
            error!("the thread that rebuilds the index on the disk panicked");
        }
        if let Err(error) = self.inner.index.read().flush() {
            self.mark_dirty();
            error!("the index could not be written out, the next start rebuilds it: {error}");
        }
    }
}

impl Inner {
    /// Replaces the index on disk by one in memory, unless that was done already.
    fn fail_over(&self, failure: &StoreError) -> Result<()> {
        let mut index = self.index.write();
        if index.is_in_memory() {
            return Ok(());
        }
        self.dirty.store(true, Ordering::Relaxed);
        let begun = Instant::now();
        let in_memory = Index::in_memory()?;
        recovery::rebuild(&self.folder, &in_memory, false)?;
        *index = in_memory;
        // Frees disk space for other files, before the failback writes there.
        self.clear_disk();
        drop(index);
        let ms = begun.elapsed().as_millis() as u64;
        error!(duration_ms = ms, "the index cannot be written; it is in memory until it can be: {failure}");
        let _closed = self.closed.lock();
        self.changed.notify_all();
        Ok(())
    }

    fn clear_disk(&self) {
        if let Err(error) = self.folder.disk().remove(&self.path) {
            error!("the files of the failed index cannot be removed: {error}");
        }
    }

    /// Rebuilds the index on disk after each failover, until the index is closed.
    fn run_failback(&self) {
        let (mut wait, mut back) = (FIRST_WAIT, None::<Instant>);
        let mut closed = self.closed.lock();
        loop {
            while !*closed && !self.index.read().is_in_memory() {
                self.changed.wait(&mut closed);
            }
            if back.take().is_some_and(|back| back.elapsed() > MAX_WAIT) {
                wait = FIRST_WAIT;
            }
            let until = Instant::now() + wait;
            while !*closed && !self.changed.wait_until(&mut closed, until).timed_out() {}
            if *closed {
                return;
            }
            drop(closed);
            let begun = Instant::now();
            if self.has_room() && self.fail_back() {
                back = Some(Instant::now());
            }
            // An attempt blocks all queries: attempts take at most a tenth of the time.
            wait = (wait * 2).min(MAX_WAIT).max(begun.elapsed() * 10);
            closed = self.closed.lock();
        }
    }

    /// Whether there is enough disk space for an attempt, which blocks all queries.
    fn has_room(&self) -> bool {
        let Ok(needed) = self.index.read().room() else { return true };
        Space::of(self.folder.archive()).is_none_or(|space| space.free > needed)
    }

    /// Replaces the index in memory by one on disk; returns whether that succeeded.
    fn fail_back(&self) -> bool {
        let mut index = self.index.write();
        let build = || {
            self.folder.disk().remove(&self.path)?;
            let on_disk = Index::open(&self.path)?;
            recovery::rebuild(&self.folder, &on_disk, false)?;
            Ok(on_disk)
        };
        // sled panics on some failures.
        let built = catch_unwind(AssertUnwindSafe(build)).unwrap_or_else(|_| Err(unreadable_entry()));
        match built {
            Ok(on_disk) => {
                *index = on_disk;
                info!("the index is on the disk again");
                true
            }
            Err(error) => {
                error!("the index cannot be written yet: {error}");
                self.clear_disk();
                false
            }
        }
    }
}
