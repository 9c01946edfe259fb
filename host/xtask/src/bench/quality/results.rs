//! Results of a server on labelled material: runs the jobs with the settings under test, and reads
//! their objects from the archive.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use super::{
    boxes::Scored,
    labels::{Labelled, Media},
    rect::rect,
    tracks::Track,
};
use crate::{
    bench::{
        clips::Clip,
        server::{Data, Server},
    },
    client::Objects,
    shell::{remove_folder, run_quietly, target},
};

/// Results for one object type in one recording.
#[derive(Default)]
pub(super) struct Found {
    /// Detections by frame, before all filters.
    pub detections: BTreeMap<u64, Vec<Scored>>,
    /// One for each track that was reported.
    pub tracks: Vec<Track>,
    /// Score of each track's best shot.
    pub scores: Vec<f32>,
    /// Identities among them; 0 where the type has no embedder.
    pub clusters: usize,
}

/// Recordings of the material; pictures are made into some.
pub(super) fn recordings(material: &[Labelled]) -> Result<Vec<Clip>> {
    let folder = target().join("bench/pictures");
    fs::create_dir_all(&folder)?;
    let clip = |(n, labelled): (usize, &Labelled)| {
        let file = match &labelled.media {
            Media::Recording(file) => file.clone(),
            Media::Pictures { files, hold } => of_pictures(&folder.join(format!("{n}.mkv")), files, *hold)?,
        };
        Ok(Clip { name: labelled.name.clone(), file })
    };
    material.iter().enumerate().map(clip).collect()
}

/// A recording that shows each picture for `hold` frames, in full quality, in the top left corner
/// of frames of the size of the largest.
fn of_pictures(to: &Path, pictures: &[PathBuf], hold: u64) -> Result<PathBuf> {
    let frames = to.with_extension("frames");
    remove_folder(&frames)?;
    fs::create_dir_all(&frames).with_context(|| format!("cannot create {}", frames.display()))?;
    let (mut width, mut height) = (2, 2);
    for picture in pictures {
        let (w, h) = size(picture)?;
        (width, height) = (w.max(width), h.max(height));
    }
    let filter = format!("format=yuvj444p,pad={width}:{height}:0:0:gray");
    let mut number = 0;
    for picture in pictures {
        let frame = |number: u64| frames.join(format!("{number:06}.jpg"));
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg.args(["-v", "error", "-y", "-i"]).arg(picture).args(["-frames:v", "1", "-vf", &filter, "-q:v", "2"]);
        run_quietly(ffmpeg.arg(frame(number)))?;
        for copy in number + 1..number + hold {
            fs::copy(frame(number), frame(copy)).with_context(|| format!("cannot copy {}", picture.display()))?;
        }
        number += hold;
    }
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-v", "error", "-y", "-framerate", &RATE.to_string(), "-i"]).arg(frames.join("%06d.jpg"));
    run_quietly(ffmpeg.args(["-c", "copy"]).arg(to))?;
    remove_folder(&frames)?;
    Ok(to.to_owned())
}

/// Frames per second of recordings of pictures.
const RATE: u32 = 5;

fn size(picture: &Path) -> Result<(u32, u32)> {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-select_streams", "v:0", "-show_entries", "stream=width,height", "-of", "csv=p=0"])
        .arg(picture)
        .output()
        .context("cannot run ffprobe")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut sides = text.trim().trim_end_matches(',').split(',').map(str::parse);
    match (sides.next(), sides.next()) {
        (Some(Ok(width)), Some(Ok(height))) => Ok((width, height)),
        _ => anyhow::bail!("{} is no picture", picture.display()),
    }
}

/// Processes all recordings with `settings` on a new server; returns the results of each, by type.
pub(super) fn of_server(
    program: &Path,
    material: &[Labelled],
    recordings: &[Clip],
    settings: &Value,
) -> Result<Vec<BTreeMap<String, Found>>> {
    let data = Data::empty("quality")?;
    let server = Server::start_program(program, &data, 1)?;
    let video = |(labelled, clip): (&Labelled, &Clip)| {
        let types = labelled.truth.keys().map(String::as_str);
        server.video_with(clip, &settings_for_types(types, settings))
    };
    let videos = material.iter().zip(recordings).map(video).collect::<Result<Vec<u64>>>()?;
    server.jobs(&videos)?;
    videos
        .iter()
        .zip(material)
        .map(|(video, labelled)| found(program, &server, data.path(), *video, labelled))
        .collect()
}

/// `settings` for these object types and no others. Histories are recorded, which changes nothing
/// else.
fn settings_for_types<'a>(types: impl Iterator<Item = &'a str>, settings: &Value) -> Value {
    let mut all = settings.as_object().cloned().unwrap_or_default();
    let given = all.get("detectors").cloned().unwrap_or_default();
    let mut detectors = Map::from_iter([("face".to_owned(), Value::Null)]);
    for name in types {
        let mut of_type = given.get(name).and_then(Value::as_object).cloned().unwrap_or_default();
        of_type.insert("track_send_history".into(), json!(true));
        // A history needs a limit; this one is that of the schema, and no recording reaches it.
        of_type.entry("track_max_duration_frames").or_insert(json!(1_000_000));
        detectors.insert(name.to_owned(), Value::Object(of_type));
    }
    all.insert("detectors".into(), Value::Object(detectors));
    Value::Object(all)
}

