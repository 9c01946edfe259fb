//! Small recordings of several kinds: a few frames each, so that jobs are short.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::shell::{assets, run_quietly, target};

/// Expected end of a job with a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JobEnd {
    /// COMPLETED, with the same objects each time.
    Completed,
    /// With an error: the file is not a recording.
    Failed,
}

#[derive(Clone, Debug)]
pub(crate) struct Recording {
    pub(crate) name: &'static str,
    bytes: Vec<u8>,
    /// Value of `stream_settings.detectors`.
    pub(crate) detectors: Value,
    pub(crate) job_end: JobEnd,
}

impl Recording {
    /// The file with random padding at its end, so that every upload has a different checksum.
    pub(crate) fn copy(&self, random: &mut fastrand::Rng) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        // A `free` box of MP4, which demuxers skip; those of other formats stop before it.
        // With 120 to 123 bytes the box's header is the start of an H.263 picture (00 00 80 to 83),
        // and FFmpeg takes text before it for a video.
        let mut padding = vec![0; random.usize(16..120)];
        random.fill(&mut padding);
        let length = u32::try_from(padding.len() + 8).unwrap_or(u32::MAX);
        bytes.extend(length.to_be_bytes());
        bytes.extend(b"free");
        bytes.extend(padding);
        bytes
    }
}

/// Makes recordings of faces, of bodies and cars with many shots of a track, of a test pattern in
/// which nothing is found, and a file that is not a recording.
pub(crate) fn make() -> Result<Vec<Recording>> {
    let folder = target().join("attack/recordings");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let media = assets().join("media");
    let (street, man) = (media.join("bikes.mp4"), media.join("carphone_pristine.mp4"));
    let of = |path: &Path| path.to_string_lossy().into_owned();
    let pattern = "testsrc2=size=160x120:rate=10:duration=0.4";
    let found = json!({"filter_min_size": 15, "filter_min_quality": 0.05});
    let often = json!({
        "filter_min_size": 15, "filter_min_quality": 0.05, "overall_only": false, "realtime_post_interval": 0.1,
        "realtime_post_every_interval": true,
    });
    let cars = json!({"face": null, "body": found, "car": often});
    let faces = json!({"face": found, "body": null, "car": null});
    let ultrafast = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"];
    let made = [
        ("street", "street.mp4", cars.clone(), vec!["-ss", "4", "-i", &of(&street), "-frames:v", "12"]),
        ("street, MPEG-TS", "street.ts", cars.clone(), vec!["-ss", "7", "-i", &of(&street), "-frames:v", "8"]),
        ("face, Matroska", "face.mkv", faces, vec!["-i", &of(&man), "-frames:v", "6"]),
        ("pattern", "pattern.mp4", cars.clone(), vec!["-f", "lavfi", "-i", pattern]),
    ]
    .map(|(name, file, detectors, input)| {
        let path = folder.join(file);
        encode(&path, &[&input[..], &ultrafast].concat())?;
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Recording { name, bytes, detectors, job_end: JobEnd::Completed })
    });
    let mut recordings = made.into_iter().collect::<Result<Vec<_>>>()?;
    let text = b"This is not a recording. ".repeat(200);
    recordings.push(Recording { name: "text", bytes: text, detectors: cars, job_end: JobEnd::Failed });
    Ok(recordings)
}

fn encode(path: &PathBuf, arguments: &[&str]) -> Result<()> {
    let mut ffmpeg = Command::new("ffmpeg");
    run_quietly(ffmpeg.args(["-nostdin", "-v", "error", "-y"]).args(arguments).arg("-an").arg(path))
}
