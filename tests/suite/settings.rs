//! Covers: every key of `stream_settings` changes what a user sees. Each test would fail if its key
//! were ignored: it compares two jobs over the same recording, one with the key and one without.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use axum::http::StatusCode;
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    media,
    receiver::{Post, Receiver},
    server::Server,
};

/// Three seconds of traffic, with cuts; the first second shows next to nothing.
const FRAMES: u32 = 75;
const RATE: f64 = 25.0;

/// A server, a receiver, and the recording that both see.
struct Bench {
    server: Server,
    receiver: Receiver,
    clip: PathBuf,
    dir: TempDir,
}

/// What came of one job.
struct Run {
    video: Value,
    objects: Vec<Value>,
    posts: Vec<Post>,
}

impl Bench {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clip = media::short_street(dir.path(), FRAMES);
        let (server, receiver) = (Server::start(&dir.path().join("data")), Receiver::start(StatusCode::OK).await);
        Self { server, receiver, clip, dir }
    }

    async fn run(&self, settings: Value) -> Run {
        self.run_over(&self.clip, settings).await
    }

    async fn run_over(&self, clip: &Path, settings: Value) -> Run {
        let id = self.server.create(json!({"stream_settings": settings, "router_url": self.receiver.url})).await;
        self.server.upload(id, clip).await;
        self.server.process(id).await;
        let video = self.server.delivered(id).await;
        let objects = self.server.objects(id).await;
        let posts = self.receiver.posts().into_iter().filter(|p| p.labels["video_id"] == id).collect();
        Run { video, objects, posts }
    }

    /// The answer to settings that are refused; nothing is stored.
    async fn refusal(&self, settings: Value) -> Value {
        let before = self.server.get("/videos/count/").await;
        let body = json!({"camera_group": 1, "name": "refused", "stream_settings": settings});
        let response = self.server.request(Method::POST, "/videos/").json(&body).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{body}");
        assert_eq!(self.server.get("/videos/count/").await, before);
        response.json().await.unwrap()
    }
}

impl Run {
    fn status(&self) -> &str {
        self.video["health_status"]["status"].as_str().unwrap()
    }

    fn statistic(&self, key: &str) -> u64 {
        self.video["health_status"]["statistic"][key].as_u64().unwrap()
    }

    /// The tracks that something was reported of.
    fn tracks(&self) -> BTreeSet<u64> {
        self.objects.iter().map(|o| o["track_id"].as_u64().unwrap()).collect()
    }

    fn of(&self, kind: &str) -> Vec<&Value> {
        self.objects.iter().filter(|o| o["bs_type"] == kind).collect()
    }
}

fn number(object: &Value, key: &str) -> f64 {
    object[key].as_f64().unwrap()
}

fn bbox(object: &Value) -> [i64; 4] {
    std::array::from_fn(|i| object["bbox"][i].as_i64().unwrap())
}

/// Width and height.
fn sides(object: &Value) -> [i64; 2] {
    let [left, top, right, bottom] = bbox(object);
    [right - left, bottom - top]
}

/// Frames from the first detection to the last.
fn length(object: &Value) -> u64 {
    ((number(object, "last_time") - number(object, "first_time")) * RATE).round() as u64 + 1
}

/// Only vehicles, small and bad ones too: one pass of the quicker network.
fn cars(detector: Value, general: Value) -> Value {
    let car = with(json!({"filter_min_size": 10, "filter_min_quality": 0.05}), detector);
    with(json!({"detectors": {"face": null, "car": car}}), general)
}

/// An object with the keys of another laid over it.
fn with(mut object: Value, more: Value) -> Value {
    object.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    object
}

fn none() -> Value {
    json!({})
}

