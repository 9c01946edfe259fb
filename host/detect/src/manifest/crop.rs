//! Common head of `embedder.toml` and `attributes.toml`, the manifests of networks whose inputs are
//! crops of objects.

use ocellus_core::{ChannelOrder, ObjectType};
use serde::{Deserialize, de::DeserializeOwned};

use super::model::{MAX_BATCH, Model, Normalization, channel_order, one};

/// Limit of an input's longer side, in pixels. Less than a detector's: the input is a crop of one
/// object, not a frame.
const MAX_SIDE: u32 = 1024;
/// Range of the side of a crop relative to that of the object's box.
const SCALES: std::ops::RangeInclusive<f32> = 0.5..=8.0;

/// A manifest with the keys `K` of its kind.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CropManifest<K> {
    pub(crate) name: String,
    pub(crate) version: String,
    #[serde(default)]
    #[allow(dead_code, reason = "for people")]
    description: String,
    /// Of the weights, as an SPDX expression.
    pub(crate) licence: String,
    pub(crate) object_type: ObjectType,
    pub(crate) model: Model,
    pub(crate) input: CropInput,
    #[serde(flatten)]
    pub(crate) keys: K,
}

/// Keys of one kind of manifest, beside the head.
pub(crate) trait CropKeys: DeserializeOwned {
    /// `Err` has the reason, also where the keys contradict the head.
    fn check(manifest: &CropManifest<Self>) -> Result<(), String>;
}

/// Input of a network whose pictures are crops of objects.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CropInput {
    /// Pixels.
    pub(crate) width: u32,
    /// Pixels.
    pub(crate) height: u32,
    #[serde(default = "one")]
    pub(crate) max_batch: usize,
    /// Order of the channels; RGB unless given.
    #[serde(default, deserialize_with = "channel_order")]
    pub(crate) order: Option<ChannelOrder>,
    /// Subtracted from the channels, which are 0..=255; in the input's order.
    mean: Option<[f32; 3]>,
    /// The channels are divided by it after that.
    std: Option<[f32; 3]>,
    /// Side of the crop relative to that of the object's box, with the same centre; 1 unless given.
    scale: Option<f32>,
    /// Positions (x, y), in pixels of the input, to which left eye, right eye, nose, left and right
    /// corner of the mouth are aligned; absent for object types without landmarks.
    pub(crate) landmarks: Option<[[f32; 2]; 5]>,
}

impl<K: CropKeys> CropManifest<K> {
    /// Parses and checks all keys except `model`, which [`Model::check`] does; the error is its
    /// reason.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let manifest: Self = toml::from_str(text).map_err(|e| e.to_string().trim_end().to_owned())?;
        manifest.input.check(&manifest.model)?;
        K::check(&manifest)?;
        Ok(manifest)
    }
}

impl CropInput {
    /// `Err` has the reason.
    fn check(&self, model: &Model) -> Result<(), String> {
        let &Self { width, height, max_batch, .. } = self;
        let sides = 1..=MAX_SIDE;
        if !sides.contains(&width) || !sides.contains(&height) || !(1..=MAX_BATCH).contains(&max_batch) {
            return Err(format!(
                "input: {max_batch} pictures of {width}x{height}: 1 to {MAX_BATCH}, of at most {MAX_SIDE} a side"
            ));
        }
        if model.is_openvino() && max_batch != 1 {
            return Err("input.max_batch: an OpenVINO network takes one picture at a time".into());
        }
        if !SCALES.contains(&self.scale()) {
            return Err(format!("input.scale: {}: {} to {}", self.scale(), SCALES.start(), SCALES.end()));
        }
        if self.scale.is_some() && self.landmarks.is_some() {
            return Err("input.scale: pictures that are aligned by landmarks have theirs".into());
        }
        self.normalization().map(drop)
    }

    pub(crate) fn normalization(&self) -> Result<Normalization, String> {
        Normalization::new(self.mean, self.std).map_err(|reason| format!("input: {reason}"))
    }

    pub(crate) fn scale(&self) -> f32 {
        self.scale.unwrap_or(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Keys {
        level: u32,
    }

    impl CropKeys for Keys {
        fn check(manifest: &CropManifest<Self>) -> Result<(), String> {
            if manifest.keys.level < 9 { Ok(()) } else { Err("level: below 9".into()) }
        }
    }

    const MANIFEST: &str = r#"
name = "n"
version = "1"
licence = "MIT"
object_type = "face"
level = 3
[model]
file = "n.onnx"
sha256 = ""
[input]
width = 80
height = 60
scale = 2.7
"#;

    #[test]
    fn head_and_keys_are_read_and_checked_together() {
        let read = |from: &str, to: &str| {
            assert!(MANIFEST.contains(from), "{from}");
            CropManifest::<Keys>::parse(&MANIFEST.replacen(from, to, 1))
        };
        let manifest = read("3", "3").unwrap();
        assert_eq!((manifest.keys.level, manifest.input.scale()), (3, 2.7));
        assert_eq!(read("scale = 2.7", "").unwrap().input.scale(), 1.0);
        for (from, to, why) in [
            ("level = 3", "level = 9", "below 9"),
            ("level = 3", "level = 3\nlevle = 3", "levle"),
            ("level = 3", "", "level"),
            ("licence", "license", "licence"),
            ("width", "widht", "widht"),
            ("width = 80", "width = 2000", "2000x60"),
            ("scale = 2.7", "scale = 0.0", "input.scale: 0"),
            ("scale = 2.7", "scale = nan", "input.scale"),
            ("scale = 2.7", "scale = 2.0\nlandmarks = [[1, 1], [2, 1], [1, 2], [1, 3], [2, 3]]", "landmarks"),
            ("scale = 2.7", "max_batch = 65", "65 pictures"),
        ] {
            let error = read(from, to).unwrap_err();
            assert!(error.contains(why), "{to}: {error}");
        }
    }
}
