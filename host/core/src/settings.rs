//! `stream_settings`: the types, and the one JSON Schema that validates, completes and documents
//! them.
//!
//! Guarantees: objects are closed (an unknown key is refused by its path); a [`StreamSettings`]
//! that exists was valid against the schema that made it; completing and merging never touch a key
//! that the caller did not send.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{Error, ObjectType, Region, Result};

/// How one object type is tracked and reported. `../shared/reference/stream-settings.md` says what
/// each key means; the schema's descriptions say it again for the user.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DetectorSettings {
    /// Pixels, of the longer side; 0 is no limit.
    pub filter_max_size: u32,
    /// 0..=1
    #[serde(with = "number")]
    pub filter_min_quality: f64,
    /// Pixels, of the shorter side.
    pub filter_min_size: u32,
    pub fullframe_crop_rot: bool,
    pub fullframe_use_png: bool,
    /// 0..=100
    pub jpeg_quality: u8,
    pub overall_only: bool,
    pub post_best_track_frame: bool,
    pub post_best_track_normalize: bool,
    pub post_first_track_frame: bool,
    pub post_last_track_frame: bool,
    pub realtime_post_every_interval: bool,
    pub realtime_post_first_immediately: bool,
    /// Seconds.
    #[serde(with = "number")]
    pub realtime_post_interval: f64,
    #[serde(with = "region_text")]
    pub roi: Option<Region>,
    pub track_interpolate_bboxes: bool,
    /// 0 is no limit.
    pub track_max_duration_frames: u64,
    /// Seconds of stream time.
    #[serde(with = "number")]
    pub track_miss_interval: f64,
    /// 0..=1
    #[serde(with = "number")]
    pub track_overlap_threshold: f64,
    pub track_send_history: bool,
    pub tracker_type: String,
    /// Cosine similarity, 0..=1.
    #[serde(with = "number")]
    pub track_deep_sort_matching_threshold: f64,
    pub track_deep_sort_filter_unconfirmed_tracks: bool,
    pub filter_track_min_duration_frames: u64,
}

/// EXIF orientations 1 to 8, applied after decoding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum VideoTransform {
    #[default]
    #[serde(rename = "")]
    None,
    FlipHorizontal,
    Rotate180,
    FlipVertical,
    Transpose,
    /// Clockwise.
    Rotate90,
    Transverse,
    /// Clockwise, that is 90 degrees counter-clockwise.
    Rotate270,
}

/// How a video is processed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StreamSettings {
    /// `None` is off.
    pub detectors: BTreeMap<ObjectType, Option<DetectorSettings>>,
    pub disable_drops: bool,
    pub ffmpeg_format: String,
    /// `key=value` each.
    pub ffmpeg_params: Vec<String>,
    /// 0..=1; 0 is off.
    #[serde(with = "number")]
    pub imotion_threshold: f64,
    /// Times real time; below 0 as fast as possible.
    #[serde(with = "number")]
    pub play_speed: f64,
    #[serde(with = "region_text")]
    pub rot: Option<Region>,
    pub router_timeout_ms: u64,
    pub router_verify_ssl: bool,
    /// Seconds added to stream time.
    pub start_stream_timestamp: i64,
    pub stream_data_filter: String,
    pub use_stream_timestamp: bool,
    pub video_transform: VideoTransform,
    pub enable_recorder: bool,
    pub enable_liveness: bool,
    pub record_audio: bool,
    pub use_rtsp_time: bool,
    /// The router plugin that objects are posted by: an extension of the vendor's schema, as is the
    /// next.
    #[serde(default = "default_router", skip_serializing_if = "is_default_router")]
    pub router: String,
    /// Settings of plugins, by their names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub plugins: BTreeMap<String, Value>,
}

/// The router plugin that ships. Its name is not written where it is the one: clients of the
/// vendor's do not know the key.
const DEFAULT_ROUTER: &str = "http";

fn default_router() -> String {
    DEFAULT_ROUTER.into()
}

fn is_default_router(name: &str) -> bool {
    name == DEFAULT_ROUTER
}

impl StreamSettings {
    /// The detectors that are on, in the API's order.
    pub fn active(&self) -> impl Iterator<Item = (&ObjectType, &DetectorSettings)> {
        self.detectors.iter().filter_map(|(t, d)| Some((t, d.as_ref()?)))
    }

