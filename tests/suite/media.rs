//! Recordings for tests: the packaged sample, and what `ffmpeg` makes.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// `target/assets`, where `cargo xtask setup` puts things.
pub(crate) fn assets() -> PathBuf {
    target().join("assets")
}

/// The folder that cargo builds into: the test program lies in `<target>/release/deps`.
pub(crate) fn target() -> PathBuf {
    std::env::current_exe().unwrap().ancestors().nth(3).unwrap().to_path_buf()
}

/// A street with cars and cyclists, 640x272.
pub(crate) fn street() -> PathBuf {
    let path = assets().join("media/bikes.mp4");
    assert!(path.exists(), "{} is missing: run cargo xtask setup", path.display());
    path
}

/// The first `frames` frames of the street, as a file of their own.
pub(crate) fn short_street(dir: &Path, frames: u32) -> PathBuf {
    let path = dir.join(format!("street-{frames}.mp4"));
    let frames = frames.to_string();
    let street = street();
    ffmpeg(&["-i", street.to_str().unwrap(), "-frames:v", &frames, "-c:v", "libx264", "-preset", "ultrafast"], &path);
    path
}

/// Nothing but a test picture: no detector finds anything in it. `size` as `640x480`.
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
