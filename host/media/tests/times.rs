//! Covers: time stamps and numbers of frames, variable rates, streams without times, seeking,
//! starting late, and sizes that change on the way.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;

use common::{Media, all, difference, input, open};
use ocellus_core::Size;
use ocellus_media::{Decoder, Frame, Input, Interrupt};

const CLIP: &str = "-f lavfi -i testsrc2=s=160x120:r=25:d=6 -pix_fmt yuv420p -g 50 -bf 2";

fn times(frames: &[Frame]) -> Vec<f64> {
    frames.iter().map(Frame::time).collect()
}

fn close(a: f64, b: f64) -> bool {
    // Containers with millisecond time stamps round.
    (a - b).abs() < 1.1e-3
}

#[test]
fn frames_are_numbered_and_timed_from_the_beginning() {
    let media = Media::new();
    // AVI has no time stamps: reordered frames begin late there.
    for (name, order) in
        [("clip.mp4", ""), ("clip.mkv", ""), ("clip.ts", ""), ("clip.flv", "-c:v libx264"), ("clip.avi", "-bf 0")]
    {
        let clip = media.make(&format!("{CLIP} {order}"), name);
        let (frames, _) = all(&mut open(&clip).unwrap());
        for (n, frame) in frames.iter().enumerate() {
            assert_eq!(frame.index(), n as u64);
            assert!(close(frame.time(), n as f64 / 25.0), "{name}: frame {n} at {}", frame.time());
        }
        assert_eq!(frames.len(), 150);
    }
}

#[test]
fn a_stream_without_times_goes_by_its_rate() {
    let media = Media::new();
    let clip = media.make(CLIP, "raw.h264");
    let mut decoder = open(&clip).unwrap();
    let (frames, error) = all(&mut decoder);
    assert!(error.is_none(), "{error:?}");
    assert_eq!(frames.len(), 150);
    for (n, frame) in frames.iter().enumerate() {
        assert!(close(frame.time(), n as f64 / 25.0), "frame {n} at {}", frame.time());
    }
    decoder.seek(2.0).unwrap();
    assert!(close(decoder.next_frame().unwrap().unwrap().time(), 2.0));
}

#[test]
fn a_variable_rate_keeps_its_times() {
    let media = Media::new();
    let clip = media.make(&format!("{CLIP} -vf select='not(mod(n\\,7))+not(mod(n\\,5))' -fps_mode vfr"), "vfr.mp4");
    let (frames, error) = all(&mut open(&clip).unwrap());
    assert!(error.is_none(), "{error:?}");
    let expected: Vec<f64> = (0..150).filter(|n| n % 7 == 0 || n % 5 == 0).map(|n| f64::from(n) / 25.0).collect();
    assert_eq!(frames.len(), expected.len());
    assert!(times(&frames).iter().zip(&expected).all(|(a, b)| close(*a, *b)));
}

#[test]
fn times_that_jump_back_go_on_rising() {
    let media = Media::new();
    let clip = std::fs::read(media.make("-f lavfi -i testsrc2=s=160x120:r=25:d=2 -pix_fmt yuv420p", "one.ts")).unwrap();
    let twice = media.write("twice.ts", &[clip.clone(), clip].concat());
    let (frames, _) = all(&mut open(&twice).unwrap());
    assert!(frames.len() >= 98, "{}", frames.len());
    assert!(times(&frames).windows(2).all(|pair| pair[0] < pair[1]));
}