    /// The settings of an object type; `None` where it is off.
    pub fn detector(&self, object_type: &ObjectType) -> Option<&DetectorSettings> {
        self.detectors.get(object_type)?.as_ref()
    }

    /// The filters that `stream_data_filter` names, in its order.
    pub fn chosen_filters(&self) -> impl Iterator<Item = &str> {
        self.stream_data_filter.split(',').map(str::trim).filter(|name| !name.is_empty())
    }
}

/// Whole numbers are printed without a fraction, as clients sent them.
mod number {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        if value.fract() == 0.0 && value.abs() < 1e15 { serializer.serialize_i64(*value as i64) } else { serializer.serialize_f64(*value) }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        f64::deserialize(deserializer)
    }
}

mod region_text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::Region;

    pub(super) fn serialize<S: Serializer>(value: &Option<Region>, serializer: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(region) => serializer.collect_str(region),
            None => serializer.serialize_str(""),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Region>, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(D::Error::custom) }
    }
}

fn validator(document: &Value) -> Result<jsonschema::Validator, String> {
    jsonschema::options()
        .should_validate_formats(true)
        // Plugins bring patterns of their own: those take linear time on any text.
        .with_pattern_options(jsonschema::PatternOptions::regex())
        .with_format("region", |s: &str| s.is_empty() || Region::from_str(s).is_ok())
        .build(document)
        .map_err(|e| e.to_string())
}

const PATH: &str = "stream_settings";
const ROUTER_PATH: &str = "stream_settings.router";

/// The schema of `stream_settings` for the object types and trackers that this server has.
#[derive(Debug)]
pub struct SettingsSchema {
    document: Value,
    validator: jsonschema::Validator,
    trackers: Vec<String>,
    filters: Vec<String>,
    routers: Vec<String>,
    check: fn(&StreamSettings) -> Result<()>,
}

impl SettingsSchema {
    /// `object_types`: what installed detectors find; face, body and car are always part of the
    /// schema. `trackers`: the names that `tracker_type` may have; `filters`: those for
    /// `stream_data_filter`. `router` may be the one that ships.
    pub fn new(object_types: &[ObjectType], trackers: &[String], filters: &[String]) -> Result<Self> {
        let document = document(object_types, trackers);
        let validator = validator(&document).map_err(Error::internal)?;
        let routers = vec![DEFAULT_ROUTER.into()];
        Ok(Self { document, validator, trackers: trackers.to_vec(), filters: filters.to_vec(), routers, check: |_| Ok(()) })
    }

    /// Lets `router` have these names and no others.
    pub fn with_routers(mut self, routers: &[String]) -> Result<Self> {
        if let Some(router) = self.document.pointer_mut("/properties/router") {
            *router = router_name(routers);
        }
        self.routers = routers.to_vec();
        self.validator = validator(&self.document).map_err(Error::internal)?;
        Ok(self)
    }

    /// Lets the settings hold those of these plugins, by name and JSON Schema. A schema that only
    /// its plugin understands is one of any object here, and compared with the plugin when the job
    /// begins.
    pub fn with_plugins(mut self, plugins: &[(String, Value)]) -> Result<Self> {
        let mut properties = Map::new();
        for (name, schema) in plugins {
            let mut schema = schema.clone();
            if let Some(schema) = schema.as_object_mut() {
                // What it refers to within itself is found there.
                schema.entry("$id").or_insert_with(|| format!("ocellus:plugin/{name}").into());
            }
            let alone = validator(&schema).is_ok();
            properties.insert(name.clone(), if alone { schema } else { json!({"type": "object"}) });
        }
        if let Some(general) = self.document.get_mut("properties").and_then(Value::as_object_mut) {
            general.insert(
                "plugins".into(),
                json!({
                    "type": "object", "additionalProperties": false, "default": {},
                    "description": "Settings of plugins, by their names. What is left out takes the plugin's default.",
                    "properties": properties,
                }),
            );
        }
        self.validator = validator(&self.document).map_err(Error::internal)?;
        Ok(self)
    }

    /// Asks `check`, too, whether settings that fit the schema can be carried out.
    pub fn checked_by(self, check: fn(&StreamSettings) -> Result<()>) -> Self {
        Self { check, ..self }
    }

