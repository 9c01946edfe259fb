//! Recordings for tests: the packaged sample, and others that `ffmpeg` makes.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// `target/assets`, the folder of networks, plugins and sample recordings.
pub(crate) fn assets() -> PathBuf {
    target().join("assets")
}

/// Cargo's target folder: the test program is in `<target>/release/deps`.
pub(crate) fn target() -> PathBuf {
    std::env::current_exe().unwrap().ancestors().nth(3).unwrap().to_path_buf()
}

/// A street with cars and cyclists, 640x272.
pub(crate) fn street() -> PathBuf {
    let path = assets().join("media/bikes.mp4");
    assert!(path.exists(), "{} is missing: run cargo xtask setup", path.display());
    path
}

/// The first `frames` frames of the street.
pub(crate) fn short_street(dir: &Path, frames: u32) -> PathBuf {
    let path = dir.join(format!("street-{frames}.mp4"));
    let frames = frames.to_string();
    let street = street();
    ffmpeg(&["-i", street.to_str().unwrap(), "-frames:v", &frames, "-c:v", "libx264", "-preset", "ultrafast"], &path);
    path
}

/// As [`short_street`], with few key frames, B-frames, and the MP4 headers at the beginning.
/// Repeats the street if `frames` is larger.
pub(crate) fn sparse_key_frames(dir: &Path, frames: u32) -> PathBuf {
    let path = dir.join(format!("sparse-{frames}.mp4"));
    let (frames, street) = (frames.to_string(), street());
    let coding = "keyint=120:min-keyint=120:scenecut=0:bframes=3:b-pyramid=normal:open-gop=0";
    let input = [
        "-stream_loop",
        "-1",
        "-i",
        street.to_str().unwrap(),
        "-frames:v",
        &frames,
        "-an",
        "-c:v",
        "libx264",
        "-preset",
        "veryfast",
    ];
    ffmpeg(&[&input[..], &["-x264-params", coding, "-movflags", "+faststart"]].concat(), &path);
    path
}

/// As [`short_street`], with sound and without B-frames, as a camera sends it.
pub(crate) fn camera_street(dir: &Path, frames: u32) -> PathBuf {
    let path = dir.join(format!("camera-{frames}.mp4"));
    let (count, street) = (frames.to_string(), street());
    let input = [
        "-stream_loop",
        "-1",
        "-i",
        street.to_str().unwrap(),
        "-f",
        "lavfi",
        "-i",
        "sine",
        "-map",
        "0:v",
        "-map",
        "1:a",
    ];
    let coded = [
        "-frames:v",
        &count,
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-g",
        "25",
        "-bf",
        "0",
        "-c:a",
        "aac",
        "-shortest",
    ];
    ffmpeg(&[&input[..], &coded].concat(), &path);
    path
}

/// A test pattern, in which no detector finds anything. `size` as `640x480`.
pub(crate) fn pattern(dir: &Path, size: &str, seconds: u32) -> PathBuf {
    let path = dir.join(format!("pattern-{size}-{seconds}.mp4"));
    let source = format!("testsrc2=size={size}:rate=25:duration={seconds}");
    ffmpeg(&["-f", "lavfi", "-i", &source, "-c:v", "libx264", "-preset", "ultrafast"], &path);
    path
}

/// Runs `ffmpeg` with `arguments` to make `out`.
pub(crate) fn ffmpeg(arguments: &[&str], out: &Path) {
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-hide_banner", "-loglevel", "error", "-y"])
        .args(arguments)
        .arg(out)
        .output()
        .expect("the program ffmpeg is needed: run cargo xtask setup");
    assert!(output.status.success(), "ffmpeg: {}", String::from_utf8_lossy(&output.stderr));
}

/// Width and height of a JPEG, from its frame header (ITU T.81, B.2.2).
pub(crate) fn jpeg_size(bytes: &[u8]) -> Option<(u16, u16)> {
    if !bytes.starts_with(&[0xff, 0xd8]) {
        return None;
    }
    let mut at = 2;
    loop {
        let [0xff, marker, high, low] = *bytes.get(at..at + 4)? else { return None };
        if matches!(marker, 0xc0..=0xc2) {
            let [h1, h0, w1, w0] = *bytes.get(at + 5..at + 9)? else { return None };
            return Some((u16::from_be_bytes([w1, w0]), u16::from_be_bytes([h1, h0])));
        }
        at += 2 + usize::from(u16::from_be_bytes([high, low]));
    }
}
