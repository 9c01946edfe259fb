//! Covers: a camera over a restart of the server. It is watched at once; numbers and times go on
//! behind what was seen before; what was found before is there, and what is found after it, and a
//! replay makes the same of the log with its gap.

use std::collections::HashSet;

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    media,
    rtsp::{Manner, Rtsp},
    server::Server,
};

/// Frames that the camera shows to everyone who asks.
const SHOWN: u64 = 250;

fn ids(objects: &[Value]) -> HashSet<String> {
    objects.iter().map(|o| o["id"].as_str().unwrap().to_owned()).collect()
}

fn tracks<'a>(objects: impl Iterator<Item = &'a Value>) -> HashSet<u64> {
    objects.map(|o| o["track_id"].as_u64().unwrap()).collect()
}

fn frames(video: &Value) -> u64 {
    let statistic = &video["health_status"]["statistic"];
    statistic["frames_processed"].as_u64().unwrap() + statistic["frames_dropped"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_is_watched_at_once_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let camera = Rtsp::start(&media::filmed_street(dir.path(), SHOWN as u32), Manner::Camera);
    let car = json!({
        "filter_min_size": 15, "filter_min_quality": 0.1, "track_miss_interval": 0.2,
        "overall_only": false, "realtime_post_interval": 1, "realtime_post_first_immediately": true,
    });
    let server = Server::start(&data);
    let id = server
        .create(
            json!({"url": camera.url(), "stream_settings": {"detectors": {"face": null, "body": null, "car": car}}}),
        )
        .await;
    server.process(id).await;
    server.under_way(id, 60).await;
    server.wait(id, "with objects", |v| v["car_count"].as_u64() > Some(1)).await;
    let before = server.objects(id).await;
    let seen = frames(&server.video(id).await);
    server.kill();

    let server = Server::start(&data);
    let watched = server.under_way(id, seen + 40).await;
    // With a polite end nothing is lost: what is seen is reported.
    assert!(server.terminate().success());
    let server = Server::start(&data);
    let video = server.finished(id).await;
    // A camera that goes away has broken off.
    assert_eq!(video["health_status"]["status"], "INTERRUPTED", "{video:#}");
    assert!(frames(&video) > frames(&watched) + SHOWN * 8 / 10, "{} {}", frames(&video), frames(&watched));
    assert_eq!(video["health_status"]["statistic"]["job_starts"], 3);

    let objects = server.objects(id).await;
    assert!(ids(&before).is_subset(&ids(&objects)), "{before:#?} {objects:#?}");
    assert_eq!(ids(&objects).len(), objects.len());
    let last_before = before.iter().map(|o| o["last_time"].as_f64().unwrap()).fold(0.0, f64::max);
    let after: Vec<_> = objects.iter().filter(|o| o["first_time"].as_f64().unwrap() > last_before + 2.0).collect();
    assert!(!after.is_empty(), "{objects:#?}");
    assert!(tracks(before.iter()).is_disjoint(&tracks(after.iter().copied())), "{objects:#?}");
    for object in &objects {
        assert!(media::jpeg_size(&server.bytes(object["thumbnail"].as_str().unwrap()).await).is_some(), "{object:#}");
    }

    let response =
        server.request(Method::POST, &format!("/videos/{id}/replay/")).json(&json!({})).send().await.unwrap();
    let replay: Value = response.json().await.unwrap();
    assert_eq!((&replay["objects"], &replay["same"]), (&json!(objects.len()), &json!(objects.len())), "{replay:#}");
    let decisions = server.get(&format!("/videos/{id}/decisions/?limit=1000&stage=objects")).await["results"]
        .as_array()
        .unwrap()
        .clone();
    let lost = decisions.iter().filter(|d| d["rule"] == "picture lost");
    assert!(
        lost.clone().all(|d| d["plugin"] == "ocellus" && d["time"].as_f64() < Some(last_before + 20.0)),
        "{decisions:#?}"
    );
    let named: HashSet<_> = lost.map(|d| d["track_id"].as_u64().unwrap()).collect();
    let overall = objects
        .iter()
        .filter(|o| o["bs_type"] == "overall")
        .map(|o| o["track_id"].as_u64().unwrap())
        .collect::<HashSet<_>>();
    assert!(named.is_disjoint(&overall), "what is lost is not there: {named:?} {overall:?}");
}
