//! `detectorParams` of a post: the track and its shots as JSON.

use ocellus_plugin::{Bbox, Feature, Picture, Post, PostMoment, TrackPoint, facts, rfc3339_millis, six_digits};
use serde_json::{Map, Value, json};

use crate::part_name;

/// The photo's top left corner in the frame, since all boxes are in pixels of the photo.
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
        shot.insert("quality".into(), six_digits(moment.quality.into()).into());
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
        let (features, noted) = facts(&post.attributes);
        if let Some(score) = liveness_score(&features) {
            params.insert("liveness_score".into(), score.into());
        }
        let features = features.iter().map(|feature| {
            let said = json!({"name": feature.label, "confidence": six_digits(feature.confidence)});
            (feature.name.to_owned(), said)
        });
        let noted = noted.iter().map(|noted| (noted.key.clone(), Value::from(noted.value.as_str())));
        for (key, facts) in [("features", features.collect::<Map<_, _>>()), ("attributes", noted.collect())] {
            if !facts.is_empty() {
                params.insert(key.into(), facts.into());
            }
        }
    }
    params
}

/// Probability that a face is alive.
fn liveness_score(features: &[Feature<'_>]) -> Option<f64> {
    let liveness = features.iter().find(|feature| feature.name == "liveness")?;
    let is_fake = liveness.label == "fake";
    Some(six_digits(if is_fake { 1.0 - liveness.confidence } else { liveness.confidence }))
}
