//! Covers: what is posted and when, independence of tracks, retained frames, and that no detection
//! is lost, for any sequence of detections.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

/// Expected posts of one track by the settings: frames in which realtime shots are posted, with the
/// frames of the shots, and the frame of the overall shot.
fn expected(qualities: &[Option<f32>], min: f32, interval: f64, every: bool, first: bool) -> Expected {
    let frames = || qualities.iter().enumerate().filter_map(|(n, quality)| quality.map(|quality| (n, quality)));
    let good = || frames().filter(|(_, quality)| *quality >= min);
    // The first of the best.
    let best = |of: &mut dyn Iterator<Item = (usize, f32)>| {
        of.fold(None, |best: Option<(usize, f32)>, one| if best.is_none_or(|b| one.1 > b.1) { Some(one) } else { best })
    };
    let overall = best(&mut good());
    // Frames of a window; one for an interval of 0.
    let length = ((interval * RATE) as usize).max(1);
    let begin = frames().next().map_or(0, |(n, _)| n);
    let mut realtime = Vec::new();
    let (mut last, mut most) = (None, f32::NEG_INFINITY);
    let mut post = |at: usize, (frame, quality): (usize, f32), any: bool| {
        if last != Some(frame) && (any || quality > most) {
            realtime.push((at, frame));
            (last, most) = (Some(frame), most.max(quality));
        }
    };
    for window in (begin..qualities.len()).step_by(length) {
        let within = |(n, _): &(usize, f32)| (window..window + length).contains(n);
        if let Some(shot) = good().find(within).filter(|(n, _)| first && good().next().is_some_and(|g| g.0 == *n)) {
            post(shot.0, shot, true);
        }
        if let Some(shot) = best(&mut good().filter(within))
            && window + length < qualities.len()
        {
            post(window + length, shot, every);
        }
    }
    Expected { realtime, overall: overall.map(|(n, _)| n) }
}

#[derive(Debug, PartialEq)]
struct Expected {
    realtime: Vec<(usize, usize)>,
    overall: Option<usize>,
}

fn qualities(frames: usize) -> impl Strategy<Value = Vec<Option<f32>>> {
    let quality = (0_u8..=10).prop_map(|tenths| f32::from(tenths) / 10.0);
    prop::collection::vec(prop::option::weighted(0.7, quality), 1..frames)
}

/// Settings of realtime posts: interval, every interval, first immediately.
fn modes() -> impl Strategy<Value = (f64, bool, bool)> {
    ((0_u8..=8).prop_map(|quarters| f64::from(quarters) / 4.0), any::<bool>(), any::<bool>())
}

