//! The figures of a running job, as the API shows them while it runs.
//!
//! Written by the job, read by anyone. Ends with the job, which puts what is here into the archive.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use ocellus_core::{CpuMeter, FrameRecord, ObjectType, Size, Statistic, VideoRecord, VideoStatus};
use ocellus_media::MediaInfo;
use parking_lot::Mutex;

pub(crate) struct Progress {
    started: Instant,
    cpu: Arc<CpuMeter>,
    state: Mutex<State>,
}

/// What the log of a job says that is taken up again.
#[derive(Clone, Debug, Default)]
pub(crate) struct LoggedProgress {
    processed: u64,
    still: u64,
    /// Numbers that are missing.
    dropped: u64,
    next: u64,
    /// Of the last frame.
    time: f64,
}

impl LoggedProgress {
    pub(crate) fn add(&mut self, record: &FrameRecord) {
        if record.still {
            self.still += 1;
        } else {
            self.processed += 1;
        }
        self.dropped += record.index.saturating_sub(self.next);
        self.next = record.index.saturating_add(1);
        self.time = record.time;
    }

    pub(crate) fn frames(&self) -> u64 {
        self.processed + self.still
    }
}

struct State {
    status: VideoStatus,
    source_len: Option<f64>,
    frame: Option<Size>,
    counts: BTreeMap<ObjectType, u64>,
    statistic: Statistic,
    /// Frames of earlier starts.
    known: u64,
}

impl Progress {
    pub(crate) fn new() -> Self {
        let state = State {
            status: VideoStatus::Starting,
            source_len: None,
            frame: None,
            counts: Default::default(),
            statistic: Statistic::default(),
            known: 0,
        };
        Self { started: Instant::now(), cpu: Arc::default(), state: Mutex::new(state) }
    }

    /// What the job's threads take.
    pub(crate) fn cpu(&self) -> &Arc<CpuMeter> {
        &self.cpu
    }

    pub(crate) fn opened(&self, info: &MediaInfo) {
        let mut state = self.state.lock();
        state.source_len = info.duration;
        state.set_frame(info.size);
    }

    /// Objects that the archive has of the job already.
    pub(crate) fn holds(&self, counts: BTreeMap<ObjectType, u64>) {
        self.state.lock().counts = counts;
    }

    /// Nothing counts any more of what there was of the job.
    pub(crate) fn begin_anew(&self) {
        let mut state = self.state.lock();
        (state.status, state.known) = (VideoStatus::Starting, 0);
        state.counts.clear();
        state.statistic = Statistic { job_starts: state.statistic.job_starts, ..Statistic::default() };
    }

    /// The job goes on behind what its log and its archive hold already.
    pub(crate) fn go_on(&self, known: &LoggedProgress, counts: BTreeMap<ObjectType, u64>) {
        let mut state = self.state.lock();
        state.status = VideoStatus::InProgress;
        (state.counts, state.known) = (counts, known.frames());
        let statistic = &mut state.statistic;
        (statistic.frames_processed, statistic.frames_imotion_skipped) = (known.processed, known.still);
        statistic.frames_dropped = known.dropped;
        (statistic.processed_duration, statistic.last_stream_timestamp) = (known.time, known.time);
    }

    pub(crate) fn frame(&self, record: &FrameRecord, size: Size) {
        let elapsed = self.started.elapsed().as_secs_f64();
        let mut state = self.state.lock();
        state.status = VideoStatus::InProgress;
        state.set_frame(size);
        let known = state.known;
        let statistic = &mut state.statistic;
        if record.still {
            statistic.frames_imotion_skipped += 1;
        } else {
            statistic.frames_processed += 1;
        }
        statistic.processed_duration = record.time;
        statistic.last_stream_timestamp = record.time;
        let frames = statistic.frames_processed + statistic.frames_imotion_skipped - known;
        statistic.processing_fps = if elapsed > 0.0 { frames as f64 / elapsed } else { 0.0 };
    }

    pub(crate) fn has_frames(&self) -> bool {
        self.state.lock().status == VideoStatus::InProgress
    }

    pub(crate) fn object(&self, object_type: &ObjectType) {
        *self.state.lock().counts.entry(object_type.clone()).or_default() += 1;
    }

    pub(crate) fn update(&self, f: impl FnOnce(&mut Statistic)) {
        f(&mut self.state.lock().statistic);
    }

    /// Puts the figures into the record of a video whose job this is; its status, too.
    pub(crate) fn write_to(&self, record: &mut VideoRecord) {
        let state = self.state.lock();
        if record.status.may_move_to(state.status) {
            record.status = state.status;
        }
        // A stream that does not say how long it is turned out to be as long as it was.
        record.source_len = state.source_len.or(Some(state.statistic.last_stream_timestamp).filter(|t| *t > 0.0));
        record.frame_width = state.frame.map(|f| f.width);
        record.frame_height = state.frame.map(|f| f.height);
        record.counts.clone_from(&state.counts);
        record.statistic = Some(Statistic { cpu_seconds: self.cpu.seconds(), ..state.statistic.clone() });
    }
}

impl State {
    fn set_frame(&mut self, size: Size) {
        self.frame = Some(size);
        (self.statistic.frame_width, self.statistic.frame_height) = (size.width, size.height);
    }
}
