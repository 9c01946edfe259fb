//! Covers: the settings of decoding, pictures, timestamps and posts.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use super::{FRAMES, Fixture, Run, bbox, cars, none, number, sides};
use crate::{media, receiver::Post};

#[tokio::test(flavor = "multi_thread")]
async fn posts_carry_the_pictures_that_the_settings_name() {
    let fixture = Fixture::new().await;
    let usual = fixture.run(cars(none(), none())).await;
    assert!(!usual.posts.is_empty());
    let all_of = |run: &Run, has: fn(&Post) -> bool| !run.posts.is_empty() && run.posts.iter().all(has);
    assert!(all_of(&usual, |p| !p.photo.is_empty()
        && !p.normalized.is_empty()
        && p.first_frame.is_empty()
        && p.last_frame.is_empty()));
    let run = fixture.run(cars(json!({"post_best_track_frame": false}), none())).await;
    assert!(all_of(&run, |p| p.photo.is_empty() && !p.normalized.is_empty()));
    let run = fixture.run(cars(json!({"post_best_track_normalize": false}), none())).await;
    assert!(all_of(&run, |p| !p.photo.is_empty() && p.normalized.is_empty()));
    let run = fixture.run(cars(json!({"post_first_track_frame": true}), none())).await;
    assert!(all_of(&run, |p| media::jpeg_size(&p.first_frame) == Some((640, 272)) && p.last_frame.is_empty()));
    assert!(run.posts.iter().any(|p| p.first_frame != p.photo), "the first frame is never another than the best");
    let run = fixture.run(cars(json!({"post_last_track_frame": true}), none())).await;
    assert!(all_of(&run, |p| media::jpeg_size(&p.last_frame) == Some((640, 272)) && p.first_frame.is_empty()));
    assert!(run.posts.iter().any(|p| p.last_frame != p.photo));
    assert_eq!(run.posts[0].params["track"]["car"]["last"]["full_frame"], "multipart:last_frame");

    let run = fixture.run(cars(json!({"fullframe_use_png": true}), none())).await;
    assert!(all_of(&run, |p| p.photo.starts_with(b"\x89PNG")));
    let fullframe =
        fixture.server.request(Method::GET, run.objects[0]["fullframe"].as_str().unwrap()).send().await.unwrap();
    assert_eq!(fullframe.headers()["content-type"], "image/png");
    let bytes = |run: &Run| run.posts.iter().map(|p| p.photo.len()).sum::<usize>();
    let coarse = fixture.run(cars(json!({"jpeg_quality": 10}), none())).await;
    assert!(bytes(&coarse) * 2 < bytes(&usual), "{} {}", bytes(&coarse), bytes(&usual));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_face_is_sent_upright_and_aligned() {
    let fixture = Fixture::new().await;
    let run = fixture.run(json!({"detectors": {"face": {"filter_min_size": 20, "filter_min_quality": 0}}})).await;
    assert!(!run.posts.is_empty(), "no face in {:#}", run.video);
    for post in &run.posts {
        assert_eq!(media::jpeg_size(&post.normalized), Some((112, 112)));
    }
    let vehicle = fixture.run(cars(none(), none())).await;
    let (post, object) = (&vehicle.posts[0], vehicle.objects.iter().find(|o| o["id"] == vehicle.posts[0].key).unwrap());
    let (width, height) = media::jpeg_size(&post.normalized).unwrap();
    assert!(i64::from(width) >= sides(object)[0] && i64::from(height) >= sides(object)[1], "a padded crop");
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_are_found_in_the_region_of_tracking_only() {
    let fixture = Fixture::new().await;
    let usual = fixture.run(cars(none(), none())).await;
    assert!(usual.objects.iter().any(|o| bbox(o)[0] < 300));
    let run = fixture.run(cars(none(), json!({"rot": "320x272+320+0"}))).await;
    assert!(!run.objects.is_empty() && run.objects.iter().all(|o| bbox(o)[0] >= 320), "{:#?}", run.objects);
    assert!(run.posts.iter().all(|p| media::jpeg_size(&p.photo) == Some((640, 272))));

    let cropped = fixture.run(cars(json!({"fullframe_crop_rot": true}), json!({"rot": "320x272+320+0"}))).await;
    for post in &cropped.posts {
        assert_eq!(media::jpeg_size(&post.photo), Some((320, 272)));
        let object = cropped.objects.iter().find(|o| o["id"] == post.key).unwrap();
        let [left, top, right, bottom] = bbox(object);
        assert_eq!(post.bbox, json!([[left - 320, top, right - 320, bottom]]), "relative to the crop");
    }
    assert_eq!(cropped.posts.len(), run.posts.len());
    assert_eq!(fixture.refusal(cars(none(), json!({"rot": "0x0"}))).await["param"], "stream_settings.rot");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_is_read_at_play_speed_and_late_frames_may_be_dropped() {
    let fixture = Fixture::new().await;
    // Far faster than any processor detects.
    let hurry = |disable_drops: bool| json!({"play_speed": 100, "disable_drops": disable_drops});
    let dropping = fixture.run(cars(none(), hurry(false))).await;
    let (seen, dropped) = (dropping.statistic("frames_processed"), dropping.statistic("frames_dropped"));
    assert!(dropped > 0 && seen > 0 && seen + dropped <= u64::from(FRAMES), "{seen} {dropped}");
    for general in [hurry(true), json!({"disable_drops": false})] {
        let run = fixture.run(cars(none(), general)).await;
        let frames = (run.statistic("frames_processed"), run.statistic("frames_dropped"));
        assert_eq!(frames, (u64::from(FRAMES), 0), "{:#}", run.video);
    }

    let clip = media::pattern(fixture.dir.path(), "320x240", 2);
    let begun = Instant::now();
    fixture.run_over(&clip, cars(none(), json!({"play_speed": 0.5}))).await;
    assert!(begun.elapsed() >= Duration::from_millis(3800), "two seconds at half speed took {:?}", begun.elapsed());
    assert_eq!(fixture.refusal(json!({"play_speed": 0})).await["param"], "stream_settings.play_speed");
    assert_eq!(fixture.refusal(json!({"disable_drops": "no"})).await["param"], "stream_settings.disable_drops");
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_without_motion_are_skipped() {
    let fixture = Fixture::new().await;
    let clip = fixture.dir.path().join("still.mp4");
    let street = fixture.clip.to_str().unwrap();
    media::ffmpeg(
        &["-i", street, "-vf", "tpad=stop_mode=clone:stop_duration=1", "-c:v", "libx264", "-crf", "10"],
        &clip,
    );
    let gated = fixture.run_over(&clip, cars(none(), json!({"imotion_threshold": 0.002}))).await;
    let (seen, skipped) = (gated.statistic("frames_processed"), gated.statistic("frames_imotion_skipped"));
    assert_eq!(seen + skipped, u64::from(FRAMES) + 25);
    assert!((20..75).contains(&skipped), "one second is static; {skipped} frames were skipped");
    let open = fixture.run_over(&clip, cars(none(), none())).await;
    assert_eq!(open.statistic("frames_imotion_skipped"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_are_transformed_before_detection() {
    let fixture = Fixture::new().await;
    let usual = fixture.run(cars(none(), none())).await;
    let flipped = fixture.run(cars(none(), json!({"video_transform": "FlipHorizontal"}))).await;
    let largest = |run: &Run| run.objects.iter().max_by_key(|o| sides(o)[0] * sides(o)[1]).map(bbox).unwrap();
    let edges = |run: &Run| run.objects.iter().map(bbox).map(|[left, _, right, _]| (left, right)).collect::<Vec<_>>();
    let mirrored = edges(&usual)
        .into_iter()
        .filter(|(l, r)| edges(&flipped).iter().any(|(fl, fr)| (640 - r - fl).abs() < 24 && (640 - l - fr).abs() < 24));
    assert!(mirrored.count() * 2 > usual.objects.len() / 2, "{:?} {:?}", largest(&usual), largest(&flipped));
    let turned = fixture.run(cars(none(), json!({"video_transform": "Rotate90"}))).await;
    assert_eq!((&turned.video["frame_width"], &turned.video["frame_height"]), (&json!(272), &json!(640)));
    assert_eq!(
        fixture.refusal(json!({"video_transform": "Rotate45"})).await["param"],
        "stream_settings.video_transform"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn timestamps_are_those_of_the_stream_or_of_the_server() {
    let fixture = Fixture::new().await;
    let stream =
        fixture.run(cars(none(), json!({"use_stream_timestamp": true, "start_stream_timestamp": 1_600_000_000}))).await;
    assert!(!stream.objects.is_empty());
    for object in &stream.objects {
        let time: jiff::Timestamp = object["best_timestamp"].as_str().unwrap().parse().unwrap();
        let expected = 1_600_000_000.0 + number(object, "best_time");
        assert!((time.as_microsecond() as f64 / 1e6 - expected).abs() < 1e-3, "{object}");
    }
    let server = fixture.run(cars(none(), json!({"start_stream_timestamp": 1_600_000_000}))).await;
    let now = jiff::Timestamp::now();
    for object in &server.objects {
        let time: jiff::Timestamp = object["best_timestamp"].as_str().unwrap().parse().unwrap();
        assert!((now.as_second() - time.as_second()).abs() < 600, "{object}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ffmpeg_gets_only_allowed_options_and_formats() {
    let fixture = Fixture::new().await;
    let usual = fixture.run(cars(none(), none())).await;
    let late = fixture.run(cars(none(), json!({"ffmpeg_params": ["ss=00:00:02"]}))).await;
    let (all, some) = (usual.statistic("frames_processed"), late.statistic("frames_processed"));
    assert!((20..30).contains(&some) && all == u64::from(FRAMES), "{all} {some}");

    let wrong = fixture.run(cars(none(), json!({"ffmpeg_format": "flv"}))).await;
    assert_eq!(wrong.status(), "NOT_STARTED", "{:#}", wrong.video);
    assert_eq!(fixture.run(cars(none(), json!({"ffmpeg_format": "mov"}))).await.status(), "COMPLETED");

    for bad in ["protocol_whitelist=file", "i=/etc/passwd", "headers", "http_proxy=http://127.0.0.1", ""] {
        let answer = fixture.refusal(json!({"ffmpeg_params": ["ss=1", bad]})).await;
        assert_eq!(answer["param"], "stream_settings.ffmpeg_params.1", "{answer}");
    }
    assert_eq!(fixture.refusal(json!({"ffmpeg_format": "concat"})).await["param"], "stream_settings.ffmpeg_format");
}

#[tokio::test(flavor = "multi_thread")]
async fn liveness_needs_a_network() {
    let fixture = Fixture::new().await;
    assert_eq!(fixture.refusal(json!({"enable_liveness": true})).await["param"], "stream_settings.enable_liveness");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_fails_after_router_timeout_ms() {
    let fixture = Fixture::new().await;
    let start = async |router_timeout_ms: u64| {
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/frame", silent.local_addr().unwrap());
        let settings = cars(json!({"filter_min_quality": 0.9}), json!({"router_timeout_ms": router_timeout_ms}));
        let id =
            fixture.server.process_file(json!({"stream_settings": settings, "router_url": url}), &fixture.clip).await;
        fixture.server.finished(id).await;
        (id, silent)
    };
    // The posts of the first job begin first; only their timeout lets them end last.
    let (patient, _silent) = start(300_000).await;
    let (hasty, _silent) = start(50).await;
    let counts = |video: &Value| {
        let counts = &video["health_status"]["statistic"]["objects"]["car"];
        ["posted", "failed", "retrying", "not_posted"].map(|key| counts[key].as_u64().unwrap_or_default())
    };
    fixture.server.wait(hasty, "posting", |video| counts(video)[2] > 0).await;
    let video = fixture.server.video(patient).await;
    let [posted, failed, retrying, not_posted] = counts(&video);
    assert!(posted == 0 && failed == 0 && retrying == 0 && not_posted > 0, "{video:#}");
}