proptest! {
    #[test]
    fn posts_and_their_times_follow_the_settings(
        qualities in qualities(40),
        (interval, every, first) in modes(),
        min in prop::sample::select(vec![0.0_f32, 0.3, 0.8]),
    ) {
        let filters = vec![FakeFilter::new(Stage::Shots, Rule::MinQuality(min))];
        let mut pipeline = pipeline(&realtime(interval, every, first), filters);
        let posts = timed(run(&mut pipeline, &qualities));
        let (overall, realtime): (Vec<_>, Vec<_>) = posts.into_iter().partition(|(_, id, _)| id.ends_with("-0"));
        let numbered = realtime.iter().enumerate().all(|(n, (_, id, _))| *id == format!("7-2-face-1-{}", n + 1));
        prop_assert!(numbered, "{realtime:?}");
        let got = Expected {
            realtime: realtime.iter().map(|(at, _, best)| (*at as usize, *best as usize)).collect(),
            overall: overall.first().map(|(_, _, best)| *best as usize),
        };
        prop_assert!(overall.iter().all(|(at, ..)| *at as usize == qualities.len()), "only at the end");
        prop_assert_eq!(got, expected(&qualities, min, interval, every, first));
    }

    /// The posts of a track do not depend on other tracks.
    #[test]
    fn tracks_do_not_affect_each_other(
        a in qualities(24),
        b in qualities(24),
        (interval, every, first) in modes(),
    ) {
        let settings = realtime(interval, every, first);
        let length = a.len().max(b.len());
        let of = |qualities: &[Option<f32>], n: usize, track: u64| {
            qualities.get(n).copied().flatten().map(|quality| (track, quality))
        };
        let posted = |shown: &[&[Option<f32>]], tracks: &[u64]| {
            let mut pipeline = pipeline(&settings, vec![]);
            let mut all = Vec::new();
            for n in 0..length {
                let seen: Vec<_> = shown.iter().zip(tracks).filter_map(|(q, track)| of(q, n, *track)).collect();
                all.extend(posts(&show(&mut pipeline, n as u64, &seen)).into_iter().map(|post| (n, post)));
            }
            all.extend(posts(&finish(&mut pipeline)).into_iter().map(|post| (length, post)));
            all
        };
        let mut alone = [posted(&[&a], &[1]), posted(&[&b], &[2])].concat();
        let mut together = posted(&[&a, &b], &[1, 2]);
        alone.sort();
        together.sort();
        prop_assert_eq!(together, alone);
    }

    /// Every frame of an object's shots was retained, as the last one in its role: the job has the
    /// pixels of no other.
    #[test]
    fn the_frames_of_an_object_are_retained(
        qualities in qualities(40),
        (interval, every, first) in modes(),
        closes in prop::collection::vec(0_u64..40, 0..4),
        ends in any::<bool>(),
    ) {
        let settings = DetectorSettings {
            post_first_track_frame: ends,
            post_last_track_frame: ends,
            ..realtime(interval, every, first)
        };
        let mut pipeline = pipeline(&settings, vec![]);
        let mut retained: HashMap<Role, u64> = HashMap::new();
        let mut check = |frame: u64, events: Vec<Event>| -> Result<(), TestCaseError> {
            for event in events {
                match event {
                    Event::Keep(_, role) => drop(retained.insert(role, frame)),
                    Event::Object(object) => {
                        let role = if object.end_of_track { Role::Best } else { Role::Window };
                        prop_assert_eq!(retained.get(&role), Some(&object.best.frame));
                        if ends && object.end_of_track {
                            prop_assert_eq!(retained.get(&Role::First), Some(&object.first.frame));
                            prop_assert_eq!(retained.get(&Role::Last), Some(&object.last.frame));
                        }
                        if object.end_of_track {
                            retained.clear();
                        }
                    }
                    Event::Dropped(_) => retained.clear(),
                    Event::Samples(..) | Event::Decision(_) | Event::Box(..) => {}
                }
            }
            Ok(())
        };
        // An object whose track was closed is seen again as a new track.
        let mut track = 1;
        for (n, quality) in (0..).zip(&qualities) {
            pipeline.tracker.closes = closes.iter().map(|frame| (*frame, track)).collect();
            let events = show(&mut pipeline, n, &quality.iter().map(|q| (track, *q)).collect::<Vec<_>>());
            track += u64::from(closes.contains(&n));
            check(n, events)?;
        }
        check(qualities.len() as u64, finish(&mut pipeline))?;
    }

    /// A detection is in exactly one track that is reported, or in one decision.
    #[test]
    fn no_detection_is_lost(
        frames in prop::collection::vec(prop::collection::vec((prop::option::of(1_u64..5), 0_u8..=10), 0..5), 1..20),
    ) {
        let filters = vec![FakeFilter::new(Stage::Detections, Rule::MinQuality(0.5))];
        let mut pipeline = pipeline(&defaults(), filters);
        pipeline.recorder.is_enabled = true;
        let (mut shown, mut events) = (0, Vec::new());
        for (n, frame) in (0..).zip(frames) {
            let mut tracks = BTreeSet::new();
            // No track has two detections of one frame.
            let seen: Vec<_> = frame
                .into_iter()
                .filter(|(track, _)| track.is_none_or(|track| tracks.insert(track)))
                .map(|(track, tenths)| detection(track, f32::from(tenths) / 10.0))
                .collect();
            shown += seen.len() as u64;
            events.extend(show_frame(&mut pipeline, n, false, &seen));
        }
        events.extend(finish(&mut pipeline));
        let reported: u64 = objects(&events).iter().map(|object| object.detections).sum();
        let dropped = events.iter().filter(|event| matches!(event, Event::Decision(_))).count() as u64;
        prop_assert_eq!(reported + dropped, shown);
        prop_assert!(!events.iter().any(|event| matches!(event, Event::Dropped(_))));
    }
}
