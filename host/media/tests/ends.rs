//! Covers: ends and durations of recordings: first time stamps that are not 0, last frames of
//! unknown duration, jumps of time stamps, video that begins after its audio, several video
//! streams, cover art, headers with wrong durations.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;

use common::{Media, all, open};
use ocellus_media::{Frame, MediaError};

const CLIP: &str = "-f lavfi -i testsrc2=s=160x120:r=25:d=3 -pix_fmt yuv420p -g 10";
const SOUND: &str = "-f lavfi -i sine=d=3";

/// Number of frames, times of the first and the last, and the length.
fn read(media: &Media, name: &str) -> (usize, f64, f64, f64) {
    let mut decoder = open(&media.path(name)).unwrap();
    let (frames, error) = all(&mut decoder);
    assert!(error.is_none(), "{name}: {error:?}");
    let times: Vec<f64> = frames.iter().map(Frame::time).collect();
    (times.len(), times[0], *times.last().unwrap(), decoder.length().unwrap())
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() < 0.041
}

#[test]
fn a_first_time_stamp_that_is_not_zero_is_second_zero() {
    let media = Media::new();
    for offset in [7, 300] {
        for (name, codec) in [
            ("late.mkv", ""),
            ("late.mp4", ""),
            ("late.ts", ""),
            ("late.wmv", ""),
            ("late.webm", "-c:v libvpx -deadline realtime -cpu-used 8"),
        ] {
            media.make(&format!("{CLIP} {codec} -output_ts_offset {offset}"), name);
            let (frames, first, last, length) = read(&media, name);
            assert_eq!(frames, 75, "{name}, {offset}");
            assert!(first == 0.0 && close(last, 2.96) && close(length, 3.0), "{name}: {first} {last} {length}");
        }
    }
    media.make(&format!("{CLIP} -f segment -segment_time 1"), "part_%d.mp4");
    let (frames, first, _, length) = read(&media, "part_1.mp4");
    assert!(first == 0.0 && close(length, frames as f64 / 25.0), "{first} {length}");
}

#[test]
fn slow_slide_shows_are_whole() {
    let media = Media::new();
    for name in ["slides.wmv", "slides.mkv", "slides.mp4", "slides.avi"] {
        media.make("-f lavfi -i testsrc2=s=160x120:r=1/6:d=30 -pix_fmt yuv420p", name);
        let (frames, first, last, length) = read(&media, name);
        assert_eq!((frames, first), (5, 0.0), "{name}");
        assert!(close(last, 24.0) && close(length, 30.0), "{name}: {last} {length}");
    }
}

/// Changes the duration in the header of a Matroska file.
fn set_duration(bytes: &mut [u8], seconds: f64) {
    let place = bytes.windows(3).position(|w| w == [0x44, 0x89, 0x88]).unwrap() + 3;
    bytes[place..place + 8].copy_from_slice(&(seconds * 1000.0).to_be_bytes());
}

#[test]
fn a_wrong_duration_is_ignored_in_a_complete_file_and_a_truncated_file_is_detected() {
    let media = Media::new();
    let mut bytes = std::fs::read(media.make(CLIP, "clip.mkv")).unwrap();
    set_duration(&mut bytes, 120.0);
    media.write("long.mkv", &bytes);
    assert_eq!(read(&media, "long.mkv").0, 75);
    let cut = media.write("cut.mkv", &bytes[..bytes.len() * 2 / 3]);
    let (_, error) = all(&mut open(&cut).unwrap());
    assert!(matches!(error, Some(MediaError::BrokenOff { .. })), "{error:?}");
}

#[test]
fn jumps_of_time_stamps_are_removed() {
    let media = Media::new();
    let part = |offset: &str, name: &str| {
        std::fs::read(media.make(&format!("{CLIP} -output_ts_offset {offset}"), name)).unwrap()
    };
    for kind in ["ts", "mpg"] {
        let (one, two) = (part("0", &format!("one.{kind}")), part("5000", &format!("two.{kind}")));
        let name = format!("both.{kind}");
        for parts in [[&one, &two], [&two, &one]] {
            media.write(&name, &parts.map(Vec::as_slice).concat());
            let mut decoder = open(&media.path(&name)).unwrap();
            let (frames, error) = all(&mut decoder);
            assert!(error.is_none(), "{name}: {error:?}");
            assert!((148..=150).contains(&frames.len()), "{name}: {}", frames.len());
            assert_eq!(decoder.jumps(), 1, "{name}");
            assert!(frames.windows(2).all(|pair| (0.0..0.2).contains(&(pair[1].time() - pair[0].time()))), "{name}");
            let length = decoder.length().unwrap();
            assert!((length - 6.0).abs() < 0.1, "{name}: {length}");
        }
    }
}

#[test]
fn video_that_begins_after_its_sound_has_the_times_of_a_player() {
    let media = Media::new();
    for name in ["later.mkv", "later.ts"] {
        let clip = CLIP.replace("-f lavfi", "-itsoffset 2 -f lavfi");
        media.make(&clip.replace("-pix_fmt", &format!("{SOUND} -map 0:v -map 1:a -c:a aac -pix_fmt")), name);
        let (frames, first, last, length) = read(&media, name);
        assert_eq!(frames, 75, "{name}");
        assert!(close(first, 2.0) && close(last, 4.96) && close(length, 5.0), "{name}: {first} {last} {length}");
    }
}

#[test]
fn the_default_stream_is_taken_and_the_others_are_named() {
    let media = Media::new();
    let two = "-f lavfi -i testsrc2=s=160x120:r=25:d=1 -f lavfi -i testsrc2=s=320x240:r=25:d=1 -map 0 -map 1 -pix_fmt yuv420p";
    for (chosen, width) in
        [("-disposition:v:0 default -disposition:v:1 0", 160), ("-disposition:v:0 0 -disposition:v:1 default", 320)]
    {
        let decoder = open(&media.make(&format!("{two} {chosen}"), "two.mkv")).unwrap();
        assert_eq!(decoder.info().size.width, width);
        let [other] = &decoder.info().other_video[..] else { panic!("{:?}", decoder.info()) };
        assert!(other.contains("h264") && other.contains(&format!("{}x", 480 - width)), "{other}");
    }
}

#[test]
fn a_cover_is_no_video() {
    let media = Media::new();
    media.make("-f lavfi -i testsrc2=s=160x120 -frames:v 1", "cover.jpg");
    let song = media.make(&format!("{SOUND} -i cover.jpg -map 0:a -map 1:v -c:v copy -id3v2_version 3"), "song.mp3");
    let error = open(&song).err();
    assert!(matches!(error, Some(MediaError::NoVideoStream)), "{error:?}");
}
