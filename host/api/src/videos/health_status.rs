//! `health_status`: state and statistic of a video's processing, in the vendor's terms.

use ocellus_core::{Counts, ObjectType, Statistic, VideoRecord, VideoStatus};
use serde::{Serialize, Serializer};
use serde_json::Map;
use utoipa::openapi::{
    ArrayBuilder, ObjectBuilder, Ref, Schema,
    schema::{AdditionalProperties, Type},
};

use crate::rounding::rounded;

/// `health_status`, all of whose keys are always there.
#[derive(Debug, Serialize)]
pub(super) struct HealthStatusJson {
    enabled: bool,
    status: VideoStatus,
    msg: String,
    #[serde(serialize_with = "statistic_or_empty")]
    statistic: Option<Statistic>,
    code: Color,
    code_desc: &'static str,
}

/// The vendor's traffic light.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Color {
    Green,
    Yellow,
    Red,
    Gray,
}

impl HealthStatusJson {
    /// A running or finished job that could not deliver is yellow, whether its deliveries are
    /// retried or not.
    pub(super) fn new(video: &VideoRecord) -> Self {
        let undelivered = |s: &Statistic| s.objects.values().any(|c| c.failed + c.retrying > 0);
        let (code, code_desc) = match color_and_description(video.status) {
            (Color::Green, _) if video.statistic.as_ref().is_some_and(undelivered) => {
                (Color::Yellow, "Some objects could not be delivered to the router")
            }
            healthy => healthy,
        };
        Self {
            enabled: video.status.is_enabled(),
            status: video.status,
            msg: video.error.clone().unwrap_or_default(),
            statistic: video.statistic.clone().map(shown),
            code,
            code_desc,
        }
    }
}

fn color_and_description(status: VideoStatus) -> (Color, &'static str) {
    match status {
        VideoStatus::WaitingForSync => (Color::Red, "Videomanager job is missing. Wait for synchronization."),
        VideoStatus::Disabled => (Color::Gray, "Video processing is disabled"),
        VideoStatus::Awaiting => (Color::Yellow, "Video is waiting for processing"),
        VideoStatus::Starting => (Color::Yellow, "Video processing is starting"),
        VideoStatus::InProgress => (Color::Green, "Everything is OK"),
        VideoStatus::Completed => (Color::Green, "Video processing is done"),
        VideoStatus::Interrupted => (Color::Red, "Video processing was interrupted"),
        VideoStatus::NotStarted => (Color::Red, "Video processing could not be started"),
        VideoStatus::Misconfigured => (Color::Red, "Video processing settings cannot be carried out"),
        VideoStatus::NoSource => (Color::Red, "Video has no source"),
    }
}

/// The statistic with rounded numbers, and with the counts of faces also in the fields that old
/// clients read.
fn shown(mut statistic: Statistic) -> Statistic {
    let Counts { posted, failed, not_posted, retrying: _ } =
        statistic.objects.get(&ObjectType::face()).copied().unwrap_or_default();
    (statistic.faces_posted, statistic.faces_failed, statistic.faces_not_posted) = (posted, failed, not_posted);
    let Statistic { processed_duration, processing_fps, last_stream_timestamp, cpu_seconds, .. } = &mut statistic;
    [processed_duration, processing_fps, last_stream_timestamp]
        .into_iter()
        .chain(cpu_seconds.values_mut())
        .for_each(|number| *number = rounded(*number));
    statistic
}

/// `{}` before the first job.
fn statistic_or_empty<S: Serializer>(statistic: &Option<Statistic>, serializer: S) -> Result<S::Ok, S::Error> {
    match statistic {
        Some(statistic) => statistic.serialize(serializer),
        None => Map::new().serialize(serializer),
    }
}

/// Schema that the answer of a replay adds to the document.
const PLUGIN_USE: &str = "PluginUse";