#[test]
fn seeking_gives_the_same_frame_as_reading() {
    let media = Media::new();
    let small = Size { width: 80, height: 60 };
    for (name, codec) in
        [("clip.mp4", ""), ("clip.mkv", ""), ("clip.ts", ""), ("clip.flv", "-c:v libx264"), ("clip.avi", "")]
    {
        let clip = media.make(&format!("{CLIP} {codec}"), name);
        let (frames, _) = all(&mut open(&clip).unwrap());
        let mut decoder = open(&clip).unwrap();
        let whole = ocellus_core::Rect::new(0.0, 0.0, 160.0, 120.0);
        for n in [75, 3, 149, 50, 0, 51, 49] {
            let wanted = &frames[n];
            decoder.seek(wanted.time()).unwrap();
            let found =
                decoder.next_frame().unwrap().unwrap_or_else(|| panic!("{name}: no frame {n} at {}", wanted.time()));
            assert!(close(found.time(), wanted.time()), "{name}: {} for {}", found.time(), wanted.time());
            assert_eq!(found.index(), 0);
            assert!(
                difference(&found.luma(whole, small).unwrap(), &wanted.luma(whole, small).unwrap()) < 1.0,
                "{name}, frame {n}"
            );
            let next = decoder.next_frame().unwrap().map(|f| f.time());
            assert_eq!(next.is_some(), n < 149, "{name}");
        }
        decoder.seek(100.0).unwrap();
        assert!(decoder.next_frame().unwrap().is_none(), "{name}");
    }
}

#[test]
fn go_on_continues_numbers_and_times() {
    let media = Media::new();
    let clip = media.make(CLIP, "clip.mp4");
    let (frames, _) = all(&mut open(&clip).unwrap());
    let mut decoder = open(&clip).unwrap();
    decoder.seek(frames[60].time()).unwrap();
    decoder.go_on(60, 0.0);
    let (rest, error) = all(&mut decoder);
    assert!(error.is_none(), "{error:?}");
    let places = |frames: &[Frame]| frames.iter().map(|f| (f.index(), f.time())).collect::<Vec<_>>();
    assert_eq!(places(&rest), places(&frames[60..]), "to the last bit");

    let mut decoder = open(&clip).unwrap();
    decoder.go_on(1000, 40.5);
    let (later, _) = all(&mut decoder);
    assert_eq!(later.len(), 150);
    assert!(later.iter().zip(&frames).all(|(l, f)| l.index() == f.index() + 1000 && close(l.time(), f.time() + 40.5)));
}

#[test]
fn ss_starts_late_and_keeps_the_times() {
    let media = Media::new();
    let clip = media.make(CLIP, "clip.mp4");
    let late = Input { options: vec![("ss".into(), "00:00:04".into())], ..input(&clip) };
    let (frames, error) = all(&mut Decoder::open(&late, &Interrupt::new()).unwrap());
    assert!(error.is_none(), "{error:?}");
    assert_eq!(frames.len(), 50);
    assert!(close(frames[0].time(), 4.0));
}

#[test]
fn each_frame_has_its_own_size() {
    let media = Media::new();
    let one =
        std::fs::read(media.make("-f lavfi -i testsrc2=s=160x120:r=25:d=1 -pix_fmt yuv420p", "one.h264")).unwrap();
    let two =
        std::fs::read(media.make("-f lavfi -i testsrc2=s=320x200:r=25:d=1 -pix_fmt yuv420p", "two.h264")).unwrap();
    let clip = media.write("both.h264", &[one, two].concat());
    let (frames, error) = all(&mut open(&clip).unwrap());
    assert!(error.is_none(), "{error:?}");
    assert_eq!(frames.first().unwrap().size(), Size { width: 160, height: 120 });
    assert_eq!(frames.last().unwrap().size(), Size { width: 320, height: 200 });
    assert_eq!(frames.last().unwrap().crop(None, None).unwrap().data.len(), 320 * 200 * 3);
}

#[test]
fn threads_change_nothing() {
    let media = Media::new();
    let clip = media.make(CLIP, "clip.mp4");
    let many = Input { threads: 4, ..input(&clip) };
    let (frames, error) = all(&mut Decoder::open(&many, &Interrupt::new()).unwrap());
    assert!(error.is_none(), "{error:?}");
    assert_eq!(times(&frames), times(&all(&mut open(&clip).unwrap()).0));
}
