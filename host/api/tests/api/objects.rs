//! Covers: the list of a video's objects, its filter and pages, and the objects' pictures.

use ocellus_core::{
    BestShotType, Feature, ObjectId, ObjectRecord, ShotSummary, Statistic, TrackId, VideoId, VideoRecord,
};
use ocellus_store::{Job, NewObject, Picture};
use reqwest::Method;
use serde_json::{Value, json};

use crate::server::{Server, TOKEN};

fn shot(frame: u64) -> ShotSummary {
    let timestamp = "2025-03-28T11:55:13Z".parse().unwrap();
    ShotSummary { frame, time: frame as f64 / 3.0, timestamp, bbox: [1, 2, 30, 40], score: 0.9, quality: 0.123_456_79 }
}

/// A video with objects of these types, in a job that is over.
pub(crate) async fn with_objects(server: &Server, types: &[&str]) -> (u64, Vec<String>) {
    let (video, _, ids) = in_job(server, types, &json!({})).await;
    (video, ids)
}

/// The same, with these keys in the job's spec beside the settings; returns the job, too.
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
    assert_eq!(server.get(&format!("/objects/{id}/")).await.expect(200).json(), page["results"][0]);
    for which in ["thumbnail", "fullframe"] {
        let picture = server.get(page["results"][0][which].as_str().unwrap()).await.expect(200);
        assert_eq!(picture.headers["content-type"], "image/jpeg");
        assert_eq!(picture.body, [b"\xff\xd8 ", which.as_bytes()].concat());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_are_listed_by_type_in_pages() {
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

    for (query, param) in [
        ("limit=0", "limit"),
        ("type=No", "type"),
        ("page=zz", "page"),
        ("bs_type=best", "bs_type"),
        ("time_gte=now", "time_gte"),
        ("quality_lte=NaN", "quality_lte"),
        ("ordering=quality", "ordering"),
        ("format=xml", "format"),
        ("types=face", "types"),
    ] {
        server.get(&format!("{path}?{query}")).await.refuses(param);
    }
    let other = server.get("/videos/?limit=1").await.expect(200).json();
    assert!(other["next_page"].is_null());
    server.get("/videos/99/objects/").await.finds_no_video();
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_are_filtered_by_fields_of_their_records() {
    let server = Server::start().await;
    let (video, made) = with_objects(&server, &["face", "car", "face"]).await;
    let path = format!("/videos/{video}/objects/");
    for (query, expected) in [
        ("bs_type=overall", &[0, 1, 2][..]),
        ("bs_type=realtime", &[]),
        ("time_gte=0.6&time_lte=0.7", &[0, 1, 2]),
        ("time_lte=0.6", &[]),
        ("quality_gte=0.1", &[0, 1, 2]),
        ("quality_gte=0.5", &[]),
        ("quality_lte=0.5&type=face", &[0, 2]),
        ("ordering=-id", &[2, 1, 0]),
        ("ordering=-id&type=face&limit=1000", &[2, 0]),
    ] {
        let expected: Vec<_> = expected.iter().map(|n| made[*n].clone()).collect();
        assert_eq!(ids(&server.get(&format!("{path}?{query}")).await.expect(200).json()), expected, "{query}");
    }
    for (list, param) in [
        (format!("/videos/{video}/clusters/?size=1"), "size"),
        (format!("/videos/{video}/deliveries/?type=face"), "type"),
    ] {
        server.get(&list).await.refuses(param);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_are_exported_in_the_formats_of_other_tools() {
    let server = Server::start().await;
    let (video, made) = with_objects(&server, &["face", "car", "face"]).await;
    let export = async |query: &str| {
        let answer = server.get(&format!("/videos/{video}/objects/?{query}&limit=1")).await.expect(200);
        let media_type = answer.headers["content-type"].to_str().unwrap().to_owned();
        assert!(answer.headers["content-disposition"].to_str().unwrap().starts_with("attachment; filename="));
        (media_type, String::from_utf8(answer.body).unwrap())
    };
    let (media_type, text) = export("format=csv").await;
    assert_eq!(media_type, "text/csv; charset=utf-8");
    let rows: Vec<Vec<&str>> = text.split_terminator("\r\n").map(|row| row.split(',').collect()).collect();
    assert_eq!(rows.len(), 4);
    assert!(rows.iter().all(|row| row.len() == rows[0].len()), "{text}");
    assert_eq!(rows[1][..3], [&*made[0], "face", "0"]);
    assert_eq!(rows[2][4..11], ["0.333333", "0.666667", "1.0", "1", "2", "30", "40"]);

    let (_, text) = export("format=jsonl&type=face").await;
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let listed = server.get(&format!("/videos/{video}/objects/?type=face")).await.expect(200).json();
    assert_eq!(json!(lines), listed["results"]);

    let (_, text) = export("format=mot").await;
    assert_eq!(text, "3,1,1,2,29,38,0.9,-1,-1,-1\n3,2,1,2,29,38,0.9,-1,-1,-1\n3,3,1,2,29,38,0.9,-1,-1,-1\n");

    let (_, text) = export("format=coco").await;
    let coco: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(coco["categories"], json!([{"id": 1, "name": "face"}, {"id": 2, "name": "car"}]));
    assert_eq!((coco["images"].as_array().unwrap().len(), &coco["images"][0]["id"]), (1, &json!(2)));
    let annotations = coco["annotations"].as_array().unwrap();
    assert_eq!((annotations.len(), &annotations[1]["category_id"]), (3, &json!(2)));
    assert_eq!((&annotations[2]["bbox"], &annotations[2]["area"]), (&json!([1, 2, 29, 38]), &json!(1102)));

    let (_, text) = export("format=vtt&type=car").await;
    assert_eq!(text, format!("WEBVTT\n\n{}\n00:00:00.333 --> 00:00:01.000\ncar 1, quality 0.12\n", made[1]));
    assert_eq!(export("format=coco&type=drone").await.1, "{\"annotations\": [], \"images\": [], \"categories\": []}\n");
    server.get("/videos/99/objects/?format=csv").await.finds_no_video();

    // Compression polls once more after the end, which comes at once here.
    let empty = server.add("nothing in it").await;
    for format in ["csv", "jsonl", "mot", "coco", "vtt"] {
        let path = format!("/videos/{empty}/objects/?format={format}");
        let request = server.request(Method::GET, &path).header("authorization", format!("Token {TOKEN}"));
        server.send(request.header("accept-encoding", "gzip")).await.expect(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_are_deleted_with_their_video() {
    let server = Server::start().await;
    let (video, made) = with_objects(&server, &["face"]).await;
    server.delete(&format!("/videos/{video}/")).await.expect(204);
    for which in ["thumbnail", "fullframe"] {
        let answer = server.get(&format!("/objects/{}/{which}/", made[0])).await.expect(404).json();
        assert_eq!(answer["desc"], "No Object matches the given query.");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_router_stored_objects_count_as_posted() {
    let server = Server::start().await;
    let (video, _) = with_objects(&server, &["face", "car", "face"]).await;
    let count = |t: &str| (t.parse().unwrap(), if t == "face" { 2 } else { 1 });
    let finish = |v: &mut VideoRecord| {
        v.statistic = Some(Statistic::default());
        v.counts = ["face", "car"].map(count).into();
        Ok(())
    };
    server.archive.update(VideoId(video), finish).unwrap();
    let statistic = server.video(video).await["health_status"]["statistic"].clone();
    assert_eq!(statistic["faces_posted"], 2);
    let posted = |n: u64| json!({"posted": n, "failed": 0, "not_posted": 0});
    assert_eq!(statistic["objects"], json!({"face": posted(2), "car": posted(1)}));

    let settings = json!({"detectors": {"body": {}, "car": null}});
    server.patch(&format!("/videos/{video}/"), json!({"stream_settings": settings})).await.expect(200);
    let objects = server.video(video).await["health_status"]["statistic"]["objects"].clone();
    assert_eq!(objects, json!({"face": posted(2), "body": posted(0), "car": posted(1)}));
}
