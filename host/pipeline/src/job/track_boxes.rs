//! Boxes of a running job's tracks, for players.
//!
//! Owns the file of the tracks while the job writes it. The job does not depend on it: a failure
//! loses the boxes only, which are built from the whole log once the job is over.

use std::time::{Duration, Instant};

use ocellus_core::{ObjectType, TrackId};
use ocellus_store::{Job, StoreError, TrackFrame, TrackWriter};

/// Interval at which boxes become visible to players.
const SHOW_EVERY: Duration = Duration::from_secs(2);

pub(super) struct TrackBoxes {
    job: Job,
    /// `None` where the boxes of this run are not kept.
    writer: Option<TrackWriter>,
    shown: Instant,
}

impl TrackBoxes {
    /// Begins the file, in place of an existing one.
    pub(super) fn begin(job: &Job) -> Self {
        let mut boxes = Self { job: job.clone(), writer: None, shown: Instant::now() };
        match job.begin_tracks() {
            Ok(writer) => boxes.writer = Some(writer),
            Err(error) => boxes.give_up(&error),
        }
        boxes
    }

    /// Keeps none, and removes an existing file, which would lack what comes.
    pub(super) fn none(job: &Job) -> Self {
        let boxes = Self { job: job.clone(), writer: None, shown: Instant::now() };
        boxes.remove();
        boxes
    }

    pub(super) fn are_kept(&self) -> bool {
        self.writer.is_some()
    }

    /// Adds the boxes of a frame; shows them from time to time.
    pub(super) fn add(&mut self, time: f64, boxes: Vec<(ObjectType, TrackId, [i32; 4])>) {
        let Some(writer) = &mut self.writer else { return };
        let added = if boxes.is_empty() { Ok(()) } else { writer.add(TrackFrame { time, boxes }) };
        match added {
            Ok(()) if self.shown.elapsed() > SHOW_EVERY => self.show(),
            Ok(()) => {}
            Err(error) => self.give_up(&error),
        }
    }

    /// Makes all boxes visible to players.
    pub(super) fn show(&mut self) {
        self.shown = Instant::now();
        if let Some(Err(error)) = self.writer.as_mut().map(TrackWriter::write_out) {
            self.give_up(&error);
        }
    }

    /// Ends the file: it has all boxes of the job.
    pub(super) fn finish(&mut self) {
        if let Some(Err(error)) = self.writer.take().map(TrackWriter::finish) {
            self.give_up(&error);
        }
    }

    fn give_up(&mut self, error: &StoreError) {
        let job = self.job.id();
        tracing::warn!(%job, %error, "job {job}: the boxes of its tracks are not kept: {error}");
        self.writer = None;
        self.remove();
    }

    fn remove(&self) {
        if let Err(error) = self.job.remove_tracks() {
            let job = self.job.id();
            tracing::debug!(%job, %error, "job {job}: {error}");
        }
    }
}