/// A line of `ocellus replay --out`.
#[derive(Deserialize)]
struct ReplayedObject {
    /// `<video>-<job>-<type>-<track>-<shot>`
    id: String,
    end_of_track: bool,
    best: Shot,
    #[serde(default)]
    history: Vec<Point>,
}

#[derive(Deserialize)]
struct Shot {
    frame: u64,
    score: f32,
}

#[derive(Deserialize)]
struct Point {
    frame: u64,
    bbox: [f32; 4],
}

/// A line of `ocellus replay --detections`.
#[derive(Deserialize)]
struct DetectedFrame {
    frame: u64,
    detections: BTreeMap<String, Vec<Detected>>,
}

#[derive(Deserialize)]
struct Detected {
    bbox: [f32; 4],
    score: f32,
}

/// Reads the results of a video's job: identities through the API, tracks and detections by the
/// program's `replay`, which gives the job's own objects.
fn found(
    program: &Path,
    server: &Server,
    data: &Path,
    video: u64,
    labelled: &Labelled,
) -> Result<BTreeMap<String, Found>> {
    let mut found: BTreeMap<String, Found> =
        labelled.truth.keys().map(|object_type| (object_type.clone(), Found::default())).collect();
    let mut clusters: HashMap<String, String> = HashMap::new();
    let mut next = Some(format!("/videos/{video}/objects/?limit=1000"));
    while let Some(path) = next {
        let page: Objects = server.api.get(&path)?;
        clusters.extend(page.results.into_iter().filter_map(|object| Some((object.id, object.cluster?))));
        next = page.next_page;
    }
    let (objects, detections) = (data.join("objects.jsonl"), data.join("detections.jsonl"));
    let mut replay = Command::new(program);
    replay.args(["replay", &video.to_string(), "--data"]).arg(data).arg("--out").arg(&objects);
    run_quietly(replay.arg("--detections").arg(&detections))?;
    for frame in lines::<DetectedFrame>(&detections)? {
        for (object_type, detected) in frame.detections {
            let scored = |d: Detected| Scored { rect: rect(d.bbox), score: d.score };
            if let Some(of_type) = found.get_mut(&object_type) {
                of_type.detections.insert(frame.frame, detected.into_iter().map(scored).collect());
            }
        }
    }
    // With realtime shots there are several objects of a track; its history is in the last.
    for ReplayedObject { id, best, history, .. } in
        lines(&objects)?.into_iter().filter(|o: &ReplayedObject| o.end_of_track)
    {
        let object_type = id.split('-').nth(2).unwrap_or_default();
        let Some(of_type) = found.get_mut(object_type) else { continue };
        let boxes = history.into_iter().map(|point| (point.frame, rect(point.bbox))).collect();
        let cluster = clusters.get(&id).cloned();
        of_type.tracks.push(Track { boxes, best_frame: best.frame, cluster });
        of_type.scores.push(best.score);
    }
    for of_type in found.values_mut() {
        of_type.clusters =
            of_type.tracks.iter().filter_map(|track| track.cluster.as_ref()).collect::<HashSet<_>>().len();
    }
    Ok(found)
}

fn lines<T: DeserializeOwned>(file: &Path) -> Result<Vec<T>> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    text.lines().map(|line| serde_json::from_str(line).with_context(|| format!("unexpected: {line}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_of_any_size_become_frames_of_one() {
        let folder = std::env::temp_dir().join(format!("pictures-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let pictures = [("a'b.png", "64x48"), ("c.jpg", "31x75")].map(|(name, size)| {
            let picture = folder.join(name);
            let source = format!("testsrc=size={size}:rate=1");
            let mut ffmpeg = Command::new("ffmpeg");
            ffmpeg.args(["-v", "error", "-y", "-f", "lavfi", "-i", &source, "-frames:v", "1"]).arg(&picture);
            run_quietly(&mut ffmpeg).unwrap();
            picture
        });
        let made = of_pictures(&folder.join("made.mkv"), &pictures, 3).unwrap();
        let frames = Command::new("ffprobe")
            .args(["-v", "error", "-show_entries", "frame=width,height,pts_time", "-of", "csv=p=0"])
            .arg(made)
            .output()
            .unwrap();
        fs::remove_dir_all(&folder).unwrap();
        let frames = String::from_utf8(frames.stdout).unwrap();
        assert_eq!(frames.lines().count(), 6, "{frames}");
        assert!(frames.lines().all(|frame| frame.contains("64,75")), "{frames}");
        assert!(frames.lines().last().unwrap().starts_with("1.0"), "{frames}");
    }

    #[test]
    fn settings_are_those_under_test_for_the_labelled_types() {
        let settings = json!({"imotion_threshold": 0.01, "detectors": {"body": {"filter_min_size": 20}, "face": {}}});
        let all = settings_for_types(["body", "car"].into_iter(), &settings);
        let history = |mut of_type: Value| {
            of_type["track_send_history"] = json!(true);
            of_type["track_max_duration_frames"] = json!(1_000_000);
            of_type
        };
        assert_eq!(all["imotion_threshold"], json!(0.01));
        let detectors =
            json!({"face": null, "body": history(json!({"filter_min_size": 20})), "car": history(json!({}))});
        assert_eq!(all["detectors"], detectors);
    }
}
