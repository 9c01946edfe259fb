//! Covers: decoding in a child process. All tests of the other files hold for it, too, and pictures
//! are the same byte for byte.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]
#![allow(clippy::duplicate_mod, reason = "each of the files has its own common module")]

#[path = "ends.rs"]
mod ends;
#[path = "mutations.rs"]
mod mutations;
#[path = "pictures.rs"]
mod pictures;
#[path = "recording.rs"]
mod recording;
#[path = "rtsp.rs"]
mod rtsp;
#[path = "shown.rs"]
mod shown;
#[path = "sources.rs"]
mod sources;
#[path = "times.rs"]
mod times;
#[path = "urls.rs"]
mod urls;

mod common;

use std::time::{Duration, Instant};

use common::{Media, all, input};
use ocellus_core::{ChannelOrder, InputSpec, Rect, Region, Size};
use ocellus_media::{
    Decoder, DecoderLimits, DecoderProgram, Decoding, Frame, Input, Interrupt, Location, MediaError, Patch, PatchKind,
    Scaler, isolation,
};
use rtsp::camera::{Behaviour, Rtsp};

/// Entry point of the decoder process; does nothing when run as a test.
#[test]
fn child() {
    if let Some((parent, memory_bytes)) = common::child_arguments() {
        ocellus_media::serve_decoder(parent, memory_bytes);
        // The test harness would print that a test passed.
        std::process::exit(0);
    }
}

#[test]
fn the_isolation_in_force_is_reported() {
    common::isolate();
    assert!(isolation().process);
    if cfg!(target_os = "linux") {
        assert!(isolation().seccomp && isolation().network, "{:?}", isolation());
    }
}

/// All pictures that can be made of a frame.
fn made(frame: &Frame, scaler: &mut Scaler) -> Vec<Vec<u8>> {
    let part = Rect::new(33.0, 17.0, 94.5, 80.0);
    let small = Size { width: 40, height: 30 };
    let spec = InputSpec { width: 64, height: 48, order: ChannelOrder::Bgr, fill: 114 };
    let region = Some(Region { width: 90, height: 50, x: 20, y: 10 });
    let mut brightness = Vec::new();
    scaler.brightness(frame, frame.size().to_rect(), small, &mut brightness).unwrap();
    vec![
        scaler.input(frame, &spec, None).unwrap().data,
        scaler.input(frame, &spec, region).unwrap().data,
        brightness,
        frame.crop(Some(part), None).unwrap().data,
        frame.crop(None, Some(50)).unwrap().data,
        frame.jpeg(Some(part), None, 90).unwrap(),
        scaler.jpeg(frame, None, Some(100), 80).unwrap(),
        frame.rgb(part, small).unwrap().data,
        frame.colours(part, small).unwrap().data,
        frame.luma(part, small).unwrap(),
    ]
}

#[test]
fn pictures_are_the_same_byte_for_byte() {
    let media = Media::new();
    for (name, coded) in [("plain.mp4", "-pix_fmt yuv420p"), ("deep.mkv", "-pix_fmt yuv422p10le -c:v ffv1")] {
        let clip = media.make(&format!("-f lavfi -i testsrc2=s=160x120:r=10:d=2 {coded}"), name);
        let mut here = Decoder::open_here(&input(&clip), &Interrupt::new()).unwrap();
        let mut there = Decoder::open(&input(&clip), &Interrupt::new()).unwrap();
        assert_eq!((here.info(), here.is_live()), (there.info(), there.is_live()));
        let (frames_here, frames_there) = (all(&mut here).0, all(&mut there).0);
        assert_eq!((frames_here.len(), frames_there.len()), (20, 20));
        assert_eq!((here.length(), here.soft_errors()), (there.length(), there.soft_errors()));
        let (mut scaler_here, mut scaler_there) = (Scaler::new(), Scaler::new());
        // Frames outlive their decoder.
        drop(there);
        for (a, b) in frames_here.iter().zip(&frames_there) {
            assert_eq!((a.index(), a.time(), a.size()), (b.index(), b.time(), b.size()));
            assert!(made(a, &mut scaler_here) == made(b, &mut scaler_there), "{name}, frame {}", a.index());
        }
    }
}

