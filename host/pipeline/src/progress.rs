//! Progress of a running job, as the API shows it while it runs.
//!
//! Written by the job, read by requests. Ends with the job, which writes it into the video's
//! record.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use ocellus_core::{CpuMeter, FrameRecord, ObjectType, Size, Statistic, VideoRecord, VideoStatus};
use ocellus_media::{Decoder, MediaInfo};
use parking_lot::Mutex;

pub(crate) struct Progress {
    started: Instant,
    cpu: Arc<CpuMeter>,
    state: Mutex<State>,
}

/// Progress of a resumed job from before, by its log.
#[derive(Clone, Debug, Default)]
pub(crate) struct LoggedProgress {
    processed: u64,
    /// Frames without motion.
    static_frames: u64,
    /// Frames missing in the sequence of indices.
    dropped: u64,
    /// Index of the next frame.
    next: u64,
    /// Stream time of the last frame in seconds.
    time: f64,
}

impl LoggedProgress {
    pub(crate) fn add(&mut self, record: &FrameRecord) {
        if record.is_static {
            self.static_frames += 1;
        } else {
            self.processed += 1;
        }
        self.dropped += record.index.saturating_sub(self.next);
        self.next = record.index.saturating_add(1);
        self.time = record.time;
    }

    pub(crate) fn frames(&self) -> u64 {
        self.processed + self.static_frames
    }
}

/// Work of a job since this server began with it; repeated work counts again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Frames on which the detectors ran.
    pub processed: u64,
    /// Frames that the detectors skipped, since too little moved in them.
    pub static_frames: u64,
    /// Objects by type.
    pub objects: BTreeMap<ObjectType, u64>,
}

impl Work {
    pub(crate) fn add(&mut self, other: &Self) {
        self.processed += other.processed;
        self.static_frames += other.static_frames;
        for (object_type, count) in &other.objects {
            *self.objects.entry(object_type.clone()).or_default() += count;
        }
    }
}

struct State {
    status: VideoStatus,
    source_len: Option<f64>,
    frame: Option<Size>,
    counts: BTreeMap<ObjectType, u64>,
    statistic: Statistic,
    /// Frames that were logged before the job was resumed.
    logged_frames: u64,
    work: Work,
}

impl Progress {
    pub(crate) fn new() -> Self {
        let state = State {
            status: VideoStatus::Starting,
            source_len: None,
            frame: None,
            counts: Default::default(),
            statistic: Statistic::default(),
            logged_frames: 0,
            work: Work::default(),
        };
        Self { started: Instant::now(), cpu: Arc::default(), state: Mutex::new(state) }
    }

    /// CPU time of the job's threads, by stage.
    pub(crate) fn cpu(&self) -> &Arc<CpuMeter> {
        &self.cpu
    }

    pub(crate) fn opened(&self, info: &MediaInfo) {
        let mut state = self.state.lock();
        state.source_len = info.duration;
        state.statistic.other_video_streams.clone_from(&info.other_video);
        state.set_frame(info.size);
    }

    /// Sets the values that are known only once the source was read to its end.
    pub(crate) fn source_read(&self, decoder: &Decoder) {
        let mut state = self.state.lock();
        // The header of the file may lack the duration, or have a wrong one.
        state.source_len = decoder.length().or(state.source_len);
        state.statistic.decoding_soft_errors = decoder.soft_errors();
        state.statistic.time_jumps = decoder.jumps();
    }

    /// Sets the numbers of objects to those of the job in the archive.
    pub(crate) fn set_counts(&self, counts: BTreeMap<ObjectType, u64>) {
        self.state.lock().counts = counts;
    }

    /// Resets everything except the number of starts.
    pub(crate) fn reset(&self) {
        let mut state = self.state.lock();
        (state.status, state.logged_frames) = (VideoStatus::Starting, 0);
        state.counts.clear();
        state.statistic = Statistic { job_starts: state.statistic.job_starts, ..Statistic::default() };
    }

    /// Sets the progress of a job that continues after the frames in its log. `counts`: its objects
    /// in the archive.
    pub(crate) fn resume(&self, logged: &LoggedProgress, counts: BTreeMap<ObjectType, u64>) {
        let mut state = self.state.lock();
        state.status = VideoStatus::InProgress;
        (state.counts, state.logged_frames) = (counts, logged.frames());
        let statistic = &mut state.statistic;
        (statistic.frames_processed, statistic.frames_imotion_skipped) = (logged.processed, logged.static_frames);
        statistic.frames_dropped = logged.dropped;
        (statistic.processed_duration, statistic.last_stream_timestamp) = (logged.time, logged.time);
    }

    pub(crate) fn frame(&self, record: &FrameRecord, size: Size) {
        let elapsed = self.started.elapsed().as_secs_f64();
        let mut state = self.state.lock();
        state.status = VideoStatus::InProgress;
        state.set_frame(size);
        if record.is_static {
            state.work.static_frames += 1;
        } else {
            state.work.processed += 1;
        }
        let logged = state.logged_frames;
        let statistic = &mut state.statistic;
        if record.is_static {
            statistic.frames_imotion_skipped += 1;
        } else {
            statistic.frames_processed += 1;
        }
        statistic.processed_duration = record.time;
        statistic.last_stream_timestamp = record.time;
        let frames = statistic.frames_processed + statistic.frames_imotion_skipped - logged;
        statistic.processing_fps = if elapsed > 0.0 { frames as f64 / elapsed } else { 0.0 };
    }

    pub(crate) fn has_frames(&self) -> bool {
        self.state.lock().status == VideoStatus::InProgress
    }

    pub(crate) fn object(&self, object_type: &ObjectType) {
        let mut state = self.state.lock();
        *state.counts.entry(object_type.clone()).or_default() += 1;
        *state.work.objects.entry(object_type.clone()).or_default() += 1;
    }

    pub(crate) fn update(&self, f: impl FnOnce(&mut Statistic)) {
        f(&mut self.state.lock().statistic);
    }

    pub(crate) fn work(&self) -> Work {
        self.state.lock().work.clone()
    }

    /// Frames per second since the job began in this process.
    pub(crate) fn fps(&self) -> f64 {
        self.state.lock().statistic.processing_fps
    }

    /// Writes progress and status into the record of the job's video.
    pub(crate) fn write_to(&self, record: &mut VideoRecord) {
        let state = self.state.lock();
        if record.status.may_move_to(state.status) {
            record.status = state.status;
        }
        // If the source declares no duration: the stream time so far.
        record.source_len = state.source_len.or(Some(state.statistic.last_stream_timestamp).filter(|t| *t > 0.0));
        record.frame_width = state.frame.map(|f| f.width);
        record.frame_height = state.frame.map(|f| f.height);
        record.counts.clone_from(&state.counts);
        record.statistic = Some(Statistic { cpu_seconds: self.cpu.seconds(), ..state.statistic.clone() });
    }
}

impl State {
    /// The size of the video is that of its first frame.
    fn set_frame(&mut self, size: Size) {
        let size = *self.frame.get_or_insert(size);
        (self.statistic.frame_width, self.statistic.frame_height) = (size.width, size.height);
    }
}
