//! Media for the tests, made by the `ffmpeg` program.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::new_without_default, reason = "tests")]

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use ocellus_core::VideoTransform;
use ocellus_media::{Decoder, DecoderLimits, DecoderProgram, Frame, Input, Interrupt, Location, MediaError};
use tempfile::TempDir;

pub struct Media(TempDir);

impl Media {
    pub fn new() -> Self {
        // `isolated.rs` runs the tests of the other files with decoder processes.
        if env!("CARGO_CRATE_NAME") == "isolated" {
            isolate();
        }
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// Runs `ffmpeg -i ... name` in the folder; `arguments` are split at blanks.
    pub fn make(&self, arguments: &str, name: &str) -> PathBuf {
        let output = Command::new("ffmpeg")
            .current_dir(self.0.path())
            .args(["-v", "error", "-nostdin", "-y"])
            .args(arguments.split_whitespace())
            .arg(name)
            .output()
            .expect("these tests make their media with the ffmpeg program: install the package ffmpeg (cargo xtask setup does)");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        self.path(name)
    }

    /// Packed samples of the first frame, decoded by the ffmpeg program.
    pub fn reference(&self, path: &Path, pixel_format: &str) -> Vec<u8> {
        let raw = self.make(
            &format!(
                "-i {} -frames:v 1 -sws_flags bicubic+accurate_rnd+full_chroma_int -pix_fmt {pixel_format} -f rawvideo",
                path.display()
            ),
            "reference.raw",
        );
        std::fs::read(raw).unwrap()
    }
}

/// This test program as the decoder program: its test `child` decodes.
pub fn program() -> DecoderProgram {
    let arguments = ["--exact", "child", "--nocapture", "--test-threads=1", "--"];
    DecoderProgram {
        path: std::env::current_exe().unwrap(),
        arguments: arguments.map(Into::into).into(),
        environment: vec![("OCELLUS_TEST_CHILD".into(), "1".into())],
        limits: DecoderLimits::default(),
        fault: None,
    }
}

/// Arguments of the child; `None` in an ordinary test.
pub fn child_arguments() -> Option<(u32, u64)> {
    std::env::var_os("OCELLUS_TEST_CHILD")?;
    let after = |name: &str| std::env::args().skip_while(|a| a != name).nth(1);
    Some((after("--parent")?.parse().ok()?, after("--memory-bytes")?.parse().ok()?))
}

/// Makes all decoders opened from now on run in child processes.
pub fn isolate() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let in_force = ocellus_media::isolate(program()).unwrap();
        assert!(in_force.process, "{in_force:?}");
    });
}

pub fn input(path: &Path) -> Input {
    Input { threads: 1, ..Input::new(Location::File(path.to_owned())) }
}

pub fn turned(path: &Path, transform: VideoTransform) -> Input {
    Input { transform, ..input(path) }
}

pub fn open(path: &Path) -> Result<Decoder, MediaError> {
    Decoder::open(&input(path), &Interrupt::new())
}

pub fn first(input: &Input) -> Frame {
    Decoder::open(input, &Interrupt::new()).unwrap().next_frame().unwrap().unwrap()
}

/// All frames, and the error at the end if there was one.
pub fn all(decoder: &mut Decoder) -> (Vec<Frame>, Option<MediaError>) {
    let mut frames = Vec::new();
    loop {
        match decoder.next_frame() {
            Ok(Some(frame)) => frames.push(frame),
            Ok(None) => return (frames, None),
            Err(error) => return (frames, Some(error)),
        }
    }
}

/// The mean absolute difference.
pub fn difference(a: &[u8], b: &[u8]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>() / a.len() as f64
}