#[test]
fn any_number_of_patches_of_any_size_comes_in_order() {
    let media = Media::new();
    let clip = media.make("-f lavfi -i testsrc2=s=160x120:r=10:d=1", "clip.mp4");
    let first = |mut decoder: Decoder| decoder.next_frame().unwrap().unwrap();
    let here = first(Decoder::open_here(&input(&clip), &Interrupt::new()).unwrap());
    let there = first(Decoder::open(&input(&clip), &Interrupt::new()).unwrap());
    let kinds = [PatchKind::Rgb, PatchKind::Colours, PatchKind::Luma];
    let patch = |n: u32| {
        // Every seventh lies beside the frame, and some do not fit into one answer.
        let left = if n.is_multiple_of(7) { 200.0 } else { (n % 90) as f32 };
        let region = Rect::new(left, 5.0, left + 40.0, 90.0);
        let out = if n.is_multiple_of(150) {
            Size { width: 2500, height: 2000 }
        } else {
            Size { width: 8 + n % 9, height: 6 }
        };
        Patch { kind: kinds[n as usize % 3], region, out }
    };
    let patches: Vec<_> = (1..=600).map(patch).collect();
    let (made_here, made_there) = (here.patches(&patches).unwrap(), there.patches(&patches).unwrap());
    assert_eq!(made_here.iter().filter(|made| made.is_none()).count(), 85);
    assert!(made_here == made_there);
    assert!(there.patches(&[]).unwrap().is_empty());
}

/// The frames before a fault, and the error at the end.
fn with_fault(fault: &str) -> (Vec<Frame>, String) {
    let media = Media::new();
    let clip = media.make("-f lavfi -i testsrc2=s=320x180:r=25:d=2", "clip.mp4");
    let defaults = DecoderLimits::default();
    // The other faults end by themselves, on slow machines, too.
    let patience = if fault.starts_with("still") { Duration::from_secs(2) } else { defaults.patience };
    let limits = DecoderLimits { memory_bytes: 400 << 20, patience };
    let program = DecoderProgram { fault: Some(fault.parse().unwrap()), limits, ..common::program() };
    let mut decoder = Decoder::open_by(&program, &input(&clip), &Interrupt::new()).unwrap();
    let (frames, error) = all(&mut decoder);
    (frames, error.unwrap().to_string())
}

#[test]
fn a_crash_is_reported_with_its_cause_and_frame() {
    for (fault, text) in [
        ("abort:20:320", "The decoder crashed on this video after frame 20."),
        ("memory:20", "The decoder needed more memory than it is given, after frame 20."),
        ("still:20", "The decoder stood still on this video after frame 20."),
        ("abort:0", "The decoder crashed on this video before its first frame."),
    ] {
        let (frames, error) = with_fault(fault);
        assert_eq!(error, text);
        for frame in frames {
            let lost = [frame.check(), frame.crop(None, None).map(drop)];
            assert!(lost.iter().all(|lost| lost.as_ref().is_err_and(|e| e.to_string() == text)), "{lost:?}");
        }
    }
    // Other decoders go on.
    let beside = DecoderProgram { fault: Some("abort:20:321".parse().unwrap()), ..common::program() };
    let media = Media::new();
    let clip = media.make("-f lavfi -i testsrc2=s=320x180:r=25:d=2", "clip.mp4");
    let (frames, error) = all(&mut Decoder::open_by(&beside, &input(&clip), &Interrupt::new()).unwrap());
    assert!(frames.len() == 50 && error.is_none(), "{error:?}");
}

/// A decoder of a camera's stream in a child with a fault.
fn of_camera(fault: &str, camera: &Rtsp) -> Decoder {
    let program = DecoderProgram { fault: Some(fault.parse().unwrap()), ..common::program() };
    let input = Input { threads: 1, ..Input::new(Location::Url(camera.url())) };
    Decoder::open_by(&program, &input, &Interrupt::new()).unwrap()
}

