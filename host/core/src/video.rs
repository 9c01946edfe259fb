//! Records of videos, and the status of their jobs.

use std::{collections::BTreeMap, fmt};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Error, ObjectType, PluginUse, Result, Stage, StreamSettings, VideoId};

/// Status of a video's job, spelled the same in records and API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum VideoStatus {
    /// New: no job was ever requested.
    #[default]
    WaitingForSync,
    /// Ready, or stopped by the user.
    Disabled,
    /// In the queue.
    Awaiting,
    /// Taken out of the queue; no frame was processed yet.
    Starting,
    /// Frames are being processed.
    #[serde(rename = "INPROGRESS")]
    InProgress,
    /// The end of the source was reached.
    Completed,
    /// Failed in the middle; results so far are kept.
    Interrupted,
    /// Failed before the first frame.
    NotStarted,
    /// The settings cannot be applied.
    Misconfigured,
    /// Neither a file nor a URL.
    NoSource,
}

impl fmt::Display for VideoStatus {
    /// As the API writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WaitingForSync => "WAITING_FOR_SYNC",
            Self::Disabled => "DISABLED",
            Self::Awaiting => "AWAITING",
            Self::Starting => "STARTING",
            Self::InProgress => "INPROGRESS",
            Self::Completed => "COMPLETED",
            Self::Interrupted => "INTERRUPTED",
            Self::NotStarted => "NOT_STARTED",
            Self::Misconfigured => "MISCONFIGURED",
            Self::NoSource => "NO_SOURCE",
        })
    }
}

impl VideoStatus {
    /// All of them, in the order in which the API documents them.
    pub const ALL: [Self; 10] = [
        Self::WaitingForSync,
        Self::Disabled,
        Self::Awaiting,
        Self::Starting,
        Self::InProgress,
        Self::Completed,
        Self::Interrupted,
        Self::NotStarted,
        Self::Misconfigured,
        Self::NoSource,
    ];

    /// Whether a video may change from this status to another. The comments name the causes of all
    /// transitions; `host/pipeline/docs/jobs.md` shows them as a table.
    pub fn may_move_to(self, to: Self) -> bool {
        match to {
            Self::WaitingForSync => false,
            // `stop/` of a queued or running job; a new source file for an idle video.
            Self::Disabled => self != Self::Disabled,
            // `process/`; and the next start, for a job that a shutdown or crash interrupted.
            Self::Awaiting => !self.is_queued(),
            // A worker takes it out of the queue.
            Self::Starting => self.is_queued(),
            // Its first frame was processed.
            Self::InProgress => self == Self::Starting,
            // The job ends. A resumed one may have all its frames in the log already.
            Self::Completed | Self::Interrupted => self.is_active(),
            // The job ends before its first frame.
            Self::NotStarted | Self::Misconfigured => self == Self::Starting,
            // `process/` without a source, or the source is removed.
            Self::NoSource => !self.is_enabled() && self != Self::NoSource,
        }
    }

    /// Whether a job is queued or running.
    pub fn is_enabled(self) -> bool {
        self.is_queued() || self.is_active()
    }

    /// Whether a job is queued.
    pub fn is_queued(self) -> bool {
        self == Self::Awaiting
    }

    /// Whether a job is running.
    pub fn is_active(self) -> bool {
        matches!(self, Self::Starting | Self::InProgress)
    }
}

/// Objects of one type by the state of their delivery. The first three add up to all objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Accepted by the router.
    pub posted: u64,
    /// Refused, or given up: retried only at a user's request.
    pub failed: u64,
    /// Not accepted yet, attempted or not.
    pub not_posted: u64,
    /// Those of `not_posted` that were attempted and will be retried. Not written if 0.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub retrying: u64,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Counters of a job.
