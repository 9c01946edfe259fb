//! Covers: the settings of filters, trackers and shots.

use serde_json::{Value, json};

use super::{Fixture, Run, bbox, cars, length, median, none, number, sides};
use crate::server::with;

#[tokio::test(flavor = "multi_thread")]
async fn filters_change_which_objects_are_posted_but_not_the_tracks() {
    let fixture = Fixture::new().await;
    let all = fixture.run(cars(none(), none())).await;
    assert!(all.objects.len() >= 4, "too few objects for this test: {:#?}", all.objects);

    let quality = median(all.objects.iter().map(|o| number(o, "quality")).collect());
    let run = fixture.run(cars(json!({"filter_min_quality": quality}), none())).await;
    assert!(run.objects.iter().all(|o| number(o, "quality") >= quality));
    assert!(
        run.tracks().is_subset(&all.tracks()) && run.tracks().len() < all.tracks().len() && !run.tracks().is_empty()
    );

    let size = median(all.objects.iter().map(|o| *sides(o).iter().min().unwrap() as f64).collect()) as i64;
    let run = fixture.run(cars(json!({"filter_min_size": size}), none())).await;
    // The filter compares fractions of pixels, and the API rounds.
    assert!(run.objects.iter().all(|o| *sides(o).iter().min().unwrap() >= size - 1));
    assert!(run.tracks().is_subset(&all.tracks()) && run.objects.len() < all.objects.len() && !run.objects.is_empty());

    let size = median(all.objects.iter().map(|o| *sides(o).iter().max().unwrap() as f64).collect()) as i64;
    let run = fixture.run(cars(json!({"filter_max_size": size}), none())).await;
    assert!(run.objects.iter().all(|o| *sides(o).iter().max().unwrap() <= size + 1));
    assert!(run.tracks().is_subset(&all.tracks()) && run.objects.len() < all.objects.len() && !run.objects.is_empty());
    assert_eq!(
        fixture.run(cars(json!({"filter_max_size": 0}), none())).await.objects.len(),
        all.objects.len(),
        "0 disables the filter"
    );

    let run = fixture.run(cars(json!({"roi": "320x272+320+0"}), none())).await;
    assert!(run.objects.iter().all(|o| bbox(o)[0] + bbox(o)[2] >= 640), "the centre lies outside");
    assert!(run.tracks().is_subset(&all.tracks()) && run.objects.len() < all.objects.len() && !run.objects.is_empty());

    let frames = median(all.objects.iter().map(|o| length(o) as f64).collect()) as u64;
    let run = fixture.run(cars(json!({"filter_track_min_duration_frames": frames}), none())).await;
    assert!(run.objects.iter().all(|o| length(o) >= frames));
    assert!(run.tracks().is_subset(&all.tracks()) && run.objects.len() < all.objects.len() && !run.objects.is_empty());

    for (key, bad) in
        [("filter_min_quality", json!(1.5)), ("filter_min_size", json!(-1)), ("filter_max_size", json!("big"))]
    {
        assert_eq!(
            fixture.refusal(cars(json!({key: bad}), none())).await["param"],
            format!("stream_settings.detectors.car.{key}")
        );
    }
    for (key, bad) in [("roi", json!("left half")), ("filter_track_min_duration_frames", json!(0))] {
        assert_eq!(
            fixture.refusal(cars(json!({key: bad}), none())).await["param"],
            format!("stream_settings.detectors.car.{key}")
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tracker_settings_change_the_tracks() {
    let fixture = Fixture::new().await;
    let baseline = fixture.run(cars(none(), none())).await;
    let strict = fixture.run(cars(json!({"track_overlap_threshold": 0.95}), none())).await;
    assert!(strict.objects.len() > baseline.objects.len(), "{} {}", strict.objects.len(), baseline.objects.len());
    let short_interval = fixture.run(cars(json!({"track_miss_interval": 0}), none())).await;
    let long_interval = fixture.run(cars(json!({"track_miss_interval": 5}), none())).await;
    assert!(
        short_interval.objects.len() > long_interval.objects.len(),
        "{} {}",
        short_interval.objects.len(),
        long_interval.objects.len()
    );

    let longest = |run: &Run| run.objects.iter().map(length).max().unwrap();
    let short = fixture.run(cars(json!({"track_max_duration_frames": 5}), none())).await;
    assert!(longest(&baseline) > 5 && longest(&short) <= 5, "{} {}", longest(&baseline), longest(&short));
    assert!(short.objects.len() > baseline.objects.len(), "a vehicle goes on in a new track");

    let error = fixture.refusal(cars(json!({"tracker_type": "crystal_ball"}), none())).await;
    assert_eq!(error["param"], "stream_settings.detectors.car.tracker_type");
    assert!(error["desc"].as_str().unwrap().contains("simple_iou"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn deep_sort_has_settings_of_its_own() {
    let fixture = Fixture::new().await;
    let deep = |more: Value| cars(with(json!({"tracker_type": "deep_sort"}), more), none());
    let confirmed = fixture.run(deep(none())).await;
    let all = fixture.run(deep(json!({"track_deep_sort_filter_unconfirmed_tracks": false}))).await;
    assert_eq!((confirmed.status(), all.status()), ("COMPLETED", "COMPLETED"));
    // Objects with a single detection are reported by neither.
    assert!(!confirmed.objects.is_empty() && all.objects.len() >= confirmed.objects.len());
    // Tracks are confirmed in their third frame, so their objects begin later.
    let first = |run: &Run| run.objects.iter().map(|o| number(o, "first_time")).fold(f64::MAX, f64::min);
    assert!(first(&all) < first(&confirmed));
    let simple = fixture.run(cars(none(), none())).await;
    assert!(first(&simple) < first(&confirmed), "simple_iou needs no confirmation");

    // Where boxes overlap by enough, the appearance does not count.
    let matching =
        |least: f32| deep(json!({"track_overlap_threshold": 0.9, "track_deep_sort_matching_threshold": least}));
    let (loose, exact) = (fixture.run(matching(0.0)).await, fixture.run(matching(1.0)).await);
    let lengths = |run: &Run| run.objects.iter().map(|o| number(o, "detections") as u64).collect::<Vec<_>>();
    assert_ne!(lengths(&exact), lengths(&loose));

    for (key, bad) in [
        ("track_deep_sort_matching_threshold", json!(1.5)),
        ("track_deep_sort_filter_unconfirmed_tracks", json!("yes")),
    ] {
        assert_eq!(
            fixture.refusal(deep(json!({key: bad}))).await["param"],
            format!("stream_settings.detectors.car.{key}")
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_history_has_interpolated_boxes_in_its_gaps() {
    let fixture = Fixture::new().await;
    let history = |fill: bool| json!({"track_send_history": true, "track_max_duration_frames": 60, "track_interpolate_bboxes": fill});
    let points = |run: &Run| -> Vec<(usize, usize)> {
        let history = run.posts.iter().map(|p| p.params["track"]["car"]["history"].as_array().unwrap().clone());
        history.map(|h| (h.len(), h.iter().filter(|p| p["interpolated"] == true).count())).collect()
    };
    let filled = fixture.run(cars(history(true), none())).await;
    assert!(!filled.posts.is_empty());
    for (post, (all, interpolated)) in filled.posts.iter().zip(points(&filled)) {
        let object = filled.objects.iter().find(|o| o["id"] == post.key).unwrap();
        assert_eq!(object["detections"].as_u64().unwrap() as usize, all - interpolated);
        assert_eq!(object["interpolated"].as_u64().unwrap() as usize, interpolated);
        assert_eq!(length(object) as usize, all, "a box for every frame");
    }
    assert!(points(&filled).iter().any(|(_, interpolated)| *interpolated > 0), "no gap in this recording");
    let plain = fixture.run(cars(history(false), none())).await;
    assert!(points(&plain).iter().all(|(all, interpolated)| *all > 0 && *interpolated == 0));
    assert!(plain.objects.iter().all(|o| o["interpolated"] == 0));

    let without_history = fixture.run(cars(none(), none())).await;
    assert!(without_history.posts.iter().all(|p| p.params["track"]["car"].get("history").is_none()));
    let unlimited = fixture.run(cars(json!({"track_send_history": true}), none())).await;
    assert_eq!(unlimited.status(), "MISCONFIGURED");
    assert!(unlimited.video["error"].as_str().unwrap().contains("track_max_duration_frames"), "{:#}", unlimited.video);
}

#[tokio::test(flavor = "multi_thread")]
async fn realtime_shots_are_posted_during_the_track() {
    let fixture = Fixture::new().await;
    let overall_only = fixture.run(cars(none(), none())).await;
    assert!(overall_only.of("realtime").is_empty() && !overall_only.of("overall").is_empty());

    let realtime =
        |more: Value| cars(with(json!({"overall_only": false, "realtime_post_interval": 0.2}), more), none());
    let every = fixture.run(realtime(json!({"realtime_post_every_interval": true}))).await;
    let better = fixture.run(realtime(none())).await;
    // What was posted in realtime is reported at its end, however brief it was.
    assert!(every.of("overall").len() >= overall_only.objects.len(), "each track has an overall shot");
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
        let quality_rises = |pair: &[&Value]| number(pair[0], "quality") < number(pair[1], "quality");
        assert!(shots.windows(2).all(quality_rises), "{shots:#?}");
        let time_rises = |pair: &[&Value]| number(pair[1], "best_time") > number(pair[0], "best_time");
        assert!(shots.windows(2).all(time_rises));
    }
    // The interval is longer than any of these tracks, so only a first shot is possible.
    let slow = |first: bool| json!({"overall_only": false, "realtime_post_interval": 2.9, "realtime_post_first_immediately": first});
    assert!(fixture.run(cars(slow(false), none())).await.of("realtime").is_empty());
    let first = fixture.run(cars(slow(true), none())).await;
    assert_eq!(first.of("realtime").len(), first.of("overall").len());
    // The first shot is taken once a second detection has confirmed the track, or at the first
    // where the detector was certain.
    assert!(
        first.of("realtime").iter().all(|o| number(o, "last_time") - number(o, "first_time") < 0.4),
        "{:#?}",
        first.objects
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_by_name_run_before_the_tracker() {
    let fixture = Fixture::new().await;
    let baseline = fixture.run(cars(none(), none())).await;
    let filtered = fixture.run(cars(none(), json!({"stream_data_filter": "nested"}))).await;
    assert!(filtered.objects.len() < baseline.objects.len(), "{} {}", filtered.objects.len(), baseline.objects.len());
    let error = fixture.refusal(json!({"stream_data_filter": "nested, sieve"})).await;
    assert_eq!(error["param"], "stream_settings.stream_data_filter");
    assert!(error["desc"].as_str().unwrap().contains("\"sieve\""), "{error}");
}