#[test]
fn a_decoder_of_a_camera_that_dies_ends_with_its_connection() {
    let media = Media::new();
    let clip = "-f lavfi -i testsrc2=s=320x180:r=25:d=8 -f lavfi -i sine=d=8 -g 5 -bf 0";
    let clip = media.make(&format!("{clip} -pix_fmt yuv420p -c:v libx264 -preset ultrafast -c:a aac"), "clip.mp4");
    let camera = Rtsp::start(&clip, Behaviour::Camera);
    let (frames, error) = all(&mut of_camera("abort:5", &camera));
    assert_eq!((frames.len(), &*error.unwrap().to_string()), (5, "The decoder crashed on this video after frame 5."));
    let asked = camera.asked_until_closed();
    assert!(asked[asked.len() - 2].starts_with("TEARDOWN "), "{asked:?}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_decoder_cannot_make_connections() {
    let media = Media::new();
    common::isolate();
    if !isolation().network {
        return;
    }
    let clip = "-f lavfi -i testsrc2=s=320x180:r=25:d=1 -f lavfi -i sine=d=1 -g 5 -bf 0";
    let clip = media.make(&format!("{clip} -pix_fmt yuv420p -c:v libx264 -preset ultrafast -c:a aac"), "clip.mp4");
    let program = DecoderProgram { fault: Some("connect:3".parse().unwrap()), ..common::program() };
    let (frames, error) = all(&mut Decoder::open_by(&program, &input(&clip), &Interrupt::new()).unwrap());
    assert!(frames.len() == 25 && error.is_none(), "{} {error:?}", frames.len());
    let camera = Rtsp::start(&clip, Behaviour::Recording(1.0));
    let (frames, error) = all(&mut of_camera("connect:3", &camera));
    assert!(frames.len() > 20 && error.is_none(), "{} {error:?}", frames.len());
}

#[test]
fn the_child_falls_back_to_software() {
    let media = Media::new();
    let clip = media.make("-f lavfi -i testsrc2=s=320x180:r=25:d=2", "clip.mp4");
    let input = Input { decoding: Decoding::Auto, ..input(&clip) };
    let (frames, error) = all(&mut Decoder::open_by(&common::program(), &input, &Interrupt::new()).unwrap());
    assert!(frames.len() == 50 && error.is_none(), "{} {error:?}", frames.len());
    let program = DecoderProgram { fault: Some("abort:20".parse().unwrap()), ..common::program() };
    let (_, error) = all(&mut Decoder::open_by(&program, &input, &Interrupt::new()).unwrap());
    assert!(matches!(error, Some(MediaError::Crashed { frames: 20 })), "{error:?}");
}

#[test]
fn frames_stay_after_an_interrupt() {
    let media = Media::new();
    let clip = media.make("-f lavfi -i testsrc2=s=320x180:r=25:d=2", "clip.mp4");
    let interrupt = Interrupt::new();
    let mut decoder = Decoder::open(&input(&clip), &interrupt).unwrap();
    let frame = decoder.next_frame().unwrap().unwrap();
    interrupt.raise();
    assert!(matches!(decoder.next_frame(), Err(MediaError::Interrupted)));
    assert!(decoder.next_frame().unwrap().is_none());
    assert!(frame.jpeg(None, None, 90).is_ok() && frame.check().is_ok());
}

#[test]
fn an_interrupt_ends_waiting_for_a_hanging_decoder() {
    let media = Media::new();
    let clip = media.make("-f lavfi -i testsrc2=s=320x180:r=25:d=2", "clip.mp4");
    let program = DecoderProgram { fault: Some("still:20".parse().unwrap()), ..common::program() };
    let interrupt = Interrupt::new();
    let mut decoder = Decoder::open_by(&program, &input(&clip), &interrupt).unwrap();
    let kept: Vec<_> = (0..20).map(|_| decoder.next_frame().unwrap().unwrap()).collect();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| decoder.next_frame());
        std::thread::sleep(Duration::from_millis(200));
        let raised = Instant::now();
        interrupt.raise();
        let ended = waiting.join().unwrap();
        assert!(matches!(ended, Err(MediaError::Interrupted)));
        assert!(raised.elapsed() < Duration::from_secs(1), "{:?}", raised.elapsed());
    });
    assert!(kept.iter().all(|frame| frame.luma(frame.size().to_rect(), frame.size()).is_ok()));
    let dropped = Instant::now();
    drop(decoder);
    assert!(dropped.elapsed() < Duration::from_millis(500));
}

/// Number of this process's children that were not reaped.
#[cfg(target_os = "linux")]
fn zombies() -> usize {
    let mine = format!(" Z {} ", std::process::id());
    let stats = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| std::fs::read_to_string(entry.unwrap().path().join("stat")).ok());
    stats.filter(|stat| stat.contains(&mine)).count()
}

#[test]
#[cfg(target_os = "linux")]
fn no_child_is_left_behind() {
    let media = Media::new();
    let clip = media.make("-f lavfi -i testsrc2=s=320x180:r=25:d=2", "clip.mp4");
    for _ in 0..5 {
        let mut decoder = Decoder::open(&input(&clip), &Interrupt::new()).unwrap();
        let frame = decoder.next_frame().unwrap();
        drop(decoder);
        drop(frame);
    }
    // Children of other tests may be about to be reaped.
    let gone = (0..50).any(|_| {
        std::thread::sleep(Duration::from_millis(20));
        zombies() == 0
    });
    assert!(gone);
}

#[test]
fn exceeding_the_memory_limit_is_reported() {
    let media = Media::new();
    let clip = media.make("-f lavfi -i testsrc2=s=3840x2160:r=5:d=2", "large.mp4");
    let limits = DecoderLimits { memory_bytes: 96 << 20, ..DecoderLimits::default() };
    let program = DecoderProgram { limits, ..common::program() };
    let error = match Decoder::open_by(&program, &input(&clip), &Interrupt::new()) {
        // Kept frames use up the memory.
        Ok(mut decoder) => all(&mut decoder).1,
        Err(error) => Some(error),
    };
    assert!(matches!(error, Some(MediaError::NoMemory { .. })), "{error:?}");
}
