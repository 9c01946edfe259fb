//! An archive record and the life of its job.

use std::{collections::BTreeMap, fmt};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Error, ObjectType, PluginUse, Result, Stage, StreamSettings, VideoId};

/// Where a video's job stands. Spelled as the API spells it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum VideoStatus {
    /// There is a record, and no job was ever asked for.
    #[default]
    WaitingForSync,
    /// Ready, or stopped by the user.
    Disabled,
    /// In the queue.
    Awaiting,
    /// Taken out of the queue; no frame is through yet.
    Starting,
    #[serde(rename = "INPROGRESS")]
    InProgress,
    /// The end of the source was reached.
    Completed,
    /// Failed in the middle; what was found so far is kept.
    Interrupted,
    /// Failed before the first frame.
    NotStarted,
    /// The settings cannot be carried out.
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

/// The colour that a status is shown in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Light {
    Green,
    Yellow,
    Red,
    Gray,
}

impl VideoStatus {
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

    /// Whether a video may go from this status to another: all moves that there are, and who makes
    /// them. `host/pipeline/docs/jobs.md` shows the same as a table.
    pub fn may_move_to(self, to: Self) -> bool {
        match to {
            Self::WaitingForSync => false,
            // `stop/` of one that waits or runs; a new source file for one that does neither.
            Self::Disabled => self != Self::Disabled,
            // `process/`; and the next start, for a job that was cut off.
            Self::Awaiting => !self.is_queued(),
            // A worker takes it out of the queue.
            Self::Starting => self.is_queued(),
            // Its first frame is through.
            Self::InProgress => self == Self::Starting,
            // The job ends. One that was taken up again may find all its frames in the log.
            Self::Completed | Self::Interrupted => self.is_active(),
            // The job ends before its first frame.
            Self::NotStarted | Self::Misconfigured => self == Self::Starting,
            // `process/` without a source, or the source is removed.
            Self::NoSource => !self.is_enabled() && self != Self::NoSource,
        }
    }

    /// A job is wanted: waiting or running.
    pub fn is_enabled(self) -> bool {
        self.is_queued() || self.is_active()
    }
    pub fn is_queued(self) -> bool {
        self == Self::Awaiting
    }
    pub fn is_active(self) -> bool {
        matches!(self, Self::Starting | Self::InProgress)
    }

    fn light(self) -> Light {
        match self {
            Self::InProgress | Self::Completed => Light::Green,
            Self::Awaiting | Self::Starting => Light::Yellow,
            Self::Disabled => Light::Gray,
            Self::WaitingForSync | Self::Interrupted | Self::NotStarted | Self::Misconfigured | Self::NoSource => {
                Light::Red
            }
        }
    }

    fn description(self) -> &'static str {
        match self {
            Self::WaitingForSync => "Videomanager job is missing. Wait for synchronization.",
            Self::Disabled => "Video processing is disabled",
            Self::Awaiting => "Video is waiting for processing",
            Self::Starting => "Video processing is starting",
            Self::InProgress => "Everything is OK",
            Self::Completed => "Video processing is done",
            Self::Interrupted => "Video processing was interrupted",
            Self::NotStarted => "Video processing could not be started",
            Self::Misconfigured => "Video processing settings cannot be carried out",
            Self::NoSource => "Video has no source",
        }
    }
}

/// What became of the objects of one type on their way to the router: together, all that there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Accepted.
    pub posted: u64,
    /// Refused, or given up: only a user has them tried again.
    pub failed: u64,
    /// Not accepted yet, whether they were tried or not.
    pub not_posted: u64,
    /// Those of `not_posted` that were tried, and will be again. An extension of the vendor's, left
    /// out where there are none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub retrying: u64,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Figures of a job, as `health_status.statistic` shows them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Statistic {
    /// Seconds of media.
    pub processed_duration: f64,
    pub faces_posted: u64,
    pub faces_failed: u64,
    pub faces_not_posted: u64,
    /// Frames a second over the whole job, its queueing aside.
    pub processing_fps: f64,
    pub frames_dropped: u64,
    pub frames_processed: u64,
    pub frames_imotion_skipped: u64,
    pub decoding_soft_errors: u64,
    pub frame_width: u32,
    pub frame_height: u32,
    /// Stream time of the last frame, in seconds.
    pub last_stream_timestamp: f64,
    pub objects: BTreeMap<ObjectType, Counts>,
    pub extractors: serde_json::Map<String, serde_json::Value>,
    pub job_starts: u32,
    /// By the plugin's name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub plugins: BTreeMap<String, PluginUse>,
    /// Seconds that the job's own threads took of the CPU.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub cpu_seconds: BTreeMap<Stage, f64>,
}

impl Statistic {
    /// Says what became of the objects, in `objects` and in the fields that only faces have.
    pub fn set_deliveries(&mut self, objects: BTreeMap<ObjectType, Counts>) {
        let Counts { posted, failed, not_posted, retrying: _ } =
            objects.get(&ObjectType::face()).copied().unwrap_or_default();
        (self.faces_posted, self.faces_failed, self.faces_not_posted) = (posted, failed, not_posted);
        self.objects = objects;
    }
}

/// `health_status`, as the API shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HealthStatus {
    pub enabled: bool,
    pub status: VideoStatus,
    pub msg: String,
    /// Empty before the first job.
    #[serde(with = "statistic_or_empty")]
    pub statistic: Option<Statistic>,
    pub code: Light,
    pub code_desc: String,
}

