//! Maker of a large archive for the benchmark of the page (tests/page/bench.mjs): many videos, and
//! one of ten hours with 20,000 tracks, half of them faces of 1,000 identities.
//!
//! `large_archive DATA VIDEOS PICTURE`: DATA is an empty data folder, PICTURE a JPEG that stands
//! for each identity.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a failed assumption ends the program"
)]

use std::{env, fs, path::Path, sync::Arc};

use ocellus_core::{
    BestShotType, Cluster, ObjectId, ObjectRecord, ObjectType, SettingsSchema, ShotSummary, Statistic, StreamSettings,
    SystemClock, Timestamp, TrackId, VideoId, VideoRecord, VideoStatus,
};
use ocellus_store::{Archive, Job, NewObject, Picture, TrackFrame};

const TRACKS: u64 = 20_000;
const IDENTITIES: usize = 1_000;
const SECONDS: u64 = 10 * 3600;
const FRAMES_PER_SECOND: u64 = 5;
/// For how long a track is seen.
const TRACK_SECONDS: f64 = 9.0;
/// Objects that are written at a time.
const BATCH: usize = 500;

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [data, videos, picture] = arguments.as_slice() else { panic!("large_archive DATA VIDEOS PICTURE") };
    let (data, videos, picture) = (Path::new(data), videos.parse().unwrap(), fs::read(picture).unwrap());
    let schema = SettingsSchema::new(&[], &["simple_iou".into()], &[]).unwrap();
    let settings =
        schema.complete(Some(&serde_json::json!({"detectors": {"face": {}, "body": null, "car": {}}}))).unwrap();
    records(data, videos, &settings);
    let (archive, _) = Archive::open(data, Arc::new(SystemClock)).unwrap();
    let video = long_video(&archive, settings, &picture);
    println!("{video}");
}

/// Writes records without the archive, which would sync each: as release 0.1 wrote them.
fn records(data: &Path, videos: u64, settings: &StreamSettings) {
    for id in 1..=videos {
        let created = Timestamp::from_second(1_700_000_000 + id as i64 * 60).unwrap();
        let name = format!("camera {} of {id}", id % 97);
        let record = VideoRecord::new(VideoId(id), 1, Some(name), settings.clone(), created);
        let folder = data.join(format!("archive/{:03}/{id}", id / 1000));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("video.json"), serde_json::to_vec_pretty(&record).unwrap()).unwrap();
    }
}

fn long_video(archive: &Archive, settings: StreamSettings, picture: &[u8]) -> VideoId {
    let video = archive
        .create(|id, created| VideoRecord::new(id, 1, Some("Ten hours".into()), settings.clone(), created))
        .unwrap();
    let job = archive.start_job(video.id, &serde_json::to_value(&video).unwrap()).unwrap();
    let faces = objects(&job, picture);
    identities(&job, &faces);
    boxes(&job);
    archive
        .update(video.id, |record| {
            (record.status, record.finished) = (VideoStatus::Completed, true);
            record.source_len = Some(SECONDS as f64);
            (record.frame_width, record.frame_height) = (Some(1920), Some(1080));
            record.statistic = Some(Statistic {
                frames_processed: SECONDS * FRAMES_PER_SECOND,
                processed_duration: SECONDS as f64,
                ..Statistic::default()
            });
            record.counts = [(ObjectType::face(), TRACKS / 2), (ObjectType::car(), TRACKS / 2)].into();
            record.clusters = [(ObjectType::face(), IDENTITIES as u64)].into();
            Ok(())
        })
        .unwrap();
    video.id
}

fn type_of(track: u64) -> ObjectType {
    if track.is_multiple_of(2) { ObjectType::face() } else { ObjectType::car() }
}

/// Tracks begin evenly spread over the recording.
fn begin_of(track: u64) -> f64 {
    track as f64 * (SECONDS as f64 - TRACK_SECONDS) / TRACKS as f64
}

fn box_of(track: u64) -> [i32; 4] {
    let (x, y) = ((track * 137 % 1700) as i32, (track * 71 % 900) as i32);
    [x, y, x + 120, y + 150]
}

/// Writes the objects, a picture with the first face of each identity; returns the faces.
fn objects(job: &Job, picture: &[u8]) -> Vec<ObjectId> {
    let start = Timestamp::from_second(1_700_000_000).unwrap();
    let (mut faces, mut batch) = (Vec::new(), Vec::new());
    for track in 0..TRACKS {
        let id = ObjectId { job: job.id(), object_type: type_of(track), track: TrackId(track), shot: 0 };
        let shot = |after: f64| {
            let time = begin_of(track) + after;
            ShotSummary {
                frame: (time * FRAMES_PER_SECOND as f64) as u64,
                time,
                timestamp: start + std::time::Duration::from_secs_f64(time),
                bbox: box_of(track),
                score: 0.9,
                quality: 0.7,
            }
        };
        let has_picture = track.is_multiple_of(2) && faces.len() < IDENTITIES;
        if track.is_multiple_of(2) {
            faces.push(id.clone());
        }
        let record = ObjectRecord {
            id,
            bs_type: BestShotType::Overall,
            end_of_track: true,
            first: shot(0.0),
            best: shot(TRACK_SECONDS / 2.0),
            last: shot(TRACK_SECONDS),
            detections: (TRACK_SECONDS as u64) * FRAMES_PER_SECOND,
            interpolated: 0,
            history: Vec::new(),
            landmarks: None,
            attributes: Vec::new(),
            features: Vec::new(),
        };
        let pictures = if has_picture { vec![(Picture::Thumbnail, picture.to_vec())] } else { Vec::new() };
        batch.push(NewObject { record, pictures });
        if batch.len() == BATCH || track + 1 == TRACKS {
            job.append_objects(&batch).unwrap();
            batch.clear();
        }
    }
    faces
}

fn identities(job: &Job, faces: &[ObjectId]) {
    let clusters: Vec<_> = (0..IDENTITIES)
        .map(|n| {
            let objects: Vec<_> = faces.iter().skip(n).step_by(IDENTITIES).cloned().collect();
            let (first, last) = (&objects[0], &objects[objects.len() - 1]);
            let (first_time, last_time) = (begin_of(first.track.0), begin_of(last.track.0) + TRACK_SECONDS);
            Cluster { id: first.clone(), best: first.clone(), objects, first_time, last_time }
        })
        .collect();
    job.save_clusters(&clusters).unwrap();
}

fn boxes(job: &Job) {
    let mut writer = job.begin_tracks().unwrap();
    let step = (SECONDS as f64 - TRACK_SECONDS) / TRACKS as f64;
    for frame in 0..SECONDS * FRAMES_PER_SECOND {
        let time = frame as f64 / FRAMES_PER_SECOND as f64;
        let (first, last) = (((time - TRACK_SECONDS) / step).max(0.0) as u64, (time / step) as u64);
        let seen = (first..=last.min(TRACKS - 1)).filter(|track| begin_of(*track) + TRACK_SECONDS >= time);
        let boxes: Vec<_> = seen.map(|track| (type_of(track), TrackId(track), box_of(track))).collect();
        if !boxes.is_empty() {
            writer.add(TrackFrame { time, boxes }).unwrap();
        }
    }
    writer.finish().unwrap();
}
