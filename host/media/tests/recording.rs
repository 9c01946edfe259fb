//! Covers: recording of a source while it is decoded. The recording gives the same frames at the
//! same times with the same rotation; failures are reported and do not affect decoding.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use common::{Media, all, open};
use ocellus_core::{Rect, Size};
use ocellus_media::{Frame, MediaError, Recording};

/// Decodes and records `clip`; returns the frames and the result of the recording.
fn record(clip: &Path, to: File, audio: bool) -> (Vec<Frame>, Recording) {
    let mut decoder = open(clip).unwrap();
    decoder.record(to, audio);
    let (frames, error) = all(&mut decoder);
    assert!(error.is_none(), "{error:?}");
    let recording = decoder.finish_recording().unwrap();
    assert!(decoder.finish_recording().is_none());
    (frames, recording)
}

fn recorded(media: &Media, clip: &Path, audio: bool) -> (Vec<Frame>, PathBuf) {
    let path = media.path("recording");
    let (frames, recording) = record(clip, File::create(&path).unwrap(), audio);
    assert!(recording.problem.is_none(), "{:?}", recording.problem);
    assert_eq!(recording.packets, frames.len() as u64);
    (frames, path)
}

fn assert_same(frames: &[Frame], recording: &Path) {
    let (again, error) = all(&mut open(recording).unwrap());
    assert!(error.is_none(), "{error:?}");
    assert_eq!(again.len(), frames.len());
    let whole = |frame: &Frame| {
        let Size { width, height } = frame.size();
        frame.luma(Rect::new(0.0, 0.0, width as f32, height as f32), Size { width: 64, height: 64 }).unwrap()
    };
    for (a, b) in frames.iter().zip(&again) {
        assert_eq!(a.size(), b.size());
        // Matroska has a time base of a millisecond.
        assert!((a.time() - b.time()).abs() < 0.0011, "{} {}", a.time(), b.time());
        assert_eq!(whole(a), whole(b), "at {}", a.time());
    }
}

const CLIP: &str = "-f lavfi -i sine=d=4 -f lavfi -i testsrc2=s=320x180:r=25:d=4 -pix_fmt yuv420p -g 12";

#[test]
fn a_recording_gives_the_same_frames() {
    let media = Media::new();
    for (name, coded) in [
        ("clip.mp4", "-bf 3"),
        ("clip.ts", "-bf 3 -c:a aac"),
        ("clip.avi", ""),
        ("clip.flv", ""),
        ("clip.webm", "-deadline realtime -cpu-used 8"),
    ] {
        let clip = media.make(&format!("{CLIP} {coded}"), name);
        let (frames, recording) = recorded(&media, &clip, true);
        assert_eq!(frames.len(), 100, "{name}");
        assert_same(&frames, &recording);
        assert!(open(&recording).unwrap().info().has_audio, "{name}");
        let (_, recording) = recorded(&media, &clip, false);
        assert!(!open(&recording).unwrap().info().has_audio, "{name}");
    }
}

#[test]
fn a_recording_keeps_the_rotation() {
    let media = Media::new();
    media.make(CLIP, "flat.mp4");
    let clip = media.make("-i flat.mp4 -c copy -metadata:s:v rotate=90", "turned.mp4");
    let (frames, recording) = recorded(&media, &clip, true);
    assert_eq!(frames[0].size(), Size { width: 180, height: 320 });
    assert_same(&frames, &recording);
}

#[test]
fn an_unsupported_codec_is_reported() {
    let media = Media::new();
    let clip = media.make("-f lavfi -i testsrc2=s=64x64:r=30:d=1 -c:v ppm -f image2pipe", "clip.ppm");
    let (frames, recording) = record(&clip, File::create(media.path("recording")).unwrap(), true);
    assert_eq!((frames.len(), recording.packets), (30, 0));
    let problem = recording.problem.unwrap();
    assert!(matches!(problem, MediaError::NotRecorded { .. }), "{problem:?}");
    assert!(problem.to_string().contains("ppm"), "{problem}");
}

#[test]
fn a_full_disk_ends_the_recording_and_nothing_else() {
    let media = Media::new();
    let clip = media.make(CLIP, "clip.mp4");
    let (frames, recording) = record(&clip, File::options().write(true).open("/dev/full").unwrap(), true);
    assert_eq!(frames.len(), 100);
    let problem = recording.problem.unwrap();
    assert_eq!(problem.to_string(), "The stream could not be recorded: it cannot be written.");
}