mod statistic_or_empty {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
    use serde_json::{Map, Value};

    use super::Statistic;

    pub(super) fn serialize<S: Serializer>(value: &Option<Statistic>, serializer: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(statistic) => statistic.serialize(serializer),
            None => Map::new().serialize(serializer),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Statistic>, D::Error> {
        let map = Map::<String, Value>::deserialize(deserializer)?;
        if map.is_empty() {
            Ok(None)
        } else {
            serde_json::from_value(Value::Object(map)).map(Some).map_err(D::Error::custom)
        }
    }
}

/// A video as the archive keeps it (`video.json`). Flags of the API that follow from `status` are
/// not stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VideoRecord {
    pub id: VideoId,
    pub name: Option<String>,
    pub camera_group: i64,
    pub camera: Option<i64>,
    pub case: Option<i64>,
    pub url: Option<String>,
    pub router_url: Option<String>,
    pub stream_settings: StreamSettings,
    pub created_date: Timestamp,

    /// Bytes of the uploaded file; `None` without one.
    pub file_size: Option<u64>,
    /// Of the uploaded file, in hexadecimal digits; `None` without one, and for one that release
    /// 0.1 took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_sha256: Option<String>,
    /// Seconds.
    pub source_len: Option<f64>,
    pub frame_width: Option<u32>,
    pub frame_height: Option<u32>,

    pub status: VideoStatus,
    /// Since when it waits in the queue, which is in this order; `None` for a video that does not
    /// wait.
    pub queued_date: Option<Timestamp>,
    /// The last job reached its end, good or bad.
    pub finished: bool,
    /// What went wrong, for the user.
    pub error: Option<String>,
    /// The number of the last job, 0 before the first.
    pub job: u32,
    pub processing_start_date: Option<Timestamp>,
    pub statistic: Option<Statistic>,
    /// Objects that the last job made, by type.
    pub counts: BTreeMap<ObjectType, u64>,
    /// How many identities these are, by type; none before the job's end.
    #[serde(default)]
    pub clusters: BTreeMap<ObjectType, u64>,
}

impl VideoRecord {
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

    pub fn has_source(&self) -> bool {
        self.file_size.is_some() || self.url.is_some()
    }

    /// Changes the status; staying as it is counts as allowed.
    ///
    /// # Errors
    /// `Internal` where [`VideoStatus::may_move_to`] knows no such move; nothing is changed then.
    pub fn move_to(&mut self, to: VideoStatus) -> Result<()> {
        if self.status != to && !self.status.may_move_to(to) {
            return Err(Error::internal(format!("video {} cannot go from {:?} to {to:?}", self.id, self.status)));
        }
        self.status = to;
        Ok(())
    }

    /// What the API shows. A running or finished job that could not deliver turns yellow, whether
    /// it is tried again or not.
    pub fn health_status(&self) -> HealthStatus {
        let undelivered =
            self.statistic.as_ref().is_some_and(|s| s.objects.values().any(|c| c.failed + c.retrying > 0));
        let (code, code_desc) = match self.status.light() {
            Light::Green if undelivered => (Light::Yellow, "Some objects could not be delivered to the router"),
            light => (light, self.status.description()),
        };
        HealthStatus {
            enabled: self.status.is_enabled(),
            status: self.status,
            msg: self.error.clone().unwrap_or_default(),
            statistic: self.statistic.clone(),
            code,
            code_desc: code_desc.into(),
        }
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
    fn a_status_is_reached_by_its_moves_only() {
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

    #[test]
    fn counting_faces_keeps_the_old_fields_in_step() {
        let mut statistic = Statistic::default();
        let counts = |posted, failed| Counts { posted, failed, ..Counts::default() };
        statistic.set_deliveries([(ObjectType::face(), counts(1, 0)), (ObjectType::car(), counts(0, 1))].into());
        assert_eq!((statistic.faces_posted, statistic.faces_failed), (1, 0));
        assert_eq!(statistic.objects[&ObjectType::car()].failed, 1);
    }

    #[test]
    fn what_was_tried_and_not_accepted_turns_the_light_yellow_and_is_no_failure_yet() {
        let settings = crate::SettingsSchema::new(&[], &["simple_iou".into()], &[]).unwrap().complete(None).unwrap();
        let mut video = VideoRecord::new(VideoId(1), 1, None, settings, Timestamp::UNIX_EPOCH);
        video.status = VideoStatus::Completed;
        let light = |video: &mut VideoRecord, counts: Counts| {
            video.statistic.get_or_insert_default().set_deliveries([(ObjectType::face(), counts)].into());
            (video.health_status().code, serde_json::to_value(counts).unwrap())
        };
        let waiting = Counts { posted: 1, not_posted: 2, ..Counts::default() };
        assert_eq!(
            light(&mut video, waiting),
            (Light::Green, serde_json::json!({"posted": 1, "failed": 0, "not_posted": 2}))
        );
        let tried = Counts { retrying: 1, ..waiting };
        let shown = serde_json::json!({"posted": 1, "failed": 0, "not_posted": 2, "retrying": 1});
        assert_eq!(light(&mut video, tried), (Light::Yellow, shown));
        assert_eq!(video.statistic.as_ref().map(|s| (s.faces_failed, s.faces_not_posted)), Some((0, 2)));
        assert_eq!(light(&mut video, Counts { failed: 1, ..Counts::default() }).0, Light::Yellow);
    }
}
