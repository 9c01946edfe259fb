//! JSON document of a post.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ocellus_plugin::{
    Bbox, BestShotType, Landmarks, Picture, PictureInfo, Point, Post, PostMoment, TrackPoint, facts, rfc3339_millis,
    six_digits,
};
use serde_json::{Map, Value, json};

/// Makes the document. `content` returns the content of the picture at an index of the post's list,
/// in addition to its type and size.
pub(crate) fn of(
    post: &Post,
    content: impl Fn(usize) -> Result<Option<(&'static str, Value)>, String>,
) -> Result<Value, String> {
    let mut pictures = Map::new();
    for (index, info) in post.pictures.iter().enumerate() {
        let mut picture = json!({
            "content_type": info.content_type,
            "width": info.size.width,
            "height": info.size.height,
            "region": bbox(info.region),
        });
        if let (Some(picture), Some((key, value))) = (picture.as_object_mut(), content(index)?) {
            picture.insert(key.to_owned(), value);
        }
        pictures.insert(name(info).to_owned(), picture);
    }
    let (features, attributes) = facts(&post.attributes);
    let features = features.iter().map(|feature| {
        let said = json!({"name": feature.label, "confidence": six_digits(feature.confidence)});
        (feature.name.to_owned(), said)
    });
    let attributes = attributes.iter().map(|noted| (noted.key.clone(), Value::from(noted.value.as_str())));
    let kind = match post.best_shot_type {
        BestShotType::Overall => "object.overall",
        BestShotType::Realtime => "object.realtime",
    };
    let mut data = json!({
        "id": post.id,
        "video": post.video,
        "job": post.job,
        "camera": post.camera,
        "camera_group": post.camera_group,
        "object_type": post.object_type,
        "track": post.track,
        "end_of_track": post.end_of_track,
        "best": moment(&post.best),
        "first": moment(&post.first),
        "last": moment(&post.last),
        "landmarks": post.landmarks.map(landmarks),
        "detections": post.detections,
        "interpolated": post.interpolated,
        "features": features.collect::<Map<_, _>>(),
        "attributes": attributes.collect::<Map<_, _>>(),
        "pictures": pictures,
    });
    if let (Some(data), false) = (data.as_object_mut(), post.history.is_empty()) {
        data.insert("history".to_owned(), post.history.iter().map(track_point).collect());
    }
    Ok(json!({"type": kind, "timestamp": rfc3339_millis(post.best.timestamp), "data": data}))
}

pub(crate) fn base64(file: &[u8]) -> Value {
    STANDARD.encode(file).into()
}

fn name(info: &PictureInfo) -> &'static str {
    match info.picture {
        Picture::Photo => "photo",
        Picture::Normalized => "normalized",
        Picture::FirstFrame => "first_frame",
        Picture::LastFrame => "last_frame",
    }
}

/// `[left, top, right, bottom]`
fn bbox(bbox: Bbox) -> Value {
    json!([bbox.left, bbox.top, bbox.right, bbox.bottom])
}

fn moment(moment: &PostMoment) -> Value {
    json!({
        "frame": moment.frame,
        "time": six_digits(moment.time),
        "timestamp": rfc3339_millis(moment.timestamp),
        "bbox": bbox(moment.bbox),
        "score": six_digits(moment.score.into()),
        "quality": six_digits(moment.quality.into()),
    })
}

fn track_point(point: &TrackPoint) -> Value {
    json!({
        "frame": point.frame,
        "time": six_digits(point.time),
        "timestamp": rfc3339_millis(point.timestamp),
        "bbox": bbox(point.bbox),
        "interpolated": point.interpolated,
    })
}

/// Points in pixels of the frame.
fn landmarks(landmarks: Landmarks) -> Value {
    let point = |point: Point| json!([six_digits(point.x.into()), six_digits(point.y.into())]);
    json!({
        "left_eye": point(landmarks.left_eye),
        "right_eye": point(landmarks.right_eye),
        "nose": point(landmarks.nose),
        "left_mouth": point(landmarks.left_mouth),
        "right_mouth": point(landmarks.right_mouth),
    })
}