    /// The JSON Schema (2020-12), for the OpenAPI document and for people.
    pub fn document(&self) -> &Value {
        &self.document
    }

    /// Settings from what a client sent with a new video; what it left out takes its default.
    pub fn complete(&self, sent: Option<&Value>) -> Result<StreamSettings> {
        let empty = Value::Object(Map::new());
        let sent = sent.unwrap_or(&empty);
        self.validate(sent)?;
        self.typed(with_defaults(&self.document, sent))
    }

    /// `current` with what a client sent laid over it, key by key. A detector that was off and is
    /// sent as an object comes on with its defaults.
    pub fn merge(&self, current: &StreamSettings, sent: &Value) -> Result<StreamSettings> {
        self.validate(sent)?;
        let mut merged = serde_json::to_value(current).map_err(Error::internal)?;
        lay_over(&mut merged, sent);
        self.typed(with_defaults(&self.document, &merged))
    }

    fn validate(&self, sent: &Value) -> Result<()> {
        match self.validator.iter_errors(sent).next() {
            Some(error) => Err(self.refusal(&error, sent)),
            None => Ok(()),
        }
    }

    fn typed(&self, complete: Value) -> Result<StreamSettings> {
        let settings: StreamSettings =
            serde_json::from_value(complete).map_err(|e| Error::bad_param(PATH, "These settings do not fit together.").because(e))?;
        if settings.active().next().is_none() {
            return Err(Error::bad_param(format!("{PATH}.detectors"), "At least one detector must be on."));
        }
        if let Some(unknown) = settings.chosen_filters().find(|name| !self.filters.iter().any(|f| f == name)) {
            let text = format!("There is no filter {unknown:?}; installed: {}.", self.filters.join(", "));
            return Err(Error::bad_param(format!("{PATH}.stream_data_filter"), text));
        }
        if settings.enable_liveness {
            let text = "This server has no liveness detector: none is installed in its detectors folder.";
            return Err(Error::bad_param(format!("{PATH}.enable_liveness"), text));
        }
        (self.check)(&settings)?;
        Ok(settings)
    }

    fn refusal(&self, error: &jsonschema::ValidationError<'_>, sent: &Value) -> Error {
        use jsonschema::error::ValidationErrorKind as Kind;

        let mut path = PATH.to_owned();
        for segment in error.instance_path().to_string().split('/').skip(1) {
            path.push('.');
            path.push_str(&segment.replace("~1", "/").replace("~0", "~"));
        }
        let value = shortened(&error.instance().to_string());
        if let Some(key) = unknown_key(error, sent) {
            return Error::bad_param(format!("{path}.{key}"), format!("Unknown key {key:?}."));
        }
        match error.kind() {
            Kind::Format { .. } => Error::bad_param(
                path,
                format!("{value} is no rectangle: expected \"WxH+X+Y\" in pixels, for example \"640x480+0+0\", or \"\"."),
            ),
            Kind::Enum { .. } if path.ends_with("tracker_type") => {
                Error::bad_param(path, format!("There is no tracker {value}; installed: {}.", self.trackers.join(", ")))
            }
            Kind::Enum { .. } if path == ROUTER_PATH => {
                Error::bad_param(path, format!("There is no router {value}; installed: {}.", self.routers.join(", ")))
            }
            Kind::Not { .. } if path.ends_with("play_speed") => {
                Error::bad_param(path, "0 is no speed: give a multiple of real time, or -1 for as fast as possible.")
            }
            _ => {
                let mut text = shortened(&error.to_string());
                if !text.ends_with('.') {
                    text.push('.');
                }
                Error::bad_param(path, text)
            }
        }
    }
}

/// The key that a schema does not know, where that is what is wrong; `whole` is what was validated.
pub fn unknown_key(error: &jsonschema::ValidationError<'_>, whole: &Value) -> Option<String> {
    use jsonschema::error::ValidationErrorKind as Kind;

    match error.kind() {
        Kind::AdditionalProperties { unexpected } => unexpected.first().cloned(),
        // So the library says it where a schema names no key at all, with the value that the key
        // has and the path of the object that it is in.
        Kind::FalseSchema => {
            let object = whole.pointer(error.instance_path().as_str())?.as_object()?;
            object.iter().find(|(_, value)| *value == error.instance().as_ref()).map(|(key, _)| key.clone())
        }
        _ => None,
    }
}

