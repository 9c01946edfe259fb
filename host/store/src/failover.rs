//! Failover of the index to memory and back.
//!
//! After a failed write, as on a full disk, sled refuses everything. Then an index in memory, which
//! needs no room, takes its place at once; a thread rebuilds the one on the disk as soon as that
//! can be written.
//!
//! Guarantees:
//!
//! * A query or change that fails in one index is repeated in the next: callers notice nothing but
//!   the wait, which is that of a start.
//! * Every change is in the index that answers afterwards: the folders are changed first, and while
//!   an index is built from them no other is changed.
//!
//! The thread ends with the [`FailoverIndex`], the index after it.

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

/// From the failover to the first attempt to rebuild the index on the disk; doubled for each
/// further one.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const MAX_WAIT: Duration = Duration::from_secs(30);

pub(crate) struct FailoverIndex {
    inner: Arc<Inner>,
    failback: Option<JoinHandle<()>>,
}

struct Inner {
    folder: Folder,
    /// Where the index is on the disk.
    path: PathBuf,
    /// Locked for writing while another index is built.
    index: RwLock<Index>,
    /// The index on the disk may differ from the folders.
    dirty: Arc<AtomicBool>,
    closed: Mutex<bool>,
    /// The index is in memory now, or was closed.
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

    /// Queries the index; a second time, after a failover, where the first fails. `query` must not
    /// wait for a thread that waits for the index.
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

    /// Makes the index agree with a folder that was changed.
    pub(crate) fn change(&self, change: impl Fn(&Index) -> Result<()>) -> Result<()> {
        self.query(change).inspect_err(|_| self.mark_dirty())
    }

    /// Set once the index on the disk may differ from the folders.
    pub(crate) fn dirty(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.inner.dirty)
    }

    /// To be called where a change of a folder failed, and may or may not be on the disk.
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
    /// Replaces the index on the disk by one in memory, unless that has happened.
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
        // Frees room for everything else, before the failback can write there.
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

    /// Rebuilds the index on the disk each time it failed, until the end.
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
            // All queries wait for an attempt: at most a tenth of the time goes to them.
            wait = (wait * 2).min(MAX_WAIT).max(begun.elapsed() * 10);
            closed = self.closed.lock();
        }
    }

    /// Whether an attempt, for which all queries wait, can succeed.
    fn has_room(&self) -> bool {
        let Ok(needed) = self.index.read().room() else { return true };
        Space::of(self.folder.archive()).is_none_or(|space| space.free > needed)
    }

    /// Replaces the index in memory by one on the disk; whether that succeeded.
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