/// The middle of some figures, so that about half of them lie on either side.
fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_decide_what_is_posted_and_not_what_is_tracked() {
    let bench = Bench::new().await;
    let all = bench.run(cars(none(), none())).await;
    assert!(all.objects.len() >= 6, "too little traffic to tell: {:#?}", all.objects);

    let quality = median(all.objects.iter().map(|o| number(o, "quality")).collect());
    let run = bench.run(cars(json!({"filter_min_quality": quality}), none())).await;
    assert!(run.objects.iter().all(|o| number(o, "quality") >= quality));
    assert!(
        run.tracks().is_subset(&all.tracks()) && run.tracks().len() < all.tracks().len() && !run.tracks().is_empty()
    );

    let size = median(all.objects.iter().map(|o| *sides(o).iter().min().unwrap() as f64).collect()) as i64;
    let run = bench.run(cars(json!({"filter_min_size": size}), none())).await;
    // The filter sees fractions of pixels.
    assert!(run.objects.iter().all(|o| *sides(o).iter().min().unwrap() >= size - 1));
    assert!(run.tracks().is_subset(&all.tracks()) && run.objects.len() < all.objects.len() && !run.objects.is_empty());

    let size = median(all.objects.iter().map(|o| *sides(o).iter().max().unwrap() as f64).collect()) as i64;
    let run = bench.run(cars(json!({"filter_max_size": size}), none())).await;
    assert!(run.objects.iter().all(|o| *sides(o).iter().max().unwrap() <= size + 1));
    assert!(run.tracks().is_subset(&all.tracks()) && run.objects.len() < all.objects.len() && !run.objects.is_empty());
    assert_eq!(
        bench.run(cars(json!({"filter_max_size": 0}), none())).await.objects.len(),
        all.objects.len(),
        "0 is off"
    );

    let run = bench.run(cars(json!({"roi": "320x272+320+0"}), none())).await;
    assert!(run.objects.iter().all(|o| bbox(o)[0] + bbox(o)[2] >= 640), "the centre lies outside");
    assert!(run.tracks().is_subset(&all.tracks()) && run.objects.len() < all.objects.len() && !run.objects.is_empty());

    let frames = median(all.objects.iter().map(|o| length(o) as f64).collect()) as u64;
    let run = bench.run(cars(json!({"filter_track_min_duration_frames": frames}), none())).await;
    assert!(run.objects.iter().all(|o| length(o) >= frames));
    assert!(run.tracks().is_subset(&all.tracks()) && run.objects.len() < all.objects.len() && !run.objects.is_empty());

    for (key, bad) in
        [("filter_min_quality", json!(1.5)), ("filter_min_size", json!(-1)), ("filter_max_size", json!("big"))]
    {
        assert_eq!(
            bench.refusal(cars(json!({key: bad}), none())).await["param"],
            format!("stream_settings.detectors.car.{key}")
        );
    }
    for (key, bad) in [("roi", json!("left half")), ("filter_track_min_duration_frames", json!(0))] {
        assert_eq!(
            bench.refusal(cars(json!({key: bad}), none())).await["param"],
            format!("stream_settings.detectors.car.{key}")
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tracks_are_followed_as_the_settings_say() {
    let bench = Bench::new().await;
    let usual = bench.run(cars(none(), none())).await;
    let strict = bench.run(cars(json!({"track_overlap_threshold": 0.95}), none())).await;
    assert!(strict.objects.len() > usual.objects.len(), "{} {}", strict.objects.len(), usual.objects.len());
    let impatient = bench.run(cars(json!({"track_miss_interval": 0}), none())).await;
    let patient = bench.run(cars(json!({"track_miss_interval": 5}), none())).await;
    assert!(impatient.objects.len() > patient.objects.len(), "{} {}", impatient.objects.len(), patient.objects.len());

    let most = |run: &Run| run.objects.iter().map(length).max().unwrap();
    let short = bench.run(cars(json!({"track_max_duration_frames": 5}), none())).await;
    assert!(most(&usual) > 5 && most(&short) <= 5, "{} {}", most(&usual), most(&short));
    assert!(short.objects.len() > usual.objects.len(), "an object goes on as a new track");

    let answer = bench.refusal(cars(json!({"tracker_type": "crystal_ball"}), none())).await;
    assert_eq!(answer["param"], "stream_settings.detectors.car.tracker_type");
    assert!(answer["desc"].as_str().unwrap().contains("simple_iou"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn deep_sort_is_another_tracker_with_settings_of_its_own() {
    let bench = Bench::new().await;
    let deep = |more: Value| cars(with(json!({"tracker_type": "deep_sort"}), more), none());
    let confirmed = bench.run(deep(none())).await;
    let all = bench.run(deep(json!({"track_deep_sort_filter_unconfirmed_tracks": false}))).await;
    assert_eq!((confirmed.status(), all.status()), ("COMPLETED", "COMPLETED"));
    assert!(!confirmed.objects.is_empty() && all.objects.len() > confirmed.objects.len());
    // What is counted from the third frame on begins later.
    let first = |run: &Run| run.objects.iter().map(|o| number(o, "first_time")).fold(f64::MAX, f64::min);
    assert!(first(&all) < first(&confirmed));
    let simple = bench.run(cars(none(), none())).await;
    assert!(first(&simple) < first(&confirmed), "simple_iou waits for nothing");

    let alike = bench.run(deep(json!({"track_deep_sort_matching_threshold": 0}))).await;
    let identical = bench.run(deep(json!({"track_deep_sort_matching_threshold": 1}))).await;
    assert!(identical.objects.len() > alike.objects.len(), "{} {}", identical.objects.len(), alike.objects.len());

    for (key, bad) in [
        ("track_deep_sort_matching_threshold", json!(1.5)),
        ("track_deep_sort_filter_unconfirmed_tracks", json!("yes")),
    ] {
        assert_eq!(
            bench.refusal(deep(json!({key: bad}))).await["param"],
            format!("stream_settings.detectors.car.{key}")
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_history_is_sent_with_gaps_filled_and_marked() {
    let bench = Bench::new().await;
    let history = |fill: bool| json!({"track_send_history": true, "track_max_duration_frames": 60, "track_interpolate_bboxes": fill});
    let points = |run: &Run| -> Vec<(usize, usize)> {
        let history = run.posts.iter().map(|p| p.params["track"]["car"]["history"].as_array().unwrap().clone());
        history.map(|h| (h.len(), h.iter().filter(|p| p["interpolated"] == true).count())).collect()
    };
    let filled = bench.run(cars(history(true), none())).await;
    assert!(!filled.posts.is_empty());
    for (post, (all, between)) in filled.posts.iter().zip(points(&filled)) {
        let object = filled.objects.iter().find(|o| o["id"] == post.key).unwrap();
        assert_eq!(object["detections"].as_u64().unwrap() as usize, all - between);
        assert_eq!(object["interpolated"].as_u64().unwrap() as usize, between);
        assert_eq!(length(object) as usize, all, "a box for every frame");
    }
    assert!(points(&filled).iter().any(|(_, between)| *between > 0), "no gap in this recording");
    let plain = bench.run(cars(history(false), none())).await;
    assert!(points(&plain).iter().all(|(all, between)| *all > 0 && *between == 0));
    assert!(plain.objects.iter().all(|o| o["interpolated"] == 0));

    let silent = bench.run(cars(none(), none())).await;
    assert!(silent.posts.iter().all(|p| p.params["track"]["car"].get("history").is_none()));
    let endless = bench.run(cars(json!({"track_send_history": true}), none())).await;
    assert_eq!(endless.status(), "MISCONFIGURED");
    assert!(endless.video["error"].as_str().unwrap().contains("track_max_duration_frames"), "{:#}", endless.video);
}

#[tokio::test(flavor = "multi_thread")]
async fn realtime_shots_come_while_the_track_goes_on() {
    let bench = Bench::new().await;
    let quiet = bench.run(cars(none(), none())).await;
    assert!(quiet.of("realtime").is_empty() && !quiet.of("overall").is_empty());

    let realtime =
        |more: Value| cars(with(json!({"overall_only": false, "realtime_post_interval": 0.2}), more), none());
    let every = bench.run(realtime(json!({"realtime_post_every_interval": true}))).await;
    let better = bench.run(realtime(none())).await;
    assert_eq!(every.of("overall").len(), quiet.objects.len(), "the end of a track is always reported");
    assert!(
        every.of("realtime").len() > better.of("realtime").len(),
        "{} {}",
        every.of("realtime").len(),
        better.of("realtime").len()
    );
    assert!(!better.of("realtime").is_empty());
    assert!(every.objects.iter().all(|o| o["end_of_track"] == (o["bs_type"] == "overall")));
    assert_eq!(every.posts.len(), every.objects.len());
    assert!(every.posts.iter().all(|p| !p.photo.is_empty() && !p.normalized.is_empty()));

    for track in better.tracks() {
        let shots: Vec<_> = better.of("realtime").into_iter().filter(|o| o["track_id"] == track).collect();
        let rising = |pair: &[&Value]| number(pair[0], "quality") < number(pair[1], "quality");
        assert!(shots.windows(2).all(rising), "{shots:#?}");
        let gaps = |pair: &[&Value]| number(pair[1], "best_time") > number(pair[0], "best_time");
        assert!(shots.windows(2).all(gaps));
    }
    // A window of two seconds is longer than any of these tracks: only a first shot can come of
    // them.
    let slow = |first: bool| json!({"overall_only": false, "realtime_post_interval": 2.9, "realtime_post_first_immediately": first});
    assert!(bench.run(cars(slow(false), none())).await.of("realtime").is_empty());
    let first = bench.run(cars(slow(true), none())).await;
    assert_eq!(first.of("realtime").len(), first.of("overall").len());
    assert!(first.of("realtime").iter().all(|o| o["best_time"] == o["last_time"]), "posted later than seen");
}

#[tokio::test(flavor = "multi_thread")]
async fn posts_carry_the_pictures_that_are_asked_for() {
    let bench = Bench::new().await;
    let usual = bench.run(cars(none(), none())).await;
    assert!(!usual.posts.is_empty());
    let all_of = |run: &Run, has: fn(&Post) -> bool| !run.posts.is_empty() && run.posts.iter().all(has);
    assert!(all_of(&usual, |p| !p.photo.is_empty()
        && !p.normalized.is_empty()
        && p.first_frame.is_empty()
        && p.last_frame.is_empty()));
    let run = bench.run(cars(json!({"post_best_track_frame": false}), none())).await;
    assert!(all_of(&run, |p| p.photo.is_empty() && !p.normalized.is_empty()));
    let run = bench.run(cars(json!({"post_best_track_normalize": false}), none())).await;
    assert!(all_of(&run, |p| !p.photo.is_empty() && p.normalized.is_empty()));
    let run = bench.run(cars(json!({"post_first_track_frame": true}), none())).await;
    assert!(all_of(&run, |p| media::jpeg_size(&p.first_frame) == Some((640, 272)) && p.last_frame.is_empty()));
    assert!(run.posts.iter().any(|p| p.first_frame != p.photo), "the first frame is not always the best");
    let run = bench.run(cars(json!({"post_last_track_frame": true}), none())).await;
    assert!(all_of(&run, |p| media::jpeg_size(&p.last_frame) == Some((640, 272)) && p.first_frame.is_empty()));
    assert!(run.posts.iter().any(|p| p.last_frame != p.photo));
    assert_eq!(run.posts[0].params["track"]["car"]["last"]["full_frame"], "multipart:last_frame");

    let run = bench.run(cars(json!({"fullframe_use_png": true}), none())).await;
    assert!(all_of(&run, |p| p.photo.starts_with(b"\x89PNG")));
    let fullframe =
        bench.server.request(Method::GET, run.objects[0]["fullframe"].as_str().unwrap()).send().await.unwrap();
    assert_eq!(fullframe.headers()["content-type"], "image/png");
    let bytes = |run: &Run| run.posts.iter().map(|p| p.photo.len()).sum::<usize>();
    let coarse = bench.run(cars(json!({"jpeg_quality": 10}), none())).await;
    assert!(bytes(&coarse) * 2 < bytes(&usual), "{} {}", bytes(&coarse), bytes(&usual));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_face_is_sent_upright_and_aligned() {
    let bench = Bench::new().await;
    let run = bench.run(json!({"detectors": {"face": {"filter_min_size": 20}}})).await;
    assert!(!run.posts.is_empty(), "no face in {:#}", run.video);
    for post in &run.posts {
        assert_eq!(media::jpeg_size(&post.normalized), Some((112, 112)));
    }
    let vehicle = bench.run(cars(none(), none())).await;
    let (post, object) = (&vehicle.posts[0], vehicle.objects.iter().find(|o| o["id"] == vehicle.posts[0].key).unwrap());
    let (width, height) = media::jpeg_size(&post.normalized).unwrap();
    assert!(i64::from(width) >= sides(object)[0] && i64::from(height) >= sides(object)[1], "a padded crop");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_region_of_tracking_is_looked_at() {
    let bench = Bench::new().await;
    let usual = bench.run(cars(none(), none())).await;
    assert!(usual.objects.iter().any(|o| bbox(o)[0] < 300));
    let run = bench.run(cars(none(), json!({"rot": "320x272+320+0"}))).await;
    assert!(!run.objects.is_empty() && run.objects.iter().all(|o| bbox(o)[0] >= 320), "{:#?}", run.objects);
    assert!(run.posts.iter().all(|p| media::jpeg_size(&p.photo) == Some((640, 272))));

    let cropped = bench.run(cars(json!({"fullframe_crop_rot": true}), json!({"rot": "320x272+320+0"}))).await;
    for post in &cropped.posts {
        assert_eq!(media::jpeg_size(&post.photo), Some((320, 272)));
        let object = cropped.objects.iter().find(|o| o["id"] == post.key).unwrap();
        let [left, top, right, bottom] = bbox(object);
        assert_eq!(post.bbox, json!([[left - 320, top, right - 320, bottom]]), "relative to the crop");
    }
    assert_eq!(cropped.posts.len(), run.posts.len());
    assert_eq!(bench.refusal(cars(none(), json!({"rot": "0x0"}))).await["param"], "stream_settings.rot");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_is_read_at_its_pace_and_late_frames_are_dropped_where_they_may() {
    let bench = Bench::new().await;
    // Far quicker than any processor looks at them.
    let hurry = |disable_drops: bool| json!({"play_speed": 100, "disable_drops": disable_drops});
    let dropping = bench.run(cars(none(), hurry(false))).await;
    let (seen, dropped) = (dropping.statistic("frames_processed"), dropping.statistic("frames_dropped"));
    assert!(dropped > 0 && seen > 0 && seen + dropped <= u64::from(FRAMES), "{seen} {dropped}");
    for general in [hurry(true), json!({"disable_drops": false})] {
        let run = bench.run(cars(none(), general)).await;
        assert_eq!((run.statistic("frames_processed"), run.statistic("frames_dropped")), (u64::from(FRAMES), 0));
    }

    let clip = media::pattern(bench.dir.path(), "320x240", 2);
    let begun = Instant::now();
    bench.run_over(&clip, cars(none(), json!({"play_speed": 0.5}))).await;
    assert!(begun.elapsed() >= Duration::from_millis(3800), "two seconds at half speed took {:?}", begun.elapsed());
    assert_eq!(bench.refusal(json!({"play_speed": 0})).await["param"], "stream_settings.play_speed");
    assert_eq!(bench.refusal(json!({"disable_drops": "no"})).await["param"], "stream_settings.disable_drops");
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_without_motion_are_not_looked_at() {
    let bench = Bench::new().await;
    let clip = bench.dir.path().join("still.mp4");
    let street = bench.clip.to_str().unwrap();
    media::ffmpeg(
        &["-i", street, "-vf", "tpad=stop_mode=clone:stop_duration=1", "-c:v", "libx264", "-crf", "10"],
        &clip,
    );
    let gated = bench.run_over(&clip, cars(none(), json!({"imotion_threshold": 0.002}))).await;
    let (seen, skipped) = (gated.statistic("frames_processed"), gated.statistic("frames_imotion_skipped"));
    assert_eq!(seen + skipped, u64::from(FRAMES) + 25);
    assert!((20..75).contains(&skipped), "one second stands still; {skipped} frames were skipped");
    let open = bench.run_over(&clip, cars(none(), none())).await;
    assert_eq!(open.statistic("frames_imotion_skipped"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_are_turned_before_they_are_looked_at() {
    let bench = Bench::new().await;
    let usual = bench.run(cars(none(), none())).await;
    let flipped = bench.run(cars(none(), json!({"video_transform": "FlipHorizontal"}))).await;
    let largest = |run: &Run| run.objects.iter().max_by_key(|o| sides(o)[0] * sides(o)[1]).map(bbox).unwrap();
    let edges = |run: &Run| run.objects.iter().map(bbox).map(|[left, _, right, _]| (left, right)).collect::<Vec<_>>();
    let mirrored = edges(&usual)
        .into_iter()
        .filter(|(l, r)| edges(&flipped).iter().any(|(fl, fr)| (640 - r - fl).abs() < 24 && (640 - l - fr).abs() < 24));
    assert!(mirrored.count() * 2 > usual.objects.len() / 2, "{:?} {:?}", largest(&usual), largest(&flipped));
    let turned = bench.run(cars(none(), json!({"video_transform": "Rotate90"}))).await;
    assert_eq!((&turned.video["frame_width"], &turned.video["frame_height"]), (&json!(272), &json!(640)));
    assert_eq!(bench.refusal(json!({"video_transform": "Rotate45"})).await["param"], "stream_settings.video_transform");
}

#[tokio::test(flavor = "multi_thread")]
async fn times_are_the_streams_or_the_servers() {
    let bench = Bench::new().await;
    let stream =
        bench.run(cars(none(), json!({"use_stream_timestamp": true, "start_stream_timestamp": 1_600_000_000}))).await;
    assert!(!stream.objects.is_empty());
    for object in &stream.objects {
        let time: jiff::Timestamp = object["best_timestamp"].as_str().unwrap().parse().unwrap();
        let expected = 1_600_000_000.0 + number(object, "best_time");
        assert!((time.as_microsecond() as f64 / 1e6 - expected).abs() < 1e-3, "{object}");
    }
    let server = bench.run(cars(none(), json!({"start_stream_timestamp": 1_600_000_000}))).await;
    let now = jiff::Timestamp::now();
    for object in &server.objects {
        let time: jiff::Timestamp = object["best_timestamp"].as_str().unwrap().parse().unwrap();
        assert!((now.as_second() - time.as_second()).abs() < 600, "{object}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ffmpeg_is_told_what_is_allowed_and_nothing_else() {
    let bench = Bench::new().await;
    let usual = bench.run(cars(none(), none())).await;
    let late = bench.run(cars(none(), json!({"ffmpeg_params": ["ss=00:00:02"]}))).await;
    let (all, some) = (usual.statistic("frames_processed"), late.statistic("frames_processed"));
    assert!((20..30).contains(&some) && all == u64::from(FRAMES), "{all} {some}");

    let wrong = bench.run(cars(none(), json!({"ffmpeg_format": "flv"}))).await;
    assert_eq!(wrong.status(), "NOT_STARTED", "{:#}", wrong.video);
    assert_eq!(bench.run(cars(none(), json!({"ffmpeg_format": "mov"}))).await.status(), "COMPLETED");

    for bad in ["protocol_whitelist=file", "i=/etc/passwd", "headers", "http_proxy=http://127.0.0.1", ""] {
        let answer = bench.refusal(json!({"ffmpeg_params": ["ss=1", bad]})).await;
        assert_eq!(answer["param"], "stream_settings.ffmpeg_params.1", "{answer}");
    }
    assert_eq!(bench.refusal(json!({"ffmpeg_format": "concat"})).await["param"], "stream_settings.ffmpeg_format");
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_by_name_see_the_detections_before_the_tracker() {
    let bench = Bench::new().await;
    let usual = bench.run(cars(none(), none())).await;
    let filtered = bench.run(cars(none(), json!({"stream_data_filter": "nested"}))).await;
    assert!(filtered.objects.len() < usual.objects.len(), "{} {}", filtered.objects.len(), usual.objects.len());
    let answer = bench.refusal(json!({"stream_data_filter": "nested, sieve"})).await;
    assert_eq!(answer["param"], "stream_settings.stream_data_filter");
    assert!(answer["desc"].as_str().unwrap().contains("\"sieve\""), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn liveness_needs_a_detector() {
    let bench = Bench::new().await;
    assert_eq!(bench.refusal(json!({"enable_liveness": true})).await["param"], "stream_settings.enable_liveness");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_router_gets_the_time_that_it_is_given() {
    let bench = Bench::new().await;
    let start = async |router_timeout_ms: u64| {
        let deaf = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/frame", deaf.local_addr().unwrap());
        let settings = cars(json!({"filter_min_quality": 0.9}), json!({"router_timeout_ms": router_timeout_ms}));
        let id = bench.server.create(json!({"stream_settings": settings, "router_url": url})).await;
        bench.server.upload(id, &bench.clip).await;
        bench.server.process(id).await;
        bench.server.finished(id).await;
        (id, deaf)
    };
    // The first job's posts were up first: only the time that it gives them can let them end last.
    let (patient, _deaf) = start(300_000).await;
    let (hasty, _deaf) = start(50).await;
    let counts = |video: &Value| {
        let counts = &video["health_status"]["statistic"]["objects"]["car"];
        ["posted", "failed", "retrying", "not_posted"].map(|key| counts[key].as_u64().unwrap_or_default())
    };
    bench.server.wait(hasty, "tried", |video| counts(video)[2] > 0).await;
    let video = bench.server.video(patient).await;
    let [posted, failed, retrying, not_posted] = counts(&video);
    assert!(posted == 0 && failed == 0 && retrying == 0 && not_posted > 0, "{video:#}");
}
