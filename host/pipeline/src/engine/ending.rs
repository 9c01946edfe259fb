//! Final states of jobs, until they are written.
//!
//! Owns the final state of every job whose record does not have it yet. Guarantees:
//!
//! * A final state is shown as soon as the job has ended, and lost only with the process: then the
//!   record says that the job is running, and the next start resumes it.
//! * A record that cannot be written (a full disk) is retried, with waits that double up to
//!   [`MAX_WAIT`], and at once when space was freed ([`Endings::wake`]).
//! * A final state never overwrites what a later job wrote.
//!
//! A thread retries; it ends with [`Endings::close`].

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use ocellus_core::{Clock, JobId, ObjectType, Result, Timestamp, VideoId, VideoRecord, VideoStatus};
use ocellus_store::{Archive, StoreError};
use parking_lot::{Condvar, Mutex};
use tracing::{error, info};

use super::{contained::contained, jobs::Run};

/// Wait from the first attempt to the second; doubled for each further one.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const MAX_WAIT: Duration = Duration::from_secs(30);

/// Final state of a job.
pub(super) struct FinalState {
    pub job: JobId,
    pub run: Arc<Run>,
    pub status: VideoStatus,
    pub finished: bool,
    /// What went wrong, for the user.
    pub error: Option<String>,
    /// Identities among its objects, by type.
    pub clusters: BTreeMap<ObjectType, u64>,
    /// Duration of the source in seconds, if the job measured it more exactly than the source
    /// declares.
    pub source_len: Option<f64>,
}

impl FinalState {
    /// Sets the final state in the record of its video; returns whether the record did not have it.
    fn overlay(&self, record: &mut VideoRecord) -> bool {
        if record.job != self.job.number || !record.status.is_active() {
            return false;
        }
        self.run.progress.write_to(record);
        // A failure after the first frame interrupts the job.
        record.status = if record.status.may_move_to(self.status) { self.status } else { VideoStatus::Interrupted };
        (record.finished, record.error) = (self.finished, self.error.clone());
        record.clusters.clone_from(&self.clusters);
        record.source_len = self.source_len.or(record.source_len);
        true
    }
}

/// Writes a final state into the record of its video, durably.
type Write = dyn Fn(&FinalState) -> Result<(), StoreError> + Send + Sync;

pub(super) struct Endings {
    write: Box<Write>,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    /// Signals that a state is due sooner, or that the thread has to end.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    unwritten: HashMap<VideoId, Unwritten>,
    closed: bool,
}

struct Unwritten {
    ending: Arc<FinalState>,
    failures: u32,
    due: Timestamp,
}

impl Endings {
    pub(super) fn new(archive: Archive, clock: Arc<dyn Clock>) -> Arc<Self> {
        Self::written_by(clock, move |ending| {
            archive
                .update(ending.job.video, |record| {
                    ending.overlay(record);
                    Ok(())
                })
                .map(drop)
        })
    }