/// A message that quotes what a client sent stays readable.
fn shortened(text: &str) -> String {
    const MOST: usize = 300;
    match text.char_indices().nth(MOST) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text.to_owned(),
    }
}

impl fmt::Display for SettingsSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.document.fmt(f)
    }
}

/// `value` with the schema's defaults for what is absent, at every depth, in the schema's order.
fn with_defaults(schema: &Value, value: &Value) -> Value {
    let (Some(properties), Some(given)) = (schema.get("properties").and_then(Value::as_object), value.as_object()) else {
        return value.clone();
    };
    let complete = properties.iter().filter_map(|(key, sub)| {
        let value = given.get(key).or_else(|| sub.get("default"))?;
        Some((key.clone(), with_defaults(sub, value)))
    });
    // What the schema does not name, it allows.
    let more = given.iter().filter(|(key, _)| !properties.contains_key(*key)).map(|(k, v)| (k.clone(), v.clone()));
    Value::Object(complete.chain(more).collect())
}

fn lay_over(target: &mut Value, patch: &Value) {
    match (target, patch) {
        (Value::Object(target), Value::Object(patch)) => {
            for (key, value) in patch {
                lay_over(target.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (target, patch) => *target = patch.clone(),
    }
}

fn document(object_types: &[ObjectType], trackers: &[String]) -> Value {
    let mut types = vec![ObjectType::face(), ObjectType::body(), ObjectType::car()];
    types.extend_from_slice(object_types);
    types.sort();
    types.dedup();

    let mut detectors = Map::new();
    for t in &types {
        detectors.insert(t.to_string(), detector(t, trackers));
    }
    let flag = |default: bool, description: &str| json!({"type": "boolean", "default": default, "description": description});
    json!({
        "type": "object",
        "additionalProperties": false,
        "description": "How a video is processed. Every key may be left out; unknown keys are refused.",
        "default": {},
        "properties": {
            "detectors": {
                "type": "object", "additionalProperties": false, "default": {},
                "description": "One entry for each object type. {} is on with the defaults, null is off; left out, face is on and the others are off.",
                "properties": detectors,
            },
            "disable_drops": flag(true, "true: every frame is processed, however long it takes. false: with play_speed above 0, frames that come too late are dropped."),
            "ffmpeg_format": {"type": "string", "maxLength": 64, "pattern": "^[A-Za-z0-9_,]*$", "default": "", "description": "FFmpeg's name of the container, where it is not recognised."},
            "ffmpeg_params": {"type": "array", "items": {"type": "string", "minLength": 1, "maxLength": 256}, "maxItems": 64, "default": [], "description": "FFmpeg input options, key=value each."},
            "imotion_threshold": {"type": "number", "minimum": 0, "maximum": 1, "default": 0, "description": "Frames with less motion than this are not looked at; 0 looks at all."},
            "play_speed": {"type": "number", "minimum": -1, "maximum": 100, "not": {"const": 0}, "default": -1, "description": "Multiple of real time at which the source is read; below 0: as fast as possible."},
            "rot": region("Region of tracking, WxH+X+Y in pixels of the transformed frame: only what lies within it is looked at. \"\" is the whole frame."),
            "router_timeout_ms": {"type": "integer", "minimum": 0, "maximum": 300_000, "default": 15_000, "description": "Milliseconds until one post to the router is given up; 0 takes the default."},
            "router_verify_ssl": flag(true, "false accepts a router's self-signed certificate."),
            "start_stream_timestamp": {"type": "integer", "minimum": 0, "maximum": 100_000_000_000_u64, "default": 0, "description": "Seconds (Unix time) added to stream time."},
            "stream_data_filter": {"type": "string", "maxLength": 1024, "default": "", "description": "Names of filter plugins that see detections before tracking, separated by commas."},
            "use_stream_timestamp": flag(false, "true: timestamps are stream time plus start_stream_timestamp. false: they are the server's clock at processing."),
            "video_transform": {"enum": ["", "FlipHorizontal", "Rotate180", "FlipVertical", "Transpose", "Rotate90", "Transverse", "Rotate270"], "default": "", "description": "Applied to every frame after decoding; the names are EXIF's orientations."},
            "enable_recorder": flag(false, "Keep what a URL streams as the video's source file."),
            "enable_liveness": flag(false, "Judge whether a face is alive; needs a liveness detector."),
            "record_audio": flag(false, "Keep audio too, with enable_recorder."),
            "use_rtsp_time": flag(true, "Take the wall clock from an RTSP source."),
            "router": router_name(&[DEFAULT_ROUTER.into()]),
        }
    })
}

fn router_name(routers: &[String]) -> Value {
    let description = "The router plugin that makes requests to router_url out of objects and judges the answers, by its name. Where it is http, the key is not shown.";
    json!({"type": "string", "enum": routers, "default": DEFAULT_ROUTER, "description": description})
}

fn region(description: &str) -> Value {
    json!({"type": "string", "maxLength": 64, "format": "region", "default": "", "description": description})
}

fn detector(object_type: &ObjectType, trackers: &[String]) -> Value {
    let (min_quality, on) = match object_type.as_str() {
        "face" => (0.42, true),
        "body" => (0.6, false),
        "car" => (0.65, false),
        _ => (0.5, false),
    };
    let flag = |default: bool, description: &str| json!({"type": "boolean", "default": default, "description": description});
    let count = |minimum: u64, default: u64, maximum: u64, description: &str| json!({"type": "integer", "minimum": minimum, "maximum": maximum, "default": default, "description": description});
    let share = |default: f64, description: &str| json!({"type": "number", "minimum": 0, "maximum": 1, "default": default, "description": description});
    const MANY: u64 = 1_000_000;
    json!({
        "type": ["object", "null"],
        "additionalProperties": false,
        "default": if on { json!({}) } else { Value::Null },
        "properties": {
            "filter_max_size": count(0, 8192, 100_000, "Pixels: objects whose longer side is longer are not posted; 0 is off."),
            "filter_min_quality": share(min_quality, "Objects of a lower quality are not posted."),
            "filter_min_size": count(0, 60, 100_000, "Pixels: objects whose shorter side is shorter are not posted."),
            "fullframe_crop_rot": flag(false, "Post the full frame cropped to rot."),
            "fullframe_use_png": flag(false, "Post the full frame as PNG."),
            "jpeg_quality": count(0, 95, 100, "JPEG quality of the pictures."),
            "overall_only": flag(true, "true: one post for each track, when it ends. false: posts while it goes on, too."),
            "post_best_track_frame": flag(true, "The post at the end of a track carries the best shot's full frame."),
            "post_best_track_normalize": flag(true, "The post at the end of a track carries the best shot's crop."),
            "post_first_track_frame": flag(false, "The post at the end of a track carries the track's first frame."),
            "post_last_track_frame": flag(false, "The post at the end of a track carries the track's last frame."),
            "realtime_post_every_interval": flag(false, "Realtime: post the best of every interval; false: only where it beats what was posted."),
            "realtime_post_first_immediately": flag(false, "Realtime: post a track's first good detection at once."),
            "realtime_post_interval": {"type": "number", "minimum": 0, "maximum": MANY, "default": 1, "description": "Realtime: seconds over which the best shot is chosen."},
            "roi": region("Region of interest, WxH+X+Y: only objects whose box's centre lies within are posted; they are tracked outside it, too. \"\" is everywhere."),
            "track_interpolate_bboxes": flag(true, "Fill a track's gaps with boxes in between."),
            "track_max_duration_frames": count(0, 0, MANY, "A longer track is ended and a new one begins; 0 is no limit."),
            "track_miss_interval": {"type": "number", "minimum": 0, "maximum": MANY, "default": 1, "description": "Seconds of stream time after which a track that was not seen again ends."},
            "track_overlap_threshold": share(0.25, "The overlap (intersection over union) from which boxes of following frames are the same track."),
            "track_send_history": flag(false, "Post the track's boxes, too; needs track_max_duration_frames."),
            "tracker_type": {"type": "string", "enum": trackers, "default": "simple_iou", "description": "The tracker, by its plugin's name."},
            "track_deep_sort_matching_threshold": share(0.65, "deep_sort: the cosine similarity from which appearances match."),
            "track_deep_sort_filter_unconfirmed_tracks": flag(true, "deep_sort: tracks that were not confirmed are not posted."),
            "filter_track_min_duration_frames": count(1, 1, MANY, "Tracks with fewer frames are not posted."),
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn schema() -> SettingsSchema {
        SettingsSchema::new(&[], &["simple_iou".into()], &["nested".into(), "roi".into()]).unwrap()
    }

    fn refused(sent: Value) -> (String, String) {
        let error = schema().complete(Some(&sent)).unwrap_err();
        (error.param().unwrap().to_owned(), error.public().to_owned())
    }

    #[test]
    fn nothing_sent_is_the_documented_default() {
        let settings = serde_json::to_value(schema().complete(None).unwrap()).unwrap();
        let face = &settings["detectors"]["face"];
        assert_eq!(face["filter_min_quality"], 0.42);
        assert_eq!(face["tracker_type"], "simple_iou");
        assert_eq!(face["roi"], "");
        assert_eq!(settings["detectors"]["body"], Value::Null);
        assert_eq!(settings["detectors"]["car"], Value::Null);
        assert_eq!(settings["play_speed"], -1);
        assert_eq!(settings["disable_drops"], true);
    }

    #[test]
    fn an_empty_object_is_on_and_null_is_off() {
        let settings = schema().complete(Some(&json!({"detectors": {"car": {}, "face": null}}))).unwrap();
        assert_eq!(settings.active().map(|(t, _)| t.as_str()).collect::<Vec<_>>(), ["car"]);
    }

    #[test]
    fn refusals_name_the_path() {
        assert_eq!(refused(json!({"detectors": {"face": {"roi": "string"}}})).0, "stream_settings.detectors.face.roi");
        assert_eq!(refused(json!({"detectors": {"face": {"colour": 1}}})).0, "stream_settings.detectors.face.colour");
        assert_eq!(refused(json!({"detectors": {"cat": {}}})).0, "stream_settings.detectors.cat");
        assert_eq!(refused(json!({"speed": 1})).0, "stream_settings.speed");
        assert_eq!(refused(json!({"play_speed": 0})).0, "stream_settings.play_speed");
        assert_eq!(refused(json!({"ffmpeg_params": ["a=b", ""]})).0, "stream_settings.ffmpeg_params.1");
        assert_eq!(refused(json!({"detectors": {"face": null}})).0, "stream_settings.detectors");
        assert_eq!(refused(json!([])).0, "stream_settings");
        assert_eq!(refused(json!({"enable_liveness": true})).0, "stream_settings.enable_liveness");
        let (path, text) = refused(json!({"stream_data_filter": "roi, nestd"}));
        assert_eq!(path, "stream_settings.stream_data_filter");
        assert!(text.contains("\"nestd\"") && text.contains("nested, roi"), "{text}");
        let (path, text) = refused(json!({"detectors": {"face": {"tracker_type": "deep"}}}));
        assert_eq!(path, "stream_settings.detectors.face.tracker_type");
        assert!(text.contains("simple_iou") && text.contains("\"deep\""), "{text}");
    }

    #[test]
    fn plugins_have_settings_of_their_own_held_against_their_schemas() {
        let speed = json!({
            "type": "object", "additionalProperties": false, "required": ["road"],
            "properties": {"road": {"$ref": "#/$defs/name"}, "limit": {"type": "integer", "minimum": 1, "default": 50}},
            "$defs": {"name": {"type": "string", "pattern": "^[a-z]+$"}}
        });
        let broken = json!({"$ref": "https://example.org/nowhere"});
        let schema = schema().with_plugins(&[("speed".into(), speed), ("broken".into(), broken)]).unwrap();
        assert!(schema.complete(None).unwrap().plugins.is_empty());
        let settings = schema.complete(Some(&json!({"plugins": {"speed": {"road": "elm"}, "broken": {"a": 1}}}))).unwrap();
        assert_eq!(settings.plugins["speed"], json!({"road": "elm", "limit": 50}));
        assert_eq!(settings.plugins["broken"], json!({"a": 1}));
        let patched = schema.merge(&settings, &json!({"plugins": {"speed": {"road": "oak"}}})).unwrap();
        assert_eq!(patched.plugins["speed"], json!({"road": "oak", "limit": 50}));
        for (sent, path) in [
            (json!({"speed": {"road": "Elm"}}), "plugins.speed.road"),
            (json!({"speed": {"road": "elm", "limit": 0}}), "plugins.speed.limit"),
            (json!({"speed": {"road": "elm", "lmit": 1}}), "plugins.speed.lmit"),
            (json!({"speed": 1}), "plugins.speed"),
            (json!({"sped": {}}), "plugins.sped"),
            (json!([]), "plugins"),
        ] {
            let error = schema.complete(Some(&json!({"plugins": sent}))).unwrap_err();
            assert_eq!(error.param(), Some(&*format!("stream_settings.{path}")), "{sent}");
        }
    }

    #[test]
    fn a_router_is_chosen_by_its_name_and_the_one_that_ships_is_not_written() {
        let schema = schema().with_routers(&["http".into(), "to-queue".into()]).unwrap();
        let settings = schema.complete(None).unwrap();
        assert_eq!(settings.router, "http");
        let written = serde_json::to_value(&settings).unwrap();
        assert_eq!(written.get("router"), None);
        assert_eq!(serde_json::from_value::<StreamSettings>(written).unwrap(), settings);
        let chosen = schema.merge(&settings, &json!({"router": "to-queue"})).unwrap();
        assert_eq!((chosen.router.as_str(), &serde_json::to_value(&chosen).unwrap()["router"]), ("to-queue", &json!("to-queue")));
        assert_eq!(schema.merge(&chosen, &json!({"play_speed": 2})).unwrap().router, "to-queue");
        let error = schema.complete(Some(&json!({"router": "to-que"}))).unwrap_err();
        assert_eq!(error.param(), Some("stream_settings.router"));
        assert_eq!(error.public(), "There is no router \"to-que\"; installed: http, to-queue.");
        assert_eq!(refused(json!({"router": "to-queue"})).0, "stream_settings.router", "it is not installed");
    }

    #[test]
    fn a_patch_changes_only_what_it_names() {
        let schema = schema();
        let before = schema.complete(Some(&json!({"detectors": {"face": {"jpeg_quality": 50}, "body": {}}}))).unwrap();
        let after = schema.merge(&before, &json!({"play_speed": 2, "detectors": {"body": null, "car": {"roi": "1x2+3+4"}}})).unwrap();
        let mut expected = before.clone();
        expected.play_speed = 2.0;
        expected.detectors.insert(ObjectType::body(), None);
        let mut car = schema.complete(Some(&json!({"detectors": {"car": {}}}))).unwrap().detectors[&ObjectType::car()].clone().unwrap();
        car.roi = Some(Region { width: 1, height: 2, x: 3, y: 4 });
        expected.detectors.insert(ObjectType::car(), Some(car));
        assert_eq!(after, expected);
    }

    #[test]
    fn an_installed_detector_adds_its_type() {
        let schema = SettingsSchema::new(&["drone".parse().unwrap()], &["simple_iou".into()], &[]).unwrap();
        let settings = schema.complete(Some(&json!({"detectors": {"drone": {}}}))).unwrap();
        assert_eq!(settings.active().map(|(t, _)| t.as_str()).collect::<Vec<_>>(), ["face", "drone"]);
    }

    fn anything() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            "[a-z]{0,6}".prop_map(Value::from)
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            let key = prop_oneof![
                Just("detectors".to_owned()),
                Just("face".to_owned()),
                Just("roi".to_owned()),
                Just("play_speed".to_owned()),
                "[a-z]{1,5}".prop_map(String::from)
            ];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::vec((key, inner), 0..4).prop_map(|kv| Value::Object(kv.into_iter().collect()))
            ]
        })
    }

    proptest! {
        #[test]
        fn whatever_is_sent_is_settings_or_a_refusal_with_a_path(sent in anything()) {
            match schema().complete(Some(&sent)) {
                Ok(settings) => {
                    let json = serde_json::to_value(&settings).unwrap();
                    prop_assert_eq!(schema().complete(Some(&json)).unwrap(), settings);
                }
                Err(error) => prop_assert!(error.param().unwrap().starts_with("stream_settings")),
            }
        }
    }
}