// The keys are those of FindFace's `health_status.statistic`. They stay here, and not in host/api,
// since `video.json` holds them since release 0.1, and a record is rewritten as it was read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Statistic {
    /// Processed stream time in seconds.
    pub processed_duration: f64,
    /// The count for faces from `objects`; filled in by `host/api`, elsewhere as it was read.
    pub faces_posted: u64,
    /// As `faces_posted`.
    pub faces_failed: u64,
    /// As `faces_posted`.
    pub faces_not_posted: u64,
    /// Frames per second over the whole job, without its time in the queue.
    pub processing_fps: f64,
    /// Frames that were dropped as too late, with `disable_drops` off.
    pub frames_dropped: u64,
    /// Frames on which the detectors ran.
    pub frames_processed: u64,
    /// Frames that the detectors skipped, since too little moved in them.
    pub frames_imotion_skipped: u64,
    /// Errors that the decoder recovered from.
    pub decoding_soft_errors: u64,
    /// Jumps of the source's timestamps; frames after a jump follow those before it in stream time.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub time_jumps: u64,
    /// Video streams of the source that were not processed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub other_video_streams: Vec<String>,
    /// Pixels, after `video_transform`; 0 before the source is open.
    pub frame_width: u32,
    /// As `frame_width`.
    pub frame_height: u32,
    /// Stream time of the last frame, in seconds.
    pub last_stream_timestamp: f64,
    /// Deliveries by object type: empty in a stored record, filled in for the API.
    pub objects: BTreeMap<ObjectType, Counts>,
    /// Always empty: a key of FindFace's API.
    pub extractors: serde_json::Map<String, serde_json::Value>,
    /// How often a server started this job: once, and once more after each crash or shutdown.
    pub job_starts: u32,
    /// Usage of each plugin, by its name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub plugins: BTreeMap<String, PluginUse>,
    /// Seconds of CPU time of the job's own threads; see [`CpuMeter`](crate::CpuMeter).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub cpu_seconds: BTreeMap<Stage, f64>,
}

/// A video as the archive stores it (`video.json`). Flags of the API that are derived from `status`
/// are not stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VideoRecord {
    /// Unique in the archive, for all time.
    pub id: VideoId,
    /// 1..=256 characters.
    pub name: Option<String>,
    /// One of the operator's groups.
    pub camera_group: i64,
    /// One of the operator's cameras.
    pub camera: Option<i64>,
    /// Without a meaning to the server.
    pub case: Option<i64>,
    /// URL of the source; an uploaded file takes precedence.
    pub url: Option<String>,
    /// URL that objects are delivered to; `None` for no deliveries.
    pub router_url: Option<String>,
    /// Settings of the next job: each job stores its own.
    pub stream_settings: StreamSettings,
    /// When the record was created.
    pub created_date: Timestamp,
    /// Whether housekeeping must not remove its source. Not written if false.
    #[serde(default, skip_serializing_if = "is_false")]
    pub keep: bool,

    /// Bytes of the uploaded file; `None` without one.
    pub file_size: Option<u64>,
    /// SHA-256 of the uploaded file, in hexadecimal digits; `None` without one, and for a file that
    /// release 0.1 stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_sha256: Option<String>,
    /// Length of the source in seconds; `None` before the first job.
    pub source_len: Option<f64>,
    /// Pixels, after `video_transform`; `None` before the first job.
    pub frame_width: Option<u32>,
    /// As `frame_width`.
    pub frame_height: Option<u32>,

    /// Status of the last job; changed by [`VideoRecord::move_to`].
    pub status: VideoStatus,
    /// When it was queued; the queue is in this order. `None` for a video that is not queued.
    pub queued_date: Option<Timestamp>,
    /// Whether the last job came to its end, successfully or not.
    pub finished: bool,
    /// What went wrong, for the user.
    pub error: Option<String>,
    /// The number of the last job, 0 before the first.
    pub job: u32,
    /// When the last job began; `None` while it is queued.
    pub processing_start_date: Option<Timestamp>,
    /// Counters of the last job; `None` before the first.
    pub statistic: Option<Statistic>,
    /// Number of objects of the last job, by type.
    pub counts: BTreeMap<ObjectType, u64>,
    /// Number of identities among these objects, by type; none before the job's end.
    #[serde(default)]
    pub clusters: BTreeMap<ObjectType, u64>,
}

