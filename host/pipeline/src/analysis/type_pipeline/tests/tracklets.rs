//! Covers: splits of tracks that merge two individuals, the numbers of the new tracks, and the
//! samples of an object.

use super::*;

fn id(frame: u64, place: u32) -> TrackletId {
    TrackletId { frame, place }
}

/// Processes a frame with one detection for each tracklet, in the track that is given with it.
fn show_tracklets(
    pipeline: &mut Pipeline,
    index: u64,
    seen: &[(u64, TrackletId)],
    replaced: &[(TrackletId, TrackletId)],
) -> Vec<Event> {
    let time = index as f64 / RATE;
    let now = Now {
        frame: FrameInfo { index, time, size: SIZE, cut: false },
        timestamp: Timestamp::from_microsecond((time * 1e6) as i64).unwrap(),
        pixels: None,
    };
    let detections: Vec<_> = seen.iter().map(|(track, _)| detection(Some(*track), 0.5)).collect();
    let tracklets = Tracklets {
        ids: seen.iter().map(|(_, tracklet)| *tracklet).collect(),
        replaced: replaced.to_vec(),
        embeddings: vec![(0, vec![index as f32])],
    };
    let mut events = Vec::new();
    pipeline.frame(&now, &detections, Some(&tracklets), &mut events).unwrap();
    events
}

/// Track number, first and last frame of each object.
fn spans(events: &[Event]) -> Vec<(u64, u64, u64)> {
    objects(events).iter().map(|o| (o.id.track.0, o.first.frame, o.last.frame)).collect()
}

#[test]
fn a_track_that_continues_in_a_tracklet_that_replaced_its_own_is_split() {
    let mut pipeline = pipeline(&defaults(), vec![]);
    let (one, other, third) = (id(0, 0), id(0, 1), id(5, 0));
    for index in 0..5 {
        assert_eq!(spans(&show_tracklets(&mut pipeline, index, &[(1, one), (2, other)], &[])), []);
    }
    let cut = show_tracklets(&mut pipeline, 5, &[(1, third), (2, other)], &[(third, one)]);
    assert_eq!(spans(&cut), [(1, 0, 4)]);
    show_tracklets(&mut pipeline, 6, &[(1, third), (2, other), (3, id(6, 2))], &[]);
    let mut rest = spans(&finish(&mut pipeline));
    rest.sort_unstable();
    assert_eq!(
        rest,
        [(2, 0, 6), (3, 5, 6), (4, 6, 6)],
        "the new track has the next number, the tracker's next one another"
    );
}

#[test]
fn replacements_by_dropped_detections_still_split_a_track() {
    let mut pipeline = pipeline(&defaults(), vec![]);
    show_tracklets(&mut pipeline, 0, &[(1, id(0, 0))], &[]);
    // Replaced twice, by detections that the tracker never got.
    show_tracklets(&mut pipeline, 1, &[], &[(id(1, 0), id(0, 0))]);
    show_tracklets(&mut pipeline, 2, &[], &[(id(2, 0), id(1, 0))]);
    assert_eq!(spans(&show_tracklets(&mut pipeline, 3, &[(1, id(2, 0))], &[])), [(1, 0, 0)]);
}

#[test]
fn a_track_that_leaves_its_tracklet_for_another_is_not_split() {
    let mut pipeline = pipeline(&defaults(), vec![]);
    // Two individuals cross: each overlaps the other's last box, and the tracker follows them
    // correctly.
    show_tracklets(&mut pipeline, 0, &[(1, id(0, 0)), (2, id(0, 1))], &[]);
    let swapped = [(id(1, 0), id(0, 1)), (id(1, 1), id(0, 0))];
    assert_eq!(spans(&show_tracklets(&mut pipeline, 1, &[(1, id(1, 0)), (2, id(1, 1))], &swapped)), []);
    // Another individual replaces the tracklet that track 1 was in before.
    assert_eq!(spans(&show_tracklets(&mut pipeline, 2, &[(1, id(2, 0))], &[(id(2, 0), id(0, 0))])), []);
}

#[test]
fn an_object_has_the_samples_of_its_own_track() {
    let mut pipeline = pipeline(&defaults(), vec![]);
    let (one, other) = (id(0, 0), id(2, 0));
    show_tracklets(&mut pipeline, 0, &[(1, one)], &[]);
    show_tracklets(&mut pipeline, 1, &[(1, one)], &[]);
    let mut events = show_tracklets(&mut pipeline, 2, &[(1, other)], &[(other, one)]);
    events.extend(finish(&mut pipeline));
    let samples = |event: &Event| match event {
        Event::Samples((_, track), samples) => Some((track.0, samples.iter().map(|s| s.vector[0]).collect::<Vec<_>>())),
        _ => None,
    };
    assert_eq!(events.iter().filter_map(samples).collect::<Vec<_>>(), [(1, vec![0.0, 1.0]), (2, vec![2.0])]);
}
