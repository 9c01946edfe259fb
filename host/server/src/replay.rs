//! `ocellus replay`: the detections of a finished job, run through other settings or plugins. Reads
//! the archive and changes nothing in it; the server may be running on it.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result};
use clap::Args;
use ocellus_core::{Detection, ObjectType, StreamSettings, VideoId};
use ocellus_media::Interrupt;
use ocellus_pipeline::{Diff, Replay, UnmatchedObject};
use ocellus_runtime::{Limits, Plugins, Setup};
use ocellus_store::{DetectionRecord, StoredJob};
use serde_json::{Map, Value, json};

use crate::assets;

#[derive(Args, Debug)]
pub(crate) struct ReplayArguments {
    /// The video's id.
    video: u64,

    /// Folder that holds the archive; only read.
    #[arg(long, env = "OCELLUS_DATA", value_name = "DIR")]
    data: PathBuf,

    /// JSON file with the stream_settings that differ from those of the job; a video as the API
    /// shows it is accepted, too.
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,

    /// Folder of the shipped plugins (*.wasm); those in the data folder override them. [default:
    /// plugins beside the program]
    #[arg(long, env = "OCELLUS_PLUGINS", value_name = "DIR")]
    plugins: Option<PathBuf>,

    /// Write the objects to this file, one line of JSON each.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// Write what the detectors found to this file, before all filters: one line of JSON for each
    /// frame that they were shown.
    #[arg(long, value_name = "FILE")]
    detections: Option<PathBuf>,

    /// Print the difference as JSON.
    #[arg(long)]
    json: bool,
}

/// Exit status 0: the same objects as in the archive; 1: others.
pub(crate) fn run(arguments: &ReplayArguments) -> Result<ExitCode> {
    let ReplayArguments { video, data, settings, plugins, out, detections, json } = arguments;
    let job = StoredJob::open(data, VideoId(*video))
        .with_context(|| format!("cannot read video {video} in {}", data.display()))?;
    if let Some(path) = detections {
        write_detections(&job, path)?;
    }
    let folder = match plugins {
        Some(dir) => dir.clone(),
        None => assets::find("plugins").context("there is no folder of plugins: --plugins names one")?,
    };
    let user = Some(data.join("plugins")).filter(|dir| dir.is_dir());
    let plugins = Plugins::open(Setup { user, ..Setup::from(&folder) }, Limits::default())?;
    let before = ocellus_pipeline::settings_of(&job)?;
    let settings = match settings {
        Some(path) => merged(path, &before, &plugins)?,
        None => before,
    };
    // Never raised: Ctrl-C ends the process.
    let interrupt = Interrupt::new();
    let replay = ocellus_pipeline::replay(&job, &settings, &plugins, &interrupt)?;
    let diff = ocellus_pipeline::compare(&job, &replay, &settings, &plugins, &interrupt)?;
    if let Some(path) = out {
        let mut file = BufWriter::new(File::create(path).with_context(|| format!("cannot write {}", path.display()))?);
        for object in &replay.objects {
            serde_json::to_writer(&mut file, object)?;
            file.write_all(b"\n")?;
        }
        file.flush()?;
    }
    let mut stdout = std::io::stdout().lock();
    if *json {
        serde_json::to_writer_pretty(&mut stdout, &diff)?;
        writeln!(stdout)?;
    } else {
        print(&mut stdout, &replay, &diff)?;
    }
    Ok(if diff.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// Boxes are in pixels of the frame, and may reach beyond its edges.
fn write_detections(job: &StoredJob, path: &Path) -> Result<()> {
    let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    let mut file = BufWriter::new(file);
    for record in job.detections()?.into_iter().flatten() {
        let DetectionRecord::Frame(frame) = record? else { continue };
        if frame.is_static {
            continue;
        }
        let shown = |d: &Detection| {
            let bbox = [d.rect.left, d.rect.top, d.rect.right, d.rect.bottom];
            json!({"bbox": bbox, "score": d.score, "quality": d.quality})
        };
        let of_type = |(object_type, found): &(ObjectType, Vec<Detection>)| {
            (object_type.to_string(), found.iter().map(shown).collect::<Value>())
        };
        let detections: Map<String, Value> = frame.detections.iter().map(of_type).collect();
        serde_json::to_writer(&mut file, &json!({"frame": frame.index, "time": frame.time, "detections": detections}))?;
        file.write_all(b"\n")?;
    }
    Ok(file.flush()?)
}

/// The job's settings, with those of the file merged in.
fn merged(path: &Path, before: &StreamSettings, plugins: &Plugins) -> Result<StreamSettings> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let sent: Value = serde_json::from_str(&text).with_context(|| format!("{} is no JSON", path.display()))?;
    // A video as the API shows it, or what a client sends for one, has them under this key.
    let sent = sent.get("stream_settings").cloned().unwrap_or(sent);
    // The log holds detections of the job's object types only.
    let types: Vec<_> = before.detectors.keys().cloned().collect();
    // Liveness is taken over from the job, which needs no network.
    ocellus_pipeline::settings_schema(&types, true, plugins)?
        .merge(before, &sent)
        .map_err(|e| anyhow::anyhow!("{}: {e}", path.display()))
}

fn print(out: &mut impl Write, replay: &Replay, diff: &Diff) -> Result<()> {
    let Replay { frames, took, objects, plugins } = replay;
    writeln!(
        out,
        "{frames} frames in {:.2} s ({:.0} a second): {} objects",
        took.as_secs_f64(),
        *frames as f64 / took.as_secs_f64(),
        objects.len()
    )?;
    writeln!(
        out,
        "{} the same, {} changed, {} gained, {} lost",
        diff.same,
        diff.changed.len(),
        diff.gained.len(),
        diff.lost.len()
    )?;
    for change in &diff.changed {
        writeln!(out, "  ~ {} as {}: {}", change.before, change.after, change.fields.join(", "))?;
    }
    for (sign, list, instead) in [("+", &diff.gained, "was"), ("-", &diff.lost, "is")] {
        for UnmatchedObject { id, time, bbox, quality, reason, .. } in list {
            let why = match reason {
                Some(d) => format!("{instead} dropped by {}, {} {}", d.plugin, d.rule, d.value),
                None => format!("{instead} part of another track"),
            };
            let [left, top, right, bottom] = bbox;
            writeln!(
                out,
                "  {sign} {id} at {time:.2} s [{left}, {top}, {right}, {bottom}], quality {quality:.2}: {why}"
            )?;
        }
    }
    for (name, used) in plugins {
        writeln!(out, "{name}: {} calls, {:.1} ms", used.calls, used.time_ms)?;
    }
    writeln!(out, "sha256 {}", replay.digest())?;
    Ok(())
}
