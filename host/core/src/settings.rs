//! Settings of a video's processing (`stream_settings`): the types, and the one JSON Schema that
//! validates, completes and documents them.
//!
//! Guarantees: an unknown key is refused with its path; every [`StreamSettings`] was valid against
//! the schema that created it; completing and merging never change a key that the caller did not
//! send.

mod preset;
mod schema;

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use self::preset::set_defaults;
pub use self::schema::unknown_key;
use self::schema::{DEFAULT_ROUTER, document, merge_into, router_name, whole_numbers, with_defaults};
use crate::{Error, ObjectType, Region, Result};

/// Settings of one object type: how it is tracked, filtered and reported.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DetectorSettings {
    /// Greatest longer side of a reported object in pixels; 0 is no limit.
    pub filter_max_size: u32,
    /// Least quality of a reported object, 0..=1.
    #[serde(with = "number")]
    pub filter_min_quality: f64,
    /// Least shorter side of a reported object in pixels.
    pub filter_min_size: u32,
    /// Whether full frames are cropped to `rot`.
    pub fullframe_crop_rot: bool,
    /// Whether full frames are PNG instead of JPEG.
    pub fullframe_use_png: bool,
    /// 0..=100
    pub jpeg_quality: u8,
    /// Whether a track gives one object, at its end; otherwise realtime shots, too.
    pub overall_only: bool,
    /// Whether a delivery at the end of a track carries the best shot's full frame.
    pub post_best_track_frame: bool,
    /// Whether a delivery at the end of a track carries the best shot's crop, aligned.
    pub post_best_track_normalize: bool,
    /// Whether a delivery at the end of a track carries the track's first frame.
    pub post_first_track_frame: bool,
    /// Whether a delivery at the end of a track carries the track's last frame.
    pub post_last_track_frame: bool,
    /// Realtime: whether the best shot of every interval is posted, even if an earlier one was
    /// better.
    pub realtime_post_every_interval: bool,
    /// Realtime: whether a track's first shot that passes the filters is posted at once.
    pub realtime_post_first_immediately: bool,
    /// Realtime: length in seconds of the windows from which best shots are chosen.
    #[serde(with = "number")]
    pub realtime_post_interval: f64,
    /// Region of interest: only objects with the box's centre in it are reported. `None` is
    /// everywhere.
    #[serde(with = "region_text")]
    pub roi: Option<Region>,
    /// Whether gaps of a track are filled with interpolated boxes.
    pub track_interpolate_bboxes: bool,
    /// Frames after which a track is ended and a new one begins; 0 is no limit.
    pub track_max_duration_frames: u64,
    /// Seconds of stream time without a detection after which a track ends.
    #[serde(with = "number")]
    pub track_miss_interval: f64,
    /// Least intersection over union of boxes of one track in successive frames, 0..=1.
    #[serde(with = "number")]
    pub track_overlap_threshold: f64,
    /// Whether deliveries carry the track's boxes; needs `track_max_duration_frames`.
    pub track_send_history: bool,
    /// Name of the tracker plugin.
    pub tracker_type: String,
    /// Least cosine similarity of matching appearance descriptors, 0..=1.
    #[serde(with = "number")]
    pub track_deep_sort_matching_threshold: f64,
    /// Whether tracks that the tracker did not confirm are dropped.
    pub track_deep_sort_filter_unconfirmed_tracks: bool,
    /// Least number of frames of a reported track.
    pub filter_track_min_duration_frames: u64,
}

/// EXIF orientations 1 to 8, applied after decoding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum VideoTransform {
    /// 1
    #[default]
    #[serde(rename = "")]
    None,
    /// 2: mirrored left to right.
    FlipHorizontal,
    /// 3
    Rotate180,
    /// 4: mirrored top to bottom.
    FlipVertical,
    /// 5: mirrored at the diagonal from top left to bottom right.
    Transpose,
    /// 6: 90 degrees clockwise.
    Rotate90,
    /// 7: mirrored at the diagonal from top right to bottom left.
    Transverse,
    /// 8: 270 degrees clockwise.
    Rotate270,
}

