//! Covers: a live source over a restart of the server. The job continues at once; frame numbers and
//! times continue after those before the restart; the objects from before and after the gap are
//! there, and a replay of the log with its gap finds the same.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::{
    media,
    rtsp::{Behaviour, Rtsp},
    server::{Server, ids},
};

/// Frames that the camera sends to each client.
const SENT: u64 = 250;

fn id_set(objects: &[Value]) -> HashSet<String> {
    ids(objects).into_iter().collect()
}

fn tracks<'a>(objects: impl Iterator<Item = &'a Value>) -> HashSet<u64> {
    objects.map(|o| o["track_id"].as_u64().unwrap()).collect()
}

fn frames(video: &Value) -> u64 {
    let statistic = &video["health_status"]["statistic"];
    statistic["frames_processed"].as_u64().unwrap() + statistic["frames_dropped"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_job_of_a_camera_continues_at_once_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let camera = Rtsp::start(&media::camera_street(dir.path(), SENT as u32), Behaviour::Camera);
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
    let processed = frames(&server.video(id).await);
    server.kill();

    let server = Server::start(&data);
    let running = server.under_way(id, processed + 40).await;
    // A graceful stop closes the tracks, so that their objects are stored.
    assert!(server.terminate().success());
    let server = Server::start(&data);
    let video = server.finished(id).await;
    // The camera closes its connection after the last frame.
    assert_eq!(video["health_status"]["status"], "INTERRUPTED", "{video:#}");
    assert!(frames(&video) > frames(&running) + SENT * 8 / 10, "{} {}", frames(&video), frames(&running));
    assert_eq!(video["health_status"]["statistic"]["job_starts"], 3);

    let objects = server.objects(id).await;
    assert!(id_set(&before).is_subset(&id_set(&objects)), "{before:#?} {objects:#?}");
    assert_eq!(id_set(&objects).len(), objects.len());
    let last_before = before.iter().map(|o| o["last_time"].as_f64().unwrap()).fold(0.0, f64::max);
    let after: Vec<_> = objects.iter().filter(|o| o["first_time"].as_f64().unwrap() > last_before + 2.0).collect();
    assert!(!after.is_empty(), "{objects:#?}");
    assert!(tracks(before.iter()).is_disjoint(&tracks(after.iter().copied())), "{objects:#?}");
    for object in &objects {
        assert!(media::jpeg_size(&server.bytes(object["thumbnail"].as_str().unwrap()).await).is_some(), "{object:#}");
    }

    let (_, replay) = server.replay(id, json!({})).await;
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
    assert!(named.is_disjoint(&overall), "a track whose picture is lost has an object: {named:?} {overall:?}");
}
