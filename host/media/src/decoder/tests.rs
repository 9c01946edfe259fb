use std::{
    path::{Path, PathBuf},
    process::Command,
};

use ffmpeg_next::decoder;

use super::*;
use crate::{
    Location, Patch, PatchKind,
    av::{self, Codec, Coded},
    origin,
};

/// The step at which a device fails.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// It refuses every stream.
    Opening,
    /// At this packet, as hardware does that does not support a profile, or whose driver is gone.
    Packet(u32),
    /// This picture is decoded and cannot be downloaded.
    ReadingBack(u32),
    End,
    Never,
}

/// A device that decodes on the CPU, up to its fault.
struct Faulty(Fault);

struct FaultyCodec {
    decoder: decoder::Video,
    fault: Fault,
    packets: u32,
    pictures: u32,
}

impl Device for Faulty {
    fn name(&self) -> &str {
        "faulty"
    }

    fn open(&self, stream: &Coded) -> Result<Box<dyn Codec>, Cause> {
        if matches!(self.0, Fault::Opening) {
            return Err("no such profile".into());
        }
        Ok(Box::new(FaultyCodec { decoder: av::open_decoder(stream, 1)?, fault: self.0, packets: 0, pictures: 0 }))
    }
}

impl Codec for FaultyCodec {
    fn send(&mut self, packet: &Packet) -> Result<(), Cause> {
        if matches!(self.fault, Fault::Packet(n) if n == self.packets) {
            return Err("the device is gone".into());
        }
        self.packets += 1;
        Codec::send(&mut self.decoder, packet)
    }

    fn send_end(&mut self) -> Result<(), Cause> {
        if matches!(self.fault, Fault::End) { Err("no end".into()) } else { Codec::send_end(&mut self.decoder) }
    }

    fn receive(&mut self) -> Result<Output, Cause> {
        let output = Codec::receive(&mut self.decoder)?;
        if let Output::Picture(_) = output {
            if matches!(self.fault, Fault::ReadingBack(n) if n == self.pictures) {
                return Err("the picture cannot be read back".into());
            }
            self.pictures += 1;
        }
        Ok(output)
    }

    fn flush(&mut self) {
        Codec::flush(&mut self.decoder);
    }
}

/// Number, time and luma of each frame; the count of damage; the error at the end.
type Seen = (Vec<(u64, f64, Vec<u8>)>, u64, Option<String>);

fn watch(clip: &Path, seek: Option<f64>, devices: Vec<Arc<dyn Device>>) -> Seen {
    let input = Input { threads: 1, ..Input::new(Location::File(clip.to_owned())) };
    let mut decoder =
        LocalDecoder::open_on(&input, origin::of(&input), &Interrupt::new(), devices, Steps::default()).unwrap();
    let mut frames = Vec::new();
    let mut take = |decoder: &mut LocalDecoder, most: usize| {
        for _ in 0..most {
            match decoder.next_frame() {
                Ok(Some(frame)) => {
                    let size = frame.size();
                    let whole = Patch { kind: PatchKind::Luma, region: size.to_rect(), out: size };
                    frames.push((frame.index(), frame.time(), frame.patch(&whole).unwrap().unwrap()));
                }
                Ok(None) => return None,
                Err(error) => return Some(error.to_string()),
            }
        }
        None
    };
    if let Some(seek) = seek {
        take(&mut decoder, 7);
        decoder.seek(seek).unwrap();
    }
    let error = take(&mut decoder, usize::MAX);
    (frames, decoder.soft_errors(), error)
}

/// The result is that of software, whenever and however the device fails.
fn check(clip: &Path, seek: Option<f64>) {
    let expected = watch(clip, seek, Vec::new());
    assert!(expected.0.len() > 40, "{}: {}", clip.display(), expected.0.len());
    let faults = [Fault::Opening, Fault::End, Fault::Never].into_iter();
    let at = || [0, 1, 2, 5, 11, 12, 13, 14, 23, 24, 25, 37, 38, 49].into_iter();
    for fault in faults.chain(at().map(Fault::Packet)).chain(at().map(Fault::ReadingBack)) {
        let seen = watch(clip, seek, vec![Arc::new(Faulty(fault))]);
        let times = |seen: &Seen| seen.0.iter().map(|f| (f.0, (f.1 * 1e3) as i64)).collect::<Vec<_>>();
        assert_eq!(times(&seen), times(&expected), "{}, {fault:?}", clip.display());
        assert!(
            seen == expected,
            "{}, {fault:?}: {} and {} errors, {:?} and {:?}",
            clip.display(),
            seen.1,
            expected.1,
            seen.2,
            expected.2
        );
    }
}

fn make(folder: &Path, arguments: &str, name: &str) -> PathBuf {
    let output = Command::new("ffmpeg")
        .current_dir(folder)
        .args(["-v", "error", "-nostdin", "-y", "-f", "lavfi", "-i", "testsrc2=s=96x64:r=25:d=2.4"])
        .args(arguments.split_whitespace())
        .arg(name)
        .output()
        .expect(
            "these tests make their media with the ffmpeg program: install the package ffmpeg (cargo xtask setup does)",
        );
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    folder.join(name)
}

const X264: &str =
    "-pix_fmt yuv420p -c:v libx264 -x264-params keyint=12:min-keyint=12:scenecut=0:bframes=3:log-level=none";

#[test]
fn nothing_is_lost_or_repeated_when_a_device_fails() {
    let folder = tempfile::tempdir().unwrap();
    let make = |arguments: &str, name: &str| make(folder.path(), arguments, name);
    let closed = make(&format!("{X264}:b-pyramid=normal"), "closed.mp4");
    check(&closed, None);
    check(&make(&format!("{X264}:open-gop=1"), "open.ts"), None);
    check(&make(&format!("{X264}:intra-refresh=1:bframes=0"), "refresh.mkv"), None);
    check(&make("-pix_fmt yuv420p -c:v mpeg2video -g 12 -bf 2", "mpeg2.ts"), None);
    check(&make("-pix_fmt yuv420p -c:v libvpx-vp9 -g 12 -deadline realtime -cpu-used 8", "vp9.webm"), None);
    // No packet has a time.
    check(&make(&format!("{X264} -f h264"), "bare.h264"), None);
    check(&make(X264, "untimed.avi"), None);
}

#[test]
fn nothing_is_lost_after_seeking() {
    let folder = tempfile::tempdir().unwrap();
    let clip = make(folder.path(), X264, "clip.mp4");
    check(&clip, Some(0.3));
}

#[test]
fn damage_is_judged_by_software() {
    let folder = tempfile::tempdir().unwrap();
    let clip = make(folder.path(), X264, "clip.ts");
    let mut bytes = std::fs::read(&clip).unwrap();
    let third = bytes.len() / 3;
    bytes[third..third + 3000].fill(0x55);
    std::fs::write(&clip, &bytes).unwrap();
    check(&clip, None);
    std::fs::write(&clip, &bytes[..bytes.len() - 500]).unwrap();
    check(&clip, None);
}

#[test]
fn where_there_is_no_device_software_decodes() {
    let folder = tempfile::tempdir().unwrap();
    let clip = make(folder.path(), X264, "clip.mp4");
    let expected = watch(&clip, None, Vec::new());
    for decoding in ["auto", "cuda", "vaapi"].map(|name| name.parse::<crate::Decoding>().unwrap()) {
        assert!(watch(&clip, None, decoding.devices()) == expected, "{decoding}");
    }
}