impl VideoRecord {
    /// A video that was never processed, without a source.
    pub fn new(
        id: VideoId,
        camera_group: i64,
        name: Option<String>,
        stream_settings: StreamSettings,
        created_date: Timestamp,
    ) -> Self {
        Self {
            id,
            name,
            camera_group,
            camera: None,
            case: None,
            url: None,
            router_url: None,
            stream_settings,
            created_date,
            keep: false,
            file_size: None,
            source_sha256: None,
            source_len: None,
            frame_width: None,
            frame_height: None,
            status: VideoStatus::default(),
            queued_date: None,
            finished: false,
            error: None,
            job: 0,
            processing_start_date: None,
            statistic: None,
            counts: BTreeMap::new(),
            clusters: BTreeMap::new(),
        }
    }

    /// Whether a job could find frames: there is a file or a URL.
    pub fn has_source(&self) -> bool {
        self.file_size.is_some() || self.url.is_some()
    }

    /// Changes the status; keeping it is always allowed.
    ///
    /// # Errors
    /// `Internal` where [`VideoStatus::may_move_to`] does not allow it; nothing is changed then.
    pub fn move_to(&mut self, to: VideoStatus) -> Result<()> {
        if self.status != to && !self.status.may_move_to(to) {
            return Err(Error::internal(format!("video {} cannot go from {:?} to {to:?}", self.id, self.status)));
        }
        self.status = to;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_printed_as_the_api_writes_it() {
        for status in ["WAITING_FOR_SYNC", "INPROGRESS", "NOT_STARTED", "NO_SOURCE", "AWAITING", "MISCONFIGURED"] {
            let parsed: VideoStatus = serde_json::from_value(status.into()).unwrap();
            assert_eq!(parsed.to_string(), status);
        }
    }

    #[test]
    fn statuses_are_spelled_as_the_api_spells_them() {
        let spelled = |s: VideoStatus| serde_json::to_value(s).unwrap();
        assert_eq!(spelled(VideoStatus::WaitingForSync), "WAITING_FOR_SYNC");
        assert_eq!(spelled(VideoStatus::InProgress), "INPROGRESS");
        assert_eq!(spelled(VideoStatus::NotStarted), "NOT_STARTED");
    }

    #[test]
    fn a_status_is_reached_by_allowed_moves_only() {
        use VideoStatus::*;
        let resting = [WaitingForSync, Disabled, Completed, Interrupted, NotStarted, Misconfigured, NoSource];
        let to = |from: VideoStatus| {
            VideoStatus::ALL.into_iter().filter(move |to| from.may_move_to(*to)).collect::<Vec<_>>()
        };
        assert_eq!(to(Awaiting), [Disabled, Starting]);
        assert_eq!(to(Starting), [Disabled, Awaiting, InProgress, Completed, Interrupted, NotStarted, Misconfigured]);
        assert_eq!(to(InProgress), [Disabled, Awaiting, Completed, Interrupted]);
        for status in resting {
            let expected: Vec<_> = [Disabled, Awaiting, NoSource].into_iter().filter(|to| *to != status).collect();
            assert_eq!(to(status), expected, "{status:?}");
        }
    }

    #[test]
    fn a_move_that_is_not_in_the_table_is_refused_and_changes_nothing() {
        let settings = crate::SettingsSchema::new(&[], &["simple_iou".into()], &[]).unwrap().complete(None).unwrap();
        let mut video = VideoRecord::new(VideoId(1), 1, None, settings, Timestamp::UNIX_EPOCH);
        assert!(video.move_to(VideoStatus::Starting).is_err());
        assert_eq!(video.status, VideoStatus::WaitingForSync);
        for to in [VideoStatus::Awaiting, VideoStatus::Awaiting, VideoStatus::Starting, VideoStatus::InProgress] {
            video.move_to(to).unwrap();
        }
        assert!(video.move_to(VideoStatus::NotStarted).is_err());
    }
}
