//! Covers: the shipped router `http` as a component: the video worker's multipart request with
//! features, and the interpretation of responses.

use ocellus_core::{
    BestShotType, Feature, JobId, ObjectId, ObjectRecord, ObjectType, ShotSummary, Timestamp, TrackId, VideoId,
};
use ocellus_runtime::{Body, Content, Outcome, Part, Picture, PictureInfo, Post, Request};
use serde_json::{Value, json};

use crate::common::{SIZE, shipped};

pub(crate) fn object() -> ObjectRecord {
    let shot = |frame: u64| ShotSummary {
        frame,
        time: frame as f64 / 10.0,
        timestamp: Timestamp::from_microsecond(1_625_125_934_822_000 + frame as i64 * 100_000).unwrap(),
        bbox: [62, 38, 138, 114],
        score: 0.9,
        quality: 0.8,
    };
    let job = JobId { video: VideoId(7), number: 1 };
    ObjectRecord {
        id: ObjectId { job, object_type: ObjectType::face(), track: TrackId(44), shot: 0 },
        bs_type: BestShotType::Overall,
        end_of_track: true,
        best: shot(20),
        first: shot(0),
        last: shot(42),
        detections: 40,
        interpolated: 0,
        history: vec![],
        landmarks: None,
        attributes: vec![],
        features: vec![],
    }
}

pub(crate) fn post<'a>(object: &'a ObjectRecord, pictures: &'a [PictureInfo]) -> Post<'a> {
    Post { object, url: "http://127.0.0.1:9/v0/frame", camera: None, camera_group: Some(1), pictures }
}

fn pictures() -> Vec<PictureInfo> {
    [Picture::Photo, Picture::Normalized]
        .map(|picture| PictureInfo { picture, content_type: "image/jpeg".into(), size: SIZE, region: [0, 0, 640, 480] })
        .into()
}

fn text<'a>(request: &'a Request, name: &str) -> &'a str {
    let Body::Multipart(parts) = &request.body else { panic!("not multipart") };
    match parts.iter().find(|p| p.name == name) {
        Some(Part { content: Content::Text(text), .. }) => text,
        other => panic!("{name}: {other:?}"),
    }
}

#[test]
fn an_object_becomes_the_video_workers_request() {
    let mut router = shipped().router("http", &json!({"token": "secret"})).unwrap();
    let (object, pictures) = (object(), pictures());
    let request = router.encode(&post(&object, &pictures), None).unwrap();
    assert_eq!((request.method.as_str(), request.url.as_str()), ("POST", "http://127.0.0.1:9/v0/frame"));
    assert!(request.headers.contains(&("authorization".into(), "Token secret".into())));
    assert!(request.headers.contains(&("idempotency-key".into(), "7-1-face-44-0".into())));

    let Body::Multipart(parts) = &request.body else { panic!("not multipart") };
    let names: Vec<_> = parts.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(names, ["photo", "normalized", "cam_id", "timestamp", "bbox", "detectorParams", "bs_type", "labels"]);
    assert_eq!(parts[0].content, Content::Picture(Picture::Photo));
    assert_eq!(parts[0].filename.as_deref(), Some("full_frame.jpg"));
    assert_eq!(text(&request, "timestamp"), "2021-07-01T07:52:16.822Z");
    assert_eq!(text(&request, "bbox"), "[[62,38,138,114]]");
    assert_eq!(text(&request, "bs_type"), "overall");
    assert_eq!(text(&request, "labels"), r#"{"object_type":"face","video_id":7}"#);
    let params: Value = serde_json::from_str(text(&request, "detectorParams")).unwrap();
    assert_eq!(params["track"]["face"]["best"]["bbox"], json!([62, 38, 138, 114]));
    assert_eq!(params["track_duration_seconds"], 4.2);

    // The same post gives the same request, also from another session.
    let mut again = shipped().router("http", &json!({"token": "secret"})).unwrap();
    assert_eq!(again.encode(&post(&object, &pictures), None).unwrap(), request);
}

#[test]
fn features_are_posted_with_their_confidence() {
    let mut router = shipped().router("http", &json!({})).unwrap();
    let features = vec![
        Feature { name: "hair".into(), label: "long".into(), confidence: 0.75 },
        Feature { name: "hat".into(), label: "none".into(), confidence: 0.5 },
        Feature::liveness(0.25, 0.674),
    ];
    let attributes = vec![("hat".into(), "red".into()), ("gate".into(), "3".into())];
    let object = ObjectRecord { attributes, features, ..object() };
    let mut params = |object: &ObjectRecord| -> Value {
        let request = router.encode(&post(object, &pictures()), None).unwrap();
        serde_json::from_str(text(&request, "detectorParams")).unwrap()
    };
    let posted = params(&object);
    assert_eq!(posted["attributes"], json!({"hat": "red", "gate": "3"}), "a filter's goes first");
    let expected =
        json!({"hair": {"name": "long", "confidence": 0.75}, "liveness": {"name": "fake", "confidence": 0.75}});
    assert_eq!((&posted["features"], &posted["liveness_score"]), (&expected, &json!(0.25)));
    let without = params(&ObjectRecord { attributes: vec![], features: vec![], ..object.clone() });
    for key in ["attributes", "features", "liveness_score"] {
        assert_eq!(without.get(key), None, "{key}");
    }
}

#[test]
fn responses_are_interpreted_by_their_status() {
    let mut router = shipped().router("http", &json!({})).unwrap();
    let mut judge = |status, headers: &[(String, String)]| router.judge(status, headers, &[b'x'; 10_000]).unwrap();
    assert_eq!(judge(202, &[]), Outcome::Accepted);
    assert_eq!(judge(503, &[]), Outcome::Retry { after_ms: None });
    assert_eq!(judge(429, &[("retry-after".into(), "3".into())]), Outcome::Retry { after_ms: Some(3000) });
    assert!(matches!(judge(415, &[]), Outcome::Refused { reason } if reason.contains("415")));
}
