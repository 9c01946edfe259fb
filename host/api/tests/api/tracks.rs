//! Covers: the boxes of tracks: in a range of time, with a step, and continued where an answer
//! ends.

use ocellus_core::{ObjectType, TrackId};
use ocellus_store::TrackFrame;
use serde_json::{Value, json};

use crate::{objects, server::Server};

/// A video with an object of track 0, and the boxes of tracks 0 and 9, four a second for so long.
async fn with_tracks(server: &Server, seconds: u32) -> (u64, String) {
    let (video, job, ids) = objects::in_job(server, &["face"], &json!({})).await;
    let mut writer = job.begin_tracks().unwrap();
    for n in 0..seconds * 4 {
        let at = n as i32;
        let boxes = vec![
            (ObjectType::face(), TrackId(0), [at, 1, at + 10, 11]),
            (ObjectType::car(), TrackId(9), [0, at, 50, at + 50]),
        ];
        writer.add(TrackFrame { time: f64::from(n) / 4.0, boxes }).unwrap();
    }
    writer.finish().unwrap();
    (video, ids[0].clone())
}

fn times(track: &Value) -> Vec<f64> {
    track["boxes"].as_array().unwrap().iter().map(|b| b[0].as_f64().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn boxes_are_those_of_the_requested_time() {
    let server = Server::start().await;
    let (video, _) = with_tracks(&server, 60).await;
    let get = async |query: &str| server.get(&format!("/videos/{video}/tracks/?{query}")).await.expect(200).json();
    let some = get("from=12.5&to=13").await;
    assert_eq!(
        some,
        json!({
            "tracks": [
                {"id": 0, "type": "face", "object": null,
                    "boxes": [[12.5, 50, 1, 60, 11], [12.75, 51, 1, 61, 11], [13.0, 52, 1, 62, 11]]},
                {"id": 9, "type": "car", "object": null,
                    "boxes": [[12.5, 0, 50, 50, 100], [12.75, 0, 51, 50, 101], [13.0, 0, 52, 50, 102]]},
            ],
            "to": null,
        })
    );
    let whole = get("").await;
    assert_eq!(times(&whole["tracks"][0]).len(), 240);
    let sparse = get("step=20").await;
    assert_eq!(times(&sparse["tracks"][1]), [0.0, 20.0, 40.0]);
    assert_eq!(get("from=100").await, json!({"tracks": [], "to": null}));
    assert_eq!(get("from=5&to=4").await, json!({"tracks": [], "to": null}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_track_names_its_object_during_the_time_of_that_object() {
    let server = Server::start().await;
    let (video, object) = with_tracks(&server, 60).await;
    let objects = async |from: f64| {
        let found = server.get(&format!("/videos/{video}/tracks/?from={from}&to={from}")).await.expect(200).json();
        json!([found["tracks"][0]["object"], found["tracks"][1]["object"]])
    };
    // The object was seen until second 1; the number belongs to another track after it.
    assert_eq!(objects(0.5).await, json!([object, null]));
    assert_eq!(objects(1.25).await, json!([null, null]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_answer_is_continued_where_it_ends() {
    let server = Server::start().await;
    let (video, _) = with_tracks(&server, 7000).await;
    let (mut seen, mut from) = (Vec::new(), json!(0));
    while !from.is_null() {
        let page = server.get(&format!("/videos/{video}/tracks/?from={from}")).await.expect(200).json();
        let boxes: usize = page["tracks"].as_array().unwrap().iter().map(|track| times(track).len()).sum();
        assert!(boxes <= 50_000, "{boxes}");
        seen.extend(times(&page["tracks"][0]));
        from = page["to"].clone();
    }
    let expected: Vec<_> = (0..28_000).map(|n| f64::from(n) / 4.0).collect();
    assert_eq!(seen, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_parameters_are_refused() {
    let server = Server::start().await;
    let id = server.add("a").await;
    for (query, param) in [("from=-1", "from"), ("to=x", "to"), ("step=NaN", "step"), ("type=face", "type")] {
        server.get(&format!("/videos/{id}/tracks/?{query}")).await.refuses(param);
    }
    let none = server.get(&format!("/videos/{id}/tracks/")).await.expect(200).json();
    assert_eq!(none, json!({"tracks": [], "to": null}), "it was never processed");
    server.get("/videos/999/tracks/").await.finds_no_video();
}
