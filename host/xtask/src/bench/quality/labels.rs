//! Labels of a recording or of pictures: what is in them, as JSON beside them or as MOT ground
//! truth.
//!
//! Owns the format, which `tests/bench/labels/README.md` describes. A file with an unknown key, a
//! box without area or a reference to a file that does not exist is refused.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::rect::{Rect, is_valid, rect};
use crate::shell::assets;

/// A label file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LabelFile {
    media: String,
    #[serde(default, rename = "source")]
    _source: String,
    #[serde(default, rename = "licence")]
    _licence: String,
    types: Vec<String>,
    #[serde(default)]
    individuals: BTreeMap<String, (u64, u64)>,
    #[serde(default)]
    show: Show,
    #[serde(default = "default_hold")]
    hold: u64,
    #[serde(default)]
    frames: Vec<LabelledFrame>,
    mot: Option<Mot>,
    #[serde(default)]
    best_shots: Vec<BestShots>,
}

fn default_hold() -> u64 {
    3
}

/// How a folder of pictures becomes recordings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Show {
    /// A recording of each picture.
    #[default]
    Apart,
    /// One recording of all pictures, one after the other.
    Slides,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LabelledFrame {
    /// Of a recording, from 0.
    frame: Option<u64>,
    /// Of pictures: the file's name.
    picture: Option<String>,
    boxes: Vec<LabelledBox>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct LabelledBox {
    #[serde(rename = "type")]
    object_type: String,
    #[serde(rename = "box")]
    rect: [f32; 4],
    id: Option<String>,
    #[serde(default)]
    ignore: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Mot {
    file: String,
    #[serde(rename = "type")]
    object_type: String,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct BestShots {
    #[serde(rename = "type")]
    object_type: String,
    id: String,
    frames: Vec<(u64, u64)>,
}

/// One labelled box.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Label {
    /// Pixels of the frame.
    pub rect: Rect,
    /// Unique among the individuals of its type in the recording.
    pub id: Option<String>,
    /// Ignored in the figures: it counts neither as found nor as missed.
    pub ignore: bool,
}

/// Labels of a recording, for one object type.
#[derive(Clone, Debug, Default)]
pub(super) struct Truth {
    /// How many there are, at least and at most.
    pub individuals: Option<(u64, u64)>,
    /// By frame; a frame that is not here is not labelled.
    pub frames: BTreeMap<u64, Vec<Label>>,
    /// By individual, the ranges of frames, both ends included, in which a person would choose its
    /// shot.
    pub best_shots: HashMap<String, Vec<(u64, u64)>>,
}

/// Material to process, with its labels.
pub(super) struct Labelled {
    /// Name of the label file, without its extension.
    pub name: String,
    pub media: Media,
    pub truth: BTreeMap<String, Truth>,
}

/// Recording or pictures to upload.
pub(super) enum Media {
    Recording(PathBuf),
    /// Pictures, in the order in which they are shown, `hold` frames each.
    Pictures {
        files: Vec<PathBuf>,
        hold: u64,
    },
}

/// Reads all label files (`*.json`) of a folder, in the order of their names.
pub(super) fn read(folder: &Path) -> Result<Vec<Labelled>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut files: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    files.retain(|file| file.extension().is_some_and(|e| e == "json"));
    files.sort();
    let mut all = Vec::new();
    for file in files {
        all.extend(read_file(&file).with_context(|| format!("{} is wrong", file.display()))?);
    }
    if all.is_empty() {
        bail!("there are no labels (*.json) in {}", folder.display());
    }
    Ok(all)
}

fn read_file(file: &Path) -> Result<Vec<Labelled>> {
    let labels: LabelFile = serde_json::from_str(&fs::read_to_string(file)?)?;
    let folder = file.parent().unwrap_or(Path::new("."));
    let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let media = media(folder, &labels.media)?;
    if labels.hold == 0 {
        bail!("hold: at least one frame");
    }
    if media.is_file() {
        let frames = labels.frames.iter().map(|labelled| match (labelled.frame, &labelled.picture) {
            (Some(frame), None) => Ok((frame, labelled.boxes.clone())),
            _ => bail!("the frames of a recording have a number each"),
        });
        let frames = frames.collect::<Result<Vec<_>>>()?;
        let truth = labels.truth(folder, &frames)?;
        return Ok(vec![Labelled { name, media: Media::Recording(media), truth }]);
    }
    let pictures = labels.frames.iter().map(|labelled| match (labelled.frame, &labelled.picture) {
        (None, Some(picture)) if media.join(picture).is_file() => {
            Ok((picture.clone(), media.join(picture), labelled.boxes.clone()))
        }
        (None, Some(picture)) => bail!("there is no picture {picture} in {}", media.display()),
        _ => bail!("the frames of pictures have the name of a picture each"),
    });
    let pictures = pictures.collect::<Result<Vec<_>>>()?;
    let hold = labels.hold;
    // Labels belong to the last frame that shows a picture: a tracker may need several frames.
    let shown = |index: u64, boxes: Vec<LabelledBox>| ((index + 1) * hold - 1, boxes);
    match labels.show {
        Show::Slides => {
            let frames: Vec<_> = (0..).zip(&pictures).map(|(n, (_, _, boxes))| shown(n, boxes.clone())).collect();
            let truth = labels.truth(folder, &frames)?;
            let files = pictures.into_iter().map(|(_, file, _)| file).collect();
            Ok(vec![Labelled { name, media: Media::Pictures { files, hold }, truth }])
        }
        Show::Apart => {
            let one = |(picture, file, boxes): (String, PathBuf, Vec<LabelledBox>)| {
                let truth = labels.truth(folder, &[shown(0, boxes)])?;
                let media = Media::Pictures { files: vec![file], hold };
                Ok(Labelled { name: format!("{name}/{picture}"), media, truth })
            };
            pictures.into_iter().map(one).collect()
        }
    }
}

/// The file or folder `media`, beside the labels or among the recordings that setup fetches.
fn media(folder: &Path, media: &str) -> Result<PathBuf> {
    let places = [folder.join(media), assets().join("media").join(media)];
    places.into_iter().find(|path| path.exists()).with_context(|| format!("there is no {media}"))
}

impl LabelFile {
    fn truth(&self, folder: &Path, frames: &[(u64, Vec<LabelledBox>)]) -> Result<BTreeMap<String, Truth>> {
        let mut truth: BTreeMap<String, Truth> = self.types.iter().map(|t| (t.clone(), Truth::default())).collect();
        let mot_type = self.mot.as_ref().map(|mot| &mot.object_type);
        for (object_type, truth) in &mut truth {
            truth.individuals = self.individuals.get(object_type).copied();
            if mot_type != Some(object_type) {
                for (frame, boxes) in frames {
                    let labels = boxes.iter().filter(|b| b.object_type == *object_type).map(Label::of);
                    truth.frames.insert(*frame, labels.collect::<Result<_>>()?);
                }
            }
            for best in self.best_shots.iter().filter(|best| best.object_type == *object_type) {
                truth.best_shots.insert(best.id.clone(), best.frames.clone());
            }
        }
        let boxes = frames.iter().flat_map(|(_, boxes)| boxes).map(|b| &b.object_type);
        let named =
            self.individuals.keys().chain(boxes).chain(mot_type).chain(self.best_shots.iter().map(|b| &b.object_type));
        for object_type in named {
            if !truth.contains_key(object_type) {
                bail!("{object_type} is not one of types");
            }
        }
        if let Some(Mot { file, object_type }) = &self.mot {
            let text = fs::read_to_string(folder.join(file)).with_context(|| format!("cannot read {file}"))?;
            let frames = mot_frames(&text).with_context(|| format!("{file} is wrong"))?;
            truth.entry(object_type.clone()).or_default().frames = frames;
        }
        Ok(truth)
    }
}

impl Label {
    fn of(labelled: &LabelledBox) -> Result<Self> {
        let rect = rect(labelled.rect);
        if !is_valid(&rect) {
            bail!("the box {:?} has no area: left, top, right, bottom", labelled.rect);
        }
        Ok(Self { rect, id: labelled.id.clone(), ignore: labelled.ignore })
    }
}

/// Ground truth of the MOT challenges: `frame,id,left,top,width,height,confidence,class,...`,
/// frames from 1, pixels from 1. Confidence 0 and, since MOT16, classes other than pedestrian (1)
/// are to be ignored. All frames to the last are labelled.
fn mot_frames(text: &str) -> Result<BTreeMap<u64, Vec<Label>>> {
    let mut frames: BTreeMap<u64, Vec<Label>> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let fields: Vec<f32> = line.split(',').map(|field| field.trim().parse()).collect::<Result<_, _>>()?;
        let [frame, id, left, top, width, height, rest @ ..] = fields.as_slice() else {
            bail!("{line:?} has fewer than six numbers")
        };
        let (confidence, class) = (rest.first().unwrap_or(&1.0), rest.get(1).filter(|_| rest.len() == 3));
        let rect = rect([left - 1.0, top - 1.0, left - 1.0 + width, top - 1.0 + height]);
        let ignore = *confidence == 0.0 || class.is_some_and(|class| *class != 1.0);
        if !is_valid(&rect) || *frame < 1.0 {
            bail!("{line:?} is no box in a frame");
        }
        frames.entry(*frame as u64 - 1).or_default().push(Label { rect, id: Some(id.to_string()), ignore });
    }
    let last = frames.keys().next_back().copied();
    for frame in 0..last.unwrap_or_default() {
        frames.entry(frame).or_default();
    }
    Ok(frames)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> Result<Vec<Labelled>> {
        let folder = std::env::temp_dir().join(format!("labels-{}-{:x}", std::process::id(), text.len()));
        fs::create_dir_all(folder.join("pictures"))?;
        for file in ["clip.mp4", "pictures/a.jpg", "pictures/b.jpg"] {
            fs::write(folder.join(file), "")?;
        }
        fs::write(folder.join("set.json"), text)?;
        let labelled = read(&folder);
        fs::remove_dir_all(&folder)?;
        labelled
    }

    #[test]
    fn a_recording_has_labels_by_type_and_frame() {
        let labelled = written(
            r#"{"media": "clip.mp4", "types": ["body", "car"], "individuals": {"car": [9, 10]},
                "frames": [{"frame": 4, "boxes": [{"type": "body", "box": [1, 2, 11, 22], "id": "a"}]}],
                "best_shots": [{"type": "body", "id": "a", "frames": [[3, 9]]}]}"#,
        )
        .unwrap();
        let [Labelled { name, media: Media::Recording(_), truth }] = labelled.as_slice() else { panic!() };
        let (body, car) = (&truth["body"], &truth["car"]);
        assert_eq!((name.as_str(), car.individuals, body.individuals), ("set", Some((9, 10)), None));
        assert_eq!((body.frames[&4].len(), car.frames[&4].len()), (1, 0), "a labelled frame without cars has none");
        assert_eq!(body.best_shots["a"], [(3, 9)]);
    }

    #[test]
    fn pictures_are_shown_apart_or_one_after_the_other() {
        let text = |show: &str| {
            format!(
                r#"{{"media": "pictures", "types": ["face"], "show": "{show}", "hold": 2, "frames": [
                    {{"picture": "b.jpg", "boxes": [{{"type": "face", "box": [0, 0, 9, 9]}}]}},
                    {{"picture": "a.jpg", "boxes": []}}]}}"#
            )
        };
        let apart = written(&text("apart")).unwrap();
        assert_eq!(apart.iter().map(|l| l.name.as_str()).collect::<Vec<_>>(), ["set/b.jpg", "set/a.jpg"]);
        let slides = written(&text("slides")).unwrap();
        let faces = &slides[0].truth["face"].frames;
        assert_eq!(faces.iter().map(|(f, labels)| (*f, labels.len())).collect::<Vec<_>>(), [(1, 1), (3, 0)]);
    }

    #[test]
    fn mistakes_are_refused() {
        let refused = |text: &str| format!("{:#}", written(text).err().unwrap());
        assert!(refused(r#"{"media": "gone.mp4", "types": ["car"]}"#).contains("gone.mp4"));
        assert!(refused(r#"{"media": "clip.mp4", "types": ["car"], "individual": {}}"#).contains("individual"));
        assert!(
            refused(r#"{"media": "clip.mp4", "types": ["car"], "individuals": {"body": [1, 1]}}"#).contains("body")
        );
        let empty = r#"{"media": "clip.mp4", "types": ["car"], "frames":
            [{"frame": 0, "boxes": [{"type": "car", "box": [9, 9, 1, 1]}]}]}"#;
        assert!(refused(empty).contains("no area"));
    }

    #[test]
    fn mot_ground_truth_begins_at_one_and_names_what_to_ignore() {
        let frames =
            mot_frames("1,7,11,21,10,20,1,-1,-1,-1\n3,7,1,1,10,20,1,1,.5\n3,8,1,1,10,20,0,1,1\n3,9,1,1,5,5,1,8,1\n");
        let frames = frames.unwrap();
        assert_eq!(frames[&0], [Label { rect: rect([10.0, 20.0, 20.0, 40.0]), id: Some("7".into()), ignore: false }]);
        assert!(frames[&1].is_empty());
        assert_eq!(frames[&2].iter().map(|l| l.ignore).collect::<Vec<_>>(), [false, true, true]);
        assert!(mot_frames("1,2,3").is_err());
    }
}