/// Settings of a video's processing. A value was valid against the [`SettingsSchema`] that made it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StreamSettings {
    /// Settings of each object type; `None` is off.
    pub detectors: BTreeMap<ObjectType, Option<DetectorSettings>>,
    /// Whether every frame is processed, however late it is.
    pub disable_drops: bool,
    /// FFmpeg's name of the container; empty for automatic detection.
    pub ffmpeg_format: String,
    /// FFmpeg input options, `key=value` each.
    pub ffmpeg_params: Vec<String>,
    /// Share of motion below which a frame is static, 0..=1; 0 is off.
    #[serde(with = "number")]
    pub imotion_threshold: f64,
    /// Multiple of real time at which the source is read; below 0 as fast as possible.
    #[serde(with = "number")]
    pub play_speed: f64,
    /// Region of tracking, to which detection is limited; `None` is the whole frame.
    #[serde(with = "region_text")]
    pub rot: Option<Region>,
    /// Milliseconds for one attempt of a delivery; 0 is the default.
    pub router_timeout_ms: u64,
    /// Whether a router's certificate has to be valid.
    pub router_verify_ssl: bool,
    /// Unix time in seconds, added to stream time.
    pub start_stream_timestamp: i64,
    /// Names of filter plugins that filter detections before tracking, separated by commas.
    pub stream_data_filter: String,
    /// Whether timestamps are stream time plus `start_stream_timestamp`, instead of the wall clock.
    pub use_stream_timestamp: bool,
    /// Applied to every frame after decoding.
    pub video_transform: VideoTransform,
    /// Whether the stream from a URL is recorded as the video's source file.
    pub enable_recorder: bool,
    /// Whether a network rates the liveness of each face; only where one is installed.
    pub enable_liveness: bool,
    /// Whether audio is recorded, too, with `enable_recorder`.
    pub record_audio: bool,
    /// Whether the wall clock is taken from an RTSP source.
    pub use_rtsp_time: bool,
    /// Name of the router plugin that encodes deliveries: an extension of the vendor's schema, as
    /// is `plugins`.
    #[serde(default = "default_router", skip_serializing_if = "is_default_router")]
    pub router: String,
    /// Settings of plugins, by their names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub plugins: BTreeMap<String, Value>,
}

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
        if value.fract() == 0.0 && value.abs() < 1e15 {
            serializer.serialize_i64(*value as i64)
        } else {
            serializer.serialize_f64(*value)
        }
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
        // Plugins supply patterns: this engine matches them in linear time.
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
    object_types: Vec<ObjectType>,
    trackers: Vec<String>,
    filters: Vec<String>,
    routers: Vec<String>,
    has_liveness: bool,
    check: fn(&StreamSettings) -> Result<()>,
}

impl SettingsSchema {
    /// `object_types`: those of installed detectors; face, body and car are always part of the
    /// schema. `trackers`: the names that `tracker_type` may have; `filters`: those that
    /// `stream_data_filter` may have. `router` can only be the default one.
    ///
    /// # Errors
    /// `Internal` where the result is not a valid JSON Schema, which would be a bug in this module;
    /// likewise for [`Self::with_routers`] and [`Self::with_plugins`].
    pub fn new(object_types: &[ObjectType], trackers: &[String], filters: &[String]) -> Result<Self> {
        let document = document(object_types, trackers);
        let validator = validator(&document).map_err(Error::internal)?;
        let routers = vec![DEFAULT_ROUTER.into()];
        Ok(Self {
            document,
            validator,
            object_types: object_types.to_vec(),
            trackers: trackers.to_vec(),
            filters: filters.to_vec(),
            routers,
            has_liveness: false,
            check: |_| Ok(()),
        })
    }

    /// Sets the names that `router` may have.
    pub fn with_routers(mut self, routers: &[String]) -> Result<Self> {
        if let Some(router) = self.document.pointer_mut("/properties/router") {
            *router = router_name(routers);
        }
        self.routers = routers.to_vec();
        self.validator = validator(&self.document).map_err(Error::internal)?;
        Ok(self)
    }

