//! JSON Schema of `stream_settings`, and operations on schemas: defaults, merges, unknown keys.

use serde_json::{Map, Value, json};

use crate::ObjectType;

/// The default router plugin. Its name is left out of serialized settings, since the vendor's
/// clients do not know the key.
pub(super) const DEFAULT_ROUTER: &str = "http";

/// The unknown key that an error reports; `None` for another error. `whole` is the value that was
/// validated.
pub fn unknown_key(error: &jsonschema::ValidationError<'_>, whole: &Value) -> Option<String> {
    use jsonschema::error::ValidationErrorKind as Kind;

    match error.kind() {
        Kind::AdditionalProperties { unexpected } => unexpected.first().cloned(),
        // For a schema that allows no key at all, the library reports the value of the key and the
        // path of the object that has it.
        Kind::FalseSchema => {
            let object = whole.pointer(error.instance_path().as_str())?.as_object()?;
            object.iter().find(|(_, value)| *value == error.instance().as_ref()).map(|(key, _)| key.clone())
        }
        _ => None,
    }
}

/// `value` completed by the schema's defaults, at every depth, in the schema's order.
pub(super) fn with_defaults(schema: &Value, value: &Value) -> Value {
    let (Some(properties), Some(given)) = (schema.get("properties").and_then(Value::as_object), value.as_object())
    else {
        return value.clone();
    };
    let complete = properties.iter().filter_map(|(key, sub)| {
        let value = given.get(key).or_else(|| sub.get("default"))?;
        Some((key.clone(), with_defaults(sub, value)))
    });
    // Keys that the schema does not name are allowed.
    let more = given.iter().filter(|(key, _)| !properties.contains_key(*key)).map(|(k, v)| (k.clone(), v.clone()));
    Value::Object(complete.chain(more).collect())
}

pub(super) fn merge_into(target: &mut Value, patch: &Value) {
    match (target, patch) {
        (Value::Object(target), Value::Object(patch)) => {
            for (key, value) in patch {
                merge_into(target.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (target, patch) => *target = patch.clone(),
    }
}

/// Writes `60.0` as `60`: to JSON Schema that is an integer, to Rust's types it is not. Numbers
/// that a double does not hold exactly stay as they are.
pub(super) fn whole_numbers(value: &mut Value) {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match value {
        Value::Number(number) if number.is_f64() => {
            if let Some(whole) = number.as_f64().filter(|n| n.fract() == 0.0 && n.abs() < EXACT) {
                *value = Value::from(whole as i64);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(whole_numbers),
        Value::Object(map) => map.values_mut().for_each(whole_numbers),
        _ => {}
    }
}

pub(super) fn document(object_types: &[ObjectType], trackers: &[String]) -> Value {
    let mut types = vec![ObjectType::face(), ObjectType::body(), ObjectType::car()];
    types.extend_from_slice(object_types);
    types.sort();
    types.dedup();

    let mut detectors = Map::new();
    for t in &types {
        detectors.insert(t.to_string(), detector(t, trackers));
    }
    let flag =
        |default: bool, description: &str| json!({"type": "boolean", "default": default, "description": description});
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
            "enable_liveness": flag(false, "Judge whether a face is alive; needs a liveness network among the attribute networks."),
            "record_audio": flag(false, "Keep audio too, with enable_recorder."),
            "use_rtsp_time": flag(true, "Take the wall clock from an RTSP source."),
            "router": router_name(&[DEFAULT_ROUTER.into()]),
        }
    })
}

pub(super) fn router_name(routers: &[String]) -> Value {
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
    let flag =
        |default: bool, description: &str| json!({"type": "boolean", "default": default, "description": description});
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
            "track_miss_interval": {"type": "number", "minimum": 0, "maximum": MANY, "default": 1, "description": "Seconds of stream time after which a track that was not seen again ends. With 0 that is the next frame: each detection is a track of its own."},
            "track_overlap_threshold": share(0.25, "The overlap (intersection over union) from which boxes of following frames are the same track."),
            "track_send_history": flag(false, "Post the track's boxes, too; needs track_max_duration_frames."),
            "tracker_type": {"type": "string", "enum": trackers, "default": "simple_iou", "description": "The tracker, by its plugin's name."},
            "track_deep_sort_matching_threshold": share(0.65, "deep_sort: the cosine similarity from which appearances match."),
            "track_deep_sort_filter_unconfirmed_tracks": flag(true, "deep_sort: tracks that were not confirmed are not posted."),
            "filter_track_min_duration_frames": count(1, 1, MANY, "Tracks with fewer frames are not posted."),
        }
    })
}
