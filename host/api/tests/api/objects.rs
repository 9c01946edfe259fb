//! Covers: the list of a video's objects, its filter and pages, and the objects' pictures.

use ocellus_core::{BestShotType, Feature, ObjectId, ObjectRecord, ShotSummary, TrackId, VideoId};
use ocellus_store::{Job, NewObject, Picture};
use serde_json::{Value, json};

use crate::server::Server;

fn shot(frame: u64) -> ShotSummary {
    let timestamp = "2025-03-28T11:55:13Z".parse().unwrap();
    ShotSummary { frame, time: frame as f64 / 3.0, timestamp, bbox: [1, 2, 30, 40], score: 0.9, quality: 0.123_456_79 }
}

/// A video with objects of these types, in a job that is over.
pub(crate) async fn with_objects(server: &Server, types: &[&str]) -> (u64, Vec<String>) {
    let (video, _, ids) = in_job(server, types, &json!({})).await;
    (video, ids)
}

/// The same in a job whose spec says this beside the settings; the job, too.
pub(crate) async fn in_job(server: &Server, types: &[&str], spec: &Value) -> (u64, Job, Vec<String>) {
    let video = server.add("a").await;
    let mut whole = serde_json::to_value(server.archive.video(VideoId(video)).unwrap().unwrap()).unwrap();
    whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    let job = server.archive.start_job(VideoId(video), &whole).unwrap();
    let mut ids = Vec::new();
    for (track, object_type) in types.iter().enumerate() {
        let id = ObjectId {
            job: job.id(),
            object_type: object_type.parse().unwrap(),
            track: TrackId(track as u64),
            shot: 0,
        };
        ids.push(id.to_string());
        let record = ObjectRecord {
            id,
            bs_type: BestShotType::Overall,
            end_of_track: true,
            first: shot(1),
            best: shot(2),
            last: shot(3),
            detections: 3,
            interpolated: 0,
            history: vec![],
            landmarks: None,
            attributes: vec![("colour".into(), "red".into())],
            features: vec![
                Feature { name: "body".into(), label: "van".into(), confidence: 0.75 },
                Feature::liveness(0.9, 0.5),
            ],
        };
        let pictures = vec![
            (Picture::Thumbnail, b"\xff\xd8 thumbnail".to_vec()),
            (Picture::Fullframe, b"\xff\xd8 fullframe".to_vec()),
        ];
        job.append_objects(&[NewObject { record, pictures }]).unwrap();
    }
    (video, job, ids)
}

fn ids(page: &Value) -> Vec<String> {
    page["results"].as_array().unwrap().iter().map(|o| o["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_is_as_documented() {
    let server = Server::start().await;
    let (video, made) = with_objects(&server, &["face"]).await;
    let id = &made[0];
    let page = server.get(&format!("/videos/{video}/objects/")).await.expect(200).json();
    let time = "2025-03-28T11:55:13.000000Z";
    let expected = json!({
        "id": id, "type": "face", "track_id": 0, "bs_type": "overall", "end_of_track": true,
        "first_timestamp": time, "best_timestamp": time, "last_timestamp": time,
        "first_time": 0.333333, "best_time": 0.666667, "last_time": 1.0,
        "bbox": [1, 2, 30, 40], "score": 0.9, "quality": 0.123457, "detections": 3, "interpolated": 0, "cluster": null, "attributes": {"colour": "red"},
        "features": {"body": {"name": "van", "confidence": 0.75}, "liveness": {"name": "real", "confidence": 0.9}},
        "thumbnail": server.url(&format!("/objects/{id}/thumbnail/")), "fullframe": server.url(&format!("/objects/{id}/fullframe/")),
    });
    assert_eq!(page, json!({"next_page": null, "prev_page": null, "results": [expected]}));
    for which in ["thumbnail", "fullframe"] {
        let picture = server.get(page["results"][0][which].as_str().unwrap()).await.expect(200);
        assert_eq!(picture.headers["content-type"], "image/jpeg");
        assert_eq!(picture.body, [b"\xff\xd8 ", which.as_bytes()].concat());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_come_by_type_and_page_by_page() {
    let server = Server::start().await;
    let (video, made) = with_objects(&server, &["face", "car", "face", "body", "face"]).await;
    let path = format!("/videos/{video}/objects/");
    let list = async |query: &str| server.get(&format!("{path}?{query}")).await.expect(200).json();
    assert_eq!(ids(&list("").await), made);
    assert_eq!(ids(&list("type=car&type=body").await), [made[1].clone(), made[3].clone()]);
    assert_eq!(ids(&list("type=car,body").await), [made[1].clone(), made[3].clone()]);
    assert!(ids(&list("type=drone").await).is_empty());

    let first = list("type=face&limit=2").await;
    assert_eq!((ids(&first), &first["prev_page"]), (vec![made[0].clone(), made[2].clone()], &Value::Null));
    let second = server.get(first["next_page"].as_str().unwrap()).await.expect(200).json();
    assert_eq!((ids(&second), &second["next_page"]), (vec![made[4].clone()], &Value::Null));
    let back = server.get(second["prev_page"].as_str().unwrap()).await.expect(200).json();
    assert_eq!(ids(&back), ids(&first));

    for (query, param) in [("limit=0", "limit"), ("type=No", "type"), ("page=zz", "page")] {
        server.get(&format!("{path}?{query}")).await.refuses(param);
    }
    let other = server.get("/videos/?limit=1").await.expect(200).json();
    assert!(other["next_page"].is_null());
    server.get("/videos/99/objects/").await.finds_no_video();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_video_takes_its_objects_with_it() {
    let server = Server::start().await;
    let (video, made) = with_objects(&server, &["face"]).await;
    server.delete(&format!("/videos/{video}/")).await.expect(204);
    for which in ["thumbnail", "fullframe"] {
        let answer = server.get(&format!("/objects/{}/{which}/", made[0])).await.expect(404).json();
        assert_eq!(answer["desc"], "No Object matches the given query.");
    }
}