/// Written by hand, since [`Statistic`] is core's type, and core knows no OpenAPI.
pub(super) fn schema() -> Schema {
    let of = |kind: Type| ObjectBuilder::new().schema_type(kind);
    let figures = |names: &[&str], kind: fn() -> Type, object: ObjectBuilder| {
        names.iter().fold(object, |object, name| object.property(*name, ObjectBuilder::new().schema_type(kind())))
    };
    let counts = [
        ("posted", "Accepted by the router."),
        ("failed", "Refused, or given up: the deliveries in state failed."),
        ("not_posted", "Not accepted yet: the deliveries in states pending and retrying."),
        ("retrying", "Those of not_posted that were tried already; absent where there are none."),
    ];
    let counts = counts
        .iter()
        .fold(of(Type::Object), |o, (name, meaning)| o.property(*name, of(Type::Integer).description(Some(*meaning))));
    let whole = [
        "faces_posted",
        "faces_failed",
        "faces_not_posted",
        "frames_dropped",
        "frames_processed",
        "frames_imotion_skipped",
        "decoding_soft_errors",
        "time_jumps",
        "frame_width",
        "frame_height",
        "job_starts",
    ];
    let statistic = ObjectBuilder::new().description(Some("Figures of the last processing; empty before the first."));
    let statistic =
        figures(&["processed_duration", "processing_fps", "last_stream_timestamp"], || Type::Number, statistic);
    let statistic = figures(&whole, || Type::Integer, statistic)
        .property(
            "objects",
            of(Type::Object)
                .description(Some("By object type."))
                .additional_properties(Some(AdditionalProperties::RefOr(counts.into()))),
        )
        .property("extractors", of(Type::Object))
        .property(
            "plugins",
            of(Type::Object)
                .description(Some("Cost of each plugin."))
                .additional_properties(Some(AdditionalProperties::RefOr(Ref::from_schema_name(PLUGIN_USE).into()))),
        )
        .property(
            "other_video_streams",
            ArrayBuilder::new()
                .items(of(Type::String))
                .description(Some("Video streams of the source that were not processed; absent where there are none.")),
        )
        .property(
            "cpu_seconds",
            of(Type::Object)
                .description(Some("CPU time of the job's own threads by stage, in seconds; without FFmpeg's threads."))
                .additional_properties(Some(AdditionalProperties::RefOr(of(Type::Number).into()))),
        );
    let properties: [(&str, ObjectBuilder); 6] = [
        ("enabled", of(Type::Boolean).description(Some("The processing waits or runs."))),
        ("status", of(Type::String).enum_values(Some(VideoStatus::ALL.map(|status| status.to_string())))),
        ("msg", of(Type::String)),
        ("statistic", statistic),
        ("code", of(Type::String).enum_values(Some(["green", "yellow", "red", "gray"]))),
        ("code_desc", of(Type::String)),
    ];
    let object = of(Type::Object).read_only(true);
    properties.into_iter().fold(object, |o, (name, schema)| o.property(name, schema).required(name)).into()
}

#[cfg(test)]
mod tests {
    use ocellus_core::{SettingsSchema, Stage, Timestamp, VideoId};
    use serde_json::json;

    use super::*;

    fn completed(counts: &[(ObjectType, Counts)]) -> VideoRecord {
        let settings = SettingsSchema::new(&[], &["simple_iou".into()], &[]).unwrap().complete(None).unwrap();
        let mut video = VideoRecord::new(VideoId(1), 1, None, settings, Timestamp::UNIX_EPOCH);
        video.status = VideoStatus::Completed;
        video.statistic.get_or_insert_default().objects = counts.iter().cloned().collect();
        video
    }

    #[test]
    fn faces_are_counted_in_the_old_fields_too() {
        let counts = |posted, failed| Counts { posted, failed, ..Counts::default() };
        let video = completed(&[(ObjectType::face(), counts(1, 0)), (ObjectType::car(), counts(0, 1))]);
        let statistic = HealthStatusJson::new(&video).statistic.unwrap();
        assert_eq!((statistic.faces_posted, statistic.faces_failed), (1, 0));
        assert_eq!(statistic.objects[&ObjectType::car()].failed, 1);
    }

    #[test]
    fn numbers_of_the_statistic_are_rounded() {
        let mut video = completed(&[]);
        let statistic = video.statistic.get_or_insert_default();
        statistic.processed_duration = 1.333_999_999_999_999_9;
        statistic.cpu_seconds.insert(Stage::Decode, 0.1 + 0.2);
        let shown = HealthStatusJson::new(&video).statistic.unwrap();
        assert_eq!((shown.processed_duration, shown.cpu_seconds[&Stage::Decode]), (1.334, 0.3));
    }

    #[test]
    fn before_the_first_job_the_statistic_is_empty() {
        let mut video = completed(&[]);
        (video.status, video.statistic) = (VideoStatus::WaitingForSync, None);
        assert_eq!(
            serde_json::to_value(HealthStatusJson::new(&video)).unwrap(),
            json!({
                "enabled": false, "status": "WAITING_FOR_SYNC", "msg": "", "statistic": {}, "code": "red",
                "code_desc": "Videomanager job is missing. Wait for synchronization."
            })
        );
    }

    #[test]
    fn undelivered_objects_make_it_yellow_and_retried_ones_are_not_failed() {
        let health = |counts: Counts| HealthStatusJson::new(&completed(&[(ObjectType::face(), counts)]));
        let shown = |counts: Counts| serde_json::to_value(counts).unwrap();
        let waiting = Counts { posted: 1, not_posted: 2, ..Counts::default() };
        assert_eq!(health(waiting).code, Color::Green);
        assert_eq!(shown(waiting), json!({"posted": 1, "failed": 0, "not_posted": 2}));
        let retrying = Counts { retrying: 1, ..waiting };
        let tried = health(retrying);
        assert_eq!(tried.code, Color::Yellow);
        assert_eq!(shown(retrying), json!({"posted": 1, "failed": 0, "not_posted": 2, "retrying": 1}));
        assert_eq!(tried.statistic.map(|s| (s.faces_failed, s.faces_not_posted)), Some((0, 2)));
        assert_eq!(health(Counts { failed: 1, ..Counts::default() }).code, Color::Yellow);
    }
}
