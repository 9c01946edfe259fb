//! Tests of a type's pipeline, with a tracker and filters that need no sandbox.
//!
//! Expected values follow from the meaning of the settings (`host/pipeline/docs/analysis.md`) and
//! from the contract of plugins (`wit/`).

mod fakes;
mod properties;
mod realtime;
mod scores;
mod shots;
mod tracklets;
mod tracks;

use std::collections::BTreeSet;

use ocellus_core::{BestShotType, ObjectRecord, ObjectType, Rect, SettingsSchema, Size, Timestamp, VideoId};
use ocellus_runtime::{FrameInfo, Moment, Object};

use self::fakes::{FakeFilter, FakeTracker, Rule};
use super::*;

const SIZE: Size = Size { width: 1000, height: 1000 };
/// Frames a second: times of frames are exact in binary.
const RATE: f64 = 8.0;

type Pipeline = TypePipeline<FakeTracker, FakeFilter>;

/// The defaults: `overall_only`, without a history.
fn defaults() -> DetectorSettings {
    let settings = SettingsSchema::new(&[], &["simple_iou".into()], &[]).unwrap().complete(None).unwrap();
    settings.active().next().unwrap().1.clone()
}

fn realtime(interval: f64, every_interval: bool, first_immediately: bool) -> DetectorSettings {
    DetectorSettings {
        overall_only: false,
        realtime_post_interval: interval,
        realtime_post_every_interval: every_interval,
        realtime_post_first_immediately: first_immediately,
        ..defaults()
    }
}

fn pipeline(settings: &DetectorSettings, filters: Vec<FakeFilter>) -> Pipeline {
    let job = JobId { video: VideoId(7), number: 2 };
    TypePipeline::new(job, ObjectType::face(), Reporting::new(settings), FakeTracker::default(), filters)
}

fn detection(track: Option<u64>, quality: f32) -> Detection {
    let left = track.unwrap_or_default() as f32 * 60.0;
    let rect = Rect::new(left, 10.0, left + 50.0, 60.0);
    let appearance = track.map(|id| id as f32).into_iter().collect();
    Detection { rect, score: 0.9, quality, landmarks: None, appearance }
}

/// Processes one frame, and returns its events.
fn show_frame(pipeline: &mut Pipeline, index: u64, cut: bool, seen: &[Detection]) -> Vec<Event> {
    let time = index as f64 / RATE;
    let timestamp = Timestamp::from_microsecond((time * 1e6) as i64).unwrap();
    let now = Now { frame: FrameInfo { index, time, size: SIZE, cut }, timestamp, pixels: None };
    let mut events = Vec::new();
    pipeline.frame(&now, seen, None, &mut events).unwrap();
    events
}

/// Processes a frame with detections of these qualities, by track.
fn show(pipeline: &mut Pipeline, index: u64, seen: &[(u64, f32)]) -> Vec<Event> {
    let seen: Vec<_> = seen.iter().map(|(track, quality)| detection(Some(*track), *quality)).collect();
    show_frame(pipeline, index, false, &seen)
}

fn finish(pipeline: &mut Pipeline) -> Vec<Event> {
    let mut events = Vec::new();
    pipeline.finish(&mut events).unwrap();
    events
}

fn objects(events: &[Event]) -> Vec<&ObjectRecord> {
    events.iter().filter_map(|event| if let Event::Object(object) = event { Some(&**object) } else { None }).collect()
}

/// Id and frame of the best shot of each object.
fn posts(events: &[Event]) -> Vec<(String, u64)> {
    objects(events).into_iter().map(|object| (object.id.to_string(), object.best.frame)).collect()
}

fn post(id: &str, best: u64) -> (String, u64) {
    (id.to_owned(), best)
}

/// Processes frames from 0 on, with at most one detection of track 1 in each, and ends the stream;
/// returns the posts of each frame, and those at the end.
fn run(pipeline: &mut Pipeline, qualities: &[Option<f32>]) -> Vec<Vec<(String, u64)>> {
    let mut all = Vec::new();
    for (index, quality) in qualities.iter().enumerate() {
        let seen: Vec<_> = quality.iter().map(|quality| (1, *quality)).collect();
        all.push(posts(&show(pipeline, index as u64, &seen)));
    }
    all.push(posts(&finish(pipeline)));
    all
}

/// Each post with the frame in which it was made.
fn timed(posts: Vec<Vec<(String, u64)>>) -> Vec<(u64, String, u64)> {
    let timed = |(frame, posts): (usize, Vec<(String, u64)>)| {
        posts.into_iter().map(move |(id, best)| (frame as u64, id, best)).collect::<Vec<_>>()
    };
    posts.into_iter().enumerate().flat_map(timed).collect()
}

fn timed_post(frame: u64, id: &str, best: u64) -> (u64, String, u64) {
    (frame, id.to_owned(), best)
}