    /// Adds the settings of these plugins, by name and JSON Schema. Where a schema does not compile
    /// on its own, any object is valid here; the plugin checks it when the job begins.
    pub fn with_plugins(mut self, plugins: &[(String, Value)]) -> Result<Self> {
        let mut properties = Map::new();
        for (name, schema) in plugins {
            let mut schema = schema.clone();
            if let Some(schema) = schema.as_object_mut() {
                // References within the schema are resolved by this id.
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

    /// Allows `enable_liveness`, if `is_installed`.
    pub fn with_liveness(self, is_installed: bool) -> Self {
        Self { has_liveness: is_installed, ..self }
    }

    /// Makes an operator's settings the defaults, key by key. An object type in them is on by
    /// default if a detector for it is installed; otherwise it stays off, and gets these settings
    /// when a client switches it on.
    ///
    /// # Errors
    /// As [`SettingsSchema::complete`].
    pub fn with_preset(mut self, preset: &Value) -> Result<Self> {
        self.validate(preset)?;
        let object_types = &self.object_types;
        set_defaults(&mut self.document, preset, &mut Vec::new(), &|path| match path {
            ["detectors", name] => object_types.iter().any(|t| t.as_str() == *name),
            _ => true,
        });
        self.complete(None)?;
        Ok(self)
    }

    /// Adds a check that settings have to pass besides the schema.
    pub fn checked_by(self, check: fn(&StreamSettings) -> Result<()>) -> Self {
        Self { check, ..self }
    }

    /// The JSON Schema (2020-12), for the OpenAPI document and for people.
    pub fn document(&self) -> &Value {
        &self.document
    }

    /// Settings that a client sent with a new video, completed by the defaults.
    ///
    /// # Errors
    /// `BadParam` with the path of the offending key, from `stream_settings` on; likewise for
    /// [`SettingsSchema::merge`].
    pub fn complete(&self, sent: Option<&Value>) -> Result<StreamSettings> {
        let empty = Value::Object(Map::new());
        let sent = sent.unwrap_or(&empty);
        self.validate(sent)?;
        self.typed(with_defaults(&self.document, sent))
    }

    /// `current` with the settings that a client sent merged into it, key by key. A detector that
    /// was off and is sent as an object is switched on with its defaults.
    pub fn merge(&self, current: &StreamSettings, sent: &Value) -> Result<StreamSettings> {
        self.validate(sent)?;
        let mut merged = serde_json::to_value(current).map_err(Error::internal)?;
        merge_into(&mut merged, sent);
        self.typed(with_defaults(&self.document, &merged))
    }

    fn validate(&self, sent: &Value) -> Result<()> {
        match self.validator.iter_errors(sent).next() {
            Some(error) => Err(self.refusal(&error, sent)),
            None => Ok(()),
        }
    }

    fn typed(&self, mut complete: Value) -> Result<StreamSettings> {
        whole_numbers(&mut complete);
        let settings: StreamSettings =
            serde_json::from_value(complete).map_err(|e| Error::bad_param(PATH, format!("{e}.")))?;
        if settings.active().next().is_none() {
            return Err(Error::bad_param(format!("{PATH}.detectors"), "At least one detector must be on."));
        }
        if let Some(unknown) = settings.chosen_filters().find(|name| !self.filters.iter().any(|f| f == name)) {
            let text = format!("There is no filter {unknown:?}; installed: {}.", self.filters.join(", "));
            return Err(Error::bad_param(format!("{PATH}.stream_data_filter"), text));
        }
        if settings.enable_liveness && !self.has_liveness {
            return Err(Self::no_liveness());
        }
        (self.check)(&settings)?;
        Ok(settings)
    }

    /// The error for `enable_liveness` without a liveness network.
    pub fn no_liveness() -> Error {
        let text = "This server has no liveness network: install one, with a [liveness] section in its \
                    attributes.toml, in the folder that --attributes names.";
        Error::bad_param(format!("{PATH}.enable_liveness"), text)
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
                format!(
                    "{value} is no rectangle: expected \"WxH+X+Y\" in pixels, for example \"640x480+0+0\", or \"\"."
                ),
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

/// Shortens a message that quotes a client's input to a readable length.
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

#[cfg(test)]
mod tests;