    fn written_by(
        clock: Arc<dyn Clock>,
        write: impl Fn(&FinalState) -> Result<(), StoreError> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self { write: Box::new(write), clock, state: Mutex::default(), changed: Condvar::new() })
    }

    /// Writes a final state, or keeps it until that succeeds. Blocks.
    pub(super) fn put(&self, ending: FinalState) {
        let (id, due) = (ending.job.video, self.clock.now());
        // Before the attempt: from now on requests see it, even if the attempt fails.
        self.state.lock().unwritten.insert(id, Unwritten { ending: Arc::new(ending), failures: 0, due });
        self.attempt(id);
    }

    /// Sets a final state that is not written yet in a record; returns whether there was one.
    pub(super) fn overlay(&self, record: &mut VideoRecord) -> bool {
        let ending = self.ending(record.id);
        ending.is_some_and(|ending| ending.overlay(record))
    }

    /// Writes the final state of a video's job, if it is not written yet. Blocks.
    ///
    /// # Errors
    /// The archive's, where it cannot be written now.
    pub(super) fn settle(&self, id: VideoId) -> Result<()> {
        self.attempt(id).map_or(Ok(()), |error| Err(error.into()))
    }

    /// Forgets the final state: the video was deleted, or a later job of it has begun.
    pub(super) fn forget(&self, id: VideoId) {
        self.state.lock().unwritten.remove(&id);
    }

    /// Retries all now, since space was freed.
    pub(super) fn wake(&self) {
        let now = self.clock.now();
        self.state.lock().unwritten.values_mut().for_each(|u| u.due = now);
        self.changed.notify_all();
    }

    /// Retries writes when they are due, until [`Endings::close`].
    pub(super) fn keep_trying(&self) {
        let mut state = self.state.lock();
        while !state.closed {
            let now = self.clock.now();
            let next = state.unwritten.iter().map(|(id, u)| (u.due, *id)).min();
            match next {
                None => self.changed.wait(&mut state),
                Some((due, _)) if due > now => {
                    let wait = Duration::try_from(due.duration_since(now)).unwrap_or_default();
                    self.changed.wait_for(&mut state, wait);
                }
                Some((_, id)) => {
                    drop(state);
                    self.attempt(id);
                    state = self.state.lock();
                }
            }
        }
    }

    /// Retries all once more, and ends the thread. The next start resumes the jobs whose states
    /// cannot be written now.
    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.changed.notify_all();
        let left: Vec<_> = self.state.lock().unwritten.keys().copied().collect();
        for id in left {
            if self.attempt(id).is_some() {
                error!(
                    video = %id,
                    "video {id}: the final state of its job is not written; the next start resumes the job"
                );
            }
        }
    }

    fn ending(&self, id: VideoId) -> Option<Arc<FinalState>> {
        self.state.lock().unwritten.get(&id).map(|u| Arc::clone(&u.ending))
    }

    /// Writes the final state of a video's job, if there is an unwritten one; returns the error.
    fn attempt(&self, id: VideoId) -> Option<StoreError> {
        let ending = self.ending(id)?;
        // The lock is not held meanwhile: requests that read the video must not wait for the disk.
        let written = contained("writing the end of a job", || Ok((self.write)(&ending)))
            .unwrap_or_else(|panic| Err(panic.into()));
        let mut state = self.state.lock();
        // Another attempt may have been faster, or a later job have begun.
        if !state.unwritten.get(&id).is_some_and(|u| Arc::ptr_eq(&u.ending, &ending)) {
            return None;
        }
        let error = match written {
            Ok(()) => {
                state.unwritten.remove(&id);
                drop(state);
                let FinalState { status, error, .. } = &*ending;
                info!(
                    video = %id, %status, error = error.as_deref().unwrap_or_default(),
                    "video {id}: its job ended as {status}"
                );
                return None;
            }
            Err(StoreError::NoVideo(_)) => {
                state.unwritten.remove(&id);
                return None;
            }
            Err(error @ StoreError::Damaged { .. }) => {
                // No attempt can read the record.
                state.unwritten.remove(&id);
                drop(state);
                error!(video = %id, %error, "video {id}: the final state of its job cannot be written: {error}");
                return None;
            }
            Err(error) => error,
        };
        if let Some(unwritten) = state.unwritten.get_mut(&id) {
            let wait = FIRST_WAIT.saturating_mul(1 << unwritten.failures.min(10)).min(MAX_WAIT);
            unwritten.failures += 1;
            let first = unwritten.failures == 1;
            unwritten.due = self.clock.now().checked_add(wait).unwrap_or(Timestamp::MAX);
            drop(state);
            self.changed.notify_all();
            if first {
                error!(video = %id, %error, "video {id}: the final state of its job cannot be written yet: {error}");
            }
        }
        Some(error)
    }
}

#[cfg(test)]
mod tests;
