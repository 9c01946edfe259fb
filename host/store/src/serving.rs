//! The index that answers now.
//!
//! sled answers nothing any more once a write of it failed, as it does where the disk is full. Then
//! an index in memory takes its place at once, which needs no room; one on the disk comes back as
//! soon as that can be written.
//!
//! Guarantees:
//!
//! * What fails in the one index is done in the next: callers notice nothing but the wait, which is
//!   that of a start.
//! * Every change is in the index that answers afterwards: the folders are changed first, and while
//!   an index is made from them nobody changes another one.
//!
//! A thread of its own brings the index back to the disk. It ends with the [`Serving`], the index
//! after it.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
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
};

/// From the loss of the index on the disk to the first attempt to make it anew; doubled for each
/// further one.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
pub(crate) struct Serving {
    inner: Arc<Inner>,
    comes_back: Option<JoinHandle<()>>,
}

struct Inner {
    folder: Folder,
    /// Where the index is on the disk.
    path: PathBuf,
    /// Held for writing while another index is made.
    index: RwLock<Index>,
    /// A change did not reach the index on the disk.
    dirty: Arc<AtomicBool>,
    closed: Mutex<bool>,
    /// The index is in memory now, or nothing more is to be done.
    changed: Condvar,
}

impl Serving {
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
        let comes_back = thread::Builder::new().name("index".into()).spawn(move || of_thread.come_back()).at(path)?;
        Ok(Self { inner, comes_back: Some(comes_back) })
    }

    /// What the index says, asked twice where it fails the first time. `question` must not wait for
    /// who waits for the index.
    pub(crate) fn ask<R>(&self, question: impl Fn(&Index) -> Result<R>) -> Result<R> {
        let failure = {
            let index = self.inner.index.read();
            match question(&index) {
                Err(error @ StoreError::Index(_)) if !index.is_in_memory() => error,
                answer => return answer,
            }
        };
        self.inner.leave_disk(&failure)?;
        question(&self.inner.index.read())
    }

    /// Puts down what a folder says by now.
    pub(crate) fn change(&self, change: impl Fn(&Index) -> Result<()>) -> Result<()> {
        self.ask(change).inspect_err(|_| self.mark_dirty())
    }

    /// Set where the index on the disk may not say what the folders do.
    pub(crate) fn dirty(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.inner.dirty)
    }

    /// A change of a folder may or may not have come about.
    pub(crate) fn mark_dirty(&self) {
        self.inner.dirty.store(true, Ordering::Relaxed);
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        *self.inner.closed.lock() = true;
        self.inner.changed.notify_all();
        if self.comes_back.take().is_some_and(|thread| thread.join().is_err()) {
            error!("the thread that brings the index back to the disk panicked");
        }
        if let Err(error) = self.inner.index.read().flush() {
            self.mark_dirty();
            error!("the index could not be written out, the next start makes it anew: {error}");
        }
    }
}

impl Inner {
    /// Puts an index in memory in place of the one on the disk, unless that has happened.
    fn leave_disk(&self, failure: &StoreError) -> Result<()> {
        let mut index = self.index.write();
        if index.is_in_memory() {
            return Ok(());
        }
        self.dirty.store(true, Ordering::Relaxed);
        let begun = Instant::now();
        let another = Index::in_memory()?;
        recovery::rebuild(&self.folder, &another, false)?;
        *index = another;
        // Nobody reads it any more, and others need the room. Before another can be put there.
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
            error!("what there is of an index on the disk cannot be removed: {error}");
        }
    }

    /// Makes the index on the disk anew each time it was lost, until the end.
    fn come_back(&self) {
        let (mut wait, mut back) = (FIRST_WAIT, None::<Instant>);
        let mut closed = self.closed.lock();
        loop {
            while !*closed && !self.index.read().is_in_memory() {
                self.changed.wait(&mut closed);
            }
            if back.take().is_some_and(|back| back.elapsed() > LONGEST_WAIT) {
                wait = FIRST_WAIT;
            }
            let until = Instant::now() + wait;
            while !*closed && !self.changed.wait_until(&mut closed, until).timed_out() {}
            if *closed {
                return;
            }
            drop(closed);
            let begun = Instant::now();
            if self.has_room() && self.to_disk() {
                back = Some(Instant::now());
            }
            // What all have to wait for is not tried over and over.
            wait = (wait * 2).min(LONGEST_WAIT).max(begun.elapsed() * 10);
            closed = self.closed.lock();
        }
    }

    /// Whether it is worth an attempt, for which all have to wait.
    fn has_room(&self) -> bool {
        let Ok(needed) = self.index.read().room() else { return true };
        room(self.folder.archive()).is_none_or(|room| room > needed)
    }

    fn to_disk(&self) -> bool {
        let mut index = self.index.write();
        let make = || {
            self.folder.disk().remove(&self.path)?;
            let another = Index::open(&self.path)?;
            recovery::rebuild(&self.folder, &another, false)?;
            Ok(another)
        };
        // sled panics on some failures.
        let made = catch_unwind(AssertUnwindSafe(make)).unwrap_or_else(|_| Err(unreadable_entry()));
        match made {
            Ok(another) => {
                *index = another;
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

/// Bytes that there is room for where `path` is.
#[cfg(unix)]
fn room(path: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(path).ok()?;
    Some(found.f_bavail.saturating_mul(found.f_frsize))
}

#[cfg(not(unix))]
fn room(_: &Path) -> Option<u64> {
    None
}
