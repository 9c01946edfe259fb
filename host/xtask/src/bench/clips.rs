//! Recordings of the benchmarks: the packaged street, as it is and scaled up to the sizes that
//! cameras send.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Result;

use crate::shell::{assets, run_quietly, say, target};

pub(super) struct Clip {
    /// File name without its extension.
    pub name: String,
    pub file: PathBuf,
}

/// The packaged recording is 640x272 and 10 s long, the others 20 s. Noise replaces the detail that
/// scaling cannot add, so that the bit rate, and with it the cost of decoding, is that of a camera:
/// 4 and 8 Mbit/s.
pub(super) fn make() -> Result<Vec<Clip>> {
    let street = assets().join("media/bikes.mp4");
    let folder = target().join("bench/clips");
    fs::create_dir_all(&folder)?;
    let mut clips = vec![Clip { name: "bikes".into(), file: street.clone() }];
    for (name, width, height, rate) in [("street-720p", 1280, 720, "4M"), ("street-1080p", 1920, 1080, "8M")] {
        let filter = format!("scale=-2:{height},crop={width}:{height},noise=alls=8:allf=t");
        clips.push(clip(
            &folder,
            name,
            &["-stream_loop", "1"],
            &street,
            &["-vf", &filter, "-b:v", rate, "-maxrate", rate, "-bufsize", rate],
        )?);
    }
    Ok(clips)
}

/// Frames of [`static_scene`].
pub(super) const STATIC_FRAMES: u32 = 1500;

/// A minute of a street without motion, except sensor noise.
pub(super) fn static_scene() -> Result<Clip> {
    let filter = "trim=end_frame=1,loop=1499:1:0,setpts=N/25/TB,scale=-2:720,crop=1280:720,noise=alls=3:allf=t";
    clip(
        &target().join("bench/clips"),
        "still-720p",
        &[],
        &assets().join("media/bikes.mp4"),
        &["-vf", filter, "-b:v", "2M"],
    )
}

fn clip(folder: &Path, name: &str, input: &[&str], from: &Path, output: &[&str]) -> Result<Clip> {
    let file = folder.join(format!("{name}.mp4"));
    if !file.is_file() {
        say("Making", &file.display().to_string());
        let part = folder.join(format!("{name}.part.mp4"));
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg.args(["-v", "error", "-y"]).args(input).arg("-i").arg(from).args(output);
        run_quietly(
            ffmpeg.args(["-an", "-c:v", "libx264", "-preset", "fast", "-g", "50", "-pix_fmt", "yuv420p"]).arg(&part),
        )?;
        fs::rename(part, &file)?;
    }
    Ok(Clip { name: name.into(), file })
}
