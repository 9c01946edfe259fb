//! `detectorParams` of a post: the track and its shots as JSON.

use ocellus_plugin::{Attribute, Bbox, Picture, Post, PostMoment, TrackPoint, rfc3339_millis};
use serde_json::{Map, Value, json};

use crate::part_name;

/// The photo's top left corner in the frame: all boxes are given in pixels of the photo.
pub(crate) fn origin(post: &Post) -> (i32, i32) {
    post.pictures.iter().find(|p| p.picture == Picture::Photo).map_or((0, 0), |p| (p.region.left, p.region.top))
}

/// `[left, top, right, bottom]`
pub(crate) fn bbox(bbox: Bbox, (x, y): (i32, i32)) -> Value {
    json!([
        bbox.left.saturating_sub(x),
        bbox.top.saturating_sub(y),
        bbox.right.saturating_sub(x),
        bbox.bottom.saturating_sub(y)
    ])
}

pub(crate) fn detector_params(post: &Post) -> Value {
    let origin = origin(post);
    let shot = |moment: &PostMoment, pictures: &[(&str, Picture)]| {
        let mut shot = Map::new();
        shot.insert("timestamp".into(), rfc3339_millis(moment.timestamp).into());
        shot.insert("bbox".into(), bbox(moment.bbox, origin));
        shot.insert("quality".into(), six_digits(moment.quality.into()));
        for (key, picture) in pictures {
            if post.pictures.iter().any(|p| p.picture == *picture) {
                shot.insert((*key).into(), format!("multipart:{}", part_name(*picture)).into());
            }
        }
        Value::Object(shot)
    };
    let mut shots = json!({
        "first": shot(&post.first, &[("full_frame", Picture::FirstFrame)]),
        "last": shot(&post.last, &[("full_frame", Picture::LastFrame)]),
        "best": shot(&post.best, &[("full_frame", Picture::Photo), ("normalized", Picture::Normalized)]),
    });
    if let (Some(shots), false) = (shots.as_object_mut(), post.history.is_empty()) {
        let moment = |p: &TrackPoint| {
            let mut point = json!({"timestamp": rfc3339_millis(p.timestamp), "bbox": bbox(p.bbox, origin)});
            if let (true, Some(point)) = (p.interpolated, point.as_object_mut()) {
                point.insert("interpolated".into(), true.into());
            }
            point
        };
        shots.insert("history".into(), post.history.iter().map(moment).collect());
    }

    let mut track = Map::new();
    track.insert("id".into(), post.track.clone().into());
    track.insert("first_timestamp".into(), rfc3339_millis(post.first.timestamp).into());
    track.insert("last_timestamp".into(), rfc3339_millis(post.last.timestamp).into());
    track.insert(post.object_type.clone(), shots);

    let mut params = json!({
        "score": six_digits(post.best.score.into()),
        "quality": six_digits(post.best.quality.into()),
        "cam_id": post.job,
        "detection_id": post.id,
        "track_objects": [post.object_type],
        "track_duration_seconds": six_digits(post.last.time - post.first.time),
        "end_of_track": post.end_of_track,
        "track": track,
    });
    if let Some(params) = params.as_object_mut() {
        let (features, attributes) = facts(&post.attributes);
        if let Some(score) = liveness_score(&features) {
            params.insert("liveness_score".into(), score);
        }
        for (key, facts) in [("features", features), ("attributes", attributes)] {
            if !facts.is_empty() {
                params.insert(key.into(), facts.into());
            }
        }
    }
    params
}

type Facts = Map<String, Value>;

/// What networks said, as the vendor's events have it, and what filters noted.
fn facts(attributes: &[Attribute]) -> (Facts, Facts) {
    let confidence_of = |name: &str| {
        let key = format!("{name}.confidence");
        attributes.iter().find(|a| a.key == key)?.value.parse::<f64>().ok()
    };
    let (mut features, mut noted) = (Facts::new(), Facts::new());
    for Attribute { key, value } in attributes {
        if let Some(confidence) = confidence_of(key) {
            features.insert(key.clone(), json!({"name": value, "confidence": six_digits(confidence)}));
        } else if key.strip_suffix(".confidence").and_then(confidence_of).is_none() {
            noted.insert(key.clone(), value.clone().into());
        }
    }
    (features, noted)
}

/// Probability that a face is alive.
fn liveness_score(features: &Facts) -> Option<Value> {
    let liveness = features.get("liveness")?;
    let confidence = liveness.get("confidence")?.as_f64()?;
    let is_fake = liveness.get("name")?.as_str()? == "fake";
    Some(six_digits(if is_fake { 1.0 - confidence } else { confidence }))
}

fn six_digits(value: f64) -> Value {
    ((value * 1e6).round() / 1e6).into()
}
